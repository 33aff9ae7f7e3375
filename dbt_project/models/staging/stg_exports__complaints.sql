-- grain: shop_id x complaint_id
{{
    latest_version(
        source("raw", "complaints"),
        key=["shop_id", "complaint_id"],
        columns=[
            "order_id", "sku_id", "complaint_type", "complaint_subtype", "complaint_detail", "created_at",
            "resolved_at",
        ],
        newest_first="_exported_at desc, _file_id desc, _row_number desc",
    )
}},

named as (
    select
        shop_id,
        complaint_id,
        order_id,
        sku_id,
        complaint_type,
        complaint_subtype,
        complaint_detail,
        cast(created_at as date) as complaint_date,
        cast(resolved_at as date) as resolved_date,
        _file_id as file_id,
        _row_number as row_number,
        _exported_at as exported_at
    from latest_version
)

select * from named
