-- grain: status_column x folded_text x valid_from
with setting as (
    {{
        overlay_setting(
            "outcome_policy",
            columns=[
                "status_column", "status_text", "is_voided", "valid_from", "valid_to", "outcome", "language", "confidence",
            ],
            key=["%.status_column", fold_text("%.status_text")],
        )
    }}
)

select
    *,
    {{ fold_text("status_text") }} as folded_text
from setting
