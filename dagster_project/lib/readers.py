"""Readers: a landing file in, a DuckDB table of text out, with only the columns of the contract.

Cells of columns that the contract does not keep never leave the parser, so personal data is not
stored even for a moment. CSV takes DuckDB's parallel reader; a file that it finds fault with is
read again, row by row, so that only the faulty rows are lost. XLSX goes through calamine.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import glob
import io
import itertools
import mmap
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from python_calamine import CalamineSheet, CalamineWorkbook

from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import BLANK_EDGES, BLANKS, MASKS, normalise_header, printable

_HEADER_SEARCH_ROWS = 20
_HEAD_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t")
_BATCH_ROWS = 50_000
_MAX_CELL_CHARACTERS = 1 << 20
_MAX_UNPACKED_BYTES = 2 << 30
_NOT_UTF_8 = "is not UTF-8 text; open it in a spreadsheet and save it as 'CSV UTF-8'"
csv.field_size_limit(_MAX_CELL_CHARACTERS)

Cell = str | int | float | bool | datetime | date | time | timedelta | None


@dataclass(frozen=True)
class Header:
    """Where a file's header stands and which column of the contract is which cell of a row."""

    row_number: int
    width: int
    positions: dict[str, int]


def can_read(path: Path) -> bool:
    """Whether the file is of a kind that `read_text` knows, by its name."""
    return path.suffix.lower() in (".csv", ".xlsx")


def read_text(
    con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset, table: str
) -> frozenset[str]:
    """Fill the temporary `table` with the file's data rows as text and return its column names.

    The table has `_row_number` BIGINT (1 = the file's first row, as a spreadsheet shows it),
    `_problem` VARCHAR (why a row cannot be read, else null) and every column of the contract as
    trimmed VARCHAR, null when blank or when the file has no such column. Blank rows are left out.
    The returned names are the columns that the file has. Raises FileRefusedError.
    """
    if not can_read(path):
        raise FileRefusedError("is neither .csv nor .xlsx; export it again in one of the two")
    if path.suffix.lower() == ".csv":
        header = _read_csv(con, path, dataset, table)
    else:
        header = _read_rows(con, _xlsx_rows(path, dataset), dataset, table)
    names = ", ".join(identifier(c.name) for c in dataset.columns)
    con.execute(
        f"delete from {identifier(table)} where _problem is null and coalesce({names}) is null"
    )
    return frozenset(header.positions)


def find_header(rows: Iterable[Sequence[Cell]], dataset: Dataset) -> Header:
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


def _read_csv(con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset, table: str) -> Header:
    encoding = _encoding(path)
    delimiter, header = _sniff_csv(path, encoding, dataset)
    if header.row_number == 1 and encoding != "utf-16" and not _has_blank_line(path):
        with contextlib.suppress(duckdb.Error):
            con.execute(
                f"create or replace temp table {identifier(table)} as "
                f"select _row_number, cast(null as varchar) as _problem, "
                f"{_text_columns(dataset, header)} "
                "from (select row_number() over () as _row_number, * "
                "from read_csv(?, header = false, auto_detect = false, delim = ?, "
                "quote = '\"', escape = '\"', null_padding = false, hive_partitioning = false, "
                f"max_line_size = {8 * _MAX_CELL_CHARACTERS}, "
                f"columns = {_csv_columns(header.width)})) where _row_number > 1",
                [glob.escape(str(path)), delimiter],
            )
            return header
    return _read_rows(con, _csv_rows(path, encoding, delimiter), dataset, table)


