"""A table of a file: its header, and its rows as text in portions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dagster_project.lib.cells import Cell, as_text, row_problem
from dagster_project.lib.readers.header import Header

_BATCH_ROWS = 50_000


@dataclass(frozen=True)
class Table:
    """One table of one file, not yet read.

    `batches` gives its data rows with the columns `_row_number` int64, `_problem` string (why a
    row cannot be read, else null) and `c<i>` string for each position of the header; it raises
    FileRefusedError. `delimiter` is set where DuckDB's own CSV reader may be tried first. `sheet`
    is the name of the workbook's sheet, else null; `form` says in words how the file is written.
    """

    path: Path
    header: Header
    batches: Callable[[], Iterator[pa.RecordBatch]]
    form: str
    delimiter: str | None = None
    sheet: str | None = None


def to_batches(
    rows: Iterable[tuple[int, Sequence[Cell]]], header: Header
) -> Iterator[pa.RecordBatch]:
    """Numbered rows as `Table.batches` gives them."""
    kept = sorted(set(header.positions.values()))
    schema = pa.schema(
        [("_row_number", pa.int64()), ("_problem", pa.string())]
        + [(f"c{i}", pa.string()) for i in kept]
    )
    rows = iter(rows)
    while batch := list(itertools.islice(rows, _BATCH_ROWS)):
        numbers = [number for number, _ in batch]
        problems = [row_problem(row, kept[-1] + 1, header.width) for _, row in batch]
        cells = [[as_text(row[i]) if i < len(row) else None for _, row in batch] for i in kept]
        try:
            yield pa.record_batch([numbers, problems, *cells], schema=schema)
        except UnicodeEncodeError:
            for row in range(len(batch)):
                if any(_is_undecodable(column[row]) for column in cells):
                    problems[row] = "not_text"
                    for column in cells:
                        column[row] = None
            yield pa.record_batch([numbers, problems, *cells], schema=schema)


def _is_undecodable(cell: str | None) -> bool:
    """Whether the cell holds what stands for bytes that are no text."""
    return cell is not None and any("\ud800" <= character <= "\udfff" for character in cell)
