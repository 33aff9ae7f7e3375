{#- A bound of the Wilson score interval of a share, 95 %: `side` is - for the lower, + for the upper.
    Wilson, E. B. (1927), J. Am. Stat. Assoc. 22, 209-212; 1.959964 is the normal distribution's
    97.5 % point. The share itself where rounding would leave it outside; null where there are no trials. -#}
{% macro wilson_bound(successes, trials, side) -%}
    {%- set n = "cast(" ~ trials ~ " as double)" -%}
    {%- set z = "1.959964" -%}
    {%- set beyond = "least" if side == "-" else "greatest" -%}
    case
        when {{ trials }} > 0
            then {{ beyond }}({{ successes }} / nullif({{ n }}, 0), (
                {{ successes }} + {{ z }} * {{ z }} / 2
                {{ side }} {{ z }} * sqrt(
                    {{ successes }} * ({{ n }} - {{ successes }}) / nullif({{ n }}, 0) + {{ z }} * {{ z }} / 4
                )
            ) / nullif({{ n }} + {{ z }} * {{ z }}, 0))
    end
{%- endmacro %}
