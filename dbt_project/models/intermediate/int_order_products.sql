-- grain: shop_id x order_id x product_key; delivered_date is null while nothing of it is delivered
{% set touched = {"by": "int_touched__orders", "key": ["order_key"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with {{ repeated("stg_exports__order_lines", "order_key", touched) }},

lines as (
    select
        l.order_key,
        l.shop_id,
        l.order_id,
        p.product_key,
        cast(l.created_at as date) as created_date,
        l.delivered_date
    from {{ ref("stg_exports__order_lines") }} as l
    inner join {{ ref("int_skus__products") }} as p
        on l.shop_id = p.shop_id and l.sku_id = p.sku_id
    where {{ in_scope("l", touched) }}
),

order_products as (
    select
        order_key,
        shop_id,
        order_id,
        product_key,
        min(created_date) as created_date,
        min(delivered_date) as delivered_date
    from lines
    where order_key in (select repeated.order_key from repeated)
    group by order_key, shop_id, order_id, product_key
    union all
    select
        order_key,
        shop_id,
        order_id,
        product_key,
        created_date,
        delivered_date
    from lines
    where order_key not in (select repeated.order_key from repeated)
)

select * from order_products
