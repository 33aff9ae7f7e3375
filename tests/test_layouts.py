"""Every country's layout of the orders and returns exports, read whole by the real ingest."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.exports_helper import Store
from tests.layouts import (
    ALL_LAYOUTS,
    COMMON,
    ENGLISH_DESCRIPTION,
    ORDER_LAYOUTS,
    PERSONAL,
    RETURN_LAYOUTS,
    SHOPS,
    SKU,
    THAI_DESCRIPTION,
    Cells,
    Layout,
    Secrets,
    as_cells,
    as_file,
)

KINDS = ["csv", "xlsx"]
SOME_LAYOUTS = ["ID_65", "ID_58", "VN_56", "ES_63", "US_57", "returns TH_25", "returns US_19"]
Change = Callable[[Cells, random.Random], Cells]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, SHOPS)


def assert_read_whole(
    store: Store,
    layout: Layout,
    kind: str,
    change: Change | None = None,
) -> None:
    """Load the layout's lines as a file and find them again, typed; and nothing of a person."""
    lines = layout.lines()
    secrets = Secrets()
    cells = as_cells(layout, lines, secrets)
    rows_above = len(cells) - len(lines)
    if change:
        before = len(cells)
        cells = change(cells, random.Random(7))
        rows_above += len(cells) - before
    dataset = layout.dataset
    content = as_file(layout, cells, kind)
    entry = store.load(content, dataset, f"All-2026-01-31-17_00.{kind}", layout.country.shop_id)
    assert (entry.status, entry.rows_read, entry.rows_rejected, entry.message) == (
        "loaded", len(lines), 0, "",
    ), store.rejects()  # fmt: skip
    has = {column.lower().replace(" ", "_") for column in layout.columns}
    expected = [
        tuple(value if name in has and value != "" else None for name, value in line.items())
        for line in lines
    ]
    assert store.rows(dataset, *lines[0]) == expected
    numbers = [rows_above + number for number in range(1, len(lines) + 1)]
    assert store.rows(dataset, "_row_number") == numbers
    assert len(secrets.given) >= 3 * len(lines)
    assert_nowhere_in_raw(store, secrets)


def assert_nowhere_in_raw(store: Store, secrets: Secrets) -> None:
    (batch,) = store.data.raw.glob("*/*.parquet")
    kept = repr(duckdb.execute(f"from '{batch}'").fetchall()).encode() + batch.read_bytes()
    assert not [secret for secret in secrets.given if secret.encode() in kept]


# --- the layouts ----------------------------------------------------------------------------------


def test_layouts_have_as_many_columns_as_the_platforms() -> None:
    for name, layout in (ORDER_LAYOUTS | RETURN_LAYOUTS).items():
        assert len(layout.columns) == int(name.split("_")[1]), name
        assert len(set(layout.columns)) == len(layout.columns), name
    for name, layout in ORDER_LAYOUTS.items():
        assert set(COMMON) <= set(layout.columns), name
        assert len(PERSONAL & set(layout.columns)) > 8, name


def test_one_indonesian_layout_has_its_sku_block_after_the_addresses() -> None:
    columns = ORDER_LAYOUTS["ID_58"].columns
    assert columns.index(SKU[0]) == columns.index("Additional address information") + 1
    assert ORDER_LAYOUTS["ID_65"].columns.index(SKU[0]) < 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL_LAYOUTS)
def test_every_layout_is_read_whole_without_any_personal_cell(
    store: Store, name: str, kind: str
) -> None:
    assert_read_whole(store, ALL_LAYOUTS[name], kind)


# --- the same layouts after someone was at work on them -------------------------------------------


def _reordered(cells: Cells, rng: random.Random) -> Cells:
    places = rng.sample(range(len(cells[0])), len(cells[0]))
    return [[row[place] for place in places] for row in cells]


def _with_unknown_columns(cells: Cells, rng: random.Random) -> Cells:
    cells = [list(row) for row in cells]
    for name in ("Live Session", "Wallet Holder", "Wallet Holder", ""):
        at = rng.randrange(len(cells[0]))
        for number, row in enumerate(cells):
            row.insert(at, name if number == 0 else f"new {number}")
    return cells


def _saved_again(cells: Cells, rng: random.Random) -> Cells:
    """Headers as other programs leave them."""
    styles: list[Callable[[str], str]] = [
        str.upper, str.lower, str.title, "  {} ".format, lambda name: name.replace(" ", "  "),
        lambda name: name.replace(" ", "\u00a0"), "{}\t".format,
    ]  # fmt: skip
    spelt = {
        "Cancelation/Return Type": "Cancellation/Return Type",
        "Cancelled Time": "Canceled Time",
    }
    header = [rng.choice(styles)(spelt.get(name, name)) for name in cells[0]]
    return [header, *cells[1:]]


def _under(*above: list[str]) -> Change:
    return lambda cells, _: [*above, *cells]


CHANGES: dict[str, Change] = {
    "reordered": _reordered,
    "unknown_columns": _with_unknown_columns,
    "saved_again": _saved_again,
    "under_a_blank_line": _under([]),
    "under_a_date_range": _under(["01/12/2025 - 31/12/2025"]),
    "under_both": _under(["Export period", "01/12/2025 ~ 31/12/2025"], []),
    "all_at_once": lambda cells, rng: _under([])(
        _saved_again(_with_unknown_columns(_reordered(cells, rng), rng), rng), rng
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "csv") for name in SOME_LAYOUTS), ("PH_55", "xlsx")]
)
def test_changed_exports_are_read_like_those_of_the_platform(
    store: Store, name: str, kind: str, change: str
) -> None:
    assert_read_whole(store, ALL_LAYOUTS[name], kind, CHANGES[change])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("description", [ENGLISH_DESCRIPTION, THAI_DESCRIPTION, None])
@pytest.mark.parametrize("name", ["ID_58", "TH_55", "US_57"])
def test_a_description_row_may_stand_under_the_header_or_not(
    store: Store, name: str, description: str | None, kind: str
) -> None:
    layout = dataclasses.replace(ORDER_LAYOUTS[name], description=description)
    assert_read_whole(store, layout, kind)
