-- grain: shop_id x sku_id
{{
    latest_version(
        source("raw", "products"),
        key=["shop_id", "sku_id"],
        columns=["product_id", "seller_sku", "product_name"],
        newest_first="_exported_at desc, _file_id desc, _row_number desc",
    )
}},

named as (
    select
        shop_id,
        sku_id,
        product_id,
        {{ fold_space("product_name") }} as product_name
    from latest_version
)

select * from named
