-- grain: shop_id x event_id, the events behind every figure
{% set touched = {"by": "int_touched__events", "key": ["shop_id", "event_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with events as (
    select
        e.event_id,
        e.shop_id,
        e.source,
        e.order_id,
        e.sku_id,
        coalesce(e.product_key, 'unattributed') as product_key,
        e.event_date,
        e.rating,
        e.reason_code,
        e.category,
        e.fault,
        e.is_negative,
        e.rule = 'counted' as is_counted,
        e.rule,
        e.text,
        e.unmapped_reason,
        e.unknown_status,
        e.file_id,
        e.row_number,
        e.complaint_type,
        e.reason_rule,
        e.delivered_date,
        e.product_delivered_date,
        e.is_sellers_part
    from {{ ref("int_feedback_events") }} as e
    where {{ in_scope("e", touched) }}
)

select * from events
