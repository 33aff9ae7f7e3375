-- grain: variant x valid_from
with setting as (
    {{
        overlay_setting(
            "metric_variants",
            columns=[
                "variant", "metric", "window_days", "denominator", "anchor", "rating", "rejected", "empty_comments",
                "description", "source", "valid_from", "valid_to",
            ],
            key=["%.variant"],
        )
    }}
)

select * from setting
