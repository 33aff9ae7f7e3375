{#- The latest version of every record, whole; only columns that its file's layout lacks keep the
    value of the latest version whose layout has them.

    `columns` are what is kept of a record: the name, and the raw column or [raw column, expression].
    `own` are expressions that belong to a version and are never taken from an earlier one. The
    model's rows have all of these, the key and their lineage.

    In a full build most records have one version only; they pass by what ranks the others.

    In an increment the row that the model has of a touched record stands for all versions that were
    known; where it cannot (`raw.reread`), they are read again. -#}
{% macro latest_version(dataset, key, columns, newest_first, touched, own={}) -%}
{%- set lineage = {
    "file_id": "_file_id", "row_number": "_row_number", "exported_at": "_exported_at",
    "missing_columns": "_missing_columns",
} %}
{%- set names = key + (columns | list) + (own | list) + (lineage | list) %}
{%- set record = [] %}
{%- for column in key %}{%- do record.append("v." ~ column) %}{%- endfor %}
with {% if not is_increment() -%}
repeated as (
    select record
    from (select {{ number_of(record) }} as record from {{ source("raw", dataset) }} as v) as numbered
    group by record
    having count(*) > 1
),

single_versions as (
    {{ _raw_versions(key, columns, own, lineage) }}
    from {{ source("raw", dataset) }} as v
    where {{ number_of(record) }} not in (select record from repeated)
),

{% endif -%}
versions as (
    {{ _raw_versions(key, columns, own, lineage) }}
    {%- if is_increment() %}
    from {{ source("raw_changed", dataset) }} as v
    where not v._is_gone and not {{ is_reread(dataset, "v") }}
    union all
    select
        {{ names | join(",\n        ") }},
        ',' as lacking
    from {{ this }} as v
    where {{ is_touched("v", touched_relation(touched.by), touched.key) }} and not {{ is_reread(dataset, "v") }}
    {%- if has_reread(dataset) %}
    union all
    {{ _raw_versions(key, columns, own, lineage) }}
    from {{ source("raw", dataset) }} as v
    where
        {{ is_reread(dataset, "v") }}
        and {{ is_touched("v", touched_relation(touched.by), touched.key, own) }}
    {%- endif %}
    {%- else %}
    from {{ source("raw", dataset) }} as v
    where {{ number_of(record) }} in (select record from repeated)
    {%- endif %}
),

ranked as (
    select
        *,
        row_number() over (partition by {{ key | join(", ") }} order by {{ newest_first }}) as version_rank
    from versions
),

latest as (
    select * from ranked where version_rank = 1
),

complete as (
    select {{ names | join(", ") }}
    from latest
    where lacking = ','
),

incomplete as (
    select {{ key | join(", ") }}
    from latest
    where lacking <> ','
),

with_earlier_values as (
    select
        {%- for column in key + (own | list) + (lineage | list) %}
        ranked.{{ column }},
        {%- endfor %}
        {%- for column, raw in columns.items() %}
        first_value(ranked.{{ column }}) over (
            partition by {% for k in key %}ranked.{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}
            order by
                case when ranked.lacking like '%,{{ raw if raw is string else raw[0] }},%' then 1 else 0 end nulls last,
                ranked.version_rank nulls last
            rows between unbounded preceding and unbounded following
        ) as {{ column }},
        {%- endfor %}
        ranked.version_rank
    from ranked
    inner join incomplete
        on {% for k in key %}ranked.{{ k }} is not distinct from incomplete.{{ k }}{% if not loop.last %} and {% endif %}{% endfor %}
),

latest_version as (
    select {{ names | join(", ") }} from complete
    union all
    select {{ names | join(", ") }}
    from with_earlier_values
    where version_rank = 1
    {%- if not is_increment() %}
    union all
    select {{ names | join(", ") }} from single_versions
    {%- endif %}
)
{%- do touched_relation(touched.by) if not execute %}
{%- do source("raw_changed", dataset) if not execute %}
{%- do source("raw", "reread") if not execute %}
{%- endmacro %}

{#- The CTE `repeated`: the values of a number that come more than once. Most rows of a large table
    are alone with theirs and need no grouping. -#}
{% macro repeated(name, number, touched) -%}
repeated as (
    select r.{{ number }}
    from {{ ref(name) }} as r
    where {{ in_scope("r", touched) }}
    group by r.{{ number }}
    having count(*) > 1
)
{%- endmacro %}

{% macro _raw_versions(key, columns, own, lineage) -%}
    select
        {%- for column in key %}
        v.{{ column }},
        {%- endfor %}
        {%- for column, raw in columns.items() %}
        {{ "v." ~ raw if raw is string else raw[1] }} as {{ column }},
        {%- endfor %}
        {%- for column, expression in own.items() %}
        {{ expression }} as {{ column }},
        {%- endfor %}
        {%- for column, raw in lineage.items() %}
        v.{{ raw }} as {{ column }},
        {%- endfor %}
        v._missing_columns as lacking
{%- endmacro %}

{% macro is_reread(dataset, alias) -%}
    exists (
        select 1 from {{ source("raw", "reread") }} as reread
        where reread.dataset = '{{ dataset }}' and reread.shop_id = {{ alias }}.shop_id
    )
{%- endmacro %}
