"""Every rule of the gates closes on a fault planted for it, and on nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from unittest.mock import ANY

import duckdb
import pytest

from dagster_project.lib.contracts import Rule, load_datasets
from dagster_project.lib.ledger import QualityResult
from dagster_project.lib.raw_store import LINEAGE
from dagster_project.lib.raw_views import show_known_orders
from dagster_project.lib.sql import identifier
from dagster_project.lib.warehouse import RUN_TABLES
from dagster_project.quality.gates import Offender, Suite, check, publish_suites, raw_suites
from tests.support import Published

Connection = duckdb.DuckDBPyConnection
Row = dict[str, Any]

NOON = datetime(2026, 3, 10, 12)
EXPORTED = datetime(2026, 3, 31, 20)
SUITE_OF = {rule.id: suite for suite in (*raw_suites(), *publish_suites()) for rule in suite.rules}


@dataclass(frozen=True)
class Fault:
    """What to do to good data, and what the rule must then say of it.

    `example` is among the examples and has all their keys; `also` are the other rules of the suite
    that the same fault closes.
    """

    plant: Callable[[Any], object]
    failed_rows: int
    example: Row
    also: frozenset[str] = frozenset()


def results_of(con: Connection, suite: Suite) -> dict[str, QualityResult]:
    return {result.rule: result for result in check(con, [suite], "run-1")}


def closed_by(results: dict[str, QualityResult]) -> set[str]:
    return {rule for rule, result in results.items() if not result.passed}


def assert_finds(results: dict[str, QualityResult], rule: str, fault: Fault) -> None:
    found, declared = results[rule], rule_of(rule)
    assert closed_by(results) == {rule} | fault.also
    assert found.severity == declared.severity
    assert found.message == f"Not so: {declared.description}"
    assert found.failed_rows == fault.failed_rows
    assert len(found.examples) == min(fault.failed_rows, 20)
    assert not found.examples or fault.example in found.examples
    assert all(example.keys() == fault.example.keys() for example in found.examples)


def rule_of(rule: str) -> Rule:
    return next(r for r in SUITE_OF[rule].rules if r.id == rule)


# --- raw data ---------------------------------------------------------------------------------


class RawData:
    """Raw tables as ingest lays them out, of what is known and of what is new."""

    def __init__(self, con: Connection) -> None:
        self.con = con
        self._rows = itertools.count(2)

    def fill(self) -> None:
        """Lay out good data: shop `a` has all in new files, `b` orders published before."""
        for schema in ("raw", "raw_new"):
            self.con.execute(f"create schema {schema}")
            for name, dataset in load_datasets().items():
                columns = {c.name: c.type for c in dataset.columns} | LINEAGE
                self._create(f"{schema}.{name}", columns)
            files = {name: kind for name, (kind, _) in RUN_TABLES["files"][1].items()}
            self._create(f"{schema}.files", files)
        show_known_orders(self.con, ask_models=False)
        self.orders("a", range(64))
        self.orders("b", range(100, 110), schemas=("raw",))
        self.returns("a", range(63))
        self.reviews("a", range(63))
        self.add("products", [{"shop_id": "a", "sku_id": "s1", "product_id": "p1"}])
        self.complaints("a", range(63))
        self.complaints("a", [63], order_id=None)
        self.chat()
        self.platform_metric()
        self.override("v1")
        for dataset in load_datasets():
            self.file("a", dataset)
        self.file("b", "orders", schemas=("raw",))

    def _create(self, table: str, columns: dict[str, str]) -> None:
        typed = ", ".join(f"{identifier(name)} {kind}" for name, kind in columns.items())
        self.con.execute(f"create table {table} ({typed})")

    def add(
        self, table: str, rows: Iterable[Row], schemas: Iterable[str] = ("raw", "raw_new")
    ) -> None:
        """Insert rows; of their lineage only what differs from the rule need be given."""
        for row in rows:
            if table != "files":
                row = {
                    "_file_id": f"{row['shop_id']}-{table}",
                    "_row_number": next(self._rows),
                    "_exported_at": EXPORTED,
                    "_missing_columns": ",",
                } | row
            names = ", ".join(map(identifier, row))
            marks = ", ".join("?" for _ in row)
            for schema in schemas:
                self.con.execute(
                    f"insert into {schema}.{table} ({names}) values ({marks})", list(row.values())
                )

    def orders(
        self,
        shop: str,
        numbers: Iterable[int],
        schemas: Iterable[str] = ("raw", "raw_new"),
        **more: object,
    ) -> None:
        rows = (
            {"shop_id": shop, "order_id": f"o{n}", "sku_id": "s1", "product_name": "Mug",
             "created_time": NOON, "delivered_time": NOON + timedelta(days=2), **more}
            for n in numbers
        )  # fmt: skip
        self.add("orders", rows, schemas)

    def returns(self, shop: str, numbers: Iterable[int], **more: object) -> None:
        rows = (
            {"shop_id": shop, "return_order_id": f"r{n}", "order_id": f"o{n}", "sku_id": "s1",
             "time_requested": NOON, "return_unit_price": 5, "order_amount": 5, **more}
            for n in numbers
        )  # fmt: skip
        self.add("returns", rows)

    def reviews(self, shop: str, numbers: Iterable[int], **more: object) -> None:
        rows = (
            {"shop_id": shop, "review_id": f"v{n}", "order_id": f"o{n}", "rating": 1,
             "review_text": "private words", "created_at": NOON, "updated_at": NOON, **more}
            for n in numbers
        )  # fmt: skip
        self.add("reviews", rows)

    def complaints(self, shop: str, numbers: Iterable[int], **more: object) -> None:
        rows = (
            {"shop_id": shop, "complaint_id": f"c{n}", "order_id": f"o{n}",
             "complaint_detail": "private words", "created_at": NOON, "resolved_at": NOON, **more}
            for n in numbers
        )  # fmt: skip
        self.add("complaints", rows)

    def chat(self, **more: object) -> None:
        row = {"shop_id": "a", "conversation_id": "t1", "started_at": NOON, "first_reply_at": NOON}
        self.add("chats", [row | more])

    def platform_metric(self, **more: object) -> None:
        row = {"shop_id": "a", "metric_date": NOON.date(), "metric": "nrr", "value": 0.0045}
        self.add("platform_metrics", [row | more])

    def override(self, review_id: str) -> None:
        row = {"shop_id": "a", "review_id": review_id, "reason_code": "wrong_item",
               "decided_at": NOON, "why": "private words"}  # fmt: skip
        self.add("review_overrides", [row])

    def file(
        self,
        shop: str,
        dataset: str,
        schemas: Iterable[str] = ("raw", "raw_new"),
        **more: object,
    ) -> None:
        row = {
            "file_id": f"{shop}-{dataset}",
            "shop_id": shop,
            "dataset": dataset,
            "file_name": "x.csv",
            "exported_at": EXPORTED,
            "rows_read": 1000,
            "rows_loaded": 1000,
            "rows_rejected": 0,
            "status": "loaded",
        }
        self.add("files", [row | more], schemas)

    def sql(self, statement: str) -> None:
        self.con.execute(statement)


IMPOSSIBLE = NOON - timedelta(days=1)


def swapped_file(raw: RawData, before_created: int, after: int, undelivered: int) -> None:
    """Add an orders file of which so many lines are delivered before they were created."""
    times = [IMPOSSIBLE] * before_created + [NOON] * after + [None] * undelivered
    for number, delivered_time in enumerate(times, start=2000):
        raw.orders("a", [number], delivered_time=delivered_time, _file_id="swapped")


def days_ahead(days: int) -> datetime:
    """The end of a day after today, in UTC."""
    return datetime.combine(datetime.now(UTC).date() + timedelta(days), time(23, 59, 59))


RAW_FAULTS: dict[str, Fault] = {
    "chats_say_who_began": Fault(
        lambda raw: raw.chat(conversation_id="odd", initiated_by="shop"),
        1,
        {"shop_id": "a", "conversation_id": "odd", "_file_id": "a-chats", "_row_number": ANY},
    ),
    "chats_replied_after_started": Fault(
        lambda raw: raw.chat(conversation_id="early", first_reply_at=IMPOSSIBLE),
        1,
        {"shop_id": "a", "conversation_id": "early", "_file_id": "a-chats", "_row_number": ANY},
    ),
    "complaints_of_known_orders": Fault(
        lambda raw: raw.complaints("a", range(1000, 1008)),
        8,  # of 72
        {"shop_id": "a", "complaint_id": "c1000", "order_id": "o1000",
         "_file_id": "a-complaints", "_row_number": ANY},
    ),
    "complaints_resolved_after_created": Fault(
        lambda raw: raw.complaints("a", [5], complaint_id="early", resolved_at=IMPOSSIBLE),
        1,
        {"shop_id": "a", "complaint_id": "early", "_file_id": "a-complaints", "_row_number": ANY},
    ),
    "files_are_not_of_the_future": Fault(
        lambda raw: raw.file("a", "reviews", file_id="early", exported_at=days_ahead(2)),
        1,
        {"shop_id": "a", "dataset": "reviews", "_file_id": "early", "exported_at": ANY},
    ),
    "files_are_readable": Fault(
        lambda raw: raw.file("a", "reviews", file_id="bad", status="refused", exported_at=None),
        1,
        {"shop_id": "a", "dataset": "reviews", "_file_id": "bad"},
    ),
    "files_have_few_rejected_rows": Fault(
        lambda raw: raw.file("a", "returns", file_id="holey", rows_rejected=11),
        1,
        {"shop_id": "a", "dataset": "returns", "_file_id": "holey", "rows_rejected": 11,
         "value": ANY},
    ),
    "files_of_orders_are_up_to_date": Fault(
        lambda raw: raw.sql(
            "update raw.files set exported_at = timestamp '2026-03-28 19:59' where shop_id = 'b'"
        ),
        1,
        {"shop_id": "b", "covered_until": date(2026, 3, 28), "value": ANY},
    ),
    "orders_bring_rows": Fault(
        lambda raw: raw.sql("delete from raw_new.orders"),
        1,
        {"shop_id": "a", "_file_id": "a-orders"},
    ),
    "orders_delivered_before_created": Fault(
        lambda raw: swapped_file(raw, before_created=3, after=7, undelivered=90),
        1,
        {"shop_id": "a", "_file_id": "swapped", "delivered_lines": 10,
         "delivered_before_created": 3, "value": 30},
        also=frozenset({"orders_few_delivered_before_created"}),
    ),
    "orders_few_delivered_before_created": Fault(
        lambda raw: raw.orders("a", [64], delivered_time=IMPOSSIBLE, _row_number=7),
        1,
        {"shop_id": "a", "order_id": "o64", "sku_id": "s1", "_file_id": "a-orders",
         "_row_number": 7},
    ),
    "orders_belong_to_one_shop": Fault(
        lambda raw: raw.orders("b", [7], schemas=("raw",)),
        1,
        {"shop_id": "a", "order_id": "o7", "_file_id": "a-orders", "_row_number": ANY},
    ),
    "orders_line_once_per_file": Fault(
        lambda raw: raw.orders("a", [7], delivered_time=NOON, _row_number=900),
        1,
        {"shop_id": "a", "order_id": "o7", "sku_id": "s1", "_file_id": "a-orders",
         "_row_number": 900},
    ),
    "platform_metrics_have_their_percent_sign": Fault(
        lambda raw: raw.platform_metric(metric="SFRR", value=0.45),
        1,
        {"shop_id": "a", "metric_date": NOON.date(), "metric": "SFRR",
         "_file_id": "a-platform_metrics", "_row_number": ANY},
    ),
    "products_sku_has_one_product_per_file": Fault(
        lambda raw: raw.add(
            "products",
            [{"shop_id": "a", "sku_id": "s1", "product_id": "p2", "_row_number": 900}],
        ),
        1,
        {"shop_id": "a", "sku_id": "s1", "_file_id": "a-products", "_row_number": 900},
    ),
    "returns_mostly_of_known_orders": Fault(
        lambda raw: raw.returns("b", range(1000, 1050), _file_id="wrong-folder"),
        1,
        {"shop_id": "b", "_file_id": "wrong-folder", "requests": 50, "value": 100},
        also=frozenset({"returns_of_known_orders"}),
    ),
    "returns_of_known_orders": Fault(
        lambda raw: raw.returns("a", range(1000, 1008)),
        8,  # of 71
        {"shop_id": "a", "return_order_id": "r1000", "order_id": "o1000",
         "_file_id": "a-returns", "_row_number": ANY},
    ),
    "returns_price_within_order": Fault(
        lambda raw: raw.returns("a", [5], return_order_id="dear", return_unit_price=5.01),
        1,
        {"shop_id": "a", "return_order_id": "dear", "order_id": "o5", "sku_id": "s1",
         "_file_id": "a-returns", "_row_number": ANY},
    ),
    "review_overrides_of_known_reviews": Fault(
        lambda raw: raw.override("v1000"),
        1,
        {"shop_id": "a", "review_id": "v1000", "_file_id": "a-review_overrides",
         "_row_number": ANY},
    ),
    "reviews_mostly_of_known_orders": Fault(
        lambda raw: raw.reviews("b", range(1000, 1050), _file_id="wrong-folder"),
        1,
        {"shop_id": "b", "_file_id": "wrong-folder", "reviews": 50, "value": 100},
        also=frozenset({"reviews_of_known_orders"}),
    ),
    "reviews_of_known_orders": Fault(
        lambda raw: raw.reviews("a", range(1000, 1008)),
        8,  # of 71
        {"shop_id": "a", "review_id": "v1000", "order_id": "o1000", "_file_id": "a-reviews",
         "_row_number": ANY},
    ),
    "reviews_updated_after_created": Fault(
        lambda raw: raw.reviews("a", [5], review_id="early", updated_at=IMPOSSIBLE),
        1,
        {"shop_id": "a", "review_id": "early", "_file_id": "a-reviews", "_row_number": ANY},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def good_raw_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("gates") / "small.duckdb"
    with duckdb.connect(str(path)) as con:
        RawData(con).fill()
    return path


@pytest.fixture
def raw(good_raw_data: Path, tmp_path: Path) -> Iterator[RawData]:
    path = tmp_path / "small.duckdb"
    path.write_bytes(good_raw_data.read_bytes())
    with duckdb.connect(str(path)) as con:
        yield RawData(con)


@pytest.mark.parametrize("suite", raw_suites(), ids=lambda suite: suite.dataset)
def test_raw_gate_lets_good_data_pass(raw: RawData, suite: Suite) -> None:
    results = results_of(raw.con, suite)
    assert closed_by(results) == set()
    assert {r.stage for r in results.values()} == {"raw"}
    assert all(r.failed_rows == 0 and r.examples == [] for r in results.values())
    assert all(r.message == "" and r.checked_rows > 0 for r in results.values())


@pytest.mark.parametrize("rule", RAW_FAULTS)
def test_raw_rule_closes_on_its_fault(raw: RawData, rule: str) -> None:
    fault = RAW_FAULTS[rule]
    fault.plant(raw)
    results = results_of(raw.con, SUITE_OF[rule])
    assert_finds(results, rule, fault)


AT_THE_LIMIT: dict[str, Callable[[RawData], object]] = {
    "files_are_not_of_the_future": lambda raw: raw.file("a", "reviews", exported_at=days_ahead(1)),
    "files_have_few_rejected_rows": lambda raw: raw.file("a", "returns", rows_rejected=10),
    "files_of_orders_are_up_to_date": lambda raw: raw.sql(
        "update raw.files set exported_at = timestamp '2026-03-28 20:00' where shop_id = 'b'"
    ),
    "orders_delivered_before_created": lambda raw: swapped_file(
        raw, before_created=2, after=8, undelivered=0
    ),
    "platform_metrics_have_their_percent_sign": lambda raw: [
        raw.platform_metric(value=0.0999),
        raw.platform_metric(metric="chat_replied_in_12_hours", value=0.85),
    ],
    "complaints_of_known_orders": lambda raw: raw.complaints("a", range(1000, 1007)),
    "complaints_resolved_after_created": lambda raw: raw.complaints("a", [5], resolved_at=None),
    "chats_replied_after_started": lambda raw: raw.chat(first_reply_at=None),
    "chats_say_who_began": lambda raw: [
        raw.chat(initiated_by=None),
        raw.chat(initiated_by=" Seller"),
    ],
    "returns_of_known_orders": lambda raw: raw.returns("a", range(1000, 1007)),
    "returns_price_within_order": lambda raw: raw.returns("a", [5], return_order_id="other"),
    "reviews_of_known_orders": lambda raw: raw.reviews("a", range(1000, 1007)),
    "reviews_updated_after_created": lambda raw: raw.reviews("a", [5], review_id="other"),
}


@pytest.mark.parametrize("rule", AT_THE_LIMIT)
def test_raw_rule_lets_pass_what_is_just_at_its_limit(raw: RawData, rule: str) -> None:
    AT_THE_LIMIT[rule](raw)
    assert rule not in closed_by(results_of(raw.con, SUITE_OF[rule]))


@pytest.mark.parametrize("dataset", ["returns", "reviews"])
def test_wrong_folder_is_not_told_from_few_rows_nor_where_one_order_in_ten_is_known(
    raw: RawData, dataset: str
) -> None:
    getattr(raw, dataset)("b", range(1000, 1049))
    rule = f"{dataset}_mostly_of_known_orders"
    assert rule not in closed_by(results_of(raw.con, SUITE_OF[rule]))
    getattr(raw, dataset)("b", [*range(1049, 1050), *range(100, 106)])
    assert rule not in closed_by(results_of(raw.con, SUITE_OF[rule]))


@pytest.mark.parametrize("dataset", ["returns", "reviews"])
def test_shop_without_any_orders_yet_keeps_the_gate_open(raw: RawData, dataset: str) -> None:
    getattr(raw, dataset)("new-shop", range(1000, 1060))
    rule = f"{dataset}_mostly_of_known_orders"
    assert rule not in closed_by(results_of(raw.con, SUITE_OF[rule]))


def test_few_delivered_lines_do_not_tell_that_day_and_month_are_swapped(raw: RawData) -> None:
    swapped_file(raw, before_created=9, after=0, undelivered=90)
    results = results_of(raw.con, SUITE_OF["orders_delivered_before_created"])
    assert closed_by(results) == {"orders_few_delivered_before_created"}


def test_quiet_day_without_new_files_says_nothing_of_old_ones(raw: RawData) -> None:
    raw.sql("update raw.files set exported_at = timestamp '2026-01-01' where shop_id = 'b'")
    for table in ("files", *load_datasets()):
        raw.sql(f"delete from raw_new.{table}")
    for suite in raw_suites():
        assert closed_by(results_of(raw.con, suite)) == set()


def test_day_with_new_reviews_only_does_not_ask_for_order_lines(raw: RawData) -> None:
    raw.sql("delete from raw_new.orders")
    raw.sql("delete from raw_new.files where dataset = 'orders'")
    assert closed_by(results_of(raw.con, SUITE_OF["orders_bring_rows"])) == set()


# --- publication ------------------------------------------------------------------------------

SHOP = "th-siam-snacks"
LAST_DAY = date(2026, 10, 31)
EARLIER = date(2026, 10, 20)
_RATES = {
    "nrr": "negative_review_orders",
    "nrr_seller": "seller_negative_review_orders",
    "nrr_product": "product_negative_review_orders",
    "nrr_service": "service_negative_review_orders",
    "sfrr": "seller_fault_return_orders",
    "complaint_rate": "complaint_orders",
    "negative_feedback_rate": "negative_feedback_orders",
    "product_negative_feedback_rate": "product_negative_feedback_orders",
    "service_negative_feedback_rate": "service_negative_feedback_orders",
}


def sql(*statements: str) -> Callable[[Connection], None]:
    return lambda con: [con.execute(statement) for statement in statements] and None


def shop_day(change: str, day: date = EARLIER) -> Callable[[Connection], None]:
    """Change the counts of a shop day; orders with negative feedback and rates follow."""
    of_the_day = f"where shop_id = '{SHOP}' and metric_date = '{day}'"
    rates = ", ".join(f"{rate} = {count} / delivered_orders" for rate, count in _RATES.items())
    return sql(
        f"update marts.shop_metrics_daily set {change} {of_the_day}",
        "update marts.shop_metrics_daily set negative_feedback_orders = greatest("
        "negative_feedback_orders, negative_review_orders, seller_fault_return_orders) "
        f"{of_the_day}",
        f"update marts.shop_metrics_daily set {rates} {of_the_day}",
    )


def product_day(change: str, day: date = EARLIER) -> Callable[[Connection], None]:
    """Change the counts of one product on a day."""
    of_the_day = f"where shop_id = '{SHOP}' and metric_date = '{day}'"
    first = f"(select min(product_key) from marts.product_metrics_daily {of_the_day})"
    return sql(
        f"update marts.product_metrics_daily set {change} {of_the_day} and product_key = {first}"
    )


def _events(first: int) -> str:
    return (
        f"select event_id from marts.feedback_events where shop_id = '{SHOP}' "
        f"order by event_id limit {first}"
    )


PUBLISH_FAULTS: dict[str, Fault] = {
    "shop_counts_lie_within_deliveries": Fault(
        shop_day("negative_review_orders = delivered_orders + 1"),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_splits_lie_within_negative_reviews": Fault(
        shop_day("product_negative_review_orders = seller_negative_review_orders + 1"),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_negative_feedback_lies_between_one_and_all": Fault(
        shop_day(
            "negative_feedback_orders = negative_review_orders + seller_fault_return_orders "
            "+ complaint_orders + 1"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_replies_lie_within_chats": Fault(
        sql(
            "update marts.shop_metrics_daily set chats_replied_in_time = chats + 1, "
            "chat_reply_rate = (chats + 1) / chats "
            f"where shop_id = '{SHOP}' and metric_date = '{EARLIER}'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_rates_follow_from_counts": Fault(
        sql(
            "update marts.shop_metrics_daily set nrr_seller = nrr_seller + 0.001 "
            f"where shop_id = '{SHOP}' and metric_date = '{EARLIER}'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_days_are_complete": Fault(
        sql(
            "delete from marts.shop_metrics_daily "
            f"where shop_id = '{SHOP}' and metric_date = '{LAST_DAY}'"
        ),
        1,
        {"shop_id": SHOP, "first_delivery": ANY, "days": ANY},
    ),
    "shop_deliveries_reconcile": Fault(
        shop_day("delivered_orders = delivered_orders + 1"),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "shop_negative_reviews_reconcile": Fault(
        shop_day("negative_review_orders = negative_review_orders + 1", LAST_DAY),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY},
    ),
    "shop_returns_reconcile": Fault(
        shop_day("seller_fault_return_orders = seller_fault_return_orders + 1", LAST_DAY),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY},
    ),
    "shop_complaints_reconcile": Fault(
        shop_day(
            "complaint_orders = complaint_orders + 1, "
            "negative_feedback_orders = negative_feedback_orders + 1",
            LAST_DAY,
        ),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY},
    ),
    "as_of_date_is_not_in_the_future": Fault(
        sql(
            "insert into marts.shop_metrics_daily "
            "select * replace (current_date + 2 as metric_date) from marts.shop_metrics_daily "
            f"where shop_id = '{SHOP}' and metric_date = '{LAST_DAY}'"
        ),
        1,
        {"metric_date": ANY},
        also=frozenset({"shop_days_are_complete", "shop_deliveries_reconcile"}),
    ),
    "shop_days_do_not_vanish": Fault(
        sql(
            f"insert into raw.published_shops values ('{SHOP}', 200, date '{LAST_DAY}', false), "
            f"('taken back', 200, date '{LAST_DAY}', true)"
        ),
        1,
        {"shop_id": SHOP, "published": 200, "days": ANY},
    ),
    "shop_orders_leave_no_hole": Fault(
        sql(
            f"delete from staging.stg_exports__order_lines where shop_id = '{SHOP}' "
            "and created_at >= timestamp '2026-10-01' and created_at < timestamp '2026-10-04'"
        ),
        1,
        {
            "shop_id": SHOP,
            "first_day": date(2026, 10, 1),
            "last_day": date(2026, 10, 3),
            "value": 3,
        },
        frozenset(
            {"shop_deliveries_reconcile", "shop_returns_reconcile", "shop_complaints_reconcile"}
        ),
    ),
    "shop_deliveries_do_not_drift": Fault(
        sql(
            f"update marts.shop_metrics_daily set delivered_orders = 150 where shop_id = '{SHOP}'",
            "insert into marts.shop_metrics_daily select m.* replace (cast(d.day as date) as "
            "metric_date) from marts.shop_metrics_daily as m cross join (select unnest("
            f"generate_series(date '{LAST_DAY}' - 60, date '{LAST_DAY}', interval 1 day)) as day) "
            f"as d where m.shop_id = '{SHOP}' and m.metric_date = '{LAST_DAY}' and d.day < "
            f"(select min(metric_date) from marts.shop_metrics_daily where shop_id = '{SHOP}')",
            "update marts.shop_metrics_daily set delivered_orders = 601 "
            f"where shop_id = '{SHOP}' and metric_date = '{LAST_DAY}'",
        ),
        1,
        {
            "shop_id": SHOP,
            "metric_date": LAST_DAY,
            "delivered_orders": 601,
            "one_before": 150,
            "two_before": 150,
            "value": 601 / 150,
        },
        frozenset(
            {"shop_deliveries_reconcile", "shop_days_are_complete", "shop_rates_follow_from_counts"}
        ),
    ),
    "shop_rates_do_not_drift": Fault(
        shop_day("seller_fault_return_orders = delivered_orders", LAST_DAY),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY, "metric": "sfrr", "orders": ANY, "value": ANY},
        frozenset({"shop_returns_reconcile"}),
    ),
    "as_of_date_is_covered": Fault(
        sql("update intermediate.int_shops__coverage set orders_until = date '2026-10-30'"),
        5,
        {"shop_id": SHOP, "metric_date": LAST_DAY},
    ),
    "product_counts_lie_within_deliveries": Fault(
        product_day("negative_review_orders = delivered_orders + 1"),
        1,
        {"shop_id": SHOP, "product_key": ANY, "metric_date": EARLIER},
    ),
    "product_deliveries_cover_the_shop": Fault(
        sql(
            "delete from marts.product_metrics_daily "
            f"where shop_id = '{SHOP}' and metric_date = '{EARLIER}'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "product_counts_reconcile": Fault(
        product_day("seller_fault_return_orders = seller_fault_return_orders + 1", LAST_DAY),
        1,
        {"shop_id": SHOP, "product_key": ANY},
    ),
    "reasons_lie_between_one_and_all": Fault(
        sql(
            "delete from marts.reason_metrics_daily "
            f"where shop_id = '{SHOP}' and metric_date = '{LAST_DAY}' and metric = 'nrr'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY, "metric": "nrr"},
    ),
    "complaints_lie_between_one_and_all": Fault(
        sql(
            "update marts.complaint_metrics_daily set orders = orders + 1000 "
            f"where is_counted and shop_id = '{SHOP}' and metric_date = '{LAST_DAY}'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY},
    ),
    "product_reasons_lie_between_one_and_all": Fault(
        sql(
            "update marts.product_reason_metrics_daily set orders = orders + 1000 "
            "where is_counted and (product_key, metric) = ("
            "select (product_key, metric) from marts.product_reason_metrics_daily where is_counted "
            f"and shop_id = '{SHOP}' and metric_date = '{LAST_DAY}' order by all limit 1) "
            f"and shop_id = '{SHOP}' and metric_date = '{LAST_DAY}'"
        ),
        1,
        {"shop_id": SHOP, "product_key": ANY, "metric_date": LAST_DAY, "metric": ANY},
    ),
    "events_are_all_there": Fault(
        sql(
            f"delete from marts.feedback_events where shop_id = '{SHOP}' and event_id = "
            f"(select min(event_id) from marts.feedback_events where shop_id = '{SHOP}')"
        ),
        1,
        {"shop_id": SHOP, "staged": ANY, "published": ANY},
    ),
    "events_have_known_reasons_and_states": Fault(
        sql(
            "update marts.feedback_events set unmapped_reason = 'private words' "
            f"where shop_id = '{SHOP}' and event_id = "
            f"(select min(event_id) from marts.feedback_events where shop_id = '{SHOP}')"
        ),
        1,
        {"shop_id": SHOP, "event_id": ANY, "_file_id": ANY, "_row_number": ANY},
    ),
    "events_mostly_have_known_reasons": Fault(
        sql(
            "update marts.feedback_events set unmapped_reason = 'private words' from ("
            "select event_id from marts.feedback_events where source = 'return' "
            f"and shop_id = '{SHOP}' and event_date > date '{LAST_DAY}' - 30) as recent "
            "where feedback_events.event_id = recent.event_id"
        ),
        1,
        {"shop_id": SHOP, "unknown": ANY, "lines": ANY, "value": ANY},
        frozenset({"events_have_known_reasons_and_states"}),
    ),
    "events_are_laid_at_a_product": Fault(
        sql(
            "update marts.feedback_events set is_counted = false",
            "update marts.feedback_events set is_counted = true, source = 'review', product_key = "
            f"case when event_id in ({_events(3)}) then 'unattributed' else 'p' end "
            f"where shop_id = '{SHOP}' and event_id in ({_events(14)})",
        ),
        1,
        {"shop_id": SHOP, "unattributed": 3, "events": 14, "value": ANY},
    ),
}


_A_VARIANT = f"shop_id = '{SHOP}' and metric_date = '{EARLIER}' and variant = "
PUBLISH_FAULTS |= {
    "variants_are_complete": Fault(
        sql(f"delete from marts.metric_variants_daily where {_A_VARIANT} 'nrr_60d'"),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER},
    ),
    "variants_called_like_their_metric_are_the_metric": Fault(
        sql(
            "update marts.metric_variants_daily set numerator = numerator + 1 "
            f"where {_A_VARIANT} 'sfrr'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER, "variant": "sfrr"},
    ),
    "variant_counts_are_possible": Fault(
        sql(
            "update marts.metric_variants_daily set numerator = denominator + 1 "
            f"where {_A_VARIANT} 'nrr_60d' or ({_A_VARIANT} 'nrr_period')"
        ),
        1,
        {"shop_id": SHOP, "metric_date": EARLIER, "variant": "nrr_60d"},
    ),
    "variant_orders_reconcile": Fault(
        sql(
            "update marts.metric_variants_daily set denominator = denominator + 1 "
            f"where shop_id = '{SHOP}' and metric_date = '{LAST_DAY}' and variant = 'nrr_created'"
        ),
        1,
        {"shop_id": SHOP, "metric_date": LAST_DAY, "variant": "nrr_created"},
    ),
    "platform_figures_are_all_reconciled": Fault(
        sql(
            "delete from marts.reconciliation where shop_id = 'id-batik-house' "
            f"and metric_date = '{LAST_DAY}'"
        ),
        1,
        {"shop_id": "id-batik-house", "metric_date": LAST_DAY, "metric": "sfrr"},
    ),
}


@pytest.fixture(scope="module")
def clean_warehouse(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the published run, as if it were without the faults that the sample has.

    The settings know all texts of the messy shop, and no shop was closed for some days.
    """
    path: Path = tmp_path_factory.mktemp("gates") / "warehouse.duckdb"
    path.write_bytes(published.data.warehouse.read_bytes())
    with duckdb.connect(str(path)) as con:
        con.execute(
            "update marts.feedback_events set unmapped_reason = null, unknown_status = null"
        )
        con.execute(
            "update staging.stg_exports__order_lines set created_at = created_at + interval 2 day "
            "where order_key % 2 = 0 and created_at < timestamp '2026-09-30'"
        )
    return path


