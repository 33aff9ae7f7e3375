"""The counts that a right computation must find, straight from what happened in the sample.

One plain loop over orders and days, as the metric definitions word it (windows of 30 shop days,
events known by the day); it reads no file and shares no code with the pipeline.
"""

from dataclasses import astuple, dataclass
from datetime import date, timedelta
from typing import Final

from dagster_project.lib.sample.events import Order, Request, Review

WINDOW_DAYS: Final = 30

_REVIEW_CATEGORIES: Final = {
    "defective_or_low_quality": "product",
    "not_as_described": "product",
    "misleading_listing": "product",
    "suspected_counterfeit": "product",
    "wrong_item": "service",
    "missing_item": "service",
    "slow_chat_reply": "service",
    "rude_service": "service",
    "late_delivery": "logistics",
    "courier_issue": "logistics",
}
_SELLER_FAULT_REASONS: Final = frozenset(
    {
        "defective",
        "poor_quality",
        "expired",
        "not_as_described",
        "suspected_counterfeit",
        "damaged",
        "wrong_item",
        "missing_item",
        "empty_parcel",
    }
)
_VOIDING_STATUSES: Final = frozenset({"Canceled", "Cancelled", "Refund rejected", "Rejected"})
_VOIDING_SUB_STATUSES: Final = frozenset({"Request Canceled"})


@dataclass(frozen=True, slots=True)
class DayTruth:
    """The counts of one shop day, named as in `shop_metrics_daily`."""

    delivered_orders: int = 0
    negative_review_orders: int = 0
    seller_negative_review_orders: int = 0
    product_negative_review_orders: int = 0
    service_negative_review_orders: int = 0
    seller_fault_return_orders: int = 0


class TruthBook:
    """Adds up orders into the counts of a shop's days."""

    def __init__(self, last_day: date) -> None:
        self._last_day = last_day
        self._days: dict[date, list[int]] = {}

    def add(self, order: Order) -> None:
        """Count an order on each day of the window that it belongs to."""
        delivered = order.delivered_dates
        if not delivered:
            return
        negative = [review for review in order.reviews if review.versions[-1].rating <= 2]
        first_dates = (
            min(delivered),
            _first(negative, {"product", "service", "logistics", "other"}),
            _first(negative, {"product", "service", "other"}),
            _first(negative, {"product"}),
            _first(negative, {"service"}),
            min((r.requested_at.date() for r in order.requests if _counts(r)), default=date.max),
        )
        for offset in range(WINDOW_DAYS):
            day = min(delivered) + timedelta(days=offset)
            if day > self._last_day:
                break
            counts = self._days.setdefault(day, [0] * len(first_dates))
            for index, first_date in enumerate(first_dates):
                counts[index] += first_date <= day

    def days(self) -> dict[date, DayTruth]:
        """Every day from the first delivery to the last day, days without any order included."""
        if not self._days:
            return {}
        first_day = min(self._days)
        return {
            day: DayTruth(*self._days.get(day, astuple(DayTruth())))
            for day in (
                first_day + timedelta(days=n) for n in range((self._last_day - first_day).days + 1)
            )
        }


def _first(negative: list[Review], categories: set[str]) -> date:
    dates = (review.created_at.date() for review in negative if _category(review) in categories)
    return min(dates, default=date.max)


def _category(review: Review) -> str:
    """A known issue code names the category; unclassified and no_comment are `other`."""
    return _REVIEW_CATEGORIES.get(review.versions[-1].issue_type, "other")


def _counts(request: Request) -> bool:
    end = request.steps[-1]
    is_void = end.status in _VOIDING_STATUSES or end.sub_status in _VOIDING_SUB_STATUSES
    return request.reason_code in _SELLER_FAULT_REASONS and not is_void
