-- grain: region x metric x valid_from
with setting as (
    {{
        overlay_setting(
            "metric_targets",
            columns=["region", "metric", "target", "valid_from", "valid_to", "confidence", "source"],
            key=["%.region", "%.metric"],
        )
    }}
)

select * from setting
