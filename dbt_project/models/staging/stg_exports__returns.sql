-- grain: shop_id x return_order_id x order_id x sku_id (null where the request names no SKU)
{{
    latest_version(
        source("raw", "returns"),
        key=["shop_id", "return_order_id", "order_id", "sku_id"],
        columns=[
            "seller_sku", "order_amount", "return_type", "time_requested", "return_reason",
            "return_reason_code", "return_unit_price", "return_quantity", "return_status",
            "return_sub_status", "arbitration_status", "refund_time", "compensation_status", "compensation_amount",
        ],
        newest_first="_exported_at desc, _file_id desc, _row_number desc",
    )
}},

named as (
    select
        shop_id,
        return_order_id,
        order_id,
        sku_id,
        return_type,
        cast(time_requested as date) as request_date,
        return_reason,
        return_reason_code,
        return_status,
        return_sub_status,
        arbitration_status,
        return_unit_price as requested_amount,
        return_quantity,
        order_amount,
        cast(refund_time as date) as refund_date,
        compensation_status,
        compensation_amount,
        _file_id as file_id,
        _row_number as row_number,
        _exported_at as exported_at
    from latest_version
)

select * from named
