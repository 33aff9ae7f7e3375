"""Random shops: few orders, and every trap of the metric definitions among them.

A case is built from a `random.Random` that hypothesis owns. Sixty cases in one example would
be more choices than hypothesis takes, so by default it draws only a seed per shop; a test of
one shop can ask for `shrinkable` cases, where it draws each choice and can make them smaller.
"""

import random
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.reference.exports import (
    MISSING_IN_EXPORTS,
    MISSING_IN_OLDER_RETURNS,
    Draft,
    Style,
    build_case,
)
from tests.reference.model import Shop, ShopCase

Item = TypeVar("Item")
Row = dict[str, Any]

START = date(2024, 1, 8)
"""The first day an order can be created; the window of 29 February lies within."""
ORDER_DAYS = 70
LAST_DAY = START + timedelta(days=130)
"""No file is exported, hence nothing happens, after this day."""

PLACES = [
    ("ID", "Asia/Jakarta"),
    ("TH", "Asia/Bangkok"),
    ("VN", "Asia/Ho_Chi_Minh"),
    ("PH", "Asia/Manila"),
    ("MX", "America/Mexico_City"),
    ("BR", "America/Sao_Paulo"),
    ("GB", "Europe/London"),
    ("US", "America/Los_Angeles"),
]
TIMES = [time(0, 0, 0), time(8, 15, 30), time(12, 0, 0), time(16, 59, 59), time(23, 59, 59)]
NAMES = ["Café Mug", "Áo thun nam", "Krim Wajah", "สบู่ก้อน", "A\u030angström Lamp"]
REVIEW_CODES = [
    "defective_or_low_quality",
    "not_as_described",
    "misleading_listing",
    "suspected_counterfeit",
    "wrong_item",
    "missing_item",
    "slow_chat_reply",
    "rude_service",
    "late_delivery",
    "courier_issue",
    "no_comment",
    "unclassified",
]
NOT_REVIEW_CODES = ["damaged", "unmapped", "change_of_mind", "zzz_no_such_code"]
REVIEW_TEXTS = [
    "qwx zzt",
    "qwx\nzzt vbn",
    'qwx "zzt", vbn',
    "กขฃคฅ",
]
COMPLAINTS = [
    "broken",
    "not broken",
    "it is NOT at all Broken",
    "no charger in the box",
    "not late but wrong size",
    "sooo laaate",
    "a dead line of work",
    "the courier threw it",
    "don\u2019t work",
    "tidak rusak",
    "barang rusak",
    "salah kirim warna",
    "tak sampai lagi",
    "ของไม่แตก",
    "ของแตก",
    "แตกต่างจากที่คิด",
    "ส่งช้ามากกก",
    "เเตกหมด",
    "không hỏng",
    "hang bi hong",
    "màu hồng",
    "giao thiếu 1 cái",
    "hindi naman sira",
    "sira agad",
    "kulang ng isa",
    "não veio quebrado",
    "veio quebrado",
    "nao recebi o produto",
    "no llegó roto",
    "mala calidad",
    "falta una pieza",
    "没有坏",
    "坏了",
    "快递太慢",
    "颜色跟图片不一样",
    "love it 😍",
    "ok",
]
JOINTS = [" ", ", ", ". ", " but ", " and ", " tapi ", " แต่", "，", "\n", " 😡 "]
SELLER_REASONS = [
    "Product doesn't match description",
    "Product doesn\u2019t match description",
    "WRONG PRODUCT  SENT",
    " Poor quality ",
    "Damaged item or packaging",
    "Defective item",
    "สินค้าหมดอายุ",
    "สงสัยว่าเป็นของปลอม",
    "Kemasan atau produk rusak",
    "Received parcel, but some items were missing",
    "Empty parcel",
]
OTHER_REASONS = [
    "Package wasn\u2019t received",
    "Package didn't arrive on time",
    "ไม่ต้องการอีกต่อไป",
    "Change of mind",
    "Item is too big/long",
    "Congrats on meeting your refundable sample criteria!",
    "ต้องการเปลี่ยนวิธีการชำระเงิน",
    "Zzz no such reason",
    None,
]
REASON_CODES = [
    "ecom_order_delivered_refund_reason_wrong_product",
    "ECOM_order_delivered_refund_reason_defective",
    "buyer_refund_product_is_expired/spoiled",
    "buyer_refund_package_didn\u2019t_arrive_on_time",
    "ecom_order_delivered_refund_reason_no_need",
    "zzz_no_such_code",
]


