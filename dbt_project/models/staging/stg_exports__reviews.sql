-- grain: shop_id x review_id
{{
    latest_version(
        source("raw", "reviews"),
        key=["shop_id", "review_id"],
        columns=[
            "order_id", "product_id", "sku_id", "rating", "review_text", "created_at", "updated_at",
            "issue_type",
        ],
        newest_first="coalesce(updated_at, created_at) desc, _exported_at desc, _file_id desc, _row_number desc",
    )
}},

first_versions as (
    select
        shop_id,
        review_id,
        rating as initial_rating
    from (
        select
            *,
            row_number() over (
                partition by shop_id, review_id
                order by coalesce(updated_at, created_at), _exported_at, _file_id, _row_number
            ) as version_number
        from {{ source("raw", "reviews") }}
    ) as versions
    where version_number = 1
),

named as (
    select
        v.shop_id,
        v.review_id,
        v.order_id,
        v.product_id,
        v.sku_id,
        v.rating as latest_rating,
        f.initial_rating,
        v.review_text,
        lower(v.issue_type) as issue_type,
        cast(v.created_at as date) as review_date,
        cast(v.updated_at as date) as updated_date,
        coalesce(v.updated_at, v.created_at) as version_at,
        v._file_id as file_id,
        v._row_number as row_number,
        v._exported_at as exported_at
    from latest_version as v
    inner join first_versions as f
        on v.shop_id = f.shop_id and v.review_id = f.review_id
)

select * from named
