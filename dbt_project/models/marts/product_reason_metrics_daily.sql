-- grain: shop_id x product_key x metric_date x metric x reason_code x is_counted, days with orders
{% set key = ["shop_id", "product_key", "metric", "reason_code", "is_counted"] %}
{% set measures = {"orders": "first_event_date"} %}

with {{ rolling_changes(ref("int_order_product_reasons__first_events"), key, measures) }},

{{ rolling_days(key, measures) }},

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
