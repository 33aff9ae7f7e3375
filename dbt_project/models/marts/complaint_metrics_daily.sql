-- grain: shop_id x metric_date x complaint_type x reason_code x fault, days with orders
{% set key = own_columns(["shop_id", "complaint_type", "reason_code", "category", "fault", "is_counted"]) %}
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set counted = [(ref("int_order_complaints__first_events"), {"orders": "first_event_date"})] %}

with {{ rolling_changes(key, counted, touched) }},

{{ rolling_days(key, ["orders"]) }},

rates as (
    select
        r.shop_id,
        r.metric_date,
        r.complaint_type,
        r.reason_code,
        r.category,
        r.fault,
        r.is_counted,
        r.orders,
        s.delivered_orders,
        {{ rate("r.orders", "s.delivered_orders", "s.complaint_state") }} as rate
    from rolling as r
    inner join {{ ref("shop_metrics_daily") }} as s
        on r.shop_id = s.shop_id and r.metric_date = s.metric_date
)

select * from rates
