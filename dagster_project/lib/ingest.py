"""Ingest: new landing files into the raw store, by contract.

Each file is read as text, typed, and split into rows that the contract accepts and rows that it
names as rejected. All accepted rows of a batch go into one Parquet file per dataset; then the
ledger is told, and only then does the batch exist.
"""

from __future__ import annotations

import importlib.metadata
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.lib.casts import DateFormats, cast_sql, find_date_formats
from dagster_project.lib.contracts import Column, Dataset, load_datasets
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.landing import LandingFile, exported_at, find_files
from dagster_project.lib.ledger import FileEntry, Ledger, Reject
from dagster_project.lib.paths import DataDir
from dagster_project.lib.readers import can_read, read_text
from dagster_project.lib.shops import Shop, read_shops
from dagster_project.lib.sql import identifier, literal

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
    datasets = load_datasets()
    known = {(e.shop_id, e.dataset, e.file_id): e for e in ledger.current_files()}
    _clear_litter(data, {entry.batch_id for entry in known.values()})
    started = datetime.now(UTC)
    batch_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    new = _what_is_new(find_files(data.landing, shops), known, shops)
    if not new:
        return Batch(batch_id, ())

    data.tmp.mkdir(parents=True, exist_ok=True)
    loader = _Loader(batch_id, started, known.values(), data.tmp)
    try:
        for number, file in enumerate(new, start=1):
            say(f"reading {number}/{len(new)}: {file.shop_id}/{file.dataset}/{file.name}")
            loader.load(file, shops[file.shop_id], datasets.get(file.dataset))
        loader.write(data.raw, datasets)
    finally:
        loader.con.close()
    ledger.commit_batch(loader.entries, loader.rejects)
    return Batch(batch_id, tuple(loader.entries))


