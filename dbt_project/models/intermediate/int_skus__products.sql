-- grain: shop_id x sku_id, every SKU that an order, a review or the catalogue names
{{ config(materialized="incremental") }}

with latest_versions as (
    select
        shop_id,
        sku_id,
        max(version_at) as version_at
    from {{ ref("stg_exports__reviews") }}
    where sku_id is not null and product_id is not null
    group by shop_id, sku_id
),

review_products as (
    select
        r.shop_id,
        r.sku_id,
        r.product_id,
        row_number() over (
            partition by r.shop_id, r.sku_id
            order by r.exported_at desc, r.file_id desc, r.row_number desc
        ) as version_rank
    from {{ ref("stg_exports__reviews") }} as r
    inner join latest_versions as latest
        on r.shop_id = latest.shop_id and r.sku_id = latest.sku_id and r.version_at = latest.version_at
    where r.product_id is not null
),

skus as (
    select
        shop_id,
        sku_id
    from {{ ref("int_skus__names") }}
    union
    select
        shop_id,
        sku_id
    from review_products
    union
    select
        shop_id,
        sku_id
    from {{ ref("stg_exports__products") }}
),

known as (
    select
        s.shop_id,
        s.sku_id,
        coalesce(p.product_id, r.product_id) as product_id,
        coalesce(o.product_name, p.product_name) as product_name
    from skus as s
    left join {{ ref("int_skus__names") }} as o
        on s.shop_id = o.shop_id and s.sku_id = o.sku_id
    left join {{ ref("stg_exports__products") }} as p
        on s.shop_id = p.shop_id and s.sku_id = p.sku_id
    left join review_products as r
        on s.shop_id = r.shop_id and s.sku_id = r.sku_id and r.version_rank = 1
),

products_by_name as (
    select
        shop_id,
        product_name,
        min(product_id) as product_id
    from known
    where product_id is not null and product_name is not null
    group by shop_id, product_name
    having count(distinct product_id) = 1
),

keyed as (
    select
        k.shop_id,
        k.sku_id,
        coalesce(k.product_id, n.product_id, 'name:' || coalesce(k.product_name, '')) as product_key,
        k.product_name
    from known as k
    left join products_by_name as n
        on k.shop_id = n.shop_id and k.product_name = n.product_name
)

select * from keyed
