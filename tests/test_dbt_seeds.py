"""The bundled settings: what the platform's own list of refund reasons says stands in them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dagster_project.lib.paths import DBT_DIR

FACTS = Path(__file__).parents[1].parent / "shared" / "real" / "tiktok_formats"
NAMES_NO_REASON = {
    "Other",
    "Quality or style not as expected",
    "Product not frozen on arrival",
}
"""Labels that leave open whose fault it is: they stay unmapped, so that every run lists them."""

Row = dict[str, str]


def seed(name: str) -> list[Row]:
    with (DBT_DIR / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def facts() -> list[Row]:
    if not FACTS.is_dir():
        pytest.skip("the platform's list is not part of this project")
    with (FACTS / "buyer_refund_reasons.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_label_and_code_of_the_platform_has_one_reason_or_is_known_to_name_none(
    facts: list[Row],
) -> None:
    reasons = {
        row["reason_text"].casefold(): row["reason_code"] for row in seed("return_reason_texts")
    }
    for fact in facts:
        found = {reasons.get(fact[column].casefold()) for column in ("label", "code")}
        assert len(found) == 1, fact
        assert (found == {None}) == (fact["label"] in NAMES_NO_REASON), fact


def test_faults_agree_with_what_is_known_of_the_platforms_codes(facts: list[Row]) -> None:
    reasons = {row["reason_text"]: row["reason_code"] for row in seed("return_reason_texts")}
    faults = {row["reason_code"]: row["fault"] for row in seed("reasons")}
    for fact in facts:
        if fact["code"] in reasons and fact["sfrr_hint"] != "logistics_or_seller":
            is_sellers = faults[reasons[fact["code"]]] == "seller"
            assert is_sellers == (fact["sfrr_hint"] == "seller"), fact


def test_both_status_columns_of_the_exports_know_the_same_texts() -> None:
    policy = seed("outcome_policy")
    by_column = {
        column: {
            (row["status_text"], row["is_voided"], row["language"], row["confidence"])
            for row in policy
            if row["status_column"] == column and row["language"] != "code"
        }
        for column in ("return_status", "return_sub_status")
    }
    assert by_column["return_status"] == by_column["return_sub_status"]
    assert {row["language"] for row in policy} == {"en", "th", "id", "vi", "zh", "code"}


@pytest.mark.parametrize(
    "name", ["outcome_policy", "return_reason_texts", "complaint_types", "metric_targets"]
)
def test_every_text_and_target_says_who_knows_it(name: str) -> None:
    assert {row["confidence"] for row in seed(name)} <= {"official", "third_party", "house"}


def test_a_complaint_is_laid_at_product_or_service_only_where_the_guide_does_so() -> None:
    """Product quality, incorrect or missing items, poor service; all else is not the seller's."""
    named = {"Product quality", "Incorrect or missing items", "Incorrect item", "Missing item"}
    faults = {row["reason_code"]: row["fault"] for row in seed("reasons")}
    for row in seed("complaint_types"):
        is_named = row["complaint_subtype"] in {*named, "Poor service"}
        assert (faults[row["reason_code"]] == "seller") == is_named, row
