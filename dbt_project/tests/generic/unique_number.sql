{#- No two rows have the same number, so that it can stand for their columns. -#}
{% test unique_number(model, columns) %}
    select
        {{ number_of(columns) }} as number,
        count(*) as copies
    from {{ model }}
    group by 1
    having count(*) > 1
{% endtest %}
