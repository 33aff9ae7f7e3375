"""The inputs of the reference: what export files say, row by row, and the settings.

All date-times are naive and shop-local. A blank cell is None.
"""

import csv
import functools
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

SEEDS = Path(__file__).parents[2] / "dbt_project" / "seeds"


@dataclass(frozen=True)
class Shop:
    """A seller's shop; `timezone` is an IANA name."""

    shop_id: str
    region: str
    timezone: str


@dataclass(frozen=True)
class File:
    """One export file; `file_id` is the sha-256 of its bytes."""

    shop_id: str
    dataset: str
    file_name: str
    exported_at: datetime
    file_id: str


@dataclass(frozen=True)
class Version:
    """One row of a file: a state of a record at one export.

    `missing` names the fields for which the file's layout has no column, which is not the same
    as a blank cell.
    """

    file: File
    row_number: int
    missing: frozenset[str] = field(default_factory=frozenset, kw_only=True)


@dataclass(frozen=True)
class OrderLine(Version):
    """A row of the orders export: one SKU of one order."""

    order_id: str
    sku_id: str | None
    seller_sku: str | None
    product_name: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True)
class Review(Version):
    """A row of the reviews export."""

    review_id: str
    order_id: str
    product_id: str | None
    sku_id: str | None
    rating: int
    review_text: str | None
    created_at: datetime
    updated_at: datetime | None
    issue_type: str | None


@dataclass(frozen=True)
class ReturnLine(Version):
    """A row of the returns export: one SKU of one return or refund request."""

    return_order_id: str
    order_id: str
    sku_id: str | None
    seller_sku: str | None
    requested_at: datetime
    return_reason: str | None
    return_status: str | None
    return_sub_status: str | None
    refunded_at: datetime | None
    return_reason_code: str | None = None
    arbitration_status: str | None = None


@dataclass(frozen=True)
class Complaint(Version):
    """A row of the complaints export."""

    complaint_id: str
    order_id: str | None
    sku_id: str | None
    complaint_type: str | None
    complaint_subtype: str | None
    created_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Chat(Version):
    """A row of the chats export; a blank `initiated_by` is the buyer."""

    conversation_id: str
    started_at: datetime
    first_reply_at: datetime | None
    initiated_by: str | None


@dataclass(frozen=True)
class ReviewOverride(Version):
    """A row of the review overrides: a person's decision on a review's reason, None = none."""

    review_id: str
    reason_code: str | None
    decided_at: datetime


@dataclass(frozen=True)
class Product(Version):
    """A row of the products export: one SKU of the catalogue."""

    product_id: str | None
    sku_id: str | None
    seller_sku: str | None
    product_name: str | None


@dataclass(frozen=True)
class PlatformMetric(Version):
    """A row of the platform metrics: a figure that the seller noted from the screen."""

    metric_date: date
    metric: str
    value: float
    window_days: int | None


