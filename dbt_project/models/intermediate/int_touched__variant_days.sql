-- grain: shop_id, from which day on a shop's variants are computed again; none in a full build
-- depends_on: {{ ref("int_orders") }}, {{ ref("int_feedback_events") }}, {{ ref("int_touched__shop_days") }}
{% set event = [
    "shop_id", "order_key", "order_id", "metric", "event_date", "created_date", "delivered_date",
    "rating", "latest_rating", "initial_rating", "text is not null as has_text", "category", "fault",
    "has_sellers_reason", "is_negative", "is_rejected", "is_voided_otherwise"
] | join(", ") %}
{% if is_increment() %}
with changed_orders as (
    {{ difference("int_orders", "shop_id, order_key, order_id, created_date") }}
),

changed_events as (
    {{ difference("int_feedback_events", event) }}
),

touched as (
    select
        shop_id,
        created_date as from_date
    from changed_orders
    union all
    select
        shop_id,
        greatest(event_date, least(created_date, delivered_date)) as from_date
    from changed_events
    where metric is not null and created_date is not null
    union all
    select
        shop_id,
        from_date
    from {{ ref("int_touched__shop_days") }}
),

days as (
    select
        shop_id,
        min(from_date) as from_date
    from touched
    group by shop_id
)
{% else %}
with days as (
    select
        shop_id,
        from_date
    from {{ ref("int_touched__shop_days") }}
    where false
)
{% endif %}
select * from days
