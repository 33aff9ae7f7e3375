"""The reference itself, against figures worked out by hand from the metric definitions."""

import csv
import dataclasses
import io
import random
import shutil
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from tests.reference.compare import (
    COLUMNS,
    differences,
    explain,
    name_differences,
    read_published,
)
from tests.reference.compute import (
    GRAINS,
    UNATTRIBUTED,
    Row,
    Tables,
    compute,
    compute_shop,
    default_as_of,
    event_times,
    latest_order_lines,
    product_keys,
    product_names,
    type_key,
)
from tests.reference.exports import write_case
from tests.reference.model import (
    Chat,
    ClassificationRule,
    Complaint,
    File,
    OrderLine,
    Outcome,
    PlatformMetric,
    Product,
    Reason,
    ReturnLine,
    Review,
    ReviewOverride,
    Settings,
    Shop,
    ShopCase,
    Variant,
    Version,
)
from tests.reference.strategies import generate_shop, shop_case

SHOP = Shop("s", "TH", "Asia/Bangkok")
MAR_31 = date(2025, 3, 31)
LATE = datetime(2025, 6, 30, 17)
BOTH_LOADED = ("reviews", "returns")


def at(day_and_month: str, clock: str = "12:00") -> datetime:
    """Read "5 Mar" as a time in 2025."""
    return datetime.strptime(f"2025 {day_and_month} {clock}", "%Y %d %b %H:%M")


def file(dataset: str, exported_at: datetime = LATE, file_id: str = "") -> File:
    """Make a file; the same arguments make the same file."""
    file_id = file_id or f"{dataset}-{exported_at.isoformat()}"
    return File("s", dataset, f"{file_id}.csv", exported_at, file_id)


class Rows:
    """Makes versions with short arguments and counts their row numbers."""

    def __init__(self) -> None:
        """Start with the first data row."""
        self.row_number = 1

    def _next(self) -> int:
        self.row_number += 1
        return self.row_number

    def line(
        self,
        order_id: str,
        delivered: datetime | None,
        sku: str | None = "sku-1",
        name: str | None = "Mug",
        **more: Any,
    ) -> OrderLine:
        """Make an order line that was created on 1 Feb unless told otherwise."""
        of_file = more.pop("file", None) or file("orders")
        fields: Row = {"seller_sku": None, "created_at": at("1 Feb"), **more}
        return OrderLine(
            of_file,
            self._next(),
            order_id=order_id,
            sku_id=sku,
            product_name=name,
            delivered_at=delivered,
            **fields,
        )

    def review(self, order_id: str, created: datetime, rating: int = 1, **more: Any) -> Review:
        """Make a review with text, issue not_as_described, of sku-1, never edited."""
        of_file = more.pop("file", None) or file("reviews")
        fields: Row = {
            "review_id": f"review-{order_id}-{created.isoformat()}",
            "product_id": None,
            "sku_id": "sku-1",
            "review_text": "words",
            "updated_at": None,
            "issue_type": "not_as_described",
            **more,
        }
        return Review(
            of_file,
            self._next(),
            order_id=order_id,
            created_at=created,
            rating=rating,
            **fields,
        )

    def request(
        self,
        order_id: str,
        requested: datetime,
        reason: str | None = "Poor quality",
        status: str | None = "Completed",
        sub_status: str | None = None,
        **more: Any,
    ) -> ReturnLine:
        """Make a completed return request of sku-1 for poor quality."""
        of_file = more.pop("file", None) or file("returns")
        fields: Row = {
            "return_order_id": f"return-{order_id}-{requested.isoformat()}",
            "sku_id": "sku-1",
            "seller_sku": None,
            "refunded_at": None,
            **more,
        }
        return ReturnLine(
            of_file,
            self._next(),
            order_id=order_id,
            requested_at=requested,
            return_reason=reason,
            return_status=status,
            return_sub_status=sub_status,
            **fields,
        )

    def product(self, product_id: str, sku: str, name: str = "Mug", **more: Any) -> Product:
        """Make a row of the products export."""
        of_file = more.pop("file", None) or file("products")
        return Product(
            of_file,
            self._next(),
            product_id=product_id,
            sku_id=sku,
            seller_sku=None,
            product_name=name,
        )

    def complaint(self, order_id: str | None, created: datetime, **more: Any) -> Complaint:
        """Make an open complaint about sku-1."""
        of_file = more.pop("file", None) or file("complaints")
        fields: Row = {
            "complaint_id": "c-1",
            "sku_id": "sku-1",
            "complaint_type": "Order",
            "complaint_subtype": None,
            "resolved_at": None,
            **more,
        }
        return Complaint(of_file, self._next(), order_id=order_id, created_at=created, **fields)

    def chat(self, started: datetime, replied: datetime | None = None, **more: Any) -> Chat:
        """Make a chat that the buyer began."""
        of_file = more.pop("file", None) or file("chats")
        fields: Row = {"conversation_id": f"t-{self.row_number}", "initiated_by": "buyer", **more}
        return Chat(of_file, self._next(), started_at=started, first_reply_at=replied, **fields)

    def override(self, review: Review, reason_code: str | None, **more: Any) -> ReviewOverride:
        """Make a person's decision on a review, on the day of the review."""
        return ReviewOverride(
            more.pop("file", None) or file("review_overrides"),
            self._next(),
            review_id=review.review_id,
            reason_code=reason_code,
            decided_at=review.created_at,
        )


@pytest.fixture
def rows() -> Rows:
    """Give a fresh maker of rows."""
    return Rows()


def case_of(*versions: Version, loaded: tuple[str, ...] = BOTH_LOADED) -> ShopCase:
    """Make a case of these rows; datasets in `loaded` have a late file without rows as well."""
    files = {version.file for version in versions}
    files |= {file(dataset) for dataset in loaded}
    return ShopCase(
        SHOP,
        files=tuple(sorted(files, key=lambda each: each.file_id)),
        order_lines=tuple(row for row in versions if isinstance(row, OrderLine)),
        reviews=tuple(row for row in versions if isinstance(row, Review)),
        return_lines=tuple(row for row in versions if isinstance(row, ReturnLine)),
        products=tuple(row for row in versions if isinstance(row, Product)),
        complaints=tuple(row for row in versions if isinstance(row, Complaint)),
        overrides=tuple(row for row in versions if isinstance(row, ReviewOverride)),
        platform_metrics=tuple(row for row in versions if isinstance(row, PlatformMetric)),
        chats=tuple(row for row in versions if isinstance(row, Chat)),
    )


def tables_of(*versions: Version, as_of: date = MAR_31, **options: Any) -> Tables:
    """Compute every table of a case of these rows."""
    return compute_shop(case_of(*versions), as_of, Settings(**options))


def shop_row(*versions: Version, day: date = MAR_31, **options: Any) -> Row:
    """Compute the shop's row of one day."""
    tables = tables_of(*versions, as_of=day, **options)
    return tables["shop_metrics_daily"]["s", day]


