"""What people see is what somebody has looked at: whole pages and charts, kept in `tests/approved`.

`APPROVE=1 pytest tests/test_approved.py` writes them anew; look at the difference before a commit.
"""

from __future__ import annotations

import json
import os
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console, RenderableType

from dagster_project.lib import charts, summary
from dagster_project.lib.database import connect
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current, versions
from dagster_project.lib.shops import read_shops
from dagster_project.lib.status import coverage, show_status
from tests.support import MESSY_SHOP, Published
from tests.test_digest import NOW, write

APPROVED = Path(__file__).with_name("approved")
# What another run has otherwise: ids of publications and runs.
_IDS = re.compile(r"\b(\d{8}T\d{12}|[0-9a-f]{8}-[0-9a-f-]{27})\b")
DAY = date(2026, 10, 31)


def is_as_approved(name: str, text: str) -> None:
    path = APPROVED / name
    text = "\n".join(_IDS.sub("<id>", line).rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("APPROVE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def printed(part: RenderableType | None) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as shown:
        console.print(part)
    return shown.get()


def days(*rates: float | None, **of_all: Any) -> list[dict[str, Any]]:
    """A row for each day up to the last one, as `charts.rate_over_time` takes it."""
    first = DAY - timedelta(len(rates) - 1)
    return [
        {"metric_date": first + timedelta(n), "rate": rate, "orders": 4, "delivered_orders": 1000,
         "rate_low": None if rate is None else rate / 2,
         "rate_high": None if rate is None else rate * 2,
         "target": 0.005, "state": "ok", "restated": None} | of_all
        for n, rate in enumerate(rates)
    ]  # fmt: skip


def a_rate() -> Any:
    """All that a rate's chart may have; it rises away from its target."""
    rows = days(0.001, 0.002, None, 0.004, 0.006, None)
    rows[0] |= {"target": None, "state": "not_loaded"}
    rows[1] |= {"restated": "3 of 999 until 2 Nov 2026 (file)"}
    rows[-1] |= {"state": "stale"}
    ahead = [
        {"forecast_date": DAY + timedelta(n), "expected_rate": 0.006 + n / 1000,
         "rate_if_nothing_new": 0.006 - n / 1000, "expected_delivered_orders": 990.4 + n}
        for n in (1, 2)
    ]  # fmt: skip
    return charts.rate_over_time(rows, ahead, name="NRR", width=500)


def a_product_s_rate() -> Any:
    """Without a forecast; it begins away from the line that it ends at."""
    rows = days(0.02, 0.01, 0.005)
    return charts.rate_over_time(rows, name="SFRR", limit="the shop's own rate")


def reasons() -> Any:
    rows = [
        {"reason_code": "not_as_described", "orders": 1200, "share": 0.62, "is_counted": True,
         "category": "product"},
        {"reason_code": "unmapped", "orders": 3, "share": None, "is_counted": False,
         "category": "other"},
    ]  # fmt: skip
    return charts.reasons_pareto(rows)


def reasons_over_time() -> Any:
    rows = [
        {"metric_date": DAY - timedelta(n), "reason_code": reason, "orders": orders + n,
         "delivered_orders": 1000}
        for n in (1, 0)
        for reason, orders in (("poor_quality", 5), ("late_delivery", 2))
    ]  # fmt: skip
    return charts.orders_by_reason_over_time(rows)


@pytest.mark.parametrize("chart", [a_rate, a_product_s_rate, reasons, reasons_over_time])
def test_charts(chart: Any) -> None:
    spec = chart().to_dict()
    is_as_approved(f"{chart.__name__}.json", json.dumps(spec, indent=1, ensure_ascii=False))


def test_a_line_within_a_cell() -> None:
    svg = charts.sparkline([None, 0.1, 0.2, None, 0.4, 0.3], label='"N" <R>', target=0.25)
    is_as_approved("sparkline.svg", svg)


def test_summary_of_a_run(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as marts:
        rates = summary.summarise(marts)
        lines = summary.settings_lines(marts, published.data)
    assert lines
    with Ledger.open(published.data.ledger, read_only=True) as ledger:
        ((run_id,),) = ledger.con.execute("select run_id from publications").fetchall()
        refused = [e for e in ledger.current_files() if e.status == "refused"]
        set_aside = summary.show_refused(refused[:1], refused[1:], published.data.landing)
        gates = summary.show_gates(ledger, run_id)
    kept = summary.show_publications(versions(published.data), current(published.data))
    outputs = summary.show_outputs(DataDir(Path("data")))
    shown = [*map(printed, (rates, set_aside, gates)), lines, printed(kept), printed(outputs)]
    is_as_approved("summary.txt", "".join(shown).replace(str(published.data.root), "<data>"))


def test_summary_names_shops_that_stay_as_they_were() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table frozen_shops as select * from (values "
            "('a-shop', '20261031T080000000000', date '2026-10-30', 'a_rule, b_rule'), "
            "('new-shop', null, null, 'a_rule')) as t(shop_id, publication_id, as_of, rules)"
        )
        is_as_approved("frozen.txt", printed(summary._frozen_shops(con)))


def test_status(published: Published) -> None:
    shops = read_shops(published.data.shops_csv)
    with Ledger.open(published.data.ledger, read_only=True) as ledger:
        found = coverage(shops, ledger.current_files(), NOW)
    is_as_approved("status.txt", printed(show_status(found)))


def test_weekly_digest(published: Published, tmp_path: Path) -> None:
    out = write(published.data, tmp_path / "out")
    for page in ("all-shops", "shops/th-siam-snacks", f"shops/{MESSY_SHOP}"):
        text = (out / f"{page}.txt").read_text(encoding="utf-8")
        is_as_approved(f"digest-{Path(page).name}.txt", text)
    html = (out / "shops/th-siam-snacks.html").read_text(encoding="utf-8")
    is_as_approved(
        "digest-th-siam-snacks.html", re.sub(r"<svg.*?</svg>", words_of, html, flags=re.S)
    )


def words_of(picture: re.Match[str]) -> str:
    """What a picture says; where its lines run is approved with the charts."""
    return "<svg>" + " | ".join(re.findall(r"<text[^>]*>([^<]+)", picture[0])) + "</svg>"
