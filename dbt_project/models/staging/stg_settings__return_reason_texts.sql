-- grain: folded_text x valid_from
with setting as (
    {{
        overlay_setting(
            "return_reason_texts",
            columns=["reason_text", "reason_code", "language", "valid_from", "valid_to", "confidence"],
            key=[fold_text("%.reason_text")],
        )
    }}
)

select
    *,
    {{ fold_text("reason_text") }} as folded_text
from setting
