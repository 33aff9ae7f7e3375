"""Ingest: new landing files into the raw store, by contract.

Each file is read as text, typed, and split into rows that the contract accepts and rows that it
names as rejected. All accepted rows of a batch go into one Parquet file per dataset; then the
ledger is told, and only then does the batch exist.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from dagster_project.lib.casts import DateFormats, cast_sql, find_date_formats
from dagster_project.lib.contracts import Column, Dataset, load_datasets
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.landing import LandingFile, exported_at, find_files
from dagster_project.lib.ledger import FileEntry, Ledger, Reject
from dagster_project.lib.paths import DataDir
from dagster_project.lib.readers import Table, can_read, open_tables, read_tables
from dagster_project.lib.readers.csv_files import CHUNK_BYTES
from dagster_project.lib.shops import Shop, read_shops
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import printable
from dagster_project.lib.workbooks import WorkbookReader

LINEAGE = {
    "shop_id": "VARCHAR",
    "_file_id": "VARCHAR",
    "_row_number": "BIGINT",
    "_exported_at": "TIMESTAMP",
    "_missing_columns": "VARCHAR",
}
LINEAGE_DESCRIPTIONS = {
    "shop_id": "The shop, from the folder the file lay in.",
    "_file_id": "sha-256 of the file's bytes, in hex.",
    "_row_number": "Row of the file, 1 = the first.",
    "_exported_at": "When the file was exported, in shop time.",
    "_missing_columns": (
        "Columns that the file's layout lacks, as `,a,b,`; a lone comma when it has all."
    ),
}
_MESSAGES = {
    "too_many_cells": "the row has more cells than the header",
    "too_few_cells": "the row ends before the last column that is needed",
    "not_text": "the row is damaged: it holds bytes that are no text; export the file again",
    "required": "the value is missing",
    "digits_lost": "a spreadsheet has cut the number's digits; export the file again",
    "too_long": "the value is longer than any real one",
    "not_a_timestamp": "the value is no date and time of the form {format}",
    "not_an_integer": "the value is no whole number",
    "not_a_number": "the value is no amount of money",
    "not_a_boolean": "the value is neither true nor false",
    "out_of_range": "the value lies outside {span}",
    "event_after_export": "the event is dated more than a day after the file was exported",
}
_MEMORY_LIMIT = "1GB"
# Files that are read and typed together: enough that a statement's own cost does not count.
_CHUNK_FILES = 500


@dataclass(frozen=True)
class Batch:
    """What one ingest brought: the entries of its files; none when nothing was new."""

    batch_id: str
    files: tuple[FileEntry, ...]


def ingest(data: DataDir, ledger: Ledger, say: Callable[[str], None] = lambda _: None) -> Batch:
    """Load what is new in the landing folder and commit it to the ledger.

    Raises ConfigurationError when `shops.csv` or a shop folder is wrong. A file that cannot be
    used is recorded as refused and the others go on.
    """
    shops = read_shops(data.shops_csv)
    known = ledger.current_files()
    _clear_litter(data, {entry.batch_id for entry in known})
    started = datetime.now(UTC)
    batch_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    new = _what_is_new(find_files(data.landing, shops), known, shops)
    if not new:
        return Batch(batch_id, ())

    data.tmp.mkdir(parents=True, exist_ok=True)
    with WorkbookReader() as workbooks, _database(data.tmp) as con:
        loader = _Loader(con, workbooks, batch_id, started, shops, known)
        count = 0
        for chunk in _chunks(new):
            for file in chunk:
                count += 1
                say(f"reading {count}/{len(new)}: {file.shop_id}/{file.dataset}/{file.name}")
            loader.load(chunk)
        loader.write(data.raw)
    ledger.commit_batch(loader.entries, loader.rejects)
    return Batch(batch_id, tuple(loader.entries))


def _what_is_new(
    files: Iterable[LandingFile], known: Iterable[FileEntry], shops: dict[str, Shop]
) -> list[LandingFile]:
    """Files not seen before; also those refused by an older reader, and known bytes exported later.

    An export without news has the bytes of the one before; its later name still says until when
    the shop is covered. Of several names for the same bytes the latest export is taken.
    """
    latest: dict[tuple[str, str, str], LandingFile] = {}
    for file in files:
        identity = (file.shop_id, file.dataset, file.file_id)
        if identity not in latest or _rank(file) > _rank(latest[identity]):
            latest[identity] = file
    owners = _owners(known)
    seen: dict[tuple[str, str, str], list[FileEntry]] = defaultdict(list)
    for entry in known:
        # a workbook whose sheets name their shops is the same under any shop's folder
        folder = "" if entry.sheet else entry.shop_id
        seen[folder, entry.dataset, entry.file_id].append(entry)

    def is_new(file: LandingFile) -> bool:
        key = (file.dataset, file.file_id)
        entries = seen.get(("", *key)) or seen.get((file.shop_id, *key)) or []
        owner = owners.get(file.file_id)
        return not entries or any(
            _is_news(file, entry, shops[file.shop_id], owner) for entry in entries
        )

    return [file for file in latest.values() if is_new(file)]


def _rank(file: LandingFile) -> tuple[bool, datetime]:
    return can_read(file.path), exported_at(file.path.name) or datetime.min


def _is_news(file: LandingFile, entry: FileEntry, shop: Shop, owner: str | None) -> bool:
    if entry.status == "refused":
        return entry.reader != _reader_version(file, shop, owner)
    _, stamp = _rank(file)
    return entry.status == "loaded" and stamp > (entry.exported_at or datetime.min)


def _owners(entries: Iterable[FileEntry]) -> dict[str, str]:
    """The shop of each file that has rows; only files without rows may lie under several shops."""
    return {
        e.file_id: e.shop_id
        for e in entries
        if e.status == "loaded" and e.rows_read and not e.sheet
    }


def _chunks(files: list[LandingFile]) -> Iterator[list[LandingFile]]:
    """The files in portions of one dataset each, in which no bytes come twice."""
    for _, group in itertools.groupby(sorted(files, key=_dataset), key=_dataset):
        chunk: list[LandingFile] = []
        size = 0
        for file in group:
            size += file.path.stat().st_size
            is_full = len(chunk) == _CHUNK_FILES or size > CHUNK_BYTES
            if chunk and (is_full or any(f.file_id == file.file_id for f in chunk)):
                yield chunk
                chunk, size = [], file.path.stat().st_size
            chunk.append(file)
        yield chunk


def _dataset(file: LandingFile) -> str:
    return file.dataset


@contextmanager
def _database(tmp: Path) -> Iterator[duckdb.DuckDBPyConnection]:
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


def batch_path(raw: Path, dataset: str, batch_id: str) -> Path:
    """Where the raw store keeps a batch's rows of a dataset."""
    return raw / dataset / f"{batch_id}.parquet"


