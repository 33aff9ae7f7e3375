"""What buyers of a sample shop bring before after-sales and into the chat."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final

from dagster_project.lib.sample import texts
from dagster_project.lib.sample.chance import Chance, whole
from dagster_project.lib.sample.events import Chat, Complaint, Order

_TYPES: Final[Mapping[str, tuple[str, str, str]]] = {
    "quality": ("After Sale", "Product quality", "defective_or_low_quality"),
    "wrong": ("After Sale", "Incorrect or missing items", "wrong_item"),
    "missing": ("After Sale", "Missing item", "missing_item"),
    "service": ("Complaint", "Poor service", "rude_service"),
    "unsaid": ("After Sale", "", texts.VAGUE),
    "delivery": ("Fulfillment & Delivery", "", "late_delivery"),
    "payment": ("Payments", "", texts.VAGUE),
}
"""Kind -> type and subtype as Data Compass has them, and the mood of what the buyer said."""
_WEIGHTS: Final[Mapping[str, int]] = {
    "quality": 28,
    "wrong": 14,
    "missing": 12,
    "service": 10,
    "unsaid": 8,
    "delivery": 20,
    "payment": 8,
}


class Care:
    """Makes up one shop's complaints and chats, from a random stream of their own."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._rng = chance.rng
        self._region = chance.region
        self._complaint = chance.quota()
        self._late = chance.quota()
        self._unanswered = chance.quota()
        self._troubled = min(0.04 + 4 * chance.region.rates.negative, 0.2)

    def complain(self, order: Order, rate: float) -> None:
        """Let the buyers of a delivered order complain."""
        if not self._complaint.hit(rate):
            return
        rng = self._rng
        kind, subtype, mood = _TYPES[self._chance.pick(_WEIGHTS)]
        line = self._chance.target(order.lines)
        delivered_at = line.parcel.delivered_at or order.created_at
        days = rng.uniform(-2, 1) if mood == "late_delivery" else 0.05 + rng.expovariate(1 / 3)
        created_at = whole(max(delivered_at + timedelta(days=min(days, 40)), order.created_at))
        order.complaints.append(
            Complaint(
                complaint_id=self._chance.identifier("81", "complaint", 19),
                order_id=order.order_id,
                sku_id=line.sku.sku_id if rng.random() < 0.6 else "",
                complaint_type=kind,
                complaint_subtype=subtype,
                detail=rng.choice(texts.REVIEW_TEXTS[self._region.language][mood]),
                created_at=created_at,
                resolved_at=whole(created_at + timedelta(days=rng.uniform(0.2, 9))),
            )
        )

    def chats_of(self, day: date, most: int) -> list[Chat]:
        """The chats that begin on `day`, up to `most` of them."""
        moments = sorted(
            datetime.combine(day, time(self._rng.choice((0, 7, 9, 12, 15, 19, 21, 23))))
            + timedelta(seconds=self._rng.randrange(3600))
            for _ in range(self._rng.randint(0, most))
        )
        return [self._chat(started_at) for started_at in moments]

    def _chat(self, started_at: datetime) -> Chat:
        rng = self._rng
        is_automated = rng.random() < 0.15
        hours = 0.001 if is_automated else min(rng.expovariate(1 / 1.5), 11.9)
        if not is_automated and self._late.hit(self._troubled):
            hours = rng.uniform(12.5, 60)
        replied_at = whole(started_at + timedelta(hours=hours))
        is_unanswered = not is_automated and self._unanswered.hit(self._troubled / 2)
        return Chat(
            conversation_id=self._chance.identifier("91", "chat", 19),
            started_at=started_at,
            first_reply_at=None if is_unanswered else replied_at,
            initiated_by="seller" if rng.random() < 0.1 else "buyer",
            is_automated_reply=is_automated,
        )
