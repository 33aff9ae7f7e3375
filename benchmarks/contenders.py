"""What the scale benchmark measures, each in a process of its own: see `scale.py`.

    python benchmarks/contenders.py NAME DATA_DIR [OUT]

The last line of the output is a JSON object: `cpu_s`, the CPU seconds of the task itself without
imports where it has some, and what else the task has to tell.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

Facts = dict[str, Any]
WINDOW_DAYS = 30
MEMORY = "4GB"


@contextmanager
def _timed(facts: Facts) -> Iterator[None]:
    cpu = sum(os.times()[:4])
    started = time.perf_counter()
    yield
    facts["wall_s"] = time.perf_counter() - started
    facts["cpu_s"] = sum(os.times()[:4]) - cpu


def run(root: Path, out: Path) -> Facts:
    """`feedback run` without its summary: the job, with what each step took."""
    from dagster_project.lib.database import one_run_at_a_time
    from dagster_project.lib.paths import DataDir
    from dagster_project.runner import run_job

    facts: Facts = {}
    data = DataDir(root)
    with _timed(facts), one_run_at_a_time(data.lock):
        outcome = run_job(data, None, lambda _: None)
    if not outcome.succeeded:
        raise SystemExit(f"the run failed: {outcome.errors}, log of {outcome.run_id}")
    return facts | {
        "published": outcome.published,
        "steps": [asdict(step) for step in outcome.steps],
    }


def run_up_to_publication(root: Path, out: Path) -> Facts:
    """A run that dies before it publishes, so that the gates' inputs stay as they were."""
    from dagster_project.lib.database import one_run_at_a_time
    from dagster_project.lib.dbt_manifest import ensure_manifest
    from dagster_project.lib.errors import FeedbackError
    from dagster_project.lib.paths import DataDir
    from dagster_project.runner import run_job

    ensure_manifest()  # before definitions are imported
    import dagster_project.defs.publish as step

    data = DataDir(root)
    with (
        one_run_at_a_time(data.lock),
        mock.patch.object(step, "publish", side_effect=FeedbackError("stopped on purpose")),
    ):
        outcome = run_job(data, None, lambda _: None)
    if outcome.published or not any("on purpose" in error for error in outcome.errors):
        raise SystemExit(f"the run did not get as far as publishing: {outcome.errors}")
    return {}


def prepare(root: Path, out: Path) -> Facts:
    """All that a run does before dbt: ingest, the raw tables; `scope` is what dbt must be told."""
    from dagster_project.lib.increments import begin_models
    from dagster_project.lib.ingest import ingest
    from dagster_project.lib.ledger import Ledger
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.warehouse import open_warehouse, prepare_warehouse

    data = DataDir(root)
    with Ledger.open(data.ledger) as ledger:
        ingest(data, ledger)
        prepare_warehouse(data, ledger, "bench", None, "bench")
    with open_warehouse(data.warehouse) as con:
        return {"scope": begin_models(con)}


def settle(root: Path, out: Path) -> Facts:
    """What a run does after dbt, so that the next may be an increment."""
    from dagster_project.lib.increments import settle_models
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.warehouse import open_warehouse

    with open_warehouse(DataDir(root).warehouse) as con:
        settle_models(con)
    return {}


def imports(root: Path, out: Path) -> Facts:
    """Importing Dagster with its dbt integration."""
    import dagster
    import dagster_dbt

    return {"versions": [dagster.__version__, dagster_dbt.__version__]}


