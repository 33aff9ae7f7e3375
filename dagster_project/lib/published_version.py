"""The tables of one published version, as a DuckDB file and as Parquet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.increments import is_unpublished_day, unpublished_marts
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.sql import identifier, literal

# The published marts and the order of their rows, so that the same marts give the same files: by
# series, of which there are few, and within each by one column.
MARTS = {
    "shop_metrics_daily": (("shop_id",), "metric_date"),
    "product_metrics_daily": (("shop_id", "product_key"), "metric_date"),
    "reason_metrics_daily": (("shop_id", "metric", "reason_code", "fault"), "metric_date"),
    "product_reason_metrics_daily": (
        ("shop_id", "product_key", "metric", "reason_code", "is_counted"), "metric_date"
    ),
    "complaint_metrics_daily": (
        ("shop_id", "complaint_type", "reason_code", "fault"), "metric_date"
    ),
    "feedback_events": (("shop_id",), "event_id"),
    "metric_status_daily": (("shop_id", "metric"), "metric_date"),
    "shop_forecast": (("shop_id", "metric"), "horizon_days"),
    "feedback_costs": (("shop_id", "product_key", "metric", "reason_code"), "is_counted"),
    "watchlist": (("shop_id",), "rank"),
    "metric_variants_daily": (("shop_id", "variant"), "metric_date"),
    "reconciliation": (("shop_id", "metric", "window_days"), "metric_date"),
}  # fmt: skip
# What the ledger adds: what each table is, and the query that makes it.
LEDGER_TABLES = {
    "quality_results": (
        "What each rule of the gates found in each run.",
        "select run_id, checked_at, stage, dataset, rule, severity, passed, checked_rows, "
        "failed_rows, examples, message, accepted_reason, contained from quality_results "
        "order by all",
    ),
    "frozen_shops": (
        "The shops that stay as in an earlier publication, and the rules they break.",
        "select f.shop_id, f.rules, f.publication_id, p.as_of from current_frozen_shops as f "
        "left join publications as p using (publication_id) order by all",
    ),
    "metric_restatements": (
        "Figures of days published before that became others, by which publication, and why.",
        "select r.publication_id, p.published_at, r.shop_id, r.metric_date, r.metric, "
        "r.old_numerator, r.old_denominator, r.new_numerator, r.new_denominator, r.cause "
        "from restatements as r inner join publications as p using (publication_id) "
        "order by all",
    ),
    "rejected_rows": (
        "The rows that were set aside, by file, row, column and rule.",
        "select dataset, shop_id, source_file, row_number, column_name, rule, message, file_id "
        "from current_rejected_rows order by all",
    ),
    "files": (
        "The files that were ingested, refused, withdrawn or retracted.",
        "select file_id, shop_id, dataset, file_name, exported_at, rows_read, rows_loaded, "
        "rows_rejected, status, message from current_files order by shop_id, dataset, file_id",
    ),
}
# Clients of the 1.4 and 1.5 lines are still in use; they cannot open DuckDB 2's own format.
_STORAGE_VERSION = "v1.4.0"
_IS_NOT_FROZEN = "m.shop_id not in (select shop_id from frozen)"


def write_version(
    con: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    folder: Path,
    previous: Path | None,
    frozen: Collection[str] = (),
) -> dict[str, int]:
    """Write the tables of the warehouse `con` and of the ledger into `folder`; count their rows.

    What is as in the version `previous` is taken over from it: tables as they are, of daily marts
    the days that were not computed again, and all rows of shops that are `frozen`. Rows of such a
    mart are in order within what one version added.
    """
    (folder / "parquet").mkdir()
    con.execute(
        "create or replace temp table frozen as select unnest(?) as shop_id", [list(frozen)]
    )
    unpublished = unpublished_marts(con, previous.name) if previous else None
    if previous and unpublished is not None:
        shutil.copyfile(previous / "marts.duckdb", folder / "marts.duckdb")
    attach_publication(con, folder)
    for name in MARTS:
        if previous and unpublished is not None and name not in unpublished:
            _take_over(_parquet(previous, name), _parquet(folder, name))
            continue
        if unpublished and unpublished[name]:
            _replace_days(con, name)
        else:
            _create(con, name, _in_order(name, _with_frozen(name, previous)))
        write_parquet(con, name, folder)
    for name, (_, query) in LEDGER_TABLES.items():
        con.register(f"_{name}", ledger.con.sql(query).to_arrow_table())
        _create(con, name, f"select * from _{name}")
        write_parquet(con, name, folder)
    counts = {
        name: con.execute(f"select count(*) from {_published(name)}").fetchall()[0][0]
        for name in (*MARTS, *LEDGER_TABLES)
    }
    con.execute("detach publication")
    if (folder / "marts.duckdb.wal").exists():
        raise RuntimeError("the publication's database was left with a write-ahead log")
    return counts


def append_rows(folder: Path, table: str, rows: pa.Table) -> int:
    """Add rows, with the table's columns, to a table of the version in `folder`; count them."""
    with duckdb.connect(config=OFFLINE) as con:
        attach_publication(con, folder)
        con.register("_rows", rows)
        con.execute(f"insert into {_published(table)} by name select * from _rows")
        write_parquet(con, table, folder)
        con.execute("detach publication")
    return int(rows.num_rows)


