-- grain: shop_id x review_id
{{
    latest_version(
        source("raw", "review_overrides"),
        key=["shop_id", "review_id"],
        columns=["reason_code"],
        newest_first="_exported_at desc, _file_id desc, _row_number desc",
    )
}},

named as (
    select
        shop_id,
        review_id,
        lower(reason_code) as reason_code
    from latest_version
    where reason_code is not null
)

select * from named