COMPLAINT_TYPES = [
    ("After Sale", "Product quality"),
    ("AFTER  SALE", "Missing item"),
    ("After Sale", "Zzz no such subtype"),
    ("After Sale", None),
    ("Complaint", " poor service"),
    ("Fulfillment & Delivery", "Product quality"),
    ("Payments", None),
    ("Zzz no such type", "Product quality"),
    (None, None),
]


@dataclass(frozen=True)
class Sku:
    """A SKU of a random shop; those without a sku_id go by their seller_sku everywhere."""

    sku_id: str | None
    seller_sku: str
    name: str


class Ids:
    """Hands out digit-only ids of 18 or 19 places that no other shop has."""

    def __init__(self, index: int) -> None:
        """Start the ids of the shop with this index, 0 to 9999."""
        self.index = index
        self.serial = 0

    def next(self, kind: int) -> str:
        """Give the next id; `kind` is its first digit, and even ones are 19 digits long."""
        self.serial += 1
        return f"{kind}{self.index:04d}{self.serial:0{14 if kind % 2 == 0 else 13}d}"


def _chance(rng: random.Random, percent: int) -> bool:
    return rng.randint(1, 100) > 100 - percent


def _pick(rng: random.Random, items: list[Item]) -> Item:
    return items[rng.randint(0, len(items) - 1)]


def _at(rng: random.Random, day: date) -> datetime:
    return datetime.combine(day, _pick(rng, TIMES))


def _spelled(rng: random.Random, name: str) -> str:
    """Give a name as another export may spell it: the same after normalisation."""
    spelling = rng.randint(0, 6)
    if spelling == 1:
        return unicodedata.normalize("NFD", name)
    if spelling == 2:
        return unicodedata.normalize("NFC", name)
    if spelling == 3:
        return name.replace(" ", "   ")
    if spelling == 4:
        return f"  {name} "
    if spelling == 5:
        return name.replace(" ", "\u00a0 ")
    if spelling == 6:
        return f"\u3000{name}"
    return name


# ---------------------------------------------------------------- when files were exported


@dataclass(frozen=True)
class Moment:
    """When a file was exported, and the stamp that its name carries."""

    exported_at: datetime
    stamp: str


def _moments(rng: random.Random, dataset: str, count: int) -> list[Moment]:
    """Give the export moments of a dataset, oldest first, now and then two at the same time."""
    moments = []
    for number in range(count):
        earliest = (80 if _chance(rng, 70) else 30) if number == 0 else 8
        day = START + timedelta(days=rng.randint(earliest, (LAST_DAY - START).days))
        moments.append(_moment(rng, dataset, day))
    if _chance(rng, 20):
        moments.append(_pick(rng, moments))
    return sorted(moments, key=lambda moment: moment.exported_at)


def _moment(rng: random.Random, dataset: str, day: date) -> Moment:
    hour, minute = _pick(rng, [(17, 0), (9, 30), (22, 5)])
    exported_at = datetime.combine(day, time(hour, minute))
    if dataset == "products":
        return Moment(exported_at, f"{day:%Y%m%d}_{hour:02d}{minute:02d}")
    if dataset == "reviews" and _chance(rng, 50):
        return Moment(datetime.combine(day, time(23, 59, 59)), f"{day:%Y-%m-%d}")
    return Moment(exported_at, f"{day:%Y-%m-%d}-{hour:02d}_{minute:02d}")


