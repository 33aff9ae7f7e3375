-- grain: shop_id x order_id x product_key, delivered ones with an event on the product that counts by itself
{{ config(materialized="view") }}

with first_events as (
    select
        shop_id,
        order_id,
        product_key,
        product_delivered_date as delivered_date,
        min(case when metric = 'nrr' then event_date end) as first_negative_review_date,
        min(case when metric = 'sfrr' then event_date end) as first_seller_fault_return_date
    from {{ ref("int_feedback_events") }}
    where metric in ('nrr', 'sfrr') and counts_by_itself and product_delivered_date is not null
    group by shop_id, order_id, product_key, product_delivered_date
)

select * from first_events
