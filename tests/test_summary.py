"""The summary of a run, where a whole run would show too little of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from dagster_project.lib import summary
from dagster_project.lib.attention import concerns
from dagster_project.lib.database import connect
from dagster_project.lib.paths import DataDir
from tests.support import Published


def test_unknown_reasons_and_statuses_are_listed_each_also_those_of_one_request() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table feedback_events "
            "(shop_id text, source text, unmapped_reason text, unknown_status text)"
        )
        con.execute(
            "insert into feedback_events by name "
            "select 's1' as shop_id, * from (values ('return', 'Fishy', 'Lost'), "
            "('return', 'Fishy', null), ('return', null, 'Lost'), ('return', null, null), "
            "('review', 'fishy_code', null), ('complaint', 'Fishy / Smell', null)) "
            "as v(source, unmapped_reason, unknown_status)"
        )
        console = Console(width=120)
        with console.capture() as shown:
            console.print(summary._unknown_values(con))
        lines = summary.settings_lines(con, DataDir.default())
    found = [" ".join(line.split()) for line in shown.get().splitlines()]
    assert found[-5:-1] == [
        "Fishy return reason, not counted 2",
        "Lost return status, counted 2",
        "Fishy / Smell type of complaint, counted as unclassified 1",
        "fishy_code reason of an override, passed over 1",
    ]
    assert lines is not None
    assert lines.endswith(
        "reason_text,reason_code,language,valid_from,valid_to\nFishy,?,,2010-01-01,\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10 / 3, "3.333"), (50000.0, "50000"), (1234.6, "1235"), (-0.00002, "-0.00002"),
        (0.0, "0"), (7, "7"), ("2025-03-01", "2025-03-01"),
    ],
)  # fmt: skip
def test_numbers_of_an_example_have_four_digits_and_no_exponent(value: object, shown: str) -> None:
    assert summary._example({"value": value}, {}) == f"value {shown}"


def danger(marts: duckdb.DuckDBPyConnection, width: int = 120) -> list[str]:
    console = Console(width=width)
    with console.capture() as shown:
        console.print(summary._in_danger(marts) or "nobody")
    return [line for line in shown.get().splitlines() if line.strip()]


def test_summary_says_in_ten_lines_who_is_in_danger_why_what_to_do_and_when_it_ends(
    published: Published,
) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as marts:
        lines = danger(marts)
        ((shop, metric, since, days, recovery),) = marts.execute(
            "select s.shop_id, s.metric, s.breach_since, s.days_in_breach, f.recovery_date "
            "from metric_status_daily as s inner join shop_forecast as f "
            "on s.shop_id = f.shop_id and s.metric = f.metric and f.horizon_days = 1 "
            "where s.metric_date = f.as_of_date and s.status = 'breach' "
            "order by s.rate / s.target desc, s.shop_id limit 1"
        ).fetchall()
        (worst, *_) = concerns(marts)
    assert (worst.shop_id, worst.metric) == (shop, metric)
    assert worst.product_name
    assert len(lines) <= 10
    assert lines[1].startswith(f"{shop}: {metric} ")
    assert lines[1].endswith(f"in breach since {since} ({days} days).")
    assert lines[2] == (
        f"  Look first at {worst.product_name[:40]}: in {worst.product_orders} of {worst.orders} "
        f"orders, most often {worst.top_reason} ({worst.top_reason_orders})."
    )
    assert worst.advice is None or lines[3].strip() == worst.advice
    assert lines[3 + (worst.advice is not None)].startswith(
        f"  Ends on {recovery} if nothing new happens, or after "
    )


def test_nobody_is_in_danger_without_a_breach(published: Published, tmp_path: Path) -> None:
    copy = shutil.copy(published.data.published / "marts.duckdb", tmp_path)
    with connect(Path(copy)) as marts:
        marts.execute("update metric_status_daily set status = 'ok'")
        assert danger(marts) == ["nobody"]
        marts.execute(
            "update metric_status_daily set status = 'at_risk', breach_since = null "
            "where metric = 'nrr' and target is not null"
        )
        marts.execute("delete from watchlist")
        lines = danger(marts)
    assert len(lines) <= 10
    assert "at risk." in lines[1]
    assert "No single product stands out" in lines[2]
    assert lines[3].startswith("  Negative orders that still fit under the target: ")
