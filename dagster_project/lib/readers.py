"""Readers: a landing file in, a DuckDB table of text out, with only the columns of the contract.

Cells of columns that the contract does not keep never leave the parser, so personal data is not
stored even for a moment. CSV takes DuckDB's parallel reader; a file that it finds fault with is
read again, row by row, so that only the faulty rows are lost. XLSX goes through calamine.
"""

from __future__ import annotations

import csv
import itertools
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from python_calamine import CalamineWorkbook

from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import BLANKS, MASKS, normalise_header

_HEADER_SEARCH_ROWS = 20
_HEAD_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t")
_BATCH_ROWS = 50_000
_MAX_CELL_CHARACTERS = 1 << 20
_MAX_UNPACKED_BYTES = 2 << 30

Cell = str | int | float | bool | datetime | date | time | timedelta | None


@dataclass(frozen=True)
class Header:
    """Where a file's header stands and which column of the contract is which cell of a row."""

    row_number: int
    width: int
    positions: dict[str, int]


def read_text(
    con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset, table: str
) -> frozenset[str]:
    """Fill the temporary `table` with the file's data rows as text and return its column names.

    The table has `_row_number` BIGINT (1 = the file's first row), `_problem` VARCHAR (why a row
    cannot be read, else null) and every column of the contract as trimmed VARCHAR, null when blank
    or when the file has no such column. The returned names are the columns that the file has.
    Raises FileRefusedError.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        header = _read_csv(con, path, dataset, table)
    elif suffix == ".xlsx":
        header = _read_rows(con, _xlsx_rows(path, dataset), dataset, table)
    else:
        raise FileRefusedError("is neither .csv nor .xlsx; export it again in one of the two")
    return frozenset(header.positions)


def find_header(rows: Iterable[list[Cell]], dataset: Dataset) -> Header:
    """The header among the first rows: the first one that has every required column.

    Raises FileRefusedError naming what is missing from the best candidate, or a name that stands
    there twice.
    """
    best_missing: list[str] | None = None
    for row_number, row in enumerate(rows, start=1):
        names = [normalise_header(str(cell)) if cell is not None else "" for cell in row]
        positions: dict[str, int] = {}
        twice: str | None = None
        for column in dataset.columns:
            wanted = {normalise_header(h) for h in column.headers}
            found = [i for i, name in enumerate(names) if name in wanted]
            if found:
                positions[column.name] = found[0]
            if len(found) > 1:
                twice = column.headers[0]
        missing = [c.headers[0] for c in dataset.columns if _lacks(c, positions)]
        if not missing:
            if twice:
                raise FileRefusedError(f"has the column {twice!r} twice; remove one of them")
            return Header(row_number, len(names), positions)
        if positions and (best_missing is None or len(missing) < len(best_missing)):
            best_missing = missing
    if best_missing is None:
        raise FileRefusedError(
            f"has no header of a {dataset.name} export in its first {_HEADER_SEARCH_ROWS} rows"
        )
    raise FileRefusedError(
        f"lacks the column {', '.join(repr(m) for m in best_missing)}; "
        f"is it really a {dataset.name} export?"
    )


def _lacks(column: Column, positions: dict[str, int]) -> bool:
    if not column.required_header or column.name in positions:
        return False
    return column.fallback is None or column.fallback not in positions


def _read_csv(
    con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset, table: str
) -> Header:
    delimiter, header, lines_before_data = _sniff_csv(path, dataset)
    try:
        con.execute(
            f"create or replace temp table {identifier(table)} as "
            f"select row_number() over () + {header.row_number} as _row_number, "
            f"cast(null as varchar) as _problem, {_text_columns(dataset, header)} "
            "from read_csv(?, header = false, auto_detect = false, skip = ?, delim = ?, "
            "quote = '\"', escape = '\"', null_padding = false, "
            f"max_line_size = {8 * _MAX_CELL_CHARACTERS}, columns = {_csv_columns(header.width)})",
            [str(path), lines_before_data, delimiter],
        )
    except duckdb.Error:
        return _read_rows(con, _csv_rows(path, delimiter), dataset, table)
    return header


def _csv_columns(width: int) -> str:
    return "{" + ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width)) + "}"


def _sniff_csv(path: Path, dataset: Dataset) -> tuple[str, Header, int]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
        head = head.rsplit(b"\n", 1)[0] if len(head) == _HEAD_BYTES else head
    try:
        lines = head.decode(encoding).splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise FileRefusedError(
            "is not UTF-8 text; open it in a spreadsheet and save it as 'CSV UTF-8'"
        ) from error
    refusals = []
    for delimiter in _DELIMITERS:
        reader = csv.reader(lines, delimiter=delimiter)
        rows: list[list[Cell]] = []
        line_ends: list[int] = []
        try:
            for row in itertools.islice(reader, _HEADER_SEARCH_ROWS):
                rows.append(list(row))
                line_ends.append(reader.line_num)
            header = find_header(rows, dataset)
        except csv.Error as error:
            refusals.append(FileRefusedError(f"is no CSV file ({error})"))
        except FileRefusedError as error:
            refusals.append(error)
        else:
            return delimiter, header, line_ends[header.row_number - 1]
    raise max(refusals, key=lambda e: "lacks" in str(e) or "twice" in str(e))


def _csv_rows(path: Path, delimiter: str) -> Iterator[list[Cell]]:
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        with path.open(encoding=encoding, newline="") as file:
            for row in csv.reader(file, delimiter=delimiter):
                yield list(row)
    except UnicodeDecodeError as error:
        raise FileRefusedError(
            "is not UTF-8 text; open it in a spreadsheet and save it as 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise FileRefusedError(f"is no CSV file ({error})") from error


def _xlsx_rows(path: Path, dataset: Dataset) -> Iterator[list[Cell]]:
    """The rows of the first sheet that has the dataset's header; raises FileRefusedError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise FileRefusedError("unpacks to more than 2 GiB")
        workbook = CalamineWorkbook.from_path(str(path))
        refusal: FileRefusedError | None = None
        for name in workbook.sheet_names:
            sheet = workbook.get_sheet_by_name(name)
            above: list[list[Cell]] = [[] for _ in range(sheet.start[0] if sheet.start else 0)]
            head = above + [list(r) for r in itertools.islice(sheet.iter_rows(), _HEADER_SEARCH_ROWS)]
            try:
                find_header(head, dataset)
            except FileRefusedError as error:
                refusal = refusal or error
                continue
            return itertools.chain(above, (list(row) for row in sheet.iter_rows()))
    except FileRefusedError:
        raise
    except Exception as error:  # calamine's and zipfile's errors share no base class
        raise FileRefusedError(
            f"is no readable XLSX workbook ({type(error).__name__}); export it again"
        ) from error
    raise refusal or FileRefusedError("has no sheet with rows")


