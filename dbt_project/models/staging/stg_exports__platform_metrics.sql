-- grain: shop_id x metric_date x metric x window_days (null where it was not noted)
{% set touched = {"by": "raw_changed.platform_metrics", "key": ["shop_id", "metric_date"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "platform_metrics",
        key=["shop_id", "metric_date", "metric", "window_days"],
        columns={"platform_value": ["value", "v.value"]},
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
