"""What buyers of a sample shop write about their orders."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from dagster_project.lib.sample import texts
from dagster_project.lib.sample.chance import Chance, whole
from dagster_project.lib.sample.events import Line, Order, Review, ReviewVersion
from dagster_project.lib.sample.people import phone_number

_REVIEWED_SHARE: Final = 0.28
_WORSENED_SHARE: Final = 0.15
_IMPROVED_SHARE: Final = 0.15
_CONTACT_SHARE: Final = 1 / 30
_ISSUE_EXPORTED_EVERY: Final = 3

LOW_CODES: Final[Mapping[str, int]] = {
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


class Reviews:
    """Makes up the reviews of one shop's orders."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._rng = chance.rng
        self._region = chance.region
        self._negative = chance.quota()
        self._improved = chance.quota()
        self._contact = chance.quota()
        self._low_ratings = 0

    def add(self, order: Order, negative_rate: float) -> None:
        """Let the buyers of a delivered order review it; one review per product at most."""
        rng = self._rng
        is_negative = self._negative.hit(negative_rate)
        is_improved = self._improved.hit(negative_rate * _IMPROVED_SHARE) and not is_negative
        bought = {line.sku.product.product_id: line for line in reversed(order.lines)}
        target = self._chance.target(list(bought.values()))
        for line in bought.values():
            delivered_at = line.parcel.delivered_at
            if delivered_at is None:
                continue
            written_at = whole(delivered_at + self._review_lag())
            if is_negative and (line is target or rng.random() < 0.15):
                versions = self._negative_versions(line, written_at)
            elif is_improved and line is target:
                versions = self._improved_versions(written_at)
            elif rng.random() < _REVIEWED_SHARE:
                versions = self._friendly_versions(written_at)
            else:
                continue
            order.reviews.append(self._review(order, line, versions))

    def _review_lag(self) -> timedelta:
        rng = self._rng
        kind = rng.random()
        if kind < 0.70:
            days = 0.1 + min(rng.expovariate(1 / 3), 20)
        elif kind < 0.93:
            days = rng.uniform(4, 20)
        else:
            days = rng.uniform(20, 60)
        return timedelta(days=days)

    def _negative_versions(self, line: Line, written_at: datetime) -> list[ReviewVersion]:
        rng = self._rng
        parcel = line.parcel
        if parcel.delivered_at and parcel.shipped_at:
            waited = parcel.delivered_at - parcel.shipped_at
            if waited > timedelta(days=8) and rng.random() < 0.6:
                early = whole(parcel.delivered_at - timedelta(days=rng.uniform(1, 3)))
                return [self._low(early, "late_delivery")]
        kind = rng.random()
        if kind < 0.62:
            low = self._low(written_at, self._chance.pick(LOW_CODES))
        elif kind < 0.85:
            low = self._low(written_at, "", texts.VAGUE)
        else:
            low = self._low(written_at, "")
        if rng.random() < _WORSENED_SHARE:
            first = ReviewVersion(written_at, rng.choice((4, 5)), self._text(texts.GOOD), "")
            later = whole(written_at + timedelta(days=rng.uniform(1, 15)))
            return [first, replace(low, at=later)]
        return [low]

    def _low(self, at: datetime, code: str, mood: str = "") -> ReviewVersion:
        rng = self._rng
        text = self._text(mood) if mood else ""
        if code and rng.random() < 0.9:
            text = self._text(code)
        rating = 1 if rng.random() < 0.6 else 2
        self._low_ratings += 1
        is_exported = not text or self._low_ratings % _ISSUE_EXPORTED_EVERY == 0
        return ReviewVersion(at, rating, text, code, is_exported)

    def _improved_versions(self, written_at: datetime) -> list[ReviewVersion]:
        rng = self._rng
        low = self._low(written_at, self._chance.pick(LOW_CODES))
        later = whole(written_at + timedelta(days=rng.uniform(1, 12)))
        return [low, ReviewVersion(later, rng.choice((4, 5)), self._text(texts.GOOD), "")]

    def _friendly_versions(self, written_at: datetime) -> list[ReviewVersion]:
        rng = self._rng
        rating = rng.choices((5, 4, 3), (86, 10, 4))[0]
        text = self._text(texts.FAIR if rating == 3 else texts.GOOD) if rng.random() < 0.65 else ""
        versions = [ReviewVersion(written_at, rating, text, "")]
        if rng.random() < 0.03:
            later = whole(written_at + timedelta(days=rng.uniform(0.5, 20)))
            versions.append(ReviewVersion(later, rng.choice((3, 4, 5)), text, ""))
        return versions

    def _review(self, order: Order, line: Line, versions: Iterable[ReviewVersion]) -> Review:
        rng = self._rng
        product = line.sku.product
        names_product = product.is_named_in_reviews and rng.random() < 0.8
        return Review(
            review_id=self._chance.identifier("75", "review", 19),
            order_id=order.order_id,
            product_id=product.product_id if names_product else "",
            sku_id=line.sku.sku_id if rng.random() < 0.7 else "",
            versions=tuple(versions),
        )

    def _text(self, mood: str) -> str:
        return self._rng.choice(texts.REVIEW_TEXTS[self._region.language][mood])

    def maybe_add_contact(self, review: Review) -> None:
        """Put a phone number, e-mail address or link into some texts that say something."""
        language = self._region.language
        last = review.versions[-1]
        if not last.text or last.text in texts.REVIEW_TEXTS[language][texts.VAGUE]:
            return
        if not self._contact.hit(_CONTACT_SHARE):
            return
        number, shop = self._chance.next("contact"), self._chance.shop_number
        phone = phone_number(self._region, shop, 90_000_000 + number)
        review.contact = (
            phone.replace("(", "").replace(")", " "),
            f"reviewer.{number:06d}@shop{shop}.mail.example",
            f"https://photos.example/shop{shop}/{number:06d}",
        )[(shop + number) % 3]
        sentence = texts.CONTACT_SENTENCES[language].format(contact=review.contact)
        review.versions = (
            *review.versions[:-1],
            replace(last, text=f"{last.text} {sentence}"),
        )