def imports_gx(root: Path, out: Path) -> Facts:
    """Importing Great Expectations, as the gates do."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations.expectations

    return {"name": great_expectations.expectations.__name__}


def gates(root: Path, out: Path) -> Facts:
    """Both gates as a run has them: Great Expectations, rule by rule."""
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.warehouse import open_warehouse

    imports_gx(root, out)
    from dagster_project.quality import gates as quality

    facts: Facts = {}
    with (
        _timed(facts),
        open_warehouse(DataDir(root).warehouse, read_only=True) as con,
    ):
        suites = (*quality.raw_suites(), *quality.publish_suites())
        results = quality.check(con, suites, "bench")
    return facts | {"failed": {r.rule: r.failed_rows for r in results if not r.passed}}


def gates_sql(root: Path, out: Path) -> Facts:
    """The same rules as bare SQL: the contracts' own queries, counted, in one connection."""
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.warehouse import open_warehouse
    from dagster_project.quality.gates import publish_suites, raw_suites

    facts: Facts = {}
    failed: dict[str, int] = {}
    with (
        _timed(facts),
        open_warehouse(DataDir(root).warehouse, read_only=True) as con,
    ):
        for suite in (*raw_suites(), *publish_suites()):
            for rule in suite.rules:
                batch = f"select count(*) from {suite.batch}"
                if rule.query is None:
                    found = con.execute(batch).fetchall()[0][0]
                    if found < rule.limit:
                        failed[rule.id] = 0
                    continue
                query = rule.query.replace("{batch}", suite.batch).replace("{table}", suite.table)
                if rule.asks == "value":
                    query = f"select * from ({query}) where value > {rule.limit}"
                (offending,) = con.execute(f"select count(*) from ({query})").fetchall()[0]
                if not offending:
                    continue
                (rows,) = con.execute(batch).fetchall()[0] if rule.asks == "share" else (0,)
                if offending * 100.0 > (rule.limit if rule.asks == "share" else 0) * rows:
                    failed[rule.id] = offending
    return facts | {"failed": failed}


def bare_publication(root: Path, out: Path) -> Facts:
    """What readers get, by `COPY FROM DATABASE` into a new file, and Parquet of each table."""
    import duckdb

    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.sql import identifier, literal

    out.mkdir(parents=True)
    facts: Facts = {}
    with duckdb.connect() as con:
        marts = DataDir(root).published / "marts.duckdb"
        con.execute(f"attach {literal(str(marts.resolve()))} as marts (read_only)")
        names = con.execute("select table_name from duckdb_tables()").fetchall()
        with _timed(facts):
            con.execute(
                f"attach {literal(str(out / 'marts.duckdb'))} as bare (storage_version 'v1.4.0')"
            )
            con.execute("copy from database marts to bare")
            for (name,) in names:
                path = literal(str(out / f"{name}.parquet"))
                table = f"bare.main.{identifier(name)}"
                con.execute(f"copy (from {table}) to {path} (format parquet, compression zstd)")
            con.execute("detach bare")
    return facts


def _latest_orders_sql(root: Path) -> str:
    return f"""
        select shop_id, order_id, min(cast(delivered_time as date)) as delivered_date
        from (
            select * from read_parquet('{root}/raw/orders/*.parquet')
            qualify row_number() over (
                partition by shop_id, order_id, sku_id order by _exported_at desc, _row_number desc
            ) = 1
        )
        group by shop_id, order_id
        having min(delivered_time) is not null"""


def _latest_reviews_sql(root: Path) -> str:
    return f"""
        select shop_id, order_id, cast(created_at as date) as review_date, rating
        from read_parquet('{root}/raw/reviews/*.parquet')
        qualify row_number() over (
            partition by shop_id, review_id
            order by coalesce(updated_at, created_at) desc, _exported_at desc
        ) = 1"""


