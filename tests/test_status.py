"""`feedback status`: what is covered, and which exports to download now."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib import database, ledger
from dagster_project.lib.database import one_run_at_a_time
from dagster_project.lib.shops import read_shops
from dagster_project.lib.status import Coverage, coverage
from tests.exports_helper import Store, csv_text, order, product, request, review
from tests.support import feedback_here

# 2 April in Bangkok, 1 April in New York
NOW = datetime(2025, 4, 1, 18, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def found(store: Store) -> dict[tuple[str, str], Coverage]:
    shops = read_shops(store.data.shops_csv)
    return {(c.shop.shop_id, c.dataset.name): c for c in coverage(shops, store.current(), NOW)}


def test_a_shop_without_files_needs_60_days_of_what_the_rates_are_made_of(store: Store) -> None:
    status = found(store)
    due = {key: c.download for key, c in status.items() if c.download}
    assert due == {
        (shop, dataset): (first, last)
        for shop, first, last in (
            ("thai", date(2025, 2, 2), date(2025, 4, 2)),
            ("american", date(2025, 2, 1), date(2025, 4, 1)),
        )
        for dataset in ("orders", "returns", "reviews")
    }
    assert all(c.covered_until is None and c.loaded == 0 for c in status.values())


def test_the_latest_export_covers_and_what_may_have_changed_since_is_due(store: Store) -> None:
    store.load([order()], "orders", "orders-2025-03-20.csv")
    store.load([order(2)], "orders", "orders-2025-03-31-17_00.csv")
    store.load([request()], "returns", "returns-2025-04-02-01_00.csv")
    header, _ = csv_text([review(), review().values()]).splitlines()
    store.load(header + "\n", "reviews", "reviews-2025-03-20.csv")
    store.load([product()], "products", "products-2025-01-01.csv")
    status = found(store)
    orders, returns, reviews, products, chats = (
        status["thai", name] for name in ("orders", "returns", "reviews", "products", "chats")
    )
    assert (orders.covered_until, orders.loaded) == (date(2025, 3, 31), 2)
    assert orders.download == (date(2025, 3, 1), date(2025, 4, 2))
    assert (returns.covered_until, returns.download) == (date(2025, 4, 2), None)
    assert reviews.covered_until == date(2025, 3, 20)
    assert reviews.download == (date(2025, 1, 19), date(2025, 4, 2))
    assert (products.loaded, products.download) == (1, None)
    assert (chats.loaded, chats.download) == (0, None)


def test_retracted_and_refused_files_cover_nothing(store: Store) -> None:
    entry = store.load([order()], "orders", "orders-2025-03-31.csv")
    store.load("no export", "orders", "orders-2025-04-01.csv")
    assert found(store)["thai", "orders"].refused == 1
    assert feedback_here("retract", entry.file_id, "--data-dir", store.data.root).code == 0
    status = found(store)["thai", "orders"]
    assert (status.covered_until, status.loaded, status.refused) == (None, 0, 1)


def test_the_command_shows_coverage_menu_path_and_folder(store: Store) -> None:
    store.load([order()], "orders", "orders-2025-03-31.csv")
    store.load("no export", "chats")
    result = feedback_here("status", "--data-dir", store.data.root)
    assert result.code == 0
    flat = " ".join(result.output.split())
    assert "thai orders 2025-03-31 1 2025-03-01 to " in flat
    assert "returns never loaded 0" in flat
    assert "chats never loaded 0 1" in flat
    assert "Seller Center > Orders > Return/refund orders > Export" in flat
    assert "landing/<shop_id>/returns/" in flat
    assert "products" not in flat


def test_the_command_works_before_the_first_run_and_makes_nothing(store: Store) -> None:
    result = feedback_here("status", "--data-dir", store.data.root)
    assert result.code == 0
    assert "never loaded" in result.output
    assert [p.name for p in store.data.root.iterdir()] == ["shops.csv"]


def test_the_command_works_beside_a_run_that_waits(store: Store) -> None:
    store.load([order()], "orders", "orders-2025-03-31.csv")
    with one_run_at_a_time(store.data.lock):
        assert feedback_here("status", "--data-dir", store.data.root).code == 0


def test_the_command_works_where_nothing_may_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.load([order()], "orders", "orders-2025-03-31.csv")

    def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        assert read_only
        return database.connect(path, read_only=True)

    monkeypatch.setattr("os.access", lambda _, mode, **__: mode != os.W_OK)
    monkeypatch.setattr(ledger, "connect", connect)
    result = feedback_here("status", "--data-dir", store.data.root)
    assert result.code == 0
    assert "2025-03-31 1 " in " ".join(result.output.split())