def only_event(*versions: Version, **options: Any) -> Row:
    """Compute the one feedback event of a case that has one."""
    (event,) = tables_of(*versions, **options)["feedback_events"].values()
    return event


# ---------------------------------------------------------------- the worked example


@pytest.fixture
def worked_example(rows: Rows) -> Tables:
    """Compute the example that the metric definitions work out."""
    return tables_of(
        rows.line("A", at("2 Mar"), sku="sku-0"),
        rows.review("A", at("31 Mar"), sku_id="sku-0"),
        rows.line("B", at("1 Mar"), sku="sku-0"),
        rows.review("B", at("5 Mar"), sku_id="sku-0"),
        rows.line("C", at("20 Mar"), sku="sku-1", name="First"),
        rows.line("C", at("20 Mar"), sku="sku-2", name="Second"),
        rows.review("C", at("25 Mar"), rating=2, sku_id="sku-1"),
        rows.request("C", at("28 Mar"), "Wrong product sent", sku_id="sku-2"),
        rows.line("D", at("30 Mar"), sku="sku-3", name="Third"),
        rows.request("D", at("30 Mar"), status="Canceled", sku_id="sku-3"),
    )


def test_worked_example_gives_the_figures_of_the_definitions(worked_example: Tables) -> None:
    row = worked_example["shop_metrics_daily"]["s", MAR_31]
    assert row["delivered_orders"] == 3
    assert row["negative_review_orders"] == 2
    assert row["nrr"] == pytest.approx(2 / 3)
    assert row["seller_fault_return_orders"] == 1
    assert row["sfrr"] == pytest.approx(1 / 3)
    assert (row["nrr_state"], row["sfrr_state"]) == ("ok", "ok")


def test_worked_example_counts_an_old_order_only_from_its_review_to_its_last_window_day(
    worked_example: Tables,
) -> None:
    of_shop = worked_example["shop_metrics_daily"]
    counts = {day: row["negative_review_orders"] for (_, day), row in of_shop.items()}
    assert counts[date(2025, 3, 4)] == 0
    assert counts[date(2025, 3, 5)] == 1
    assert counts[date(2025, 3, 24)] == 1
    assert counts[date(2025, 3, 30)] == 2
    assert of_shop["s", date(2025, 3, 30)]["delivered_orders"] == 4


def test_worked_example_gives_the_review_and_the_request_to_different_products(
    worked_example: Tables,
) -> None:
    of_product = worked_example["product_metrics_daily"]
    first = of_product["s", "name:First", MAR_31]
    second = of_product["s", "name:Second", MAR_31]
    assert (first["negative_review_orders"], first["seller_fault_return_orders"]) == (1, 0)
    assert (second["negative_review_orders"], second["seller_fault_return_orders"]) == (0, 1)
    assert of_product["s", "name:Third", MAR_31]["sfrr"] == 0.0


def test_worked_example_lists_its_reasons(worked_example: Tables) -> None:
    of_reason = worked_example["reason_metrics_daily"]
    assert {key[2:] for key in of_reason if key[1] == MAR_31} == {
        ("nrr", "not_as_described"),
        ("sfrr", "wrong_item"),
    }
    assert of_reason["s", MAR_31, "nrr", "not_as_described"] == {
        "category": "product",
        "fault": "seller",
        "is_counted": True,
        "orders": 2,
        "delivered_orders": 3,
        "rate": pytest.approx(2 / 3),
        "share": 1.0,
        "rank": 1,
    }


# ---------------------------------------------------------------- the window and the calendar


def test_window_holds_thirty_days_both_ends_included(rows: Rows) -> None:
    order = rows.line("A", at("1 Mar"))
    assert shop_row(order, day=date(2025, 3, 30))["delivered_orders"] == 1
    assert shop_row(order, day=MAR_31)["delivered_orders"] == 0
    assert shop_row(order, day=MAR_31)["nrr"] is None


def test_window_length_is_a_setting(rows: Rows) -> None:
    order = rows.line("A", at("1 Mar"))
    assert shop_row(order, day=date(2025, 4, 29), window_days=60)["delivered_orders"] == 1
    assert shop_row(order, day=date(2025, 4, 30), window_days=60)["delivered_orders"] == 0


def test_calendar_runs_from_the_first_delivery_to_as_of_quiet_days_included(rows: Rows) -> None:
    of_shop = tables_of(rows.line("A", at("1 Jan")), as_of=MAR_31)["shop_metrics_daily"]
    days = [day for _, day in of_shop]
    assert days == [date(2025, 1, 1) + timedelta(days=step) for step in range(90)]
    assert of_shop["s", date(2025, 3, 15)]["delivered_orders"] == 0


def test_shop_without_a_delivery_has_no_rows_but_keeps_its_events(rows: Rows) -> None:
    tables = tables_of(rows.line("A", None), rows.review("A", at("5 Mar")))
    assert tables["shop_metrics_daily"] == {}
    assert tables["product_metrics_daily"] == {}
    assert len(tables["feedback_events"]) == 1


def test_as_of_defaults_to_the_latest_event_of_all_shops(rows: Rows) -> None:
    one = case_of(rows.line("A", at("1 Mar")), rows.review("A", at("5 Mar")))
    two = case_of(rows.line("B", at("2 Mar")), rows.request("B", at("7 Mar")))
    assert default_as_of([one, two]) == date(2025, 3, 7)
    edited = case_of(rows.review("C", at("3 Mar"), updated_at=at("9 Mar")))
    assert default_as_of([one, two, edited]) == date(2025, 3, 9)
    complaint = case_of(rows.complaint("D", at("10 Mar")))
    assert default_as_of([one, two, edited, complaint]) == date(2025, 3, 10)
    settled = case_of(rows.complaint("D", at("10 Mar"), resolved_at=at("11 Mar")))
    assert default_as_of([one, two, edited, settled]) == date(2025, 3, 11)
    chat = case_of(rows.chat(at("11 Mar"), at("12 Mar")))
    assert default_as_of([one, two, edited, settled, chat]) == date(2025, 3, 12)


def test_decision_on_a_review_is_no_event_that_moves_as_of(rows: Rows) -> None:
    review = rows.review("A", at("5 Mar"))
    late = dataclasses.replace(rows.override(review, "wrong_item"), decided_at=at("20 Mar"))
    assert default_as_of([case_of(review, late)]) == date(2025, 3, 5)


def test_event_later_than_its_file_plus_a_day_is_not_loaded(rows: Rows) -> None:
    orders = file("orders", at("10 Mar"))
    good = rows.line("A", at("11 Mar", "12:00"), file=orders)
    bad = rows.line("B", at("11 Mar", "12:01"), file=orders)
    assert [line.order_id for line in latest_order_lines(case_of(good, bad))] == ["A"]


# ---------------------------------------------------------------- deliveries and versions


