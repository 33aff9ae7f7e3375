"""Checking files before they are loaded: what each one is, and what a run would make of it."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.markup import escape
from rich.table import Table as Grid

from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.errors import ConfigurationError, unreadable
from dagster_project.lib.landing import LandingFile, exported_at, sha256
from dagster_project.lib.ledger import Reject
from dagster_project.lib.loader import Loader, Piece, batch_database
from dagster_project.lib.readers import find_dataset
from dagster_project.lib.shops import Shop
from dagster_project.lib.text import printable
from dagster_project.lib.workbooks import WorkbookReader

NO_SHOP = Shop("", "", "", "UTC", "")
_EXAMPLES = 3


@dataclass(frozen=True)
class CheckedFile:
    """What a run would make of one file.

    `dataset` is None where the file is like no known export. `pieces` are its tables, one but for
    workbooks of several shops; `refusals` say why it, or a table of it, would be set aside.
    """

    dataset: Dataset | None
    pieces: tuple[Piece, ...]
    rejects: tuple[Reject, ...]
    refusals: tuple[str, ...]


def check_file(path: Path, shops: dict[str, Shop], shop: Shop, dataset_name: str) -> CheckedFile:
    """Read a file as a run would, into a database that is thrown away.

    A blank `dataset_name` has it found out from the header. Raises ConfigurationError for a file
    that is not there or may not be read, and for the name of no dataset.
    """
    if not path.is_file():
        raise ConfigurationError(f"{printable(str(path))} is no file.")
    if dataset_name and dataset_name not in load_datasets():
        raise ConfigurationError(
            f"{printable(dataset_name)} is no dataset; these are {', '.join(load_datasets())}."
        )
    try:
        file_id = sha256(path)
    except OSError as error:
        raise ConfigurationError(f"{printable(str(path))} {unreadable(error)}.") from error
    with (
        tempfile.TemporaryDirectory() as folder,
        WorkbookReader() as workbooks,
        batch_database(Path(folder)) as con,
    ):
        name = dataset_name or find_dataset(path, shop.region, workbooks)
        if not name:
            refusal = "has the header of no dataset; name one with --dataset to see what it lacks"
            return CheckedFile(None, (), (), (f"{printable(path.name)} {refusal}",))
        loader = Loader(con, workbooks, "", datetime.now(UTC), shops | {shop.shop_id: shop}, [])
        loader.load([LandingFile(path, shop.shop_id, name, file_id)])
        return CheckedFile(
            dataset=load_datasets()[name],
            pieces=tuple(loader.pieces.values()),
            rejects=tuple(loader.rejects),
            refusals=tuple(e.message for e in loader.entries if e.status == "refused"),
        )


def place_in_landing(path: Path, landing: Path) -> tuple[str, str]:
    """The shop and the dataset that a file's folders name, as a run sees them; else blank."""
    try:
        shop, *folders, _ = path.resolve().relative_to(landing.resolve()).parts
    except ValueError:  # outside the landing folder, or right in it
        return "", ""
    return shop, "/".join(folders) or "."


def show_checked(checked: CheckedFile) -> Grid:
    """What a checked file is, for people; nothing of its cells."""
    grid = Grid.grid("What", "", padding=(0, 2), pad_edge=False)
    for refusal in checked.refusals:
        grid.add_row("[bold red]Set aside[/]", escape(refusal))
    grid.add_row("Dataset", checked.dataset.name if checked.dataset else "not known")
    for piece in checked.pieces:
        mine = [r for r in checked.rejects if r.shop_id == piece.shop.shop_id]
        for what, text in _lines(piece, load_datasets()[piece.file.dataset], mine):
            grid.add_row(what, escape(text))
    return grid


def _lines(piece: Piece, dataset: Dataset, rejects: list[Reject]) -> Iterator[tuple[str, str]]:
    entry, header, shop = piece.entry, piece.table.header, piece.shop
    yield (
        "Shop",
        f"{shop.shop_id} ({shop.region}, {shop.timezone})"
        if shop.shop_id
        else "not known; --shop names it, its country decides what is ambiguous",
    )
    yield "Form", piece.table.form
    found = f"{len(header.positions)} of the {len(dataset.columns)} columns that are read"
    place = f"; header in row {header.row_number}" if header.row_number > 1 else ""
    lacking = [c.name for c in dataset.columns if c.name not in header.positions]
    without = f"; without {', '.join(lacking)}" if lacking else ""
    yield "Layout", f"{found}{place}{without}"
    named = exported_at(piece.file.path.name)
    source = "by its name" if named else "by its latest event; its name has no time stamp"
    yield "Exported", f"{entry.exported_at} ({source})" if entry.exported_at else "not known"
    columns_by_form = defaultdict(list)
    for name, form in piece.formats.told.items() if piece.formats else ():
        columns_by_form[form].append(dataset.column(name).headers[0])
    for form, columns in columns_by_form.items():
        yield "Dates", f"{form} ({', '.join(columns)})"
    yield "Rows", f"{entry.rows_read:,} read, {entry.rows_rejected:,} rejected"
    rows_by_fault = defaultdict(list)
    for reject in rejects:
        rows_by_fault[reject.column_name, reject.message].append(reject.row_number)
    for (column_name, message), rows in sorted(rows_by_fault.items(), key=lambda f: -len(f[1])):
        examples = ", ".join(map(str, rows[:_EXAMPLES])) + (", …" if len(rows) > _EXAMPLES else "")
        where = f"{column_name}: " if column_name else ""
        yield "Rejected", f"{len(rows):,} × {where}{message} (row {examples})"