_NAME_STARTS = {
    "orders": "All order-",
    "returns": "Return refund order-",
    "reviews": "reviews-",
    "products": "products_",
    "complaints": "complaints-",
    "chats": "chats-",
    "review_overrides": "review-overrides-",
    "platform_metrics": "platform-metrics-",
}
OWN_LAYOUTS = ("reviews", "complaints", "chats", "review_overrides")
"""Datasets of the project's own layout whose times may be written in several ways."""


class _Shop:
    """Collects the drafts of one random shop."""

    def __init__(self, rng: random.Random, index: int, max_orders: int, repeats: bool) -> None:
        self.rng = rng
        self.ids = Ids(index)
        region, timezone = _pick(rng, PLACES)
        self.shop = Shop(f"shop-{index:03d}", region, timezone)
        self.repeats = repeats
        self.drafts: list[Draft] = []
        self.products = [self.ids.next(6) for _ in range(rng.randint(1, 3))]
        names = NAMES[: rng.randint(1, 4)] + NAMES[4:]
        self.skus = [self._sku(names) for _ in range(rng.randint(1, 5))]
        self.order_count = rng.randint(1, max_orders)

    def _sku(self, names: list[str]) -> Sku:
        sku_id = None if _chance(self.rng, 15) else self.ids.next(1)
        return Sku(sku_id, f"S-{self.ids.next(3)[-4:]}", _pick(self.rng, names))

    def add(
        self, dataset: str, moment: Moment, rows: list[Row], missing: frozenset[str] = frozenset()
    ) -> None:
        """Add a file with these rows; its name is made from the moment's stamp."""
        times = ["naive", "spaced", "offset", "zulu"]
        style = Style(
            bom=_chance(self.rng, 30),
            tabs=_chance(self.rng, 50),
            description_row=dataset == "orders" and _chance(self.rng, 20),
            own_times=_pick(self.rng, times) if dataset in OWN_LAYOUTS else "naive",
        )
        name = self._free_name(dataset, moment)
        self.drafts.append(Draft(dataset, name, moment.exported_at, rows, missing, style))

    def _free_name(self, dataset: str, moment: Moment) -> str:
        taken = {draft.file_name for draft in self.drafts if draft.dataset == dataset}
        name = f"{_NAME_STARTS[dataset]}{moment.stamp}.csv"
        copy = 0
        while name in taken:
            copy += 1
            name = f"{_NAME_STARTS[dataset]}{moment.stamp} ({copy}).csv"
        return name

    def finish(self, dataset: str) -> None:
        """Add, now and then, what a quiet week brings: no rows at all, or the same bytes again."""
        if _chance(self.rng, 12):
            day = START + timedelta(days=self.rng.randint(60, (LAST_DAY - START).days))
            if not any(not draft.rows and draft.dataset == dataset for draft in self.drafts):
                self.add(dataset, _moment(self.rng, dataset, day), [])
        of_dataset = [draft for draft in self.drafts if draft.dataset == dataset]
        if of_dataset and _chance(self.rng, 12):
            again = _pick(self.rng, of_dataset)
            room = (LAST_DAY - again.exported_at.date()).days
            day = again.exported_at.date() + timedelta(days=self.rng.randint(0, room))
            moment = _moment(self.rng, dataset, day)
            if moment.exported_at > again.exported_at:
                name = self._free_name(dataset, moment)
                self.drafts.append(
                    Draft(dataset, name, moment.exported_at, again.rows, again.missing, again.style)
                )

    def case(self) -> ShopCase:
        """Build the case; without repeats, bytes that were seen before are left out."""
        if self.repeats:
            return build_case(self.shop, self.drafts)
        kept: list[Draft] = []
        for draft in self.drafts:
            ids = [(file.dataset, file.file_id) for file in build_case(self.shop, kept).files]
            (file,) = build_case(self.shop, [draft]).files
            if (file.dataset, file.file_id) not in ids:
                kept.append(draft)
        return build_case(self.shop, kept)


# ---------------------------------------------------------------- orders


