{#- The event_id of a request line, from its key; `of` is the relation's alias where one is needed. -#}
{% macro return_event_id(of=none) -%}
    {%- set prefix = of ~ "." if of else "" -%}
    'return:' || {{ prefix }}return_order_id || ':' || {{ prefix }}order_id || ':' || coalesce({{ prefix }}sku_id, '')
{%- endmacro %}
