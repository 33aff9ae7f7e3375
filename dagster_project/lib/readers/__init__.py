"""Readers: a landing file in, DuckDB rows of text out, with only the columns of the contract.

Cells of columns that the contract does not keep never leave the parser, so personal data is not
stored even for a moment. CSV takes DuckDB's parallel reader; a file that it finds fault with is
read again, row by row, so that only the faulty rows are lost. XLSX goes through calamine, in a
process of its own.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb

from dagster_project.lib.contracts import Column, Dataset, load_datasets
from dagster_project.lib.errors import FileRefusedError, unreadable
from dagster_project.lib.readers.csv_files import MAX_CELL_CHARACTERS, open_csv
from dagster_project.lib.readers.header import (
    Header,
    OtherHeaderError,
    find_header,
    most_telling,
)
from dagster_project.lib.readers.json_lines import open_json_lines
from dagster_project.lib.readers.table import Table
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import BLANK_EDGES, MASKS, printable
from dagster_project.lib.workbooks import WorkbookReader

__all__ = [
    "SUFFIXES",
    "Table",
    "can_read",
    "clean_sql",
    "find_dataset",
    "open_tables",
    "read_tables",
    "read_text",
]

SUFFIXES = (".csv", ".xlsx", ".jsonl")


def can_read(path: Path) -> bool:
    """Whether the file is of a kind that `open_tables` knows, by its name."""
    return path.suffix.lower() in SUFFIXES


def open_tables(
    path: Path,
    dataset: Dataset,
    region: str,
    workbooks: WorkbookReader,
    shop_ids: Collection[str] = (),
) -> list[Table]:
    """The tables of a file that have the dataset's header: one, or one per sheet of a workbook.

    `region` is the shop's; it tells the code page of text that is not Unicode. Other sheets pass
    by, but not those called after one of `shop_ids`. Raises FileRefusedError, which says so when
    the file has the header of another dataset.
    """
    try:
        return _open(path, dataset, region, workbooks, shop_ids)
    except OtherHeaderError as refusal:
        other = find_dataset(path, region, workbooks, more_than=refusal.columns_found)
        if not other or dataset.name not in load_datasets():
            raise
        raise FileRefusedError(
            f"has the header of {other}, not of {dataset.name}; "
            f"move it to landing/<shop_id>/{other}/"
        ) from refusal


def find_dataset(path: Path, region: str, workbooks: WorkbookReader, *, more_than: int = 0) -> str:
    """The dataset of whose columns the file has most; blank when it has the header of none.

    Datasets of which it has no more columns than `more_than` do not count.
    """
    found: dict[str, int] = {}
    for name, dataset in load_datasets().items():
        try:
            tables = _open(path, dataset, region, workbooks)
        except (FileRefusedError, OSError):
            continue
        found[name] = max(len(table.header.positions) for table in tables)
    best = max(found, key=lambda name: found[name], default="")
    return best if found.get(best, 0) > more_than else ""


def _open(
    path: Path,
    dataset: Dataset,
    region: str,
    workbooks: WorkbookReader,
    shop_ids: Collection[str] = (),
) -> list[Table]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return [open_csv(path, dataset, region)]
    if suffix == ".xlsx":
        return _open_workbook(path, dataset, workbooks, shop_ids)
    if suffix == ".jsonl":
        return [open_json_lines(path, dataset)]
    raise FileRefusedError(f"is none of {', '.join(SUFFIXES)}; export it again in one of these")


def _open_workbook(
    path: Path, dataset: Dataset, workbooks: WorkbookReader, shop_ids: Collection[str]
) -> list[Table]:
    tables: list[Table] = []
    refusals: list[FileRefusedError] = []
    for sheet in workbooks.sheets(path):
        try:
            header = find_header(sheet.head, dataset)
        except FileRefusedError as error:
            if sheet.name.strip() in shop_ids and any(map(any, sheet.head)):
                shown = printable(sheet.name)
                raise FileRefusedError(f"has a sheet {shown!r} that {error}") from error
            refusals.append(error)
            continue
        tables.append(_sheet_table(path, sheet.name, header, workbooks))
    if not tables:
        raise most_telling(refusals or [FileRefusedError("has no sheet")])
    return tables


def _sheet_table(path: Path, sheet: str, header: Header, workbooks: WorkbookReader) -> Table:
    positions = sorted(set(header.positions.values()))
    return Table(
        path=path,
        header=header,
        batches=lambda: workbooks.rows(path, sheet, positions, header.width, header.row_number + 1),
        form=f"XLSX, sheet {printable(sheet)}",
        sheet=sheet,
    )


def read_tables(
    con: duckdb.DuckDBPyConnection, tables: Mapping[int, Table], dataset: Dataset, name: str
) -> dict[int, FileRefusedError]:
    """Make the temporary table `name` of the data rows of `tables`, as text.

    It has `_table` INTEGER (the key in `tables`), `_row_number` BIGINT (1 = the file's first row,
    as a spreadsheet shows it), `_problem` VARCHAR (why a row cannot be read, else null) and every
    column of the contract as trimmed VARCHAR, null when blank or when the file has no such column.
    Blank rows and the row of column descriptions are left out. Returns the refusals by key; a
    refused table has no rows.
    """
    columns = ", ".join(f"{identifier(c.name)} varchar" for c in dataset.columns)
    con.execute(
        f"create or replace temp table {identifier(name)} "
        f"(_table integer, _row_number bigint, _problem varchar, {columns})"
    )
    refusals: dict[int, FileRefusedError] = {}

    def form(key: int) -> tuple[object, ...]:
        table = tables[key]
        # a name that means something to DuckDB goes alone, escaped
        alone = key if table.delimiter is None or not _is_plain_path(table.path) else None
        return (table.delimiter, table.header.width, *table.header.positions.items(), alone)

    for _, group in itertools.groupby(tables, key=form):
        keys = list(group)
        if tables[keys[0]].delimiter is not None:
            with contextlib.suppress(duckdb.Error):
                _read_together(con, {key: tables[key] for key in keys}, dataset, name)
                continue
        for key in keys:
            try:
                _read_alone(con, key, tables[key], dataset, name, retry=len(keys) > 1)
            except (FileRefusedError, OSError) as error:
                con.execute(f"delete from {identifier(name)} where _table = ?", [key])
                refusals[key] = unreadable(error) if isinstance(error, OSError) else error
    names = ", ".join(identifier(c.name) for c in dataset.columns)
    con.execute(
        f"delete from {identifier(name)} where _problem is null and coalesce({names}) is null"
    )
    _drop_description_rows(con, dataset, name)
    return refusals


def read_text(
    con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset, name: str
) -> frozenset[str]:
    """Make the temporary table `name` of a file with one table; returns the columns it has."""
    with WorkbookReader() as workbooks:
        tables = open_tables(path, dataset, "", workbooks)
        if len(tables) > 1:
            sheets = ", ".join(printable(table.sheet or "") for table in tables)
            raise FileRefusedError(f"has {dataset.name} on several sheets ({sheets})")
        for refusal in read_tables(con, {0: tables[0]}, dataset, name).values():
            raise refusal
    return frozenset(tables[0].header.positions)


def _is_plain_path(path: Path) -> bool:
    return glob.escape(str(path)) == str(path) and "{" not in str(path)


def _read_together(
    con: duckdb.DuckDBPyConnection, tables: Mapping[int, Table], dataset: Dataset, name: str
) -> None:
    """CSV files of one form in one statement; raises duckdb.Error when any of them is faulty."""
    first = next(iter(tables.values()))
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(first.header.width))
    texts = _text_columns(dataset, first.header)
    options = (
        "header = false, auto_detect = false, delim = $delimiter, quote = '\"', escape = '\"', "
        "null_padding = false, hive_partitioning = false, "
        f"max_line_size = {8 * MAX_CELL_CHARACTERS}, columns = {{{columns}}}"
    )
    paths = [glob.escape(str(table.path)) for table in tables.values()]
    values: dict[str, object] = {"paths": paths, "delimiter": first.delimiter}
    if len(tables) == 1:
        con.execute(
            f"insert into {identifier(name)} select $key, _row_number, null, {texts} "
            "from (select row_number() over () as _row_number, * "
            f"from read_csv($paths, {options})) where _row_number > 1",
            values | {"key": next(iter(tables))},
        )
        return
    con.execute(
        "create or replace temp table _together as select row_number() over () as _row, "
        f"{texts}, _path from read_csv($paths, {options}, filename = '_path')",
        values,
    )
    con.execute(
        f"insert into {identifier(name)} "
        "select k._table, r._row - f._first + 1, null, r.* exclude (_row, _path) "
        "from _together as r "
        "join (select _path, min(_row) as _first from _together group by all) as f using (_path) "
        "join (select unnest($keys) as _table, unnest($paths) as _path) as k using (_path) "
        "where r._row > f._first",
        {"keys": list(tables), "paths": paths},
    )
    con.execute("drop table _together")


def _read_alone(
    con: duckdb.DuckDBPyConnection,
    key: int,
    table: Table,
    dataset: Dataset,
    name: str,
    *,
    retry: bool,
) -> None:
    if retry and table.delimiter is not None:
        with contextlib.suppress(duckdb.Error):
            _read_together(con, {key: table}, dataset, name)
            return
    texts = _text_columns(dataset, table.header)
    for batch in table.batches():
        con.register("_rows", batch)
        con.execute(
            f"insert into {identifier(name)} select ?, _row_number, _problem, {texts} from _rows",
            [key],
        )
        con.unregister("_rows")


def _drop_description_rows(con: duckdb.DuckDBPyConnection, dataset: Dataset, name: str) -> None:
    """Drop the row of column descriptions that some exports have under the header."""
    if dataset.description_row:
        first = identifier(dataset.columns[0].name)
        con.execute(
            f"delete from {identifier(name)} where lower({first}) in (select unnest($texts)) "
            "and (_table, _row_number) in "
            f"(select (_table, min(_row_number)) from {identifier(name)} group by _table)",
            {"texts": list(dataset.description_row)},
        )


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