@dataclass(frozen=True)
class Line:
    """What happens to an order line; from `corrected_at` on files say otherwise."""

    order_id: str
    sku: Sku
    created_at: datetime
    delivered_at: datetime | None
    corrected_at: datetime | None
    corrected_to: datetime | None

    def delivered_as_of(self, moment: datetime) -> datetime | None:
        """Give the Delivered Time that a file of this moment holds."""
        delivered_at = self.delivered_at
        if self.corrected_at is not None and self.corrected_at <= moment:
            delivered_at = self.corrected_to
        return delivered_at if delivered_at is None or delivered_at <= moment else None


def _order_lines(shop: _Shop) -> list[Line]:
    rng = shop.rng
    lines: list[Line] = []
    for _ in range(shop.order_count):
        order_id = shop.ids.next(5)
        created_at = _at(rng, START + timedelta(days=rng.randint(0, ORDER_DAYS)))
        skus = list(shop.skus)
        first_delivery: datetime | None = None
        for number in range(min(rng.randint(1, 3), len(skus))):
            sku = skus.pop(rng.randint(0, len(skus) - 1))
            delivered_at = _after(rng, created_at, 12)
            if number > 0 and first_delivery is not None and _chance(rng, 50):
                delivered_at = first_delivery
            first_delivery = delivered_at
            corrected_at = corrected_to = None
            if _chance(rng, 20):
                corrected_at = delivered_at + timedelta(days=rng.randint(1, 20))
                corrected_to = max(
                    created_at, delivered_at + timedelta(days=rng.randint(-6, 6), hours=1)
                )
                if corrected_to > corrected_at or _chance(rng, 20):
                    corrected_to = None
            is_delivered = _chance(rng, 85)
            lines.append(
                Line(
                    order_id,
                    sku,
                    created_at,
                    delivered_at if is_delivered else None,
                    corrected_at if is_delivered else None,
                    corrected_to,
                )
            )
    return lines


def _after(rng: random.Random, moment: datetime, days: int) -> datetime:
    later = _at(rng, moment.date() + timedelta(days=rng.randint(0, days)))
    return max(later, moment)


def _add_orders(shop: _Shop, lines: list[Line]) -> None:
    rng = shop.rng
    previous: Moment | None = None
    moments = _moments(rng, "orders", rng.randint(1, 4))
    for moment in moments:
        # The last file reaches far back: a shop that knows few of its orders closes a gate.
        reach = [200, 90] if moment == moments[-1] else [200, 60, 35]
        lookback = timedelta(days=_pick(rng, reach))
        rows = []
        for line in lines:
            if not moment.exported_at - lookback <= line.created_at <= moment.exported_at:
                continue
            row = _order_row(rng, line, moment.exported_at)
            if moment == previous and _chance(rng, 30):
                row["delivered_at"] = _pick(rng, [None, line.created_at])
            rows.append(row)
            if _chance(rng, 4):
                rows.append(_order_row(rng, line, moment.exported_at))
        previous = moment
        shop.add("orders", moment, rows)
    shop.finish("orders")


def _order_row(rng: random.Random, line: Line, moment: datetime) -> Row:
    name = _pick(rng, NAMES) if _chance(rng, 6) else line.sku.name
    return {
        "order_id": line.order_id,
        "sku_id": line.sku.sku_id,
        "seller_sku": line.sku.seller_sku,
        "product_name": _spelled(rng, name),
        "created_at": line.created_at,
        "delivered_at": line.delivered_as_of(moment),
    }


# ---------------------------------------------------------------- products


def _add_products(shop: _Shop) -> None:
    rng = shop.rng
    only_listed = [shop._sku(NAMES) for _ in range(rng.randint(0, 2))]
    for moment in _moments(rng, "products", rng.randint(1, 2)):
        rows = []
        for sku in shop.skus + only_listed:
            for _ in range(2 if _chance(rng, 5) else 1):
                if _chance(rng, 55):
                    rows.append(
                        {
                            "product_id": _pick(rng, shop.products),
                            "sku_id": sku.sku_id,
                            "seller_sku": sku.seller_sku,
                            "product_name": _spelled(rng, sku.name),
                        }
                    )
        shop.add("products", moment, rows)


