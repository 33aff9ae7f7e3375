-- grain: shop_id x product_key x metric_date, days with deliveries in the window
{% set key = ["shop_id", "product_key"] %}
{% set measures = {
    "delivered_orders": "delivered_date",
    "negative_review_orders": "first_negative_review_date",
    "seller_fault_return_orders": "first_seller_fault_return_date",
} %}

with {{ rolling_changes(ref("int_order_products__first_events"), key, measures) }},

{{ rolling_days(key, measures) }},

names as (
    select
        p.shop_id,
        p.product_key,
        l.product_name,
        row_number() over (
            partition by p.shop_id, p.product_key
            order by l.exported_at desc, l.file_id desc, l.row_number desc
        ) as version_rank
    from {{ ref("stg_exports__order_lines") }} as l
    inner join {{ ref("int_skus__products") }} as p
        on l.shop_id = p.shop_id and l.sku_id = p.sku_id
),

rates as (
    select
        r.shop_id,
        r.product_key,
        r.metric_date,
        n.product_name,
        r.delivered_orders,
        r.negative_review_orders,
        r.seller_fault_return_orders,
        {{ rate("r.negative_review_orders", "r.delivered_orders", "s.nrr_state") }} as nrr,
        {{ rate("r.seller_fault_return_orders", "r.delivered_orders", "s.sfrr_state") }} as sfrr
    from rolling as r
    inner join {{ ref("shop_metrics_daily") }} as s
        on r.shop_id = s.shop_id and r.metric_date = s.metric_date
    left join names as n
        on r.shop_id = n.shop_id and r.product_key = n.product_key and n.version_rank = 1
)

select * from rates
