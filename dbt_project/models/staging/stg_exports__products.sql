-- grain: shop_id x sku_id
{% set touched = {"by": "raw_changed.products", "key": ["shop_id", "sku_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "products",
        key=["shop_id", "sku_id"],
        columns={
            "product_id": "product_id",
            "product_name": ["product_name", fold_space("v.product_name")],
        },
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
