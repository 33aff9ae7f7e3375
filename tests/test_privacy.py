"""Nothing that a run writes holds a person: neither the bytes of a file nor what they stand for."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.sql import identifier
from tests.support import Published


@pytest.fixture(scope="module")
def secrets(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of all strings that must not be found, one a line, in the spellings they may take."""
    path: Path = tmp_path_factory.mktemp("secrets") / "secrets.txt"
    spellings = set()
    for secret in published.personal_strings | published.truth.masked_strings:
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, secret)
            spellings |= {text, json.dumps(text)[1:-1]}
    path.write_text("\n".join(sorted(spellings)) + "\n", encoding="utf-8")
    return path


def files_with(secrets: Path, folder: Path, *options: str) -> list[str]:
    """The files under a folder that hold one of the secrets, as bytes."""
    done = subprocess.run(
        ["grep", "-r", "-a", "-l", "-F", "-f", str(secrets), *options, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def rows_of_duckdb(path: Path) -> Iterator[object]:
    with connect(path, read_only=True) as con:
        tables = con.execute("select table_schema, table_name from information_schema.tables")
        for schema, table in tables.fetchall():
            yield from con.execute(f"from {identifier(schema)}.{identifier(table)}").fetchall()


def rows_of_sqlite(path: Path) -> Iterator[object]:
    with sqlite3.connect(path) as con:
        for (table,) in con.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall():
            yield from con.execute(f"select * from {identifier(table)}").fetchall()


def rows_of_parquet(path: Path) -> Iterator[object]:
    with duckdb.connect() as con:
        yield from con.execute("from read_parquet(?)", [str(path)]).fetchall()


def written(data: Path) -> Iterator[Path]:
    """All files but the landing folder, which is the user's."""
    for top in data.iterdir():
        if top.name != "landing":
            yield from (p for p in (top, *top.rglob("*")) if p.is_file() and not p.is_symlink())


def cells(rows: Iterable[object]) -> Iterator[str]:
    for row in rows:
        yield from (str(cell) for cell in row)  # type: ignore[attr-defined]


def test_search_finds_the_secrets_where_they_are(published: Published, secrets: Path) -> None:
    landing = published.data.landing
    found = files_with(secrets, landing)
    csv_files = [path for path in landing.rglob("*.csv") if path.parent.name != "products"]
    assert len(published.personal_strings) > 1000
    assert len(published.truth.masked_strings) > 2
    assert set(found) >= {str(p) for p in csv_files if p.parent.name == "orders"}


def test_no_byte_that_a_run_writes_holds_personal_data(published: Published, secrets: Path) -> None:
    assert files_with(secrets, published.data.root, "--exclude-dir=landing") == []


def test_no_table_log_or_history_of_a_run_holds_personal_data(
    published: Published, secrets: Path, tmp_path: Path
) -> None:
    readers = {".duckdb": rows_of_duckdb, ".db": rows_of_sqlite, ".parquet": rows_of_parquet}
    number = itertools.count()
    kinds = set()
    for path in written(published.data.root):
        if path.suffix in readers:
            kinds.add(path.suffix)
            decoded = tmp_path / f"{next(number)}-{path.name}.txt"
            decoded.write_text("\n".join(cells(readers[path.suffix](path))), encoding="utf-8")
    assert kinds == set(readers)
    assert files_with(secrets, tmp_path) == []


def test_masked_contacts_leave_their_mask_in_the_text(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        masked = con.execute(
            "select count(*) from feedback_events where regexp_matches(text, '\\[[a-z-]+\\]')"
        ).fetchone()
    assert masked
    assert masked[0] >= 1
