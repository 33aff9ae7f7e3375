-- grain: folded_type x folded_subtype x valid_from; an empty folded_subtype is for any
with setting as (
    {{
        overlay_setting(
            "complaint_types",
            columns=["complaint_type", "complaint_subtype", "reason_code", "valid_from", "valid_to", "confidence"],
            key=[fold_text("%.complaint_type"), fold_text("coalesce(%.complaint_subtype, '')")],
        )
    }}
)

select
    *,
    {{ fold_text("complaint_type") }} as folded_type,
    {{ fold_text("coalesce(complaint_subtype, '')") }} as folded_subtype
from setting