# ---------------------------------------------------------------- reviews


def _feedback_time(rng: random.Random, lines: list[Line]) -> datetime:
    """Give a time about an order's delivery: before, after, or at the window's edge."""
    deliveries = [line.delivered_at for line in lines if line.delivered_at is not None]
    base = min(deliveries) if deliveries else lines[0].created_at
    days = _pick(rng, [rng.randint(0, 25), rng.randint(0, 25), -3, -1, 28, 29, 30, 31, 45])
    return _at(rng, base.date() + timedelta(days=days))


def _orders_of(lines: list[Line]) -> list[list[Line]]:
    orders: dict[str, list[Line]] = {}
    for line in lines:
        orders.setdefault(line.order_id, []).append(line)
    return list(orders.values())


def _review_states(shop: _Shop, lines: list[Line]) -> list[list[Row]]:
    """Give, for each review, its states over time, first one first."""
    rng = shop.rng
    reviews = []
    for order in _orders_of(lines):
        for _ in range(_pick(rng, [0, 1, 1, 1, 2])):
            order_id = shop.ids.next(5) if _chance(rng, 4) else order[0].order_id
            created_at = _feedback_time(rng, order)
            first: Row = {
                "review_id": shop.ids.next(7),
                "order_id": order_id,
                **_review_target(shop, order),
                **_judgement(rng),
                "created_at": created_at,
                "updated_at": created_at if _chance(rng, 30) else None,
            }
            states = [first]
            for _ in range(_pick(rng, [0, 0, 0, 1, 1, 2])):
                edited_at = states[-1]["updated_at"] or created_at
                edited_at = _after(rng, edited_at, 20) + timedelta(minutes=1)
                edit: Row = {**states[-1], **_judgement(rng), "updated_at": edited_at}
                if _chance(rng, 25):
                    edit |= _review_target(shop, order)
                if _chance(rng, 5):
                    edit["created_at"] = created_at - timedelta(days=1)
                states.append(edit)
            reviews.append(states)
    return reviews


def _review_target(shop: _Shop, order: list[Line]) -> Row:
    rng = shop.rng
    sku_id = _pick(rng, order).sku.sku_id
    product_id: str | None = _pick(rng, shop.products)
    kind = rng.randint(0, 19)
    if kind < 5:
        product_id = None
    elif kind < 9:
        sku_id = None
    elif kind < 14:
        sku_id = product_id = None
    elif kind == 14:
        sku_id = _pick(rng, shop.skus).sku_id
        product_id = None
    elif kind == 15:
        sku_id, product_id = shop.ids.next(1), None
    elif kind == 16:
        sku_id = shop.ids.next(1)
    return {"sku_id": sku_id, "product_id": product_id}


def _comment(rng: random.Random) -> str:
    comment: str = _pick(rng, COMPLAINTS)
    for _ in range(_pick(rng, [0, 0, 1, 2])):
        comment += _pick(rng, JOINTS) + _pick(rng, COMPLAINTS)
    return comment


def _judgement(rng: random.Random) -> Row:
    texts: list[str | None] = [None, "   ", *REVIEW_TEXTS]
    texts += [_comment(rng) for _ in texts]
    issues: list[str | None] = [None, None, _pick(rng, REVIEW_CODES), _pick(rng, REVIEW_CODES)]
    issue_type = _pick(rng, NOT_REVIEW_CODES) if _chance(rng, 10) else _pick(rng, issues)
    return {
        "rating": _pick(rng, [1, 2, 1, 2, 3, 4, 5]),
        "review_text": _pick(rng, texts),
        "issue_type": issue_type,
    }


