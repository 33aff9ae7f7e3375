-- grain: shop_id x event_id, the events behind every figure
{% set touched = {"by": "int_touched__events", "key": ["shop_id", "event_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with events as (
    select
        event_id,
        shop_id,
        source,
        order_id,
        sku_id,
        coalesce(product_key, 'unattributed') as product_key,
        event_date,
        rating,
        reason_code,
        category,
        fault,
        is_negative,
        rule = 'counted' as is_counted,
        rule,
        text,
        unmapped_reason,
        unknown_status,
        file_id,
        row_number
    from {{ ref("int_feedback_events") }} as e
    where {{ in_scope("e", touched) }}
)

select * from events
