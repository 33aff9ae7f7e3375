"""The files of a digest: one page per shop and one for all, each as HTML and as text."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from dagster_project.lib.attention import concerns
from dagster_project.lib.database import connect
from dagster_project.lib.digest.figures import WEEK_DAYS, read_figures
from dagster_project.lib.digest.pictures import Pictures
from dagster_project.lib.digest.render import as_html, as_text
from dagster_project.lib.digest.words import Page, all_shops_page, shop_page
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.publications import Version
from dagster_project.lib.shops import Shop
from dagster_project.lib.status import PublishedFile, coverage

ALL_SHOPS = "all-shops"
_SHOPS_FOLDER = "shops"
_BUILDING, _OLD = ".building-", ".old-"


def write_digest(
    version: Version, shops: Mapping[str, Shop], now: datetime, today: date, out: Path
) -> list[Path]:
    """Write the digest of a publication into the new folder `out`; returns its files.

    `all-shops.html` and `.txt`, and the same for each shop in `shops/`. `shops` give the names and
    the exports that are due at `now`, a moment with a time zone; `today` is the day it is called
    by. The folder is written aside and gets its name once it is whole; a digest of that name gives
    way. Raises ConfigurationError when `out` is there and is no digest.
    """
    if out.exists() and not (out / f"{ALL_SHOPS}.txt").is_file():
        raise ConfigurationError(f"{out} is there and is no digest; name a new folder.")
    with connect(version.folder / "marts.duckdb", read_only=True) as marts:
        pages = _pages(marts, shops, now, today)
    aside = out.with_name(f"{_BUILDING}{out.name}")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / _SHOPS_FOLDER).mkdir(parents=True)
    names = []
    for name, page in pages.items():
        for suffix, text in ((".html", as_html(page)), (".txt", as_text(page))):
            path = aside / f"{name}{suffix}"
            path.write_text(text, encoding="utf-8")
            names.append(path.relative_to(aside))
    old = out.with_name(f"{_OLD}{out.name}")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    aside.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return [out / name for name in names]


def litter_of(folder: Path) -> list[Path]:
    """What a process that was killed while it wrote a digest left in a folder of digests."""
    return [path for kind in (_BUILDING, _OLD) for path in folder.glob(f"{kind}*")]


def _pages(
    marts: duckdb.DuckDBPyConnection,
    shops: Mapping[str, Shop],
    now: datetime,
    today: date,
) -> dict[str, Page]:
    figures = read_figures(marts, now - timedelta(days=WEEK_DAYS))
    pictures = Pictures(marts)
    lines = {shop_id: line for shop_id, shop in figures.items() if (line := pictures.line(shop))}
    files = marts.sql("select shop_id, dataset, status, exported_at from files").fetchall()
    covered = coverage(dict(shops), [PublishedFile(*row) for row in files], now)
    due = [c for c in covered if c.download]
    names = {shop_id: shop.shop_name for shop_id, shop in shops.items()}
    pages = {ALL_SHOPS: all_shops_page(figures, names, concerns(marts), due, today, lines)}
    for shop_id, shop in figures.items():
        pages[f"{_SHOPS_FOLDER}/{shop_id}"] = shop_page(
            shop,
            names.get(shop_id) or shop_id,
            [c for c in due if c.shop.shop_id == shop_id],
            today,
            pictures.of_shop(shop),
        )
    return pages
