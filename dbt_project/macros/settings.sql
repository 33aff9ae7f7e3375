{#- A setting as it applies: the shop owner's own rows, and the bundled ones of all other keys.
    `key` are expressions over the setting's columns that name what a row is about. -#}
{% macro overlay_setting(name, columns, key) -%}
with own as (
    select {{ columns | join(", ") }} from {{ source("own_settings", name) }}
),

bundled as (
    select {{ columns | join(", ") }} from {{ ref(name) }}
),

bundled_kept as (
    select bundled.*
    from bundled
    where not exists (
        select 1 from own
        where
            {%- for expression in key %}
            {{ expression | replace("%", "own") }} = {{ expression | replace("%", "bundled") }}
            {%- if not loop.last %} and{% endif %}
            {%- endfor %}
    )
)

select * from own
union all
select * from bundled_kept
{%- endmacro %}

{#- True on the days on which a row of a setting is in force; `valid_to` is its last day. -#}
{% macro in_force(setting, day) -%}
    {{ day }} >= {{ setting }}.valid_from
    and ({{ setting }}.valid_to is null or {{ day }} <= {{ setting }}.valid_to)
{%- endmacro %}

{#- Reason and status texts are compared without case, extra space and kinds of apostrophes. -#}
{% macro fold_text(text) -%}
    {{ fold_space("lower(translate(" ~ text ~ ", '’‘‛ʼ′＇´`', ''''''''''''''''''))") }}
{%- endmacro %}
