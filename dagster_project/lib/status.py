"""What each shop's data cover, and which exports to download now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.shops import Shop

# A first load reaches this far back: the window of 30 days, and as long again so that the orders
# delivered at its start are there.
_FIRST_LOAD_DAYS = 60


class File(Protocol):
    """What is asked of a file, by the ledger's entries and by a publication's `files`."""

    @property
    def shop_id(self) -> str: ...  # noqa: D102
    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def exported_at(self) -> datetime | None: ...  # noqa: D102


@dataclass(frozen=True)
class PublishedFile:
    """A file as a publication knows it."""

    shop_id: str
    dataset: str
    status: str
    exported_at: datetime | None


@dataclass(frozen=True)
class Coverage:
    """What a shop has of a dataset.

    `covered_until` is the shop day of the latest export, None without any; `refused` counts the
    files set aside. `download` are the first and last day to export now, None when nothing is due.
    """

    shop: Shop
    dataset: Dataset
    covered_until: date | None
    loaded: int
    refused: int
    download: tuple[date, date] | None


def coverage(shops: dict[str, Shop], entries: Iterable[File], now: datetime) -> list[Coverage]:
    """Every shop and dataset, by shop and need; `now` is a moment with a time zone.

    Due are the datasets that a rate needs, and those loaded before, when the shop's day has moved
    on. Their period goes back as far as records of the last export may have changed since.
    Source: metric definitions, "covered_until".
    """
    found: dict[tuple[str, str], list[File]] = {}
    for entry in entries:
        found.setdefault((entry.shop_id, entry.dataset), []).append(entry)
    datasets = sorted(load_datasets().values(), key=lambda d: not d.needed_for)
    return [
        _cover(shop, dataset, found.get((shop.shop_id, dataset.name), []), now)
        for shop in shops.values()
        for dataset in datasets
    ]


def _cover(shop: Shop, dataset: Dataset, entries: Sequence[File], now: datetime) -> Coverage:
    loaded = [e for e in entries if e.status == "loaded"]
    until = max((e.exported_at.date() for e in loaded if e.exported_at), default=None)
    today = now.astimezone(ZoneInfo(shop.timezone)).date()
    download = None
    if until is None and dataset.needed_for:
        download = (today - timedelta(days=_FIRST_LOAD_DAYS - 1), today)
    elif until is not None and until < today and dataset.revisit_days:
        download = (until - timedelta(days=dataset.revisit_days), today)
    refused = sum(e.status == "refused" for e in entries)
    return Coverage(shop, dataset, until, len(loaded), refused, download)


def show_status(found: Sequence[Coverage]) -> RenderableType:
    """Coverage and the exports that are due, for people."""
    table = Table(
        title="What is covered", title_justify="left", title_style="bold", box=SIMPLE_HEAD
    )
    for name in ("Shop", "Data", "Covered until", "Files", "Set aside", "Download now"):
        table.add_column(name, justify="right" if name in ("Files", "Set aside") else "left")
    previous = ""
    for c in found:
        if not (c.loaded or c.refused or c.dataset.needed_for):
            continue
        if previous and c.shop.shop_id != previous:
            table.add_section()
        table.add_row(
            escape(c.shop.shop_id) if c.shop.shop_id != previous else "",
            c.dataset.name,
            f"{c.covered_until}" if c.covered_until else "[bold red]never loaded[/]",
            str(c.loaded),
            f"[yellow]{c.refused}[/]" if c.refused else "",
            _due(c),
        )
        previous = c.shop.shop_id
    where = Table(title="Where", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in ("Data", "Needed for", "From", "Into"):
        where.add_column(name)
    due = {c.dataset.name: c.dataset for c in found if c.download}
    for dataset in due.values():
        where.add_row(
            dataset.name,
            dataset.needed_for,
            dataset.export_from,
            f"landing/<shop_id>/{dataset.name}/",
        )
    return Group(table, where) if due else table


def _due(c: Coverage) -> str:
    if c.download:
        return f"{c.download[0]} to {c.download[1]}"
    return "[green]up to date[/]" if c.covered_until else ""
