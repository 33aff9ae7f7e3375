-- grain: shop_id x review_id, reviews that changed or were decided on; none in a full build
with touched as (
    select
        shop_id,
        review_id
    from {{ source("raw_changed", "reviews") }}
    union
    select
        shop_id,
        review_id
    from {{ source("raw_changed", "review_overrides") }}
)

select * from touched
