"""Cells of a row, before they are text: what every reader makes of them alike.

Also imported by the child process that reads workbooks, so it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from dagster_project.lib.text import BLANKS

Cell = str | int | float | bool | datetime | date | time | timedelta | None


def as_text(cell: Cell) -> str | None:
    """A cell as text; dates in ISO form, numbers as a person would write them."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "seconds")
    if isinstance(cell, float):
        # Excel keeps 15 digits; a longer number has lost some and must not look whole
        return f"{cell:.0f}" if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15G}"
    return str(cell)


def row_problem(row: Sequence[Cell], needed: int, width: int) -> str | None:
    """Why a row cannot be read: cells beyond the header's `width`, or fewer than `needed`."""
    if len(row) > width and not _is_blank(row[width:]):
        return "too_many_cells"
    if len(row) < needed and not _is_blank(row):
        return "too_few_cells"
    return None


def _is_blank(cells: Sequence[Cell]) -> bool:
    return not any(str(cell).strip(BLANKS) for cell in cells if cell is not None)