def _add_reviews(shop: _Shop, lines: list[Line]) -> None:
    rng = shop.rng
    reviews = _review_states(shop, lines)
    for moment in _moments(rng, "reviews", rng.randint(1, 3)):
        lookback = timedelta(days=_pick(rng, [200, 60]))
        rows = []
        for states in reviews:
            known = [
                state
                for state in states
                if (state["updated_at"] or state["created_at"]) <= moment.exported_at
            ]
            if not known or known[0]["created_at"] < moment.exported_at - lookback:
                continue
            rows.append(known[0] if _chance(rng, 10) else known[-1])
            if _chance(rng, 8):
                rows.append(known[0])
        shop.add("reviews", moment, rows)
    shop.finish("reviews")
    if _chance(rng, 60):
        _add_overrides(shop, [states[0] for states in reviews])


def _add_overrides(shop: _Shop, reviews: list[Row]) -> None:
    rng = shop.rng
    decisions: list[Row] = []
    for review in reviews:
        decided_at = review["created_at"]
        for _ in range(_pick(rng, [0, 0, 1, 1, 2])):
            decided_at = _after(rng, decided_at, 15)
            code = _pick(rng, NOT_REVIEW_CODES if _chance(rng, 20) else REVIEW_CODES)
            decisions.append(
                {
                    "review_id": review["review_id"],
                    "reason_code": _pick(rng, [code, code, code.title(), None]),
                    "decided_at": decided_at,
                }
            )
    for moment in _moments(rng, "review_overrides", rng.randint(1, 2)):
        rows = [row for row in decisions if row["decided_at"] <= moment.exported_at]
        shop.add("review_overrides", moment, rows[rng.randint(0, 3) :])


# ---------------------------------------------------------------- returns


@dataclass(frozen=True)
class Request:
    """What happens to a return request line; from `settled_at` on files say how it ended."""

    fields: Row
    settled_at: datetime
    settled: Row

    def row_as_of(self, moment: datetime) -> Row:
        """Give the row that a file of this moment holds."""
        return {**self.fields, **(self.settled if self.settled_at <= moment else {})}


def _requests(shop: _Shop, lines: list[Line]) -> list[Request]:
    rng = shop.rng
    requests = []
    for order in _orders_of(lines):
        for _ in range(_pick(rng, [0, 0, 0, 1, 1, 2])):
            order_id = shop.ids.next(5) if _chance(rng, 3) else order[0].order_id
            return_order_id = shop.ids.next(4)
            requested_at = _feedback_time(rng, order)
            for line in order[: rng.randint(1, 2)]:
                requests.append(_request(shop, order_id, return_order_id, requested_at, line.sku))
    return requests


def _request(
    shop: _Shop, order_id: str, return_order_id: str, requested_at: datetime, sku: Sku
) -> Request:
    rng = shop.rng
    sku_id: str | None = sku.sku_id
    seller_sku: str | None = sku.seller_sku
    if _chance(rng, 20):
        sku_id = seller_sku = None
    elif _chance(rng, 4):
        sku_id, seller_sku = shop.ids.next(1), None
    reasons: list[str | None] = [*SELLER_REASONS]
    settled_at = _after(rng, requested_at, 20)
    statuses: list[tuple[str | None, str | None]] = [
        ("Completed", None),
        ("Completed", "Refund issued"),
        ("Refund rejected", None),
        ("Rejected", None),
        ("Canceled", "Request Canceled"),
        ("Cancelled", None),
        ("In process", "Request Canceled"),
        ("To process", "Request Canceled"),
        (None, "Request Canceled"),
        (None, None),
        ("In process", None),
        ("Zzz no such status", None),
        ("Completed", "Zzz no such sub status"),
    ]
    status, sub_status = _pick(rng, statuses)
    arbitration = _pick(rng, [None, None, None, "SUPPORT_SELLER", "SUPPORT_BUYER", "ZZZ_NO_STATE"])
    return Request(
        {
            "return_order_id": return_order_id,
            "order_id": order_id,
            "sku_id": sku_id,
            "seller_sku": seller_sku,
            "requested_at": requested_at,
            "return_reason": _pick(rng, OTHER_REASONS if _chance(rng, 30) else reasons),
            "return_status": _pick(rng, ["To process", "In process", None]),
            "return_sub_status": None,
            "refunded_at": None,
            "return_reason_code": _pick(rng, REASON_CODES) if _chance(rng, 40) else None,
            "arbitration_status": _pick(rng, [None, "IN_PROGRESS"]),
        },
        settled_at,
        {
            "return_status": status,
            "return_sub_status": sub_status,
            "arbitration_status": arbitration,
            "refunded_at": settled_at if status == "Completed" or _chance(rng, 10) else None,
        },
    )