@pytest.fixture(params=["a first run", "an increment"])
def warehouse(
    clean_warehouse: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Connection]:
    """The clean warehouse before its marts are published: all of them new, or the last days."""
    first_day = date(1900, 1, 1) if request.param == "a first run" else EARLIER
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(clean_warehouse.read_bytes())
    with duckdb.connect(str(path)) as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            "insert into unpublished.shop_days select shop_id, ? from raw.shops", [first_day]
        )
        yield con


@pytest.mark.parametrize("suite", publish_suites(), ids=lambda suite: suite.dataset)
def test_publish_gate_lets_good_marts_pass(warehouse: Connection, suite: Suite) -> None:
    results = results_of(warehouse, suite)
    assert closed_by(results) == set()
    assert all(r.stage == "publish" and r.checked_rows > 0 for r in results.values())


@pytest.mark.parametrize("rule", PUBLISH_FAULTS)
def test_publish_rule_closes_on_its_fault(warehouse: Connection, rule: str) -> None:
    fault = PUBLISH_FAULTS[rule]
    fault.plant(warehouse)
    assert_finds(results_of(warehouse, SUITE_OF[rule]), rule, fault)


@pytest.mark.parametrize(
    "change",
    {
        "a rate is missing": "nrr_service = null",
        "a rate stands where no reviews are loaded": "nrr_state = 'not_loaded'",
        "a rate stands where returns are stale": "sfrr_state = 'stale'",
        "a rate stands where nothing was delivered": "delivered_orders = 0",
        "a rate stands where no complaints are loaded": "complaint_state = 'not_loaded'",
        "negative feedback has a rate where it is stale": "negative_feedback_state = 'stale'",
        "a split of negative feedback is missing": "product_negative_feedback_rate = null",
        "the other split is missing": "service_negative_feedback_rate = null",
        "a reply rate stands where there are no chats": "chats = 0",
        "a reply rate stands where chats are stale": "chat_state = 'stale'",
    }.items(),
    ids=lambda change: change[0],
)
def test_rates_and_states_that_contradict_each_other_close_the_gate(
    warehouse: Connection, change: tuple[str, str]
) -> None:
    warehouse.execute(
        f"update marts.shop_metrics_daily set {change[1]} "
        f"where shop_id = '{SHOP}' and metric_date = '{EARLIER}'"
    )
    results = results_of(warehouse, SUITE_OF["shop_rates_follow_from_counts"])
    assert results["shop_rates_follow_from_counts"].failed_rows == 1


