"""What buyers of a sample shop ask to be returned or refunded, and what becomes of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from dagster_project.lib.sample import texts
from dagster_project.lib.sample.chance import Chance, whole
from dagster_project.lib.sample.events import Line, Order, Request, Step

SETTLES_WITHIN: Final = timedelta(days=10)
"""Longest time from a return request to its last state."""

_UNMAPPED_SHARE: Final = 0.02

SELLER_FAULTS: Final[Mapping[str, int]] = {
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
OTHER_REASONS: Final[Mapping[str, int]] = {
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
    "completed": 60,
    "rejected": 20,
    "canceled": 15,
    "open": 3,
    "blank": 2,
}
_CANCELED_STATES: Final = (
    ("Canceled", "Request Canceled"),
    ("Canceled", "Request Canceled"),
    ("Cancelled", ""),
    ("", "Request Canceled"),
)


class Returns:
    """Makes up the return requests of one shop's orders."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._rng = chance.rng
        self._region = chance.region
        self._seller_fault = chance.quota()
        self._other_request = chance.quota()
        self._unmapped = chance.quota()

    def add(self, order: Order, seller_fault_rate: float) -> None:
        """Let the buyers of a delivered order ask for money or goods back."""
        rng, rates = self._rng, self._region.rates
        if self._seller_fault.hit(seller_fault_rate):
            code = self._chance.pick(SELLER_FAULTS)
            requested_at = self._request_time(order)
            lines = self._returned_lines(order, requested_at)
            if rng.random() < 0.08:
                self._add_request(order, lines, requested_at, code, "canceled")
                requested_at = whole(requested_at + timedelta(days=rng.uniform(1, 4)))
            self._add_request(
                order, lines, requested_at, code, self._chance.pick(_COUNTED_OUTCOMES)
            )
        elif self._other_request.hit(rates.requests - rates.seller_fault):
            if self._unmapped.hit(_UNMAPPED_SHARE):
                code, outcome = "unmapped", "completed"
            elif rng.random() < 0.42:
                code, outcome = self._chance.pick(SELLER_FAULTS), self._chance.pick(_VOID_OUTCOMES)
            else:
                code, outcome = self._chance.pick(OTHER_REASONS), self._chance.pick(_ANY_OUTCOMES)
            requested_at = self._request_time(order, code)
            lines = self._returned_lines(order, requested_at)
            self._add_request(order, lines, requested_at, code, outcome)

    def _request_time(self, order: Order, code: str = "") -> datetime:
        rng = self._rng
        parcel = min(
            (line.parcel for line in order.lines), key=lambda p: p.delivered_at or datetime.max
        )
        delivered_at = parcel.delivered_at or order.created_at
        shipped_at = parcel.shipped_at or order.created_at
        if code in ("not_received", "late_delivery"):
            waited = delivered_at - shipped_at
            return whole(delivered_at - waited * rng.uniform(0.05, 0.3))
        days = 0.05 + min(rng.expovariate(1 / 2.5), 14)
        if rng.random() < 0.12:
            days = rng.uniform(5, 28)
        return whole(delivered_at + timedelta(days=days))

    def _returned_lines(self, order: Order, requested_at: datetime) -> tuple[Line, ...]:
        arrived = [
            line
            for line in order.lines
            if line.parcel.delivered_at is not None and line.parcel.delivered_at <= requested_at
        ]
        if not arrived or self._rng.random() < 0.35:
            return tuple(arrived or order.lines)
        return (self._chance.target(arrived),)

    def _add_request(
        self,
        order: Order,
        lines: tuple[Line, ...],
        requested_at: datetime,
        code: str,
        outcome: str,
    ) -> None:
        rng, language = self._rng, self._region.language
        labels = texts.return_reason_labels(language, code, is_local=rng.random() < 0.75)
        note = ""
        if rng.random() < 0.3:
            word = order.buyer.word
            note = f"{rng.choice(texts.BUYER_NOTES[language])} ({word})"
            if rng.random() < 0.3:
                note += f"\n{word}, {order.order_id[-6:]}"
        steps = self._steps(requested_at, outcome)
        return_type = rng.choice(("Return and refund", "Return and refund", "Refund only", ""))
        goes_back = return_type == "Return and refund" and len(steps) == 3
        order.requests.append(
            Request(
                return_id=self._chance.identifier("40", "return", 18),
                order=order,
                lines=lines,
                requested_at=requested_at,
                reason_code=code,
                reason_text=rng.choice(labels),
                return_type=return_type,
                steps=steps,
                shipped_back_at=steps[1].at if goes_back else None,
                refunded_at=steps[-1].at if outcome == "completed" else None,
                tracking_id=self._chance.tracking_id("R"),
                note=note,
                is_flagged_in_orders=rng.random() < 0.8,
            )
        )

    def _steps(self, at: datetime, outcome: str) -> tuple[Step, ...]:
        rng = self._rng
        soon = whole(at + timedelta(days=rng.uniform(0.2, 1.2)))
        later = whole(soon + timedelta(days=rng.uniform(0.3, 7)))
        if outcome == "completed":
            return (
                Step(at, "To process", ""),
                Step(soon, "In process", ""),
                Step(later, "Completed", ""),
            )
        if outcome == "rejected":
            status = "Rejected" if rng.random() < 0.1 else "Refund rejected"
            return Step(at, "To process", ""), Step(soon, status, "")
        if outcome == "canceled":
            return Step(at, "In process", ""), Step(later, *rng.choice(_CANCELED_STATES))
        if outcome == "open":
            return Step(at, "To process", ""), Step(soon, "In process", "")
        return (Step(at, "", ""),)

    def ask_for_lost_parcel(self, order: Order) -> None:
        """Let the buyer of an order that never came ask for the money."""
        if self._rng.random() < 0.6:
            asked_at = whole(order.created_at + timedelta(days=self._rng.uniform(10, 16)))
            self._add_request(order, order.lines, asked_at, "not_received", "completed")

    def report_cancellation(self, order: Order) -> None:
        """Thai files list some orders cancelled before shipping among the returns."""
        if self._region.code == "TH" and order.cancelled_at and self._rng.random() < 0.5:
            self._add_request(
                order, order.lines, order.cancelled_at, "cancel_before_shipment", "completed"
            )
