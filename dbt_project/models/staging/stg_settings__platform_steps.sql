-- grain: category x valid_from
with setting as (
    {{
        overlay_setting(
            "platform_steps",
            columns=["category", "steps", "valid_from", "valid_to", "source"],
            key=["%.category"],
        )
    }}
)

select * from setting
