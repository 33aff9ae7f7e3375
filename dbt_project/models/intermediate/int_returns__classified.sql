-- grain: shop_id x return_order_id x order_id x sku_id
{% set touched = {"by": "raw_changed.returns", "key": ["shop_id", "return_order_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with folded as (
    select
        t.*,
        {{ fold_text("t.return_reason_code") }} as folded_reason_code,
        {{ fold_text("coalesce(t.return_reason, t.return_reason_code, '(blank)')") }} as folded_reason,
        {{ fold_text("t.return_status") }} as folded_status,
        {{ fold_text("t.return_sub_status") }} as folded_sub_status,
        {{ fold_text("t.arbitration_status") }} as folded_arbitration_status
    from {{ ref("stg_exports__returns") }} as t
    where {{ in_scope("t", touched) }}
),

mapped as (
    select
        r.*,
        coalesce(g.reason_code, 'unmapped') as reason_code,
        case
            when g.reason_code is null then 'unmapped'
            when tc.reason_code is not null then 'return_reason_code'
            else 'return_reason_text'
        end as reason_rule,
        case
            when ps.is_voided then 'return_status'
            when pb.is_voided then 'return_sub_status'
            when pa.is_voided then 'arbitration_status'
        end as voided_by,
        coalesce(ps.outcome = 'rejected', false)
        or coalesce(pb.outcome = 'rejected', false)
        or coalesce(pa.outcome = 'rejected', false) as is_rejected,
        coalesce(ps.is_voided and coalesce(ps.outcome, '') <> 'rejected', false)
        or coalesce(pb.is_voided and coalesce(pb.outcome, '') <> 'rejected', false)
        or coalesce(pa.is_voided and coalesce(pa.outcome, '') <> 'rejected', false) as is_voided_otherwise,
        case when ps.status_text is null then r.return_status end as unknown_return_status,
        case when pb.status_text is null then r.return_sub_status end as unknown_sub_status,
        case when pa.status_text is null then r.arbitration_status end as unknown_arbitration_status
    from folded as r
    left join {{ ref("stg_settings__return_reason_texts") }} as tc
        on r.folded_reason_code = tc.folded_text and {{ in_force("tc", "r.request_date") }}
    left join {{ ref("stg_settings__return_reason_texts") }} as t
        on r.folded_reason = t.folded_text and {{ in_force("t", "r.request_date") }}
    left join {{ ref("stg_settings__reasons") }} as g
        on
            coalesce(tc.reason_code, t.reason_code) = g.reason_code
            and g.is_return_reason
            and {{ in_force("g", "r.request_date") }}
    left join {{ ref("stg_settings__outcome_policy") }} as ps
        on
            ps.status_column = 'return_status'
            and r.folded_status = ps.folded_text
            and {{ in_force("ps", "r.request_date") }}
    left join {{ ref("stg_settings__outcome_policy") }} as pb
        on
            pb.status_column = 'return_sub_status'
            and r.folded_sub_status = pb.folded_text
            and {{ in_force("pb", "r.request_date") }}
    left join {{ ref("stg_settings__outcome_policy") }} as pa
        on
            pa.status_column = 'arbitration_status'
            and r.folded_arbitration_status = pa.folded_text
            and {{ in_force("pa", "r.request_date") }}
),

classified as (
    select
        r.shop_id,
        r.return_order_id,
        r.order_id,
        r.sku_id,
        r.request_date,
        coalesce(r.return_reason, r.return_reason_code) as return_reason,
        r.reason_code,
        coalesce(c.category, 'other') as category,
        coalesce(c.fault, 'unknown') as fault,
        r.voided_by,
        r.is_rejected,
        r.is_voided_otherwise,
        nullif(
            concat_ws(' / ', r.unknown_return_status, r.unknown_sub_status, r.unknown_arbitration_status), ''
        ) as unknown_status,
        r.file_id,
        r.row_number,
        r.reason_rule
    from mapped as r
    left join {{ ref("stg_settings__reasons") }} as c
        on r.reason_code = c.reason_code and {{ in_force("c", "r.request_date") }}
)

select * from classified
