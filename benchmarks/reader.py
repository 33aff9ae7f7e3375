"""Readers of a publication in a loop, and the publisher that swaps versions under them.

    python benchmarks/reader.py duckdb|adbc|sqlalchemy|polars PUBLISHED_DIR STOP_FILE
    python benchmarks/reader.py publish DATA_DIR NUMBER

A reader prints a line once it has read, and at the end how often it read and what went wrong. In
every version the rows of two tables go together, and the mark that `publish` writes into two more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

QUERY = (
    "select (select count(*) from shop_metrics_daily) "
    "- (select count(*) from metric_status_daily where metric = 'nrr'), "
    "(select max(negative_review_orders) from shop_metrics_daily "
    "where negative_review_orders >= 1000000), "
    "(select max(orders) from reason_metrics_daily where orders >= 1000000)"
)


def read_duckdb(published: Path) -> list[tuple[object, ...]]:
    """With DuckDB's own client."""
    import duckdb

    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as con:
        return con.execute(QUERY).fetchall()


def read_adbc(published: Path) -> list[tuple[object, ...]]:
    """With Arrow Database Connectivity, which opens for writing unless told otherwise."""
    import adbc_driver_duckdb
    import adbc_driver_manager.dbapi as adbc

    options = {"path": str(published / "marts.duckdb"), "access_mode": "READ_ONLY"}
    driver = adbc_driver_duckdb.driver_path()
    with (
        adbc.connect(driver=driver, entrypoint="duckdb_adbc_init", db_kwargs=options) as con,
        con.cursor() as cursor,
    ):
        cursor.execute(QUERY)
        return list(cursor.fetchall())


def read_sqlalchemy(published: Path) -> list[tuple[object, ...]]:
    """With SQLAlchemy, a pool of its own for each reading."""
    import sqlalchemy as sa

    engine = sa.create_engine(
        f"duckdb:///{published / 'marts.duckdb'}", connect_args={"read_only": True}
    )
    try:
        with engine.connect() as con:
            return [tuple(row) for row in con.execute(sa.text(QUERY))]
    finally:
        engine.dispose()


def read_polars(published: Path) -> list[tuple[object, ...]]:
    """With Polars on the Parquet files of one version, which is looked up first."""
    import polars as pl

    folder = (published / "current").resolve() / "parquet"
    shops = pl.read_parquet(folder / "shop_metrics_daily.parquet")
    status = pl.read_parquet(folder / "metric_status_daily.parquet")
    reasons = pl.read_parquet(folder / "reason_metrics_daily.parquet")
    marked = shops.filter(pl.col("negative_review_orders") >= 1_000_000)
    also = reasons.filter(pl.col("orders") >= 1_000_000)
    return [
        (
            shops.height - status.filter(pl.col("metric") == "nrr").height,
            marked["negative_review_orders"].max(),
            also["orders"].max(),
        )
    ]


READERS: dict[str, Callable[[Path], list[tuple[object, ...]]]] = {
    "duckdb": read_duckdb,
    "adbc": read_adbc,
    "sqlalchemy": read_sqlalchemy,
    "polars": read_polars,
}


def read_until(kind: str, published: Path, stop: Path) -> None:
    """Read until the file `stop` is there."""
    reads, errors = 0, []
    while not (reads and stop.exists()):
        try:
            ((surplus, shops, reasons),) = READERS[kind](published)
            if surplus or shops != reasons:
                errors.append(f"a mixed version: {surplus} {shops} {reasons}")
        except Exception as error:  # whatever a client raises is an error for its user
            errors.append(f"{type(error).__name__}: {error}"[:300])
        reads += 1
        if reads == 1:
            print("reading", flush=True)
    print(json.dumps({"reads": reads, "errors": errors}), flush=True)


def publish_often(root: Path, number: int) -> None:
    """Publish versions, each with a mark of its own in two tables."""
    from dagster_project.lib.database import connect
    from dagster_project.lib.ledger import Ledger
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.publications import read_manifest
    from dagster_project.lib.publish import publish

    data = DataDir(root)
    run_id = (read_manifest(data) or {})["run_id"]
    for mark in range(1_000_000, 1_000_000 + number):
        with connect(data.warehouse) as con:
            con.execute("delete from unpublished.since")
            con.execute("update marts.shop_metrics_daily set negative_review_orders = ?", [mark])
            con.execute("update marts.reason_metrics_daily set orders = ?", [mark])
        with Ledger.open(data.ledger) as ledger:
            publish(data, ledger, run_id)
    print(number)


def main() -> None:
    """Read or publish."""
    kind, where, what = sys.argv[1:]
    if kind == "publish":
        publish_often(Path(where), int(what))
    else:
        read_until(kind, Path(where), Path(what))


if __name__ == "__main__":
    main()
