-- grain: region x metric x shop_id x valid_from
with setting as (
    {{
        overlay_setting(
            "metric_targets",
            columns=["region", "metric", "shop_id", "target", "valid_from", "valid_to", "confidence", "source"],
            key=["%.region", "%.metric", "coalesce(%.shop_id, '')"],
        )
    }}
)

select * from setting
