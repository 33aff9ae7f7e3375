"""Casts: text of an export into typed values, by SQL that yields null for what does not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb

from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.sql import identifier, literal

_DATE_PART = r"^([0-9]{1,4})[./-]([0-9]{1,2})[./-]([0-9]{1,4})"
_YEAR_FIRST = r"^[0-9]{4}[./-][0-9]{1,2}[./-][0-9]{1,2}([T ]|$)"
_YEAR_LAST = r"^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4}( |$)"
_ORDERS = {
    "year-month-day": (_YEAR_FIRST, "%Y-%m-%d"),
    "day/month/year": (_YEAR_LAST, "%d-%m-%Y"),
    "month/day/year": (_YEAR_LAST, "%m-%d-%Y"),
}
# Forms of a time stamp that are a number: since 1970, or the days of a spreadsheet since 1900.
_NUMBERS = {
    "epoch seconds": r"^[0-9]{9,10}$",
    "epoch milliseconds": r"^[0-9]{12,13}$",
    "spreadsheet serial": r"^[0-9]{5}([.,][0-9]+)?$",
}
_CLOCKS = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p", "%H:%M:%S.%f")
_OFFSET = r":[0-9]{2}(\.[0-9]+)?\s*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


@dataclass(frozen=True)
class DateFormats:
    """The form of each time stamp column of one file, told by all its values together.

    `orders` maps a column to `day/month/year`, `month/day/year`, `year-month-day`, `epoch seconds`,
    `epoch milliseconds` or `spreadsheet serial`; a column without values has the region's order.
    """

    orders: dict[str, str]
    blank: frozenset[str] = frozenset()

    @property
    def told(self) -> dict[str, str]:
        """The orders of the columns that have values."""
        return {name: order for name, order in self.orders.items() if name not in self.blank}

    def join(self, other: DateFormats) -> DateFormats | None:
        """The formats that fit both files, if there are any."""
        both = self.orders | other.told
        if all(both[c] == o for c, o in self.told.items()):
            return DateFormats(both, self.blank & other.blank)
        return None


def find_date_formats(
    con: duckdb.DuckDBPyConnection, table: str, dataset: Dataset, regions: Mapping[int, str]
) -> dict[int, DateFormats]:
    """Choose for each file and time stamp column the form that fits most of its values.

    A date format belongs to the file and the column, never to the single value. When day first and
    month first fit alike, the region decides (metric definitions, exports: "Quirks"). `table` has
    the column `_table`, whose values are the keys of `regions` and of the answer.
    """
    columns = [c.name for c in dataset.columns if c.kind in ("timestamp", "date")]
    fits = {key: {name: Counter[str]() for name in columns} for key in regions}
    if columns:
        days = " union all ".join(
            f"select _table, {literal(name)}, {_shape_sql(identifier(name))}, count(*) "
            f"from {identifier(table)} where {identifier(name)} is not null group by all"
            for name in columns
        )
        for key, name, shape, count in con.execute(days).fetchall():
            for order in _orders_that_fit(shape):
                fits[key][name][order] += count
    return {key: _formats(fits[key], dataset, region) for key, region in regions.items()}


def _shape_sql(text: str) -> str:
    """SQL of what tells the form of a time stamp: its day, or which kind of number it is."""
    numbers = " ".join(
        f"when regexp_matches({text}, {literal(pattern)}) then {literal(order)}"
        for order, pattern in _NUMBERS.items()
    )
    day = f"regexp_extract({text}, {literal(_DATE_PART)})"
    return f"case when {day} <> '' then {day} {numbers} end"


def _formats(fits: dict[str, Counter[str]], dataset: Dataset, region: str) -> DateFormats:
    is_month_first = region in dataset.month_first_regions
    preferred = "month/day/year" if is_month_first else "day/month/year"
    orders = {
        name: max((preferred, *_ORDERS, *_NUMBERS), key=lambda order: found[order])
        for name, found in fits.items()
    }
    return DateFormats(orders, frozenset(name for name, found in fits.items() if not found))


def _orders_that_fit(shape: str | None) -> list[str]:
    if shape is None or shape in _NUMBERS:
        return [shape] if shape else []
    parts = re.split(r"[./-]", shape)
    fitting = []
    for order, (y, m, d) in {
        "year-month-day": (0, 1, 2),
        "day/month/year": (2, 1, 0),
        "month/day/year": (2, 0, 1),
    }.items():
        if len(parts[y]) != 4:
            continue
        try:
            datetime(int(parts[y]), int(parts[m]), int(parts[d]))
        except ValueError:
            continue
        fitting.append(order)
    return fitting


def cast_sql(column: Column, formats: DateFormats, timezone: str) -> str:
    """SQL that types the text of `column`; null where the text does not fit.

    Moments that name their own offset, and epoch times, become times of `timezone`.
    """
    text = identifier(column.name)
    if column.kind == "integer":
        whole = f"try_cast(split_part({text}, '.', 1) as integer)"
        return f"case when regexp_matches({text}, '^-?[0-9]+([.]0*)?$') then {whole} end"
    if column.type == "DOUBLE":
        return _share_sql(text)
    if column.kind == "number":
        return _money_sql(text)
    if column.kind == "boolean":
        folded = f"lower({text})"
        return (
            f"case when {folded} in ('true', 'yes', '1') then true "
            f"when {folded} in ('false', 'no', '0') then false end"
        )
    if column.kind in ("timestamp", "date"):
        stamp = _timestamp_sql(text, formats.orders[column.name], timezone)
        return f"cast({stamp} as date)" if column.kind == "date" else stamp
    return text


def _timestamp_sql(text: str, order: str, timezone: str) -> str:
    if order in _NUMBERS:
        number = f"try_cast(replace({text}, ',', '.') as double)"
        if order == "spreadsheet serial":
            stamp = f"timestamp '1899-12-30' + to_seconds(round({number} * 86400))"
        else:
            scale = 1000 if order == "epoch milliseconds" else 1
            stamp = f"timezone({literal(timezone)}, to_timestamp({number} / {scale}))"
        return f"case when regexp_matches({text}, {literal(_NUMBERS[order])}) then {stamp} end"
    pattern, day = _ORDERS[order]
    dashed = f"rtrim(regexp_replace({text}, {literal(_DATE_PART + '[T ]?')}, '\\1-\\2-\\3 '))"
    stamps = ", ".join(literal(f"{day} {clock}") for clock in _CLOCKS) + f", {literal(day)}"
    stamp = f"try_strptime({dashed}, [{stamps}])"
    if order == "year-month-day":
        moment = f"try_cast(regexp_replace({dashed}, '\\s+(Z|[+-])', '\\1') as timestamptz)"
        stamp = (
            f"case when regexp_matches({text}, {literal(_OFFSET)}) "
            f"then timezone({literal(timezone)}, {moment}) else {stamp} end"
        )
    return f"case when regexp_matches({text}, {literal(pattern)}) then {stamp} end"


def _share_sql(text: str) -> str:
    """A plain number, or one in percent: `0.45%`, `0,45 %` and `0.0045` are the same."""
    number = f"try_cast(replace(rtrim(rtrim({text}, '%')), ',', '.') as double)"
    scaled = f"case when right({text}, 1) = '%' then round({number} / 100, 12) else {number} end"
    return f"case when isfinite({number}) then {scaled} end"


def _money_sql(text: str) -> str:
    """Money in any country's way of writing: symbols and codes off, dot or comma as thousands.

    A single kind of separator is the thousands' when three digits follow each; with both kinds the
    last one is the decimals'. Letters between digits, as in `1.5E+06`, make no amount.
    """
    amount = (
        r"^(-?)(?:[^0-9.,()-]+[.]?)?(-?)\s*([0-9](?:[0-9.,'\x{a0}\x{202f} ]*[0-9])?)[^0-9()-]*$"
    )
    bare = (
        f"regexp_replace(regexp_replace({text}, {literal(amount)}, '\\1\\2\\3'), "
        r"'[''\x{a0}\x{202f} ]', '', 'g')"
    )
    typed = (
        "case when regexp_matches(x, '^-?[1-9][0-9]{0,2}([.][0-9]{3})+$') "
        "or regexp_matches(x, '^-?[1-9][0-9]{0,2}(,[0-9]{3})+$') "
        "then try_cast(regexp_replace(x, '[.,]', '', 'g') as decimal(18, 2)) "
        "when regexp_matches(x, '^-?([0-9]+|[1-9][0-9]{0,2}(,[0-9]{3})+)([.][0-9]+)?$') "
        "then try_cast(replace(x, ',', '') as decimal(18, 2)) "
        "when regexp_matches(x, '^-?([0-9]+|[1-9][0-9]{0,2}([.][0-9]{3})+),[0-9]+$') "
        "then try_cast(replace(replace(x, '.', ''), ',', '.') as decimal(18, 2)) end"
    )
    return f"list_transform([{bare}], lambda x: {typed})[1]"
