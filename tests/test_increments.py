"""Any sequence of increments leaves the same rows as building all models anew.

Each shop of a data directory is a sequence of its own: its random files come in random order over
several runs, late and corrected ones among them; some are taken out again, some come once more
under a later date; the last metric day goes forward and back.

INCREMENT_SEED      another stream of random shops (default 0)
INCREMENT_SHOPS     shops, that is sequences (default 120)
INCREMENT_RUNS      runs of each (default 6)
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from dagster_project.lib.increments import (
    begin_models,
    note_published,
    settle_models,
    unpublished_marts,
)
from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.published_version import MARTS, write_version
from dagster_project.lib.sql import literal
from dagster_project.lib.warehouse import inputs_fingerprint, open_warehouse, prepare_warehouse
from tests.reference.exports import write_case, write_own_settings
from tests.reference.model import File, ShopCase
from tests.reference.strategies import LAST_DAY, generate_shop
from tests.support import Published

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("INCREMENT_SEED", "0"))
SHOPS = int(os.environ.get("INCREMENT_SHOPS", "120"))
RUNS = int(os.environ.get("INCREMENT_RUNS", "6"))


class Sequence:
    """A data directory that gets the files of random shops over several runs."""

    def __init__(self, root: Path) -> None:
        self.rng = random.Random(f"increments {SEED}")
        self.cases = [
            generate_shop(random.Random(f"increments {SEED}:{index}"), index)
            for index in range(SHOPS)
        ]
        self.data = DataDir(root / "increments")
        self.anew = DataDir(root / "anew")
        write_case(self.data.root, [ShopCase(case.shop) for case in self.cases])
        write_own_settings(self.data.root)
        self.anew.root.mkdir()
        for name in ("shops.csv", "settings", "raw", "ledger.duckdb"):
            (self.anew.root / name).symlink_to(self.data.root / name)
        self.runs: list[list[tuple[File, bytes]]] = [[] for _ in range(RUNS)]
        for case in self.cases:
            is_in_order = self.rng.random() < 0.5
            files = list(zip(case.files, case.contents, strict=True))
            numbers = [self.rng.randrange(RUNS) for _ in files]
            if is_in_order:
                files.sort(key=lambda file: file[0].exported_at)
                numbers.sort()
            for number, file in zip(numbers, files, strict=True):
                self.runs[number].append(file)

    def take_in(self, number: int) -> None:
        """Drop the files of a run, some of earlier ones again, and retract some."""
        again = [file for run in self.runs[:number] for file in run if self.rng.random() < 0.03]
        for file, content in again:
            stamp = file.exported_at + timedelta(days=self.rng.randrange(1, 9))
            self._drop(file, f"again-{stamp:%Y%m%d_%H%M%S}.csv", content)
        for file, content in self.runs[number]:
            self._drop(file, file.file_name, content)
        with Ledger.open(self.data.ledger) as ledger:
            ingest(self.data, ledger)
            for entry in ledger.current_files():
                if number and entry.status == "loaded" and self.rng.random() < 0.02:
                    ledger.retract(entry.file_id, datetime.now(UTC))

    def _drop(self, file: File, name: str, content: bytes) -> None:
        folder = self.data.landing / file.shop_id / file.dataset
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def build(data: DataDir, as_of: date | None, *, full_refresh: bool = False) -> bool:
    """Build the models as a run does; returns whether all of them were built anew."""
    with Ledger.open(data.ledger) as ledger:
        inputs = inputs_fingerprint(data, ledger, as_of)
        prepare_warehouse(data, ledger, "run", as_of, inputs, full_refresh=full_refresh)
    with open_warehouse(data.warehouse) as con:
        scope = begin_models(con)
    os.environ["FEEDBACK_WAREHOUSE"] = str(data.warehouse)
    target = data.dbt / "target"
    done = dbtRunner().invoke(
        [
            *("build", "--quiet", "--exclude-resource-type", "unit_test", *scope),
            *("--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)),
            *("--target-path", str(target), "--log-path", str(data.logs)),
        ]
    )
    DuckDBConnectionManager.close_all_connections()
    assert done.success, done.exception or [
        (r.node.name, r.message) for r in done.result if r.status not in ("success", "pass")
    ]
    with open_warehouse(data.warehouse) as con:
        settle_models(con)
    return "--full-refresh" in scope


def differing_rows(left: DataDir, right: DataDir) -> dict[str, list[str]]:
    """The tables that differ, with some of the rows that only one side has."""
    found = {}
    with duckdb.connect() as con:
        for name, data in (("l", left), ("r", right)):
            con.execute(f"attach {literal(str(data.warehouse))} as {name} (read_only)")
        tables = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where database_name = 'r' and schema_name in ('staging', 'intermediate', 'marts') "
            "and not contains(table_name, '_touched__') and not contains(table_name, '__changed_')"
        ).fetchall()
        assert len(tables) >= 20
        for (table,) in tables:
            columns = ", ".join(row[0] for row in con.execute(f"describe r.{table}").fetchall())
            rows = [
                f"{'only by increments' if one == 'l' else 'only anew'}: {row}"
                for one, other in (("l", "r"), ("r", "l"))
                for row in con.execute(
                    f"select {columns} from {one}.{table} "
                    f"except all select {columns} from {other}.{table} order by all limit 3"
                ).fetchall()
            ]
            if rows:
                found[table] = rows
    return found


def changed_models(data: DataDir) -> set[str]:
    """The models of which the last increment took or added rows."""
    with open_warehouse(data.warehouse) as con:
        names = con.execute(
            "select table_name from duckdb_tables() where schema_name = 'changes'"
        ).fetchall()
        assert len(names) >= 15
        return {name for (name,) in names if con.execute(f"from changes.{name} limit 1").fetchall()}


@pytest.fixture(scope="module")
def as_of_days() -> Iterator[date | None]:
    """The last metric day of each run: the latest event's, earlier, later, back."""
    days = [None, LAST_DAY - timedelta(days=20), None, LAST_DAY + timedelta(days=40)]
    return iter([days[n % len(days)] for n in range(RUNS)])


