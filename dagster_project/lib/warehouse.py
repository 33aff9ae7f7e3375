"""The warehouse: the pipeline's private database, made ready from ledger and raw store."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date, datetime
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
    """A connection to the warehouse; one process at a time may hold it for writing."""
    con = connect(path, read_only=read_only)
    try:
        con.execute("set timezone = 'UTC'")
        yield con
    finally:
        con.close()


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
    published = ledger.published_file_ids()
    new = [e for e in entries if (e.shop_id, e.dataset, e.file_id) not in published]
    basis = basis_fingerprint(data)
    with open_warehouse(data.warehouse) as con:
        for schema in ("raw", "raw_new", "raw_changed", "changes"):
            con.execute(f"create schema if not exists {schema}")
        load_own_settings(con, data)
        absorbed = None if full_refresh else _absorbed(con, basis)
        changes = _changes(entries, absorbed.files) if absorbed else _Changes()
        run: dict[str, object] = {
            "run_id": run_id,
            "as_of": as_of,
            "inputs": inputs,
            "basis": basis,
            "absorbed_as_of": absorbed.as_of if absorbed else None,
        }
        _fill(con, "raw", "run", [run])
        _fill(con, "raw", "shops", [vars(shop) for shop in read_shops(data.shops_csv).values()])
        _fill(con, "raw", "absorbed_files", [vars(f) for f in absorbed.files] if absorbed else [])
        _fill(con, "raw", "reread", [{"shop_id": s, "dataset": d} for s, d in changes.reread])
        _load_files(con, "raw", entries)
        _load_files(con, "raw_new", [e for e in new if e.status != "retracted"])
        _load_files(con, "raw_changed", [*changes.came, *changes.went])
        store = _RawStore(con, data.raw, ledger.batch_sizes())
        for dataset in load_datasets().values():
            store.show("raw", dataset, entries)
            store.show("raw_new", dataset, new)
            store.show("raw_changed", dataset, [*changes.came, *changes.went])
        show_known_orders(con, is_anew=absorbed is None)


@dataclass(frozen=True)
class AbsorbedFile:
    """A file that the models stand for."""

    shop_id: str
    dataset: str
    file_id: str
    exported_at: datetime
    layout: str


@dataclass(frozen=True)
class _Absorbed:
    files: list[AbsorbedFile]
    as_of: date


@dataclass(frozen=True)
class _Changes:
    """Files that came and went since the models were built, and where to read records anew."""

    came: list[FileEntry] = field(default_factory=list)
    went: list[FileEntry] = field(default_factory=list)
    reread: list[tuple[str, str]] = field(default_factory=list)


def _absorbed(con: duckdb.DuckDBPyConnection, basis: str) -> _Absorbed | None:
    """What the models stand for; None when they must be built anew."""
    known = con.execute(
        "select table_name from information_schema.tables where table_schema = 'absorbed'"
    ).fetchall()
    if not known or _has_changing_window(con):
        return None
    state = con.execute("select as_of from absorbed.models where basis = ?", [basis]).fetchall()
    if not state or state[0][0] is None:
        return None
    names = ", ".join(f.name for f in fields(AbsorbedFile))
    rows = con.execute(f"select {names} from absorbed.files").fetchall()
    return _Absorbed([AbsorbedFile(*row) for row in rows], state[0][0])


def _has_changing_window(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the window's length depends on the as-of date: it would change every figure."""
    lengths = con.execute(
        "select value from own_settings.metric_settings where setting = 'window_days'"
    ).fetchall()
    return len(lengths) > 1


def _changes(entries: list[FileEntry], absorbed: list[AbsorbedFile]) -> _Changes:
    before = {(f.shop_id, f.dataset, f.file_id): f for f in absorbed}
    now = {(e.shop_id, e.dataset, e.file_id): e for e in entries}
    came, went = [], []
    reread: set[tuple[str, str]] = set()
    stamps: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    layouts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in absorbed:
        stamps[file.shop_id, file.dataset].append(file.exported_at)
    for key, entry in now.items():
        known = before.get(key)
        place = key[:2]
        if entry.status == "loaded":
            layouts[place].add(entry.layout)
            if known is None or known.exported_at != entry.exported_at:
                came.append(entry)
                if known is not None and entry.rows_loaded:
                    reread.add(place)
        elif known is not None:
            went.append(entry)
            reread.add(place)
    for entry in came:
        place = (entry.shop_id, entry.dataset)
        # of mixed layouts an older version may know a column that the newest lacks
        is_late = entry.exported_at is None or entry.exported_at <= max(
            stamps[place], default=datetime.min
        )
        if len(layouts[place]) > 1 and (is_late or entry.dataset == "reviews"):
            reread.add(place)
    return _Changes(came, went, sorted(reread))


