"""The warehouse: the pipeline's private database, made ready from ledger and raw store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.database import OFFLINE, connect
from dagster_project.lib.errors import DamagedError
from dagster_project.lib.increments import Changes, find_changes, read_absorbed
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.paths import DBT_DIR, PROJECT_ROOT, DataDir
from dagster_project.lib.publications import current, published_at
from dagster_project.lib.raw_views import RawStore, show_known_orders
from dagster_project.lib.settings import load_own_settings
from dagster_project.lib.shops import read_shops
from dagster_project.lib.sql import literal
from dagster_project.lib.version import version

# As for dbt (profiles.yml): a run stays below 4 GiB, and what needs more goes to disk.
_MEMORY_LIMIT = "3GB"
# Own settings that no model reads: they decide what is published, not what is computed.
_GATE_SETTINGS = "quality_rules.csv"
# Settings of which a change makes other figures of the same texts.
_DEFINITIONS = ("metric_settings", "metric_variants", "outcome_policy", "reasons")

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
            "status": ("VARCHAR", "loaded, refused, withdrawn or retracted."),
            "message": ("VARCHAR", "Why it was refused or withdrawn; blank when loaded."),
            "layout": ("VARCHAR", "The contract's columns that the file has."),
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
            "basis": ("VARCHAR", "Digest of what the marts depend on beside files."),
            "method": ("VARCHAR", "Digest of how figures are computed: code and definitions."),
            "absorbed_as_of": (
                "DATE",
                "The last metric day of the models as they stand; null = they are built anew.",
            ),
        },
    ),
    "absorbed_files": (
        "The files that the models stand for before this run. One row per shop, dataset and file.",
        {
            "shop_id": ("VARCHAR", "The shop, from the folder the file lay in."),
            "dataset": ("VARCHAR", "What the file holds, from the folder it lay in."),
            "file_id": ("VARCHAR", "sha-256 of the file's bytes, in hex."),
            "exported_at": ("TIMESTAMP", "When the file was exported, in shop time."),
            "layout": ("VARCHAR", "The contract's columns that the file has."),
        },
    ),
    "published_shops": (
        "The shops of what readers see now. One row per shop.",
        {
            "shop_id": ("VARCHAR", "The shop."),
            "days": ("BIGINT", "Its published metric days."),
            "last_day": ("DATE", "The last of them."),
            "had_orders_taken_back": (
                "BOOLEAN",
                "Whether order files of it were retracted since that publication.",
            ),
        },
    ),
    "reread": (
        "Where changed records are read anew from all their files, because what the models keep of "
        "them does not say what an older file would. One row per shop and dataset.",
        {
            "shop_id": ("VARCHAR", "The shop."),
            "dataset": ("VARCHAR", "The dataset."),
        },
    ),
}


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse; one process at a time may hold it for writing.

    Raises DamagedError when the file is no whole database.
    """
    try:
        con = connect(path, read_only=read_only)
    except duckdb.Error as error:
        raise DamagedError(
            f"{path} is damaged; `feedback rebuild` makes it anew from {path.parent / 'raw'}. "
            "What is published is not touched by that."
        ) from error
    try:
        con.execute("set timezone = 'UTC'")
        con.execute(f"set memory_limit = {literal(_MEMORY_LIMIT)}")
        yield con
    finally:
        con.close()


def is_built(path: Path) -> bool:
    """Whether the warehouse is there and its models were built to their end."""
    if not path.exists():
        return False
    with open_warehouse(path, read_only=True) as con:
        settled = con.execute("select 1 from duckdb_schemas() where schema_name = 'absorbed'")
        return bool(settled.fetchall())


def prepare_warehouse(
    data: DataDir,
    ledger: Ledger,
    run_id: str,
    as_of: date | None,
    inputs: str,
    *,
    full_refresh: bool = False,
) -> None:
    """Show the raw store and the run's parameters to dbt and the gates, as schema `raw`.

    `raw.<dataset>` has all rows that count, `raw_new.<dataset>` those of files that no publication
    has used yet, `raw_changed.<dataset>` those of files that came or went since the models were
    built; `raw.known_orders` is for the gates; `own_settings` has the data directory's own
    settings. The models are to be built anew, with nothing in `raw_changed`, when `full_refresh` is
    asked for, when anything but files changed or when the run that built them last did not end.
    Raises ConfigurationError.
    """
    entries = ledger.current_files()
    published = ledger.published_files()
    new = [e for e in entries if ((e.shop_id, e.dataset, e.file_id), e.status) not in published]
    basis = basis_fingerprint(data)
    with open_warehouse(data.warehouse) as con:
        for schema in ("raw", "raw_new", "raw_changed", "changes"):
            con.execute(f"create schema if not exists {schema}")
        load_own_settings(con, data)
        absorbed = None if full_refresh else read_absorbed(con, basis)
        changes = find_changes(entries, absorbed.files) if absorbed else Changes()
        run: dict[str, object] = {
            "run_id": run_id,
            "as_of": as_of,
            "inputs": inputs,
            "basis": basis,
            "method": method_fingerprint(data),
            "absorbed_as_of": absorbed.as_of if absorbed else None,
        }
        _fill(con, "raw", "run", [run])
        _fill(con, "raw", "shops", [vars(shop) for shop in read_shops(data.shops_csv).values()])
        _fill(con, "raw", "absorbed_files", [vars(f) for f in absorbed.files] if absorbed else [])
        _fill(con, "raw", "published_shops", _published_shops(data, ledger))
        _fill(con, "raw", "reread", [{"shop_id": s, "dataset": d} for s, d in changes.reread])
        _load_files(con, "raw", entries)
        _load_files(con, "raw_new", [e for e in new if e.status in ("loaded", "refused")])
        _load_files(con, "raw_changed", [*changes.came, *changes.went])
        store = RawStore(con, data.raw, ledger.batch_sizes())
        for dataset in load_datasets().values():
            store.show("raw", dataset, entries)
            store.show("raw_new", dataset, new)
            store.show("raw_changed", dataset, [*changes.came, *changes.went])
        show_known_orders(con, ask_models=absorbed is not None and not changes.went)


