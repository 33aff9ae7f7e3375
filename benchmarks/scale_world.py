"""What happens in the shops of the benchmarks, as SQL: every order follows from its number.

An order is (shop_number, day_index, k): the k-th of that shop and day. All that is known of it comes
from a hash of these and the seed, so any part of any history can be made alone, in any order, and a
smaller history's orders are orders of the larger one too. Times are seconds of naive shop time since
1970. Wares, reasons, texts and words of the countries are those of the sample
(`dagster_project/lib/sample`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import duckdb
import pyarrow as pa

from dagster_project.lib.sample import layouts, texts
from dagster_project.lib.sample.generate import sample_shop
from dagster_project.lib.sample.layouts import LAYOUTS
from dagster_project.lib.sample.regions import REGIONS, Region
from dagster_project.lib.sample.returns import OTHER_REASONS, SELLER_FAULTS
from dagster_project.lib.sample.reviews import LOW_CODES
from dagster_project.lib.shops import Shop

LINES_PER_ORDER = 1.1
DELIVERED_SHARE = 0.95
REVIEWED_SHARE = 0.10
REQUESTED_SHARE = 0.04
COMPLAINED_SHARE = 0.005
ARRIVES_WITHIN_DAYS = 8
"""Longest time from an order's day to its last delivery; also from a request to its last state."""

# The last days before an increment have at least so many lines, whatever the size of the history:
# what an increment of the usual size touches is then there in all of them.
RECENT_DAYS = 9
RECENT_LINES = 7_200
OLDER_LINES = 1_200
_MOST_RECENT_SHARE = 0.2


@dataclass(frozen=True)
class History:
    """The size of a history; `lines` is about how many order lines it has, `products` are a shop's.

    `increments` are the order lines of each day that was laid after it.
    """

    lines: int
    shops: int = 200
    products: int = 100
    days: int = 730
    last_day: date = date(2026, 10, 31)
    seed: int = 7
    increments: tuple[int, ...] = field(default=())

    def day(self, index: int) -> date:
        """The calendar day of a day's index, 0 = the first of the history."""
        return self.last_day - timedelta(days=self.days - 1 - index)

    def lines_of(self, index: int) -> tuple[float, float]:
        """Order lines placed on a day, and how many of them every size of history has."""
        if index >= self.days:
            lines = self.increments[index - self.days] / 2
            return lines, lines
        even = self.lines / self.days
        recent_days = min(RECENT_DAYS, self.days)
        recent = max(even, min(RECENT_LINES, _MOST_RECENT_SHARE * self.lines / recent_days))
        if index >= self.days - recent_days:
            return recent, min(recent, RECENT_LINES)
        older = (self.lines - recent * recent_days) / (self.days - recent_days)
        return older, min(older, OLDER_LINES)


def seconds(moment: datetime | date) -> int:
    """Seconds since 1970 of a naive moment, or of the start of a day."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return round((moment - datetime(1970, 1, 1)).total_seconds())


def cast_of(history: History) -> list[tuple[Shop, Region]]:
    """The shops and their regions; shop number n is the n-th, from 1."""
    return [sample_shop(index) for index in range(history.shops)]


def create_world(con: duckdb.DuckDBPyConnection, history: History) -> None:
    """Make the tables `shops`, `days`, `skus`, `states`, `moods`, `labels` and the macros."""
    con.execute(
        "create or replace macro part(h, salt) as "
        "(hash(xor(h, salt::ubigint)) >> 11)::double / 9007199254740992.0"
    )
    con.execute(
        "create or replace macro pick(names, share) as names[1 + floor(share * len(names))::int]"
    )
    con.execute(
        "create or replace macro number(prefix, digits, shop, n, h) as "
        "prefix * 10::bigint ** 0 + 0"  # replaced below: one macro per width keeps it integer
    )
    con.execute(
        "create or replace macro number18(prefix, shop, n, h) as cast("
        "prefix * 10000000000000000::bigint + shop * 1000000000000::bigint + n * 10000::bigint "
        "+ (h % 10000)::bigint as varchar)"
    )
    con.execute(
        "create or replace macro number19(prefix, shop, n, h) as cast("
        "prefix * 10000000000000000::bigint + shop * 1000000000000::bigint + n * 10000::bigint "
        "+ (h % 10000)::bigint as varchar)"
    )
