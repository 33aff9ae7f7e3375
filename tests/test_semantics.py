"""MetricFlow's answers are the marts' figures, whatever it is asked by."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.metrics import CHAT_RATE, NUMERATORS
from dagster_project.lib.publications import Version
from dagster_project.lib.semantics import run_metricflow, write_project
from tests.support import Published, feedback, feedback_here, fingerprint

SHOP_RATES = (*NUMERATORS, CHAT_RATE)
WEDNESDAY = date(2026, 10, 28)
Answer = dict[tuple[object, ...], tuple[float | None, ...]]
Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def marts(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The publication with a shop that stays as it was in the middle of a week, and a calm one.

    Nobody of the calm shop gives a reason in the last days, for which its chats are not known. A
    product's name is a formula.
    """
    folder = tmp_path_factory.mktemp("versions")
    path = Path(shutil.copy(published.data.published / "marts.duckdb", folder))
    with duckdb.connect(str(path)) as con:
        frozen, calm, *_ = shops(con)
        for table in ("shop", "product", "reason", "complaint"):
            con.execute(
                f"delete from {table}_metrics_daily where shop_id = ? and metric_date > ?",
                [frozen, WEDNESDAY],
            )
        con.execute(
            "delete from reason_metrics_daily where shop_id = ? and metric_date > ?",
            [calm, WEDNESDAY],
        )
        con.execute(
            "update shop_metrics_daily set chat_state = 'stale', chat_reply_rate = null "
            "where shop_id = ? and metric_date > ?",
            [calm, WEDNESDAY],
        )
        con.execute(
            "update product_metrics_daily set product_name = '=1+1' where product_key = "
            "(select min(product_key) from product_metrics_daily where shop_id = ?)",
            [frozen],
        )
    # MetricFlow's connection keeps others of this process off the file
    return Path(shutil.copy(path, folder / "to_compare.duckdb"))


