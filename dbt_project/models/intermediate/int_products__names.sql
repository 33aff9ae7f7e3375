-- grain: shop_id x product_key, the name on the latest version among the product's order lines
{{ config(materialized="incremental") }}

with ranked as (
    select
        p.shop_id,
        p.product_key,
        n.product_name,
        row_number() over (
            partition by p.shop_id, p.product_key
            order by n.exported_at desc, n.file_id desc, n.row_number desc
        ) as version_rank
    from {{ ref("int_skus__products") }} as p
    inner join {{ ref("int_skus__names") }} as n
        on p.shop_id = n.shop_id and p.sku_id = n.sku_id
),

latest as (
    select
        shop_id,
        product_key,
        product_name
    from ranked
    where version_rank = 1
)

select * from latest