@dataclass(frozen=True)
class ShopCase:
    """All that was ever exported for one shop, with the rendered bytes of each file if any."""

    shop: Shop
    files: tuple[File, ...] = ()
    order_lines: tuple[OrderLine, ...] = ()
    reviews: tuple[Review, ...] = ()
    return_lines: tuple[ReturnLine, ...] = ()
    products: tuple[Product, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    chats: tuple[Chat, ...] = ()
    overrides: tuple[ReviewOverride, ...] = ()
    platform_metrics: tuple[PlatformMetric, ...] = ()
    contents: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One row of the reason list; both validity dates are included, as in all settings here."""

    reason_code: str
    category: str
    fault: str
    on_reviews: bool
    on_returns: bool
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class ReasonText:
    """A text of the Return Reason column, or a platform code, and the reason it stands for."""

    text: str
    reason_code: str
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class Outcome:
    """A text of a status column, whether it voids the request and whether it says: rejected."""

    status: str
    voids: bool
    is_rejection: bool = field(default=False, kw_only=True)
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class Variant:
    """Another definition of a metric; None leaves the choice as it is without the variant."""

    code: str
    metric: str
    window_days: int | None = None
    denominator: str | None = None
    anchor: str | None = None
    rating: str | None = None
    rejected: str | None = None
    empty_comments: str | None = None
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class ComplaintType:
    """What a type of complaint stands for; without a subtype it is for all that have no row."""

    type: str
    subtype: str | None
    reason_code: str
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class ClassificationRule:
    """A row of the classification rules; reason_code may be (negation) or (break)."""

    pattern: str
    reason_code: str
    rule_id: str = "rule"
    language: str = "en"
    unless: str | None = None
    priority: int = 0
    valid_from: date = date.min
    valid_to: date = date.max


@dataclass(frozen=True)
class Target:
    """What a metric is to stay below in a region, or in one shop of it."""

    region: str
    metric: str
    target: float
    valid_from: date = date.min
    valid_to: date = date.max
    shop_id: str | None = None
    confidence: str = "official"


def _default_targets() -> tuple[Target, ...]:
    """Give the targets that a source states."""
    thai = [
        Target("TH", metric, 0.005, date(2025, 6, 18))
        for metric in ("nrr_seller", "nrr_product", "nrr_service")
    ]
    chats = [
        Target(region, "chat_reply_rate", 0.85, date(2025, 8, 15), confidence="third_party")
        for region in ("ID", "MY", "PH", "SG", "TH", "VN")
    ]
    return (
        *thai,
        *chats,
        Target("VN", "nrr", 0.005, date(2023, 11, 13), confidence="third_party"),
        Target("ID", "sfrr", 0.015, date(2025, 9, 4)),
        Target("MY", "sfrr", 0.015, date(2026, 3, 11), confidence="third_party"),
    )


def _default_reasons() -> tuple[Reason, ...]:
    """Give the reason list of the metric definitions, section Reasons, and those of complaints."""
    review, returned, both, neither = (True, False), (False, True), (True, True), (False, False)
    rows = [
        ("defective_or_low_quality", "product", "seller", review),
        ("defective", "product", "seller", returned),
        ("poor_quality", "product", "seller", returned),
        ("expired", "product", "seller", returned),
        ("not_as_described", "product", "seller", both),
        ("misleading_listing", "product", "seller", review),
        ("suspected_counterfeit", "product", "seller", both),
        ("damaged", "product", "seller", returned),
        ("wrong_item", "service", "seller", both),
        ("missing_item", "service", "seller", both),
        ("empty_parcel", "service", "seller", returned),
        ("slow_chat_reply", "service", "seller", review),
        ("rude_service", "service", "seller", review),
        ("late_delivery", "logistics", "logistics", both),
        ("courier_issue", "logistics", "logistics", review),
        ("not_received", "logistics", "logistics", returned),
        ("no_longer_needed", "buyer", "buyer", returned),
        ("change_of_mind", "buyer", "buyer", returned),
        ("size_unsuitable", "buyer", "buyer", returned),
        ("free_sample_refund", "platform", "platform", returned),
        ("cancel_before_shipment", "buyer", "buyer", returned),
        ("no_comment", "other", "unknown", review),
        ("unclassified", "other", "unknown", review),
        ("unmapped", "other", "unknown", returned),
        ("poor_service", "service", "seller", neither),
        ("delivery_issue", "logistics", "logistics", neither),
        ("platform_issue", "platform", "platform", neither),
    ]
    return tuple(Reason(code, category, fault, *marks) for code, category, fault, marks in rows)


_TEXTS_OF_REASON = {
    "not_as_described": [
        "Product doesn't match description",
        "สินค้าไม่ตรงกับคำอธิบาย",
        "Produk tidak sesuai deskripsi",
    ],
    "wrong_item": [
        "Wrong product sent",
        "Wrong product was sent",
        "Wrong item was sent",
        "สินค้าไม่ถูกต้อง/ส่งสินค้าผิด",
    ],
    "poor_quality": ["Poor quality"],
    "damaged": [
        "Package or product is damaged",
        "Damaged item or packaging",
        "พัสดุหรือสินค้าเสียหาย",
        "บรรจุภัณฑ์เสียหาย",
        "Kemasan atau produk rusak",
    ],
    "defective": [
        "Product is defective or doesn't work",
        "Defective item",
        "สินค้ามีตำหนิหรือใช้งานไม่ได้",
    ],
    "missing_item": [
        "Received parcel, but some items were missing",
        "Received parcel but items missing",
        "Missing product or accessories",
        "Missing accessories",
        "Missing items",
        "Missing parts",
        "Missing or broken parts",
        "Package received but missing item",
        "ได้รับพัสดุแต่มีสินค้าขาดหาย",
        "Paket sudah diterima, tetapi isinya tidak lengkap",
    ],
    "suspected_counterfeit": ["Suspected counterfeit", "สงสัยว่าเป็นของปลอม"],
    "empty_parcel": ["Empty parcel"],
    "expired": ["Product is expired/spoiled", "สินค้าหมดอายุ"],
    "not_received": [
        "Did not receive parcel",
        "Package wasn't received",
        "Missing package",
        "ไม่ได้รับพัสดุ",
    ],
    "late_delivery": ["Missed estimated delivery date", "Package didn't arrive on time"],
    "no_longer_needed": [
        "No longer needed",
        "No longer needed (Item must be in sealed/original condition)",
        "ไม่ต้องการอีกต่อไป",
    ],
    "change_of_mind": ["Change of mind", "Does not suit me", "Multiple sizes ordered"],
    "size_unsuitable": [
        "Item too big or too small",
        "Item is too big/long",
        "Item is too small/short",
        "Ordered incorrect size",
    ],
    "free_sample_refund": ["Congrats on meeting your refundable sample criteria!"],
    "cancel_before_shipment": [
        "สินค้ามาถึงไม่ตรงเวลา",
        "ต้องการเปลี่ยนวิธีการชำระเงิน",
        "จำเป็นต้องเปลี่ยนที่อยู่จัดส่ง",
        "มีราคาที่ดีกว่า",
    ],
}


_CODES_OF_REASON = {
    "defective": ["ecom_order_delivered_refund_reason_defective"],
    "damaged": ["ecom_order_delivered_refund_reason_damaged"],
    "wrong_item": [
        "ecom_order_delivered_refund_reason_wrong_product",
        "ecom_order_delivered_refund_reason_wrong_product_1",
    ],
    "expired": ["buyer_refund_product_is_expired/spoiled"],
    "late_delivery": ["buyer_refund_package_didn't_arrive_on_time"],
    "no_longer_needed": ["ecom_order_delivered_refund_reason_no_need"],
}
"""Some of the platform's codes."""


def _default_reason_texts() -> tuple[ReasonText, ...]:
    """Give the Return Reason texts that are known, in every language, and codes."""
    return tuple(
        ReasonText(text, code)
        for of_reason in (_TEXTS_OF_REASON, _CODES_OF_REASON)
        for code, texts in of_reason.items()
        for text in texts
    )


def _default_outcomes() -> tuple[Outcome, ...]:
    """Give the status texts that are known; a text that is not listed counts."""
    voiding = ["Canceled", "Cancelled", "Request Canceled", "Refund rejected", "Rejected"]
    voiding += ["Not sent back in time", "Seller won arbitration", "SUPPORT_SELLER"]
    counting = ["To process", "In process", "Completed", "SUPPORT_BUYER", "IN_PROGRESS"]
    rejections = ("Refund rejected", "Rejected")
    return tuple(
        [Outcome(text, voids=True, is_rejection=text in rejections) for text in voiding]
        + [Outcome(status, voids=False) for status in counting]
    )


def _default_variants() -> tuple[Variant, ...]:
    """Give the definitions of the sources that disagree, each metric's own among them."""
    return (
        Variant("nrr", "nrr"),
        Variant("nrr_60d", "nrr", window_days=60),
        Variant("nrr_created", "nrr", denominator="created"),
        Variant("nrr_period", "nrr", anchor="period"),
        Variant("nrr_initial", "nrr", rating="initial"),
        Variant("nrr_commented", "nrr", empty_comments="out"),
        Variant("nrr_60d_initial", "nrr", window_days=60, rating="initial"),
        Variant("nrr_seller", "nrr_seller"),
        Variant("nrr_seller_period", "nrr_seller", anchor="period"),
        Variant("nrr_seller_commented", "nrr_seller", empty_comments="out"),
        Variant("sfrr", "sfrr"),
        Variant("sfrr_60d", "sfrr", window_days=60),
        Variant("sfrr_created", "sfrr", denominator="created"),
        Variant("sfrr_period", "sfrr", anchor="period"),
        Variant("sfrr_rejected", "sfrr", rejected="in"),
        Variant("sfrr_60d_created", "sfrr", window_days=60, denominator="created"),
    )


def _default_complaint_types() -> tuple[ComplaintType, ...]:
    """Give what the platform's types of complaints stand for, as this project reads them."""
    by_subtype = {
        "Product quality": "defective_or_low_quality",
        "Incorrect or missing items": "wrong_item",
        "Incorrect item": "wrong_item",
        "Missing item": "missing_item",
        "Poor service": "poor_service",
        None: "unclassified",
    }
    by_type = {
        "Order": "unclassified",
        "Fulfillment & Delivery": "delivery_issue",
        "Fraud & Risk Control": "platform_issue",
        "Payments": "platform_issue",
        "Promotion & Coupon": "platform_issue",
    }
    types = [ComplaintType(name, None, code) for name, code in by_type.items()]
    for name in ("After Sale", "Complaint"):
        types += [ComplaintType(name, subtype, code) for subtype, code in by_subtype.items()]
    return tuple(types)


@functools.cache
def _default_classification() -> tuple[ClassificationRule, ...]:
    """Give the bundled classification rules: there are too many to write them down twice."""
    with SEEDS.joinpath("classification_rules.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            ClassificationRule(
                pattern=row["pattern"],
                reason_code=row["reason_code"],
                rule_id=row["rule_id"],
                language=row["language"],
                unless=row["unless"] or None,
                priority=int(row["priority"]),
                valid_from=date.fromisoformat(row["valid_from"]),
                valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else date.max,
            )
            for row in csv.DictReader(file)
        )


@dataclass(frozen=True)
class Settings:
    """What the metric definitions call settings, with the defaults of the definitions."""

    window_days: int = 30
    rating_basis: str = "latest"
    no_comment_in_nrr_seller: bool = True
    reasons: tuple[Reason, ...] = field(default_factory=_default_reasons)
    reason_texts: tuple[ReasonText, ...] = field(default_factory=_default_reason_texts)
    outcomes: tuple[Outcome, ...] = field(default_factory=_default_outcomes)
    variants: tuple[Variant, ...] = field(default_factory=_default_variants)
    platform_rounding: Decimal = Decimal("0.0001")
    targets: tuple[Target, ...] = field(default_factory=_default_targets)
    at_risk_share_of_target: float = 0.8
    min_delivered_orders: int = 200
    complaint_types: tuple[ComplaintType, ...] = field(default_factory=_default_complaint_types)
    chat_reply_hours: int = 12
    classification: tuple[ClassificationRule, ...] = field(default_factory=_default_classification)
