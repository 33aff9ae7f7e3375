"""The warehouse: the pipeline's private database, made ready from ledger and raw store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.database import connect
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.paths import DBT_DIR, PROJECT_ROOT, DataDir
from dagster_project.lib.raw_store import LINEAGE, batch_path
from dagster_project.lib.settings import load_own_settings
from dagster_project.lib.shops import read_shops
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.version import version

RUN_TABLES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "shops": (
        "The shops of shops.csv. One row per shop.",
        {
            "shop_id": ("VARCHAR", "The shop, as its landing folder is called."),
            "shop_name": ("VARCHAR", "Its name for people."),
            "region": ("VARCHAR", "Two-letter country code; decides the targets."),
            "timezone": ("VARCHAR", "The zone in which the shop's days are cut."),
            "currency": ("VARCHAR", "Three-letter code of the shop's money."),
        },
    ),
    "files": (
        "The ledger's files as they count now. One row per shop, dataset and file.",
        {
            "file_id": ("VARCHAR", "sha-256 of the file's bytes, in hex."),
            "shop_id": ("VARCHAR", "The shop, from the folder the file lay in."),
            "dataset": ("VARCHAR", "What the file holds, from the folder it lay in."),
            "file_name": ("VARCHAR", "The file's name, made printable."),
            "exported_at": ("TIMESTAMP", "When the file was exported, in shop time."),
            "rows_read": ("BIGINT", "Data rows in the file."),
            "rows_loaded": ("BIGINT", "Rows that the contract accepts."),
            "rows_rejected": ("BIGINT", "Rows set aside by name."),
            "status": ("VARCHAR", "loaded, refused or retracted."),
            "message": ("VARCHAR", "Why it was refused; blank when loaded."),
        },
    ),
    "run": (
        "What the run was asked for. One row.",
        {
            "run_id": ("VARCHAR", "The run that made the warehouse ready."),
            "as_of": (
                "DATE",
                "The last metric day asked for; null = the latest day with an event.",
            ),
            "inputs": ("VARCHAR", "Digest of all that the marts depend on."),
        },
    ),
}


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse; one process at a time may hold it for writing."""
    con = connect(path, read_only=read_only)
    try:
        con.execute("set timezone = 'UTC'")
        yield con
    finally:
        con.close()


def prepare_warehouse(
    data: DataDir, ledger: Ledger, run_id: str, as_of: date | None, inputs: str
) -> None:
    """Show the raw store and the run's parameters to dbt and the gates, as schema `raw`.

    `raw.<dataset>` has all rows that count, `raw_new.<dataset>` those of files that no publication
    has used yet; `own_settings` has the data directory's own settings. Raises ConfigurationError.
    """
    entries = ledger.current_files()
    published = ledger.published_file_ids()
    new = [e for e in entries if (e.shop_id, e.dataset, e.file_id) not in published]
    with open_warehouse(data.warehouse) as con:
        con.execute("create schema if not exists raw")
        con.execute("create schema if not exists raw_new")
        _fill(con, "raw", "shops", [vars(shop) for shop in read_shops(data.shops_csv).values()])
        _fill(con, "raw", "run", [{"run_id": run_id, "as_of": as_of, "inputs": inputs}])
        _load_files(con, "raw", entries)
        _load_files(con, "raw_new", [e for e in new if e.status != "retracted"])
        for dataset in load_datasets().values():
            _show(con, "raw", dataset, entries, data.raw)
            _show(con, "raw_new", dataset, new, data.raw)
        load_own_settings(con, data)


def inputs_fingerprint(data: DataDir, ledger: Ledger, as_of: date | None) -> str:
    """A digest of all that the marts depend on: files, shops, settings, as-of date and code."""
    digest = hashlib.sha256(f"{as_of}\n".encode())
    for entry in ledger.current_files():
        if entry.status == "loaded":
            digest.update(f"{entry.shop_id}\n{entry.dataset}\n{entry.file_id}\n".encode())
    own = sorted(data.settings.glob("*.csv")) if data.settings.is_dir() else []
    for path in [data.shops_csv, *own]:
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    digest.update(code_version().encode())
    return digest.hexdigest()[:32]


def code_version() -> str:
    """The package's version and a digest of the models, seeds, macros and contracts."""
    digest = hashlib.sha256()
    for folder in (DBT_DIR, PROJECT_ROOT / "data_contracts"):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".sql", ".csv", ".yml", ".yaml") and "target" not in path.parts:
                digest.update(path.relative_to(folder).as_posix().encode() + b"\n")
                digest.update(path.read_bytes())
    return f"{version()}+{digest.hexdigest()[:12]}"


def _load_files(con: duckdb.DuckDBPyConnection, schema: str, entries: list[FileEntry]) -> None:
    _fill(con, schema, "files", [vars(entry) for entry in entries])


def _fill(
    con: duckdb.DuckDBPyConnection, schema: str, table: str, rows: list[dict[str, object]]
) -> None:
    columns = RUN_TABLES[table][1]
    con.register("_rows", pa.table({name: [row[name] for row in rows] for name in columns}))
    typed = ", ".join(f"cast({name} as {kind}) as {name}" for name, (kind, _) in columns.items())
    con.execute(f"create or replace table {schema}.{table} as select {typed} from _rows")
    con.unregister("_rows")


def _show(
    con: duckdb.DuckDBPyConnection,
    schema: str,
    dataset: Dataset,
    entries: list[FileEntry],
    raw: Path,
) -> None:
    """A view of the batches that hold the entries' rows; an empty one when there are none."""
    mine = [e for e in entries if e.dataset == dataset.name]
    batches = sorted({e.batch_id for e in mine if e.status == "loaded"})
    view = f"{schema}.{identifier(dataset.name)}"
    columns = {c.name: c.type for c in dataset.columns} | LINEAGE
    rows = ", ".join(f"cast(null as {k}) as {identifier(n)}" for n, k in columns.items())
    rows = f"select {rows} where false"
    if batches:
        paths = ", ".join(literal(str(batch_path(raw, dataset.name, b))) for b in batches)
        # a batch older than a column of the contract has nulls in it; retracted files and earlier
        # readings of the same bytes stay in their Parquet file unseen
        rows += (
            " union all by name "
            f"select r.* from read_parquet([{paths}], union_by_name = true) as r "
            f"where exists (select 1 from {schema}.files as f where f.status = 'loaded' "
            f"and f.dataset = {literal(dataset.name)} and f.shop_id = r.shop_id "
            "and f.file_id = r._file_id and f.exported_at = r._exported_at)"
        )
    con.execute(f"create or replace view {view} as {rows}")
