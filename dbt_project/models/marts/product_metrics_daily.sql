-- grain: shop_id x product_key x metric_date, days with deliveries in the window
{% set key = ["shop_id", "product_key"] %}
{% set touched = {"by": "int_touched__product_days", "key": key, "from": "metric_date"} %}
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

states as (
    select
        r.*,
        {{ metric_state("v", "reviews_until", "r.metric_date") }} as nrr_state,
        {{ metric_state("v", "returns_until", "r.metric_date") }} as sfrr_state
    from rolling as r
    left join {{ ref("int_shops__coverage") }} as v
        on r.shop_id = v.shop_id
),

rates as (
    select
        s.shop_id,
        s.product_key,
        s.metric_date,
        n.product_name,
        s.delivered_orders,
        s.negative_review_orders,
        s.seller_fault_return_orders,
        {{ rate("s.negative_review_orders", "s.delivered_orders", "s.nrr_state") }} as nrr,
        {{ rate("s.seller_fault_return_orders", "s.delivered_orders", "s.sfrr_state") }} as sfrr
    from states as s
    left join {{ ref("int_products__names") }} as n
        on s.shop_id = n.shop_id and s.product_key = n.product_key
)

select * from rates