def write(data: DataDir, number: int, previous: Path | None) -> Path:
    """Write a version of the published tables, as publishing does."""
    folder = data.published / "versions" / str(number)
    folder.mkdir(parents=True)
    with Ledger.open(data.ledger) as ledger, open_warehouse(data.warehouse) as con:
        write_version(con, ledger, folder, previous)
        note_published(con, folder.name)
    return folder


def differing_published_rows(data: DataDir, version: Path) -> dict[str, int]:
    """The marts of which a version's DuckDB file or Parquet is not what the warehouse has."""
    found = {}
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(data.warehouse))} as w (read_only)")
        con.execute(f"attach {literal(str(version / 'marts.duckdb'))} as p (read_only)")
        for mart in MARTS:
            parquet = literal(str(version / "parquet" / f"{mart}.parquet"))
            for other in (f"p.main.{mart}", f"read_parquet({parquet})"):
                pair = (f"from w.marts.{mart}", f"from {other}")
                rows = [
                    con.execute(f"select count(*) from ({a} except all {b})").fetchall()[0][0]
                    for a, b in (pair, pair[::-1])
                ]
                if any(rows):
                    found[other] = sum(rows)
    return found


def test_increments_leave_what_a_full_rebuild_would(
    tmp_path: Path, as_of_days: Iterator[date | None]
) -> None:
    sequence = Sequence(tmp_path)
    version = None
    for number, as_of in enumerate(as_of_days):
        sequence.take_in(number)
        is_anew = build(sequence.data, as_of)
        assert is_anew == (number == 0)
        assert build(sequence.anew, as_of, full_refresh=True)
        assert differing_rows(sequence.data, sequence.anew) == {}, f"after run {number + 1}"
        if number != 2:  # a version may also have what two runs computed
            version = write(sequence.data, number, version)
            assert differing_published_rows(sequence.data, version) == {}
    assert build(sequence.data, as_of) is False
    assert changed_models(sequence.data) == set()


def prepared(data: DataDir, **more: bool) -> list[str]:
    """What dbt would be told to build for the data directory as it stands."""
    with Ledger.open(data.ledger) as ledger:
        prepare_warehouse(data, ledger, "run", None, "inputs", **more)
    with open_warehouse(data.warehouse) as con:
        return begin_models(con)


def settle(data: DataDir) -> None:
    """End a build that had nothing to change."""
    with open_warehouse(data.warehouse) as con:
        for (mart,) in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall():
            con.execute(f"create or replace table changes.{mart} as from marts.{mart} limit 0")
        settle_models(con)


def new_setting(data: DataDir) -> None:
    data.settings.mkdir()
    (data.settings / "metric_settings.csv").write_text(
        "setting,value,valid_from,valid_to\nrating_basis,initial,2020-01-01,\n"
    )


def new_shop_name(data: DataDir) -> None:
    data.shops_csv.write_text(data.shops_csv.read_text().replace(",TH,", " & Sons,TH,"))


@pytest.mark.parametrize("change", [new_setting, new_shop_name])
def test_models_are_built_anew_when_more_than_files_changed(
    published: Published, tmp_path: Path, change: Callable[[DataDir], None]
) -> None:
    data = published.copy(tmp_path)
    assert "--full-refresh" not in prepared(data)
    settle(data)
    change(data)
    assert "--full-refresh" in prepared(data)


def test_models_are_built_anew_when_asked_for_and_after_a_build_that_did_not_end(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    assert "--full-refresh" in prepared(data, full_refresh=True)
    assert "--full-refresh" in prepared(data)  # the one before was begun and not settled
    settle(data)
    assert "--full-refresh" not in prepared(data)


def test_nothing_is_known_as_published_once_all_was_built_anew(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    publication_id = (data.published / "current").resolve().name
    prepared(data)
    settle(data)
    with open_warehouse(data.warehouse) as con:
        assert unpublished_marts(con, publication_id) == {}
        assert unpublished_marts(con, "another") is None
    prepared(data, full_refresh=True)
    settle(data)
    with open_warehouse(data.warehouse) as con:
        assert unpublished_marts(con, publication_id) is None


def test_what_a_closed_gate_kept_back_is_looked_at_until_it_is_published(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    days = "select shop_id, from_date from unpublished.shop_days"
    prepared(data)
    with open_warehouse(data.warehouse) as con:
        assert con.execute(days).fetchall() == []
        con.execute("insert into intermediate.int_touched__shop_days values ('a', '2026-10-20')")
    settle(data)
    prepared(data)
    with open_warehouse(data.warehouse) as con:
        con.execute("delete from intermediate.int_touched__shop_days")
    settle(data)
    with open_warehouse(data.warehouse) as con:
        assert con.execute(days).fetchall() == [("a", date(2026, 10, 20))]
        note_published(con, "the next")
        assert con.execute(days).fetchall() == []
