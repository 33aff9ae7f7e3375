-- grain: shop_id x metric x horizon_days, from the day after the as-of date to one window later
{{ config(materialized="incremental") }}
{% set metrics = shop_metrics() %}

with today as (
    select
        d.*,
        p.window_days
    from {{ ref("metric_status_daily") }} as d
    inner join {{ ref("int_parameters") }} as p
        on d.metric_date = p.as_of_date
),

deliveries as (
    select
        o.shop_id,
        o.delivered_date,
        {%- for metric in metrics %}
        cast(0 as bigint) as {{ metric }},
        {%- endfor %}
        count(*) as delivered_orders
    from {{ ref("int_orders") }} as o
    inner join {{ ref("int_parameters") }} as p
        on
            o.delivered_date > {{ add_days("p.as_of_date", "-p.window_days") }}
            and o.delivered_date <= p.as_of_date
    group by o.shop_id, o.delivered_date
),

negatives as (
    select
        o.shop_id,
        o.delivered_date,
        {%- for name, metric in metrics.items() %}
        count(case when o.first_{{ metric.event }}_date <= p.as_of_date then 1 end) as {{ name }},
        {%- endfor %}
        cast(0 as bigint) as delivered_orders
    from {{ ref("int_orders__first_events") }} as o
    inner join {{ ref("int_parameters") }} as p
        on
            o.delivered_date > {{ add_days("p.as_of_date", "-p.window_days") }}
            and o.delivered_date <= p.as_of_date
    group by o.shop_id, o.delivered_date
),

no_deliveries as (
    select
        shop_id,
        metric_date as delivered_date,
        {%- for metric in metrics %}
        cast(0 as bigint) as {{ metric }},
        {%- endfor %}
        cast(0 as bigint) as delivered_orders
    from today
    where metric = 'nrr'
),

by_delivery as (
    select * from deliveries
    union all
    select * from negatives
    union all
    select * from no_deliveries
),

horizons as (
    select
        p.as_of_date,
        n.day_number + 1 as horizon_days,
        {{ add_days("p.as_of_date", "n.day_number + 1") }} as forecast_date,
        {{ add_days("p.as_of_date", "n.day_number + 1 - p.window_days") }} as rolled_out_until
    from {{ ref("int_calendar") }} as n
    cross join {{ ref("int_parameters") }} as p
    where n.day_number < p.window_days
),

by_horizon as (
    select
        b.*,
        h.as_of_date,
        h.horizon_days,
        h.forecast_date,
        case when b.delivered_date > h.rolled_out_until then 1 else 0 end as remains
    from by_delivery as b
    cross join horizons as h
),

remaining as (
    select
        shop_id,
        as_of_date,
        horizon_days,
        forecast_date,
        {%- for metric in metrics %}
        sum(remains * {{ metric }}) as {{ metric }},
        {%- endfor %}
        sum(remains * delivered_orders) as delivered_orders
    from by_horizon
    group by shop_id, as_of_date, horizon_days, forecast_date
),

remaining_by_metric as (
    {% for metric in metrics -%}
    select
        shop_id,
        as_of_date,
        horizon_days,
        forecast_date,
        '{{ metric }}' as metric,
        delivered_orders,
        {{ metric }} as orders
    from remaining
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

expected as (
    select
        r.shop_id,
        r.as_of_date,
        r.metric,
        r.horizon_days,
        r.forecast_date,
        cast(r.orders as bigint) as orders_if_nothing_new,
        r.orders + t.rate * t.delivered_orders * r.horizon_days / nullif(t.window_days, 0) as expected_orders,
        r.delivered_orders
        + cast(t.delivered_orders as double) * r.horizon_days / nullif(t.window_days, 0) as expected_delivered_orders,
        t.orders as orders_today,
        t.delivered_orders as delivered_orders_today,
        t.rate as rate_today,
        t.status as status_today,
        t.target as target_today
    from remaining_by_metric as r
    inner join today as t
        on r.shop_id = t.shop_id and r.metric = t.metric
),

rates as (
    select
        *,
        case
            when rate_today is not null then orders_if_nothing_new / nullif(expected_delivered_orders, 0)
        end as rate_if_nothing_new,
        expected_orders / nullif(expected_delivered_orders, 0) as expected_rate
    from expected
),

with_targets as (
    {{ join_targets("rates", "forecast_date") }}
),

statuses as (
    select
        *,
        {{ status_of("rate_if_nothing_new", "target", "at_risk_share") }} as status_if_nothing_new,
        {{ status_of("expected_rate", "target", "at_risk_share") }} as expected_status,
        {{ whole("target_today * 1000000") }} as millionths
    from with_targets
),

room as (
    select
        *,
        {{ whole_above("millionths * cast(delivered_orders_today as double) / 1000000") }} as orders_that_breach,
        {{ whole_below("orders_today * cast(1000000 as double) / nullif(millionths, 0)") }} as most_in_breach
    from statuses
),

final as (
    select
        shop_id,
        as_of_date,
        metric,
        cast(horizon_days as bigint) as horizon_days,
        forecast_date,
        orders_if_nothing_new,
        expected_orders,
        expected_delivered_orders,
        rate_if_nothing_new,
        expected_rate,
        target,
        status_if_nothing_new,
        expected_status,
        case
            when status_today in ('ok', 'at_risk', 'breach') then greatest(0, orders_that_breach - 1 - orders_today)
        end as orders_to_breach,
        case
            when status_today = 'breach' then most_in_breach + 1 - delivered_orders_today
            when status_today in ('ok', 'at_risk') then 0
        end as clean_orders_to_recover,
        min(
            case when status_today = 'breach' and rate_if_nothing_new < target then forecast_date end
        ) over (partition by shop_id, metric) as recovery_date
    from room
)

select * from final
