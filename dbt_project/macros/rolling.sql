{#- The rolling window, once for every grain.

    An order counts in a figure from the later of its delivery and its first event to the last day
    of its window, both included: +1 on the first of these days and -1 on the day after the last,
    and nothing at all when the event comes after the window.

    `orders` is a relation with the key columns, `delivered_date` and, for each measure, the column
    named in `measures` with the day of the order's first event (null = none; `delivered_date`
    itself counts deliveries). Yields the CTE `changes`: the key, `change_date` and for each measure
    the change of the count on that day. -#}
{% macro rolling_changes(orders, key, measures) -%}
spans as (
    select
        {%- for column in key %}
        o.{{ column }},
        {%- endfor %}
        {%- for measure, first_day in measures.items() %}
        case
            when o.{{ first_day }} < {{ add_days("o.delivered_date", "p.window_days") }}
                then greatest(o.delivered_date, o.{{ first_day }})
        end as {{ measure }}_from,
        {%- endfor %}
        {{ add_days("o.delivered_date", "p.window_days") }} as window_end
    from {{ orders }} as o
    cross join {{ ref("int_parameters") }} as p
    where o.delivered_date is not null
),

steps as (
    select
        {{ key | join(", ") }},
        window_end as change_date,
        {%- for measure in measures %}
        -count({{ measure }}_from) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from spans
    group by {{ key | join(", ") }}, window_end
    {%- for measure in measures %}
    union all
    select
        {{ key | join(", ") }},
        {{ measure }}_from,
        {%- for other in measures %}
        {% if other == measure %}count(*){% else %}0{% endif %}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from spans
    where {{ measure }}_from is not null
    group by {{ key | join(", ") }}, {{ measure }}_from
    {%- endfor %}
),

changes as (
    select
        {{ key | join(", ") }},
        change_date,
        {%- for measure in measures %}
        cast(sum({{ measure }}) as bigint) as {{ measure }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from steps
    group by {{ key | join(", ") }}, change_date
)
{%- endmacro %}

{#- The running sums of the changes, one column per measure; a day without change adds nothing. -#}
{% macro running_counts(relation, measures, partition, day) -%}
    {% for measure in measures -%}
    cast(sum(coalesce({{ relation }}.{{ measure }}, 0)) over (
        partition by {{ partition }} order by {{ day }} rows unbounded preceding
    ) as bigint) as {{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
{%- endmacro %}

{#- The counts of `changes` on every day on which the first measure is above zero, up to the as-of
    date. Yields the CTE `rolling`: the key, `metric_date` and the counts. A count stays the same
    until the next change, which is at most one window away. -#}
{% macro rolling_days(key, measures) -%}
counts as (
    select
        {{ key | join(", ") }},
        change_date,
        lead(change_date) over (partition by {{ key | join(", ") }} order by change_date) as next_change_date,
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
