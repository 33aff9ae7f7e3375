"""Status, intervals, forecast and watchlist, beside what the reference compares on random shops."""

from __future__ import annotations

import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.metrics import CHAT_RATE, NUMERATORS
from tests.reference.outlook import wilson
from tests.support import Published


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_the_references_interval_is_that_of_newcombes_table(
    successes: int, trials: int, low: float, high: float
) -> None:
    """R. G. Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    interval = wilson(successes, trials)
    assert interval is not None
    assert interval == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_models_and_python_name_the_same_metrics(published: Published) -> None:
    named = {"metric_status_daily": {*NUMERATORS, CHAT_RATE}, "shop_forecast": {*NUMERATORS}}
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        for table, names in named.items():
            found = con.execute(f"select distinct metric from {table}").fetchall()
            assert {metric for (metric,) in found} == names


def test_interval_holds_the_rate_and_few_orders_are_not_reliable(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        outside, reliable, unreliable = con.execute(
            "select count(*) filter (where rate not between rate_low and rate_high), "
            "count(*) filter (where is_reliable and delivered_orders < 200), "
            "count(*) filter (where not is_reliable and delivered_orders >= 200) "
            "from metric_status_daily"
        ).fetchall()[0]
    assert (outside, reliable, unreliable) == (0, 0, 0)


def test_days_in_breach_are_counted_on_from_the_first(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(
            "select shop_id, metric, metric_date, status, breach_since, days_in_breach "
            "from metric_status_daily order by 1, 2, 3"
        ).fetchall()
    days = 0
    series = None
    longest = 0
    for shop, metric, day, status, since, count in rows:
        if (shop, metric) != series:
            series, days = (shop, metric), 0
        days = days + 1 if status == "breach" else 0
        assert count == (days or None)
        assert (since is None) == (days == 0)
        assert since is None or (day - since).days + 1 == days
        longest = max(longest, days)
    assert longest > 7
