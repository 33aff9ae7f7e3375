"""The shops of a data directory, from `shops.csv`."""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.text import normalise_header, printable

COLUMNS = ("shop_id", "shop_name", "region", "timezone", "currency")


@dataclass(frozen=True)
class Shop:
    """One shop; `timezone` is the zone its days are cut in, `region` a two-letter country code."""

    shop_id: str
    shop_name: str
    region: str
    timezone: str
    currency: str


def read_shops(path: Path) -> dict[str, Shop]:
    """The shops by id; raises ConfigurationError naming the line and the way out."""
    if not path.is_file():
        raise ConfigurationError(
            f"{path} does not exist. Write it with one line per shop under the header "
            f"`{','.join(COLUMNS)}`, for example `my-shop,My Shop,TH,Asia/Bangkok,THB`."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: not a UTF-8 CSV file ({error}).") from error
    header = [normalise_header(cell) for cell in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ConfigurationError(
            f"{path}: the header lacks {', '.join(missing)}; it must have {','.join(COLUMNS)}."
        )
    shops: dict[str, Shop] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header):
            raise ConfigurationError(
                f"{path}, line {number}: {len(row)} cells instead of {len(header)}."
            )
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        shop = Shop(**{name: cells[name] for name in COLUMNS})
        _check(shop, f"{path}, line {number}")
        if shop.shop_id in shops:
            raise ConfigurationError(f"{path}, line {number}: {shop.shop_id} stands there twice.")
        shops[shop.shop_id] = shop
    return shops


def _check(shop: Shop, where: str) -> None:
    name = shop.shop_id
    if not name or len(name) > 100 or not name.isprintable() or re.search(r"[/\\]|^\.", name):
        raise ConfigurationError(
            f"{where}: {printable(name)!r} is no shop_id: 1 to 100 printable characters, "
            "no slash, no leading dot."
        )
    if not re.fullmatch(r"[A-Z]{2}", shop.region):
        raise ConfigurationError(
            f"{where}: region {printable(shop.region)!r} is no two-letter country code such as TH."
        )
    if not re.fullmatch(r"[A-Z]{3}", shop.currency):
        raise ConfigurationError(
            f"{where}: currency {printable(shop.currency)!r} is no three-letter code such as THB."
        )
    if shop.timezone not in _timezones():
        raise ConfigurationError(
            f"{where}: {printable(shop.timezone)!r} is no time zone such as Asia/Bangkok."
        )


@functools.cache
def _timezones() -> frozenset[str]:
    """The zones of the tz database; `localtime` is what a machine makes of it."""
    return frozenset(available_timezones() - {"localtime"})
