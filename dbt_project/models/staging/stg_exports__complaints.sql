-- grain: shop_id x complaint_id
{% set touched = {"by": "raw_changed.complaints", "key": ["shop_id", "complaint_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "complaints",
        key=["shop_id", "complaint_id"],
        columns={
            "order_id": "order_id",
            "sku_id": "sku_id",
            "complaint_type": "complaint_type",
            "complaint_subtype": "complaint_subtype",
            "complaint_detail": "complaint_detail",
            "complaint_date": ["created_at", "cast(v.created_at as date)"],
            "resolved_date": ["resolved_at", "cast(v.resolved_at as date)"],
        },
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
