-- grain: shop_id x order_id, delivered orders with an event that counts by itself
{{ config(materialized="view") }}

with first_events as (
    select
        shop_id,
        order_id,
        delivered_date,
        min(case when metric = 'nrr' then event_date end) as first_negative_review_date,
        min(case when is_sellers_part then event_date end) as first_seller_negative_review_date,
        min(
            case when metric = 'nrr' and category = 'product' then event_date end
        ) as first_product_negative_review_date,
        min(
            case when metric = 'nrr' and category = 'service' then event_date end
        ) as first_service_negative_review_date,
        min(case when metric = 'sfrr' then event_date end) as first_seller_fault_return_date,
        min(case when metric = 'complaint_rate' then event_date end) as first_complaint_date,
        min(event_date) as first_negative_feedback_date,
        min(case when category = 'product' then event_date end) as first_product_negative_feedback_date,
        min(case when category = 'service' then event_date end) as first_service_negative_feedback_date
    from {{ ref("int_feedback_events") }}
    where counts_by_itself and delivered_date is not null
    group by shop_id, order_id, delivered_date
)

select * from first_events