def test_marts_without_an_as_of_date_close_the_gate(warehouse: Connection) -> None:
    warehouse.execute("delete from intermediate.int_parameters")
    results = results_of(warehouse, SUITE_OF["shop_days_are_complete"])
    assert results["shop_days_are_complete"].failed_rows == 5


@pytest.mark.parametrize("delivered_orders", [600, 38])
def test_deliveries_at_the_limit_of_their_drift_still_pass(
    warehouse: Connection, delivered_orders: int
) -> None:
    rule = "shop_deliveries_do_not_drift"
    PUBLISH_FAULTS[rule].plant(warehouse)
    shop_day(f"delivered_orders = {delivered_orders}", LAST_DAY)(warehouse)
    assert rule not in closed_by(results_of(warehouse, SUITE_OF[rule]))
    shop_day("delivered_orders = 37", LAST_DAY)(warehouse)
    assert rule in closed_by(results_of(warehouse, SUITE_OF[rule]))


def test_one_event_in_five_without_product_still_passes(warehouse: Connection) -> None:
    rule = "events_are_laid_at_a_product"
    PUBLISH_FAULTS[rule].plant(warehouse)
    warehouse.execute(
        "update marts.feedback_events set product_key = 'p' where event_id = (select min(event_id) "
        "from marts.feedback_events where product_key = 'unattributed')"
    )
    assert rule not in closed_by(results_of(warehouse, SUITE_OF[rule]))


