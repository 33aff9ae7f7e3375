-- grain: one row, what this publication is computed for
with latest_events as (
    select greatest(max(cast(created_at as date)), max(delivered_date), max(cancelled_date)) as event_date
    from {{ ref("stg_exports__order_lines") }}
    union all
    select greatest(max(review_date), max(updated_date)) from {{ ref("stg_exports__reviews") }}
    union all
    select greatest(max(request_date), max(refund_date)) from {{ ref("stg_exports__returns") }}
    union all
    select greatest(max(complaint_date), max(resolved_date)) from {{ ref("stg_exports__complaints") }}
    union all
    select cast(greatest(max(started_at), max(first_reply_at)) as date) from {{ ref("stg_exports__chats") }}
),

as_of as (
    select coalesce(max(r.as_of), max(e.event_date)) as as_of_date
    from latest_events as e
    cross join {{ source("raw", "run") }} as r
),

windows as (
    select
        a.as_of_date,
        cast(s.value as integer) as window_days
    from as_of as a
    inner join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'window_days' and {{ in_force("s", "a.as_of_date") }}
)

select * from windows
