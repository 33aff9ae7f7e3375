"""The ledger: append-only history of files, rejects, quality results and publications.

A batch exists when its files stand in the ledger; Parquet without a ledger row does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.database import connect

_TABLES = """
create table if not exists files (
    file_id varchar, shop_id varchar, dataset varchar, file_name varchar, sheet varchar,
    exported_at timestamp,
    rows_read bigint, rows_loaded bigint, rows_rejected bigint, status varchar, message varchar,
    layout varchar, batch_id varchar, reader varchar, ingested_at timestamptz
);
create table if not exists rejected_rows (
    dataset varchar, shop_id varchar, file_id varchar, source_file varchar, row_number bigint,
    column_name varchar, rule varchar, message varchar, batch_id varchar
);
create table if not exists retractions (
    file_id varchar, shop_id varchar, dataset varchar, retracted_at timestamptz
);
create table if not exists quality_results (
    run_id varchar, checked_at timestamptz, stage varchar, dataset varchar, rule varchar,
    severity varchar, passed boolean, checked_rows bigint, failed_rows bigint, examples varchar,
    message varchar
);
create table if not exists publications (
    publication_id varchar, run_id varchar, published_at timestamptz, as_of date,
    inputs varchar, code_version varchar
);
create table if not exists published_files (
    publication_id varchar, shop_id varchar, dataset varchar, file_id varchar
);
create table if not exists restatements (
    publication_id varchar, shop_id varchar, metric_date date, metric varchar,
    old_numerator bigint, old_denominator bigint, new_numerator bigint, new_denominator bigint
);
create or replace view current_files as
select
    f.* replace (case when r.file_id is null then f.status else 'retracted' end as status)
from files as f
left join (select distinct file_id, shop_id, dataset from retractions) as r
    using (file_id, shop_id, dataset)
qualify row_number() over (
    partition by f.shop_id, f.dataset, f.file_id order by f.ingested_at desc, f.batch_id desc
) = 1;
create or replace view current_rejected_rows as
select r.* from rejected_rows as r
where exists (
    from current_files as f
    where f.shop_id = r.shop_id and f.dataset = r.dataset and f.file_id = r.file_id
        and f.batch_id = r.batch_id and f.status <> 'retracted'
);
"""


@dataclass(frozen=True)
class FileEntry:
    """One file as ingested or refused; the identity is (shop_id, dataset, file_id).

    `sheet` names the sheet of a workbook whose sheets belong to several shops; else it is blank.
    """

    file_id: str
    shop_id: str
    dataset: str
    file_name: str
    sheet: str
    exported_at: datetime | None
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    status: str
    message: str
    layout: str
    batch_id: str
    reader: str
    ingested_at: datetime


@dataclass(frozen=True)
class Reject:
    """One rejected row, named by file and row number; it never carries a cell's content."""

    dataset: str
    shop_id: str
    file_id: str
    source_file: str
    row_number: int
    column_name: str
    rule: str
    message: str
    batch_id: str


@dataclass(frozen=True)
class QualityResult:
    """What one rule of a gate found; examples are file ids, row numbers and keys."""

    run_id: str
    checked_at: datetime
    stage: str
    dataset: str
    rule: str
    severity: str
    passed: bool
    checked_rows: int
    failed_rows: int
    examples: list[dict[str, Any]]
    message: str


@dataclass(frozen=True)
class Publication:
    """One version that readers saw; `inputs` is the fingerprint of all it was computed from."""

    publication_id: str
    run_id: str
    published_at: datetime
    as_of: date | None
    inputs: str
    code_version: str


class Ledger:
    """An open ledger; use `Ledger.open`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Ledger]:
        """Open the ledger for writing, making it when there is none. One process at a time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        con = connect(path)
        try:
            con.execute("set timezone = 'UTC'")
            con.execute(_TABLES)
            yield cls(con)
        finally:
            con.close()

    def current_files(self) -> list[FileEntry]:
        """The files as they count now: the latest reading of each, retracted ones marked."""
        names = ", ".join(f.name for f in fields(FileEntry))
        rows = self.con.execute(
            f"select {names} from current_files order by shop_id, dataset, file_id"
        ).fetchall()
        return [FileEntry(*row) for row in rows]

    def batch_sizes(self) -> dict[tuple[str, str], int]:
        """The number of files that were loaded into each batch's Parquet, by batch and dataset."""
        return {
            (batch_id, dataset): files
            for batch_id, dataset, files in self.con.execute(
                "select batch_id, dataset, count(*) from files where status = 'loaded' group by all"
            ).fetchall()
        }

    def commit_batch(self, files: Sequence[FileEntry], rejects: Sequence[Reject]) -> None:
        """Make a batch exist, all of it or nothing."""
        self.con.execute("begin")
        self._insert("files", files)
        self._insert("rejected_rows", rejects)
        self.con.execute("commit")

    def add_quality_results(self, results: Sequence[QualityResult]) -> None:
        """Keep what a gate found."""
        rows = [{**asdict(r), "examples": json.dumps(r.examples, default=str)} for r in results]
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join("?" for _ in rows[0])
            self.con.executemany(
                f"insert into quality_results ({names}) values ({marks})",
                [list(row.values()) for row in rows],
            )

    def add_publication(self, publication: Publication, restatements: pa.Table | None) -> None:
        """Keep what was published, and what it changed of days published before.

        `restatements` has the columns of that table but the first.
        """
        self.con.execute("begin")
        self._insert("publications", [publication])
        if restatements is not None:
            self.con.register("_rows", restatements)
            self.con.execute(
                "insert into restatements by name select ? as publication_id, * from _rows",
                [publication.publication_id],
            )
            self.con.unregister("_rows")
        self.con.execute(
            "insert into published_files select ?, shop_id, dataset, file_id from current_files "
            "where status <> 'retracted' and (shop_id, dataset, file_id) not in "
            "(select (shop_id, dataset, file_id) from published_files)",
            [publication.publication_id],
        )
        self.con.execute("commit")

    def last_publication(self) -> Publication | None:
        """The publication that readers see, if any."""
        names = ", ".join(f.name for f in fields(Publication))
        row = self.con.execute(
            f"select {names} from publications order by published_at desc limit 1"
        ).fetchone()
        return Publication(*row) if row else None

    def published_file_ids(self) -> set[tuple[str, str, str]]:
        """(shop_id, dataset, file_id) of every file that a publication has used."""
        rows = self.con.execute("select shop_id, dataset, file_id from published_files").fetchall()
        return {(shop_id, dataset, file_id) for shop_id, dataset, file_id in rows}

    def retract(self, file_id_prefix: str, retracted_at: datetime) -> list[FileEntry]:
        """Take the loaded files whose id begins with the prefix out of every figure."""
        found = [
            entry
            for entry in self.current_files()
            if entry.file_id.startswith(file_id_prefix) and entry.status == "loaded"
        ]
        if len({entry.file_id for entry in found}) == 1:
            self.con.executemany(
                "insert into retractions values (?, ?, ?, ?)",
                [[e.file_id, e.shop_id, e.dataset, retracted_at] for e in found],
            )
        return found

    def _insert(self, table: str, rows: Sequence[Any]) -> None:
        if rows:
            names = [f.name for f in fields(rows[0])]
            self.con.register(
                "_rows", pa.table({name: [getattr(row, name) for row in rows] for name in names})
            )
            columns = ", ".join(names)
            self.con.execute(f"insert into {table} ({columns}) select {columns} from _rows")
            self.con.unregister("_rows")
