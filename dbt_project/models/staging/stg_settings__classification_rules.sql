-- grain: rule_id x valid_from
with setting as (
    {{
        overlay_setting(
            "classification_rules",
            columns=["rule_id", "language", "pattern", "unless", "reason_code", "priority", "valid_from", "valid_to"],
            key=["%.rule_id"],
        )
    }}
)

select * from setting
