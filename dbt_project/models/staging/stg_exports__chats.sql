-- grain: shop_id x conversation_id
{% set touched = {"by": "raw_changed.chats", "key": ["shop_id", "conversation_id"]} %}
{{ config(materialized="incremental", meta={"touched": touched}) }}

{{
    latest_version(
        "chats",
        key=["shop_id", "conversation_id"],
        columns={
            "started_at": "started_at",
            "first_reply_at": "first_reply_at",
            "initiated_by": ["initiated_by", fold_text("v.initiated_by")],
        },
        newest_first="exported_at desc, file_id desc, row_number desc",
        touched=touched,
    )
}}

select * from latest_version
