"""The tables of one published version, as a DuckDB file and as Parquet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.descriptions import Described, describe_mart
from dagster_project.lib.increments import is_unpublished_day, unpublished_marts
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.warehouse import RUN_TABLES

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
_FILE = {name: text for name, (_, text) in RUN_TABLES["files"][1].items()}


@dataclass(frozen=True)
class LedgerTable(Described):
    """A published table of the ledger in words, and where its columns and rows come from."""

    source: str

    @property
    def query(self) -> str:
        """What makes it, run in the ledger."""
        return f"select {', '.join(self.columns)} from {self.source}"


# What the ledger adds.
LEDGER_TABLES = {
    "quality_results": LedgerTable(
        "What each rule of the gates found in each run.",
        {
            "run_id": "The run that checked.",
            "checked_at": "When it checked.",
            "stage": "raw (new files, before anything is computed) or publish (the marts, before "
            "readers see them).",
            "dataset": "The dataset or mart that the rule is of.",
            "rule": "The rule, as docs/quality-rules.md lists it.",
            "severity": "critical, warning or off, as the settings say.",
            "passed": "Whether the rule held.",
            "checked_rows": "Rows that were checked.",
            "failed_rows": "Rows, or groups of rows, that break the rule.",
            "examples": "Some of what breaks it, as JSON; no personal data.",
            "message": "What was found, or why it could not be checked.",
            "accepted_reason": "Why it was let pass once, by `--accept`; null where it was not.",
            "contained": "What was set apart so that the rest could be published; null where "
            "nothing was.",
        },
        "quality_results order by all",
    ),
    "frozen_shops": LedgerTable(
        "The shops that stay as in an earlier publication, and the rules they break.",
        {
            "shop_id": _FILE["shop_id"],
            "rules": "The rules that it breaks, between commas.",
            "publication_id": "The publication whose rows of the shop stay.",
            "as_of": "The last metric day of that publication.",
        },
        "current_frozen_shops left join publications using (publication_id) order by all",
    ),
    "metric_restatements": LedgerTable(
        "Figures of days published before that became others, by which publication, and why.",
        {
            "publication_id": "The publication that changed the figure.",
            "published_at": "When it was published.",
            "shop_id": _FILE["shop_id"],
            "metric_date": "The last shop day of the window.",
            "metric": "A rate of orders, as metric_status_daily names them.",
            "old_numerator": "Orders with negative feedback, as published before.",
            "old_denominator": "Delivered orders, as published before.",
            "new_numerator": "Orders with negative feedback, as published then; null where that "
            "day was no longer published.",
            "new_denominator": "Delivered orders, as published then; null likewise.",
            "cause": "code or setting where one of these was another, else file.",
        },
        "restatements inner join publications using (publication_id) order by all",
    ),
    "rejected_rows": LedgerTable(
        "The rows that were set aside, by file, row, column and rule.",
        {
            "dataset": _FILE["dataset"],
            "shop_id": _FILE["shop_id"],
            "source_file": _FILE["file_name"],
            "row_number": "Row of that file, 1 = the first.",
            "column_name": "The column that breaks the rule, as exports call it; blank where the "
            "row does.",
            "rule": "The rule that it breaks.",
            "message": "What is wrong, without the cell's content.",
            "file_id": _FILE["file_id"],
        },
        "current_rejected_rows order by all",
    ),
    "files": LedgerTable(
        "The files that were ingested, refused, withdrawn or retracted.",
        {name: text for name, text in _FILE.items() if name != "layout"},
        "current_files order by shop_id, dataset, file_id",
    ),
}
# Clients of the 1.4 and 1.5 lines are still in use; they cannot open DuckDB 2's own format.
_STORAGE_VERSION = "v1.4.0"
_UNDESCRIBED = Described("", {})
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
    for name, table in LEDGER_TABLES.items():
        con.register(f"_{name}", ledger.con.sql(table.query).to_arrow_table())
        _create(con, name, f"select * from _{name}")
        write_parquet(con, name, folder)
    describe_publication(con)
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


def describe_publication(con: duckdb.DuckDBPyConnection) -> None:
    """Give the tables and columns of `publication` their descriptions, which clients show."""
    tables = {name: describe_mart(name) for name in MARTS} | LEDGER_TABLES
    shown = con.execute(
        """
        select table_name, null as column_name, comment from duckdb_tables()
        where database_name = 'publication'
        union all
        select table_name, column_name, comment from duckdb_columns()
        where database_name = 'publication'
        """
    ).fetchall()
    con.execute("begin")
    for table, column, comment in shown:
        described = tables.get(table, _UNDESCRIBED)  # of a version that earlier code made
        text = described.columns.get(column) if column else described.description
        if text and text != comment:  # else taken over from the version before
            name = _published(table) + (f".{identifier(column)}" if column else "")
            kind = "column" if column else "table"
            con.execute(f"comment on {kind} {name} is {literal(text)}")
    con.execute("commit")


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
