-- grain: shop_id x order_id; delivered_date is null while no line of it is delivered
{% set touched = {"by": "int_touched__orders", "key": ["order_key"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

with {{ repeated("int_order_products", "order_key", touched) }},

orders as (
    select
        p.order_key,
        p.shop_id,
        p.order_id,
        min(p.created_date) as created_date,
        min(p.delivered_date) as delivered_date,
        case when count(*) = 1 then min(p.product_key) end as only_product_key
    from {{ ref("int_order_products") }} as p
    where {{ in_scope("p", touched) }} and p.order_key in (select repeated.order_key from repeated)
    group by p.order_key, p.shop_id, p.order_id
    union all
    select
        p.order_key,
        p.shop_id,
        p.order_id,
        p.created_date,
        p.delivered_date,
        p.product_key as only_product_key
    from {{ ref("int_order_products") }} as p
    where {{ in_scope("p", touched) }} and p.order_key not in (select repeated.order_key from repeated)
)

select * from orders
