"""The header of a file: where it stands, and which column of the contract is which cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dagster_project.lib.cells import Cell
from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.text import normalise_header

HEADER_SEARCH_ROWS = 20
_MAX_COLUMNS = 2_000


class OtherHeaderError(FileRefusedError):
    """A file without the header of the dataset that it is read as; it may have another's.

    `columns_found` counts the dataset's columns that it has all the same.
    """

    def __init__(self, message: str, columns_found: int) -> None:
        super().__init__(message)
        self.columns_found = columns_found


@dataclass(frozen=True)
class Header:
    """Row number (1 = the file's first), number of cells, and the cell of each column found."""

    row_number: int
    width: int
    positions: dict[str, int]


def find_header(rows: Iterable[Sequence[Cell]], dataset: Dataset) -> Header:
    """The header among the first rows: the first one that has every required column.

    Raises FileRefusedError naming what is missing from the best candidate, or a name that stands
    there twice.
    """
    best_missing: list[str] | None = None
    columns_found = 0
    for row_number, row in enumerate(rows, start=1):
        if len(row) > _MAX_COLUMNS:
            raise FileRefusedError(f"has more than {_MAX_COLUMNS} columns; no export has so many")
        names = [normalise_header(str(cell)) if cell is not None else "" for cell in row]
        positions: dict[str, int] = {}
        twice: str | None = None
        for column in dataset.columns:
            for wanted in map(normalise_header, column.headers):
                found = [i for i, name in enumerate(names) if name == wanted]
                if found:
                    positions.setdefault(column.name, found[0])
                if len(found) > 1:
                    twice = column.headers[0]
        missing = missing_headers(dataset, positions)
        if not missing:
            if twice:
                raise FileRefusedError(f"has the column {twice!r} twice; remove one of them")
            return Header(row_number, len(names), positions)
        if positions and (best_missing is None or len(missing) < len(best_missing)):
            best_missing, columns_found = missing, len(positions)
    if best_missing is None:
        raise OtherHeaderError(
            f"has no header of an export of {dataset.name} in its first {HEADER_SEARCH_ROWS} rows",
            columns_found,
        )
    raise lacks(dataset, best_missing, columns_found)


def missing_headers(dataset: Dataset, positions: dict[str, int]) -> list[str]:
    """The headers that a file of the dataset must have and this one lacks."""
    return [c.headers[0] for c in dataset.columns if _is_missing(c, positions)]


def lacks(dataset: Dataset, missing: list[str], columns_found: int) -> OtherHeaderError:
    """The refusal of a file without the `missing` headers but with some of the columns."""
    return OtherHeaderError(
        f"lacks the column {', '.join(repr(m) for m in missing)}; "
        f"is it really an export of {dataset.name}?",
        columns_found,
    )


def most_telling(refusals: list[FileRefusedError]) -> FileRefusedError:
    """Of several tries to find a header, the refusal that came closest."""
    return max(refusals, key=lambda e: any(w in str(e) for w in ("lacks", "twice", "columns")))


def _is_missing(column: Column, positions: dict[str, int]) -> bool:
    if not column.required_header or column.name in positions:
        return False
    return column.fallback is None or column.fallback not in positions
