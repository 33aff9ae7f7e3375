"""What is asked of a publication, drawn and taken away, without a browser."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import vl_convert
from python_calamine import CalamineWorkbook

from dagster_project.lib import charts, questions
from dagster_project.lib.downloads import as_csv, as_workbook, cell_text
from dagster_project.lib.metrics import NUMERATORS
from dagster_project.lib.publications import current
from dagster_project.lib.text import day_words, spreadsheet_safe
from tests.support import Published, feedback_here

DAY = date(2026, 10, 31)
SHOP = "th-siam-snacks"


@pytest.fixture(scope="module")
def con(published: Published) -> Iterator[questions.Connection]:
    version = current(published.data)
    assert version
    with questions.publication(version) as con:
        yield con


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", NUMERATORS)
def test_the_events_of_every_figure_are_on_as_many_orders_as_it_says(
    con: questions.Connection, metric: str
) -> None:
    figures = con.execute(
        "select shop_id, metric_date, orders from metric_status_daily where metric = ? "
        "and metric_date in ('2026-10-31', '2026-10-15', '2026-10-02')",
        [metric],
    ).fetchall()
    assert sum(orders for *_, orders in figures) > 0
    for shop, day, orders in figures:
        rows = questions.events(con, shop, metric=metric, day=day, limit=1)
        assert (rows[0]["total_orders"] if rows else 0) == orders, (shop, day)


@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_the_events_of_every_products_figure_are_on_as_many_orders_as_it_says(
    con: questions.Connection, metric: str
) -> None:
    products = questions.products(con, SHOP, metric, DAY)
    assert sum(row["orders"] for row in products) > 0
    for row in products:
        found = questions.events(con, SHOP, metric=metric, day=DAY, product=row["product_key"])
        assert len({event["order_id"] for event in found}) == row["orders"]
        named = questions.variations(con, SHOP, metric, row["product_key"], DAY)
        assert sum(sku["orders"] for sku in named) >= row["orders"]
        assert bool(named) == bool(row["orders"])


def test_a_day_without_a_reason_is_none_and_not_a_gap(con: questions.Connection) -> None:
    first = DAY - timedelta(44)
    codes = ["not_as_described", "no_such_reason"]
    rows = questions.reason_days(con, SHOP, "sfrr", codes, first, DAY)
    days = [row["metric_date"] for row in rows if row["reason_code"] == codes[0]]
    begin = max(first, _first_day(con))
    assert days == [begin + timedelta(n) for n in range((DAY - begin).days + 1)]
    assert {row["orders"] for row in rows if row["reason_code"] == "no_such_reason"} == {0}
    said = dict(
        con.execute(
            "select metric_date, orders from reason_metrics_daily where shop_id = ? "
            "and metric = 'sfrr' and reason_code = 'not_as_described'",
            [SHOP],
        ).fetchall()
    )
    for row in rows:
        if row["reason_code"] == "not_as_described":
            assert row["orders"] == said.get(row["metric_date"], 0)


def _first_day(con: questions.Connection) -> date:
    ((day,),) = con.execute(
        "select min(metric_date) from shop_metrics_daily where shop_id = ?", [SHOP]
    ).fetchall()
    assert isinstance(day, date)
    return day


def test_a_products_thirty_days_end_on_the_day_and_have_gaps_without_deliveries(
    con: questions.Connection,
) -> None:
    key = questions.products(con, SHOP, "nrr", DAY, limit=1)[0]["product_key"]
    rates = questions.product_rates(con, SHOP, "nrr", DAY, [key, "none"])
    said = dict(
        con.execute(
            "select metric_date, nrr from product_metrics_daily where shop_id = ? "
            "and product_key = ?",
            [SHOP, key],
        ).fetchall()
    )
    assert rates[key] == [said.get(DAY - timedelta(29 - n)) for n in range(30)]
    assert rates["none"] == [None] * 30


def test_pages_of_a_table_make_the_whole(con: questions.Connection) -> None:
    whole = questions.files(con, limit=10_000)
    pages = [questions.files(con, limit=7, offset=at) for at in range(0, len(whole), 7)]
    assert [row for page in pages for row in page] == whole
    assert whole[0]["total"] == len(whole) > 7


def test_what_is_looked_for_is_text_and_no_pattern(con: questions.Connection) -> None:
    assert questions.events(con, SHOP, day=DAY, search="%") == []
    assert questions.events(con, "' or 1=1 --", day=DAY) == []
    assert questions.products(con, SHOP, "nrr", DAY, search="' or ''='") == []


def test_a_product_is_asked_for_by_its_whole_key(con: questions.Connection) -> None:
    key = questions.products(con, SHOP, "nrr", DAY, limit=1)[0]["product_key"]
    part = key[:-1]
    assert len(questions.products(con, SHOP, "nrr", DAY, search=part)) > 0
    assert questions.products(con, SHOP, "nrr", DAY, product=part) == []
    (row,) = questions.products(con, SHOP, "nrr", DAY, product=key)
    assert row["product_key"] == key


@pytest.mark.parametrize("state", ["ok", "stale", "not_loaded"])
def test_no_rate_is_made_where_the_shop_has_none(published: Published, state: str) -> None:
    version = current(published.data)
    assert version
    with questions.publication(version) as con:
        no_rate = "sfrr" if state == "ok" else "null::double"
        for table, columns in (
            ("shop_metrics_daily", f"'{state}' as sfrr_state, {no_rate} as sfrr"),
            ("product_metrics_daily", f"{no_rate} as sfrr"),
        ):
            con.execute(
                f"create temp view {table} as select * replace ({columns}) from memory.main.{table}"
            )
        assert questions.state(con, SHOP, "sfrr", DAY) == state
        assert questions.state(con, SHOP, "nrr", DAY) == "ok"
        key = questions.products(con, SHOP, "sfrr", DAY, order="orders")[0]["product_key"]
        reasons = questions.reasons(con, SHOP, "sfrr", DAY, key)
        products = questions.reason_products(con, SHOP, "sfrr", reasons[0]["reason_code"], DAY)
        rates = [row["rate"] for row in reasons + products]
        assert len(rates) > 1
        assert {rate is not None for rate in rates} == {state == "ok"}
        days = questions.product_days(con, SHOP, "sfrr", key, DAY - timedelta(3), DAY)
        assert [row["state"] for row in days] == [state] * 4


def test_a_product_is_called_as_on_that_day(con: questions.Connection) -> None:
    names = con.execute(
        "select product_key, product_name from product_metrics_daily "
        "where shop_id = ? and metric_date = ? and product_name is not null",
        [SHOP, DAY],
    ).fetchall()
    assert len(names) > 1
    for key, name in names:
        assert questions.product_name(con, SHOP, key, DAY) == name
    assert questions.product_name(con, SHOP, "no such product", DAY) is None
    assert questions.product_name(con, "no-such-shop", names[0][0], DAY) is None


@pytest.mark.parametrize(
    ("targets", "of"),
    [
        ({"nrr": None, "nrr_seller": 0.006, "nrr_product": 0.005, "sfrr": 0.001}, "nrr_product"),
        ({"nrr": 0.005, "nrr_seller": 0.005}, "nrr"),
        ({"nrr": None, "sfrr": 0.001}, None),
    ],
)
def test_a_threshold_says_whose_target_it_is(
    published: Published, targets: dict[str, float | None], of: str | None
) -> None:
    version = current(published.data)
    assert version
    with questions.publication(version) as con:
        cases = " ".join(
            f"when '{metric}' then {target}" for metric, target in targets.items() if target
        )
        con.execute(
            "create temp view metric_status_daily as select * replace (case metric "
            f"{cases} end as target) from memory.main.metric_status_daily"
        )
        rows = questions.products(con, SHOP, "nrr", DAY)
        watched = {row["threshold_of"] for row in rows if row["watch_rank"]}
        assert watched == {of}
        assert {row["threshold_of"] for row in rows if not row["watch_rank"]} == {None}


def test_moments_are_in_utc_wherever_the_machine_stands(published: Published) -> None:
    ask = (
        "from dagster_project.lib import publications, questions\n"
        "from dagster_project.lib.paths import DataDir\n"
        "with questions.publication(publications.current(DataDir.default())) as con:\n"
        "    for asked in (con, con.cursor()):\n"
        "        print(questions.gates(asked)[0]['checked_at'])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", ask],
        env=os.environ | {"TZ": "Asia/Bangkok", "FEEDBACK_DATA_DIR": str(published.data.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    moments = [datetime.fromisoformat(line) for line in said.stdout.splitlines()]
    assert [moment.utcoffset() for moment in moments] == [timedelta(0)] * 2


# --- charts ---------------------------------------------------------------------------------------


def _days(**changes: Any) -> list[dict[str, Any]]:
    row = {
        "rate": 0.004, "orders": 4, "delivered_orders": 1000, "rate_low": 0.002,
        "rate_high": 0.009, "target": 0.005, "state": "ok", "restated": None,
    }  # fmt: skip
    return [row | {"metric_date": DAY - timedelta(n)} | changes for n in range(5, -1, -1)]


def _drawn(chart: Any) -> str:
    svg = vl_convert.vegalite_to_svg(chart.to_json())
    assert isinstance(svg, str)
    return svg


def test_a_rate_is_drawn_with_its_target_and_marks_what_is_to_mind() -> None:
    days = _days()
    days[1] |= {"restated": "3 of 999 until 2 Nov 2026 (file)"}
    days[-1] |= {"state": "stale", "rate": None, "rate_low": None, "rate_high": None}
    ahead = [
        {"forecast_date": DAY + timedelta(n), "expected_rate": 0.006, "rate_if_nothing_new": 0.001,
         "expected_delivered_orders": 990.0}
        for n in (1, 2)
    ]  # fmt: skip
    chart = charts.rate_over_time(days, ahead, name="NRR", width=500)
    svg = _drawn(chart)
    assert "target: below 0.50%" in svg
    assert ">stale<" in svg
    assert "Restated: 3 of 999 until 2 Nov 2026 (file)" in svg
    assert "4 of 1,000" in svg
    assert "Data: complete" in svg
    assert "the files end before this day" in chart.to_json()
    assert "Expected on 2 Nov 2026: 0.60%" in chart.to_dict()["description"]
    plain = _drawn(charts.rate_over_time(_days(target=None), name="NRR", width=500))
    assert "target: below" not in plain
    assert ">stale<" not in plain


def test_a_line_that_is_no_target_is_not_called_one() -> None:
    chart = charts.rate_over_time(_days(), name="NRR", limit="the shop's own rate", width=500)
    svg = _drawn(chart)
    assert "the shop&#39;s own rate: 0.50%" in svg or "the shop's own rate: 0.50%" in svg
    assert "target" not in svg.lower()
    assert "the shop's own rate 0.50%" in chart.to_dict()["description"]


def test_a_chart_of_nothing_is_drawn_and_says_so() -> None:
    empty = _days(rate=None, rate_low=None, rate_high=None)
    for chart, word in (
        (charts.rate_over_time(empty, name="NRR", width=300), "no rate in these days"),
        (charts.reasons_pareto([], width=300), "none"),
        (charts.orders_by_reason_over_time([], width=300), "no reason"),
    ):
        assert word in chart.to_dict()["description"]
        assert _drawn(chart).startswith("<svg")


def test_days_are_drawn_where_they_are_in_every_time_zone() -> None:
    spec = json.loads(charts.rate_over_time(_days(), name="NRR").to_json())
    scales = [
        layer["encoding"]["x"]["scale"]["type"]
        for layer in spec["layer"]
        if "x" in layer["encoding"]
    ]
    assert set(scales) == {"utc"}


def test_names_in_charts_are_no_markup() -> None:
    evil = "</svg><script>alert(1)</script>"
    row = {"orders": 3, "share": 0.5, "is_counted": True, "category": evil, "reason_code": evil}
    assert "<script" not in _drawn(charts.reasons_pareto([row], width=300))
    assert "<script" not in charts.sparkline([0.1, 0.2], label=evil)


def test_a_bar_that_does_not_count_blames_nobody() -> None:
    row = {"orders": 3, "share": None, "is_counted": False, "category": "other",
           "reason_code": "unmapped"}  # fmt: skip
    svg = _drawn(charts.reasons_pareto([row], width=300))
    assert "Counts: not counted" in svg
    assert "seller" not in svg


def test_a_day_is_written_as_people_do() -> None:
    assert day_words(date(2026, 11, 6)) == "6 Nov 2026"
    assert day_words(None) == "an unknown day"


def test_a_sparkline_has_a_gap_where_there_is_no_rate() -> None:
    assert charts.sparkline([0.1, 0.2, None, 0.3, 0.2], label="x").count("<polyline") == 2
    assert charts.sparkline([], label="x").startswith("<svg")


# --- downloads ------------------------------------------------------------------------------------

EVIL = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", '=HYPERLINK("http://x")', "fine"]


def test_no_cell_that_is_taken_away_is_a_formula() -> None:
    rows = [{"text": text, "number": -0.5, "day": DAY} for text in EVIL]
    names = ["text", "number", "day"]
    header, *lines = csv.reader(io.StringIO(as_csv(names, rows).decode("utf-8-sig"), newline=""))
    assert header == names
    assert [line[0] for line in lines] == [f"'{text}" for text in EVIL[:-1]] + ["fine"]
    assert {line[1] for line in lines} == {"-0.5"}
    book = as_workbook(names, rows)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0)
    assert [row[1:] for row in sheet.to_python()[1:]] == [[-0.5, DAY]] * len(EVIL)
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        page = parts.read("xl/worksheets/sheet1.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    assert "<f>" not in page
    assert 'quotePrefix="1"' in styles


@pytest.mark.parametrize(
    "text",
    ["ok;=1+1", "ok;=1+1;", 'ok;"=1+1;', "ok;\t@x;", "a\n=1+1\nb", "a\r\n-1;", ";+1;", 'x"=1;;=1'],
)
@pytest.mark.parametrize("before", [None, 5, -0.5, "a", "a;"])
def test_no_part_of_a_cell_is_a_formula_where_semicolons_part_cells(
    text: str, before: object
) -> None:
    rows = [{"before": before, "text": text, "after": text}] * 2
    written = as_csv(list(rows[0]), rows).decode("utf-8-sig")
    cells = [cell for line in csv.reader(io.StringIO(written, newline=""), delimiter=";")
             for cell in line]  # fmt: skip
    assert len(cells) > len(rows)
    assert not [cell for cell in cells if cell.lstrip("\t\r\n").startswith(("=", "+", "@", "-1"))]


def test_texts_are_quoted_and_numbers_are_not() -> None:
    row = {"text": "a;b", "flag": True, "day": DAY, "rate": 0.5, "orders": 3, "none": None}
    assert as_csv(list(row), [row]).decode("utf-8-sig").splitlines()[1] == (
        '"a;b","true","2026-10-31",0.5,3,""'
    )


def test_long_texts_are_made_safe_in_time() -> None:
    text = '\n";' * 300_000
    assert spreadsheet_safe(text) == f"'{text}"
    assert spreadsheet_safe("fine, 2-3 days; a = b") == "fine, 2-3 days; a = b"


def test_order_numbers_keep_every_digit_in_a_workbook() -> None:
    rows = [{"order_id": "577000000000000123456", "text": None, "is_counted": True}]
    book = as_workbook(list(rows[0]), rows)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0)
    assert sheet.to_python()[1] == ["577000000000000123456", "", True]


def test_values_read_the_same_everywhere() -> None:
    moment = datetime(2026, 10, 31, 5, 6, tzinfo=UTC)
    assert [cell_text(value) for value in (None, False, DAY, moment, 3, "x")] == [
        "", "false", "2026-10-31", "2026-10-31T05:06:00+00:00", "3", "x",
    ]  # fmt: skip


# --- the dashboard's start ------------------------------------------------------------------------


def test_a_dashboard_of_no_directory_or_on_a_taken_port_does_not_start(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    said = feedback_here("dashboard", "--data-dir", nowhere)
    assert said.code == 2
    assert f"{nowhere} is no directory" in said.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = feedback_here("dashboard", "--data-dir", tmp_path, "--port", port)
    assert said.code == 2
    assert f"Port {port} is taken; is a dashboard open already?" in said.output


# --- the dashboard takes no lock ------------------------------------------------------------------


def test_asking_a_publication_locks_nothing(published: Published, tmp_path: Path) -> None:
    version = current(published.copy(tmp_path))
    assert version
    con = questions.publication(version)
    assert questions.last_day(con) == DAY
    with duckdb.connect(str(version.folder / "marts.duckdb")) as writer:
        writer.execute("create table mine as select 1 as x")
        assert questions.last_day(con) == DAY
    con.close()
