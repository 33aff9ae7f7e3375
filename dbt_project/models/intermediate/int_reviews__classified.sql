-- grain: shop_id x review_id
{% set touched = {"by": "int_touched__reviews", "key": ["shop_id", "review_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with rated as (
    select
        r.*,
        case when s.value = 'initial' then r.initial_rating else r.latest_rating end as rating
    from {{ ref("stg_exports__reviews") }} as r
    left join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'rating_basis' and {{ in_force("s", "r.review_date") }}
    where {{ in_scope("r", touched) }}
),

given as (
    select
        r.*,
        case
            when d.reason_code is not null then d.reason_code
            when g.reason_code is not null then g.reason_code
            when r.review_text is null then 'no_comment'
            when r.rating <= 2 and t.reason_code is not null then t.reason_code
            else 'unclassified'
        end as reason_code,
        case
            when d.reason_code is not null then 'override'
            when g.reason_code is not null then 'issue_type'
            when r.review_text is null then 'no_comment'
            when r.rating > 2 then 'rating_above_2'
            when t.reason_code is not null then m.rule_id
            else 'no_rule_fits'
        end as reason_rule,
        case when d.reason_code is null then o.reason_code end as unmapped_reason
    from rated as r
    left join {{ ref("stg_exports__review_overrides") }} as o
        on r.shop_id = o.shop_id and r.review_id = o.review_id
    left join {{ ref("stg_settings__reasons") }} as d
        on
            o.reason_code = d.reason_code
            and d.is_review_reason
            and {{ in_force("d", "r.review_date") }}
    left join {{ ref("stg_settings__reasons") }} as g
        on
            r.issue_type = g.reason_code
            and g.is_review_reason
            and {{ in_force("g", "r.review_date") }}
    left join {{ ref("int_reviews__reasons") }} as m
        on r.shop_id = m.shop_id and r.review_id = m.review_id
    left join {{ ref("stg_settings__reasons") }} as t
        on
            m.reason_code = t.reason_code
            and t.is_review_reason
            and {{ in_force("t", "r.review_date") }}
),

classified as (
    select
        r.shop_id,
        r.review_id,
        r.order_id,
        r.product_id,
        r.sku_id,
        r.review_date,
        r.rating,
        r.latest_rating,
        r.initial_rating,
        r.review_text,
        r.reason_code,
        coalesce(c.category, 'other') as category,
        coalesce(c.fault, 'unknown') as fault,
        r.rating <= 2 as is_negative,
        coalesce(c.category, 'other') in ('product', 'service')
        or (
            coalesce(c.category, 'other') = 'other'
            and (r.reason_code <> 'no_comment' or coalesce(s.value, 'true') = 'true')
        ) as has_sellers_reason,
        r.unmapped_reason,
        r.file_id,
        r.row_number,
        r.reason_rule
    from given as r
    left join {{ ref("stg_settings__reasons") }} as c
        on r.reason_code = c.reason_code and {{ in_force("c", "r.review_date") }}
    left join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'no_comment_counts_in_nrr_seller' and {{ in_force("s", "r.review_date") }}
),

judged as (
    select
        *,
        is_negative and has_sellers_reason as is_sellers_part
    from classified
)

select * from judged
