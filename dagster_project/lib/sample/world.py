"""Makes up what happens in a sample shop, one day of new orders at a time."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

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

ARRIVES_WITHIN: Final = timedelta(days=26)
"""Longest time from an order's creation to the delivery of its last parcel."""
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
_CONTACT_SHARE: Final = 1 / 30
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

    Everything comes from one random stream of the shop's own, so a shop does not change when
    others are added. Ask for the days in order.
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
        self._quiet_days = self._quiet(first_day, horizon.date())
        self._negative = Quota(rng)
        self._improved = Quota(rng)
        self._seller_fault = Quota(rng)
        self._other_request = Quota(rng)
        self._unmapped = Quota(rng)
        self._contact = Quota(rng)
        self._lost = Quota(rng)

    def orders_of(self, day: date) -> list[Order]:
        """The orders created on `day` with all that the sample will ever know of them."""
        if day in self._quiet_days:
            return []
        rng = self._rng
        busy = rng.uniform(0.8, 1.2) * (1.15 if day.weekday() >= 5 else 1.0)
        hours = rng.choices(range(24), _HOUR_WEIGHTS, k=max(1, round(self._orders_per_day * busy)))
        hours[0] = rng.randint(8, 12)  # so that the last day has an order before its export
        moments = sorted(
            datetime.combine(day, time(hour, rng.randrange(60), rng.randrange(60)))
            for hour in hours
        )
        orders = []
        for created_at in moments:
            order = self._order(created_at)
            if created_at <= self._horizon:
                orders.append(self._up_to_horizon(order))
        return orders

    # --- the shop -----------------------------------------------------------------------------

    def _stock(self) -> list[Sku]:
        skus = []
        for rank, ware in enumerate(self._region.wares):
            product = Product(
                product_id=self._identifier("173", "product", 19),
                name=ware.name,
                category=ware.category,
                is_named_in_reviews=self._region.has_product_export or rank % 2 == 0,
            )
            for number, variation in enumerate(ware.variations, start=1):
                step = self._region.price_step
                price = ware.price + step * round(ware.price * 0.1 * (number - 1) / step)
                skus.append(
                    Sku(
                        sku_id=self._identifier("172", "sku", 19),
                        seller_sku=f"{self._region.code}-{rank + 1:03d}-{number}",
                        variation=variation,
                        price=price,
                        product=product,
                    )
                )
        self._rng.shuffle(skus)
        return skus

    @property
    def _troubled_name(self) -> str:
        return self._region.wares[_TROUBLED_WARE].name

    def _is_troubled(self, line: Line) -> bool:
        return line.sku.product.name == self._troubled_name

    def _quiet(self, first_day: date, last_day: date) -> frozenset[date]:
        """Some days without new orders, one stretch in each four weeks, none near either end."""
        quiet: set[date] = set()
        start = first_day + timedelta(days=8)
        while start + timedelta(days=20) <= last_day:
            begin = start + timedelta(days=self._rng.randrange(8))
            quiet.update(begin + timedelta(days=n) for n in range(self._rng.randint(2, 4)))
            start += timedelta(days=28)
        return frozenset(quiet)

    # --- orders -------------------------------------------------------------------------------

    def _order(self, created_at: datetime) -> Order:
        rng, region = self._rng, self._region
        payment_method = rng.choice(region.payment_methods)
        is_cash = payment_method == CASH_ON_DELIVERY
        ready_at = created_at if is_cash else created_at + _minutes(rng.uniform(0.5, 40))
        buyer = self._people.someone()
        order_id = self._identifier("57", "order", 18)
        lines = self._lines(ready_at)
        cancelled_at, cancelled_by, cancel_reason = None, "", ""
        if rng.random() < _CANCELLED_SHARE:
            cancelled_at, cancelled_by, cancel_reason = self._cancel(ready_at, lines)
        elif self._lost.hit(_LOST_SHARE):
            for line in lines:
                line.parcel.delivered_at = None
        delivered = [line.parcel.delivered_at for line in lines if line.parcel.delivered_at]
        order = Order(
            order_id=order_id,
            buyer=buyer,
            created_at=created_at,
            paid_at=max(delivered, default=None) if is_cash else ready_at,
            completed_at=max(delivered) + timedelta(days=7) if delivered else None,
            cancelled_at=cancelled_at,
            cancelled_by=cancelled_by,
            cancel_reason=cancel_reason,
            payment_method=payment_method,
            is_preorder=rng.random() < 0.02,
            message=self._message(buyer.word, order_id),
            invoice=f"INV/{created_at:%Y%m%d}/MPL/{order_id[-9:]}" if rng.random() < 0.3 else "",
            shipping_fee=region.shipping_fee,
            shipping_discount=region.shipping_fee if rng.random() < 0.6 else 0,
            fees=dict(region.fees),
            lines=lines,
        )
        if region.tax_percent:
            order.fees["Taxes"] = sum(line.paid for line in lines) * region.tax_percent // 100
        if delivered:
            self._add_feedback(order)
        elif cancelled_at is None:
            self._ask_for_lost_parcel(order)
        elif lines[0].parcel.rts_at is None:
            self._report_cancellation(order)
        return order

    def _lines(self, ready_at: datetime) -> tuple[Line, ...]:
        rng = self._rng
        wanted = 1
        if rng.random() < _MULTI_SKU_SHARE:
            wanted = 3 if rng.random() < 0.15 else 2
        chosen: list[Sku] = []
        while len(chosen) < wanted:
            sku = rng.choices(self.skus, self._popularity)[0]
            if sku not in chosen:
                chosen.append(sku)
        parcel = self._parcel(ready_at)
        parcels = [parcel] * wanted
        if wanted > 1 and rng.random() < _SPLIT_SHARE:
            parcels[-1] = self._parcel(ready_at + timedelta(days=rng.uniform(0.3, 3)))
        return tuple(self._line(sku, parcel) for sku, parcel in zip(chosen, parcels, strict=True))

    def _line(self, sku: Sku, parcel: Parcel) -> Line:
        rng, step = self._rng, self._region.price_step
        quantity = rng.choices((1, 2, 3), (86, 11, 3))[0]
        subtotal = sku.price * quantity
        return Line(
            sku=sku,
            quantity=quantity,
            platform_discount=_share(subtotal, rng.choice((0, 0, 0, 3)), step),
            seller_discount=_share(subtotal, rng.choice((0, 5, 10, 15)), step),
            parcel=parcel,
        )

    def _parcel(self, ready_at: datetime) -> Parcel:
        rng, region = self._rng, self._region
        rts_at = ready_at + timedelta(days=rng.uniform(0.1, 1.2))
        shipped_at = rts_at + timedelta(days=rng.uniform(0.1, 0.8))
        is_late = rng.random() < _LATE_SHARE
        transit = rng.uniform(8, 19) if is_late else rng.triangular(0.8, 7, 2.2)
        arrival = (shipped_at + timedelta(days=transit)).date()
        delivered_at = datetime.combine(arrival, time(8)) + _minutes(rng.uniform(0, 13 * 60))
        return Parcel(
            package_id=self._identifier("11", "package", 18),
            tracking_id=self._tracking(""),
            carrier=rng.choice(region.carriers),
            rts_at=_whole(rts_at),
            shipped_at=_whole(shipped_at),
            delivered_at=_whole(max(delivered_at, shipped_at + timedelta(hours=3))),
        )

    def _cancel(self, ready_at: datetime, lines: Iterable[Line]) -> tuple[datetime, str, str]:
        rng = self._rng
        parcels = [line.parcel for line in lines]
        for parcel in parcels:
            parcel.delivered_at = None
        shipped = [parcel.shipped_at for parcel in parcels if parcel.shipped_at is not None]
        if rng.random() < 0.2:
            failed_at = max(shipped) + timedelta(days=rng.uniform(6, 10))
            return _whole(failed_at), "System", texts.FAILED_DELIVERY
        for parcel in parcels:
            parcel.rts_at = parcel.shipped_at = None
        by = rng.choice(("User", "User", "Seller"))
        cancelled_at = ready_at + timedelta(days=rng.uniform(0.01, 0.1))
        return _whole(cancelled_at), by, rng.choice(texts.CANCEL_REASONS)

    def _message(self, word: str, order_id: str) -> str:
        rng = self._rng
        kind = rng.random()
        if kind > 0.08:
            return ""
        wish = rng.choice(texts.BUYER_MESSAGES[self._region.language])
        message = f"{wish} ({word} {order_id[-6:]})"
        if kind < 0.02:
            mail = word.replace(" ", ".").lower()
            message += f"\n{mail}@mail.example"
        return message

    # --- reviews ------------------------------------------------------------------------------

    def _add_feedback(self, order: Order) -> None:
        is_troubled = any(self._is_troubled(line) for line in order.lines)
        factor = _TROUBLED_FACTOR if is_troubled else _UNTROUBLED_FACTOR
        self._add_reviews(order, self._region.rates.negative * factor)
        self._add_requests(order, self._region.rates.seller_fault * factor)

    def _add_reviews(self, order: Order, negative_rate: float) -> None:
        rng = self._rng
        is_negative = self._negative.hit(negative_rate)
        is_improved = self._improved.hit(negative_rate * _IMPROVED_SHARE) and not is_negative
        bought = {line.sku.product.product_id: line for line in reversed(order.lines)}
        target = self._target(list(bought.values()))
        for line in bought.values():
            delivered_at = line.parcel.delivered_at
            if delivered_at is None:
                continue
            written_at = _whole(delivered_at + self._review_lag())
            if is_negative and (line is target or rng.random() < 0.15):
                versions = self._negative_versions(line, written_at)
            elif is_improved and line is target:
                versions = self._improved_versions(written_at)
            elif rng.random() < _REVIEWED_SHARE:
                versions = self._friendly_versions(written_at)
            else:
                continue
            order.reviews.append(self._review(order, line, versions))

    def _target(self, lines: Sequence[Line]) -> Line:
        """The line that feedback is about: mostly the troubled product, if it is there."""
        troubled = [line for line in lines if self._is_troubled(line)]
        if troubled and self._rng.random() < 0.8:
            return troubled[0]
        return self._rng.choice(lines)

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
                early = _whole(parcel.delivered_at - timedelta(days=rng.uniform(1, 3)))
                return [self._low(early, "late_delivery")]
        kind = rng.random()
        if kind < 0.62:
            low = self._low(written_at, _pick(rng, _LOW_CODES))
        elif kind < 0.85:
            low = self._low(written_at, "", texts.VAGUE)
        else:
            low = self._low(written_at, "")
        if rng.random() < _WORSENED_SHARE:
            first = ReviewVersion(written_at, rng.choice((4, 5)), self._text(texts.GOOD), "")
            later = _whole(written_at + timedelta(days=rng.uniform(1, 15)))
            return [first, ReviewVersion(later, low.rating, low.text, low.issue_type)]
        return [low]

    def _low(self, at: datetime, code: str, mood: str = "") -> ReviewVersion:
        rng = self._rng
        text = self._text(mood) if mood else ""
        if code and rng.random() < 0.9:
            text = self._text(code)
        return ReviewVersion(at, 1 if rng.random() < 0.6 else 2, text, code)

    def _improved_versions(self, written_at: datetime) -> list[ReviewVersion]:
        rng = self._rng
        low = self._low(written_at, _pick(rng, _LOW_CODES))
        later = _whole(written_at + timedelta(days=rng.uniform(1, 12)))
        return [low, ReviewVersion(later, rng.choice((4, 5)), self._text(texts.GOOD), "")]

    def _friendly_versions(self, written_at: datetime) -> list[ReviewVersion]:
        rng = self._rng
        rating = rng.choices((5, 4, 3), (86, 10, 4))[0]
        text = self._text(texts.FAIR if rating == 3 else texts.GOOD) if rng.random() < 0.65 else ""
        versions = [ReviewVersion(written_at, rating, text, "")]
        if rng.random() < 0.03:
            later = _whole(written_at + timedelta(days=rng.uniform(0.5, 20)))
            versions.append(ReviewVersion(later, rng.choice((3, 4, 5)), text, ""))
        return versions

    def _review(self, order: Order, line: Line, versions: Iterable[ReviewVersion]) -> Review:
        rng = self._rng
        product = line.sku.product
        names_product = product.is_named_in_reviews and rng.random() < 0.8
        return Review(
            review_id=self._identifier("75", "review", 19),
            order_id=order.order_id,
            product_id=product.product_id if names_product else "",
            sku_id=line.sku.sku_id if rng.random() < 0.7 else "",
            versions=tuple(versions),
        )

    def _text(self, mood: str) -> str:
        return self._rng.choice(texts.REVIEW_TEXTS[self._region.language][mood])

    # --- return requests ----------------------------------------------------------------------

    def _add_requests(self, order: Order, seller_fault_rate: float) -> None:
        rng, rates = self._rng, self._region.rates
        if self._seller_fault.hit(seller_fault_rate):
            code = _pick(rng, _SELLER_FAULTS)
            requested_at = self._request_time(order)
            lines = self._returned_lines(order, requested_at)
            if rng.random() < 0.08:
                self._add_request(order, lines, requested_at, code, "canceled")
                requested_at = _whole(requested_at + timedelta(days=rng.uniform(1, 4)))
            self._add_request(order, lines, requested_at, code, _pick(rng, _COUNTED_OUTCOMES))
        elif self._other_request.hit(rates.requests - rates.seller_fault):
            if self._unmapped.hit(_UNMAPPED_SHARE):
                code, outcome = "unmapped", "completed"
            elif rng.random() < 0.42:
                code, outcome = _pick(rng, _SELLER_FAULTS), _pick(rng, _VOID_OUTCOMES)
            else:
                code, outcome = _pick(rng, _OTHER_REASONS), _pick(rng, _ANY_OUTCOMES)
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
            return _whole(delivered_at - waited * rng.uniform(0.05, 0.3))
        days = 0.05 + min(rng.expovariate(1 / 2.5), 14)
        if rng.random() < 0.12:
            days = rng.uniform(5, 28)
        return _whole(delivered_at + timedelta(days=days))

    def _returned_lines(self, order: Order, requested_at: datetime) -> tuple[Line, ...]:
        arrived = [
            line
            for line in order.lines
            if line.parcel.delivered_at is not None and line.parcel.delivered_at <= requested_at
        ]
        if not arrived or self._rng.random() < 0.35:
            return tuple(arrived or order.lines)
        return (self._target(arrived),)

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
                return_id=self._identifier("40", "return", 18),
                order=order,
                lines=lines,
                requested_at=requested_at,
                reason_code=code,
                reason_text=rng.choice(labels),
                return_type=return_type,
                steps=steps,
                shipped_back_at=steps[1].at if goes_back else None,
                refunded_at=steps[-1].at if outcome == "completed" else None,
                tracking_id=self._tracking("R"),
                note=note,
                is_flagged_in_orders=rng.random() < 0.8,
            )
        )

    def _steps(self, at: datetime, outcome: str) -> tuple[Step, ...]:
        rng = self._rng
        soon = _whole(at + timedelta(days=rng.uniform(0.2, 1.2)))
        later = _whole(soon + timedelta(days=rng.uniform(0.3, 7)))
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

    def _ask_for_lost_parcel(self, order: Order) -> None:
        if self._rng.random() < 0.6:
            asked_at = _whole(order.created_at + timedelta(days=self._rng.uniform(10, 16)))
            self._add_request(order, order.lines, asked_at, "not_received", "completed")

    def _report_cancellation(self, order: Order) -> None:
        """Thai files list some orders cancelled before shipping among the returns."""
        if self._region.code == "TH" and order.cancelled_at and self._rng.random() < 0.5:
            self._add_request(
                order, order.lines, order.cancelled_at, "cancel_before_shipment", "completed"
            )

    # --- what the files can know --------------------------------------------------------------

    def _up_to_horizon(self, order: Order) -> Order:
        """Take away what happens after the last export."""
        order.paid_at = self._known(order.paid_at)
        order.completed_at = self._known(order.completed_at)
        order.cancelled_at = self._known(order.cancelled_at)
        for line in order.lines:
            parcel = line.parcel
            parcel.rts_at = self._known(parcel.rts_at)
            parcel.shipped_at = self._known(parcel.shipped_at)
            parcel.delivered_at = self._known(parcel.delivered_at)
        order.requests = [r for r in order.requests if r.requested_at <= self._horizon]
        for request in order.requests:
            request.steps = tuple(step for step in request.steps if step.at <= self._horizon)
            request.shipped_back_at = self._known(request.shipped_back_at)
            request.refunded_at = self._known(request.refunded_at)
        order.reviews = [r for r in order.reviews if r.created_at <= self._horizon]
        for review in order.reviews:
            review.versions = tuple(v for v in review.versions if v.at <= self._horizon)
            self._maybe_add_contact(review)
        return order

    def _known(self, at: datetime | None) -> datetime | None:
        return at if at is not None and at <= self._horizon else None

    def _maybe_add_contact(self, review: Review) -> None:
        """Put a phone number, e-mail address or link into some texts that say something."""
        language = self._region.language
        last = review.versions[-1]
        if not last.text or last.text in texts.REVIEW_TEXTS[language][texts.VAGUE]:
            return
        if not self._contact.hit(_CONTACT_SHARE):
            return
        number, shop = self._next("contact"), self._shop_number
        phone = phone_number(self._region, shop, 90_000_000 + number)
        review.contact = (
            phone.replace("(", "").replace(")", " "),
            f"reviewer.{number:06d}@shop{shop}.mail.example",
            f"https://photos.example/shop{shop}/{number:06d}",
        )[(shop + number) % 3]
        sentence = texts.CONTACT_SENTENCES[language].format(contact=review.contact)
        review.versions = (
            *review.versions[:-1],
            ReviewVersion(last.at, last.rating, f"{last.text} {sentence}", last.issue_type),
        )

    # --- numbers ------------------------------------------------------------------------------

    def _next(self, kind: str) -> int:
        self._counters[kind] = self._counters.get(kind, 0) + 1
        return self._counters[kind]

    def _identifier(self, prefix: str, kind: str, digits: int) -> str:
        """A number that no other thing of the kind has, in this shop or another."""
        count_digits = digits - len(prefix) - 4 - 4
        return (
            f"{prefix}{self._shop_number:04d}"
            f"{self._next(kind):0{count_digits}d}{self._rng.randrange(10_000):04d}"
        )

    def _tracking(self, mark: str) -> str:
        number = self._next("tracking")
        return f"{self._region.tracking_prefix}{mark}{self._shop_number:03d}{number:08d}"


def _pick(rng: random.Random, weights: Mapping[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _share(amount: int, percent: int, step: int) -> int:
    return amount * percent // 100 // step * step


def _minutes(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)
