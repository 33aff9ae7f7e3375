"""Lays out a data directory of sample exports, shop by shop."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

from dagster_project.lib import shops as shop_list
from dagster_project.lib.sample.events import Chat, Complaint, Order, Request, Review
from dagster_project.lib.sample.layouts import (
    CHAT_COLUMNS,
    COMPLAINT_COLUMNS,
    LAYOUTS,
    OLD_RETURN_COLUMNS,
    PLATFORM_METRIC_COLUMNS,
    PRODUCT_COLUMNS,
    RETURN_COLUMNS,
    REVIEW_COLUMNS,
    description_row,
)
from dagster_project.lib.sample.regions import REGIONS, Region
from dagster_project.lib.sample.rows import Exporter, Row
from dagster_project.lib.sample.truth import DayTruth, ScreenBook, TruthBook
from dagster_project.lib.sample.world import World
from dagster_project.lib.sample.writers import write_csv, write_xlsx
from dagster_project.lib.shops import Shop

EXPORT_EVERY: Final = timedelta(days=7)
_OLD_RETURN_EXPORTS: Final = 3
_OLD_RETURNS_REGION: Final = "ID"


@dataclass(frozen=True)
class SampleTruth:
    """What a pipeline must find in the sample, and what it must not let through.

    `daily` has every shop day from a shop's first delivery to the last day. `personal_strings`
    are never to be stored; `masked_strings` stand in review texts and are to be masked there.
    """

    daily: dict[tuple[str, date], DayTruth]
    personal_strings: frozenset[str]
    masked_strings: frozenset[str]


def write_sample(
    out: Path,
    *,
    shops: int = 4,
    days: int = 84,
    orders_per_day: int = 30,
    seed: int = 7,
    last_day: date = date(2026, 10, 31),
) -> SampleTruth:
    """Write `shops.csv` and weekly exports under `landing/` for the `days` up to `last_day`.

    Complaints, chats and products are kept by hand and come as one file each, on the last day.
    The layouts ID, VN, TH and US take turns. The same arguments give the same bytes, and a shop's
    files do not depend on how many others there are. Returns the truth about what was written.

    Raises:
        ValueError: `shops`, `days` or `orders_per_day` is below 1, or there are over 999 shops.
        FileExistsError: `out` already has a `shops.csv` or a landing folder with content.
    """
    if not 1 <= shops <= 999 or days < 1 or orders_per_day < 1:
        raise ValueError(
            f"shops={shops}, days={days}, orders_per_day={orders_per_day}: each must be 1 or more, "
            "and shops at most 999"
        )
    landing = out / "landing"
    if (out / "shops.csv").exists() or (landing.is_dir() and any(landing.iterdir())):
        raise FileExistsError(
            f"{out} already has a shops.csv or landing files; sample files among them would count "
            "as real ones. Choose an empty directory."
        )
    daily: dict[tuple[str, date], DayTruth] = {}
    personal: set[str] = set()
    masked: set[str] = set()
    cast = [sample_shop(index) for index in range(shops)]
    shop_rows = ([getattr(shop, name) for name in shop_list.COLUMNS] for shop, _ in cast)
    write_csv(out / "shops.csv", chain([shop_list.COLUMNS], shop_rows))
    for number, (shop, region) in enumerate(cast, start=1):
        run = _ShopRun(landing / shop.shop_id, region, number, days, last_day)
        run.write(orders_per_day, f"{seed}:{shop.shop_id}")
        daily.update({(shop.shop_id, day): truth for day, truth in run.truth.days().items()})
        personal |= run.personal
        masked |= run.masked
    return SampleTruth(daily, frozenset(personal), frozenset(masked))


def sample_shop(index: int) -> tuple[Shop, Region]:
    """The shop at a place of the list and the region it trades in."""
    round_number, place = divmod(index, len(REGIONS))
    region = REGIONS[place]
    suffix = str(round_number + 1) if round_number else ""
    shop = Shop(
        shop_id="-".join(filter(None, (region.code.lower(), region.shop_slug, suffix))),
        shop_name=f"{region.shop_name} {suffix}".strip(),
        region=region.code,
        timezone=region.timezone,
        currency=region.currency,
    )
    return shop, region


class _ShopRun:
    """Lives through a shop's days and writes an export each week.

    Only what a coming export can still show is held in memory.
    """

    def __init__(
        self, folder: Path, region: Region, number: int, days: int, last_day: date
    ) -> None:
        self._folder = folder
        self._region = region
        self._layout = LAYOUTS[region.code]
        self._number = number
        self._last_day = last_day
        self._first_day = last_day - timedelta(days=days - 1)
        self._export_time = time(20 + number % 3, number * 7 % 60)
        self._exporter = Exporter(region)
        self._orders: deque[Order] = deque()
        self._requests: list[Request] = []
        self._reviews: list[Review] = []
        self._screen = ScreenBook(region.screen) if region.screen else None
        self._complaints: list[Complaint] = []
        self._chats: list[Chat] = []
        self.truth = TruthBook(last_day, datetime.combine(last_day, self._export_time))
        self.personal: set[str] = set()
        self.masked: set[str] = set()

    def write(self, orders_per_day: int, seed: str) -> None:
        """Write all exports of the shop and fill `truth`, `personal` and `masked`."""
        world = World(
            self._region,
            self._number,
            orders_per_day=orders_per_day,
            first_day=self._first_day,
            horizon=datetime.combine(self._last_day, self._export_time),
            seed=seed,
        )
        export_days = self._export_days()
        for day in self._days():
            for order in world.orders_of(day):
                self._note(order)
            for chat in world.chats_of(day):
                self.truth.add_chat(chat)
                self._chats.append(chat)
            if day in export_days:
                if self._screen:
                    self._screen.note(day)
                self._forget_before(day - self._layout.reach)
                self._export(datetime.combine(day, self._export_time), export_days.index(day))
        self._write_what_is_kept_by_hand()
        if self._region.has_product_export:
            write_csv(
                self._folder / "products" / f"products-{self._last_day}.csv",
                chain([PRODUCT_COLUMNS], self._exporter.products(world.skus)),
            )
        if self._screen:
            write_csv(
                self._folder / "platform_metrics" / f"platform-metrics-{self._last_day}.csv",
                chain([PLATFORM_METRIC_COLUMNS], self._screen.noted),
            )

    def _write_what_is_kept_by_hand(self) -> None:
        stamp = f"{datetime.combine(self._last_day, self._export_time):%Y-%m-%d-%H_%M}"
        self._complaints.sort(key=lambda complaint: (complaint.created_at, complaint.complaint_id))
        write_csv(
            self._folder / "complaints" / f"complaints-{stamp}.csv",
            chain([COMPLAINT_COLUMNS], self._exporter.complaints(self._complaints)),
        )
        write_csv(
            self._folder / "chats" / f"chats-{stamp}.csv",
            chain([CHAT_COLUMNS], self._exporter.chats(self._chats)),
        )

    def _days(self) -> Iterator[date]:
        for offset in range((self._last_day - self._first_day).days + 1):
            yield self._first_day + timedelta(days=offset)

    def _export_days(self) -> list[date]:
        """Each seventh day back from the last one."""
        return [day for day in self._days() if (self._last_day - day) % EXPORT_EVERY == timedelta()]

    def _note(self, order: Order) -> None:
        self.truth.add(order)
        if self._screen:
            self._screen.add(order)
        self.personal.update(order.personal_strings())
        self.masked.update(review.contact for review in order.reviews if review.contact)
        self._orders.append(order)
        self._requests.extend(order.requests)
        self._reviews.extend(order.reviews)
        self._complaints.extend(order.complaints)

    def _forget_before(self, day: date) -> None:
        while self._orders and self._orders[0].created_at.date() <= day:
            self._orders.popleft()
        self._requests = [r for r in self._requests if r.requested_at.date() > day]
        self._reviews = [r for r in self._reviews if r.changed_at.date() > day]

    def _export(self, at: datetime, index: int) -> None:
        self._export_orders(at, index)
        uses_old_layout = (
            self._region.code == _OLD_RETURNS_REGION
            and index < _OLD_RETURN_EXPORTS
            and at.date() != self._last_day
        )
        columns = OLD_RETURN_COLUMNS if uses_old_layout else RETURN_COLUMNS
        requests = [r for r in self._requests if r.requested_at <= at]
        requests.sort(key=lambda request: (request.requested_at, request.return_id))
        write_csv(
            self._folder / "returns" / f"Return order-{at:%Y-%m-%d-%H_%M}.csv",
            chain([columns], self._exporter.returns(requests, columns, at)),
            has_bom=self._layout.has_bom,
            line_end=self._layout.line_end,
        )
        earliest = (at - self._layout.reach).date()
        reviews = [
            review
            for review in self._reviews
            if review.created_at <= at and review.version(at).at.date() > earliest
        ]
        reviews.sort(key=lambda review: (review.created_at, review.review_id))
        write_csv(
            self._folder / "reviews" / f"reviews-{at:%Y-%m-%d}.csv",
            chain([REVIEW_COLUMNS], self._exporter.reviews(reviews, at)),
        )

    def _export_orders(self, at: datetime, index: int) -> None:
        layout = self._layout
        head: list[Row] = [list(layout.order_columns)]
        if layout.described_every and index % layout.described_every == 0:
            head.append(description_row(layout))
        known = (order for order in self._orders if order.created_at <= at)
        rows = chain(head, self._exporter.orders(known, at))
        path = self._folder / "orders" / f"All order-{at:%Y-%m-%d-%H_%M}.{layout.order_format}"
        if layout.order_format == "xlsx":
            write_xlsx(path, rows, created_at=at)
        else:
            write_csv(path, rows, has_bom=layout.has_bom, line_end=layout.line_end)
