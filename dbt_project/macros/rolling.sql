{#- The rolling window, once for every grain.

    An order counts in a figure from the later of its delivery and its first event to the last day
    of its window, both included: +1 on the first of these days and -1 on the day after the last,
    and nothing at all when the event comes after the window.

    `key` has the columns of the key and their expressions over the relation `o`. `counted` lists
    what is counted: [relation, {measure: day of the order's first event}], where the relation also
    has `delivered_date`, which itself is the day for deliveries.
    Yields the CTE `changes`: the key, `change_date` and for each measure a change of the count on
    that day; a day may have several.

    In an increment only the keys of the list `touched.by` change, from its `from_date` on: what
    counts on that day already stands in its change. Orders delivered a window earlier are out of
    every later window, so none before is read. -#}
{% macro rolling_changes(key, counted, touched) -%}
{%- set measures = [] -%}
{%- for relation, days in counted -%}{%- do measures.extend(days | list) -%}{%- endfor -%}
{%- if not execute -%}{%- do ref(touched.by) -%}{%- endif -%}
{%- for relation, days in counted %}
{%- set number = loop.index %}
daily_{{ number }} as (
    select
        {%- for column, expression in key.items() %}
        {{ expression }} as {{ column }},
        {%- endfor %}
        {%- if is_increment() %}
        k.from_date,
        {%- endif %}
        {%- for first_day in days.values() | reject("equalto", "delivered_date") %}
        o.{{ first_day }},
        {%- endfor %}
        o.delivered_date,
        {{ add_days("o.delivered_date", "max(p.window_days)") }} as window_end,
        count(*) as orders
    from {{ relation }} as o
    cross join {{ ref("int_parameters") }} as p
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on {% for column in touched.key %}o.{{ column }} = k.{{ column }} and {% endfor %}{{ add_days("o.delivered_date", "p.window_days") }} > k.from_date
    where o.delivered_date > (
        select {{ add_days("min(from_date)", "-max(w.window_days)") }}
        from {{ ref(touched.by) }}
        cross join {{ ref("int_parameters") }} as w
    )
    {%- else %}
    where o.delivered_date is not null
    {%- endif %}
    group by
        {% for expression in key.values() %}{{ expression }}, {% endfor %}
        {%- if is_increment() %}k.from_date, {% endif %}
        {%- for first_day in days.values() | reject("equalto", "delivered_date") %}o.{{ first_day }}, {% endfor %}
        {{- "o.delivered_date" }}
),

{% for measure, first_day in days.items() -%}
{{ measure }}_days as (
    select
        {{ key | join(", ") }},
        greatest(delivered_date, {{ first_day }}{% if is_increment() %}, from_date{% endif %}) as first_day,
        window_end,
        orders
    from daily_{{ number }}
    where {{ first_day }} < window_end
),

{% endfor %}
{%- endfor -%}

changes as (
    {%- for measure in measures %}
    {%- for day, sign in [("first_day", ""), ("window_end", "-")] %}
    select
        {{ key | join(", ") }},
        {{ day }} as change_date,
        {%- for other in measures %}
        {% if other == measure %}{{ sign }}orders{% else %}0{% endif %} as {{ other }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ measure }}_days
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)
{%- endmacro %}

{#- A key whose columns the counted relations have themselves. -#}
{% macro own_columns(names) -%}
    {%- set key = {} -%}
    {%- for name in names -%}{%- do key.update({name: "o." ~ name}) -%}{%- endfor -%}
    {{ return(key) }}
{%- endmacro %}

{#- The running sums of the changes, one column per measure; a day without change adds nothing. -#}
{% macro running_counts(relation, measures, partition, day) -%}
    {% for measure in measures -%}
    cast(sum(coalesce({{ relation }}.{{ measure }}, 0)) over (
        partition by {{ partition }} order by {{ day }} nulls last rows unbounded preceding
    ) as bigint) as {{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
{%- endmacro %}

{#- The counts of `changes` on every day on which the first measure is above zero, up to the as-of
    date. Yields the CTE `rolling`: the key, `metric_date` and the counts. A count stays the same
    until the next change, which is at most one window away; of several changes on a day only after
    the last, in whatever order, is there a day to stay. -#}
{% macro rolling_days(key, measures) -%}
counts as (
    select
        {{ key | join(", ") }},
        change_date,
        lead(change_date) over (partition by {{ key | join(", ") }} order by change_date nulls last) as next_change_date,
        {{ running_counts("changes", measures, key | join(", "), "change_date") }}
    from changes
),

rolling as (
    select
        {%- for column in key %}
        c.{{ column }},
        {%- endfor %}
        {{ add_days("c.change_date", "n.day_number") }} as metric_date,
        {%- for measure in measures %}
        c.{{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from counts as c
    inner join {{ ref("int_calendar") }} as n
        on n.day_number < {{ days_between("c.change_date", "c.next_change_date") }}
    cross join {{ ref("int_parameters") }} as p
    where
        c.{{ measures | first }} > 0
        and n.day_number < p.window_days
        and {{ add_days("c.change_date", "n.day_number") }} <= p.as_of_date
)
{%- endmacro %}

{#- A rate in 0..1, null where there is nothing to divide by or the data are not there yet. -#}
{% macro rate(numerator, denominator, state) -%}
    case
        when {{ state }} = 'ok' and {{ denominator }} > 0
            then cast({{ numerator }} as double) / {{ denominator }}
    end
{%- endmacro %}

{#- Whether the data of a dataset reach a day: `not_loaded` where the shop has never had a file of
    it, `stale` where the day lies after what it or the orders cover. -#}
{% macro metric_state(coverage, dataset_until, day) -%}
    case
        when {{ coverage }}.{{ dataset_until }} is null then 'not_loaded'
        when {{ day }} > least({{ coverage }}.orders_until, {{ coverage }}.{{ dataset_until }}) then 'stale'
        else 'ok'
    end
{%- endmacro %}
