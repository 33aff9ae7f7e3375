-- grain: shop_id x metric_date, days in whose window a chat is decided
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{%- do ref(touched.by) if not execute %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with decided as (
    select
        c.*,
        {% if is_increment() %}greatest(c.decided_date, k.from_date){% else %}c.decided_date{% endif %} as first_day
    from {{ ref("int_chats") }} as c
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on c.shop_id = k.shop_id
    {%- endif %}
    where c.decided_date is not null
),

chat_days as (
    select
        d.shop_id,
        {{ add_days("d.started_date", "n.day_number") }} as metric_date,
        d.replied_date,
        d.is_replied_in_time,
        d.reply_hours
    from decided as d
    cross join {{ ref("int_parameters") }} as p
    inner join {{ ref("int_calendar") }} as n
        on p.window_days > n.day_number
    where
        {{ add_days("d.started_date", "p.window_days") }} > d.first_day
        and {{ add_days("d.started_date", "n.day_number") }} >= d.first_day
        and {{ add_days("d.started_date", "n.day_number") }} <= p.as_of_date
),

replies as (
    select
        shop_id,
        metric_date,
        is_replied_in_time,
        case when replied_date <= metric_date then reply_hours end as reply_hours
    from chat_days
),

ranked as (
    select
        shop_id,
        metric_date,
        is_replied_in_time,
        reply_hours,
        row_number() over (partition by shop_id, metric_date order by reply_hours asc nulls last) as reply_rank,
        count(reply_hours) over (partition by shop_id, metric_date) as reply_count
    from replies
),

-- The median is the middle reply time, or the mean of the middle two; the 90th percentile is the
-- shortest time within which 90 % of the replies came.
daily as (
    select
        shop_id,
        metric_date,
        count(*) as chats,
        count(case when is_replied_in_time then 1 end) as chats_replied_in_time,
        (
            min(case when 2 * reply_rank >= reply_count then reply_hours end)
            + max(case when 2 * reply_rank <= reply_count + 2 then reply_hours end)
        ) / 2 as median_reply_hours,
        min(case when 10 * reply_rank >= 9 * reply_count then reply_hours end) as p90_reply_hours
    from ranked
    group by shop_id, metric_date
)

select * from daily