def _what_is_new(
    files: Iterable[LandingFile],
    known: dict[tuple[str, str, str], FileEntry],
    shops: dict[str, Shop],
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
    owners = _owners(known.values())
    return [
        file
        for identity, file in latest.items()
        if _is_news(file, known.get(identity), shops[file.shop_id], owners.get(file.file_id))
    ]


def _rank(file: LandingFile) -> tuple[bool, datetime]:
    return can_read(file.path), exported_at(file.path.name) or datetime.min


def _is_news(file: LandingFile, entry: FileEntry | None, shop: Shop, owner: str | None) -> bool:
    if entry is None:
        return True
    if entry.status == "refused":
        return entry.reader != _reader_version(file, shop, owner)
    _, stamp = _rank(file)
    return entry.status == "loaded" and stamp > (entry.exported_at or datetime.min)


def _owners(entries: Iterable[FileEntry]) -> dict[str, str]:
    """The shop of each file that has rows; only files without rows may lie under several shops."""
    return {e.file_id: e.shop_id for e in entries if e.status == "loaded" and e.rows_read}


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


class _Loader:
    """The files of one batch, gathered in one in-memory database."""

    def __init__(
        self, batch_id: str, started: datetime, known: Iterable[FileEntry], tmp: Path
    ) -> None:
        self.batch_id = batch_id
        self.started = started
        self.entries: list[FileEntry] = []
        self.rejects: list[Reject] = []
        self._owners = _owners(known)
        self._tables: set[str] = set()
        self.con = duckdb.connect(
            config={
                "memory_limit": _MEMORY_LIMIT,
                "temp_directory": str(tmp),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        self.con.execute("set timezone = 'UTC'")

    def load(self, file: LandingFile, shop: Shop, dataset: Dataset | None) -> None:
        """Read one file and note what became of it."""
        entry = FileEntry(
            file_id=file.file_id,
            shop_id=file.shop_id,
            dataset=file.dataset,
            file_name=file.name,
            exported_at=None,
            rows_read=0,
            rows_loaded=0,
            rows_rejected=0,
            status="refused",
            message="",
            layout="",
            batch_id=self.batch_id,
            reader=_reader_version(file, shop, self._owners.get(file.file_id)),
            ingested_at=self.started,
        )
        try:
            if dataset is None:
                raise FileRefusedError(
                    f"lies in no known dataset folder; these are {', '.join(load_datasets())}"
                )
            entry = self._load(file, shop, dataset, entry)
        except FileRefusedError as refusal:
            entry = replace(entry, message=f"{file.name} {refusal}")
        except duckdb.Error as error:
            entry = replace(entry, message=f"{file.name} cannot be read ({type(error).__name__})")
        self.entries.append(entry)

    def _load(self, file: LandingFile, shop: Shop, dataset: Dataset, entry: FileEntry) -> FileEntry:
        present = read_text(self.con, file.path, dataset, "text_rows")
        self._drop_description_row(dataset)
        (rows_read,) = self._one("select count(*) from text_rows")
        owner = self._owners.get(file.file_id)
        if rows_read and owner not in (None, file.shop_id):
            raise FileRefusedError(
                f"has the very bytes of a file of {owner}; it lies under {file.shop_id} by "
                f"mistake, or under {owner} (then retract {file.file_id[:12]})"
            )
        formats = find_date_formats(self.con, "text_rows", dataset, shop)
        stamp = exported_at(file.path.name) or self._latest_event(dataset, formats, shop)
        if stamp is None:
            raise FileRefusedError(
                "has no time stamp in its name and no row that carries one; "
                "give it a name such as 'orders-2026-01-31-17_00.csv'"
            )
        self._type_rows(dataset, formats, shop, stamp)
        rejects = self._rejects(file, dataset, formats, present)
        if len(rejects) * 100 > dataset.reject_limit_percent * rows_read:
            self.rejects += rejects
            often = Counter((r.column_name, r.rule) for r in rejects)
            worst = max(rejects, key=lambda r: often[r.column_name, r.rule])
            return replace(
                entry,
                exported_at=stamp,
                rows_read=rows_read,
                rows_rejected=len(rejects),
                message=(
                    f"{file.name} has {len(rejects)} of {rows_read} rows rejected, more than "
                    f"{dataset.reject_limit_percent:g} %; most often {worst.column_name}: "
                    f"{worst.message} (row {worst.row_number})"
                ),
            )
        self.rejects += rejects
        self._keep(file, dataset, stamp, present)
        if rows_read:
            self._owners[file.file_id] = file.shop_id
        return replace(
            entry,
            exported_at=stamp,
            rows_read=rows_read,
            rows_loaded=rows_read - len(rejects),
            rows_rejected=len(rejects),
            status="loaded",
            layout=",".join(c.name for c in dataset.columns if c.name in present),
        )

    def _drop_description_row(self, dataset: Dataset) -> None:
        """Drop the row of column descriptions that some exports have under the header."""
        first = identifier(dataset.columns[0].name)
        self.con.execute(
            f"delete from text_rows where lower({first}) in (select unnest(?::varchar[])) "
            "and _row_number = (select min(_row_number) from text_rows)",
            [list(dataset.description_row)],
        )

    def _latest_event(self, dataset: Dataset, formats: DateFormats, shop: Shop) -> datetime | None:
        events = [c for c in dataset.columns if c.is_event_time]
        if not events:
            return None
        latest = ", ".join(f"max({cast_sql(c, formats, shop)})" for c in events)
        stamps = [s for s in self._one(f"select {latest} from text_rows") if s is not None]
        return max(stamps, default=None)

    def _type_rows(
        self, dataset: Dataset, formats: DateFormats, shop: Shop, stamp: datetime
    ) -> None:
        self.con.execute(
            "create or replace temp table typed_rows as "
            + typed_rows_sql(dataset, formats, shop, "text_rows"),
            [stamp + timedelta(days=1)] * sum(c.is_event_time for c in dataset.columns),
        )

    def _rejects(
        self, file: LandingFile, dataset: Dataset, formats: DateFormats, present: frozenset[str]
    ) -> list[Reject]:
        rows = self.con.execute(
            "select _row_number, _broken from typed_rows where _broken is not null "
            "order by _row_number"
        ).fetchall()
        rejects = []
        for row_number, broken in rows:
            column, rule, message = explain(broken, dataset, formats)
            rejects.append(
                Reject(
                    dataset=dataset.name,
                    shop_id=file.shop_id,
                    file_id=file.file_id,
                    source_file=file.name,
                    row_number=row_number,
                    column_name=column.headers[0] if column else "",
                    rule=rule,
                    message=message,
                    batch_id=self.batch_id,
                )
            )
        return rejects

    def _keep(
        self, file: LandingFile, dataset: Dataset, stamp: datetime, present: frozenset[str]
    ) -> None:
        table = identifier(f"batch_{dataset.name}")
        columns = ", ".join(
            f"{identifier('typed_' + c.name)} as {identifier(c.name)}" for c in dataset.columns
        )
        missing = "".join(f",{c.name}" for c in dataset.columns if c.name not in present)
        rows = (
            f"select cast(? as varchar) as shop_id, {columns}, cast(? as varchar) as _file_id, "
            "cast(_row_number as bigint) as _row_number, cast(? as timestamp) as _exported_at, "
            "cast(? as varchar) || ',' as _missing_columns from typed_rows where _broken is null"
        )
        if dataset.name in self._tables:
            rows = f"insert into {table} {rows}"
        else:
            rows = f"create temp table {table} as {rows}"
            self._tables.add(dataset.name)
        self.con.execute(rows, [file.shop_id, file.file_id, stamp, missing])

    def write(self, raw: Path, datasets: dict[str, Dataset]) -> None:
        """Write the accepted rows of the batch, one Parquet file per dataset that has any."""
        for name in sorted(self._tables & set(datasets)):
            path = batch_path(raw, name, self.batch_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.con.execute(
                f"copy {identifier(f'batch_{name}')} to {literal(str(path))} "
                "(format parquet, compression zstd)"
            )

    def _one(self, query: str) -> tuple[Any, ...]:
        return self.con.execute(query).fetchone() or ()


def typed_rows_sql(dataset: Dataset, formats: DateFormats, shop: Shop, table: str) -> str:
    """SQL of the text rows of `table` with `typed_<column>` for each column, and `_broken`.

    `_broken` is null or the first rule that the row breaks, for `explain`. Each event time of the
    contract takes one parameter: the latest time that is believed.
    """
    typed = ", ".join(
        f"{cast_sql(c, formats, shop)} as {identifier('typed_' + c.name)}" for c in dataset.columns
    )
    return (
        f"with typed as (select *, {typed} from ({_with_fallbacks(dataset, table)})) "
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


def _with_fallbacks(dataset: Dataset, table: str) -> str:
    replaced = ", ".join(
        f"coalesce({identifier(c.name)}, {literal(c.fallback + ':')} || {identifier(c.fallback)}) "
        f"as {identifier(c.name)}"
        for c in dataset.columns
        if c.fallback
    )
    return f"select * {f'replace ({replaced})' if replaced else ''} from {identifier(table)}"


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
        rules.append((f"{typed} > ?", "event_after_export"))
    return rules
