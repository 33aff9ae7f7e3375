"""The counts that a right computation must find, straight from what happened in the sample.

One plain loop over orders and days, as the metric definitions word it (windows of 30 shop days,
events known by the day); it reads no file and shares no code with the pipeline.
"""

from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from typing import Final

from dagster_project.lib.sample.events import Chat, Complaint, Order, Request, Review
from dagster_project.lib.sample.regions import Screen

WINDOW_DAYS: Final = 30
REPLY_WITHIN: Final = timedelta(hours=12)

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
_SELLER_FAULT_REASONS: Final = {
    "defective": "product",
    "poor_quality": "product",
    "expired": "product",
    "not_as_described": "product",
    "suspected_counterfeit": "product",
    "damaged": "product",
    "wrong_item": "service",
    "missing_item": "service",
    "empty_parcel": "service",
}
_COMPLAINT_CATEGORIES: Final = {
    "Product quality": "product",
    "Incorrect or missing items": "service",
    "Missing item": "service",
    "Poor service": "service",
}
_NOT_THE_SELLERS: Final = frozenset({"Fulfillment & Delivery", "Payments"})
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
    complaint_orders: int = 0
    negative_feedback_orders: int = 0
    product_negative_feedback_orders: int = 0
    service_negative_feedback_orders: int = 0
    chats: int = 0
    chats_replied_in_time: int = 0


class TruthBook:
    """Adds up orders and chats into the counts of a shop's days; all is known up to `horizon`."""

    def __init__(self, last_day: date, horizon: datetime) -> None:
        self._last_day = last_day
        self._horizon = horizon
        self._days: dict[date, list[int]] = {}
        self._chats: dict[date, list[int]] = {}

    def add(self, order: Order) -> None:
        """Count an order on each day of the window that it belongs to."""
        delivered = order.delivered_dates
        if not delivered:
            return
        negative = [review for review in order.reviews if review.versions[-1].rating <= 2]
        requests = [r for r in order.requests if _counts(r)]
        complaints = [c for c in order.complaints if c.complaint_type not in _NOT_THE_SELLERS]
        feedback = [
            *((_category(review), review.created_at.date()) for review in negative),
            *((_SELLER_FAULT_REASONS[r.reason_code], r.requested_at.date()) for r in requests),
            *((_complaint_category(c), c.created_at.date()) for c in complaints),
        ]
        first_dates = (
            min(delivered),
            _first(negative, {"product", "service", "logistics", "other"}),
            _first(negative, {"product", "service", "other"}),
            _first(negative, {"product"}),
            _first(negative, {"service"}),
            min((r.requested_at.date() for r in requests), default=date.max),
            min((c.created_at.date() for c in complaints), default=date.max),
            min((day for _, day in feedback), default=date.max),
            min((day for category, day in feedback if category == "product"), default=date.max),
            min((day for category, day in feedback if category == "service"), default=date.max),
        )
        for offset in range(WINDOW_DAYS):
            day = min(delivered) + timedelta(days=offset)
            if day > self._last_day:
                break
            counts = self._days.setdefault(day, [0] * len(first_dates))
            for index, first_date in enumerate(first_dates):
                counts[index] += first_date <= day

    def add_chat(self, chat: Chat) -> None:
        """Count a buyer's chat on each day of its window on which it is known how it went."""
        due_at = chat.started_at + REPLY_WITHIN
        replied_at = chat.first_reply_at
        in_time = replied_at is not None and replied_at <= due_at
        if chat.initiated_by == "seller" or (replied_at is None and due_at > self._horizon):
            return
        known_on = replied_at.date() if replied_at is not None and in_time else due_at.date()
        for offset in range(WINDOW_DAYS):
            day = chat.started_at.date() + timedelta(days=offset)
            if known_on <= day <= self._last_day:
                counts = self._chats.setdefault(day, [0, 0])
                counts[0] += 1
                counts[1] += in_time

    def days(self) -> dict[date, DayTruth]:
        """Every day from the first delivery to the last day, days without any order included."""
        if not self._days:
            return {}
        first_day = min(self._days)
        of_orders = len(astuple(DayTruth())) - 2
        return {
            day: DayTruth(*self._days.get(day, [0] * of_orders), *self._chats.get(day, [0, 0]))
            for day in (
                first_day + timedelta(days=n) for n in range((self._last_day - first_day).days + 1)
            )
        }


class ScreenBook:
    """Adds up orders into the rates that Seller Center shows a shop, and the seller notes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._orders: list[tuple[date, date]] = []
        self.noted: list[tuple[str, ...]] = []

    def add(self, order: Order) -> None:
        """Note when an order was delivered and first complained of."""
        delivered = order.delivered_dates
        if not delivered:
            return
        complaints = (
            [r.created_at.date() for r in order.reviews if r.versions[-1].rating <= 2]
            if self._screen.metric == "nrr"
            else [r.requested_at.date() for r in order.requests if _counts(r)]
        )
        self._orders.append((min(delivered), min(complaints, default=date.max)))

    def note(self, day: date) -> None:
        """Note the rate of the window that ends on a day, if any; days come in order."""
        screen = self._screen
        first_day = day - timedelta(days=screen.window_days - 1)
        self._orders = [order for order in self._orders if order[0] >= first_day]
        complaints = [complaint for delivered, complaint in self._orders if delivered <= day]
        if complaints:
            rate = sum(complaint <= day for complaint in complaints) / len(complaints)
            window = str(screen.window_days) if screen.is_window_noted else ""
            self.noted.append((str(day), screen.metric, f"{rate:.2%}", window))


def _first(negative: list[Review], categories: set[str]) -> date:
    dates = (review.created_at.date() for review in negative if _category(review) in categories)
    return min(dates, default=date.max)


def _category(review: Review) -> str:
    """A known issue code names the category; unclassified and no_comment are `other`."""
    return _REVIEW_CATEGORIES.get(review.versions[-1].issue, "other")


def _complaint_category(complaint: Complaint) -> str:
    return _COMPLAINT_CATEGORIES.get(complaint.complaint_subtype, "other")


def _counts(request: Request) -> bool:
    end = request.steps[-1]
    is_void = end.status in _VOIDING_STATUSES or end.sub_status in _VOIDING_SUB_STATUSES
    return request.reason_code in _SELLER_FAULT_REASONS and not is_void
