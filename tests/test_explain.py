"""`feedback explain`: what it lists adds up to what is published, and leads to the file rows."""

from __future__ import annotations

import csv
import random
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.errors import ConfigurationError, FeedbackError
from dagster_project.lib.explain import Question, explain, product_key, write_lines
from dagster_project.lib.metrics import NUMERATORS
from dagster_project.lib.paths import DataDir
from tests.support import Published, feedback_here

SHOP, DAY = "th-siam-snacks", date(2026, 10, 20)


def points(published: Published, query: str, size: int) -> list[tuple[object, ...]]:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(f"{query} order by all").fetchall()
    return random.Random(6).sample(rows, size)


def test_listed_orders_add_up_to_the_published_figure_of_shop_days(published: Published) -> None:
    days = "select shop_id, metric_date from shop_metrics_daily where delivered_orders > 0"
    for shop_id, day in points(published, days, 12):
        for metric in NUMERATORS:
            found = explain(published.data, Question(str(shop_id), metric, day))  # type: ignore[arg-type]
            assert found.adds_up, found.question
            assert found.delivered_orders > 0


def test_listed_orders_add_up_by_reason_product_and_both(published: Published) -> None:
    asked = [
        (shop, metric, day, None, reason)
        for shop, metric, day, reason in points(
            published,
            "select distinct shop_id, metric, metric_date, reason_code from reason_metrics_daily",
            25,
        )
    ]
    asked += [
        (shop, metric, day, product, None)
        for shop, metric, day, product in points(
            published,
            "select shop_id, unnest(['nrr', 'sfrr']), metric_date, product_key "
            "from product_metrics_daily where negative_review_orders > 0",
            25,
        )
    ]
    asked += points(
        published,
        "select distinct shop_id, metric, metric_date, product_key, reason_code "
        "from product_reason_metrics_daily",
        25,
    )
    for point in asked:
        found = explain(published.data, Question(*point))  # type: ignore[arg-type]
        assert found.adds_up, found.question
        assert found.orders > 0 or point[4] is None


def test_rows_lead_to_the_lines_of_the_files(published: Published) -> None:
    found = explain(published.data, Question(SHOP, "sfrr", DAY))
    assert {line.in_numerator for line in found.lines} == {True, False}
    checked = 0
    for line in found.lines[:60]:
        for dataset, name, row in (
            ("orders", line.order_file, line.order_row),
            ("returns", line.event_file, line.event_row),
        ):
            path = published.data.landing / SHOP / dataset / str(name)
            if row is None or path.suffix != ".csv":
                continue
            with path.open(encoding="utf-8-sig", newline="") as file:
                cells = [cell.strip() for cell in list(csv.reader(file))[row - 1]]
            assert line.order_id in cells
            checked += 1
    assert checked > 60


def test_what_voids_a_request_is_listed_with_its_rule(published: Published) -> None:
    rules = {
        (line.event_counts, line.rule)
        for line in explain(published.data, Question(SHOP, "sfrr", DAY)).lines
        if line.event_id
    }
    assert (True, "counted") in rules
    assert (False, "voided_by_return_status") in rules
    assert {rule for counts, rule in rules if counts} == {"counted"}


def test_command_prints_the_figure_and_writes_all_rows(
    published: Published, tmp_path: Path
) -> None:
    out = tmp_path / "orders.csv"
    done = feedback_here(
        *("explain", "--shop", SHOP, "--metric", "nrr", "--date", DAY, "--out", out),
        *("--data-dir", published.data.root),
    )
    assert done.code == 0, done.output
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        orders, delivered = con.execute(
            "select negative_review_orders, delivered_orders from shop_metrics_daily "
            "where shop_id = ? and metric_date = ?",
            [SHOP, DAY],
        ).fetchall()[0]
    assert f"{orders} of {delivered} orders" in done.output
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["order_id"] for row in rows}) == delivered
    assert len({row["order_id"] for row in rows if row["in_numerator"] == "true"}) == orders


def test_product_may_be_named_by_its_title(published: Published) -> None:
    key, name = points(
        published,
        "select product_key, any_value(product_name) from product_metrics_daily "
        f"where shop_id = '{SHOP}' group by 1",
        1,
    )[0]
    assert product_key(published.data, SHOP, str(name).upper()) == key
    assert product_key(published.data, SHOP, str(key)) == key
    with pytest.raises(ConfigurationError, match="names 0 products"):
        product_key(published.data, SHOP, "no such thing")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--shop", "nobody", "--metric", "nrr", "--date", "2026-10-20"),
            "No figure was",
        ),
        (("--shop", SHOP, "--metric", "nrr", "--date", "2031-01-01"), "No figure was"),
        (("--shop", SHOP, "--metric", "mood", "--date", "2026-10-20"), "The metrics are nrr"),
        (
            ("--shop", SHOP, "--metric", "nrr_seller", "--date", "2026-10-20", "--reason", "x"),
            "there are nrr and sfrr",
        ),
    ],
)
def test_question_without_an_answer_is_told_in_words(
    published: Published, options: tuple[str, ...], words: str
) -> None:
    done = feedback_here("explain", *options, "--data-dir", published.data.root)
    assert done.code == 2
    assert words in " ".join(done.output.split())


def test_warehouse_that_is_not_what_readers_see_is_no_ground(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    with connect(data.warehouse) as con:
        con.execute("update raw.run set run_id = 'another', inputs = 'others'")
    with pytest.raises(FeedbackError, match="another run than the one that readers see"):
        explain(data, Question(SHOP, "nrr", DAY))
    data.warehouse.unlink()
    with pytest.raises(FeedbackError, match="`feedback run` makes it anew"):
        explain(data, Question(SHOP, "nrr", DAY))
    with pytest.raises(ConfigurationError, match="Nothing was published"):
        explain(DataDir(tmp_path / "empty"), Question(SHOP, "nrr", DAY))


def test_figure_that_does_not_add_up_is_an_error(published: Published, tmp_path: Path) -> None:
    data = published.copy(tmp_path)
    with connect(data.warehouse) as con:
        con.execute(
            "delete from intermediate.int_orders where order_key = (select min(order_key) "
            "from intermediate.int_orders where shop_id = ? and delivered_date = ?)",
            [SHOP, DAY],
        )
    done = feedback_here(
        *("explain", "--shop", SHOP, "--metric", "nrr", "--date", DAY),
        *("--data-dir", data.root),
    )
    assert done.code == 1
    assert "feedback rebuild" in done.output


def test_cells_are_no_formulas(published: Published, tmp_path: Path) -> None:
    line = explain(published.data, Question(SHOP, "nrr", DAY)).lines[0]
    hostile = type(line)(**(vars(line) | {"event_file": '=HYPERLINK("x")', "rule": "+1"}))
    write_lines([hostile], tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["event_file"], row["rule"]) == ('\'=HYPERLINK("x")', "'+1")
    assert duckdb.read_csv(str(tmp_path / "x.csv")).fetchall()
