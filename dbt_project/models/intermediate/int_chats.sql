-- grain: shop_id x conversation_id, chats that the seller did not begin
{{ config(materialized="view") }}

with due as (
    select
        c.shop_id,
        c.conversation_id,
        c.started_at,
        greatest(c.started_at, c.first_reply_at) as replied_at,
        c.first_reply_at is not null as is_replied,
        {{ add_hours("c.started_at", "cast(s.value as integer)") }} as due_at
    from {{ ref("stg_exports__chats") }} as c
    inner join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'chat_reply_hours' and {{ in_force("s", "cast(c.started_at as date)") }}
    where coalesce(c.initiated_by, 'buyer') <> 'seller'
),

decided as (
    select
        d.shop_id,
        d.conversation_id,
        cast(d.started_at as date) as started_date,
        case when d.is_replied then cast(d.replied_at as date) end as replied_date,
        case
            when d.is_replied and d.replied_at <= d.due_at then cast(d.replied_at as date)
            when d.is_replied or d.due_at <= v.chats_exported_at then cast(d.due_at as date)
        end as decided_date,
        d.is_replied and d.replied_at <= d.due_at as is_replied_in_time,
        case when d.is_replied then {{ hours_between("d.started_at", "d.replied_at") }} end as reply_hours
    from due as d
    left join {{ ref("int_shops__coverage") }} as v
        on d.shop_id = v.shop_id
)

select * from decided
