{#- The event_id of a request line, from its key. -#}
{% macro return_event_id() -%}
    'return:' || return_order_id || ':' || order_id || ':' || coalesce(sku_id, '')
{%- endmacro %}