def _add_returns(shop: _Shop, lines: list[Line]) -> None:
    rng = shop.rng
    requests = _requests(shop, lines)
    for moment in _moments(rng, "returns", rng.randint(1, 5)):
        missing = MISSING_IN_OLDER_RETURNS if _chance(rng, 45) else frozenset[str]()
        if _chance(rng, 60):
            missing |= MISSING_IN_EXPORTS
        lookback = timedelta(days=_pick(rng, [200, 90, 45]))
        rows = []
        for request in requests:
            requested_at = request.fields["requested_at"]
            if moment.exported_at - lookback <= requested_at <= moment.exported_at:
                rows.append(request.row_as_of(moment.exported_at))
        shop.add("returns", moment, rows, missing)
    shop.finish("returns")


# ---------------------------------------------------------------- complaints


def _add_complaints(shop: _Shop, lines: list[Line]) -> None:
    rng = shop.rng
    complaints: list[Row] = []
    for order in _orders_of(lines):
        if not _chance(rng, 35):
            continue
        created_at = _feedback_time(rng, order)
        sku_ids = [None, _pick(rng, order).sku.sku_id, _pick(rng, shop.skus).sku_id]
        order_ids = [order[0].order_id] * 8 + [None, shop.ids.next(5)]
        complaints.append(
            {
                "complaint_id": shop.ids.next(8),
                "order_id": _pick(rng, order_ids),
                "sku_id": shop.ids.next(1) if _chance(rng, 5) else _pick(rng, sku_ids),
                "created_at": created_at,
                "resolved_at": _after(rng, created_at, 20) if _chance(rng, 60) else None,
                **_complaint_type(rng),
            }
        )
    for moment in _moments(rng, "complaints", rng.randint(1, 3)):
        rows = []
        for complaint in complaints:
            if complaint["created_at"] > moment.exported_at:
                continue
            is_open = (complaint["resolved_at"] or datetime.max) > moment.exported_at
            row = {**complaint, **({"resolved_at": None} if is_open else {})}
            rows.append({**row, **(_complaint_type(rng) if _chance(rng, 5) else {})})
        shop.add("complaints", moment, rows)
    shop.finish("complaints")


# ---------------------------------------------------------------- what the platform shows

SHOWN = [0.0, 0.0045, 0.0769, 0.1, 0.1429, 0.2, 0.25, 0.3333, 0.4, 0.5, 0.6667, 1.0]
"""Shares such as few orders give, rounded as a screen rounds them."""


def _add_platform_metrics(shop: _Shop) -> None:
    rng = shop.rng
    metrics = ["nrr", "NRR", "sfrr", "nrr_seller", "nrr_product", "zzz_no_such_metric"]
    noted: list[Row] = [
        {
            "metric_date": START + timedelta(days=rng.randint(20, (LAST_DAY - START).days)),
            "metric": _pick(rng, metrics),
            "value": _pick(rng, SHOWN),
            "window_days": _pick(rng, [None, 30, 30, 60, 45]),
        }
        for _ in range(rng.randint(5, 60))
    ]
    for moment in _moments(rng, "platform_metrics", rng.randint(1, 3)):
        rows = []
        for row in noted:
            if row["metric_date"] <= moment.exported_at.date() and _chance(rng, 80):
                rows.append({**row, "value": _pick(rng, SHOWN)} if _chance(rng, 10) else row)
        shop.add("platform_metrics", moment, rows)
    shop.finish("platform_metrics")


