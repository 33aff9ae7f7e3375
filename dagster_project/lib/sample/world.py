"""Makes up what happens in a sample shop, one day of new orders at a time."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, TypeVar

from dagster_project.lib.sample import texts
from dagster_project.lib.sample.events import (
    Line,
    Order,
    Parcel,
    Product,
    Request,
    Review,
    ReviewVersion,
    Sku,
    Step,
)
from dagster_project.lib.sample.layouts import LAYOUTS
from dagster_project.lib.sample.people import People, phone_number
from dagster_project.lib.sample.regions import CASH_ON_DELIVERY, Region

_T = TypeVar("_T")

ORDER_SETTLES_WITHIN: Final = timedelta(days=34)
"""Longest time from an order's creation to the last change of its rows that the truth hangs on."""
REQUEST_SETTLES_WITHIN: Final = timedelta(days=10)
"""Longest time from a return request to its last state."""

_MULTI_SKU_SHARE: Final = 0.12
_SPLIT_SHARE: Final = 0.25
_CANCELLED_SHARE: Final = 0.031
_LOST_SHARE: Final = 0.004
_LATE_SHARE: Final = 0.03
_REVIEWED_SHARE: Final = 0.28
_WORSENED_SHARE: Final = 0.15
_IMPROVED_SHARE: Final = 0.15
_CONTACT_SHARE: Final = 1 / 40
_UNMAPPED_SHARE: Final = 0.02

_TROUBLED_WARE: Final = 2
_TROUBLED_FACTOR: Final = 3.0
_UNTROUBLED_FACTOR: Final = 0.65

_HOUR_WEIGHTS: Final = (2, 1, 1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 9, 8, 7, 7, 7, 7, 8, 10, 12, 12, 9, 5)

_LOW_CODES: Final[Mapping[str, int]] = {
    "defective_or_low_quality": 26,
    "not_as_described": 16,
    "misleading_listing": 5,
    "suspected_counterfeit": 3,
    "wrong_item": 12,
    "missing_item": 12,
    "slow_chat_reply": 6,
    "rude_service": 4,
    "late_delivery": 10,
    "courier_issue": 6,
}
_SELLER_FAULTS: Final[Mapping[str, int]] = {
    "not_as_described": 25,
    "damaged": 20,
    "wrong_item": 15,
    "missing_item": 14,
    "defective": 12,
    "poor_quality": 10,
    "suspected_counterfeit": 2,
    "expired": 1,
    "empty_parcel": 1,
}
_OTHER_REASONS: Final[Mapping[str, int]] = {
    "no_longer_needed": 30,
    "change_of_mind": 20,
    "size_unsuitable": 20,
    "not_received": 15,
    "late_delivery": 10,
    "free_sample_refund": 5,
}
_COUNTED_OUTCOMES: Final[Mapping[str, int]] = {"completed": 82, "open": 12, "blank": 6}
_VOID_OUTCOMES: Final[Mapping[str, int]] = {"rejected": 62, "canceled": 38}
_ANY_OUTCOMES: Final[Mapping[str, int]] = {
    "completed": 52,
    "rejected": 24,
    "canceled": 18,
    "open": 4,
    "blank": 2,
}
_CANCELED_STATES: Final = (
    ("Canceled", "Request Canceled"),
    ("Canceled", "Request Canceled"),
    ("Cancelled", ""),
    ("", "Request Canceled"),
)


class Quota:
    """Says yes once in every stretch of 1/rate questions, at a random place of the stretch.

    Chance draws would scatter a rate of 0.5 % widely over the thousand orders of a window.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._asked = 0.0
        self._stretch = 0
        self._next = rng.random()

    def hit(self, rate: float) -> bool:
        """Whether this one is among the `rate` share."""
        self._asked += rate
        if self._asked < self._next:
            return False
        self._stretch += 1
        self._next = self._stretch + self._rng.random()
        return True


class World:
    """One shop's events up to `horizon`, the moment of its last export.

    Everything comes from a random stream of its own, so a shop does not change when others are
    added. Days must be asked for in order.
    """

    def __init__(
        self,
        region: Region,
        shop_number: int,
        *,
        orders_per_day: int,
        first_day: date,
        horizon: datetime,
        seed: str,
    ) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311 - made-up data, not a secret
        self._region = region
        self._shop_number = shop_number
        self._orders_per_day = orders_per_day
        self._horizon = horizon
        self._people = People(region, shop_number, LAYOUTS[region.code].order_columns, rng)
        self._counters: dict[str, int] = {}
        self.skus = self._stock()
        self._popularity = [1 / (1 + rank) ** 0.5 for rank in range(len(self.skus))]
        self._troubled = self.skus and [s.product for s in self.skus if s.seller_sku[3:6] == "003"]
        self._quiet_days = self._quiet(first_day, horizon.date())
        self._negative = Quota(rng)
        self._improved = Quota(rng)
        self._seller_fault = Quota(rng)
        self._other_request = Quota(rng)
        self._unmapped = Quota(rng)
        self._contact = Quota(rng)
