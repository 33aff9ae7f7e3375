"""A random truth, written in a random layout, encoding and country's way, is read back equal."""

from __future__ import annotations

import random
import tempfile
import unicodedata
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from dagster_project.lib.text import BLANKS
from tests.exports_helper import Store, csv_text
from tests.layouts import ALL_LAYOUTS, SHOPS, Layout, Secrets, as_cells, as_file
from tests.test_layouts import CHANGES

CODE_PAGES = {"TH": "cp874", "VN": "cp1258"}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

ids = st.integers(10**17, 10**19 - 1).map(str)
moments = st.datetimes(datetime(2019, 1, 1), datetime(2026, 1, 31, 16)).map(
    lambda moment: moment.replace(microsecond=0, fold=0)
)
letters = st.one_of(
    st.sampled_from(",;\t\"' \n%=+-@.0"),
    st.characters(exclude_categories=["C", "Zl", "Zp"]),
    st.sampled_from("ạếệ่้กขÑñ中👍"),
)
texts = st.text(letters, max_size=20)


@st.composite
def lines_of(draw: st.DrawFn, layout: Layout) -> list[dict[str, Any]]:
    """Lines like those of `order_lines` and `return_lines`, with other values."""
    country = layout.country
    like = layout.lines()[0]
    has_cents = country.currency not in ("IDR", "VND")
    cents = st.integers(0, 10**8 - 1).map(lambda n: Decimal(n) / 100)
    amounts = cents if has_cents else st.integers(0, 10**8).map(Decimal)

    def value(name: str) -> st.SearchStrategy[Any]:
        if name.endswith("_id"):
            return ids
        if name.endswith("time") or name == "time_requested":
            is_required = name in ("created_time", "time_requested")
            return moments if is_required else st.none() | moments
        if isinstance(like[name], Decimal) or name == "compensation_amount":
            return amounts
        if isinstance(like[name], int):
            return st.integers(1, 999)
        return texts.filter(kept) if name == "product_name" else texts

    return draw(st.lists(st.fixed_dictionaries({name: value(name) for name in like}), max_size=8))


def kept(value: Any) -> Any:
    """A value as the raw store has it: text composed and trimmed, null when blank."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.strip(BLANKS)) or None
    return value


@st.composite
def files(draw: st.DrawFn) -> tuple[Layout, list[dict[str, Any]], str, bytes]:
    """A layout, its lines, the file's suffix and its bytes."""
    name = draw(st.sampled_from(sorted(ALL_LAYOUTS)))
    layout = ALL_LAYOUTS[name]
    lines = draw(lines_of(layout))
    form = draw(st.sampled_from(["xlsx", "utf-8", "utf-8-sig", "utf-16", "code page"]))
    if form == "code page":
        codec = CODE_PAGES.get(layout.country.region, "cp1252")
        lines = [{n: in_code_page(value, codec) for n, value in line.items()} for line in lines]
    cells = as_cells(layout, lines, Secrets())
    change = draw(st.sampled_from(["none", *CHANGES]))
    if change != "none":
        cells = CHANGES[change](cells, random.Random(draw(st.integers())))
    event(form)
    event(f"{name}, {change}")
    if form == "xlsx":
        return layout, lines, "xlsx", as_file(layout, cells, "xlsx")
    delimiter = draw(st.sampled_from(sorted(DELIMITERS)))
    text = csv_text(cells, DELIMITERS[delimiter], draw(st.sampled_from(["\n", "\r\n"])))
    if form == "code page":
        return layout, lines, "csv", text.encode(codec, "replace")
    return layout, lines, "csv", text.encode(form)


def in_code_page(value: Any, codec: str) -> Any:
    """What is left of a text where Unicode cannot be written; a required one is never blank."""
    return value.encode(codec, "replace").decode(codec) if isinstance(value, str) else value


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True, phases=[Phase.generate])
@given(files())
def test_what_was_written_is_read_back(
    file: tuple[Layout, list[dict[str, Any]], str, bytes],
) -> None:
    layout, lines, suffix, content = file
    dataset = layout.dataset
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), SHOPS)
        shop = layout.country.shop_id
        entry = store.load(content, dataset, f"All-2026-01-31-17_00.{suffix}", shop)
        assert (entry.status, entry.message, store.rejects()) == ("loaded", "", [])
        assert entry.rows_read == len(lines)
        if lines:
            has = {column.lower().replace(" ", "_") for column in layout.columns}
            expected = [
                tuple(kept(line[name]) if name in has else None for name in lines[0])
                for line in lines
            ]
            assert store.rows(dataset, *lines[0]) == expected
