-- grain: shop_id x return_order_id x order_id x sku_id
with folded as (
    select
        *,
        {{ fold_text("return_reason") }} as folded_reason,
        {{ fold_text("return_status") }} as folded_status,
        {{ fold_text("return_sub_status") }} as folded_sub_status
    from {{ ref("stg_exports__returns") }}
),

mapped as (
    select
        r.*,
        coalesce(g.reason_code, 'unmapped') as reason_code,
        coalesce(ps.is_voided, false) as is_voided_by_status,
        coalesce(pb.is_voided, false) as is_voided_by_sub_status,
        (r.folded_status is not null and ps.status_text is null)
        or (r.folded_sub_status is not null and pb.status_text is null) as has_unknown_status
    from folded as r
    left join {{ ref("stg_settings__return_reason_texts") }} as t
        on r.folded_reason = t.folded_text and {{ in_force("t", "r.request_date") }}
    left join {{ ref("stg_settings__reasons") }} as g
        on
            t.reason_code = g.reason_code
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
),

classified as (
    select
        r.shop_id,
        r.return_order_id,
        r.order_id,
        r.sku_id,
        r.request_date,
        r.return_reason,
        r.return_status,
        r.return_sub_status,
        r.reason_code,
        coalesce(c.category, 'other') as category,
        coalesce(c.fault, 'unknown') as fault,
        r.is_voided_by_status,
        r.is_voided_by_sub_status,
        r.has_unknown_status,
        r.file_id,
        r.row_number
    from mapped as r
    left join {{ ref("stg_settings__reasons") }} as c
        on r.reason_code = c.reason_code and {{ in_force("c", "r.request_date") }}
)

select * from classified
