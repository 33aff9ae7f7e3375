-- grain: shop_id x order_id; delivered_date is null while no line of it is delivered
with orders as (
    select
        shop_id,
        order_id,
        min(delivered_date) as delivered_date,
        case when count(*) = 1 then min(product_key) end as only_product_key
    from {{ ref("int_order_products") }}
    group by shop_id, order_id
)

select * from orders
