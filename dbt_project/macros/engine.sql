{#- The one place for what DuckDB and Spark say differently. -#}

{% macro add_days(day, days) %}{{ return(adapter.dispatch("add_days")(day, days)) }}{% endmacro %}

{% macro default__add_days(day, days) -%}
    ({{ day }} + cast({{ days }} as integer))
{%- endmacro %}

{% macro spark__add_days(day, days) -%}
    date_add({{ day }}, cast({{ days }} as int))
{%- endmacro %}

{% macro days_between(from_day, to_day) %}{{ return(adapter.dispatch("days_between")(from_day, to_day)) }}{% endmacro %}

{% macro default__days_between(from_day, to_day) -%}
    ({{ to_day }} - {{ from_day }})
{%- endmacro %}

{% macro spark__days_between(from_day, to_day) -%}
    datediff({{ to_day }}, {{ from_day }})
{%- endmacro %}

{% macro fold_space(text) %}{{ return(adapter.dispatch("fold_space")(text)) }}{% endmacro %}

{#- Trimmed, inner white space folded to one space. -#}
{% macro default__fold_space(text) -%}
    trim(regexp_replace({{ text }}, '[\s\x{0b}\p{Z}\x{1c}-\x{1f}\x{85}\x{200b}]+', ' ', 'g'))
{%- endmacro %}

{% macro spark__fold_space(text) -%}
    trim(regexp_replace({{ text }}, '[\\s\\p{Z}\\x1c-\\x1f\\x85\\u200b]+', ' '))
{%- endmacro %}

{#- A number that stands for the columns' values: equal values have the same, other values nearly
    always another. Finding rows by it takes a fraction of what finding them by text does. -#}
{% macro number_of(columns) %}{{ return(adapter.dispatch("number_of")(columns)) }}{% endmacro %}

{% macro default__number_of(columns) -%}
    hash({{ columns | join(", ") }})
{%- endmacro %}

{% macro spark__number_of(columns) -%}
    xxhash64({{ columns | join(", ") }})
{%- endmacro %}
