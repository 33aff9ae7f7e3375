-- grain: shop_id x product_key x metric_date x metric x reason_code x is_counted, days with orders
{% set key = own_columns(["shop_id", "product_key", "metric", "reason_code", "is_counted"]) %}
{% set touched = {"by": "int_touched__product_days", "key": ["shop_id", "product_key"], "from": "metric_date"} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set counted = [(ref("int_order_product_reasons__first_events"), {"orders": "first_event_date"})] %}

with {{ rolling_changes(key, counted, touched) }},

{{ rolling_days(key, ["orders"]) }},

named as (
    select
        shop_id,
        product_key,
        metric_date,
        metric,
        reason_code,
        is_counted,
        orders
    from rolling
)

select * from named