# --- all rules --------------------------------------------------------------------------------


def test_every_rule_has_a_planted_fault() -> None:
    rules = [rule.id for suite in (*raw_suites(), *publish_suites()) for rule in suite.rules]
    assert sorted([*RAW_FAULTS, *PUBLISH_FAULTS]) == sorted(rules)


def suite_with(rule: Rule) -> Suite:
    return Suite("raw", "orders", "raw_new.orders", "raw.orders", (rule,))


@pytest.mark.parametrize("severity", ["critical", "warning"])
@pytest.mark.parametrize("asks", ["rows", "share", "value"])
def test_check_that_cannot_run_does_not_pass_and_counts_as_critical(
    raw: RawData, severity: Literal["critical", "warning"], asks: Literal["rows", "share", "value"]
) -> None:
    query = "select no_such_column from {batch}"
    broken = Rule("broken", "Something holds.", severity, query, asks, 10, "")
    found = results_of(raw.con, suite_with(broken))["broken"]
    assert (found.passed, found.severity) == (False, "critical")
    assert found.message.startswith("The check itself failed: ")
    assert "no_such_column" in found.message


def test_check_that_cannot_run_leaves_the_other_rules_of_the_suite_alone(raw: RawData) -> None:
    broken = Rule("broken", "Something holds.", "warning", "select {batch} from", "rows", 0, "")
    suite = SUITE_OF["orders_bring_rows"]
    results = results_of(raw.con, replace(suite, rules=(broken, *suite.rules)))
    assert closed_by(results) == {"broken"}


