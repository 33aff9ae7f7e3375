-- grain: shop_id x review_id
{% set touched = {"by": "raw_changed.reviews", "key": ["shop_id", "review_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "reviews",
        key=["shop_id", "review_id"],
        columns={
            "order_id": "order_id",
            "product_id": "product_id",
            "sku_id": "sku_id",
            "latest_rating": ["rating", "v.rating"],
            "review_text": "review_text",
            "issue_type": ["issue_type", "lower(v.issue_type)"],
            "review_date": ["created_at", "cast(v.created_at as date)"],
            "updated_date": ["updated_at", "cast(v.updated_at as date)"],
        },
        own={
            "version_at": "coalesce(v.updated_at, v.created_at)",
            "initial_rating": "v.rating",
            "first_version_at": "coalesce(v.updated_at, v.created_at)",
            "first_exported_at": "v._exported_at",
            "first_file_id": "v._file_id",
            "first_row_number": "v._row_number",
        },
        newest_first="version_at desc, exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}},

first_versions as (
    select *
    from (
        select
            shop_id,
            review_id,
            initial_rating,
            first_version_at,
            first_exported_at,
            first_file_id,
            first_row_number,
            row_number() over (
                partition by shop_id, review_id
                order by
                    first_version_at asc nulls last,
                    first_exported_at asc nulls last,
                    first_file_id asc nulls last,
                    first_row_number asc nulls last
            ) as version_number
        from versions
    ) as numbered
    where version_number = 1
),

with_first_rating as (
    select
        v.shop_id,
        v.review_id,
        v.order_id,
        v.product_id,
        v.sku_id,
        v.latest_rating,
        coalesce(f.initial_rating, v.initial_rating) as initial_rating,
        v.review_text,
        v.issue_type,
        v.review_date,
        v.updated_date,
        v.version_at,
        coalesce(f.first_version_at, v.first_version_at) as first_version_at,
        coalesce(f.first_exported_at, v.first_exported_at) as first_exported_at,
        coalesce(f.first_file_id, v.first_file_id) as first_file_id,
        coalesce(f.first_row_number, v.first_row_number) as first_row_number,
        v.file_id,
        v.row_number,
        v.exported_at,
        v.missing_columns
    from latest_version as v
    left join first_versions as f
        on v.shop_id = f.shop_id and v.review_id = f.review_id
)

select * from with_first_rating
