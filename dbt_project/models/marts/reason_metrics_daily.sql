-- grain: shop_id x metric_date x metric x reason_code x fault, days with orders
{% set key = own_columns(["shop_id", "metric", "reason_code", "category", "fault", "is_counted"]) %}
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set counted = [(ref("int_order_reasons__first_events"), {"orders": "first_event_date"})] %}

with {{ rolling_changes(key, counted, touched) }},

{{ rolling_days(key, ["orders"]) }},

with_totals as (
    select
        r.shop_id,
        r.metric_date,
        r.metric,
        r.reason_code,
        r.category,
        r.fault,
        r.is_counted,
        r.orders,
        s.delivered_orders,
        case r.metric when 'nrr' then s.nrr_state else s.sfrr_state end as metric_state,
        case r.metric when 'nrr' then s.negative_review_orders else s.seller_fault_return_orders end as metric_orders
    from rolling as r
    inner join {{ ref("shop_metrics_daily") }} as s
        on r.shop_id = s.shop_id and r.metric_date = s.metric_date
),

ranked as (
    select
        shop_id,
        metric_date,
        metric,
        reason_code,
        category,
        fault,
        is_counted,
        orders,
        delivered_orders,
        {{ rate("orders", "delivered_orders", "metric_state") }} as rate,
        case when is_counted then cast(orders as double) / nullif(metric_orders, 0) end as share,
        case
            when is_counted
                then cast(row_number() over (
                    partition by shop_id, metric_date, metric, is_counted
                    order by orders desc, reason_code asc nulls last
                ) as bigint)
        end as rank
    from with_totals
)

select * from ranked
