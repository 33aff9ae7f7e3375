-- grain: setting x valid_from
with setting as (
    {{
        overlay_setting(
            "metric_settings",
            columns=["setting", "value", "valid_from", "valid_to"],
            key=["%.setting"],
        )
    }}
)

select * from setting
