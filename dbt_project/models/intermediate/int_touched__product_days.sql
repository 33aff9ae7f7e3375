-- grain: shop_id x product_key, from which day on a product's figures are computed again; none in a full build
-- depends_on: {{ ref("int_order_products") }}, {{ ref("int_feedback_events") }}
-- depends_on: {{ ref("int_products__names") }}, {{ ref("int_touched__states") }}, {{ ref("int_parameters") }}
{% set event = [
    "shop_id", "order_key", "order_id", "product_key", "metric", "event_date",
    "product_delivered_date", "reason_code", "is_negative", "counts_by_itself"
] | join(", ") %}
{% if is_increment() %}
with changed_events as (
    {{ difference("int_feedback_events", event) }}
),

touched as (
    select
        shop_id,
        product_key,
        delivered_date as from_date
    from {{ changes_of("int_order_products") }}
    where delivered_date is not null
    union all
    select
        shop_id,
        product_key,
        greatest(event_date, product_delivered_date) as from_date
    from changed_events
    where metric in ('nrr', 'sfrr') and product_delivered_date is not null
    union all
    select
        shop_id,
        product_key,
        date '1900-01-01' as from_date
    from {{ changes_of("int_products__names") }}
    union all
    select
        o.shop_id,
        o.product_key,
        s.from_date
    from {{ ref("int_order_products") }} as o
    cross join {{ ref("int_parameters") }} as p
    inner join {{ ref("int_touched__states") }} as s
        on o.shop_id = s.shop_id and {{ add_days("o.delivered_date", "p.window_days") }} > s.from_date
    where o.delivered_date > (
        select {{ add_days("min(from_date)", "-max(w.window_days)") }}
        from {{ ref("int_touched__states") }}
        cross join {{ ref("int_parameters") }} as w
    )
),

days as (
    select
        shop_id,
        product_key,
        min(from_date) as from_date
    from touched
    group by shop_id, product_key
)
{% else %}
with days as (
    select
        shop_id,
        product_key,
        delivered_date as from_date
    from {{ ref("int_order_products") }}
    where false
)
{% endif %}
select * from days
