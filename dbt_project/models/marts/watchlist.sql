-- grain: shop_id x product_key x metric, products that need action in the window that ends on the as-of date
{{ config(materialized="incremental") }}

with parameters as (
    select
        p.as_of_date,
        cast(s.value as bigint) as min_orders
    from {{ ref("int_parameters") }} as p
    inner join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'watchlist_min_orders' and {{ in_force("s", "p.as_of_date") }}
),

product_days as (
    {% for metric, numerator in {"nrr": "negative_review_orders", "sfrr": "seller_fault_return_orders"}.items() -%}
    select
        d.shop_id,
        d.product_key,
        d.product_name,
        d.metric_date,
        '{{ metric }}' as metric,
        d.{{ numerator }} as orders,
        d.delivered_orders,
        d.{{ metric }} as rate
    from {{ ref("product_metrics_daily") }} as d
    inner join parameters as p
        on d.metric_date = p.as_of_date or d.metric_date = {{ add_days("p.as_of_date", "-7") }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

with_intervals as (
    select
        *,
        {{ wilson_bound("orders", "delivered_orders", "-") }} as rate_low,
        {{ wilson_bound("orders", "delivered_orders", "+") }} as rate_high
    from product_days
),

-- where a region has targets for parts of the NRR only, the strictest of them
limits as (
    select
        d.shop_id,
        case when d.metric = 'sfrr' then 'sfrr' else 'nrr' end as metric,
        min(d.target) as target,
        min(case when d.metric in ('nrr', 'sfrr') then d.rate end) as shop_rate
    from {{ ref("metric_status_daily") }} as d
    inner join parameters as p
        on d.metric_date = p.as_of_date
    where d.metric in ({{ review_metrics() }}, 'sfrr')
    group by d.shop_id, case when d.metric = 'sfrr' then 'sfrr' else 'nrr' end
),

watched as (
    select
        t.shop_id,
        p.as_of_date,
        t.product_key,
        t.product_name,
        t.metric,
        t.orders,
        t.delivered_orders,
        t.rate,
        t.rate - w.rate as rate_change,
        coalesce(l.target, l.shop_rate) as threshold,
        t.orders - coalesce(l.target, l.shop_rate) * t.delivered_orders as excess_orders,
        t.rate_low,
        t.rate_high
    from with_intervals as t
    inner join parameters as p
        on t.metric_date = p.as_of_date and t.orders >= p.min_orders
    inner join limits as l
        on t.shop_id = l.shop_id and t.metric = l.metric
    left join product_days as w
        on
            t.shop_id = w.shop_id
            and t.product_key = w.product_key
            and t.metric = w.metric
            and w.metric_date = {{ add_days("p.as_of_date", "-7") }}
    where
        t.rate >= l.target
        -- without a target: surely worse than the shop as a whole
        or (
            l.target is null
            and t.rate is not null
            and t.rate_low > l.shop_rate
        )
),

reasons as (
    select
        r.shop_id,
        r.product_key,
        r.metric,
        r.reason_code,
        r.orders,
        row_number() over (
            partition by r.shop_id, r.product_key, r.metric
            order by r.orders desc nulls last, r.reason_code asc nulls last
        ) as rank
    from {{ ref("product_reason_metrics_daily") }} as r
    inner join parameters as p
        on r.metric_date = p.as_of_date
    where r.is_counted
),

affected as (
    select distinct
        shop_id,
        order_id,
        product_key,
        metric,
        revenue,
        refunds - compensation as net_refunds
    from {{ ref("int_feedback_orders__amounts") }}
    where is_counted
),

costs as (
    select
        a.shop_id,
        a.product_key,
        a.metric,
        s.currency,
        cast(sum(a.revenue) as decimal(38, 2)) as revenue,
        cast(sum(a.net_refunds) as decimal(38, 2)) as net_refunds
    from affected as a
    inner join {{ source("raw", "shops") }} as s
        on a.shop_id = s.shop_id
    group by a.shop_id, a.product_key, a.metric, s.currency
),

final as (
    select
        w.shop_id,
        w.as_of_date,
        cast(row_number() over (
            partition by w.shop_id
            order by w.excess_orders desc nulls last, w.product_key asc nulls last, w.metric asc nulls last
        ) as bigint) as rank,
        w.product_key,
        w.product_name,
        w.metric,
        w.orders,
        w.delivered_orders,
        w.rate,
        w.threshold,
        w.excess_orders,
        w.rate_change,
        r.reason_code as top_reason,
        r.orders as top_reason_orders,
        a.area as advice_area,
        a.advice,
        s.steps as platform_steps,
        c.currency,
        c.revenue,
        c.net_refunds,
        w.rate_low,
        w.rate_high
    from watched as w
    left join reasons as r
        on w.shop_id = r.shop_id and w.product_key = r.product_key and w.metric = r.metric and r.rank = 1
    left join {{ ref("stg_settings__reason_advice") }} as a
        on r.reason_code = a.reason_code and {{ in_force("a", "w.as_of_date") }}
    left join {{ ref("stg_settings__reasons") }} as g
        on r.reason_code = g.reason_code and {{ in_force("g", "w.as_of_date") }}
    left join {{ ref("stg_settings__platform_steps") }} as s
        on g.category = s.category and {{ in_force("s", "w.as_of_date") }}
    left join costs as c
        on w.shop_id = c.shop_id and w.product_key = c.product_key and w.metric = c.metric
)

select * from final
