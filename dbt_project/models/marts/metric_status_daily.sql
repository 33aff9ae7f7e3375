-- grain: shop_id x metric_date x metric
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{%- do ref(touched.by) if not execute %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with days as (
    select d.*
    from {{ ref("shop_metrics_daily") }} as d
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on d.shop_id = k.shop_id and d.metric_date >= k.from_date
    {%- endif %}
),

figures as (
    {% for name, metric in shop_metrics().items() -%}
    select
        shop_id,
        metric_date,
        '{{ name }}' as metric,
        {{ metric.event }}_orders as orders,
        delivered_orders,
        {{ name }} as rate,
        false as higher_is_better,
        {{ metric.state }} as state
    from days
    {% if metric.optional %}where {{ metric.state }} <> 'not_loaded'{% endif %}
    union all
    {% endfor -%}
    select
        shop_id,
        metric_date,
        'chat_reply_rate' as metric,
        chats_replied_in_time as orders,
        chats as delivered_orders,
        chat_reply_rate as rate,
        true as higher_is_better,
        chat_state as state
    from days
    where chat_state <> 'not_loaded'
),

with_targets as (
    {{ join_targets("figures", "metric_date") }}
),

statuses as (
    select
        *,
        {{ status_of("rate", "target", "at_risk_share", "higher_is_better") }} as status
    from with_targets
),

runs as (
    select
        *,
        {{ add_days("max(case when status <> 'breach' then metric_date end) over before", "1") }} as after_other_status,
        min(metric_date) over before as first_date
    from statuses
    window before as (
        partition by shop_id, metric order by metric_date nulls last rows unbounded preceding
    )
),

{%- if is_increment() %}

breaches_before as (
    select
        d.shop_id,
        d.metric,
        d.breach_since
    from {{ this }} as d
    inner join {{ ref(touched.by) }} as k
        on d.shop_id = k.shop_id and d.metric_date = {{ add_days("k.from_date", "-1") }}
),
{%- endif %}

with_breaches as (
    select
        r.*,
        case
            when r.status = 'breach'
                then coalesce(r.after_other_status, {% if is_increment() %}b.breach_since, {% endif %}r.first_date)
        end as breach_since
    from runs as r
    {%- if is_increment() %}
    left join breaches_before as b
        on r.shop_id = b.shop_id and r.metric = b.metric
    {%- endif %}
),

final as (
    select
        shop_id,
        metric_date,
        metric,
        orders,
        delivered_orders,
        rate,
        target,
        status,
        target_confidence,
        case when rate is not null then {{ wilson_bound("orders", "delivered_orders", "-") }} end as rate_low,
        case when rate is not null then {{ wilson_bound("orders", "delivered_orders", "+") }} end as rate_high,
        coalesce(delivered_orders >= min_delivered_orders, false) as is_reliable,
        breach_since,
        cast({{ days_between("breach_since", "metric_date") }} + 1 as bigint) as days_in_breach,
        higher_is_better,
        state
    from with_breaches
)

select * from final
