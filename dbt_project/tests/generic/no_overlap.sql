{#- Of the rows with the same key at most one is in force on any day. -#}
{% test no_overlap(model, key) %}
    with following as (
        select
            {{ key | join(", ") }},
            valid_from,
            valid_to,
            lead(valid_from) over (partition by {{ key | join(", ") }} order by valid_from nulls last) as next_valid_from
        from {{ model }}
    )

    select *
    from following
    where next_valid_from is not null and (valid_to is null or valid_to >= next_valid_from)
{% endtest %}