def _reader_version(file: LandingFile, shop: Shop, owner: str | None) -> str:
    """What a refusal depends on beside the bytes; when it changes, the file is tried again."""
    version = importlib.metadata.version("feedback-warehouse")
    dataset = load_datasets().get(file.dataset)
    contract = dataset.fingerprint if dataset else ""
    name = f"{file.path.suffix.lower()}:{exported_at(file.path.name) or ''}"
    other_owner = owner if owner and owner != shop.shop_id else ""
    return f"{version}:{contract}:{shop.region}:{shop.timezone}:{name}:{other_owner}"


def _clear_litter(data: DataDir, batches: set[str]) -> None:
    for path in data.raw.glob("*/*"):
        if path.name.removesuffix(".parquet") not in batches:
            path.unlink()
    for path in data.tmp.glob("*"):
        if path.is_file():
            path.unlink()


@dataclass(frozen=True)
class _Piece:
    """One table of a file, on its way into the batch; `entry` is what the ledger is told of it."""

    file: LandingFile
    table: Table
    entry: FileEntry
    shop: Shop


class _Loader:
    """The files of one batch, gathered in one database."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        workbooks: WorkbookReader,
        batch_id: str,
        started: datetime,
        shops: dict[str, Shop],
        known: Iterable[FileEntry],
    ) -> None:
        self.entries: list[FileEntry] = []
        self.rejects: list[Reject] = []
        self._con = con
        self._workbooks = workbooks
        self._batch_id = batch_id
        self._started = started
        self._shops = shops
        self._owners = _owners(known)
        self._loaded: dict[int, _Piece] = {}
        self._datasets: dict[str, Dataset] = {}

    def load(self, files: list[LandingFile]) -> None:
        """Read files of one dataset and note what became of each."""
        dataset = load_datasets().get(files[0].dataset)
        pieces: list[_Piece] = []
        for file in files:
            try:
                if dataset is None:
                    raise FileRefusedError(
                        f"lies in no known dataset folder; these are {', '.join(load_datasets())}"
                    )
                pieces += self._open(file, dataset)
            except FileRefusedError as refusal:
                self._refuse(self._entry(file, file.shop_id), refusal)
        if dataset is not None and pieces:
            self._create_batch_table(dataset)
            self._load(dataset, pieces)

    def _load(self, dataset: Dataset, pieces: list[_Piece]) -> None:
        keyed = dict(enumerate(pieces, start=max(self._loaded, default=0) + 1))
        try:
            loaded, rejects, refused = self._read(dataset, keyed)
        except duckdb.Error as error:
            self._con.execute(
                f"delete from {_batch_table(dataset)} where _table in (select unnest(?))",
                [list(keyed)],
            )
            if len(pieces) == 1:
                fault = FileRefusedError(f"cannot be read ({type(error).__name__})")
                self._refuse(pieces[0].entry, fault)
                return
            for piece in pieces:  # the others are not to blame
                self._load(dataset, [piece])
            return
        self._loaded |= loaded
        self.entries += [piece.entry for piece in loaded.values()] + refused
        self.rejects += rejects
        for piece in loaded.values():
            if piece.entry.rows_read and not piece.entry.sheet:
                self._owners[piece.file.file_id] = piece.shop.shop_id

    def _open(self, file: LandingFile, dataset: Dataset) -> list[_Piece]:
        shop = self._shops[file.shop_id]
        tables = open_tables(file.path, dataset, shop.region, self._workbooks)
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
            pieces.append(_Piece(file, table, entry, owner))
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
            reader=_reader_version(file, self._shops[shop_id], owner),
            ingested_at=self._started,
        )

    def _refuse(self, entry: FileEntry, refusal: FileRefusedError) -> None:
        self.entries.append(replace(entry, message=f"{entry.file_name} {refusal}"))

    def _read(
        self, dataset: Dataset, keyed: Mapping[int, _Piece]
    ) -> tuple[dict[int, _Piece], list[Reject], list[FileEntry]]:
        """Put the pieces' rows into the batch; returns those loaded, the rejects, the refusals."""
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
        loaded: dict[int, _Piece] = {}
        kept_rejects: list[Reject] = []
        refused = [
            replace(keyed[key].entry, message=f"{keyed[key].entry.file_name} {refusal}")
            for key, refusal in refusals.items()
        ]
        for key, stamp in stamps.items():
            piece, mine, rows_read = keyed[key], rejects.get(key, []), counts.get(key, 0)
            kept_rejects += mine
            entry = replace(
                piece.entry, exported_at=stamp, rows_read=rows_read, rows_rejected=len(mine)
            )
            if len(mine) * 100 > dataset.reject_limit_percent * rows_read:
                self._con.execute(f"delete from {_batch_table(dataset)} where _table = ?", [key])
                refused.append(replace(entry, message=_too_many(entry, mine, dataset)))
                continue
            present = piece.table.header.positions
            loaded[key] = replace(
                piece,
                entry=replace(
                    entry,
                    rows_loaded=rows_read - len(mine),
                    status="loaded",
                    layout=",".join(c.name for c in dataset.columns if c.name in present),
                ),
            )
        return loaded, kept_rejects, refused

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
        self, dataset: Dataset, keyed: Mapping[int, _Piece], formats: Mapping[int, DateFormats]
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
        """Write the accepted rows of the batch, one Parquet file per dataset that has files."""
        origins = pa.table(
            {
                "_table": pa.array(list(self._loaded), pa.int32()),
                "shop_id": pa.array([p.shop.shop_id for p in self._loaded.values()], pa.string()),
                "_file_id": pa.array([p.file.file_id for p in self._loaded.values()], pa.string()),
                "_exported_at": pa.array(
                    [p.entry.exported_at for p in self._loaded.values()], pa.timestamp("us")
                ),
                "_missing_columns": pa.array(
                    [
                        "".join(
                            f",{c.name}"
                            for c in self._datasets[p.file.dataset].columns
                            if c.name not in p.table.header.positions
                        )
                        + ","
                        for p in self._loaded.values()
                    ],
                    pa.string(),
                ),
            }
        )
        self._con.register("_origins", origins)
        for name in sorted({piece.file.dataset for piece in self._loaded.values()}):
            dataset = self._datasets[name]
            path = batch_path(raw, name, self._batch_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = ", ".join(identifier(c.name) for c in dataset.columns)
            self._con.execute(
                f"copy (select shop_id, {columns}, _file_id, _row_number, _exported_at, "
                f"_missing_columns from {_batch_table(dataset)} join _origins using (_table) "
                f"where _broken is null) to {literal(str(path))} "
                "(format parquet, compression zstd)"
            )


def _batch_table(dataset: Dataset) -> str:
    return identifier(f"batch_{dataset.name}")


def _too_many(entry: FileEntry, rejects: list[Reject], dataset: Dataset) -> str:
    often = Counter((r.column_name, r.rule) for r in rejects)
    worst = max(rejects, key=lambda r: often[r.column_name, r.rule])
    return (
        f"{entry.file_name} has {len(rejects)} of {entry.rows_read} rows rejected, more than "
        f"{dataset.reject_limit_percent:g} %; most often {worst.column_name}: "
        f"{worst.message} (row {worst.row_number})"
    )


def typed_rows_sql(dataset: Dataset, formats: DateFormats, timezone: str, rows: str) -> str:
    """SQL of the text rows of the relation `rows` with `typed_<column>` for each, and `_broken`.

    `_broken` is null or the first rule that the row breaks, for `explain`. Event times of the
    contract are believed up to the column `_not_after` of `rows`.
    """
    typed = ", ".join(
        f"{cast_sql(c, formats, timezone)} as {identifier('typed_' + c.name)}"
        for c in dataset.columns
    )
    return (
        f"with typed as (select *, {typed} from ({_with_fallbacks(dataset, rows)})) "
        f"select *, {_first_broken_rule(dataset)} as _broken from typed"
    )


def explain(broken: str, dataset: Dataset, formats: DateFormats) -> tuple[Column | None, str, str]:
    """The column, the rule and the words for a value of `_broken`."""
    name, rule = broken.split(":")
    if not name:
        return None, rule, _MESSAGES[rule]
    column = dataset.column(name)
    ends = ("" if end is None else str(end) for end in (column.minimum, column.maximum))
    message = _MESSAGES[rule].format(
        format=formats.orders.get(name, ""), span=" … ".join(ends).strip()
    )
    return column, rule, message


def _with_fallbacks(dataset: Dataset, rows: str) -> str:
    replaced = ", ".join(
        f"coalesce({identifier(c.name)}, {literal(c.fallback + ':')} || {identifier(c.fallback)}) "
        f"as {identifier(c.name)}"
        for c in dataset.columns
        if c.fallback
    )
    return f"select * {f'replace ({replaced})' if replaced else ''} from {rows}"


def _first_broken_rule(dataset: Dataset) -> str:
    """SQL of `<column>:<rule>` for the first rule that a typed row breaks, else null."""
    cases = ["when _problem is not null then ':' || _problem"]
    for column in dataset.columns:
        cases += [
            f"when {condition} then {literal(f'{column.name}:{rule}')}"
            for condition, rule in _column_rules(column)
        ]
    return f"case {' '.join(cases)} end"


def _column_rules(column: Column) -> list[tuple[str, str]]:
    text, typed = identifier(column.name), identifier(f"typed_{column.name}")
    rules = []
    if column.required:
        rules.append((f"{text} is null", "required"))
    if column.is_identifier:
        # also behind the name of the column that it fell back on
        digits_lost = literal(r"^(\w+:)?([0-9]([.,][0-9]+)?[eE]\+[0-9]+|[0-9]+[.,]0+)$")
        rules.append((f"regexp_matches({text}, {digits_lost})", "digits_lost"))
    if column.max_length is not None:
        rules.append((f"length({text}) > {column.max_length}", "too_long"))
    not_cast = {
        "integer": "not_an_integer",
        "number": "not_a_number",
        "timestamp": "not_a_timestamp",
        "date": "not_a_timestamp",
        "boolean": "not_a_boolean",
    }.get(column.kind)
    if not_cast:
        rules.append((f"{text} is not null and {typed} is null", not_cast))
    if column.minimum is not None:
        rules.append((f"{typed} < {literal(str(column.minimum))}::{column.type}", "out_of_range"))
    if column.maximum is not None:
        rules.append((f"{typed} > {column.maximum}", "out_of_range"))
    if column.is_event_time:
        rules.append((f"{typed} > _not_after", "event_after_export"))
    return rules
