-- grain: shop_id x order_id x metric x reason_code x fault, delivered orders
with first_events as (
    select
        e.shop_id,
        e.order_id,
        e.metric,
        e.reason_code,
        e.category,
        e.fault,
        e.counts_by_itself as is_counted,
        o.delivered_date,
        min(e.event_date) as first_event_date
    from {{ ref("int_feedback_events") }} as e
    inner join {{ ref("int_orders") }} as o
        on e.shop_id = o.shop_id and e.order_id = o.order_id
    where e.metric is not null and e.is_negative and o.delivered_date is not null
    group by
        e.shop_id, e.order_id, e.metric, e.reason_code, e.category, e.fault, e.counts_by_itself, o.delivered_date
)

select * from first_events
