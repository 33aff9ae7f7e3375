"""JSON Lines: one record per line, with the contract's names or as the platform's API answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster_project.lib.cells import Cell
from dagster_project.lib.contracts import Dataset
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.readers.header import Header, lacks, missing_headers
from dagster_project.lib.readers.table import Table, to_batches
from dagster_project.lib.text import normalise_header

_MAX_LINE_BYTES = 8 << 20


def open_json_lines(path: Path, dataset: Dataset) -> Table:
    """The table of a JSON Lines file; raises FileRefusedError.

    A nested object's fields are called `<field>.<inner field>`; a list of objects, such as the
    items of a return, makes a row of each. Rows are numbered in that order, blank lines included.
    """
    columns = {normalise_header(h): c.name for c in dataset.columns for h in c.headers}
    names = [c.name for c in dataset.columns]
    found: set[str] = set()
    has_record = False
    for _, row in _rows(path, columns):
        has_record = has_record or row is not None
        found.update(row or ())
    if not has_record:
        if not _is_empty_answer(path):
            raise FileRefusedError("has no line that is a record; export it again")
        found = set(names)
    header = Header(0, len(names) + 1, {n: i for i, n in enumerate(names) if n in found})
    missing = missing_headers(dataset, header.positions)
    if missing:
        raise lacks(dataset, missing, len(header.positions))

    def cells() -> Iterator[tuple[int, list[Cell]]]:
        for number, row in _rows(path, columns):
            if row is None:
                # a lone surrogate is what `to_batches` knows as no text
                yield number, ["\ud800"] * len(names)
            else:
                yield number, [row.get(name) for name in names]

    return Table(path, header, lambda: to_batches(cells(), header), "JSON Lines")


def _rows(path: Path, columns: dict[str, str]) -> Iterator[tuple[int, dict[str, Cell] | None]]:
    """Each row's number and its cells by column name; None for a line that is no record."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES):
            if len(line) == _MAX_LINE_BYTES:
                raise FileRefusedError(f"has a line of more than {_MAX_LINE_BYTES >> 20} MiB")
            if not line.strip():
                number += 1
            for row in _rows_of_line(line, columns) if line.strip() else ():
                number += 1
                yield number, row


def _rows_of_line(line: bytes, columns: dict[str, str]) -> list[dict[str, Cell] | None]:
    try:
        rows = [
            row
            for record in _records(json.loads(line.decode("utf-8-sig")))
            for row in _flatten(record, "", columns)
        ]
    except (ValueError, RecursionError):
        return [None]
    return [_known(row, columns) for row in rows]


def _records(answer: Any) -> list[dict[str, Any]]:
    """One record, or those of a whole API answer `{"code": 0, "data": {"<records>": [...]}}`."""
    if not isinstance(answer, dict):
        raise ValueError("no object")
    if {"code", "data"} <= answer.keys():
        if answer["code"] not in (0, "0"):
            raise FileRefusedError("holds an answer that reports an error; fetch the records again")
        data = answer["data"] if isinstance(answer["data"], dict) else {}
        lists = [value for value in data.values() if isinstance(value, list)]
        if len(lists) < 2:
            return [item for found in lists for item in found if isinstance(item, dict)]
    return [answer]


def _is_empty_answer(path: Path) -> bool:
    """Whether the file holds an API answer without records: there were none, as in an empty CSV."""
    with path.open("rb") as file:
        line = next((line for line in file if line.strip()), b"")
    try:
        return _records(json.loads(line.decode("utf-8-sig"))) == []
    except (ValueError, RecursionError):
        return False


def _flatten(
    node: dict[str, Any], prefix: str, columns: dict[str, str]
) -> Iterator[dict[str, Cell]]:
    """The node's fields by dotted name, once for each item of a list that holds known columns."""
    plain: dict[str, Cell] = {}
    items: list[dict[str, Cell]] = []
    for name, value in node.items():
        path = normalise_header(f"{prefix}{name}")
        if isinstance(value, dict):
            for inner in _flatten(value, f"{path}.", columns):
                plain |= inner
        elif isinstance(value, list):
            if not items and any(known.startswith(f"{path}.") for known in columns):
                objects = (item for item in value if isinstance(item, dict))
                items = [i for item in objects for i in _flatten(item, f"{path}.", columns)]
        else:
            plain[path] = value
    for item in items or [{}]:
        yield plain | item


def _known(row: dict[str, Cell], columns: dict[str, str]) -> dict[str, Cell]:
    """Cells by column name; of several names of a column the contract's first one with a value."""
    known: dict[str, Cell] = {}
    for header, column in columns.items():
        if header in row and known.get(column) is None:
            known[column] = row[header]
    return known
