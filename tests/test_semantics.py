"""MetricFlow's answers are the marts' figures, whatever it is asked by."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.publications import Version
from dagster_project.lib.semantics import write_project
from tests.support import Published, feedback, feedback_here, fingerprint

SHOP_RATES = ("nrr", "nrr_seller", "nrr_product", "nrr_service", "sfrr", "complaint_rate")
Answer = dict[tuple[object, ...], tuple[float | None, ...]]
Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def marts(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The publication with one shop that stays as it was in the middle of a week."""
    folder = tmp_path_factory.mktemp("versions")
    path = Path(shutil.copy(published.data.published / "marts.duckdb", folder))
    with duckdb.connect(str(path)) as con:
        frozen = con.execute("select min(shop_id) from shop_metrics_daily").fetchone()
        for table in ("shop", "product", "reason", "complaint"):
            con.execute(
                f"delete from {table}_metrics_daily where shop_id = ? and metric_date > ?",
                [*(frozen or ()), date(2026, 10, 28)],
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


# The last day that a shop has in each week, as SQL.
LAST_DAYS = (
    "(select shop_id, date_trunc('week', metric_date) as week, max(metric_date) as metric_date "
    "from {table} group by all)"
)


def test_a_shops_rates_of_a_day_are_the_marts(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts, 2, f"select shop_id, metric_date, {', '.join(SHOP_RATES)} from shop_metrics_daily"
    )
    assert any(None in figures for figures in wanted.values()), "no shop without reviews"
    assert ask(SHOP_RATES, "shop", "metric_time__day") == wanted


def test_a_shops_rates_of_a_week_are_those_of_its_last_day_in_it(marts: Path, ask: Ask) -> None:
    wanted = expected(
        marts,
        2,
        f"select shop_id, week::date, {', '.join(SHOP_RATES)} from shop_metrics_daily "
        f"join {LAST_DAYS.format(table='shop_metrics_daily')} using (shop_id, metric_date)",
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
    columns = ", ".join(
        f"sum({numerator}) filter (where {state} = 'ok') "
        f"/ nullif(sum(delivered_orders) filter (where {state} = 'ok'), 0)"
        for numerator, state in (
            ("negative_review_orders", "nrr_state"),
            ("seller_fault_return_orders", "sfrr_state"),
            ("complaint_orders", "complaint_state"),
        )
    )
    wanted = expected(
        marts, 1, f"select metric_date, {columns} from shop_metrics_daily group by metric_date"
    )
    assert ask(("nrr", "sfrr", "complaint_rate"), "metric_time__day") == wanted


@pytest.mark.parametrize("grain", ["day", "week"])
def test_a_products_rates_are_the_marts(marts: Path, ask: Ask, grain: str) -> None:
    wanted = expected(
        marts,
        3,
        f"select shop_id, product_key, date_trunc('{grain}', metric_date)::date, nrr, sfrr "
        "from product_metrics_daily"
        + (
            f" join {LAST_DAYS.format(table='product_metrics_daily')} using (shop_id, metric_date)"
            if grain == "week"
            else ""
        ),
    )
    by = ("shop", "product", f"metric_time__{grain}")
    assert ask(("product_nrr", "product_sfrr"), *by) == wanted


@pytest.mark.parametrize("grain", ["day", "week"])
@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_a_reasons_rate_is_the_marts(marts: Path, ask: Ask, metric: str, grain: str) -> None:
    wanted = expected(
        marts,
        3,
        f"select shop_id, reason_code, date_trunc('{grain}', metric_date)::date, "
        f"max(rate) filter (where metric = '{metric}') from reason_metrics_daily "
        + (
            f" join {LAST_DAYS.format(table='reason_metrics_daily')} using (shop_id, metric_date)"
            if grain == "week"
            else ""
        )
        + " group by all",
    )
    assert {None} < {figure for (figure,) in wanted.values()}
    assert ask((f"reason_{metric}",), "shop", "reason", f"metric_time__{grain}") == wanted


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


def test_without_a_publication_the_command_says_so(tmp_path: Path) -> None:
    done = feedback_here("mf", "list", "metrics", "--data-dir", tmp_path)
    assert done.code == 2
    assert "Nothing was published" in done.output
