"""Casts: text of an export into typed values, by SQL that yields null for what does not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import duckdb

from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.shops import Shop
from dagster_project.lib.sql import identifier, literal

_DATE_PART = r"^([0-9]{1,4})[./-]([0-9]{1,2})[./-]([0-9]{1,4})"
_YEAR_FIRST = r"^[0-9]{4}[./-][0-9]{1,2}[./-][0-9]{1,2}([T ]|$)"
_YEAR_LAST = r"^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4}( |$)"
_ORDERS = {
    "year-month-day": (_YEAR_FIRST, "%Y-%m-%d"),
    "day/month/year": (_YEAR_LAST, "%d-%m-%Y"),
    "month/day/year": (_YEAR_LAST, "%m-%d-%Y"),
}
_CLOCKS = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p", "%H:%M:%S.%f")
_OFFSET = r":[0-9]{2}(\.[0-9]+)?\s*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


@dataclass(frozen=True)
class DateFormats:
    """The date order of each time stamp column of one file, told by all its values together.

    `orders` maps a column to `day/month/year`, `month/day/year` or `year-month-day`.
    """

    orders: dict[str, str]


def find_date_formats(
    con: duckdb.DuckDBPyConnection, table: str, dataset: Dataset, shop: Shop
) -> DateFormats:
    """Choose for each time stamp column the order that fits most of its values.

    A date order belongs to the file and the column, never to the single value. When day first and
    month first fit alike, the region decides (metric definitions, exports: "Quirks").
    """
    month_first = shop.region in dataset.month_first_regions
    preferred = "month/day/year" if month_first else "day/month/year"
    columns = [c.name for c in dataset.columns if c.kind in ("timestamp", "date")]
    if not columns:
        return DateFormats({})
    days = " union all ".join(
        f"select {literal(name)}, regexp_extract({identifier(name)}, {literal(_DATE_PART)}), "
        f"count(*) from {identifier(table)} where {identifier(name)} is not null group by all"
        for name in columns
    )
    fits = {
        name: {"month/day/year": 0, "day/month/year": 0, "year-month-day": 0} for name in columns
    }
    for name, text, count in con.execute(days).fetchall():
        for order in _orders_that_fit(text):
            fits[name][order] += count
    orders = {
        name: max(found, key=lambda order: (found[order], order == preferred))
        for name, found in fits.items()
    }
    return DateFormats(orders)


def _orders_that_fit(text: str) -> list[str]:
    parts = re.split(r"[./-]", text)
    if len(parts) != 3:
        return []
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


def cast_sql(column: Column, formats: DateFormats, shop: Shop) -> str:
    """SQL that types the text of `column`; null where the text does not fit."""
    text = identifier(column.name)
    if column.kind == "integer":
        whole = f"try_cast(split_part({text}, '.', 1) as integer)"
        return f"case when regexp_matches({text}, '^-?[0-9]+([.]0*)?$') then {whole} end"
    if column.type == "DOUBLE":
        number = f"try_cast({text} as double)"
        return f"case when isfinite({number}) then {number} end"
    if column.kind == "number":
        return _money_sql(text)
    if column.kind == "boolean":
        return f"case lower({text}) when 'true' then true when 'false' then false end"
    if column.kind in ("timestamp", "date"):
        stamp = _timestamp_sql(text, formats.orders[column.name], shop.timezone)
        return f"cast({stamp} as date)" if column.kind == "date" else stamp
    return text


def _timestamp_sql(text: str, order: str, timezone: str) -> str:
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
