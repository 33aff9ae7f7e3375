-- grain: shop_id x order_id x product_key x metric x reason_code x is_counted, orders of the as-of date's window
{{ config(materialized="incremental") }}

with first_day as (
    select
        as_of_date,
        {{ add_days("as_of_date", "1 - window_days") }} as window_start
    from {{ ref("int_parameters") }}
),

affected as (
    select distinct
        e.shop_id,
        e.order_key,
        e.order_id,
        case when e.product_delivered_date is null then 'unattributed' else e.product_key end as product_key,
        e.metric,
        e.reason_code,
        e.counts_by_itself as is_counted,
        d.as_of_date
    from {{ ref("int_feedback_events") }} as e
    inner join first_day as d
        on
            coalesce(e.product_delivered_date, e.delivered_date) >= d.window_start
            and coalesce(e.product_delivered_date, e.delivered_date) <= d.as_of_date
            and e.event_date <= d.as_of_date
    where e.metric in ('nrr', 'sfrr') and e.is_negative
),

lines as (
    select
        l.shop_id,
        l.order_id,
        p.product_key,
        l.line_amount
    from {{ ref("stg_exports__order_lines") }} as l
    left join {{ ref("int_skus__products") }} as p
        on l.shop_id = p.shop_id and l.sku_id = p.sku_id
    where l.delivered_date is not null and l.order_key in (select affected.order_key from affected)
),

requests as (
    select
        r.shop_id,
        r.order_id,
        e.product_key,
        r.requested_amount,
        case when lower(r.compensation_status) like 'successful%' then r.compensation_amount end as compensation_amount
    from {{ ref("stg_exports__returns") }} as r
    inner join {{ ref("int_feedback_events") }} as e
        on r.shop_id = e.shop_id and e.event_id = {{ return_event_id("r") }}
    cross join first_day as d
    where
        r.order_id in (select affected.order_id from affected)
        and e.is_negative
        and e.event_date <= d.as_of_date
),

line_amounts as (
    select
        shop_id,
        order_id,
        product_key,
        line_amount as revenue,
        cast(null as decimal(18, 2)) as refunds,
        cast(null as decimal(18, 2)) as compensation
    from lines
    union all
    select
        shop_id,
        order_id,
        product_key,
        null as revenue,
        requested_amount as refunds,
        compensation_amount as compensation
    from requests
),

with_amounts as (
    select
        a.shop_id,
        a.order_id,
        a.product_key,
        a.metric,
        a.reason_code,
        a.is_counted,
        a.as_of_date,
        cast(coalesce(sum(m.revenue), 0) as decimal(38, 2)) as revenue,
        cast(coalesce(sum(m.refunds), 0) as decimal(38, 2)) as refunds,
        cast(coalesce(sum(m.compensation), 0) as decimal(38, 2)) as compensation
    from affected as a
    left join line_amounts as m
        on
            a.shop_id = m.shop_id
            and a.order_id = m.order_id
            and (a.product_key = m.product_key or a.product_key = 'unattributed')
    group by a.shop_id, a.order_id, a.product_key, a.metric, a.reason_code, a.is_counted, a.as_of_date
)

select * from with_amounts
