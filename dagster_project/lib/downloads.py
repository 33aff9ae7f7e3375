"""Rows to take away, as CSV or as a workbook; cells that look like formulas stay text."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter

from dagster_project.lib.errors import ConfigurationError, writing_to
from dagster_project.lib.publications import Version
from dagster_project.lib.questions import publication
from dagster_project.lib.text import printable, spreadsheet_safe

Row = Mapping[str, Any]
CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_LONGEST = 32_767  # characters in a cell of a workbook
_MOST_ROWS = 1_048_575  # of a sheet, beneath its header


def cell_text(value: object) -> str:
    """A value as text that reads the same everywhere: nothing, true, 2026-10-31."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def as_csv(names: Sequence[str], rows: Sequence[Row]) -> bytes:
    """The named columns of rows as CSV that spreadsheets read as it is, in UTF-8 with its mark."""
    out = io.StringIO()
    # quoted texts stay whole where semicolons and commas both part cells
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(row[name]) for name in names])
    return out.getvalue().encode("utf-8-sig")


def as_workbook(names: Sequence[str], rows: Sequence[Row]) -> bytes:
    """The same as XLSX: numbers and days are such; order numbers are text, to the last digit."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        page = book.add_worksheet("rows")  # a shop's or table's name may be none for a sheet
        bold = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        # not even when somebody edits it does such a cell become a formula
        quoted = book.add_format({"quote_prefix": True})
        for column, name in enumerate(names):
            page.write_string(0, column, name, bold)
        for line, row in enumerate(rows, start=1):
            for column, name in enumerate(names):
                value = row[name]
                if value is None:
                    continue
                if isinstance(value, bool):
                    page.write_boolean(line, column, value)
                elif isinstance(value, date) and not isinstance(value, datetime):
                    page.write_datetime(line, column, value, day)
                elif isinstance(value, str | datetime):
                    text = cell_text(value)[:_LONGEST]
                    # written as text outright: nothing becomes a formula, a link or a number
                    is_safe = spreadsheet_safe(text) == text
                    page.write_string(line, column, text, None if is_safe else quoted)
                else:
                    page.write_number(line, column, float(value))
        page.freeze_panes(1, 0)
        page.autofit()
    return out.getvalue()


def write_table(version: Version, table: str, shop_id: str | None, out: Path) -> int:
    """Write a published table, or one shop's rows of it, to a .csv or .xlsx; count the rows.

    Raises ConfigurationError when the table is none, not by shop, or has more rows than a sheet
    holds, when the shop is none that was published, for another kind of file, and where nothing can
    be written.
    """
    if out.suffix not in (".csv", ".xlsx"):
        raise ConfigurationError(f"{out} must end in .csv or .xlsx.")
    with publication(version) as con:
        tables = [name for (name,) in con.execute("show tables").fetchall()]
        if table not in tables:
            raise ConfigurationError(f"The tables are {', '.join(tables)}.")
        relation = con.table(table)
        if shop_id is not None:
            if "shop_id" not in relation.columns:
                raise ConfigurationError(f"{table} is not by shop.")
            _require_shop(con, shop_id)
            relation = relation.filter(
                duckdb.ColumnExpression("shop_id") == duckdb.ConstantExpression(shop_id)
            )
        found = relation.limit(_MOST_ROWS + 1).fetchall()
        names = relation.columns
    if len(found) > _MOST_ROWS:
        raise ConfigurationError(
            f"{table} has more rows than a sheet holds; give --shop, or read its Parquet file."
        )
    rows = [dict(zip(names, row, strict=True)) for row in found]
    is_csv = out.suffix == ".csv"
    write_whole(out, as_csv(names, rows) if is_csv else as_workbook(names, rows))
    return len(rows)


def _require_shop(con: duckdb.DuckDBPyConnection, shop_id: str) -> None:
    rows = con.execute(
        "select shop_id from shop_metrics_daily union select shop_id from files order by 1"
    ).fetchall()
    shops = [shop for (shop,) in rows]
    if shop_id not in shops:
        raise ConfigurationError(
            f"{printable(shop_id)} is no shop of what is published; these are {', '.join(shops)}."
        )


def write_whole(out: Path, content: bytes) -> None:
    """Write a file aside and rename it: what was there gives way to the whole of it, or stays.

    Raises ConfigurationError where nothing can be written to `out`.
    """
    aside = out.with_name(f".{os.getpid()}-{out.name}")
    with writing_to(out):
        try:
            aside.write_bytes(content)
            aside.replace(out)
        finally:
            aside.unlink(missing_ok=True)


def _csv_cell(value: object) -> object:
    # a negative number is led by a sign too, and is none of anybody's text
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value
    return spreadsheet_safe(cell_text(value))
