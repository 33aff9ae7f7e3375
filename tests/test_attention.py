"""What is said to need attention first is counted by the metric that is in danger."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib.attention import Concern, concerns, what_then
from dagster_project.lib.database import connect
from tests.support import Published


@pytest.fixture
def marts(published: Published, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy to change."""
    with connect(Path(shutil.copy(published.data.published / "marts.duckdb", tmp_path))) as con:
        yield con


def rows(marts: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[dict[str, Any]]:
    return marts.sql(query, params=list(values)).to_arrow_table().to_pylist()


def in_breach_by(marts: duckdb.DuckDBPyConnection, metric: str) -> list[Concern]:
    """The concerns when each shop is over its target by this metric and by none else."""
    marts.execute("update metric_status_daily set status = 'ok', breach_since = null")
    marts.execute(
        "update metric_status_daily set status = 'breach', target = 0.001, "
        "breach_since = metric_date where metric = ? and rate is not null",
        [metric],
    )
    return concerns(marts)


def is_of(event: dict[str, Any], metric: str) -> bool:
    return {
        "nrr_seller": event["is_sellers_part"],
        "nrr_product": event["category"] == "product",
        "nrr_service": event["category"] == "service",
    }[metric]


@pytest.mark.parametrize("metric", ["nrr_seller", "nrr_product", "nrr_service"])
def test_of_a_part_the_product_with_most_orders_of_that_part_is_named(
    marts: duckdb.DuckDBPyConnection, metric: str
) -> None:
    # more reviews of the part than the sample has, all on watched products
    category = "service" if metric == "nrr_service" else "product"
    marts.execute(
        "insert into watchlist select * replace ('w' || product_key as product_key, 99 as rank) "
        "from watchlist where metric = 'nrr'"
    )
    marts.execute(
        "insert into feedback_events select * replace ('w' || product_key as product_key, "
        "'new' || event_id as event_id, 'new' || order_id as order_id, true as is_sellers_part, "
        f"case when hash(event_id) % 5 > 0 then '{category}' else 'logistics' end as category, "
        "case when hash(event_id) % 3 = 0 then 'damaged' else 'rude_service' end as reason_code) "
        "from feedback_events where source = 'review' and is_counted"
    )
    found = in_breach_by(marts, metric)
    assert len(found) >= 4
    named = 0
    for it in found:
        events = [
            event
            for event in rows(
                marts,
                "select * from feedback_events where shop_id = ? and source = 'review' "
                "and is_counted",
                it.shop_id,
            )
            if is_of(event, metric)
            and event["event_date"] <= it.metric_date
            and event["product_delivered_date"] is not None
            and it.metric_date - timedelta(days=30)
            < event["product_delivered_date"]
            <= it.metric_date
        ]
        orders: defaultdict[str, set[str]] = defaultdict(set)
        reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, order, reason in {
            (e["product_key"], e["order_id"], e["reason_code"]) for e in events
        }:
            orders[key].add(order)
            reasons[key][reason] += 1
        watched = {
            row["product_key"]: row
            for row in rows(
                marts, "select * from watchlist where shop_id = ? and metric = 'nrr'", it.shop_id
            )
        }
        ranked = sorted(
            (-len(orders[key]), row["rank"], key)
            for key, row in watched.items()
            if len(orders[key]) > 1
        )
        if not ranked:
            assert (it.product_key, it.product_orders, it.advice) == (None, None, None)
            continue
        named += 1
        key = it.product_key
        assert key is not None
        assert (-len(orders[key]), watched[key]["rank"]) == ranked[0][:2]
        assert it.product_orders == len(orders[key])
        assert it.product_orders <= it.orders or key.startswith("w")
        reason, count = min(reasons[key].items(), key=lambda found: (-found[1], found[0]))
        assert (it.top_reason, it.top_reason_orders) == (reason, count)
        same = reason == watched[key]["top_reason"]
        assert it.advice == (watched[key]["advice"] if same else None)
    assert named >= 1


@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_of_a_whole_rate_the_first_of_the_watchlist_is_named(
    marts: duckdb.DuckDBPyConnection, metric: str
) -> None:
    found = in_breach_by(marts, metric)
    for it in found:
        first = rows(
            marts,
            "select * from watchlist where shop_id = ? and metric = ? order by rank limit 1",
            it.shop_id,
            metric,
        )
        said = (it.product_key, it.product_orders, it.top_reason, it.top_reason_orders, it.advice)
        assert said == (
            tuple(
                first[0][name]
                for name in ("product_key", "orders", "top_reason", "top_reason_orders", "advice")
            )
            if first
            else (None,) * 5
        )
    assert any(it.product_key for it in found)


def test_where_products_are_not_watched_none_is_said_not_to_stand_out(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    found = in_breach_by(marts, "negative_feedback_rate")
    assert found
    assert {(it.product_key, it.watched_as) for it in found} == {(None, None)}


def test_a_shop_that_stays_as_it_was_is_a_concern_of_its_own_last_day(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    (first, *_) = in_breach_by(marts, "nrr")
    day = first.metric_date - timedelta(days=5)
    for table in ("metric_status_daily", "shop_metrics_daily"):
        marts.execute(
            f"delete from {table} where shop_id = ? and metric_date > ?", [first.shop_id, day]
        )
    marts.execute("insert into frozen_shops values (?, 'a_rule', 'p', ?)", [first.shop_id, day])
    found = {it.shop_id: it for it in concerns(marts)}
    assert (found[first.shop_id].metric_date, found[first.shop_id].is_frozen) == (day, True)
    assert {it.is_frozen for it in found.values()} == {True, False}


def test_what_then_says_nothing_where_no_forecast_says(marts: duckdb.DuckDBPyConnection) -> None:
    assert any(what_then(it).startswith("Ends ") for it in in_breach_by(marts, "nrr_seller"))
    marts.execute("delete from shop_forecast")
    found = in_breach_by(marts, "nrr_seller")
    assert found
    assert {what_then(it) for it in found} == {""}
