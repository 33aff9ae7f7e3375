-- grain: event_id within shop_id, one row per review, return request line and complaint
{% set touched = {"by": "int_touched__events", "key": ["shop_id", "event_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with reviews as (
    select
        shop_id,
        'review:' || review_id as event_id,
        'review' as source,
        'nrr' as metric,
        order_id,
        sku_id,
        product_id,
        review_date as event_date,
        rating,
        reason_code,
        category,
        fault,
        is_negative,
        is_negative as counts_by_itself,
        is_sellers_part,
        case when not is_negative then 'rating_above_2' end as rule,
        review_text as text,
        unmapped_reason,
        cast(null as string) as unknown_status,
        file_id,
        row_number
    from {{ ref("int_reviews__classified") }}
),

returns as (
    select
        shop_id,
        {{ return_event_id() }} as event_id,
        'return' as source,
        'sfrr' as metric,
        order_id,
        sku_id,
        cast(null as string) as product_id,
        request_date as event_date,
        cast(null as integer) as rating,
        reason_code,
        category,
        fault,
        voided_by is null as is_negative,
        voided_by is null and fault = 'seller' as counts_by_itself,
        false as is_sellers_part,
        case
            when voided_by is not null then 'voided_by_' || voided_by
            when reason_code = 'unmapped' then 'reason_unmapped'
            when fault <> 'seller' then 'reason_not_seller_fault'
        end as rule,
        return_reason as text,
        case when reason_code = 'unmapped' then coalesce(return_reason, '(blank)') end as unmapped_reason,
        unknown_status,
        file_id,
        row_number
    from {{ ref("int_returns__classified") }}
),

complaints as (
    select
        c.shop_id,
        'complaint:' || c.complaint_id as event_id,
        'complaint' as source,
        cast(null as string) as metric,
        c.order_id,
        c.sku_id,
        cast(null as string) as product_id,
        c.complaint_date as event_date,
        cast(null as integer) as rating,
        'unclassified' as reason_code,
        coalesce(g.category, 'other') as category,
        coalesce(g.fault, 'unknown') as fault,
        true as is_negative,
        false as counts_by_itself,
        false as is_sellers_part,
        'complaint_in_no_metric' as rule,
        nullif(concat_ws(' / ', c.complaint_type, c.complaint_subtype, c.complaint_detail), '') as text,
        cast(null as string) as unmapped_reason,
        cast(null as string) as unknown_status,
        c.file_id,
        c.row_number
    from {{ ref("stg_exports__complaints") }} as c
    left join {{ ref("stg_settings__reasons") }} as g
        on g.reason_code = 'unclassified' and {{ in_force("g", "c.complaint_date") }}
),

all_events as (
    select * from reviews
    union all
    select * from returns
    union all
    select * from complaints
),

events as (
    select
        e.*,
        {{ number_of(["e.order_id"]) }} as order_key
    from all_events as e
    where {{ in_scope("e", touched) }}
),

orders as (
    select *
    from {{ ref("int_orders") }}
    {%- if is_increment() %}
    where order_key in (select order_key from events)
    {%- endif %}
),

order_products as (
    select *
    from {{ ref("int_order_products") }}
    {%- if is_increment() %}
    where order_key in (select order_key from events)
    {%- endif %}
),

attributed as (
    select
        e.*,
        o.order_id as known_order_id,
        o.delivered_date,
        case
            when e.sku_id is null and e.product_id is null then o.only_product_key
            else coalesce(p.product_key, e.product_id)
        end as product_key
    from events as e
    left join orders as o
        on e.shop_id = o.shop_id and e.order_id = o.order_id
    left join {{ ref("int_skus__products") }} as p
        on e.shop_id = p.shop_id and e.sku_id = p.sku_id
),

ruled as (
    select
        a.shop_id,
        a.event_id,
        a.source,
        a.metric,
        a.order_key,
        a.order_id,
        a.sku_id,
        a.product_key,
        a.event_date,
        a.delivered_date,
        op.delivered_date as product_delivered_date,
        a.rating,
        a.reason_code,
        a.category,
        a.fault,
        a.is_negative,
        a.counts_by_itself,
        a.is_sellers_part,
        coalesce(
            a.rule,
            case
                when a.known_order_id is null then 'order_unknown'
                when a.delivered_date is null then 'order_not_delivered'
                when
                    a.event_date
                    >= {{ add_days("coalesce(op.delivered_date, a.delivered_date)", "p.window_days") }}
                    then 'after_window'
                else 'counted'
            end
        ) as rule,
        a.text,
        a.unmapped_reason,
        a.unknown_status,
        a.file_id,
        a.row_number
    from attributed as a
    left join order_products as op
        on a.shop_id = op.shop_id and a.order_id = op.order_id and a.product_key = op.product_key
    cross join {{ ref("int_parameters") }} as p
)

select * from ruled
