-- grain: shop_id x product_key x metric x reason_code x is_counted, window that ends on the as-of date
{{ config(materialized="incremental") }}

with costs as (
    select
        shop_id,
        as_of_date,
        product_key,
        metric,
        reason_code,
        is_counted,
        count(*) as orders,
        cast(sum(revenue) as decimal(38, 2)) as revenue,
        cast(sum(refunds) as decimal(38, 2)) as refunds,
        cast(sum(compensation) as decimal(38, 2)) as compensation
    from {{ ref("int_feedback_orders__amounts") }}
    group by shop_id, as_of_date, product_key, metric, reason_code, is_counted
),

final as (
    select
        c.shop_id,
        c.as_of_date,
        c.product_key,
        n.product_name,
        c.metric,
        c.reason_code,
        c.is_counted,
        c.orders,
        s.currency,
        c.revenue,
        c.refunds,
        c.compensation,
        cast(c.refunds - c.compensation as decimal(38, 2)) as net_refunds
    from costs as c
    inner join {{ source("raw", "shops") }} as s
        on c.shop_id = s.shop_id
    left join {{ ref("int_products__names") }} as n
        on c.shop_id = n.shop_id and c.product_key = n.product_key
)

select * from final
