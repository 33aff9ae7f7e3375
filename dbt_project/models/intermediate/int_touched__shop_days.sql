-- grain: shop_id, from which day on a shop's figures are computed again; none in a full build
-- depends_on: {{ ref("int_orders") }}, {{ ref("int_feedback_events") }}, {{ ref("int_touched__states") }}
-- depends_on: {{ ref("int_touched__chats") }}
{% set event = [
    "shop_id", "order_key", "order_id", "metric", "event_date", "delivered_date", "reason_code",
    "category", "fault", "is_negative", "counts_by_itself", "is_sellers_part", "complaint_type"
] | join(", ") %}
{% if is_increment() %}
with changed_events as (
    {{ difference("int_feedback_events", event) }}
),

touched as (
    select
        shop_id,
        delivered_date as from_date
    from {{ changes_of("int_orders") }}
    where delivered_date is not null
    union all
    select
        shop_id,
        greatest(event_date, delivered_date) as from_date
    from changed_events
    where delivered_date is not null
    union all
    select
        shop_id,
        from_date
    from {{ ref("int_touched__states") }}
    union all
    select
        shop_id,
        from_date
    from {{ ref("int_touched__chats") }}
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
        delivered_date as from_date
    from {{ ref("int_orders") }}
    where false
)
{% endif %}
select * from days
