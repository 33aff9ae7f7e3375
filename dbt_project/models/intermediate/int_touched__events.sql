-- grain: shop_id x event_id, events that changed or whose order or product did; none in a full build
-- depends_on: {{ ref("int_reviews__classified") }}, {{ ref("int_returns__classified") }}
-- depends_on: {{ ref("int_complaints__classified") }}, {{ ref("int_skus__products") }}
-- depends_on: {{ ref("int_touched__orders") }}
{% if is_increment() %}
with touched as (
    select
        shop_id,
        'review:' || review_id as event_id
    from {{ changes_of("int_reviews__classified") }}
    union
    select
        shop_id,
        {{ return_event_id() }} as event_id
    from {{ changes_of("int_returns__classified") }}
    union
    select
        shop_id,
        'complaint:' || complaint_id as event_id
    from {{ changes_of("int_complaints__classified") }}
    union
    select
        e.shop_id,
        e.event_id
    from {{ api.Relation.create(database=this.database, schema=this.schema, identifier="int_feedback_events") }} as e
    where
        e.order_key in (select order_key from {{ ref("int_touched__orders") }})
        or exists (
            select 1 from {{ changes_of("int_skus__products") }} as s
            where s.shop_id = e.shop_id and s.sku_id = e.sku_id
        )
)
{% else %}
with touched as (
    select
        cast(null as string) as shop_id,
        cast(null as string) as event_id
    from {{ ref("int_touched__orders") }}
    where false
)
{% endif %}
select * from touched