def _csv_columns(width: int) -> str:
    return "{" + ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width)) + "}"


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _has_blank_line(path: Path) -> bool:
    """Whether an empty line may stand in the file; DuckDB passes over it without counting it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(ends) >= 0 for ends in (b"\n\n", b"\n\r\n", b"\r\r"))


def _sniff_csv(path: Path, encoding: str, dataset: Dataset) -> tuple[str, Header]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        is_whole = len(head) < _HEAD_BYTES
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        raise FileRefusedError(_NOT_UTF_8) from error
    refusals = []
    for delimiter in _DELIMITERS:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            return delimiter, find_header(itertools.islice(rows, _HEADER_SEARCH_ROWS), dataset)
        except csv.Error as error:
            refusals.append(FileRefusedError(f"is no CSV file ({error})"))
        except FileRefusedError as error:
            refusals.append(error)
    raise _most_telling(refusals)


def _most_telling(refusals: list[FileRefusedError]) -> FileRefusedError:
    return max(refusals, key=lambda e: "lacks" in str(e) or "twice" in str(e))


def _csv_rows(path: Path, encoding: str, delimiter: str) -> Iterator[Sequence[Cell]]:
    """The rows of a file with faults; raises FileRefusedError where one swallows other rows.

    Quotes that are not doubled are taken as they stand, but within a line only: an opening quote
    that is never closed would make one cell of all that follows.
    """
    lines: list[str] = []  # of the row that is being read

    def noted(file: Iterable[str]) -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(noted(file), delimiter=delimiter, strict=True)
            for row_number in itertools.count(1):
                lines.clear()
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    row, *rest = csv.reader([*lines, ""], delimiter=delimiter)
                    if len(lines) > 1 or not rest:
                        raise FileRefusedError(
                            f"has a quote in row {row_number} that is not closed, so that the rows "
                            "after it cannot be told apart; export it again"
                        ) from error
                if row is None:
                    return
                yield row
    except UnicodeDecodeError as error:
        raise FileRefusedError(_NOT_UTF_8) from error
    except csv.Error as error:
        raise FileRefusedError(f"is no CSV file ({error})") from error


def _xlsx_rows(path: Path, dataset: Dataset) -> Iterator[Sequence[Cell]]:
    """The rows of the one sheet that has the dataset's header; raises FileRefusedError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise FileRefusedError("unpacks to more than 2 GiB")
        workbook = CalamineWorkbook.from_path(str(path))
        found: dict[str, CalamineSheet] = {}
        refusals: list[FileRefusedError] = []
        for name in workbook.sheet_names:
            sheet = workbook.get_sheet_by_name(name)
            try:
                find_header(itertools.islice(sheet.iter_rows(), _HEADER_SEARCH_ROWS), dataset)
            except FileRefusedError as error:
                refusals.append(error)
            else:
                found[printable(name)] = sheet
    except FileRefusedError:
        raise
    except Exception as error:  # calamine's and zipfile's errors share no base class
        raise FileRefusedError(
            f"is no readable XLSX workbook ({type(error).__name__}); export it again"
        ) from error
    if len(found) > 1:
        raise FileRefusedError(
            f"has {dataset.name} on several sheets ({', '.join(found)}); "
            "save each as a file of its own, under the shop it belongs to"
        )
    if not found:
        raise _most_telling(refusals or [FileRefusedError("has no sheet")])
    (sheet,) = found.values()
    return sheet.iter_rows()


def _read_rows(
    con: duckdb.DuckDBPyConnection, rows: Iterator[Sequence[Cell]], dataset: Dataset, table: str
) -> Header:
    head = list(itertools.islice(rows, _HEADER_SEARCH_ROWS))
    header = find_header(head, dataset)
    data = enumerate(itertools.chain(head[header.row_number :], rows), start=header.row_number + 1)
    kept = sorted(header.positions.values())
    schema = pa.schema(
        [("_row_number", pa.int64()), ("_problem", pa.string())]
        + [(f"c{i}", pa.string()) for i in kept]
    )
    selected = f"_row_number, _problem, {_text_columns(dataset, header)}"
    con.register("_rows", schema.empty_table())
    con.execute(f"create or replace temp table {identifier(table)} as select {selected} from _rows")
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


def _problem(row: Sequence[Cell], width: int, kept: list[int]) -> str | None:
    if not _is_blank(row[width:]):
        return "too_many_cells"
    if len(row) <= kept[-1] and not _is_blank(row):
        return "too_few_cells"
    return None


def _is_blank(cells: Sequence[Cell]) -> bool:
    return not any(str(cell).strip(BLANKS) for cell in cells if cell is not None)


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
    """SQL of a cell as kept: trimmed, null when blank; text in NFC, masked where classed so."""
    value = f"regexp_replace({cell}, {literal(BLANK_EDGES)}, '', 'g')"
    if column.kind == "string" and not column.is_identifier:
        value = f"nfc_normalize({value})"
    if column.classification == "masked":
        for pattern, mask in MASKS:
            value = f"regexp_replace({value}, {literal(pattern)}, {literal(mask)}, 'g')"
    return f"nullif({value}, '')"
