-- grain: reason_code x valid_from
with setting as (
    {{
        overlay_setting(
            "reason_advice",
            columns=["reason_code", "area", "advice", "valid_from", "valid_to", "source"],
            key=["%.reason_code"],
        )
    }}
)

select * from setting
