-- grain: shop_id x complaint_id
{% set touched = {"by": "raw_changed.complaints", "key": ["shop_id", "complaint_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with folded as (
    select
        t.*,
        {{ fold_text("coalesce(t.complaint_type, '(blank)')") }} as folded_type,
        {{ fold_text("coalesce(t.complaint_subtype, '')") }} as folded_subtype
    from {{ ref("stg_exports__complaints") }} as t
    where {{ in_scope("t", touched) }}
),

mapped as (
    select
        f.*,
        coalesce(s.reason_code, t.reason_code, 'unclassified') as reason_code,
        case
            when s.reason_code is null and coalesce(t.reason_code, 'unclassified') = 'unclassified'
                then concat_ws(' / ', coalesce(f.complaint_type, '(blank)'), f.complaint_subtype)
        end as unmapped_reason
    from folded as f
    left join {{ ref("stg_settings__complaint_types") }} as s
        on
            f.folded_type = s.folded_type
            and f.folded_subtype = s.folded_subtype
            and {{ in_force("s", "f.complaint_date") }}
    left join {{ ref("stg_settings__complaint_types") }} as t
        on
            f.folded_type = t.folded_type
            and t.folded_subtype = ''
            and {{ in_force("t", "f.complaint_date") }}
),

classified as (
    select
        m.shop_id,
        m.complaint_id,
        m.order_id,
        m.sku_id,
        m.complaint_date,
        m.folded_type as complaint_type,
        m.reason_code,
        coalesce(c.category, 'other') as category,
        coalesce(c.fault, 'unknown') as fault,
        m.unmapped_reason,
        nullif(concat_ws(' / ', m.complaint_type, m.complaint_subtype, m.complaint_detail), '') as text,
        m.file_id,
        m.row_number
    from mapped as m
    left join {{ ref("stg_settings__reasons") }} as c
        on m.reason_code = c.reason_code and {{ in_force("c", "m.complaint_date") }}
)

select * from classified
