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
        has_sellers_reason,
        latest_rating,
        initial_rating,
        false as is_rejected,
        false as is_voided_otherwise,
        cast(null as string) as complaint_type,
        case when not is_negative then 'rating_above_2' end as rule,
        review_text as text,
        unmapped_reason,
        cast(null as string) as unknown_status,
        file_id,
        row_number,
        reason_rule
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
        false as has_sellers_reason,
        cast(null as integer) as latest_rating,
        cast(null as integer) as initial_rating,
        is_rejected,
        is_voided_otherwise,
        cast(null as string) as complaint_type,
        case
            when voided_by is not null then 'voided_by_' || voided_by
            when reason_code = 'unmapped' then 'reason_unmapped'
            when fault <> 'seller' then 'reason_not_seller_fault'
        end as rule,
        return_reason as text,
        case when reason_code = 'unmapped' then coalesce(return_reason, '(blank)') end as unmapped_reason,
        unknown_status,
        file_id,
        row_number,
        reason_rule
    from {{ ref("int_returns__classified") }}
),

complaints as (
    select
        shop_id,
        'complaint:' || complaint_id as event_id,
        'complaint' as source,
        'complaint_rate' as metric,
        order_id,
        sku_id,
        cast(null as string) as product_id,
        complaint_date as event_date,
        cast(null as integer) as rating,
        reason_code,
        category,
        fault,
        true as is_negative,
        fault in ('seller', 'unknown') as counts_by_itself,
        false as is_sellers_part,
        false as has_sellers_reason,
        cast(null as integer) as latest_rating,
        cast(null as integer) as initial_rating,
        false as is_rejected,
        false as is_voided_otherwise,
        complaint_type,
        case when fault not in ('seller', 'unknown') then 'reason_not_seller_fault' end as rule,
        text,
        unmapped_reason,
        cast(null as string) as unknown_status,
        file_id,
        row_number,
        cast(null as string) as reason_rule
    from {{ ref("int_complaints__classified") }}
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
        o.created_date,
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

windowed as (
    select
        a.*,
        op.delivered_date as product_delivered_date,
        case
            when a.source = 'complaint' then a.delivered_date
            else coalesce(op.delivered_date, a.delivered_date)
        end as window_start
    from attributed as a
    left join order_products as op
        on a.shop_id = op.shop_id and a.order_id = op.order_id and a.product_key = op.product_key
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
        a.created_date,
        a.delivered_date,
        a.product_delivered_date,
        a.rating,
        a.reason_code,
        a.category,
        a.fault,
        a.is_negative,
        a.counts_by_itself,
        a.is_sellers_part,
        a.has_sellers_reason,
        a.latest_rating,
        a.initial_rating,
        a.is_rejected,
        a.is_voided_otherwise,
        a.complaint_type,
        coalesce(
            a.rule,
            case
                when a.known_order_id is null then 'order_unknown'
                when a.delivered_date is null then 'order_not_delivered'
                when
                    a.event_date >= {{ add_days("a.window_start", "p.window_days") }}
                    then 'after_window'
                else 'counted'
            end
        ) as rule,
        a.text,
        a.unmapped_reason,
        a.unknown_status,
        a.file_id,
        a.row_number,
        a.reason_rule
    from windowed as a
    cross join {{ ref("int_parameters") }} as p
)

select * from ruled
