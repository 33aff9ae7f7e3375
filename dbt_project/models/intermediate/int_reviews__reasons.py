# grain: shop_id x review_id, low-rated reviews whose comment a rule fits
"""What the rules read in comments; how they read is no matter of SQL."""

from dagster_project.lib.review_reasons import classify


def model(dbt, session):
    """All such reviews, in an increment the touched ones."""
    dbt.config(
        materialized="incremental",
        meta={"touched": {"by": "int_touched__reviews", "key": ["shop_id", "review_id"]}},
    )
    reviews = dbt.ref("stg_exports__reviews").filter(
        "review_text is not null and least(latest_rating, initial_rating) <= 2"
    )
    touched = dbt.ref("int_touched__reviews")
    if dbt.is_incremental:
        reviews = reviews.join(touched, "shop_id, review_id", how="semi")
    return classify(
        reviews.select("shop_id, review_id, review_date, review_text").to_arrow_table(),
        dbt.ref("stg_settings__classification_rules").to_arrow_table(),
    )
