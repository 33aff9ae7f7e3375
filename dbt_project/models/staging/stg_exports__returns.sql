-- grain: shop_id x return_order_id x order_id x sku_id (null where the request names no SKU)
{% set touched = {"by": "raw_changed.returns", "key": ["shop_id", "return_order_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "returns",
        key=["shop_id", "return_order_id", "order_id", "sku_id"],
        columns={
            "return_type": "return_type",
            "request_date": ["time_requested", "cast(v.time_requested as date)"],
            "return_reason": "return_reason",
            "return_reason_code": "return_reason_code",
            "return_status": "return_status",
            "return_sub_status": "return_sub_status",
            "arbitration_status": "arbitration_status",
            "requested_amount": "return_unit_price",
            "return_quantity": "return_quantity",
            "order_amount": "order_amount",
            "refund_date": ["refund_time", "cast(v.refund_time as date)"],
            "compensation_status": "compensation_status",
            "compensation_amount": "compensation_amount",
        },
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
