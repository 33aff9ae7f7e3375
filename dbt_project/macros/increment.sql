{#- Recomputing only what a run's new files touch. How it works: DECISIONS.md. -#}

{#- True when the models hold what earlier runs left and this run adds to it; false in a full
    refresh, on an empty warehouse and in unit tests, which may override it. -#}
{% macro is_increment() %}
    {%- if not execute or flags.FULL_REFRESH or model.resource_type == "unit_test" -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(load_relation(api.Relation.create(database=this.database, schema="marts", identifier="metric_status_daily")) is not none) }}
{% endmacro %}

{#- True for the touched keys; in a full build for all. -#}
{% macro in_scope(alias, touched) -%}
    {%- if not execute -%}{%- do touched_relation(touched.by) -%}{%- endif -%}
    {%- if is_increment() -%}{{ is_touched(alias, touched_relation(touched.by), touched.key) }}{%- else -%}true{%- endif -%}
{%- endmacro %}

{#- True where the key stands in the list; `computed` has the expressions of key columns that the
    relation itself does not have. -#}
{% macro is_touched(alias, listed, key, computed={}) -%}
    {%- set own = [] -%}
    {%- for column in key -%}{%- do own.append(computed.get(column, alias ~ "." ~ column)) -%}{%- endfor -%}
    {%- if key | length == 1 -%}
        {{ own[0] }} in (select {{ key[0] }} from {{ listed }})
    {%- else -%}
        exists (
            select 1 from {{ listed }} as listed
            where {% for column in key %}listed.{{ column }} = {{ own[loop.index0] }}{% if not loop.last %} and {% endif %}{% endfor %}
        )
    {%- endif -%}
{%- endmacro %}

{#- A touched list by its name: a model, `changes.<model>` or `raw_changed.<dataset>`. -#}
{% macro touched_relation(name) -%}
    {%- if name.startswith("changes.") -%}{{ return(changes_of(name.split(".")[1])) }}{%- endif -%}
    {%- if "." in name -%}{{ return(source(name.split(".")[0], name.split(".")[1])) }}{%- endif -%}
    {{ return(ref(name)) }}
{%- endmacro %}

{#- What the latest increment took out of a model's table and put into it: its columns and
    `is_added`. Only an increment may ask. -#}
{% macro changes_of(name) -%}
    {%- do ref(name) -%}
    {{ return(changes_relation(name)) }}
{%- endmacro %}

{% macro changes_relation(name) -%}
    {{ return(api.Relation.create(database=this.database, schema="changes", identifier=name)) }}
{%- endmacro %}

{#- What a model says of the keys that an increment replaces; none for one that has no such keys. -#}
{% macro touched_keys(name) -%}
    {%- for node in graph.nodes.values() if node.resource_type == "model" and node.name == name -%}
        {{ return(node.config.meta.get("touched")) }}
    {%- endfor -%}
{%- endmacro %}

{#- Whether changed records of a dataset must be read anew from all files of some shops. -#}
{% macro has_reread(dataset) -%}
    {%- set found = run_query("select 1 from " ~ source("raw", "reread") ~ " where dataset = '" ~ dataset ~ "' limit 1") -%}
    {{ return(found is not none and found.rows | length > 0) }}
{%- endmacro %}

{#- Incremental strategy `replace_touched`: the rows of the touched keys are replaced by those that
    the model's query gives, and the difference is left behind for `changes_of`.

    The model's `meta.touched` says which keys: `by` names the list and `key` the columns; with
    `from`, a date column, only rows from the list's `from_date` on. Without it, all rows. -#}
{% macro get_incremental_replace_touched_sql(args) -%}
    {{ return(adapter.dispatch("replace_touched")(args.target_relation, args.temp_relation, args.dest_columns)) }}
{%- endmacro %}

{% macro default__replace_touched(target, fresh, columns) -%}
    {{ exceptions.raise_compiler_error("Increments are not built for this engine yet.") }}
{%- endmacro %}

{% macro duckdb__replace_touched(target, fresh, columns) -%}
    {%- set names = columns | map(attribute="name") | list -%}
    {%- set touched = model.config.meta.get("touched") -%}
    {%- set listed = touched_relation(touched.by) if touched -%}
    {%- set from_column = touched.from if touched -%}
    {%- set changes = changes_relation(target.identifier) -%}
    create or replace table {{ changes }} as
    with stored as materialized (
        select
            t.*,
            t.rowid as stored_row
        from {{ target }} as t
        {%- if from_column %}
        inner join {{ listed }} as listed
            on {% for column in touched.key %}listed.{{ column }} = t.{{ column }} and {% endfor %}t.{{ from_column }} >= listed.from_date
        where t.{{ from_column }} >= (select min(from_date) from {{ listed }})
        {%- elif listed %}
        where {{ is_touched("t", listed, touched.key) }}
        {%- endif %}
    ),

    taken as (
        select * from stored where not exists ({{ same_row(fresh, "stored", names) }})
    ),

    added as (
        select * from {{ fresh }} as fresh where not exists ({{ same_row("stored", "fresh", names) }})
    )

    select {{ names | join(", ") }}, stored_row, false as is_added from taken
    union all
    select {{ names | join(", ") }}, null, true from added;

    delete from {{ target }} where rowid in (select stored_row from {{ changes }} where not is_added);

    insert into {{ target }} ({{ names | join(", ") }})
    select {{ names | join(", ") }} from {{ changes }} where is_added
{%- endmacro %}

{% macro same_row(relation, alias, columns) -%}
    select 1 from {{ relation }} as same
    where {% for column in columns %}same.{{ column }} is not distinct from {{ alias }}.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
{%- endmacro %}

{#- Of an increment's changes to a model those that some of its columns show. -#}
{% macro difference(name, columns) -%}
    (
        select {{ columns }} from {{ changes_of(name) }} where not is_added
        except
        select {{ columns }} from {{ changes_of(name) }} where is_added
    )
    union all
    (
        select {{ columns }} from {{ changes_of(name) }} where is_added
        except
        select {{ columns }} from {{ changes_of(name) }} where not is_added
    )
{%- endmacro %}
