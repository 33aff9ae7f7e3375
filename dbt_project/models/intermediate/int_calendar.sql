-- grain: calendar_date, from the first delivery to the as-of date and at least one window long
with digits as (
    {% for digit in range(10) -%}
    select {{ digit }} as digit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

numbers as (
    select a.digit + 10 * b.digit + 100 * c.digit + 1000 * d.digit as day_number
    from digits as a
    cross join digits as b
    cross join digits as c
    cross join digits as d
),

first_delivery as (
    select min(delivered_date) as delivered_date
    from {{ ref("stg_exports__order_lines") }}
),

days as (
    select
        n.day_number,
        {{ add_days("f.delivered_date", "n.day_number") }} as calendar_date
    from numbers as n
    cross join first_delivery as f
    cross join {{ ref("int_parameters") }} as p
    where
        {{ add_days("f.delivered_date", "n.day_number") }} <= p.as_of_date
        or n.day_number < p.window_days
)

select * from days