def begin_models(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Say that the models are being built; returns what dbt must be told to build them.

    Until `settle_models` they stand for nothing, so that a run which dies on the way is followed
    by one that builds them anew.
    """
    con.execute("drop schema if exists absorbed cascade")
    if con.execute("select absorbed_as_of from raw.run").fetchall() == [(None,)]:
        return ["--full-refresh"]
    # settings do not change between increments, nor do the models that only show them
    return ["--exclude", "resource_type:seed stg_settings__*"]


def settle_models(con: duckdb.DuckDBPyConnection) -> None:
    """Note what the models, all of them built, stand for, and which days are to be checked."""
    names = ", ".join(f.name for f in fields(AbsorbedFile))
    con.execute("begin")
    _note_unpublished_days(con)
    con.execute("create schema absorbed")
    con.execute(
        f"create table absorbed.files as select {names} from raw.files where status = 'loaded'"
    )
    con.execute(
        "create table absorbed.models as select r.basis, p.as_of_date as as_of "
        "from raw.run as r left join intermediate.int_parameters as p on true"
    )
    con.execute("commit")


def _note_unpublished_days(con: duckdb.DuckDBPyConnection) -> None:
    """Show, as schema `unpublished`, the mart rows that were computed since the last publication.

    `unpublished.shop_days` has from which day on a shop's are, `unpublished.marts` the tables that
    differ, `unpublished.since` that publication; what a run computed whose gate closed stays until
    a publication has it.
    """
    con.execute("create schema if not exists unpublished")
    con.execute(
        "create table if not exists unpublished.shop_days (shop_id varchar, from_date date)"
    )
    con.execute("create table if not exists unpublished.marts (mart varchar)")
    con.execute("create table if not exists unpublished.since (publication_id varchar)")
    (is_anew,) = con.execute("select absorbed_as_of is null from raw.run").fetchall()[0]
    computed = (
        "select shop_id, date '1900-01-01' as from_date from raw.shops "
        "union select shop_id, date '1900-01-01' from marts.shop_metrics_daily"
        if is_anew
        else "from intermediate.int_touched__shop_days union all by name "
        "select shop_id, from_date from intermediate.int_touched__product_days"
    )
    con.execute(
        "create or replace table unpublished.shop_days as "
        "select shop_id, min(from_date) as from_date "
        f"from (from unpublished.shop_days union all by name {computed}) group by shop_id"
    )
    marts = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'marts'"
    ).fetchall()
    for (mart,) in marts:
        if is_anew or con.execute(f"select 1 from changes.{mart} limit 1").fetchall():
            con.execute("insert into unpublished.marts values (?)", [mart])
    for table in (
        "shop_metrics_daily",
        "product_metrics_daily",
        "reason_metrics_daily",
        "product_reason_metrics_daily",
    ):
        con.execute(
            f"create or replace view unpublished.{table} as select m.* from marts.{table} as m "
            "inner join unpublished.shop_days as k "
            "on m.shop_id = k.shop_id and m.metric_date >= k.from_date "
            "where m.metric_date >= (select min(from_date) from unpublished.shop_days)"
        )
    con.execute("create or replace view unpublished.feedback_events as from marts.feedback_events")


def published_marts(con: duckdb.DuckDBPyConnection, publication_id: str) -> set[str]:
    """The marts that are as that publication has them; none when it is not the last one."""
    return {
        mart
        for (mart,) in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' "
            "and table_name not in (select mart from unpublished.marts) "
            "and exists (select 1 from unpublished.since where publication_id = ?)",
            [publication_id],
        ).fetchall()
    }


def note_published(con: duckdb.DuckDBPyConnection, publication_id: str) -> None:
    """Forget what was not published: now it is."""
    con.execute("delete from unpublished.shop_days")
    con.execute("delete from unpublished.marts")
    con.execute("delete from unpublished.since")
    con.execute("insert into unpublished.since values (?)", [publication_id])


def basis_fingerprint(data: DataDir) -> str:
    """A digest of what the marts depend on beside files and the as-of date: shops, settings, code.

    DuckDB's version is part of it, for the hashes that the models keep.
    """
    own = sorted(data.settings.glob("*.csv")) if data.settings.is_dir() else []
    digest = hashlib.sha256(duckdb.__version__.encode())
    for path in [data.shops_csv, *own]:
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    digest.update(code_version().encode())
    return digest.hexdigest()[:32]


def inputs_fingerprint(data: DataDir, ledger: Ledger, as_of: date | None) -> str:
    """A digest of all that the marts depend on: files, as-of date and the basis."""
    digest = hashlib.sha256(f"{as_of}\n{basis_fingerprint(data)}\n".encode())
    for entry in ledger.current_files():
        if entry.status == "loaded":
            place = f"{entry.shop_id}\n{entry.dataset}\n"
            digest.update(f"{place}{entry.file_id}\n{entry.exported_at}\n".encode())
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


def raw_columns(dataset: Dataset, schema: str = "raw") -> dict[str, str]:
    """The columns of a dataset's raw relation and their types, by schema."""
    gone = {"_is_gone": "BOOLEAN"} if schema == "raw_changed" else {}
    return {c.name: c.type for c in dataset.columns} | LINEAGE | gone


def show_known_orders(con: duckdb.DuckDBPyConnection, *, is_anew: bool) -> None:
    """`raw.known_orders`: the order lines of all files, found by `hash(order_id)` as `order_key`.

    Where the models stand for earlier files they are asked: they have the number at hand.
    """
    new = "raw" if is_anew else "raw_changed"
    query = (
        "select hash(order_id) as order_key, shop_id, order_id, _file_id, _row_number "
        f"from {new}.orders"
    )
    if not is_anew:
        query += (
            " union all select order_key, shop_id, order_id, file_id, row_number "
            "from staging.stg_exports__order_lines"
        )
    con.execute(f"create or replace view raw.known_orders as {query}")


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


@dataclass(frozen=True)
class _RawStore:
    """The raw store as views of the warehouse; `sizes` are the files loaded into each batch."""

    con: duckdb.DuckDBPyConnection
    raw: Path
    sizes: dict[tuple[str, str], int]

    def show(self, schema: str, dataset: Dataset, entries: list[FileEntry]) -> None:
        """A view of the entries' rows; an empty one when there are none.

        In `raw_changed` also the rows of files that went, marked in the column `_is_gone`.
        """
        shown = ("loaded", "retracted") if schema == "raw_changed" else ("loaded",)
        batches: dict[str, list[FileEntry]] = defaultdict(list)
        for entry in entries:
            if entry.dataset == dataset.name and entry.status in shown:
                batches[entry.batch_id].append(entry)
        whole = [batch for batch, files in batches.items() if self._is_whole(batch, files)]
        columns = raw_columns(dataset, schema)
        nulls = ", ".join(f"cast(null as {k}) as {identifier(n)}" for n, k in columns.items())
        parts = [f"select {nulls} where false"]
        gone = "_is_gone" in columns
        if whole:
            more = ", false as _is_gone" if gone else ""
            parts.append(f"select *{more} from {self._parquet(dataset, whole)}")
        if partly := batches.keys() - set(whole):
            # retracted files and earlier readings of the same bytes stay in their Parquet unseen
            more = ", f.status <> 'loaded' as _is_gone" if gone else ""
            parts.append(
                f"select r.*{more} from {self._parquet(dataset, partly)} as r "
                f"inner join {schema}.files as f on f.shop_id = r.shop_id "
                "and f.file_id = r._file_id and f.exported_at = r._exported_at "
                f"where f.dataset = {literal(dataset.name)} "
                f"and f.status in ({', '.join(map(literal, shown))})"
            )
        view = f"{schema}.{identifier(dataset.name)}"
        self.con.execute(f"create or replace view {view} as {' union all by name '.join(parts)}")

    def _is_whole(self, batch_id: str, files: list[FileEntry]) -> bool:
        """Whether all rows of the batch are shown, so that none need be told from others."""
        is_loaded = all(file.status == "loaded" for file in files)
        return is_loaded and len(files) == self.sizes[batch_id, files[0].dataset]

    def _parquet(self, dataset: Dataset, batches: Iterable[str]) -> str:
        # a batch older than a column of the contract has nulls in it
        paths = [literal(str(batch_path(self.raw, dataset.name, b))) for b in sorted(batches)]
        return f"read_parquet([{', '.join(paths)}], union_by_name = true)"