def test_split_parcel_is_delivered_with_its_first_line_and_its_products_on_their_own_days(
    rows: Rows,
) -> None:
    tables = tables_of(
        rows.line("A", at("10 Mar"), sku="sku-1", name="First"),
        rows.line("A", at("20 Mar"), sku="sku-2", name="Second"),
        rows.line("A", None, sku="sku-3", name="Third"),
    )
    assert min(tables["shop_metrics_daily"])[1] == date(2025, 3, 10)
    first_days = {
        key: min(day for _, of_key, day in tables["product_metrics_daily"] if of_key == key)
        for _, key, _ in tables["product_metrics_daily"]
    }
    assert first_days == {
        "name:First": date(2025, 3, 10),
        "name:Second": date(2025, 3, 20),
    }


def test_latest_export_of_an_order_line_wins_whole(rows: Rows) -> None:
    old = rows.line("A", at("10 Mar"), file=file("orders", at("15 Mar")))
    new = rows.line("A", None, file=file("orders", at("16 Mar")))
    for versions in ([old, new], [new, old]):
        (line,) = latest_order_lines(case_of(*versions))
        assert line.delivered_at is None


def test_file_id_then_row_number_break_ties_between_versions(rows: Rows) -> None:
    first = rows.line("A", at("10 Mar"), file=file("orders", LATE, "f1"))
    later_row = rows.line("A", at("11 Mar"), file=file("orders", LATE, "f1"))
    (line,) = latest_order_lines(case_of(later_row, first))
    assert line.delivered_at == at("11 Mar")
    other_file = dataclasses.replace(first, file=file("orders", LATE, "f2"))
    (line,) = latest_order_lines(case_of(first, other_file, later_row))
    assert line.file.file_id == "f2"


