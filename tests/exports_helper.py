"""Small exports, built cell by cell, and a data directory that takes them in."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.paths import DataDir

SHOPS = """shop_id,shop_name,region,timezone,currency
thai,Thai Shop,TH,Asia/Bangkok,THB
american,American Shop,US,America/New_York,USD
"""

Row = dict[str, Any]


def order(number: int = 1, **cells: Any) -> Row:
    """An order line as the platform writes it in Thailand; `cells` go by header or column name."""
    return {
        "Order ID": f"{576461413000000000 + number}",
        "SKU ID": f"{1729384756000000000 + number}",
        "Product Name": "Serum",
        "Created Time": "14/03/2025 10:00:00",
        "Delivered Time": "16/03/2025 17:30:00",
    } | {header.replace("_", " "): cell for header, cell in cells.items()}


def request(number: int = 1, **cells: Any) -> Row:
    """A line of the returns export."""
    return {
        "Return Order ID": f"{4035000000000000000 + number}",
        "Order ID": f"{576461413000000000 + number}",
        "SKU ID": f"{1729384756000000000 + number}",
        "Return Reason": "Poor quality",
        "Return Status": "Completed",
        "Time Requested": "20/03/2025 08:00:00",
    } | {header.replace("_", " "): cell for header, cell in cells.items()}


def review(number: int = 1, **cells: Any) -> Row:
    """A line of the reviews file."""
    return {
        "review_id": f"{7400000000000000000 + number}",
        "order_id": f"{576461413000000000 + number}",
        "rating": "5",
        "review_text": "lovely",
        "created_at": "2025-03-20T09:00:00",
    } | cells


def product(number: int = 1, **cells: Any) -> Row:
    """A line of the products file."""
    return {
        "product_id": f"{1700000000000000000 + number}",
        "sku_id": f"{1729384756000000000 + number}",
        "product_name": "Serum",
    } | cells


def complaint(number: int = 1, **cells: Any) -> Row:
    """A complaint about order `number`, made on 14 March 2025."""
    return {
        "complaint_id": f"{7_500_000_000_000_000_000 + number}",
        "order_id": f"{576_461_413_000_000_000 + number}",
        "complaint_type": "After Sale",
        "complaint_detail": "The pump is broken",
        "created_at": "2025-03-14T10:00:00",
        "status": "open",
    } | cells


def chat(number: int = 1, **cells: Any) -> Row:
    """A chat that a buyer began on 14 March 2025."""
    return {
        "conversation_id": f"{7_600_000_000_000_000_000 + number}",
        "started_at": "2025-03-14T10:00:00",
        "first_reply_at": "2025-03-14T11:30:00",
        "initiated_by": "buyer",
        "is_automated_reply": "false",
    } | cells


def platform_metric(number: int = 1, **cells: Any) -> Row:
    """What the platform showed on day `number` of March 2025."""
    return {
        "metric_date": f"2025-03-{number:02}",
        "metric": "nrr",
        "value": "0.45%",
        "window_days": "30",
    } | cells


def review_override(number: int = 1, **cells: Any) -> Row:
    """A person's word on review `number`."""
    return {
        "review_id": f"{7_400_000_000_000_000_000 + number}",
        "reason_code": "not_as_described",
        "decided_at": "2025-03-20",
        "decided_by": "Somchai",
        "why": "the colour is another",
    } | cells


MAKERS: dict[str, Callable[..., Row]] = {
    "orders": order,
    "returns": request,
    "reviews": review,
    "products": product,
    "complaints": complaint,
    "chats": chat,
    "platform_metrics": platform_metric,
    "review_overrides": review_override,
}


def table(rows: Sequence[Row]) -> list[list[Any]]:
    """The header, that is every key of any row, and the cells of each row under it."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    return [header, *([row.get(name, "") for name in header] for row in rows)]


def csv_text(cells: Iterable[Iterable[Any]], delimiter: str = ",", line_end: str = "\n") -> str:
    """The cells as CSV, with quotes where needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end).writerows(cells)
    return out.getvalue()


class _OneCellDimension(Worksheet):  # type: ignore[misc]
    def _write_dimension(self) -> None:
        self._xml_empty_tag("dimension", [("ref", "A1:A1")])


def xlsx_bytes(
    *sheets: Iterable[Sequence[Any]],
    first_row: int = 0,
    one_cell_dimension: bool = False,
    names: Sequence[str] = (),
) -> bytes:
    """A workbook of these sheets: str as text, numbers as numbers, datetime and date as dates."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        stamp = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for cells, name in itertools.zip_longest(sheets, names):
            kind = _OneCellDimension if one_cell_dimension else Worksheet
            sheet = book.add_worksheet(name, kind)
            for number, row in enumerate(cells, start=first_row):
                for column, cell in enumerate(row):
                    if isinstance(cell, datetime | date):
                        sheet.write_datetime(number, column, cell, stamp)
                    elif isinstance(cell, str):
                        sheet.write_string(number, column, cell)
                    else:
                        sheet.write(number, column, cell)
    return out.getvalue()


class Store:
    """A data directory with two shops, what is dropped into it and what ingest makes of it."""

    def __init__(self, root: Path, shops: str = SHOPS) -> None:
        self.data = DataDir(root)
        root.mkdir(parents=True, exist_ok=True)
        self.data.shops_csv.write_text(shops, encoding="utf-8")

    def drop(
        self,
        content: str | bytes | Sequence[Row],
        dataset: str = "products",
        name: str = "export-2025-03-31.csv",
        shop: str = "thai",
    ) -> Path:
        """Put a file, or rows as a CSV file, into the landing folder."""
        if not isinstance(content, str | bytes):
            content = csv_text(table(content))
        path = self.data.landing / shop / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(self) -> list[FileEntry]:
        """Ingest what is new and return its entries."""
        with Ledger.open(self.data.ledger) as ledger:
            return list(ingest(self.data, ledger).files)

    def load(self, content: str | bytes | Sequence[Row], *args: str, **kwargs: str) -> FileEntry:
        """Drop one file, ingest it, and return its entry."""
        self.drop(content, *args, **kwargs)
        (entry,) = self.ingest()
        return entry

    def load_among_good(self, dataset: str, *bad: Row) -> FileEntry:
        """Load rows of which some are bad, too few to refuse the file; the first is row 2."""
        good = [MAKERS[dataset](number) for number in range(1000, 1000 + 20 * len(bad))]
        return self.load([*bad, *good], dataset)

    def rows(self, dataset: str, *columns: str) -> list[Any]:
        """The raw store's rows in the order of the files; of one column the bare values."""
        files = self.data.raw / dataset / "*.parquet"
        if not list(files.parent.glob("*.parquet")):
            return []
        found = duckdb.sql(
            f"select {', '.join(columns)} from read_parquet('{files}') "
            "order by _exported_at, shop_id, _file_id, _row_number"
        ).fetchall()
        return [row[0] for row in found] if len(columns) == 1 else found

    def rejects(self) -> list[tuple[int, str, str]]:
        """Row number, column and rule of each rejected row that counts now."""
        return [
            (int(row), column, rule)
            for row, column, rule in self.ledger_rows(
                "select row_number, column_name, rule from current_rejected_rows order by all"
            )
        ]

    def current(self) -> list[FileEntry]:
        """The ledger's files as they count now."""
        with Ledger.open(self.data.ledger) as ledger:
            return ledger.current_files()

    def ledger_rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the ledger answers."""
        with Ledger.open(self.data.ledger) as ledger:
            return ledger.con.execute(query).fetchall()
