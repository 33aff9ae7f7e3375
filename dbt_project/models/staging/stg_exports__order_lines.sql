-- grain: shop_id x order_id x sku_id
{% set touched = {"by": "stg_exports__changed_orders", "key": ["order_key"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "orders",
        key=["shop_id", "order_id", "sku_id"],
        columns={
            "seller_sku": "seller_sku",
            "product_name": "product_name",
            "variation": "variation",
            "product_category": "product_category",
            "quantity": "quantity",
            "line_amount": "sku_subtotal_after_discount",
            "order_amount": "order_amount",
            "created_at": "created_time",
            "delivered_date": ["delivered_time", "cast(v.delivered_time as date)"],
            "cancelled_date": ["cancelled_time", "cast(v.cancelled_time as date)"],
        },
        own={"order_key": number_of(["v.order_id"])},
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
