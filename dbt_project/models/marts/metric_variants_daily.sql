-- grain: shop_id x metric_date x variant, the days of shop_metrics_daily on which the variant is in force
{% set touched = {"by": "int_touched__variant_days", "key": ["shop_id"], "from": "metric_date"} %}
{%- do ref(touched.by) if not execute %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with variants as (
    select
        v.variant,
        v.metric,
        case v.metric when 'sfrr' then 'sfrr' else 'nrr' end as event_metric,
        coalesce(v.window_days, p.window_days) as window_days,
        coalesce(v.denominator, 'delivered') as denominator,
        coalesce(v.anchor, 'cohort') as anchor,
        coalesce(v.rating, 'as_set') as rating,
        coalesce(v.rejected, 'as_set') as rejected,
        coalesce(v.empty_comments, 'as_set') as empty_comments,
        v.valid_from,
        v.valid_to
    from {{ ref("stg_settings__metric_variants") }} as v
    cross join {{ ref("int_parameters") }} as p
),

days as (
    select
        d.shop_id,
        d.metric_date,
        d.nrr_state,
        d.sfrr_state
    from {{ ref("shop_metrics_daily") }} as d
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on d.shop_id = k.shop_id and d.metric_date >= k.from_date
    {%- endif %}
),

shops as (
    select
        shop_id,
        min(metric_date) as from_date
    from days
    group by shop_id
),

{#- What is dated before this day is in no window that is computed. #}
reach as (
    select {{ add_days("min(s.from_date)", "1 - max(v.window_days)") }} as from_date
    from shops as s
    cross join variants as v
),

orders as (
    select
        o.shop_id,
        'delivered' as denominator,
        o.delivered_date as order_date,
        count(*) as orders
    from {{ ref("int_orders") }} as o
    where o.delivered_date >= (select reach.from_date from reach)
    group by o.shop_id, o.delivered_date
    union all
    select
        o.shop_id,
        'created' as denominator,
        o.created_date as order_date,
        count(*) as orders
    from {{ ref("int_orders") }} as o
    where o.created_date >= (select reach.from_date from reach)
    group by o.shop_id, o.created_date
),

in_denominator as (
    select
        o.shop_id,
        v.variant,
        v.valid_from,
        greatest(o.order_date, s.from_date) as first_day,
        {{ add_days("o.order_date", "v.window_days") }} as end_date,
        o.orders
    from orders as o
    inner join shops as s
        on o.shop_id = s.shop_id
    inner join variants as v
        on o.denominator = v.denominator
    where {{ add_days("o.order_date", "v.window_days") }} > s.from_date
),

events as (
    select e.*
    from {{ ref("int_feedback_events") }} as e
    where
        e.metric is not null
        and greatest(e.event_date, e.created_date, e.delivered_date) >= (select reach.from_date from reach)
        and e.shop_id in (select shops.shop_id from shops)
),

judged as (
    select
        e.shop_id,
        e.order_id,
        e.event_date,
        v.variant,
        v.valid_from,
        v.anchor,
        v.window_days,
        case v.denominator when 'created' then e.created_date else e.delivered_date end as order_date,
        case
            when e.metric = 'sfrr'
                then e.fault = 'seller' and case v.rejected
                    when 'in' then not e.is_voided_otherwise
                    when 'out' then e.is_negative and not e.is_rejected
                    else e.is_negative
                end
            when case v.rating
                when 'latest' then e.latest_rating
                when 'initial' then e.initial_rating
                else e.rating
            end > 2 then false
            when v.empty_comments = 'out' and e.text is null then false
            when v.metric = 'nrr_product' then e.category = 'product'
            when v.metric = 'nrr_service' then e.category = 'service'
            when v.metric = 'nrr_seller' and v.empty_comments = 'in' and e.reason_code = 'no_comment'
                then e.category in ('product', 'service', 'other')
            when v.metric = 'nrr_seller' then e.has_sellers_reason
            else true
        end as is_negative
    from events as e
    inner join variants as v
        on e.metric = v.event_metric
),

negative_days as (
    select distinct
        shop_id,
        order_id,
        variant,
        valid_from,
        anchor,
        window_days,
        order_date,
        greatest(event_date, order_date) as first_day
    from judged
    where is_negative and order_date is not null
),

{#- An order counts from each of its negative days to the next one or to the end of its window: of
    the window of its order day, or anchored by period of the negative day itself. #}
negative_orders as (
    select
        shop_id,
        variant,
        valid_from,
        first_day,
        least(
            {{ add_days("case anchor when 'period' then first_day else order_date end", "window_days") }},
            lead(first_day) over (
                partition by shop_id, order_id, variant, valid_from order by first_day nulls last
            )
        ) as end_date
    from negative_days
),

in_numerator as (
    select
        n.shop_id,
        n.variant,
        n.valid_from,
        greatest(n.first_day, s.from_date) as first_day,
        n.end_date,
        count(*) as orders
    from negative_orders as n
    inner join shops as s
        on n.shop_id = s.shop_id
    where n.end_date > greatest(n.first_day, s.from_date)
    group by n.shop_id, n.variant, n.valid_from, greatest(n.first_day, s.from_date), n.end_date
),

changes as (
    {% for relation in ["in_denominator", "in_numerator"] -%}
    {% set outer_loop = loop -%}
    {% for day, sign in [("first_day", ""), ("end_date", "-")] -%}
    select
        shop_id,
        variant,
        valid_from,
        {{ day }} as change_date,
        {{ sign ~ "orders" if relation == "in_numerator" else 0 }} as numerator,
        {{ sign ~ "orders" if relation == "in_denominator" else 0 }} as denominator
    from {{ relation }}
    {% if not (outer_loop.last and loop.last) %}union all{% endif %}
    {% endfor %}
    {%- endfor %}
),

changes_of_days as (
    select
        shop_id,
        variant,
        valid_from,
        change_date,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from changes
    group by shop_id, variant, valid_from, change_date
),

variant_days as (
    select
        d.shop_id,
        d.metric_date,
        case v.metric when 'sfrr' then d.sfrr_state else d.nrr_state end as state,
        v.variant,
        v.metric,
        v.valid_from,
        v.valid_to
    from days as d
    cross join variants as v
),

counts as (
    select
        d.shop_id,
        d.metric_date,
        d.state,
        d.variant,
        d.metric,
        d.valid_from,
        d.valid_to,
        {{ running_counts("c", ["numerator", "denominator"], "d.shop_id, d.variant, d.valid_from", "d.metric_date") }}
    from variant_days as d
    left join changes_of_days as c
        on
            d.shop_id = c.shop_id
            and d.variant = c.variant
            and d.valid_from = c.valid_from
            and d.metric_date = c.change_date
),

rates as (
    select
        c.shop_id,
        c.metric_date,
        c.metric,
        c.variant,
        c.numerator,
        c.denominator,
        {{ rate("c.numerator", "c.denominator", "c.state") }} as rate
    from counts as c
    where {{ in_force("c", "c.metric_date") }}
)

select * from rates
