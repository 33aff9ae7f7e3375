-- grain: shop_id x review_id; a null reason takes an earlier decision back
{% set touched = {"by": "raw_changed.review_overrides", "key": ["shop_id", "review_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "review_overrides",
        key=["shop_id", "review_id"],
        columns={"reason_code": ["reason_code", "lower(v.reason_code)"]},
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
