-- grain: shop_id x product_key x metric_date, days with deliveries in the window
{% set key = {"product_number": number_of(["o.shop_id", "o.product_key"])} %}
{% set touched = {
    "by": "int_touched__product_days", "key": ["shop_id", "product_key"], "from": "metric_date"
} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set negatives = {
    "negative_review_orders": "first_negative_review_date",
    "seller_fault_return_orders": "first_seller_fault_return_date",
} %}
{% set counted = [
    (ref("int_order_products"), {"delivered_orders": "delivered_date"}),
    (ref("int_order_products__first_events"), negatives),
] %}

with {{ rolling_changes(key, counted, touched) }},

{{ rolling_days(key, ["delivered_orders"] + (negatives | list)) }},

products as (
    select
        n.*,
        {{ number_of(["n.shop_id", "n.product_key"]) }} as product_number,
        v.orders_until,
        v.reviews_until,
        v.returns_until
    from {{ ref("int_products__names") }} as n
    left join {{ ref("int_shops__coverage") }} as v
        on n.shop_id = v.shop_id
),

states as (
    select
        p.shop_id,
        p.product_key,
        r.metric_date,
        p.product_name,
        r.delivered_orders,
        r.negative_review_orders,
        r.seller_fault_return_orders,
        {{ metric_state("p", "reviews_until", "r.metric_date") }} as nrr_state,
        {{ metric_state("p", "returns_until", "r.metric_date") }} as sfrr_state
    from rolling as r
    inner join products as p
        on r.product_number = p.product_number
),

rates as (
    select
        shop_id,
        product_key,
        metric_date,
        product_name,
        delivered_orders,
        negative_review_orders,
        seller_fault_return_orders,
        {{ rate("negative_review_orders", "delivered_orders", "nrr_state") }} as nrr,
        {{ rate("seller_fault_return_orders", "delivered_orders", "sfrr_state") }} as sfrr
    from states
)

select * from rates