def prepare_without_withdrawn(data: DataDir, ledger: Ledger) -> str:
    """Make the warehouse ready once more, when the raw gate has withdrawn files.

    Returns the inputs now.
    """
    with open_warehouse(data.warehouse, read_only=True) as con:
        ((run_id, as_of, is_anew),) = con.execute(
            "select run_id, as_of, absorbed_as_of is null from raw.run"
        ).fetchall()
    inputs = inputs_fingerprint(data, ledger, as_of)
    prepare_warehouse(data, ledger, run_id, as_of, inputs, full_refresh=is_anew)
    return inputs


def _published_shops(data: DataDir, ledger: Ledger) -> list[dict[str, object]]:
    version = current(data)
    if version is None or version.faults():
        return []
    with duckdb.connect(config=OFFLINE) as con:
        shops = con.execute(
            "select shop_id, count(*), max(metric_date) "
            f"from {version.parquet('shop_metrics_daily')} group by shop_id"
        ).fetchall()
    taken_back = ledger.taken_back_at("orders")
    frozen_since = version.frozen_since()
    return [
        {
            "shop_id": shop,
            "days": days,
            "last_day": last_day,
            "had_orders_taken_back": shop in taken_back
            and taken_back[shop] > published_at(frozen_since.get(shop) or version.publication_id),
        }
        for shop, days, last_day in shops
    ]


def basis_fingerprint(data: DataDir) -> str:
    """A digest of what the marts depend on beside files and the as-of date: shops, settings, code.

    DuckDB's version is part of it, for the hashes that the models keep.
    """
    own = sorted(data.settings.glob("*.csv")) if data.settings.is_dir() else []
    digest = hashlib.sha256(duckdb.__version__.encode())
    for path in [data.shops_csv, *own]:
        if path.name in (_GATE_SETTINGS, data.notifications.name):
            continue
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    digest.update(code_version().encode())
    return digest.hexdigest()[:32]


def inputs_fingerprint(data: DataDir, ledger: Ledger, as_of: date | None) -> str:
    """A digest of all that a publication depends on: files, as-of date, the gates and the basis."""
    digest = hashlib.sha256(f"{as_of}\n{basis_fingerprint(data)}\n".encode())
    gates = data.settings / _GATE_SETTINGS
    digest.update(gates.read_bytes() if gates.is_file() else b"")
    for entry in ledger.current_files():
        if entry.status == "loaded":
            place = f"{entry.shop_id}\n{entry.dataset}\n"
            digest.update(f"{place}{entry.file_id}\n{entry.exported_at}\n".encode())
    return digest.hexdigest()[:32]


def method_fingerprint(data: DataDir) -> str:
    """A digest of how figures are computed: code and definitions; one per publication.

    Not of what texts mean (reasons of returns, types of complaints, rules for comments): those are
    added to as new texts come, and that is no other method.
    """
    digest = hashlib.sha256(code_version().encode())
    for name in _DEFINITIONS:
        path = data.settings / f"{name}.csv"
        digest.update(path.read_bytes() + b"\n" if path.is_file() else b"\n")
    return digest.hexdigest()[:32]


def code_version() -> str:
    """The package's version and a digest of models, seeds, macros, contracts and what they call.

    What a model in Python calls decides over figures as the models do.
    """
    digest = hashlib.sha256()
    called = PROJECT_ROOT / "dagster_project" / "lib" / "review_reasons.py"
    digest.update(called.read_bytes())
    for folder in (DBT_DIR, PROJECT_ROOT / "data_contracts"):
        for path in sorted(folder.rglob("*")):
            is_code = path.suffix in (".sql", ".py", ".csv", ".yml", ".yaml")
            if is_code and "target" not in path.parts:
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
