-- grain: shop_id x sku_id, the name on the latest version among the SKU's order lines
{% set touched = {"by": "changes.stg_exports__order_lines", "key": ["shop_id", "sku_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set columns = "shop_id, sku_id, product_name, exported_at, file_id, row_number" %}

with names as (
    {%- if is_increment() %}
    select {{ columns }}
    from {{ changes_of("stg_exports__order_lines") }} as n
    where n.is_added and not {{ is_reread("orders", "n") }}
    union all
    select {{ columns }}
    from {{ this }} as n
    where {{ in_scope("n", touched) }} and not {{ is_reread("orders", "n") }}
    {%- if has_reread("orders") %}
    union all
    select {{ columns }}
    from {{ ref("stg_exports__order_lines") }} as n
    where {{ in_scope("n", touched) }} and {{ is_reread("orders", "n") }}
    {%- endif %}
    {%- else %}
    select {{ columns }}
    from {{ ref("stg_exports__order_lines") }}
    {%- endif %}
),

latest_exports as (
    select
        shop_id,
        sku_id,
        max(exported_at) as exported_at
    from names
    group by shop_id, sku_id
),

ranked as (
    select
        n.*,
        row_number() over (
            partition by n.shop_id, n.sku_id order by n.file_id desc, n.row_number desc
        ) as version_rank
    from names as n
    inner join latest_exports as l
        on n.shop_id = l.shop_id and n.sku_id = l.sku_id and n.exported_at = l.exported_at
),

latest as (
    select
        shop_id,
        sku_id,
        {{ fold_space("product_name") }} as product_name,
        exported_at,
        file_id,
        row_number
    from ranked
    where version_rank = 1
)

select * from latest
