-- grain: shop_id x order_id x product_key x metric x reason_code x is_counted, delivered products
with first_events as (
    select
        e.shop_id,
        e.order_id,
        e.product_key,
        e.metric,
        e.reason_code,
        e.counts_by_itself as is_counted,
        o.delivered_date,
        min(e.event_date) as first_event_date
    from {{ ref("int_feedback_events") }} as e
    inner join {{ ref("int_order_products") }} as o
        on e.shop_id = o.shop_id and e.order_id = o.order_id and e.product_key = o.product_key
    where e.metric is not null and e.is_negative and o.delivered_date is not null
    group by
        e.shop_id, e.order_id, e.product_key, e.metric, e.reason_code, e.counts_by_itself, o.delivered_date
)

select * from first_events