def test_column_that_a_newer_layout_lacks_keeps_its_earlier_value(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    voided = rows.request(
        "A",
        at("5 Mar"),
        status=None,
        sub_status="Request Canceled",
        file=file("returns", at("6 Mar")),
    )
    older_layout = dataclasses.replace(
        voided,
        file=file("returns", at("9 Mar")),
        return_status="Completed",
        return_sub_status=None,
        missing=frozenset({"return_sub_status"}),
    )
    assert shop_row(order, voided, older_layout)["seller_fault_return_orders"] == 0
    blank_cell = dataclasses.replace(older_layout, missing=frozenset())
    assert shop_row(order, voided, blank_cell)["seller_fault_return_orders"] == 1


def test_review_edited_later_wins_over_an_export_made_later(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    edited = rows.review(
        "A", at("5 Mar"), rating=5, updated_at=at("8 Mar"), file=file("reviews", at("9 Mar"))
    )
    stale_copy = dataclasses.replace(
        edited, rating=1, updated_at=None, file=file("reviews", at("20 Mar"))
    )
    assert shop_row(order, edited, stale_copy)["negative_review_orders"] == 0


def test_rating_basis_initial_takes_the_first_rating_and_the_latest_issue(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    first = rows.review("A", at("5 Mar"), rating=1)
    edited = dataclasses.replace(
        first, rating=4, issue_type="rude_service", updated_at=at("8 Mar"), row_number=99
    )
    assert shop_row(order, first, edited)["negative_review_orders"] == 0
    row = shop_row(order, first, edited, rating_basis="initial")
    assert (row["negative_review_orders"], row["service_negative_review_orders"]) == (1, 1)


# ---------------------------------------------------------------- NRR


def test_review_before_the_delivery_counts_from_the_delivery_on(rows: Rows) -> None:
    of_shop = tables_of(
        rows.line("Z", at("1 Mar")), rows.line("A", at("10 Mar")), rows.review("A", at("3 Mar"))
    )["shop_metrics_daily"]
    assert of_shop["s", date(2025, 3, 9)]["negative_review_orders"] == 0
    assert of_shop["s", date(2025, 3, 10)]["negative_review_orders"] == 1


def test_review_after_the_window_never_counts(rows: Rows) -> None:
    of_shop = tables_of(
        rows.line("A", at("1 Mar")), rows.review("A", at("31 Mar")), as_of=date(2025, 4, 30)
    )["shop_metrics_daily"]
    assert {row["negative_review_orders"] for row in of_shop.values()} == {0}


def test_order_with_several_reviews_counts_once_and_in_every_split_it_earns(rows: Rows) -> None:
    row = shop_row(
        rows.line("A", at("1 Mar")),
        rows.line("B", at("2 Mar")),
        rows.review("A", at("5 Mar"), issue_type="wrong_item"),
        rows.review("A", at("6 Mar"), issue_type="misleading_listing"),
        rows.review("A", at("7 Mar"), rating=3),
        day=date(2025, 3, 20),
    )
    assert row["nrr"] == row["nrr_seller"] == row["nrr_product"] == row["nrr_service"] == 0.5


def test_logistics_review_counts_in_nrr_and_never_in_nrr_seller(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    row = shop_row(order, rows.review("A", at("5 Mar"), issue_type="late_delivery"))
    assert (row["negative_review_orders"], row["seller_negative_review_orders"]) == (1, 0)


def test_low_rating_without_comment_counts_for_the_seller_unless_the_setting_says_no(
    rows: Rows,
) -> None:
    order = rows.line("A", at("2 Mar"))
    silent = rows.review("A", at("5 Mar"), review_text="  ", issue_type=None)
    assert only_event(order, silent)["reason_code"] == "no_comment"
    assert shop_row(order, silent)["seller_negative_review_orders"] == 1
    row = shop_row(order, silent, no_comment_in_nrr_seller=False)
    assert (row["negative_review_orders"], row["seller_negative_review_orders"]) == (1, 0)


def test_issue_type_that_is_no_review_reason_gives_way_to_the_text(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    for issue_type in ("damaged", "unmapped", "no_such_code"):
        assert only_event(order, rows.review("A", at("5 Mar"), issue_type=issue_type)) == {
            "order_id": "A",
            "product_key": "name:Mug",
            "event_date": date(2025, 3, 5),
            "rating": 1,
            "reason_code": "unclassified",
            "category": "other",
            "fault": "unknown",
            "is_negative": True,
            "complaint_type": None,
            "reason_rule": "no_rule_fits",
        }


def test_classification_rule_acts_on_reviews_of_its_dates_only(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    rule = ClassificationRule("TOO late", "late_delivery", valid_from=date(2025, 3, 6))
    review = rows.review("A", at("5 Mar"), review_text="Much too  late", issue_type=None)
    event = only_event(order, review, classification=(rule,))
    assert event["reason_code"] == "unclassified"
    review = dataclasses.replace(review, created_at=at("6 Mar"))
    event = only_event(order, review, classification=(rule,))
    assert (event["reason_code"], event["category"]) == ("late_delivery", "logistics")


def test_decision_of_a_person_wins_over_issue_type_and_classification_rule(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    rule = ClassificationRule("words", "late_delivery")
    for issue_type in ("courier_issue", None):
        review = rows.review("A", at("5 Mar"), issue_type=issue_type)
        decision = rows.override(review, "Wrong_Item")
        event = only_event(order, review, decision, classification=(rule,))
        assert (event["reason_code"], event["category"]) == ("wrong_item", "service")


@pytest.mark.parametrize("reason_code", ["damaged", "no_such_code", None])
def test_decision_for_no_reason_of_reviews_is_passed_over(
    rows: Rows, reason_code: str | None
) -> None:
    review = rows.review("A", at("5 Mar"), issue_type="courier_issue")
    event = only_event(rows.line("A", at("2 Mar")), review, rows.override(review, reason_code))
    assert event["reason_code"] == "courier_issue"


def test_latest_decision_on_a_review_stands_and_a_blank_one_takes_it_back(rows: Rows) -> None:
    order, review = rows.line("A", at("2 Mar")), rows.review("A", at("5 Mar"))
    first = rows.override(review, "wrong_item", file=file("review_overrides", at("6 Mar")))
    second = rows.override(review, "rude_service", file=file("review_overrides", at("7 Mar")))
    assert only_event(order, review, second, first)["reason_code"] == "rude_service"
    blank = rows.override(review, None, file=file("review_overrides", at("8 Mar")))
    assert only_event(order, review, second, first, blank)["reason_code"] == "not_as_described"


# ---------------------------------------------------------------- complaints


def test_complaint_is_a_negative_event_in_neither_nrr_nor_sfrr(rows: Rows) -> None:
    tables = tables_of(rows.line("A", at("2 Mar")), rows.complaint("A", at("5 Mar")))
    (event,) = tables["feedback_events"].values()
    assert event == {
        "order_id": "A",
        "product_key": "name:Mug",
        "event_date": date(2025, 3, 5),
        "rating": None,
        "reason_code": "unclassified",
        "category": "other",
        "fault": "unknown",
        "is_negative": True,
        "complaint_type": "order",
        "reason_rule": None,
    }
    row = tables["shop_metrics_daily"]["s", MAR_31]
    assert (row["negative_review_orders"], row["seller_fault_return_orders"]) == (0, 0)
    assert (row["complaint_orders"], row["negative_feedback_orders"]) == (1, 1)
    assert tables["reason_metrics_daily"] == {}


@pytest.mark.parametrize(
    ("complaint_type", "subtype", "reason_code", "counts"),
    [
        ("After Sale", "Product quality", "defective_or_low_quality", True),
        ("AFTER  SALE ", "poor SERVICE", "poor_service", True),
        ("After Sale", "Zzz no such subtype", "unclassified", True),
        ("Complaint", None, "unclassified", True),
        ("Fulfillment & Delivery", "Poor service", "delivery_issue", False),
        ("Payments", None, "platform_issue", False),
        ("Zzz no such type", "Poor service", "unclassified", True),
        (None, None, "unclassified", True),
    ],
)
def test_complaint_counts_where_its_type_is_the_sellers_matter_or_does_not_say(
    rows: Rows, complaint_type: str | None, subtype: str | None, reason_code: str, counts: bool
) -> None:
    complaint = rows.complaint(
        "A", at("5 Mar"), complaint_type=complaint_type, complaint_subtype=subtype
    )
    tables = tables_of(rows.line("A", at("2 Mar")), complaint)
    row = tables["shop_metrics_daily"]["s", MAR_31]
    assert row["complaint_orders"] == row["negative_feedback_orders"] == int(counts)
    key = ("s", MAR_31, type_key(complaint), reason_code)
    assert tables["complaint_metrics_daily"][key]["is_counted"] == counts
    assert tables["complaint_metrics_daily"][key]["orders"] == 1


def test_worked_example_with_complaints_counts_each_order_once(rows: Rows) -> None:
    """A: review and complaint, B: out, C: review and request, D: complaint about the service."""
    versions = [
        rows.line("A", at("2 Mar")),
        rows.line("B", at("1 Mar")),
        rows.line("C", at("20 Mar")),
        rows.line("D", at("30 Mar")),
        rows.review("A", at("31 Mar")),
        rows.review("B", at("5 Mar")),
        rows.review("C", at("25 Mar"), issue_type="rude_service"),
        rows.request("C", at("28 Mar")),
        rows.complaint("A", at("30 Mar"), complaint_id="c-1"),
        rows.complaint("B", at("6 Mar"), complaint_id="c-2"),
        rows.complaint(
            "D",
            at("31 Mar"),
            complaint_id="c-3",
            complaint_type="After Sale",
            complaint_subtype="Poor service",
        ),
    ]
    case = case_of(*versions, loaded=(*BOTH_LOADED, "complaints"))
    row = compute_shop(case, MAR_31)["shop_metrics_daily"]["s", MAR_31]
    assert row["delivered_orders"] == 3
    assert (row["complaint_orders"], row["complaint_rate"]) == (2, 2 / 3)
    assert (row["negative_feedback_orders"], row["negative_feedback_rate"]) == (3, 1.0)
    assert row["product_negative_feedback_orders"] == 2
    assert row["service_negative_feedback_orders"] == 2


@pytest.mark.parametrize(
    ("loaded", "state", "complaint_state"),
    [
        (("reviews", "returns", "complaints"), "ok", "ok"),
        (("reviews", "returns"), "ok", "not_loaded"),
        (("reviews", "complaints"), "not_loaded", "ok"),
        (("returns", "complaints"), "not_loaded", "ok"),
    ],
)
def test_negative_feedback_is_known_once_reviews_and_returns_are_loaded(
    rows: Rows, loaded: tuple[str, ...], state: str, complaint_state: str
) -> None:
    case = case_of(rows.line("A", at("2 Mar")), loaded=("orders", *loaded))
    row = compute_shop(case, MAR_31)["shop_metrics_daily"]["s", MAR_31]
    assert (row["negative_feedback_state"], row["complaint_state"]) == (state, complaint_state)
    assert (row["negative_feedback_rate"] is None) == (state != "ok")


# ---------------------------------------------------------------- chats


def chat_row(*versions: Version, day: date = MAR_31, **options: Any) -> Row:
    """Compute the reply figures of one day of a shop whose chats reach to the end of June."""
    line = Rows().line("A", at("1 Jan"))
    case = case_of(line, *versions, loaded=("orders", "chats"))
    row = compute_shop(case, day, Settings(**options))["shop_metrics_daily"]["s", day]
    return {name: value for name, value in row.items() if "chat" in name or "reply" in name}


def test_worked_example_of_chats(rows: Rows) -> None:
    """Of 31 March: out, in time to the second, a second late, without reply, due tomorrow."""
    found = chat_row(
        rows.chat(at("1 Mar", "23:59"), at("2 Mar", "00:30")),
        rows.chat(at("2 Mar", "00:00"), at("2 Mar", "12:00")),
        rows.chat(at("3 Mar", "08:00"), at("3 Mar", "20:00") + timedelta(seconds=1)),
        rows.chat(at("31 Mar", "11:59"), None),
        rows.chat(at("31 Mar", "12:00"), None),
        rows.chat(at("10 Mar"), at("10 Mar", "13:00"), initiated_by="Seller"),
    )
    assert found == {
        "chats": 3,
        "chats_replied_in_time": 1,
        "chat_reply_rate": 1 / 3,
        "median_reply_hours": 12 + 1 / 7200,
        "p90_reply_hours": 12 + 1 / 3600,
        "chat_state": "ok",
    }


def test_reply_after_the_day_does_not_count_for_it(rows: Rows) -> None:
    chat = rows.chat(at("31 Mar", "13:00"), at("1 Apr", "00:30"))
    assert chat_row(chat)["chats"] == 0
    assert chat_row(chat, day=date(2025, 4, 1))["chats_replied_in_time"] == 1


def test_chat_without_reply_is_not_late_before_an_export_of_chats_reaches_its_time(
    rows: Rows,
) -> None:
    exported = file("chats", at("10 Mar", "17:00"))
    due, not_yet = at("10 Mar", "05:00"), at("10 Mar", "05:01")
    line = rows.line("A", at("1 Mar"))
    case = case_of(
        line, rows.chat(due, file=exported), rows.chat(not_yet, file=exported), loaded=("orders",)
    )
    row = compute_shop(case, date(2025, 3, 10))["shop_metrics_daily"]["s", date(2025, 3, 10)]
    assert (row["chats"], row["chats_replied_in_time"], row["chat_state"]) == (1, 0, "ok")


def test_other_hours_may_be_set_for_chats(rows: Rows) -> None:
    chat = rows.chat(at("3 Mar", "08:00"), at("4 Mar", "08:00"))
    assert chat_row(chat, chat_reply_hours=24)["chats_replied_in_time"] == 1
    assert chat_row(chat)["chats_replied_in_time"] == 0


def test_complaint_that_names_no_order_is_kept_and_laid_at_no_product(rows: Rows) -> None:
    event = only_event(rows.line("A", at("2 Mar")), rows.complaint(None, at("5 Mar"), sku_id=None))
    assert (event["order_id"], event["product_key"]) == (None, UNATTRIBUTED)


def test_latest_export_of_a_complaint_wins(rows: Rows) -> None:
    old = rows.complaint("A", at("5 Mar"), file=file("complaints", at("6 Mar")))
    new = rows.complaint("B", at("5 Mar"), file=file("complaints", at("7 Mar")))
    assert only_event(new, old)["order_id"] == "B"


# ---------------------------------------------------------------- SFRR


@pytest.mark.parametrize(
    ("status", "sub_status", "counts"),
    [
        ("To process", None, True),
        ("In process", None, True),
        ("Completed", "Refund issued", True),
        (None, None, True),
        ("Zzz no such status", None, True),
        ("Canceled", None, False),
        ("Cancelled", None, False),
        ("Refund rejected", None, False),
        ("Rejected", None, False),
        ("Completed", "Request Canceled", False),
        (None, "Request Canceled", False),
    ],
)
def test_request_counts_unless_either_status_voids_it(
    rows: Rows, status: str | None, sub_status: str | None, counts: bool
) -> None:
    order = rows.line("A", at("2 Mar"))
    request = rows.request("A", at("5 Mar"), status=status, sub_status=sub_status)
    assert shop_row(order, request)["seller_fault_return_orders"] == int(counts)
    assert only_event(order, request)["is_negative"] is counts


def test_outcome_policy_acts_by_the_date_of_the_request(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    policy = (Outcome("Completed", voids=True, valid_to=date(2025, 3, 5)),)
    requests = [rows.request("A", at(day)) for day in ("5 Mar", "6 Mar")]
    assert not only_event(order, requests[0], outcomes=policy)["is_negative"]
    assert only_event(order, requests[1], outcomes=policy)["is_negative"]


@pytest.mark.parametrize(
    ("text", "reason_code"),
    [
        ("Product doesn\u2019t match description", "not_as_described"),
        ("  wrong PRODUCT\u00a0 sent", "wrong_item"),
        ("สินค้าหมดอายุ", "expired"),
        ("Poor quality, truly", "unmapped"),
        (None, "unmapped"),
    ],
)
def test_return_reason_is_matched_whole_after_folding(
    rows: Rows, text: str | None, reason_code: str
) -> None:
    event = only_event(rows.line("A", at("2 Mar")), rows.request("A", at("5 Mar"), text))
    assert event["reason_code"] == reason_code


@pytest.mark.parametrize(
    ("code", "text", "reason_code"),
    [
        ("ecom_order_delivered_refund_reason_damaged", "Poor quality", "damaged"),
        ("ECOM_order_delivered_refund_reason_damaged", None, "damaged"),
        ("zzz_no_such_code", "Poor quality", "poor_quality"),
        ("zzz_no_such_code", "Zzz no such reason", "unmapped"),
        (None, "ecom_order_delivered_refund_reason_damaged", "damaged"),
    ],
)
def test_code_goes_before_the_text_and_an_unknown_code_gives_way_to_it(
    rows: Rows, code: str | None, text: str | None, reason_code: str
) -> None:
    request = rows.request("A", at("5 Mar"), text, return_reason_code=code)
    assert only_event(rows.line("A", at("2 Mar")), request)["reason_code"] == reason_code


@pytest.mark.parametrize(
    ("arbitration", "counts"),
    [("SUPPORT_SELLER", False), ("SUPPORT_BUYER", True), ("ZZZ", True), (None, True)],
)
def test_arbitration_that_the_seller_won_voids_a_request(
    rows: Rows, arbitration: str | None, counts: bool
) -> None:
    request = rows.request("A", at("5 Mar"), arbitration_status=arbitration)
    row = shop_row(rows.line("A", at("2 Mar")), request)
    assert row["seller_fault_return_orders"] == int(counts)


def test_reason_that_is_not_the_sellers_is_listed_but_not_counted(rows: Rows) -> None:
    tables = tables_of(
        rows.line("A", at("2 Mar")),
        rows.request("A", at("5 Mar"), "Change of mind"),
        rows.request("A", at("6 Mar"), "Poor quality"),
    )
    of_reason = tables["reason_metrics_daily"]
    assert of_reason["s", MAR_31, "sfrr", "change_of_mind"] == {
        "category": "buyer",
        "fault": "buyer",
        "is_counted": False,
        "orders": 1,
        "delivered_orders": 1,
        "rate": 1.0,
        "share": None,
        "rank": None,
    }
    assert of_reason["s", MAR_31, "sfrr", "poor_quality"]["rank"] == 1
    assert tables["shop_metrics_daily"]["s", date(2025, 3, 5)]["sfrr"] == 0.0


def test_reason_whose_fault_changes_counts_by_the_date_of_the_request(rows: Rows) -> None:
    reasons = (
        Reason("poor_quality", "product", "unknown", False, True, valid_to=date(2025, 3, 5)),
        Reason("poor_quality", "product", "seller", False, True, valid_from=date(2025, 3, 6)),
    )
    tables = tables_of(
        rows.line("A", at("2 Mar")),
        rows.line("B", at("2 Mar")),
        rows.request("A", at("5 Mar")),
        rows.request("B", at("6 Mar")),
        reasons=reasons,
    )
    assert tables["shop_metrics_daily"]["s", MAR_31]["seller_fault_return_orders"] == 1
    of_reason = tables["reason_metrics_daily"]
    assert not of_reason["s", date(2025, 3, 5), "sfrr", "poor_quality"]["is_counted"]
    row = of_reason["s", MAR_31, "sfrr", "poor_quality"]
    assert (row["is_counted"], row["orders"], row["share"]) == (True, 1, 1.0)


def test_order_with_two_reasons_is_in_both_and_ties_rank_by_code(rows: Rows) -> None:
    of_reason = tables_of(
        rows.line("A", at("2 Mar")),
        rows.line("B", at("2 Mar")),
        rows.review("A", at("5 Mar"), issue_type="wrong_item"),
        rows.review("A", at("6 Mar"), issue_type="missing_item"),
        rows.review("B", at("7 Mar"), issue_type="slow_chat_reply"),
    )["reason_metrics_daily"]
    today = {key[3]: row for key, row in of_reason.items() if key[1] == MAR_31}
    ranks = {code: (row["orders"], row["rank"]) for code, row in today.items()}
    assert ranks == {"missing_item": (1, 1), "slow_chat_reply": (1, 2), "wrong_item": (1, 3)}
    assert sum(row["share"] for row in today.values()) == 1.5


# ---------------------------------------------------------------- products


def test_product_id_comes_from_the_catalogue_before_a_review(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    reviews = [
        rows.review("A", at("5 Mar"), product_id="p-old"),
        rows.review("A", at("6 Mar"), product_id="p-new"),
    ]
    assert product_keys(case_of(order, *reviews), Settings()) == {"sku-1": "p-new"}
    listed = [
        rows.product("p-1", "sku-1", file=file("products", at("7 Mar"))),
        rows.product("p-2", "sku-1", file=file("products", at("8 Mar"))),
    ]
    assert product_keys(case_of(order, *reviews, *listed), Settings()) == {"sku-1": "p-2"}


def test_sku_of_unknown_product_joins_the_only_product_of_its_normalised_name(
    rows: Rows,
) -> None:
    versions: list[Version] = [
        rows.line("A", at("2 Mar"), sku="sku-1", name="  Cafe\u0301   Mug "),
        rows.product("p-1", "sku-2", "Caf\u00e9 Mug"),
    ]
    assert product_keys(case_of(*versions), Settings()) == {"sku-1": "p-1", "sku-2": "p-1"}
    versions.append(rows.product("p-2", "sku-3", "Caf\u00e9 Mug"))
    assert product_keys(case_of(*versions), Settings())["sku-1"] == "name:Caf\u00e9 Mug"


def test_latest_line_of_a_sku_gives_its_name(rows: Rows) -> None:
    old = rows.line("A", at("2 Mar"), name="Mug", file=file("orders", at("3 Mar")))
    new = rows.line("B", None, name="Cup", file=file("orders", at("4 Mar")))
    listed = rows.product("p-1", "sku-9", "Mug")
    keys = product_keys(case_of(new, old, listed), Settings())
    assert keys["sku-1"] == "name:Cup"


def test_blank_sku_id_goes_by_its_seller_sku(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"), sku=None, seller_sku="MUG-1")
    request = rows.request("A", at("5 Mar"), sku_id=None, seller_sku="MUG-1")
    assert product_keys(case_of(order), Settings()) == {"seller_sku:MUG-1": "name:Mug"}
    assert only_event(order, request)["product_key"] == "name:Mug"


def test_event_without_product_and_sku_is_the_orders_only_product_or_nobodys(
    rows: Rows,
) -> None:
    blank = rows.review("A", at("5 Mar"), sku_id=None)
    one = rows.line("A", at("2 Mar"), sku="sku-1", name="Mug")
    same = rows.line("A", at("2 Mar"), sku="sku-2", name=" Mug ")
    other = rows.line("A", None, sku="sku-3", name="Cup")
    assert only_event(one, same, blank)["product_key"] == "name:Mug"
    tables = tables_of(one, other, blank)
    (event,) = tables["feedback_events"].values()
    assert event["product_key"] == UNATTRIBUTED
    assert tables["shop_metrics_daily"]["s", MAR_31]["negative_review_orders"] == 1
    assert tables["product_metrics_daily"]["s", "name:Mug", MAR_31]["negative_review_orders"] == 0
    assert tables["product_reason_metrics_daily"] == {}


def test_event_on_an_unknown_order_or_sku_is_kept_and_counts_for_no_product(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    on_ghost = rows.review("ghost", at("5 Mar"), sku_id=None, product_id="p-1")
    assert only_event(order, on_ghost)["product_key"] == "p-1"
    assert shop_row(order, on_ghost)["negative_review_orders"] == 0
    on_ghost_sku = rows.review("A", at("5 Mar"), sku_id="sku-9")
    assert only_event(order, on_ghost_sku)["product_key"] == UNATTRIBUTED
    assert shop_row(order, on_ghost_sku)["negative_review_orders"] == 1


def test_product_reasons_follow_the_products_own_delivery(rows: Rows) -> None:
    tables = tables_of(
        rows.line("A", at("1 Mar"), sku="sku-1", name="First"),
        rows.line("A", at("20 Mar"), sku="sku-2", name="Second"),
        rows.review("A", at("5 Mar"), sku_id="sku-2"),
    )
    of_reason = tables["product_reason_metrics_daily"]
    assert {key[1] for key in of_reason} == {"name:Second"}
    assert min(key[2] for key in of_reason) == date(2025, 3, 20)
    assert tables["shop_metrics_daily"]["s", MAR_31]["negative_review_orders"] == 0
    of_product = tables["product_metrics_daily"]["s", "name:Second", MAR_31]
    assert of_product["negative_review_orders"] == 1


# ---------------------------------------------------------------- states


def test_shop_that_never_had_a_file_of_a_dataset_is_not_loaded(rows: Rows) -> None:
    case = case_of(rows.line("A", at("2 Mar")), loaded=("reviews",))
    row = compute_shop(case, MAR_31)["shop_metrics_daily"]["s", MAR_31]
    assert (row["nrr"], row["nrr_state"]) == (0.0, "ok")
    assert (row["sfrr"], row["sfrr_state"]) == (None, "not_loaded")


def test_day_after_the_last_export_is_stale_with_counts_but_no_rates(rows: Rows) -> None:
    reviews = file("reviews", at("10 Mar", "09:30"))
    case = case_of(
        rows.line("A", at("2 Mar")),
        rows.review("A", at("5 Mar"), file=reviews),
        loaded=("returns",),
    )
    tables = compute_shop(case, MAR_31)
    of_shop = tables["shop_metrics_daily"]
    assert of_shop["s", date(2025, 3, 10)]["nrr_state"] == "ok"
    row = of_shop["s", date(2025, 3, 11)]
    assert (row["nrr_state"], row["sfrr_state"]) == ("stale", "ok")
    assert (row["negative_review_orders"], row["nrr"], row["nrr_seller"]) == (1, None, None)
    key = ("s", "name:Mug", date(2025, 3, 11))
    of_product = tables["product_metrics_daily"][key]
    assert (of_product["negative_review_orders"], of_product["nrr"]) == (1, None)
    of_reason = tables["reason_metrics_daily"]["s", date(2025, 3, 11), "nrr", "not_as_described"]
    assert (of_reason["rate"], of_reason["share"], of_reason["rank"]) == (None, 1.0, 1)


def test_late_orders_make_both_metrics_stale(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"), file=file("orders", at("10 Mar")))
    row = shop_row(order, day=date(2025, 3, 11))
    assert (row["nrr_state"], row["sfrr_state"]) == ("stale", "stale")


def test_file_without_rows_moves_what_is_covered(rows: Rows) -> None:
    order = rows.line("A", at("2 Mar"))
    quiet_week = dataclasses.replace(
        case_of(order, loaded=()), files=(order.file, file("returns", at("20 Mar")))
    )
    of_shop = compute_shop(quiet_week, MAR_31)["shop_metrics_daily"]
    assert of_shop["s", date(2025, 3, 20)]["sfrr"] == 0.0
    assert of_shop["s", date(2025, 3, 21)]["sfrr_state"] == "stale"


# ---------------------------------------------------------------- random shops


few = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@few
@given(shop_case(max_orders=6, shrinkable=True))
def test_figures_do_not_depend_on_the_order_of_rows_and_files(case: ShopCase) -> None:
    shuffled = dataclasses.replace(
        case,
        files=case.files[::-1],
        order_lines=case.order_lines[::-1],
        reviews=case.reviews[::-1],
        return_lines=case.return_lines[::-1],
        products=case.products[::-1],
        complaints=case.complaints[::-1],
        overrides=case.overrides[::-1],
        platform_metrics=case.platform_metrics[::-1],
        chats=case.chats[::-1],
    )
    assert compute([shuffled]) == compute([case])


@few
@given(shop_case())
def test_numerators_lie_between_their_largest_reason_and_the_sum_of_reasons(
    case: ShopCase,
) -> None:
    tables = compute([case])
    for (shop_id, day), row in tables["shop_metrics_daily"].items():
        for metric, numerator in [
            ("nrr", row["negative_review_orders"]),
            ("sfrr", row["seller_fault_return_orders"]),
        ]:
            orders = [
                reason["orders"]
                for key, reason in tables["reason_metrics_daily"].items()
                if key[:3] == (shop_id, day, metric) and reason["is_counted"]
            ]
            assert max(orders, default=0) <= numerator <= sum(orders)
            assert numerator <= row["delivered_orders"]
        parts = [row["negative_review_orders"], row["seller_fault_return_orders"]]
        parts.append(row["complaint_orders"])
        assert max(parts) <= row["negative_feedback_orders"] <= sum(parts)
        assert row["chats_replied_in_time"] <= row["chats"]
    for row in tables["product_metrics_daily"].values():
        assert row["negative_review_orders"] <= row["delivered_orders"]
        assert row["seller_fault_return_orders"] <= row["delivered_orders"]


@few
@given(shop_case())
def test_past_days_stay_as_they_are_when_as_of_moves_on(case: ShopCase) -> None:
    last_day = default_as_of([case])
    if last_day is None:
        return
    now, earlier = compute([case], last_day), compute([case], last_day - timedelta(days=20))
    for table in ("shop_metrics_daily", "product_metrics_daily", "reason_metrics_daily"):
        for key, row in earlier[table].items():
            assert now[table][key] == row


@few
@given(shop_case(index=7))
def test_random_rows_have_ids_of_their_shop_and_no_event_after_their_export(
    case: ShopCase,
) -> None:
    versions: list[Version] = [
        *case.order_lines,
        *case.reviews,
        *case.return_lines,
        *case.complaints,
        *case.chats,
        *case.overrides,
    ]
    for version in versions:
        assert all(time <= version.file.exported_at for time in event_times(version))
    for line in case.order_lines:
        assert line.order_id.isdigit()
        assert len(line.order_id) in (18, 19)
        assert line.order_id[1:5] == "0007"


def test_random_shops_differ_from_each_other_and_reach_every_state() -> None:
    cases = [generate_shop(random.Random(f"states {index}"), index) for index in range(30)]
    assert len({case.contents for case in cases}) == 30
    of_shop = compute(cases)["shop_metrics_daily"]
    states = ("nrr_state", "sfrr_state", "complaint_state", "negative_feedback_state", "chat_state")
    for state in states:
        assert {row[state] for row in of_shop.values()} == {"ok", "not_loaded", "stale"}


# ---------------------------------------------------------------- other definitions


def counts_of(tables: Tables, code: str, day: date = MAR_31) -> tuple[int, int]:
    row = tables["metric_variants_daily"]["s", day, code]
    return row["numerator"], row["denominator"]


def test_a_variant_that_changes_nothing_is_the_metric(worked_example: Tables) -> None:
    assert counts_of(worked_example, "nrr") == (2, 3)
    assert counts_of(worked_example, "sfrr") == (1, 3)
    of_shop = worked_example["shop_metrics_daily"]
    for (_, day, code), row in worked_example["metric_variants_daily"].items():
        if code == row["metric"]:
            assert row["rate"] == of_shop["s", day][code]


def test_windows_anchors_and_denominators_count_other_orders(rows: Rows) -> None:
    tables = tables_of(
        rows.line("old", at("20 Jan"), created_at=at("10 Jan")),
        rows.review("old", at("10 Mar")),
        rows.line("60 days", at("31 Jan"), created_at=at("20 Jan")),
        rows.review("60 days", at("5 Feb")),
        rows.line("30 days", at("2 Mar"), created_at=at("1 Mar")),
        rows.review("30 days", at("3 Mar")),
        rows.line("on its way", None, created_at=at("2 Mar")),
        rows.review("on its way", at("20 Mar")),
    )
    assert counts_of(tables, "nrr") == (1, 1)
    assert counts_of(tables, "nrr_60d") == (2, 2)
    assert counts_of(tables, "nrr_period") == (2, 1)
    assert counts_of(tables, "nrr_created") == (1, 1)


def test_stars_comments_and_rejections_decide_what_is_negative(rows: Rows) -> None:
    first = rows.review("A", at("3 Mar"), rating=1, review_text=None, issue_type=None)
    tables = tables_of(
        rows.line("A", at("2 Mar")),
        first,
        dataclasses.replace(first, rating=4, updated_at=at("4 Mar")),
        rows.line("B", at("2 Mar")),
        rows.review("B", at("3 Mar"), review_text=" ", issue_type=None),
        rows.line("C", at("2 Mar")),
        rows.request("C", at("3 Mar"), status="Refund rejected"),
        rows.line("D", at("2 Mar")),
        rows.request("D", at("3 Mar"), status="Refund rejected", sub_status="Request Canceled"),
    )
    assert counts_of(tables, "nrr") == (1, 4)
    assert counts_of(tables, "nrr_initial") == (2, 4)
    assert counts_of(tables, "nrr_commented") == (0, 4)
    assert counts_of(tables, "sfrr") == (0, 4)
    assert counts_of(tables, "sfrr_rejected") == (1, 4)


def test_a_variant_is_there_while_it_is_in_force(rows: Rows) -> None:
    variant = Variant("mine", "nrr", valid_from=date(2025, 3, 3), valid_to=date(2025, 3, 4))
    tables = tables_of(rows.line("A", at("2 Mar")), variants=(variant,))
    days = [day.day for _, day, _ in tables["metric_variants_daily"]]
    assert days == [3, 4]


def shown(row_number: int, day: date, value: float, metric: str = "nrr", **more: Any) -> Version:
    noted = {"metric_date": day, "metric": metric, "value": value, "window_days": None, **more}
    return PlatformMetric(file("platform_metrics"), row_number, **noted)


def test_the_variant_nearest_over_all_days_explains_and_only_one_of_the_window_noted(
    rows: Rows,
) -> None:
    mar_30 = date(2025, 3, 30)
    tables = tables_of(
        rows.line("A", at("31 Jan")),
        rows.review("A", at("5 Feb")),
        rows.line("B", at("2 Mar")),
        rows.line("C", at("2 Mar")),
        shown(2, MAR_31, 0.9),
        shown(3, MAR_31, 0.3333, metric="NRR"),
        shown(4, mar_30, 0.1),
        shown(5, MAR_31, 0.3333, window_days=30),
        shown(6, MAR_31, 0.5, metric="gmv"),
        shown(7, date(2025, 4, 1), 0.5),
    )
    found = {key[1:]: row for key, row in tables["reconciliation"].items()}
    assert found.keys() == {
        (MAR_31, "nrr", None),
        (mar_30, "nrr", None),
        (MAR_31, "nrr", 30),
        (MAR_31, "gmv", None),
    }
    row = found[MAR_31, "nrr", None]
    assert (row["platform_value"], row["rate"], row["explained_by"]) == (0.3333, 0.0, "nrr_60d")
    assert row["is_explained"] is True
    assert row["explained_by_mean_difference"] == pytest.approx((1 / 3 - 0.3333 + 1 / 3 - 0.1) / 2)
    assert found[mar_30, "nrr", None]["nearest_variant"] == "nrr"
    assert found[mar_30, "nrr", None]["is_explained"] is False
    assert found[MAR_31, "nrr", 30]["explained_by"] == "nrr"
    assert found[MAR_31, "gmv", None]["explained_by"] is None


# ---------------------------------------------------------------- exports and comparison


def test_written_files_hold_the_rows_of_the_case_under_their_row_numbers(tmp_path: Path) -> None:
    cases = [generate_shop(random.Random(f"files {index}"), index) for index in range(10)]
    write_case(tmp_path, cases)
    for case in cases:
        landing = tmp_path / "landing" / case.shop.shop_id
        for line in case.order_lines:
            text = (landing / "orders" / line.file.file_name).read_text("utf-8-sig")
            records = _records(text)
            assert records[0][0] == "Order ID"
            assert records[line.row_number - 1][0].strip() == line.order_id
        for review in case.reviews:
            text = (landing / "reviews" / review.file.file_name).read_text("utf-8-sig")
            assert _records(text)[review.row_number - 1][0] == review.review_id


def _records(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module")
def case_and_marts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShopCase, Path]:
    """Publish what the reference computes for a random shop, as the marts would be."""
    case = generate_shop(random.Random("published 36"), 0, max_orders=4)
    path = tmp_path_factory.mktemp("reference") / "marts.duckdb"
    tables = compute([case])
    with duckdb.connect(str(path)) as connection:
        for table, grain in GRAINS.items():
            columns = [*grain, *COLUMNS[table]]
            if table == "product_metrics_daily":
                columns.append("product_name")
            rows: list[list[Any]] = [
                [*key, *(row[column] for column in COLUMNS[table])]
                for key, row in tables[table].items()
            ]
            if table == "product_metrics_daily":
                for row in rows:
                    row.append(f" {_a_name(case, row[1])} ")
            connection.execute(f"create table {table} ({', '.join(_typed(columns, rows))})")
            for row in rows:
                connection.table(table).insert(row)
    of_last_window = {"feedback_costs", "watchlist"}
    empty = {table for table, rows in tables.items() if not rows}
    assert empty <= of_last_window, "this seed leaves a table empty: take another"
    return case, path


@pytest.fixture
def published_case(case_and_marts: tuple[ShopCase, Path], tmp_path: Path) -> tuple[ShopCase, Path]:
    """The same as a copy, to be changed."""
    case, path = case_and_marts
    return case, Path(shutil.copy(path, tmp_path))


_TYPES = {
    bool: "boolean",
    int: "bigint",
    float: "double",
    date: "date",
    Decimal: "decimal(38, 10)",
    str: "varchar",
}


def _typed(columns: list[str], rows: list[list[Any]]) -> list[str]:
    """Give the columns with the types of their values."""
    typed = []
    for name, values in zip(columns, zip(*rows, strict=True) if rows else columns, strict=True):
        kinds = {_TYPES[type(value)] for value in values if rows and value is not None}
        typed.append(f'"{name}" {max(kinds, default="varchar")}')
    return typed


def _a_name(case: ShopCase, product_key: str) -> str:
    return sorted(product_names(case, Settings())[product_key])[0]


def test_comparison_finds_nothing_in_tables_that_are_the_references_own(
    published_case: tuple[ShopCase, Path],
) -> None:
    case, path = published_case
    published = read_published(path)
    assert differences(compute([case]), published) == []
    assert name_differences([case], published) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update shop_metrics_daily set nrr = 0.99 where nrr is not null", "nrr: expected"),
        ("update shop_metrics_daily set sfrr_state = null", "sfrr_state: expected"),
        ("delete from product_metrics_daily", "(row): expected {"),
        ("insert into feedback_events from feedback_events", "several rows"),
        (
            "update reason_metrics_daily set reason_code = 'other'",
            "reason_code=other (row): expected 'no row'",
        ),
        ("update product_metrics_daily set product_name = 'x'", "product_name: expected"),
    ],
)
def test_comparison_tells_what_differs(
    published_case: tuple[ShopCase, Path], change: str, told: str
) -> None:
    case, path = published_case
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
    published = read_published(path)
    found = differences(compute([case]), published) + name_differences([case], published)
    message = explain(found, [case], limit=10_000)
    assert told in message
    assert "shop_id=shop-000 " in message
    assert "orders/All order-" in message
