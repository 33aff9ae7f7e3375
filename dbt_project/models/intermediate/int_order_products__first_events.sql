-- grain: shop_id x order_id x product_key, delivered ones with the first negative event on the product
with first_events as (
    select
        shop_id,
        order_id,
        product_key,
        min(case when metric = 'nrr' then event_date end) as first_negative_review_date,
        min(case when metric = 'sfrr' then event_date end) as first_seller_fault_return_date
    from {{ ref("int_feedback_events") }}
    where counts_by_itself and product_key is not null
    group by shop_id, order_id, product_key
),

order_products as (
    select
        o.shop_id,
        o.order_id,
        o.product_key,
        o.delivered_date,
        f.first_negative_review_date,
        f.first_seller_fault_return_date
    from {{ ref("int_order_products") }} as o
    left join first_events as f
        on o.shop_id = f.shop_id and o.order_id = f.order_id and o.product_key = f.product_key
    where o.delivered_date is not null
)

select * from order_products
