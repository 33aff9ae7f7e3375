"""The short form of `make chaos`: some faults, thrown at real runs while readers read."""

from __future__ import annotations

import random

import duckdb
import pytest

from benchmarks import chaos, reader
from dagster_project.lib.sql import literal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> chaos.World:
    """Exports of two shops, half of them published."""
    return chaos.World(tmp_path_factory.mktemp("chaos"))


def assert_good(row: chaos.Row) -> None:
    assert row.injected > 0
    assert row.reads >= row.injected
    assert row.is_good, row


def test_runs_that_were_killed_are_taken_up_by_the_next(world: chaos.World) -> None:
    assert_good(chaos.kill(world, 2, random.Random("chaos"), steps=("dbt_models", "publish")))


def test_versions_swapped_under_readers_are_never_mixed(world: chaos.World) -> None:
    row = chaos.many_publications(world, 10)
    assert_good(row)
    assert row.reads >= 10 * len(chaos.READERS) / 2


def test_damaged_warehouse_is_told_and_rebuilt(world: chaos.World) -> None:
    row = chaos.truncated_warehouse(world, random.Random(0), shares=(0.9,))
    assert_good(row)
    assert row.complaints == []


def test_lost_and_doubled_rows_and_litter_are_seen(world: chaos.World) -> None:
    with world.trial() as trial:
        assert trial.differing_rows()[0] > 0  # half of the files still wait
        (trial.data.tmp).mkdir(exist_ok=True)
        (trial.data.tmp / "half").touch()
        (trial.data.raw / "orders" / "nobody.parquet").touch()
        trial.data.spill.mkdir()
        assert trial.litter() == ["tmp/half", "warehouse.duckdb.tmp", "raw/orders/nobody.parquet"]
        row = chaos.Row("nothing was done")
        row.judge(trial)
        assert not row.is_good


def test_every_reader_sees_a_mixed_version(world: chaos.World) -> None:
    with world.trial() as trial:
        path = (trial.data.published / "marts.duckdb").resolve()
        with duckdb.connect(str(path)) as con:
            con.execute("update reason_metrics_daily set orders = 1000000")
            parquet = literal(str(path.parent / "parquet" / "reason_metrics_daily.parquet"))
            con.execute(f"copy reason_metrics_daily to {parquet} (format parquet)")
        for read in reader.READERS.values():
            assert read(trial.data.published) == [(0, None, 1_000_000)]
