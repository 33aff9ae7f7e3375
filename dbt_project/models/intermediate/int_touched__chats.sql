-- grain: shop_id x from_date, the days on which chats that changed began; none in a full build
-- depends_on: {{ ref("stg_exports__chats") }}
{% if is_increment() %}
with changed as (
    {{ difference("stg_exports__chats", "shop_id, conversation_id, started_at, first_reply_at, initiated_by") }}
),

days as (
    select distinct
        shop_id,
        cast(started_at as date) as from_date
    from changed
)
{% else %}
with days as (
    select
        shop_id,
        cast(started_at as date) as from_date
    from {{ ref("stg_exports__chats") }}
    where false
)
{% endif %}
select * from days
