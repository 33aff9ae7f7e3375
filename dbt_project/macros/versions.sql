{#- The latest version of every record, whole; only columns that its file's layout lacks keep the
    value of the latest version whose layout has them. -#}
{% macro latest_version(relation, key, columns, newest_first) -%}
{%- set lineage = ["_file_id", "_row_number", "_exported_at"] %}
with ranked as (
    select
        *,
        row_number() over (partition by {{ key | join(", ") }} order by {{ newest_first }}) as version_rank
    from {{ relation }}
),

latest as (
    select * from ranked where version_rank = 1
),

complete as (
    select {{ (key + columns + lineage) | join(", ") }}
    from latest
    where _missing_columns = ','
),

incomplete as (
    select {{ key | join(", ") }}
    from latest
    where _missing_columns <> ','
),

with_earlier_values as (
    select
        {%- for column in key + lineage %}
        ranked.{{ column }},
        {%- endfor %}
        {%- for column in columns %}
        first_value(ranked.{{ column }}) over (
            partition by {% for k in key %}ranked.{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}
            order by
                case when ranked._missing_columns like '%,{{ column }},%' then 1 else 0 end,
                ranked.version_rank
            rows between unbounded preceding and unbounded following
        ) as {{ column }},
        {%- endfor %}
        ranked.version_rank
    from ranked
    inner join incomplete
        on {% for k in key %}ranked.{{ k }} is not distinct from incomplete.{{ k }}{% if not loop.last %} and {% endif %}{% endfor %}
),

latest_version as (
    select * from complete
    union all
    select {{ (key + columns + lineage) | join(", ") }}
    from with_earlier_values
    where version_rank = 1
)
{%- endmacro %}