def test_more_offending_rows_than_are_shown_are_all_counted(raw: RawData) -> None:
    raw.sql(
        "insert into raw_new.orders by name "
        "select o.* from raw_new.orders as o cross join range(20)"
    )
    rule = Rule(
        "none", "There are no lines.", "critical", "select order_id from {batch}", "rows", 0, ""
    )
    found = results_of(raw.con, suite_with(rule))["none"]
    assert (found.checked_rows, found.failed_rows) == (64 * 21, 64 * 21)
    assert len(found.examples) == 20
    shown = [example["order_id"] for example in found.examples]
    ((first,),) = raw.con.execute("select min(order_id) from raw_new.orders").fetchall()
    assert shown == [first] * 20  # the same ones whenever the data are the same


def test_examples_carry_keys_and_no_text(raw: RawData, warehouse: Connection) -> None:
    for rule, fault in RAW_FAULTS.items():
        fault.plant(raw)
        assert "private words" not in str(results_of(raw.con, SUITE_OF[rule]))
    for rule, fault in PUBLISH_FAULTS.items():
        fault.plant(warehouse)
        assert "private words" not in str(results_of(warehouse, SUITE_OF[rule]))


# --- let pass once ----------------------------------------------------------------------------


def test_a_broken_rule_may_pass_for_a_reason_but_not_an_unchecked_one(raw: RawData) -> None:
    suite = SUITE_OF["returns_mostly_of_known_orders"]
    raw.con.execute("update raw_new.returns set order_id = 'unknown'")
    broken = "returns_mostly_of_known_orders"
    assert broken in closed_by(results_of(raw.con, suite))
    accepted = dict.fromkeys((rule.id for rule in suite.rules), "it is right")
    results = {r.rule: r for r in check(raw.con, [suite], "run-1", accepted)}
    assert not results[broken].passed
    assert {r.rule for r in results.values() if r.accepted_reason} == closed_by(results)
    assert results[broken].accepted_reason == "it is right"
    raw.con.execute("drop view raw.known_orders")
    results = {r.rule: r for r in check(raw.con, [suite], "run-1", accepted)}
    assert results[broken].message.startswith("The check itself failed")
    assert results[broken].accepted_reason is None


