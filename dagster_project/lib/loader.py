"""The loader: files of one batch, typed by contract and gathered in one database."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.casts import DateFormats, cast_sql, find_date_formats
from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.errors import FileRefusedError, unreadable
from dagster_project.lib.landing import LandingFile, exported_at
from dagster_project.lib.ledger import FileEntry, Reject
from dagster_project.lib.raw_store import batch_path
from dagster_project.lib.readers import Table, open_tables, read_tables
from dagster_project.lib.row_rules import explain, typed_rows_sql
from dagster_project.lib.shops import Shop
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import printable
from dagster_project.lib.version import version
from dagster_project.lib.workbooks import WorkbookReader

_MEMORY_LIMIT = "1GB"


@contextmanager
def batch_database(tmp: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory, in which a batch is put together."""
    con = duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            # a lone thread would read CSV without noticing a quote that is left open
            "threads": str(max(2, os.cpu_count() or 1)),
            "temp_directory": str(tmp),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    try:
        con.execute("set timezone = 'UTC'")
        yield con
    finally:
        con.close()


def owners_of(entries: Iterable[FileEntry]) -> dict[str, str]:
    """The shop of each file that has rows; only files without rows may lie under several shops."""
    return {
        e.file_id: e.shop_id
        for e in entries
        if e.status == "loaded" and e.rows_read and not e.sheet
    }


def reader_version(file: LandingFile, shop: Shop, owner: str | None) -> str:
    """What a refusal depends on beside the bytes; when it changes, the file is tried again."""
    dataset = load_datasets().get(file.dataset)
    contract = dataset.fingerprint if dataset else ""
    name = f"{file.path.suffix.lower()}:{exported_at(file.path.name) or ''}"
    other_owner = owner if owner and owner != shop.shop_id else ""
    return f"{version()}:{contract}:{shop.region}:{shop.timezone}:{name}:{other_owner}"


@dataclass(frozen=True)
class Piece:
    """One table of a file; `entry` is what the ledger is told of it, `formats` once it is read."""

    file: LandingFile
    table: Table
    entry: FileEntry
    shop: Shop
    formats: DateFormats | None = None


