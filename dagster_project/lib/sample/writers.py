"""Writes rows to CSV and XLSX files, row by row and with the same bytes every time."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

ORDERS_SHEET: Final = "OrderSKUList"


class _SellerCenterSheet(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types here
    """A sheet that, like the platform's own, says it spans one cell."""

    def _write_dimension(self) -> None:
        self._xml_empty_tag("dimension", [("ref", "A1:A1")])


def write_csv(
    path: Path, rows: Iterable[Sequence[str]], *, has_bom: bool = False, line_end: str = "\n"
) -> None:
    """Write a UTF-8 CSV file; only cells that need quotes have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = "utf-8-sig" if has_bom else "utf-8"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator=line_end).writerows(rows)


def write_xlsx(path: Path, rows: Iterable[Sequence[str]], *, created_at: datetime) -> None:
    """Write a workbook of one sheet, every cell as text; `created_at` goes into its properties."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as workbook:
        workbook.set_properties({"created": created_at})
        sheet = workbook.add_worksheet(ORDERS_SHEET, _SellerCenterSheet)
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                if text:
                    sheet.write_string(number, column, text)
