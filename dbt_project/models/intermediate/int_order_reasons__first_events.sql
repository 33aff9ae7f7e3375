-- grain: shop_id x order_id x metric x reason_code x fault, delivered orders
{{ config(materialized="view") }}

with first_events as (
    select
        shop_id,
        order_id,
        metric,
        reason_code,
        category,
        fault,
        counts_by_itself as is_counted,
        delivered_date,
        min(event_date) as first_event_date
    from {{ ref("int_feedback_events") }}
    where metric in ('nrr', 'sfrr') and is_negative and delivered_date is not null
    group by shop_id, order_id, metric, reason_code, category, fault, counts_by_itself, delivered_date
)

select * from first_events
