"""What users name and write never becomes SQL: a run on hostile names, every statement seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib.alerts import RunEnd, find_alerts
from dagster_project.lib.digest.files import write_digest
from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current
from dagster_project.lib.shop_publication import write_shop_publication
from dagster_project.lib.shops import Shop, read_shops
from tests.support import ORDER_HEADER, RETURN_HEADER, run_pipeline, write_csv

pytestmark = pytest.mark.slow

MARK = "m4rk"
SHOP = f"{MARK}'; drop table files; --\"'"
FILE = f"{MARK}'), ('x\"; -- {{batch}} 2026-03-01 12_00.csv"
CELL = f"{MARK}'); drop schema marts cascade; -- \" {{batch}} $1 ?"
# Quoted text and names: what is in them is not SQL.
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


class Recorder:
    """A connection that keeps the text of every statement."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
        self._connection = connection
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in ("execute", "executemany", "sql", "query"):
            return found

        def keep(statement: str, *arguments: Any, **options: Any) -> Any:
            self._statements.append(statement)
            return found(statement, *arguments, **options)

        return keep

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that this process sends to DuckDB while the test lasts."""
    seen: list[str] = []
    connect = duckdb.connect
    monkeypatch.setattr(
        duckdb, "connect", lambda *args, **kwargs: Recorder(connect(*args, **kwargs), seen)
    )
    yield seen
    monkeypatch.undo()


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Exports of a shop whose name, file names and cells are statements."""
    data = DataDir(tmp_path / "data")
    quoted = SHOP.replace('"', '""')
    data.root.mkdir()
    data.shops_csv.write_text(
        f'shop_id,shop_name,region,timezone,currency\n"{quoted}","{quoted}",TH,Asia/Bangkok,THB\n'
    )
    write_csv(
        data.landing / SHOP / "orders" / FILE,
        ORDER_HEADER,
        [
            [f"5767{n:014}", f"1729{n % 3:014}", CELL, CELL, "01/02/2026 09:00:00",
             "05/02/2026 09:00:00", CELL, CELL, CELL]
            for n in range(40)
        ],
    )  # fmt: skip
    write_csv(
        data.landing / SHOP / "returns" / FILE,
        RETURN_HEADER,
        [
            [f"4035{n:014}", f"5767{n:014}", f"1729{n % 3:014}", "10/02/2026 10:00:00", CELL,
             CELL, CELL, CELL]
            for n in range(5)
        ],
    )  # fmt: skip
    return data


def assert_no_mark_outside_quotes(statements: list[str]) -> None:
    assert len(statements) > 20
    for statement in statements:
        assert MARK not in _QUOTED.sub("", statement), statement


def test_ingest_sends_nothing_of_users_as_sql(data: DataDir, statements: list[str]) -> None:
    with Ledger.open(data.ledger) as ledger:
        batch = ingest(data, ledger)
    assert [(f.shop_id, f.status) for f in batch.files] == [(SHOP, "loaded")] * 2
    assert_no_mark_outside_quotes(statements)


def test_a_run_sends_nothing_of_users_as_sql(
    data: DataDir, statements: list[str], tmp_path: Path
) -> None:
    marts = run_pipeline(data.root, date(2026, 3, 1))
    version = current(data)
    assert version is not None
    others = {name: Shop(name, name, "TH", "UTC", "THB") for name in (f"{MARK}%", f"{MARK}')--")}
    write_shop_publication(version, SHOP, others, tmp_path / "owner")
    now = datetime(2026, 3, 30, tzinfo=UTC)
    write_digest(version, read_shops(data.shops_csv), now, now.date(), tmp_path / "digest")
    with Ledger.open(data.ledger) as ledger:
        alerts = find_alerts(data, ledger, RunEnd("r", [CELL], [CELL]), version, now)
        ledger.tell("r", [alert.event for alert in alerts], None)
        assert {a.kind for a in alerts} >= {"run_failed", "silent", "unmapped_reason"}
        assert find_alerts(data, ledger, RunEnd("r", [CELL], [CELL]), version, now) == []
    assert_no_mark_outside_quotes(statements)
    for path in (marts, tmp_path / "owner" / "marts.duckdb"):
        with duckdb.connect(str(path), read_only=True) as con:
            assert con.execute(
                "select distinct shop_id, product_name from product_metrics_daily"
            ).fetchall() == [(SHOP, CELL)]
            assert con.execute("select distinct unmapped_reason from feedback_events").fetchall()
            assert con.execute("select distinct file_name from files").fetchall() == [(FILE,)]


def test_mark_outside_quotes_is_seen() -> None:
    with pytest.raises(AssertionError):
        assert_no_mark_outside_quotes(["select 1"] * 21 + [f"select 'a' || {CELL}"])
    with pytest.raises(AssertionError):
        assert_no_mark_outside_quotes(["select 1"] * 21 + [f"attach 'a' as {SHOP}"])