class Loader:
    """The files of one batch, gathered in one database.

    `pieces` are the tables that could be opened, loaded or refused; `rejects` are their rejected
    rows; `entries` has what became of every file.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        workbooks: WorkbookReader,
        batch_id: str,
        started: datetime,
        shops: dict[str, Shop],
        known: Iterable[FileEntry],
    ) -> None:
        self.pieces: dict[int, Piece] = {}
        self.rejects: list[Reject] = []
        self._con = con
        self._workbooks = workbooks
        self._batch_id = batch_id
        self._started = started
        self._shops = shops
        self._owners = owners_of(known)
        self._unopened: list[tuple[LandingFile, FileEntry]] = []
        self._datasets: dict[str, Dataset] = {}

    @property
    def entries(self) -> list[FileEntry]:
        """What the ledger is told of the files."""
        return [
            *(entry for _, entry in self._unopened),
            *(piece.entry for piece in self.pieces.values()),
        ]

    def load(self, files: list[LandingFile]) -> None:
        """Read files of one dataset and note what became of each."""
        dataset = load_datasets().get(files[0].dataset)
        pieces: list[Piece] = []
        for file in files:
            try:
                if dataset is None:
                    raise FileRefusedError(
                        f"lies in no known dataset folder; these are {', '.join(load_datasets())}"
                    )
                pieces += self._open(file, dataset)
            except FileRefusedError as refusal:
                self._note_unopened(file, refusal)
            except OSError as error:
                self._note_unopened(file, unreadable(error))
        if dataset is not None and pieces:
            self._create_batch_table(dataset)
            self._load(dataset, pieces)

    def forget(self, files: Iterable[LandingFile]) -> None:
        """Take back what was noted of files: they are not part of the batch."""
        gone = {file.path for file in files}
        self._unopened = [(file, entry) for file, entry in self._unopened if file.path not in gone]
        self.pieces = {key: p for key, p in self.pieces.items() if p.file.path not in gone}
        kept = {(e.shop_id, e.dataset, e.file_id) for e in self.entries}
        self.rejects = [r for r in self.rejects if (r.shop_id, r.dataset, r.file_id) in kept]

    def _note_unopened(self, file: LandingFile, refusal: FileRefusedError) -> None:
        self._unopened.append((file, _refused(self._entry(file, file.shop_id), refusal)))

    def _load(self, dataset: Dataset, pieces: list[Piece]) -> None:
        keyed = dict(enumerate(pieces, start=max(self.pieces, default=0) + 1))
        try:
            read, rejects = self._read(dataset, keyed)
        except duckdb.Error as error:
            self._con.execute(
                f"delete from {_batch_table(dataset)} where _table in (select unnest(?))",
                [list(keyed)],
            )
            if len(pieces) == 1:
                fault = FileRefusedError(f"cannot be read ({type(error).__name__})")
                self._unopened.append((pieces[0].file, _refused(pieces[0].entry, fault)))
                return
            for piece in pieces:  # the others are not to blame
                self._load(dataset, [piece])
            return
        self.pieces |= read
        self.rejects += rejects
        self._owners |= owners_of(piece.entry for piece in read.values())

    def _open(self, file: LandingFile, dataset: Dataset) -> list[Piece]:
        shop = self._shops[file.shop_id]
        tables = open_tables(file.path, dataset, shop.region, self._workbooks, self._shops)
        names = {table.sheet.strip() for table in tables if table.sheet is not None}
        shown = ", ".join(sorted(printable(name) for name in names))
        if len(tables) > 1:
            if len(names) < len(tables) or not names <= set(self._shops):
                raise FileRefusedError(
                    f"has {dataset.name} on several sheets ({shown}); name each sheet after the "
                    "shop_id it belongs to, or save each as a file of its own"
                )
            if any((e.dataset, e.file_id) == (dataset.name, file.file_id) for e in self.entries):
                return []  # lies under another shop's folder too
        elif names & set(self._shops) - {file.shop_id}:
            raise FileRefusedError(
                f"lies under {file.shop_id}, but its sheet is called after the shop {shown}; "
                "rename the sheet, or move the file"
            )
        pieces = []
        for table in tables:
            sheet = (table.sheet or "").strip() if len(tables) > 1 else ""
            owner = self._shops[sheet] if sheet else shop
            entry = self._entry(file, owner.shop_id, sheet)
            pieces.append(Piece(file, table, entry, owner))
        return pieces

    def _entry(self, file: LandingFile, shop_id: str, sheet: str = "") -> FileEntry:
        owner = self._owners.get(file.file_id)
        return FileEntry(
            file_id=file.file_id,
            shop_id=shop_id,
            dataset=file.dataset,
            file_name=file.name,
            sheet=sheet,
            exported_at=None,
            rows_read=0,
            rows_loaded=0,
            rows_rejected=0,
            status="refused",
            message="",
            layout="",
            batch_id=self._batch_id,
            reader=reader_version(file, self._shops[shop_id], owner),
            ingested_at=self._started,
        )

    def _read(
        self, dataset: Dataset, keyed: Mapping[int, Piece]
    ) -> tuple[dict[int, Piece], list[Reject]]:
        """Put the pieces' rows into the batch; returns what became of each, and the rejects."""
        refusals = read_tables(
            self._con, {key: piece.table for key, piece in keyed.items()}, dataset, "text_rows"
        )
        counts: dict[int, int] = dict(
            self._con.execute("select _table, count(*) from text_rows group by 1").fetchall()
        )
        formats = find_date_formats(
            self._con, "text_rows", dataset, {k: p.shop.region for k, p in keyed.items()}
        )
        stamps: dict[int, datetime] = {}
        for key, piece in keyed.items():
            stamp = exported_at(piece.file.path.name)
            stamp = stamp or self._latest_event(key, dataset, formats[key], piece.shop)
            owner = self._owners.get(piece.file.file_id)
            if key in refusals:
                continue
            if key in counts and owner not in (None, piece.shop.shop_id) and not piece.entry.sheet:
                refusals[key] = FileRefusedError(
                    f"has the very bytes of a file of {owner}; it lies under {piece.shop.shop_id} "
                    f"by mistake, or under {owner} (then retract {piece.file.file_id[:12]})"
                )
            elif stamp is None:
                refusals[key] = FileRefusedError(
                    "has no time stamp in its name and no row that carries one; "
                    "give it a name such as 'orders-2026-01-31-17_00.csv'"
                )
            else:
                stamps[key] = stamp
        self._type_rows(dataset, formats, stamps, {k: keyed[k].shop.timezone for k in stamps})
        rejects = self._rejects(dataset, keyed, formats)
        read: dict[int, Piece] = {}
        for key, piece in keyed.items():
            entry = replace(piece.entry, exported_at=stamps.get(key), rows_read=counts.get(key, 0))
            if key in refusals:
                entry = _refused(entry, refusals[key])
            else:
                entry = self._judged(key, replace(piece, entry=entry), dataset, rejects[key])
            read[key] = replace(piece, entry=entry, formats=formats[key])
        return read, [reject for key in sorted(rejects) for reject in rejects[key]]

    def _judged(self, key: int, piece: Piece, dataset: Dataset, rejects: list[Reject]) -> FileEntry:
        """The entry of a table whose rows were typed: loaded, or refused for too many rejects."""
        entry = replace(piece.entry, rows_rejected=len(rejects))
        if len(rejects) * 100 > dataset.reject_limit_percent * entry.rows_read:
            self._con.execute(f"delete from {_batch_table(dataset)} where _table = ?", [key])
            return replace(entry, message=_too_many(entry, rejects, dataset))
        present = piece.table.header.positions
        return replace(
            entry,
            rows_loaded=entry.rows_read - len(rejects),
            status="loaded",
            layout=",".join(c.name for c in dataset.columns if c.name in present),
        )

    def _latest_event(
        self, key: int, dataset: Dataset, formats: DateFormats, shop: Shop
    ) -> datetime | None:
        events = [c for c in dataset.columns if c.is_event_time]
        if not events:
            return None
        latest = ", ".join(f"max({cast_sql(c, formats, shop.timezone)})" for c in events)
        found = self._con.execute(f"select {latest} from text_rows where _table = ?", [key])
        return max((s for s in found.fetchone() or () if s is not None), default=None)

    def _create_batch_table(self, dataset: Dataset) -> None:
        columns = ", ".join(f"{identifier(c.name)} {c.type}" for c in dataset.columns)
        self._con.execute(
            f"create temp table if not exists {_batch_table(dataset)} "
            f"(_table integer, _row_number bigint, _broken varchar, {columns})"
        )
        self._datasets[dataset.name] = dataset

    def _type_rows(
        self,
        dataset: Dataset,
        formats: Mapping[int, DateFormats],
        stamps: Mapping[int, datetime],
        timezones: Mapping[int, str],
    ) -> None:
        """Type the text rows of the tables that have a stamp; those of one form in one go."""
        groups: list[tuple[str, DateFormats, list[int]]] = []
        for key in stamps:
            for position, (timezone, joined, keys) in enumerate(groups):
                both = joined.join(formats[key]) if timezone == timezones[key] else None
                if both:
                    groups[position] = (timezone, both, [*keys, key])
                    break
            else:
                groups.append((timezones[key], formats[key], [key]))
        typed = ", ".join(identifier(f"typed_{c.name}") for c in dataset.columns)
        for timezone, joined, keys in groups:
            rows = (
                "(select t.*, f._not_after from text_rows as t join (select unnest($keys) as "
                "_table, unnest($not_after) as _not_after) as f using (_table))"
            )
            self._con.execute(
                f"insert into {_batch_table(dataset)} select _table, _row_number, _broken, {typed} "
                f"from ({typed_rows_sql(dataset, joined, timezone, rows)})",
                {"keys": keys, "not_after": [stamps[key] + timedelta(days=1) for key in keys]},
            )

    def _rejects(
        self, dataset: Dataset, keyed: Mapping[int, Piece], formats: Mapping[int, DateFormats]
    ) -> dict[int, list[Reject]]:
        rows = self._con.execute(
            f"select _table, _row_number, _broken from {_batch_table(dataset)} "
            "where _broken is not null and _table >= ? order by 1, 2, 3",
            [min(keyed)],
        ).fetchall()
        rejects: dict[int, list[Reject]] = defaultdict(list)
        for key, row_number, broken in rows:
            entry = keyed[key].entry
            column, rule, message = explain(broken, dataset, formats[key])
            rejects[key].append(
                Reject(
                    dataset=dataset.name,
                    shop_id=entry.shop_id,
                    file_id=entry.file_id,
                    source_file=entry.file_name,
                    row_number=row_number,
                    column_name=column.headers[0] if column else "",
                    rule=rule,
                    message=message,
                    batch_id=self._batch_id,
                )
            )
        return rejects

    def write(self, raw: Path) -> None:
        """Write the accepted rows of the batch, one Parquet file per dataset that has files.

        They get their names together when all are written: what a run leaves that dies before is
        known for litter by its name.
        """
        loaded = {key: p for key, p in self.pieces.items() if p.entry.status == "loaded"}
        origins = pa.table(
            {
                "_table": pa.array(list(loaded), pa.int32()),
                "shop_id": pa.array([p.shop.shop_id for p in loaded.values()], pa.string()),
                "_file_id": pa.array([p.file.file_id for p in loaded.values()], pa.string()),
                "_exported_at": pa.array(
                    [p.entry.exported_at for p in loaded.values()], pa.timestamp("us")
                ),
                "_missing_columns": pa.array(
                    [
                        "".join(
                            f",{c.name}"
                            for c in self._datasets[p.file.dataset].columns
                            if c.name not in p.table.header.positions
                        )
                        + ","
                        for p in loaded.values()
                    ],
                    pa.string(),
                ),
            }
        )
        self._con.register("_origins", origins)
        written: list[tuple[Path, Path]] = []
        for name in sorted({piece.file.dataset for piece in loaded.values()}):
            dataset = self._datasets[name]
            path = batch_path(raw, name, self._batch_id)
            part = path.with_suffix(".part")
            written.append((part, path))
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = ", ".join(identifier(c.name) for c in dataset.columns)
            self._con.execute(
                f"copy (select shop_id, {columns}, _file_id, _row_number, _exported_at, "
                f"_missing_columns from {_batch_table(dataset)} join _origins using (_table) "
                f"where _broken is null) to {literal(str(part))} "
                "(format parquet, compression zstd)"
            )
        for part, path in written:
            part.rename(path)


def _batch_table(dataset: Dataset) -> str:
    return identifier(f"batch_{dataset.name}")


def _refused(entry: FileEntry, refusal: FileRefusedError) -> FileEntry:
    return replace(entry, message=f"{entry.file_name} {refusal}")


def _too_many(entry: FileEntry, rejects: list[Reject], dataset: Dataset) -> str:
    often = Counter((r.column_name, r.rule) for r in rejects)
    worst = max(rejects, key=lambda r: often[r.column_name, r.rule])
    return (
        f"{entry.file_name} has {len(rejects)} of {entry.rows_read} rows rejected, more than "
        f"{dataset.reject_limit_percent:g} %; most often {worst.column_name}: "
        f"{worst.message} (row {worst.row_number})"
    )