def range_join(root: Path, out: Path) -> Facts:
    """NRR of every shop and day as analysts write it in SQL: a range join, count distinct.

    One metric of one mart, where the pipeline computes all of four.
    """
    import duckdb

    out.mkdir(parents=True)
    facts: Facts = {}
    config: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": str(out)}
    with duckdb.connect(str(out / "range_join.duckdb"), config=config) as con, _timed(facts):
        con.execute(
            f"""
            create table shop_metrics as
            with orders as ({_latest_orders_sql(root)}),
            reviews as ({_latest_reviews_sql(root)}),
            days as (
                select shop_id, unnest(generate_series(
                    min(delivered_date),
                    (select max(delivered_date) from orders),
                    interval 1 day
                ))::date as metric_date
                from orders group by shop_id
            )
            select
                d.shop_id,
                d.metric_date,
                count(distinct o.order_id) as delivered_orders,
                count(distinct case when r.rating <= 2 and r.review_date <= d.metric_date
                    then o.order_id end) as negative_review_orders
            from days as d
            left join orders as o on o.shop_id = d.shop_id
                and o.delivered_date between d.metric_date - {WINDOW_DAYS - 1} and d.metric_date
            left join reviews as r on r.shop_id = o.shop_id and r.order_id = o.order_id
            group by d.shop_id, d.metric_date
            """
        )
        facts["rows"] = con.execute("select count(*) from shop_metrics").fetchall()[0][0]
    return facts


def pandas_rolling(root: Path, out: Path) -> Facts:
    """NRR of every shop and day as analysts write it in pandas: daily counts, `rolling(30).sum()`.

    Not the defined figure: a review counts on all days of its order's window, also before it was
    written. One metric of one mart.
    """
    import pandas as pd  # type: ignore[import-untyped]
    import pyarrow.parquet as pq

    def read(dataset: str, columns: list[str]) -> Any:
        return pq.read_table(root / "raw" / dataset, columns=columns).to_pandas()

    facts: Facts = {}
    with _timed(facts):
        keys = ["shop_id", "order_id"]
        lines = read("orders", [*keys, "sku_id", "delivered_time", "_exported_at", "_row_number"])
        lines = lines.sort_values(["_exported_at", "_row_number"])
        lines = lines.drop_duplicates([*keys, "sku_id"], keep="last")
        orders = lines.groupby(keys, as_index=False)["delivered_time"].min().dropna()
        orders["day"] = orders["delivered_time"].dt.normalize()
        reviews = read("reviews", [*keys, "review_id", "rating", "_exported_at"])
        reviews = reviews.sort_values("_exported_at")
        reviews = reviews.drop_duplicates(["shop_id", "review_id"], keep="last")
        negative = reviews.loc[reviews["rating"] <= 2, keys].drop_duplicates()
        orders = orders.merge(negative.assign(is_negative=1), on=keys, how="left")
        daily = orders.groupby(["shop_id", "day"]).agg(
            delivered_orders=("order_id", "count"), negative_review_orders=("is_negative", "sum")
        )
        last = orders["day"].max()
        parts = []
        for shop_id, shop in daily.groupby(level="shop_id"):
            counts = shop.droplevel("shop_id")
            counts = counts.reindex(pd.date_range(counts.index.min(), last), fill_value=0)
            parts.append(counts.rolling(WINDOW_DAYS, min_periods=1).sum().assign(shop_id=shop_id))
        metrics = pd.concat(parts)
        metrics["nrr"] = metrics["negative_review_orders"] / metrics["delivered_orders"]
    return facts | {"rows": len(metrics)}


CONTENDERS: dict[str, Callable[[Path, Path], Facts]] = {
    "run": run,
    "run_up_to_publication": run_up_to_publication,
    "prepare": prepare,
    "settle": settle,
    "imports": imports,
    "imports_gx": imports_gx,
    "gates": gates,
    "gates_sql": gates_sql,
    "bare_publication": bare_publication,
    "range_join": range_join,
    "pandas_rolling": pandas_rolling,
}


def main() -> None:
    """Run one and print its facts."""
    name, root, *rest = sys.argv[1:]
    out = Path(rest[0]) if rest else Path(root) / "bench"
    # at exit DuckDB's binding would print pages about objects that Great Expectations keeps alive
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
    facts = CONTENDERS[name](Path(root).resolve(), out.resolve())
    print(json.dumps(facts, default=str), flush=True)


if __name__ == "__main__":
    main()
