{% macro generate_schema_name(custom_schema_name, node) %}
    {#- Layers are schemas of their own name, whatever the target. -#}
    {{ custom_schema_name or target.schema }}
{% endmacro %}
