"""CSV files: comma, semicolon or tab, UTF-8 or UTF-16, or the code page of the shop's country."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from dagster_project.lib.cells import Cell
from dagster_project.lib.contracts import Dataset
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.readers.header import (
    HEADER_SEARCH_ROWS,
    Header,
    find_header,
    most_telling,
)
from dagster_project.lib.readers.table import Table, to_batches

MAX_CELL_CHARACTERS = 1 << 20
# As much is read together at most; larger files are read one by one.
CHUNK_BYTES = 64 << 20
_HEAD_BYTES = 1 << 20
_WORKBOOK = b"PK\x03\x04"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_UTF_8, _UTF_16 = "utf-8-sig", "utf-16"
# What Windows programs write where they do not write Unicode.
_CODE_PAGES = {"TH": "cp874", "VN": "cp1258"}
_OTHER_CODE_PAGE = "cp1252"
_MULTIBYTE = re.compile(
    rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
)
csv.field_size_limit(MAX_CELL_CHARACTERS)


def open_csv(path: Path, dataset: Dataset, region: str) -> Table:
    """The table of a CSV file of a shop in `region`; raises FileRefusedError."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise FileRefusedError("is empty; export it again")
    if head.startswith(_WORKBOOK):
        raise FileRefusedError("is an Excel workbook, not CSV; give its name the ending .xlsx")
    is_whole = len(head) < _HEAD_BYTES
    encoding = _UTF_16 if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else _UTF_8
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        if encoding == _UTF_16:
            raise FileRefusedError("is no whole UTF-16 text; export it again") from error
        encoding = find_encoding(path, region)
        text = codecs.getincrementaldecoder(encoding)("surrogateescape").decode(head)
    delimiter, header = _find_form(text, dataset)
    is_plain = (
        encoding == _UTF_8
        and header.row_number == 1
        and not _has_blank_line(path)
        and not _may_end_within_quotes(path, delimiter)
    )
    return Table(
        path=path,
        header=header,
        batches=lambda: _batches(path, encoding, delimiter, header, region),
        form=f"CSV, {_DELIMITERS[delimiter]}, {encoding.removesuffix('-sig')}",
        delimiter=delimiter if is_plain else None,
    )


def find_encoding(path: Path, region: str) -> str:
    """UTF-8, also with some bytes damaged, else the code page of the region.

    Of the bytes that are not ASCII, UTF-8 has all but the damaged ones in sequences of a form that
    text in a code page has by chance only (less than half of Thai, hardly any of the others).
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        well_formed = sum(m.end() - m.start() for m in _MULTIBYTE.finditer(content))
        ascii_only = bytes(range(128))
        high = 0
        while portion := content.read(_HEAD_BYTES):
            high += len(portion.translate(None, ascii_only))
        has_mark = content[:3] == codecs.BOM_UTF8
    if has_mark or well_formed >= 0.75 * high:
        return _UTF_8
    return _CODE_PAGES.get(region, _OTHER_CODE_PAGE)


def _find_form(text: str, dataset: Dataset) -> tuple[str, Header]:
    refusals = []
    for delimiter in _DELIMITERS:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            return delimiter, find_header(itertools.islice(rows, HEADER_SEARCH_ROWS), dataset)
        except csv.Error as error:
            refusals.append(FileRefusedError(f"is no CSV file ({error})"))
        except FileRefusedError as error:
            refusals.append(error)
    raise most_telling(refusals)


def _has_blank_line(path: Path) -> bool:
    """Whether an empty line may stand in the file; DuckDB passes over it without counting it."""
    last = b""
    with path.open("rb") as file:
        while portion := last + file.read(_HEAD_BYTES):
            if any(ends in portion for ends in (b"\n\n", b"\n\r\n", b"\r\r")):
                return True
            last = portion[-2:] if len(portion) > len(last) else b""
    return False


def _may_end_within_quotes(path: Path, delimiter: str) -> bool:
    """Whether a quote may be left open to the end of the file, swallowing its rows.

    DuckDB raises on that, but not where it reads many files at once, each by one thread; those are
    never larger than what is looked through here.
    """
    if path.stat().st_size > CHUNK_BYTES:
        return False
    content = path.read_bytes()
    edges = b"\r\n" + delimiter.encode()
    end = len(content)
    while (last := content.rfind(b'"', 0, end)) > 0:
        if content[last - 1 : last] != b'"':
            return content[last - 1] in edges
        end = last - 1  # a doubled quote, or both of an empty cell
    return last == 0


def _batches(
    path: Path, encoding: str, delimiter: str, header: Header, region: str
) -> Iterator[pa.RecordBatch]:
    if encoding == _UTF_8:  # so far only its head is known
        encoding = find_encoding(path, region)
    rows = enumerate(_rows(path, encoding, delimiter), start=1)
    return to_batches(itertools.islice(rows, header.row_number, None), header)


def _rows(path: Path, encoding: str, delimiter: str) -> Iterator[Sequence[Cell]]:
    """The rows of a file with faults; raises FileRefusedError where one swallows other rows.

    Quotes that are not doubled are taken as they stand, but within a line only: an opening quote
    that is never closed would make one cell of all that follows.
    """
    lines: list[str] = []  # of the row that is being read

    def noted(file: Iterable[str]) -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    errors = "strict" if encoding == _UTF_16 else "surrogateescape"
    try:
        with path.open(encoding=encoding, errors=errors, newline="") as file:
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
        raise FileRefusedError("is no whole UTF-16 text; export it again") from error
    except csv.Error as error:
        raise FileRefusedError(f"is no CSV file ({error})") from error
