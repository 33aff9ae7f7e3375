-- grain: shop_id x order_id, delivered orders with the first day of each kind of negative event
with first_events as (
    select
        shop_id,
        order_id,
        min(case when metric = 'nrr' then event_date end) as first_negative_review_date,
        min(case when is_sellers_part then event_date end) as first_seller_negative_review_date,
        min(
            case when metric = 'nrr' and category = 'product' then event_date end
        ) as first_product_negative_review_date,
        min(
            case when metric = 'nrr' and category = 'service' then event_date end
        ) as first_service_negative_review_date,
        min(case when metric = 'sfrr' then event_date end) as first_seller_fault_return_date
    from {{ ref("int_feedback_events") }}
    where counts_by_itself
    group by shop_id, order_id
),

orders as (
    select
        o.shop_id,
        o.order_id,
        o.delivered_date,
        f.first_negative_review_date,
        f.first_seller_negative_review_date,
        f.first_product_negative_review_date,
        f.first_service_negative_review_date,
        f.first_seller_fault_return_date
    from {{ ref("int_orders") }} as o
    left join first_events as f
        on o.shop_id = f.shop_id and o.order_id = f.order_id
    where o.delivered_date is not null
)

select * from orders