def _read_rows(
    con: duckdb.DuckDBPyConnection, rows: Iterator[list[Cell]], dataset: Dataset, table: str
) -> Header:
    head = list(itertools.islice(rows, _HEADER_SEARCH_ROWS))
    header = find_header(head, dataset)
    data = enumerate(
        itertools.chain(head[header.row_number :], rows), start=header.row_number + 1
    )
    kept = sorted(header.positions.values())
    schema = pa.schema(
        [("_row_number", pa.int64()), ("_problem", pa.string())]
        + [(f"c{i}", pa.string()) for i in kept]
    )
    selected = f"_row_number, _problem, {_text_columns(dataset, header)}"
    con.register("_rows", schema.empty_table())
    con.execute(
        f"create or replace temp table {identifier(table)} as select {selected} from _rows"
    )
    while batch := list(itertools.islice(data, _BATCH_ROWS)):
        columns: list[list[object]] = [
            [number for number, _ in batch],
            [_problem(row, header.width, kept) for _, row in batch],
        ]
        columns += [[_text(row[i]) if i < len(row) else None for _, row in batch] for i in kept]
        arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
        con.register("_rows", pa.table(arrays, schema=schema))
        con.execute(f"insert into {identifier(table)} select {selected} from _rows")
    con.unregister("_rows")
    return header


def _problem(row: list[Cell], width: int, kept: list[int]) -> str | None:
    if any(cell not in (None, "") for cell in row[width:]):
        return "too_many_cells"
    if 0 < len(row) <= kept[-1] and any(cell not in (None, "") for cell in row):
        return "too_few_cells"
    return None


def _text(cell: Cell) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "seconds")
    if isinstance(cell, float):
        # Excel keeps 15 digits; a longer number has lost some and must not look whole
        return f"{cell:.0f}" if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15G}"
    return str(cell)


def _text_columns(dataset: Dataset, header: Header) -> str:
    expressions = []
    for column in dataset.columns:
        position = header.positions.get(column.name)
        value = "cast(null as varchar)" if position is None else clean_sql(column, f"c{position}")
        expressions.append(f"{value} as {identifier(column.name)}")
    return ", ".join(expressions)


def clean_sql(column: Column, cell: str) -> str:
    """SQL of a cell as it is kept: trimmed, null when blank; text in NFC, masked where classed so."""
    value = f"trim({cell}, {literal(BLANKS)})"
    if column.kind == "string" and not column.is_identifier:
        value = f"nfc_normalize({value})"
    if column.classification == "masked":
        for pattern, mask in MASKS:
            value = f"regexp_replace({value}, {literal(pattern)}, {literal(mask)}, 'g')"
    return f"nullif({value}, '')"
