-- grain: shop_id x order_id x sku_id
{{
    latest_version(
        source("raw", "orders"),
        key=["shop_id", "order_id", "sku_id"],
        columns=[
            "seller_sku", "product_name", "variation", "order_status", "order_substatus", "quantity",
            "sku_subtotal_after_discount", "order_amount", "created_time", "delivered_time",
            "cancelled_time", "product_category",
        ],
        newest_first="_exported_at desc, _file_id desc, _row_number desc",
    )
}},

named as (
    select
        shop_id,
        order_id,
        sku_id,
        seller_sku,
        {{ fold_space("product_name") }} as product_name,
        variation,
        product_category,
        quantity,
        sku_subtotal_after_discount as line_amount,
        order_amount,
        created_time as created_at,
        cast(delivered_time as date) as delivered_date,
        cast(cancelled_time as date) as cancelled_date,
        _file_id as file_id,
        _row_number as row_number,
        _exported_at as exported_at
    from latest_version
)

select * from named
