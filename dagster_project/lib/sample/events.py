"""What happened in a sample shop: orders with all that came of them, and chats.

All times are naive and shop-local. A time is None when the thing has not happened by the end of
the sample, so whatever stands here is known to the last export.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from dagster_project.lib.sample.people import Buyer


@dataclass(frozen=True, slots=True)
class Product:
    """A product; `is_named_in_reviews` is False when reviews never give its product_id."""

    product_id: str
    name: str
    category: str
    is_named_in_reviews: bool


@dataclass(frozen=True, slots=True)
class Sku:
    """A variation of a product; `price` in the smallest unit of the currency that files show."""

    sku_id: str
    seller_sku: str
    variation: str
    price: int
    product: Product


@dataclass(slots=True)
class Parcel:
    """One parcel of an order."""

    package_id: str
    tracking_id: str
    carrier: str
    rts_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None


@dataclass(slots=True)
class Line:
    """One SKU of an order; the discounts are for the whole line."""

    sku: Sku
    quantity: int
    platform_discount: int
    seller_discount: int
    parcel: Parcel

    @property
    def subtotal(self) -> int:
        """Price of the line before discounts."""
        return self.sku.price * self.quantity

    @property
    def paid(self) -> int:
        """Price of the line after discounts."""
        return self.subtotal - self.platform_discount - self.seller_discount


@dataclass(frozen=True, slots=True)
class Step:
    """A state that a return request enters."""

    at: datetime
    status: str
    sub_status: str


@dataclass(slots=True)
class Request:
    """A return or refund request with the states it went through, oldest first."""

    return_id: str
    order: "Order"
    lines: tuple[Line, ...]
    requested_at: datetime
    reason_code: str
    reason_text: str
    return_type: str
    steps: tuple[Step, ...]
    shipped_back_at: datetime | None
    refunded_at: datetime | None
    tracking_id: str
    note: str
    is_flagged_in_orders: bool

    def state(self, at: datetime) -> Step:
        """The state at a time not before the request."""
        return max((step for step in self.steps if step.at <= at), key=lambda step: step.at)


@dataclass(frozen=True, slots=True)
class ReviewVersion:
    """What a review said from `at` on; what it is about may stand in its text alone."""

    at: datetime
    rating: int
    text: str
    issue: str
    is_issue_exported: bool = True

    @property
    def issue_type(self) -> str:
        """The issue as the export has it, often not at all."""
        return self.issue if self.is_issue_exported else ""


@dataclass(slots=True)
class Review:
    """A review of one product of an order; the first version is the review as written.

    `contact` is a phone number, e-mail address or link that stands in the latest text, if any.
    """

    review_id: str
    order_id: str
    product_id: str
    sku_id: str
    versions: tuple[ReviewVersion, ...]
    contact: str = ""

    @property
    def created_at(self) -> datetime:
        """When the review was written."""
        return self.versions[0].at

    @property
    def changed_at(self) -> datetime:
        """When the review was last written or edited."""
        return self.versions[-1].at

    def version(self, at: datetime) -> ReviewVersion:
        """What the review says at a time not before it was written."""
        return max((v for v in self.versions if v.at <= at), key=lambda v: v.at)


@dataclass(slots=True)
class Complaint:
    """A complaint through an after-sales channel; `complaint_subtype` may be empty."""

    complaint_id: str
    order_id: str
    sku_id: str
    complaint_type: str
    complaint_subtype: str
    detail: str
    created_at: datetime
    resolved_at: datetime | None


@dataclass(slots=True)
class Chat:
    """A conversation and when the shop first replied."""

    conversation_id: str
    started_at: datetime
    first_reply_at: datetime | None
    initiated_by: str
    is_automated_reply: bool


@dataclass(slots=True)
class Order:
    """An order and all that came of it."""

    order_id: str
    buyer: Buyer
    created_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str
    cancel_reason: str
    payment_method: str
    is_preorder: bool
    message: str
    invoice: str
    shipping_fee: int
    shipping_discount: int
    fees: dict[str, int]
    lines: tuple[Line, ...]
    requests: list[Request] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)

    @property
    def amount(self) -> int:
        """What the buyer pays for the whole order."""
        return (
            sum(line.paid for line in self.lines)
            + self.shipping_fee
            - self.shipping_discount
            + sum(self.fees.values())
        )

    @property
    def delivered_dates(self) -> list[date]:
        """The shop days on which its lines were delivered."""
        return [
            line.parcel.delivered_at.date()
            for line in self.lines
            if line.parcel.delivered_at is not None
        ]

    def personal_strings(self) -> Iterator[str]:
        """Personal data of the order that the exports show, line by line where it has lines."""
        yield from self.buyer.personal
        yield from self.message.splitlines()
        for line in self.lines:
            if line.parcel.rts_at is not None:
                yield line.parcel.tracking_id
        for request in self.requests:
            yield from request.note.splitlines()
            if request.shipped_back_at is not None:
                yield request.tracking_id