def _complaint_type(rng: random.Random) -> Row:
    complaint_type, subtype = _pick(rng, COMPLAINT_TYPES)
    return {"complaint_type": complaint_type, "complaint_subtype": subtype}


# ---------------------------------------------------------------- chats


def _add_chats(shop: _Shop) -> None:
    rng = shop.rng
    chats: list[Row] = []
    for _ in range(rng.randint(0, 2 * shop.order_count)):
        started_at = _at(rng, START + timedelta(days=rng.randint(0, ORDER_DAYS + 30)))
        hours = _pick(rng, [0, 1, 5, 11, 12, 13, 30, 24 * 29, 24 * 40])
        seconds = _pick(rng, [-1, 0, 1, 1234])
        replied_at = started_at + timedelta(hours=hours, seconds=seconds)
        chats.append(
            {
                "conversation_id": shop.ids.next(9),
                "started_at": started_at,
                "first_reply_at": replied_at if _chance(rng, 80) else None,
                "initiated_by": _pick(rng, ["buyer", "buyer", "Buyer", None, "seller", " SELLER"]),
            }
        )
    for moment in _moments(rng, "chats", rng.randint(1, 4)):
        lookback = timedelta(days=_pick(rng, [200, 60, 7]))
        rows = []
        for chat in chats:
            if not moment.exported_at - lookback <= chat["started_at"] <= moment.exported_at:
                continue
            is_open = (chat["first_reply_at"] or datetime.max) > moment.exported_at
            row = {**chat, **({"first_reply_at": None} if is_open else {})}
            rows.append(row)
            if _chance(rng, 5):
                rows.append({**row, "started_at": row["started_at"] - timedelta(days=1)})
        shop.add("chats", moment, rows)
    shop.finish("chats")


# ---------------------------------------------------------------- strategies


def generate_shop(
    rng: random.Random, index: int, max_orders: int = 25, repeats: bool = True
) -> ShopCase:
    """Build one random shop; `repeats` allows the same bytes under two names and dates."""
    shop = _Shop(rng, index, max_orders, repeats)
    lines = _order_lines(shop)
    if _chance(rng, 97):
        _add_orders(shop, lines)
    if _chance(rng, 55):
        _add_products(shop)
    if _chance(rng, 85):
        _add_reviews(shop, lines)
    if _chance(rng, 85):
        _add_returns(shop, lines)
    if _chance(rng, 60):
        _add_complaints(shop, lines)
    if _chance(rng, 70):
        _add_platform_metrics(shop)
        _add_chats(shop)
    return shop.case()


@st.composite
def shop_case(
    draw: st.DrawFn,
    index: int = 0,
    max_orders: int = 25,
    repeats: bool = True,
    shrinkable: bool = False,
    salt: str = "",
) -> ShopCase:
    """Draw one shop's random case; its ids are its index's own.

    Unless `shrinkable`, hypothesis draws one seed, which is mixed with the index and the salt so
    that even its simplest example is a case worth having.
    """
    rng = draw(st.randoms(use_true_random=not shrinkable, note_method_calls=False))
    if not shrinkable:
        rng = random.Random(f"{salt}:{index}:{rng.getrandbits(64)}")
    return generate_shop(rng, index, max_orders, repeats)


@st.composite
def shop_cases(
    draw: st.DrawFn, count: int, max_orders: int = 25, repeats: bool = True, salt: str = ""
) -> list[ShopCase]:
    """Draw `count` shops that make up one data directory."""
    return [
        draw(shop_case(index, max_orders=max_orders, repeats=repeats, salt=salt))
        for index in range(count)
    ]


def metric_days(shift: int = 0) -> st.SearchStrategy[date]:
    """Draw an as_of from before the first delivery to after the last export.

    Hypothesis's simplest one is a day with much behind it; `shift` moves that day.
    """
    days = (LAST_DAY - START).days
    return st.integers(0, days - 1).map(
        lambda step: START + timedelta(days=12 + (step + 75 + 13 * shift) % days)
    )