def test_days_that_vanish_with_an_earlier_as_of_date_are_not_missed(warehouse: Connection) -> None:
    days = f"(select count(*) from marts.shop_metrics_daily where shop_id = '{SHOP}')"
    warehouse.execute(
        f"insert into raw.published_shops select '{SHOP}', {days} + 9, date '{LAST_DAY}' + 9, false"
    )
    rule = "shop_days_do_not_vanish"
    assert rule not in closed_by(results_of(warehouse, SUITE_OF[rule]))
    warehouse.execute("update raw.published_shops set days = days + 1")
    assert rule in closed_by(results_of(warehouse, SUITE_OF[rule]))


def test_small_shops_may_be_without_orders_for_days(warehouse: Connection) -> None:
    PUBLISH_FAULTS["shop_orders_leave_no_hole"].plant(warehouse)
    warehouse.execute(
        "delete from staging.stg_exports__order_lines where order_id not in ("
        "select order_id from (select order_id, row_number() over ("
        "partition by cast(created_at as date) order by order_id) as n "
        f"from staging.stg_exports__order_lines where shop_id = '{SHOP}') where n <= 3)"
    )
    results = results_of(warehouse, SUITE_OF["shop_orders_leave_no_hole"])
    assert results["shop_orders_leave_no_hole"].passed


