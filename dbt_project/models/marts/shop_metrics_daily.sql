-- grain: shop_id x metric_date, from the shop's first delivery to the as-of date
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set negatives = negative_orders() %}
{% set counted = [
    (ref("int_orders"), {"delivered_orders": "delivered_date"}),
    (ref("int_orders__first_events"), negatives),
] %}
{% set measures = ["delivered_orders"] + (negatives | list) %}

with {{ rolling_changes(own_columns(["shop_id"]), counted, touched) }},

changes_of_days as (
    select
        shop_id,
        change_date,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from changes
    group by shop_id, change_date
),

first_deliveries as (
    select
        shop_id,
        min(delivered_date) as delivered_date
    from {{ ref("int_orders") }}
    group by shop_id
),

shop_days as (
    select
        f.shop_id,
        c.calendar_date as metric_date
    from first_deliveries as f
    inner join {{ ref("int_calendar") }} as c
        on f.delivered_date <= c.calendar_date
    cross join {{ ref("int_parameters") }} as p
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on f.shop_id = k.shop_id and c.calendar_date >= k.from_date
    {%- endif %}
    where c.calendar_date <= p.as_of_date
),

counts as (
    select
        d.shop_id,
        d.metric_date,
        {{ running_counts("c", measures, "d.shop_id", "d.metric_date") }}
    from shop_days as d
    left join changes_of_days as c
        on d.shop_id = c.shop_id and d.metric_date = c.change_date
),

states as (
    select
        c.*,
        {{ metric_state("v", "reviews_until", "c.metric_date") }} as nrr_state,
        {{ metric_state("v", "returns_until", "c.metric_date") }} as sfrr_state,
        {{ metric_state("v", "complaints_until", "c.metric_date") }} as complaint_state,
        case
            when v.reviews_until is null or v.returns_until is null then 'not_loaded'
            when c.metric_date > least(v.orders_until, v.reviews_until, v.returns_until, v.complaints_until)
                then 'stale'
            else 'ok'
        end as negative_feedback_state,
        coalesce(t.chats, 0) as chats,
        coalesce(t.chats_replied_in_time, 0) as chats_replied_in_time,
        t.median_reply_hours,
        t.p90_reply_hours,
        case
            when v.chats_until is null then 'not_loaded'
            when c.metric_date > v.chats_until then 'stale'
            else 'ok'
        end as chat_state
    from counts as c
    left join {{ ref("int_shop_days__chats") }} as t
        on c.shop_id = t.shop_id and c.metric_date = t.metric_date
    left join {{ ref("int_shops__coverage") }} as v
        on c.shop_id = v.shop_id
),

rates as (
    select
        shop_id,
        metric_date,
        delivered_orders,
        negative_review_orders,
        seller_negative_review_orders,
        product_negative_review_orders,
        service_negative_review_orders,
        seller_fault_return_orders,
        {{ rate("negative_review_orders", "delivered_orders", "nrr_state") }} as nrr,
        {{ rate("seller_negative_review_orders", "delivered_orders", "nrr_state") }} as nrr_seller,
        {{ rate("product_negative_review_orders", "delivered_orders", "nrr_state") }} as nrr_product,
        {{ rate("service_negative_review_orders", "delivered_orders", "nrr_state") }} as nrr_service,
        {{ rate("seller_fault_return_orders", "delivered_orders", "sfrr_state") }} as sfrr,
        nrr_state,
        sfrr_state,
        complaint_orders,
        negative_feedback_orders,
        product_negative_feedback_orders,
        service_negative_feedback_orders,
        {{ rate("complaint_orders", "delivered_orders", "complaint_state") }} as complaint_rate,
        {{ rate("negative_feedback_orders", "delivered_orders", "negative_feedback_state") }} as negative_feedback_rate,
        {{ rate("product_negative_feedback_orders", "delivered_orders", "negative_feedback_state") }}
            as product_negative_feedback_rate,
        {{ rate("service_negative_feedback_orders", "delivered_orders", "negative_feedback_state") }}
            as service_negative_feedback_rate,
        complaint_state,
        negative_feedback_state,
        chats,
        chats_replied_in_time,
        {{ rate("chats_replied_in_time", "chats", "chat_state") }} as chat_reply_rate,
        case when chat_state = 'ok' then median_reply_hours end as median_reply_hours,
        case when chat_state = 'ok' then p90_reply_hours end as p90_reply_hours,
        chat_state
    from states
)

select * from rates
