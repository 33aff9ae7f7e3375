-- grain: reason_code x valid_from
with setting as (
    {{
        overlay_setting(
            "reasons",
            columns=["reason_code", "category", "fault", "is_review_reason", "is_return_reason", "valid_from", "valid_to"],
            key=["%.reason_code"],
        )
    }}
)

select * from setting