@pytest.fixture(scope="module")
def ask(manifest: None, marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """MetricFlow as the command `mf` sets it up, for several questions."""
    from dbt_metricflow.cli.cli_configuration import CLIConfiguration
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

    folder = tmp_path_factory.mktemp("metricflow")
    write_project(folder, Version(marts.parent))
    cli = CLIConfiguration()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cli.setup(folder, folder, configure_file_logging=False)

    def answer(metrics: Sequence[str], *by: str, where: Sequence[str] = ()) -> Answer:
        request = MetricFlowQueryRequest.create(
            metric_names=metrics, group_by_names=by, where_constraints=where or None
        )
        table = cli.mf.query(request).result_df
        assert table is not None
        found = {}
        for row in table.rows:
            cells = dict(zip(table.column_names, row, strict=True))
            key = tuple(c.date() if isinstance(c := cells[name], datetime) else c for name in by)
            figures = (cells[metric] for metric in metrics)
            found[key] = tuple(None if f is None else float(f) for f in figures)
        assert len(found) == len(table.rows)
        return found

    yield answer
    cli.sql_client.close()


def expected(marts: Path, keys: int, query: str) -> Answer:
    with duckdb.connect(str(marts), read_only=True) as con:
        rows = con.execute(query).fetchall()
    assert rows
    return {row[:keys]: row[keys:] for row in rows}


def shops(con: duckdb.DuckDBPyConnection) -> list[str]:
    found = con.execute("select distinct shop_id from shop_metrics_daily order by all").fetchall()
    return [shop for (shop,) in found]


def last_days(table: str, grain: str) -> str:
    """The last day on which a mart has rows of a shop, for each day, week or month; as SQL."""
    return (
        f"(select shop_id, date_trunc('{grain}', metric_date)::date as period, "
        f"max(metric_date) as metric_date from {table} group by all)"
    )


def test_a_shops_rates_of_a_day_are_the_marts(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts, 2, f"select shop_id, metric_date, {', '.join(SHOP_RATES)} from shop_metrics_daily"
    )
    assert any(None in figures for figures in wanted.values()), "no shop without reviews"
    assert all(any(rates) for rates in zip(*wanted.values(), strict=True)), "a rate without figures"
    assert ask(SHOP_RATES, "shop", "metric_time__day") == wanted


def test_a_shops_rates_of_a_week_are_those_of_its_last_day_in_it(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts,
        2,
        f"select shop_id, period, {', '.join(SHOP_RATES)} from shop_metrics_daily "
        f"join {last_days('shop_metrics_daily', 'week')} using (shop_id, metric_date)",
    )
    assert ask(SHOP_RATES, "shop", "metric_time__week") == wanted


def test_without_a_time_the_rates_are_those_of_each_shops_last_day(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts,
        1,
        f"select shop_id, {', '.join(SHOP_RATES)} from shop_metrics_daily "
        "qualify row_number() over (partition by shop_id order by metric_date desc) = 1",
    )
    assert ask(SHOP_RATES, "shop") == wanted


def test_the_rate_of_all_shops_is_of_their_orders_where_the_metric_is_known(
    marts: Path, ask: Ask
) -> None:
    parts = {
        "nrr": ("negative_review_orders", "delivered_orders", "nrr_state"),
        "sfrr": ("seller_fault_return_orders", "delivered_orders", "sfrr_state"),
        "complaint_rate": ("complaint_orders", "delivered_orders", "complaint_state"),
        "negative_feedback_rate": (
            *("negative_feedback_orders", "delivered_orders", "negative_feedback_state"),
        ),
        "chat_reply_rate": ("chats_replied_in_time", "chats", "chat_state"),
    }
    columns = ", ".join(
        f"sum({numerator}) filter (where {state} = 'ok') "
        f"/ nullif(sum({denominator}) filter (where {state} = 'ok'), 0)"
        for numerator, denominator, state in parts.values()
    )
    wanted = expected(
        marts, 1, f"select metric_date, {columns} from shop_metrics_daily group by metric_date"
    )
    assert ask(tuple(parts), "metric_time__day") == wanted


@pytest.mark.parametrize("grain", ["day", "week"])
def test_a_products_rates_are_the_marts(marts: Path, ask: Ask, grain: str) -> None:
    wanted = expected(
        marts,
        3,
        "select shop_id, product_key, period, nrr, sfrr from product_metrics_daily "
        f"join {last_days('product_metrics_daily', grain)} using (shop_id, metric_date)",
    )
    by = ("shop", "product", f"metric_time__{grain}")
    assert ask(("product_nrr", "product_sfrr"), *by) == wanted


@pytest.mark.parametrize("grain", ["day", "week", "month"])
@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_a_reasons_rate_is_that_of_the_last_day_on_which_any_reason_of_the_shop_has_a_row(
    marts: Path, ask: Ask, metric: str, grain: str
) -> None:
    wanted = expected(
        marts,
        3,
        "select shop_id, reason_code, period, "
        f"max(rate) filter (where metric = '{metric}') from reason_metrics_daily "
        f"join {last_days('reason_metrics_daily', grain)} using (shop_id, metric_date) "
        "group by all",
    )
    assert {None} < {figure for (figure,) in wanted.values()}
    assert ask((f"reason_{metric}",), "shop", "reason", f"metric_time__{grain}") == wanted


def test_only_by_day_is_it_seen_that_nobody_gave_a_reason_at_the_end(marts: Path, ask: Ask) -> None:
    with duckdb.connect(str(marts), read_only=True) as con:
        _, calm, *_ = shops(con)
    assert max(day for shop, day in ask(("nrr",), "shop", "metric_time__day") if shop == calm) > (
        WEDNESDAY
    )
    by_day = ask(("reason_nrr",), "shop", "reason", "metric_time__day")
    assert max(day for shop, _, day in by_day if shop == calm) == WEDNESDAY
    earlier = {
        reason: rate
        for (shop, reason, day), rate in by_day.items()
        if (shop, day) == (calm, WEDNESDAY)
    }
    of_the_month = ask(("reason_nrr",), "shop", "reason", "metric_time__month")
    month = WEDNESDAY.replace(day=1)
    assert earlier == {
        reason: rate
        for (shop, reason, period), rate in of_the_month.items()
        if (shop, period) == (calm, month)
    }
    of_all_time = ask(("reason_nrr",), "shop", "reason")
    assert earlier == {reason: rate for (shop, reason), rate in of_all_time.items() if shop == calm}


def test_a_filter_by_reason_shows_the_last_day_on_which_that_reason_has_a_row(
    marts: Path, ask: Ask
) -> None:
    rows = expected(
        marts,
        2,
        "select shop_id, reason_code, arg_max(rate, metric_date), max(metric_date) "
        "from reason_metrics_daily where metric = 'sfrr' group by all",
    )
    last: dict[object, object] = {}
    for (shop, _), (_, day) in rows.items():
        last[shop] = max(day, last.get(shop, day))
    reason = min(reason for (shop, reason), (_, day) in rows.items() if day != last[shop])
    answer = ask(
        ("reason_sfrr",), "shop", "reason", where=[f"{{{{ Entity('reason') }}}} = '{reason}'"]
    )
    assert answer == {key: (rate,) for key, (rate, _) in rows.items() if key[1] == reason}


def test_the_complaint_rate_by_type_and_reason_is_the_marts(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts,
        4,
        "select shop_id, complaint_type, reason_code, metric_date, max(rate) "
        "from complaint_metrics_daily group by all having count(*) = 1",
    )
    by = ("shop", "complaint_day__complaint_type", "reason", "metric_time__day")
    assert ask(("reason_complaint_rate",), *by) == wanted


def test_what_would_add_up_rows_that_do_not_add_up_is_empty(marts: Path, ask: Ask) -> None:
    rows = expected(
        marts,
        2,
        "select shop_id, metric_date, count(*), case when count(*) = 1 then max(sfrr) end "
        "from product_metrics_daily group by all",
    )
    assert {count for count, _ in rows.values()} > {1}
    answer = ask(("product_sfrr",), "shop", "metric_time__day")
    assert answer == {key: (rate,) for key, (_, rate) in rows.items()}


def test_a_filter_leaves_the_weeks_last_day_where_it_is(marts: Path, ask: Ask) -> None:
    where = ["{{ Entity('shop') }} = 'my-messy-market'"]
    every = ask(("nrr", "sfrr"), "shop", "metric_time__week")
    one = ask(("nrr", "sfrr"), "shop", "metric_time__week", where=where)
    assert one == {key: v for key, v in every.items() if key[0] == "my-messy-market"}


def test_the_command_asks_what_is_published_and_leaves_it_alone(published: Published) -> None:
    before = fingerprint(published.data.published)
    question = ("query", "--metrics", "nrr,sfrr", "--group-by", "shop", "--quiet")
    done = feedback("mf", *question, "--data-dir", published.data.root)
    assert done.code == 0, done.output
    with duckdb.connect(str(published.data.published / "marts.duckdb"), read_only=True) as con:
        shops = con.execute("select distinct shop_id from shop_metrics_daily").fetchall()
    assert all(shop in done.output for (shop,) in shops)
    assert fingerprint(published.data.published) == before
    assert feedback("mf", "query", "--metrics", "profit", "--data-dir", published.data.root).code


def test_a_csv_has_the_answer_with_formulas_as_text(
    manifest: None, marts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "products.csv"
    by = ("shop", "product", "product_day__product_name", "metric_time__day")
    question = ("query", "--metrics", "product_nrr", "--group-by", ",".join(by), "--quiet")
    assert run_metricflow(Version(marts.parent), [*question, f"--csv={out}"]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = expected(
        marts,
        3,
        "select shop_id, product_key, metric_date::timestamp::varchar, "
        "case when product_name = '=1+1' then '''=1+1' else product_name end, nrr "
        "from product_metrics_daily",
    )
    found = {
        (row["shop"], row["product"], row["metric_time__day"]): (
            row["product_day__product_name"],
            float(row["product_nrr"]) if row["product_nrr"] else None,
        )
        for row in rows
    }
    assert found == wanted
    assert len(found) == len(rows)
    assert "'=1+1" in {name for name, _ in found.values()}


def test_a_csv_that_mf_did_not_write_stays_as_it_is(
    manifest: None, marts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("=1+1\n")
    question = ("query", "--metrics", "nrr", "--group-by", "shop", "--explain", "--quiet")
    assert run_metricflow(Version(marts.parent), [*question, "--csv", str(out)]) == 0
    assert out.read_text() == "=1+1\n"


def test_without_a_publication_the_command_says_so(tmp_path: Path) -> None:
    done = feedback_here("mf", "list", "metrics", "--data-dir", tmp_path)
    assert done.code == 2
    assert "Nothing was published" in done.output
