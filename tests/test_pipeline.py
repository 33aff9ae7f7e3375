"""What must hold of the figures however the files came in."""

from __future__ import annotations

import random
import shutil
from dataclasses import astuple, fields
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.published_version import MARTS
from dagster_project.lib.sample import DayTruth
from dagster_project.lib.sql import literal
from tests.support import Published, run_pipeline

LATER = date(2026, 11, 2)
DAYS = "metric_date <= date '2026-10-31'"


@pytest.fixture(scope="session")
def one_by_one(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the published run, loaded one per ingest in random order, published once.

    It is published up to two days later, which must not change a day before. No name of a folder
    may matter either.
    """
    data = DataDir(tmp_path_factory.mktemp("one by one") / "a shop's {data}")
    data.landing.mkdir(parents=True)
    shutil.copy(published.data.shops_csv, data.shops_csv)
    files = sorted(path for path in published.data.landing.rglob("*") if path.is_file())
    random.Random(20261031).shuffle(files)
    for path in files:
        to = data.landing / path.relative_to(published.data.landing)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
        with Ledger.open(data.ledger) as ledger:
            ingest(data, ledger)
    return run_pipeline(data.root, as_of=LATER)


@pytest.fixture
def both(published: Published, one_by_one: Path) -> duckdb.DuckDBPyConnection:
    """`at_once` and `one_by_one`, attached side by side."""
    con = duckdb.connect()
    for name, path in (
        ("at_once", published.data.published / "marts.duckdb"),
        ("one_by_one", one_by_one),
    ):
        con.execute(f"attach {literal(str(path))} as {name} (read_only)")
    return con


OF_THE_LAST_DAY = ["shop_forecast", "feedback_costs", "watchlist"]


@pytest.mark.parametrize("table", [table for table in MARTS if table not in OF_THE_LAST_DAY])
def test_files_one_by_one_in_random_order_give_the_same_marts_row_for_row(
    both: duckdb.DuckDBPyConnection, table: str
) -> None:
    days = "" if table == "feedback_events" else f"where {DAYS}"
    at_once = f"select * from at_once.{table}"
    one_by_one = f"select * from one_by_one.{table} {days}"
    assert both.execute(f"{at_once} except all {one_by_one}").fetchall() == []
    assert both.execute(f"{one_by_one} except all {at_once}").fetchall() == []
    assert both.execute(f"select count(*) > 10 from at_once.{table}").fetchone() == (True,)


def test_what_is_said_of_the_last_day_does_not_depend_on_how_files_came(
    published: Published, one_by_one: Path, tmp_path: Path
) -> None:
    """Nor on an earlier publication up to a later day."""
    root = Path(shutil.copytree(one_by_one.parents[1], tmp_path / "data", symlinks=True))
    again = run_pipeline(root, as_of=date(2026, 10, 31))
    with duckdb.connect() as con:
        for name, path in (("a", published.data.published / "marts.duckdb"), ("b", again)):
            con.execute(f"attach {literal(str(path))} as {name} (read_only)")
        for table in OF_THE_LAST_DAY:
            pair = (f"from a.{table}", f"from b.{table}")
            for one, other in (pair, pair[::-1]):
                assert con.execute(f"{one} except all {other}").fetchall() == []
            assert con.execute(f"select count(*) > 0 from a.{table}").fetchone() == (True,)


def test_files_one_by_one_are_the_same_files_with_the_same_rows(
    both: duckdb.DuckDBPyConnection,
) -> None:
    for table in ("files", "rejected_rows"):
        (at_once, one_by_one) = (f"from {place}.{table}" for place in ("at_once", "one_by_one"))
        assert both.execute(f"{at_once} except all {one_by_one}").fetchall() == []
        assert both.execute(f"{one_by_one} except all {at_once}").fetchall() == []


def test_days_after_the_last_export_are_stale_with_counts_and_without_rates(
    both: duckdb.DuckDBPyConnection,
) -> None:
    rows = both.execute(
        "select nrr_state, sfrr_state, nrr, nrr_seller, nrr_product, nrr_service, sfrr, "
        "delivered_orders > 0 from one_by_one.shop_metrics_daily "
        f"where not {DAYS} and shop_id not like 'my-%'"
    ).fetchall()
    assert rows == [("stale", "stale", None, None, None, None, None, True)] * (4 * 2)


def test_shop_days_equal_the_truth_of_the_sample(published: Published) -> None:
    names = [field.name for field in fields(DayTruth)]
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(
            f"select shop_id, metric_date, {', '.join(names)} from shop_metrics_daily "
            "where shop_id not like 'my-%'"
        ).fetchall()
    found = {(shop_id, day): tuple(counts) for shop_id, day, *counts in rows}
    assert found == {key: astuple(truth) for key, truth in published.truth.daily.items()}


def test_what_the_sample_shops_see_on_screen_is_explained_by_how_it_was_made_up(
    published: Published,
) -> None:
    found = rows_of(
        published,
        "select shop_id, metric, window_days, explained_by, bool_and(is_explained), count(*) > 5 "
        "from reconciliation where shop_id not like 'my-%' group by all order by all",
    )
    assert found == [
        ("id-batik-house", "sfrr", None, "sfrr_60d", True, True),
        ("us-sunny-home", "nrr", 60, "nrr_60d", True, True),
        ("vn-saigon-beauty", "nrr", 30, "nrr", True, True),
    ]


@pytest.mark.parametrize("table", ["shop_metrics_daily", "product_metrics_daily"])
def test_numerators_lie_within_the_denominator(published: Published, table: str) -> None:
    outside = (
        f"select * from {table} "
        "where least(negative_review_orders, seller_fault_return_orders) < 0 "
        "or greatest(negative_review_orders, seller_fault_return_orders) > delivered_orders "
        "or coalesce(nrr, 0) not between 0 and 1 or coalesce(sfrr, 0) not between 0 and 1"
    )
    assert rows_of(published, outside) == []


@pytest.mark.parametrize(
    ("totals", "reasons", "key"),
    [
        ("shop_metrics_daily", "reason_metrics_daily", "shop_id, metric_date"),
        (
            "product_metrics_daily",
            "product_reason_metrics_daily",
            "shop_id, product_key, metric_date",
        ),
    ],
)
def test_numerator_lies_between_the_largest_reason_and_their_sum(
    published: Published, totals: str, reasons: str, key: str
) -> None:
    query = f"""
        with numerators as (
            select {key}, 'nrr' as metric, negative_review_orders as orders from {totals}
            union all
            select {key}, 'sfrr', seller_fault_return_orders from {totals}
        ),

        counted as (
            select {key}, metric, max(orders) as largest, sum(orders) as total
            from {reasons} where is_counted group by {key}, metric
        )

        select n.orders, coalesce(c.largest, 0), coalesce(c.total, 0)
        from numerators as n left join counted as c using ({key}, metric)
    """
    found = rows_of(published, query)
    assert any(orders > 1 for orders, _, _ in found)
    assert [row for row in found if not row[1] <= row[0] <= row[2]] == []


def rows_of(published: Published, query: str) -> list[tuple[int, ...]]:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()
