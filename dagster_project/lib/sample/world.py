"""Makes up what happens in a sample shop, one day of new orders at a time."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final

from dagster_project.lib.sample import texts
from dagster_project.lib.sample.care import Care
from dagster_project.lib.sample.chance import Chance, whole
from dagster_project.lib.sample.events import Chat, Line, Order, Parcel, Product, Sku
from dagster_project.lib.sample.layouts import LAYOUTS
from dagster_project.lib.sample.people import People
from dagster_project.lib.sample.regions import CASH_ON_DELIVERY, Region
from dagster_project.lib.sample.returns import Returns
from dagster_project.lib.sample.reviews import Reviews

ARRIVES_WITHIN: Final = timedelta(days=26)
"""Longest time from an order's creation to the delivery of its last parcel."""

_MULTI_SKU_SHARE: Final = 0.12
_SPLIT_SHARE: Final = 0.25
_CANCELLED_SHARE: Final = 0.031
_LOST_SHARE: Final = 0.004
_LATE_SHARE: Final = 0.03

_TROUBLED_FACTOR: Final = 3.0
_UNTROUBLED_FACTOR: Final = 0.65

_HOUR_WEIGHTS: Final = (2, 1, 1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 9, 8, 7, 7, 7, 7, 8, 10, 12, 12, 9, 5)


class World:
    """One shop's events up to `horizon`, the moment of its last export.

    Everything comes from random streams of the shop's own, one of them for complaints and chats, so
    a shop does not change when others are added. Ask for the days in order.
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
        self._chance = chance = Chance(region, shop_number, seed)
        self._rng = chance.rng
        self._region = region
        self._orders_per_day = orders_per_day
        self._horizon = horizon
        self._people = People(region, shop_number, LAYOUTS[region.code].order_columns, self._rng)
        self.skus = self._stock()
        self._popularity = [1 / (1 + rank) ** 0.5 for rank in range(len(self.skus))]
        self._quiet_days = self._quiet(first_day, horizon.date())
        self._reviews = Reviews(chance)
        self._returns = Returns(chance)
        self._care = Care(Chance(region, shop_number, f"{seed}:care"))
        self._lost = chance.quota()

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

    def chats_of(self, day: date) -> list[Chat]:
        """The chats that began on `day`, as far as the sample will ever know them."""
        chats = self._care.chats_of(day, most=1 + self._orders_per_day // 5)
        for chat in chats:
            chat.first_reply_at = self._known(chat.first_reply_at)
        return [chat for chat in chats if chat.started_at <= self._horizon]

    # --- the shop -----------------------------------------------------------------------------

    def _stock(self) -> list[Sku]:
        skus = []
        for rank, ware in enumerate(self._region.wares):
            product = Product(
                product_id=self._chance.identifier("173", "product", 19),
                name=ware.name,
                category=ware.category,
                is_named_in_reviews=self._region.has_product_export or rank % 2 == 0,
            )
            for number, variation in enumerate(ware.variations, start=1):
                step = self._region.price_step
                price = ware.price + step * round(ware.price * 0.1 * (number - 1) / step)
                skus.append(
                    Sku(
                        sku_id=self._chance.identifier("172", "sku", 19),
                        seller_sku=f"{self._region.code}-{rank + 1:03d}-{number}",
                        variation=variation,
                        price=price,
                        product=product,
                    )
                )
        self._rng.shuffle(skus)
        return skus

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
        ready_at = created_at if is_cash else whole(created_at + _minutes(rng.uniform(0.5, 40)))
        buyer = self._people.someone()
        order_id = self._chance.identifier("57", "order", 18)
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
            self._returns.ask_for_lost_parcel(order)
        elif lines[0].parcel.rts_at is None:
            self._returns.report_cancellation(order)
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
            package_id=self._chance.identifier("11", "package", 18),
            tracking_id=self._chance.tracking_id(),
            carrier=rng.choice(region.carriers),
            rts_at=whole(rts_at),
            shipped_at=whole(shipped_at),
            delivered_at=whole(max(delivered_at, shipped_at + timedelta(hours=3))),
        )

    def _cancel(self, ready_at: datetime, lines: Iterable[Line]) -> tuple[datetime, str, str]:
        rng = self._rng
        parcels = [line.parcel for line in lines]
        for parcel in parcels:
            parcel.delivered_at = None
        shipped = [parcel.shipped_at for parcel in parcels if parcel.shipped_at is not None]
        if rng.random() < 0.2:
            failed_at = max(shipped) + timedelta(days=rng.uniform(6, 10))
            return whole(failed_at), "System", texts.FAILED_DELIVERY
        for parcel in parcels:
            parcel.rts_at = parcel.shipped_at = None
        by = rng.choice(("User", "User", "Seller"))
        cancelled_at = ready_at + timedelta(days=rng.uniform(0.01, 0.1))
        return whole(cancelled_at), by, rng.choice(texts.CANCEL_REASONS)

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

    def _add_feedback(self, order: Order) -> None:
        is_troubled = any(self._chance.is_troubled(line) for line in order.lines)
        factor = _TROUBLED_FACTOR if is_troubled else _UNTROUBLED_FACTOR
        self._reviews.add(order, self._region.rates.negative * factor)
        self._returns.add(order, self._region.rates.seller_fault * factor)
        self._care.complain(order, self._region.rates.negative * factor)

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
            self._reviews.maybe_add_contact(review)
        order.complaints = [c for c in order.complaints if c.created_at <= self._horizon]
        for complaint in order.complaints:
            complaint.resolved_at = self._known(complaint.resolved_at)
        return order

    def _known(self, at: datetime | None) -> datetime | None:
        return at if at is not None and at <= self._horizon else None


def _share(amount: int, percent: int, step: int) -> int:
    return amount * percent // 100 // step * step


def _minutes(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)
