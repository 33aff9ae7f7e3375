"""Great Expectations runs inside DuckDB 2 with exactly the versions it was proven on.

To prove another version: change PROVEN, install it, and see these tests pass.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest

from dagster_project.lib.contracts import Rule
from dagster_project.lib.database import connect
from dagster_project.quality.gates import Suite, check


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of ten parcels; parcel 7 stands twice, parcel 3 has no weight."""
    path = tmp_path / "parcels.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema raw")
        con.execute(
            "create table raw.parcels as "
            "select range as parcel, case when range <> 3 then range * 1.5 end as weight "
            "from range(1, 10)"
        )
        con.execute("insert into raw.parcels from raw.parcels where parcel = 7")
    return path


def suite(*rules: Rule) -> Suite:
    return Suite("raw", "parcels", "raw.parcels", "raw.parcels", rules)


def rule(
    query: str | None, asks: Literal["rows", "share", "value", "count"] = "rows", limit: float = 0
) -> Rule:
    return Rule("rule", "Parcels are fine.", "critical", query, asks, limit, "")


@pytest.mark.parametrize("package", ["great-expectations", "duckdb-engine", "SQLAlchemy"])
def test_refuses_a_version_it_was_not_proven_on(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.quality import gx_duckdb

    proven = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "99.0" if name == package else proven(name)
    )
    with pytest.raises(ImportError, match=f"{package} 99.0 is installed.*proven"):
        importlib.reload(gx_duckdb)


def test_proven_versions_are_the_pinned_ones() -> None:
    from dagster_project.quality.gx_duckdb import PROVEN

    pins = set(importlib.metadata.requires("feedback-warehouse") or ())
    assert {f"{name}=={version}" for name, version in PROVEN.items()} <= {
        pin.lower().replace("sqlalchemy", "SQLAlchemy") for pin in pins
    }


@pytest.mark.parametrize(
    ("asked", "failed_rows", "examples"),
    [
        (rule("select parcel from {batch} where weight is null"), 1, [{"parcel": 3}]),
        (rule("select parcel from {batch} group by 1 having count(*) > 1"), 1, [{"parcel": 7}]),
        (rule("select parcel from {table} where parcel > 9"), 0, []),
        (rule("select parcel from {batch} where parcel = 1", "share", 10), 0, []),
        (rule("select parcel from {batch} where parcel = 7", "share", 10), 2, [{"parcel": 7}]),
        (rule("select parcel, weight as value from {batch}", "value", 13.5), 0, []),
        (
            rule("select parcel, weight as value from {batch} where parcel = 9", "value", 13.4),
            1,
            [{"parcel": 9, "value": Decimal("13.5")}],
        ),
        (rule(None, "count", 10), 0, []),
    ],
)
def test_finds_what_is_planted_and_nothing_else(
    file: Path, asked: Rule, failed_rows: int, examples: list[dict[str, Any]]
) -> None:
    with connect(file, read_only=True) as con:
        (found,) = check(con, [suite(asked)], "run-1")
    assert (found.passed, found.failed_rows) == (failed_rows == 0, failed_rows)
    assert found.examples[:1] == examples
    assert found.checked_rows == 10


def test_too_few_rows_do_not_pass(file: Path) -> None:
    with connect(file, read_only=True) as con:
        (found,) = check(con, [suite(rule(None, "count", 11))], "run-1")
    assert not found.passed


def test_missing_table_is_an_error_and_not_a_pass(file: Path) -> None:
    gone = Suite("raw", "gone", "raw.gone", "raw.gone", (rule("select 1 from {batch}"),))
    with connect(file, read_only=True) as con, pytest.raises(Exception, match="gone"):
        check(con, [gone], "run-1")


@pytest.mark.parametrize("query", ["select parcel from {batch}", "select no_such from {batch}"])
def test_releases_the_file_once_the_connection_is_closed(file: Path, query: str) -> None:
    con = connect(file, read_only=True)
    check(con, [suite(rule(query))], "run-1")
    con.close()
    with connect(file) as writer:  # refused while a connection that only reads is open
        writer.execute("create table after as select 1")
    in_another_process = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('from after')"
    subprocess.run([sys.executable, "-c", in_another_process, str(file)], check=True)


def test_leaves_the_connection_usable_and_its_data_alone(file: Path) -> None:
    with connect(file) as con:
        con.execute("delete from raw.parcels where parcel = 1")
        check(con, [suite(rule("select parcel from {batch}"))], "run-1")
        assert con.execute("select count(*) from raw.parcels").fetchone() == (9,)


@pytest.fixture
def system_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "system temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_leaves_nothing_in_the_systems_temp_folder(file: Path, system_temp: Path) -> None:
    with connect(file, read_only=True) as con:
        for _ in range(3):
            check(con, [suite(rule("select parcel from {batch}"))], "run-1")
    assert list(system_temp.iterdir()) == []
