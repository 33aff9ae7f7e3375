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

{% macro add_hours(moment, hours) %}{{ return(adapter.dispatch("add_hours")(moment, hours)) }}{% endmacro %}

{% macro default__add_hours(moment, hours) -%}
    ({{ moment }} + to_hours({{ hours }}))
{%- endmacro %}

{% macro spark__add_hours(moment, hours) -%}
    timestampadd(hour, {{ hours }}, {{ moment }})
{%- endmacro %}

{#- Hours from one moment to another, with their fraction, exact to the microsecond. -#}
{% macro hours_between(from_moment, to_moment) %}{{ return(adapter.dispatch("hours_between")(from_moment, to_moment)) }}{% endmacro %}

{% macro default__hours_between(from_moment, to_moment) -%}
    ((epoch_us({{ to_moment }}) - epoch_us({{ from_moment }})) / 3600000000e0)
{%- endmacro %}

{% macro spark__hours_between(from_moment, to_moment) -%}
    ((unix_micros({{ to_moment }}) - unix_micros({{ from_moment }})) / 3600000000e0)
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

{#- A fraction made whole: the nearest number, the next above, the next below. -#}
{% macro whole(number) %}{{ return(adapter.dispatch("whole")(number)) }}{% endmacro %}

{% macro default__whole(number) -%}
    cast(round({{ number }}) as bigint)
{%- endmacro %}

{% macro spark__whole(number) -%}
    cast(round({{ number }}) as bigint)
{%- endmacro %}

{% macro whole_above(number) %}{{ return(adapter.dispatch("whole_above")(number)) }}{% endmacro %}

{% macro default__whole_above(number) -%}
    cast(ceil({{ number }}) as bigint)
{%- endmacro %}

{% macro spark__whole_above(number) -%}
    ceil({{ number }})
{%- endmacro %}

{% macro whole_below(number) %}{{ return(adapter.dispatch("whole_below")(number)) }}{% endmacro %}

{% macro default__whole_below(number) -%}
    cast(floor({{ number }}) as bigint)
{%- endmacro %}

{% macro spark__whole_below(number) -%}
    floor({{ number }})
{%- endmacro %}