def attach_publication(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Open the version's DuckDB file, or make it, as the database `publication`."""
    con.execute(
        f"attach {literal(str(folder / 'marts.duckdb'))} as publication "
        f"(storage_version {literal(_STORAGE_VERSION)})"
    )


def write_parquet(con: duckdb.DuckDBPyConnection, table: str, folder: Path) -> None:
    """Write a table of `publication` as Parquet beside it."""
    path = literal(str(_parquet(folder, table)))
    con.execute(f"copy (from {_published(table)}) to {path} (format parquet, compression zstd)")


def _create(con: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    con.execute(f"create or replace table {_published(table)} as {query}")


def _replace_days(con: duckdb.DuckDBPyConnection, mart: str) -> None:
    """Bring the days that were computed again since the version before."""
    con.execute("begin")
    con.execute(
        f"delete from {_published(mart)} as m where {is_unpublished_day('m')} and {_IS_NOT_FROZEN}"
    )
    fresh = f"(from unpublished.{mart} as m where {_IS_NOT_FROZEN})"
    con.execute(f"insert into {_published(mart)} {_in_order(mart, fresh)}")
    con.execute("commit")


def _with_frozen(mart: str, previous: Path | None) -> str:
    """The mart's rows, but of frozen shops those of the version before."""
    rows = f"from marts.{mart} as m where {_IS_NOT_FROZEN}"
    if previous and _parquet(previous, mart).exists():  # else it was made before there was one
        old = f"read_parquet({literal(str(_parquet(previous, mart)))})"
        rows += f" union all by name from {old} as m where not ({_IS_NOT_FROZEN})"
    return f"({rows})"


def _in_order(mart: str, relation: str) -> str:
    """Rows sorted by the numbers of their series: half the work of sorting by texts."""
    series, within = MARTS[mart]
    columns = ", ".join(series)
    same = " and ".join(f"m.{column} is not distinct from s.{column}" for column in series)
    return (
        f"with series as (select *, row_number() over (order by {columns}) as number "
        f"from (select distinct {columns} from {relation})) "
        f"select m.* from {relation} as m inner join series as s on {same} "
        f"order by s.number, m.{within}"
    )


def _published(table: str) -> str:
    return f"publication.main.{identifier(table)}"


def _parquet(version: Path, table: str) -> Path:
    return version / "parquet" / f"{table}.parquet"


def _take_over(old: Path, new: Path) -> None:
    """The same file once more, without its bytes being written where links can be made."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
