-- grain: shop_id x sku_id, every SKU that an order, a review or the catalogue names
with order_names as (
    select
        shop_id,
        sku_id,
        product_name,
        row_number() over (
            partition by shop_id, sku_id order by exported_at desc, file_id desc, row_number desc
        ) as version_rank
    from {{ ref("stg_exports__order_lines") }}
),

review_products as (
    select
        shop_id,
        sku_id,
        product_id,
        row_number() over (
            partition by shop_id, sku_id
            order by version_at desc, exported_at desc, file_id desc, row_number desc
        ) as version_rank
    from {{ ref("stg_exports__reviews") }}
    where sku_id is not null and product_id is not null
),

skus as (
    select
        shop_id,
        sku_id
    from order_names
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
    left join order_names as o
        on s.shop_id = o.shop_id and s.sku_id = o.sku_id and o.version_rank = 1
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