# --- own severities and limits ----------------------------------------------------------------


def own_rules(con: Connection, *rows: tuple[str, str | None, str | None, float | None]) -> None:
    con.execute("create schema if not exists own_settings")
    con.execute(
        "create or replace table own_settings.quality_rules "
        "(rule varchar, shop_id varchar, severity varchar, limit_value double)"
    )
    for row in rows:
        con.execute("insert into own_settings.quality_rules values (?, ?, ?, ?)", row)


HOLEY = "files_have_few_rejected_rows"
UNKNOWN = "returns_of_known_orders"
EARLY = "orders_few_delivered_before_created"


@pytest.mark.parametrize(
    ("settings", "failed_rows", "severity"),
    [
        ([], 2, "warning"),
        ([(HOLEY, None, None, 2)], 1, "warning"),  # 1.1 % of shop a, 5 % of shop b
        ([(HOLEY, None, None, 2), (HOLEY, "a", None, 1)], 2, "warning"),
        ([(HOLEY, "b", None, 5)], 1, "warning"),
        ([(HOLEY, None, "off", None)], 0, "off"),
        ([(HOLEY, None, "off", None), (HOLEY, "a", "critical", None)], 1, "critical"),
        ([(HOLEY, "a", "off", None)], 1, "warning"),
        ([(HOLEY, None, "critical", None)], 2, "critical"),
        ([(HOLEY, None, "critical", None), (HOLEY, "a", "warning", None)], 2, "critical"),
        ([(HOLEY, None, "critical", 2), (HOLEY, "b", "warning", None)], 1, "warning"),
        ([("another_rule", None, "off", 99)], 2, "warning"),
    ],
)
def test_limits_and_severities_are_those_of_the_shop_else_of_all_else_of_the_contract(
    raw: RawData, settings: Any, failed_rows: int, severity: str
) -> None:
    raw.file("a", "returns", file_id="holey", rows_rejected=11)
    raw.file("b", "returns", file_id="holier", rows_rejected=50)
    own_rules(raw.con, *settings)
    found = results_of(raw.con, SUITE_OF[HOLEY])[HOLEY]
    assert (found.passed, found.failed_rows) == (failed_rows == 0, failed_rows)
    assert found.severity == severity


