"""The benchmarks' generator: what it lays out fast is what ingest makes of the same exports."""

from __future__ import annotations

import filecmp
import json
from dataclasses import asdict, astuple, replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from benchmarks.scale_data import read_history, write_history, write_increment
from benchmarks.scale_world import History
from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.paths import DataDir

SMALL = History(6_000, shops=8, products=20, days=75)
DATASETS = ("orders", "returns", "reviews", "complaints", "products")


def ingested(root: Path) -> tuple[FileEntry, ...]:
    """The files that an ingest of the landing folder brings."""
    data = DataDir(root)
    with Ledger.open(data.ledger) as ledger:
        return ingest(data, ledger).files


def known(root: Path) -> list[FileEntry]:
    with Ledger.open(DataDir(root).ledger) as ledger:
        return ledger.current_files()


def rows_sql(root: Path, dataset: str) -> str:
    return f"(select * exclude (_file_id) from read_parquet('{root}/raw/{dataset}/*.parquet'))"


@pytest.fixture(scope="module")
def as_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("files")
    write_history(root, SMALL, as_files=True)
    ingested(root)
    return root


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("fast")
    write_history(root, SMALL)
    return root


def test_the_fast_way_leaves_the_rows_that_ingest_leaves(as_files: Path, fast: Path) -> None:
    for dataset in DATASETS:
        ours, theirs = rows_sql(fast, dataset), rows_sql(as_files, dataset)
        described = [duckdb.sql(f"describe {rows}").fetchall() for rows in (ours, theirs)]
        assert described[0] == described[1]
        assert duckdb.sql(f"{ours} except all {theirs}").fetchall() == []
        assert duckdb.sql(f"{theirs} except all {ours}").fetchall() == []
        assert duckdb.sql(f"select count(*) > 20 from {ours}").fetchall() == [(True,)]


def test_the_fast_way_leaves_the_ledger_that_ingest_leaves(as_files: Path, fast: Path) -> None:
    def seen(root: Path) -> list[tuple[object, ...]]:
        entries = (
            replace(e, batch_id="", file_id=e.file_id if e.rows_read == 0 else "")
            for e in known(root)
        )
        return sorted(astuple(e)[:-1] for e in entries)

    assert seen(fast) == seen(as_files)
    assert {e.status for e in known(as_files)} == {"loaded"}
    assert sum(e.rows_rejected for e in known(as_files)) == 0


def test_each_row_of_the_fast_way_is_of_a_file_of_the_ledger(fast: Path) -> None:
    files = {(e.shop_id, e.dataset, e.file_id, e.exported_at): e.rows_loaded for e in known(fast)}
    found = {
        (shop_id, dataset, file_id, exported_at): rows
        for dataset in DATASETS
        for shop_id, file_id, exported_at, rows in duckdb.sql(
            "select shop_id, _file_id, _exported_at, count(*) "
            f"from read_parquet('{fast}/raw/{dataset}/*.parquet') group by all"
        ).fetchall()
    }
    assert found == {key: rows for key, rows in files.items() if rows}


def test_an_ingest_after_the_fast_way_brings_the_increment_only(fast: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_history(root, SMALL)
    day = write_increment(root, 400)
    assert day == SMALL.last_day + timedelta(days=1)
    files = ingested(root)
    assert {e.status for e in files} == {"loaded"}
    assert {str(e.exported_at)[:10] for e in files} == {str(day)}
    assert sum(e.rows_rejected for e in files) == 0
    assert 340 <= sum(e.rows_read for e in files if e.dataset == "orders") <= 460
    assert write_increment(root, 400) == day + timedelta(days=1)
    assert read_history(root).increments == (400, 400)


def test_the_shares_are_as_told(fast: Path) -> None:
    orders, returns, reviews = (
        f"read_parquet('{fast}/raw/{dataset}/*.parquet')"
        for dataset in ("orders", "returns", "reviews")
    )
    lines, order_count, delivered = duckdb.sql(
        "with latest as (select * from "
        f"{orders} qualify row_number() over (partition by order_id, sku_id order by _exported_at "
        "desc) = 1), ripe as (select * from latest where created_time < timestamp '2026-10-20') "
        "select (select count(*) from latest), (select count(distinct order_id) from latest), "
        "(select avg((delivered_time is not null)::int) from ripe)"
    ).fetchall()[0]
    assert abs(lines / SMALL.lines - 1) < 0.05
    assert abs(lines / order_count - 1.1) < 0.03
    assert abs(delivered - 0.95) < 0.02
    (reviewed,) = duckdb.sql(f"select count(distinct order_id) from {reviews}").fetchall()[0]
    (requested,) = duckdb.sql(f"select count(distinct order_id) from {returns}").fetchall()[0]
    assert 0.05 < reviewed / order_count < 0.10
    assert 0.025 < requested / order_count < 0.045


def test_an_increment_touches_orders_that_the_history_has(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_history(root, SMALL)
    write_increment(root, 400)
    ingested(root)
    new = "_exported_at >= timestamp '2026-11-01'"
    orders = f"read_parquet('{root}/raw/orders/*.parquet')"
    reviews = f"read_parquet('{root}/raw/reviews/*.parquet')"
    again, dated_anew, unknown_old = duckdb.sql(
        f"with new as (from {orders} where {new}), "
        f"old as (select order_id, sku_id, max(delivered_time) as before from {orders} "
        f"where not {new} group by all) "
        "select count(before_key), count(*) filter (where before is not null "
        "and delivered_time <> before), count(*) filter (where before_key is null "
        "and created_time < timestamp '2026-10-20') from (select n.*, o.order_id as before_key, "
        "o.before from new as n left join old as o using (order_id, sku_id))"
    ).fetchall()[0]
    assert again > 100
    assert 3 <= dated_anew <= 30
    assert 2 <= unknown_old <= 30
    (unmatched,) = duckdb.sql(
        f"select count(*) from {reviews} where {new} and order_id not in "
        f"(select order_id from {orders})"
    ).fetchall()[0]
    assert unmatched == 0


def test_increments_on_large_histories_have_the_same_bytes(tmp_path: Path) -> None:
    roots = [tmp_path / "small", tmp_path / "large"]
    for root, lines in zip(roots, (1_000_000, 10_000_000), strict=True):
        root.mkdir()
        history = asdict(History(lines, shops=12))
        (root / "history.json").write_text(json.dumps(history, default=str))
        write_increment(root, 2_000)
    names = [sorted(p.relative_to(r) for p in r.rglob("*.csv")) for r in roots]
    assert names[0] == names[1]
    _, different, errors = filecmp.cmpfiles(*roots, map(str, names[0]), shallow=False)
    assert (different, errors) == ([], [])


def test_the_same_history_has_the_same_bytes(as_files: Path, tmp_path: Path) -> None:
    write_history(tmp_path, SMALL, as_files=True)
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.csv"))
    assert len(names) > 50
    _, different, errors = filecmp.cmpfiles(tmp_path, as_files, names, shallow=False)
    assert (different, errors) == ([], [])
