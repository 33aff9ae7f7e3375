-- grain: shop_id x order_id x product_key x metric x reason_code x is_counted, delivered products
{{ config(materialized="view") }}

with first_events as (
    select
        shop_id,
        order_id,
        product_key,
        metric,
        reason_code,
        counts_by_itself as is_counted,
        product_delivered_date as delivered_date,
        min(event_date) as first_event_date
    from {{ ref("int_feedback_events") }}
    where metric in ('nrr', 'sfrr') and is_negative and product_delivered_date is not null
    group by
        shop_id, order_id, product_key, metric, reason_code, counts_by_itself, product_delivered_date
)

select * from first_events