def test_limit_of_a_share_and_shops_left_out_of_it(raw: RawData) -> None:
    raw.returns("a", range(1000, 1008))  # 8 of 71 are unknown, 11.3 %
    for limit, passes in ((11.0, False), (12.0, True)):
        own_rules(raw.con, (UNKNOWN, None, None, limit))
        assert results_of(raw.con, SUITE_OF[UNKNOWN])[UNKNOWN].passed is passes
    own_rules(raw.con, (UNKNOWN, "a", "off", None))
    assert results_of(raw.con, SUITE_OF[UNKNOWN])[UNKNOWN].passed


def test_rule_without_a_limit_may_be_switched_off_for_a_shop(raw: RawData) -> None:
    for shop in ("a", "b"):
        raw.orders(shop, [64 if shop == "a" else 65], delivered_time=IMPOSSIBLE)
    own_rules(raw.con, (EARLY, "a", "off", None))
    found = results_of(raw.con, SUITE_OF[EARLY])[EARLY]
    assert [e["shop_id"] for e in found.examples] == ["b"]


# --- set apart --------------------------------------------------------------------------------


def asked_to_contain(con: Connection, suite: Suite) -> dict[str, list[Offender]]:
    """By rule, whom the gate asks to set apart; all are told to be, in the words `done`."""
    asked: dict[str, list[Offender]] = {}

    def contain(_: Suite, rule: Rule, offenders: Any) -> str:
        asked[rule.id] = list(offenders)
        return "done"

    results = check(con, [suite], "run-1", contain=contain)
    assert {r.rule for r in results if r.contained == "done"} == set(asked)
    return asked


def test_offenders_of_critical_rules_are_named_each_once(raw: RawData) -> None:
    suite = SUITE_OF["returns_mostly_of_known_orders"]
    assert asked_to_contain(raw.con, suite) == {}
    raw.returns("b", range(1000, 1300), _file_id="wrong-folder")
    assert asked_to_contain(raw.con, suite) == {
        "returns_mostly_of_known_orders": [Offender("b", "returns", "wrong-folder")]
    }


def test_shops_for_which_a_rule_only_warns_are_not_set_apart(raw: RawData) -> None:
    raw.file("a", "returns", file_id="holey", rows_rejected=11)
    raw.file("b", "reviews", file_id="holier", rows_rejected=50)
    own_rules(raw.con, (HOLEY, "b", "critical", None))
    assert asked_to_contain(raw.con, SUITE_OF[HOLEY]) == {
        HOLEY: [Offender("b", "reviews", "holier")]
    }


def test_rule_that_was_accepted_or_cannot_be_checked_is_not_contained(raw: RawData) -> None:
    suite = SUITE_OF["returns_mostly_of_known_orders"]
    raw.returns("b", range(1000, 1300), _file_id="wrong-folder")
    accepted = {"returns_mostly_of_known_orders": "a new shop"}
    for con_is_broken in (False, True):
        if con_is_broken:
            raw.con.execute("drop view raw.known_orders")
        results = check(raw.con, [suite], "run-1", accepted, lambda *_: "done")
        assert [r.rule for r in results if r.contained] == []
