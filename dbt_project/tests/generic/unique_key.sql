{#- The columns name each row once; a null is a value like any other. Rows are counted by a number
    that stands for their key, and by the key itself only where a number comes twice. In an
    increment only keys like those of the rows that it added can have become twice. -#}
{% test unique_key(model, columns) %}
    {%- set touched = touched_keys(model.identifier) if is_increment() %}
    {%- set scope %}
    {%- if touched %}
    {%- set added = "(select * from " ~ changes_relation(model.identifier) ~ " where is_added)" %}
    where
        {{ is_touched("m", added, touched.key) }}
        {%- if touched.from %}
        and m.{{ touched.from }} >= (select min({{ touched.from }}) from {{ added }})
        {%- endif %}
    {%- endif %}
    {%- endset %}
    with numbered as (
        select
            {{ columns | join(", ") }},
            {{ number_of(columns) }} as key_number
        from {{ model }} as m
        {{ scope }}
    ),

    repeated as (
        select key_number from numbered group by key_number having count(*) > 1
    )

    select {{ columns | join(", ") }}, count(*) as copies
    from numbered
    where key_number in (select key_number from repeated)
    group by {{ columns | join(", ") }}
    having count(*) > 1
{% endtest %}
