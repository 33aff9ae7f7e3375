"""What a country's Seller Center files look like: columns, values, numbers, dates.

The column lists are data; a writer asks for cells by column name and fills what it knows. Header
names are English everywhere, status texts are the country's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_HEAD: Final = (
    "Order ID",
    "Order Status",
    "Order Substatus",
    "Cancelation/Return Type",
    "Normal or Pre-order",
    "SKU ID",
    "Seller SKU",
    "Product Name",
    "Variation",
    "Quantity",
    "Sku Quantity of return",
    "SKU Unit Original Price",
    "SKU Subtotal Before Discount",
    "SKU Platform Discount",
    "SKU Seller Discount",
    "SKU Subtotal After Discount",
    "Shipping Fee After Discount",
    "Original Shipping Fee",
    "Shipping Fee Seller Discount",
    "Shipping Fee Platform Discount",
)
_TIMES: Final = (
    "Created Time",
    "Paid Time",
    "RTS Time",
    "Shipped Time",
    "Delivered Time",
    "Cancelled Time",
)
_LOGISTICS: Final = (
    *_TIMES,
    "Cancel By",
    "Cancel Reason",
    "Fulfillment Type",
    "Warehouse Name",
    "Tracking ID",
    "Delivery Option",
    "Shipping Provider Name",
    "Buyer Message",
)
_PARCEL: Final = ("Payment Method", "Weight(kg)", "Product Category", "Package ID")
_CHECKED: Final = ("Seller Note", "Checked Status", "Checked Marked by")

ORDER_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "ID": (
        *_HEAD,
        "Distance Shipping Fee",
        "Distance Fee",
        "Order Refund Amount",
        "Payment platform discount",
        "Buyer Service Fee",
        "Handling Fee",
        "Shipping Insurance",
        "Item Insurance",
        "Order Amount",
        *_LOGISTICS,
        "Buyer Username",
        "Recipient",
        "Phone #",
        "Zipcode",
        "Country",
        "Province",
        "Regency and City",
        "Districts",
        "Villages",
        "Detail Address",
        "Additional address information",
        *_PARCEL,
        "Purchase Channel",
        *_CHECKED,
        "Tokopedia Invoice Number",
        "Order Channel",
        "Creator Handle",
    ),
    "VN": (
        *_HEAD,
        "Payment platform discount",
        "Taxes",
        "Order Amount",
        "Order Refund Amount",
        *_LOGISTICS,
        "Buyer Username",
        "Recipient",
        "Phone #",
        "Country",
        "Province",
        "District",
        "Commune",
        "Detail Address",
        "Additional address information",
        *_PARCEL,
        *_CHECKED,
    ),
    "TH": (
        *_HEAD,
        "Payment platform discount",
        "Taxes",
        "Small Order Fee",
        "Order Amount",
        "Order Refund Amount",
        *_LOGISTICS,
        "Buyer Username",
        "Recipient",
        "Phone #",
        "Zipcode",
        "Country",
        "Province",
        "District",
        "Detail Address",
        "Additional address information",
        *_PARCEL,
        *_CHECKED,
    ),
    "US": (
        *_HEAD,
        "Payment platform discount",
        "Taxes",
        "Order Amount",
        "Order Refund Amount",
        *_LOGISTICS,
        "Buyer Nickname",
        "Buyer Username",
        "Recipient",
        "Phone #",
        "Country",
        "State",
        "City",
        "Zipcode",
        "Address Line 1",
        "Address Line 2",
        "Delivery Instruction",
        *_PARCEL,
        "Shipping Information",
        *_CHECKED,
    ),
}
"""Country -> columns of its orders export."""

RETURN_COLUMNS: Final = (
    "Return Order ID",
    "Order ID",
    "Order Amount",
    "Order Status",
    "Order Substatus",
    "Payment Method",
    "SKU ID",
    "Seller SKU",
    "Product Name",
    "SKU Name",
    "Buyer Username",
    "Return Type",
    "Time Requested",
    "Return Reason",
    "Return unit price",
    "Return Quantity",
    "Return Logistics Tracking ID",
    "Return Status",
    "Return Sub Status",
    "Refund Time",
    "Dispute Status",
    "Appeal Status",
    "Compensation Status",
    "Compensation Amount",
    "Buyer Note",
)
_NOT_IN_OLD_RETURNS: Final = frozenset(
    {
        "Return Quantity",
        "Return Sub Status",
        "Refund Time",
        "Appeal Status",
        "Compensation Status",
        "Compensation Amount",
    }
)
OLD_RETURN_COLUMNS: Final = tuple(c for c in RETURN_COLUMNS if c not in _NOT_IN_OLD_RETURNS)
"""The layout of earlier years, 19 columns."""

REVIEW_COLUMNS: Final = (
    "review_id",
    "order_id",
    "product_id",
    "sku_id",
    "rating",
    "review_text",
    "created_at",
    "updated_at",
    "issue_type",
)
PLATFORM_METRIC_COLUMNS: Final = ("metric_date", "metric", "value", "window_days")
COMPLAINT_COLUMNS: Final = (
    "complaint_id",
    "order_id",
    "sku_id",
    "complaint_type",
    "complaint_subtype",
    "complaint_detail",
    "created_at",
    "status",
    "resolved_at",
)
CHAT_COLUMNS: Final = (
    "conversation_id",
    "order_id",
    "started_at",
    "first_reply_at",
    "initiated_by",
    "is_automated_reply",
    "satisfaction",
)
PRODUCT_COLUMNS: Final = (
    "product_id",
    "sku_id",
    "seller_sku",
    "product_name",
    "variation",
    "category",
)

ORDER_MONEY: Final = (
    "SKU Unit Original Price",
    "SKU Subtotal Before Discount",
    "SKU Platform Discount",
    "SKU Seller Discount",
    "SKU Subtotal After Discount",
    "Shipping Fee After Discount",
    "Original Shipping Fee",
    "Shipping Fee Seller Discount",
    "Shipping Fee Platform Discount",
    "Distance Shipping Fee",
    "Distance Fee",
    "Order Refund Amount",
    "Payment platform discount",
    "Buyer Service Fee",
    "Handling Fee",
    "Shipping Insurance",
    "Item Insurance",
    "Taxes",
    "Small Order Fee",
    "Order Amount",
)
"""Columns that show nought when nothing is charged."""

TABBED: Final = frozenset(
    {
        *_TIMES,
        "Time Requested",
        "Refund Time",
        "Order ID",
        "Return Order ID",
        "SKU ID",
        "Package ID",
        "Tracking ID",
        "Return Logistics Tracking ID",
        "Zipcode",
    }
)
"""Columns whose values end in a TAB, so that a spreadsheet takes them for text."""

DAY_FIRST: Final = "%d/%m/%Y %H:%M:%S"
MONTH_FIRST: Final = "%m/%d/%Y %I:%M:%S %p"


def _dotted(amount: int) -> str:
    return f"{amount:,}".replace(",", ".")


@dataclass(frozen=True, slots=True)
class Layout:
    """How one country's exports are written.

    `reach` is how far back an export goes: by creation for orders and requests, by last change for
    reviews. `described_every` says which orders exports carry the row of column descriptions:
    1 all, 2 every other, 0 none. `statuses` maps (status, sub-status) to the country's words.
    """

    order_columns: tuple[str, ...]
    order_format: str
    reach: timedelta
    order_time: str
    money: Callable[[int], str]
    statuses: Mapping[tuple[str, str], tuple[str, str]]
    has_bom: bool
    has_tabs: bool
    line_end: str
    described_every: int
    descriptions: Mapping[str, str]


UNPAID: Final = ("Unpaid", "Unpaid")
AWAITING_SHIPMENT: Final = ("To ship", "Awaiting shipment")
AWAITING_COLLECTION: Final = ("To ship", "Awaiting collection")
IN_TRANSIT: Final = ("Shipped", "In transit")
DELIVERED: Final = ("Shipped", "Delivered")
COMPLETED: Final = ("Completed", "Completed")
CANCELED: Final = ("Canceled", "Canceled")

_STATES: Final = (
    UNPAID,
    AWAITING_SHIPMENT,
    AWAITING_COLLECTION,
    IN_TRANSIT,
    DELIVERED,
    COMPLETED,
    CANCELED,
)


def _statuses(
    *words: tuple[str, str],
) -> Mapping[tuple[str, str], tuple[str, str]]:
    return dict(zip(_STATES, words, strict=True))


_ENGLISH_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "Order ID": "Platform unique order ID.",
    "Order Status": "Where the order stands.",
    "Order Substatus": "Where the order stands, in detail.",
    "SKU ID": "Number of the SKU on the platform.",
    "Seller SKU": "The seller's own code of the SKU.",
    "Quantity": "Pieces of the SKU in the order.",
    "Order Amount": "Paid by the buyer for the whole order.",
    "Created Time": "When the order was placed.",
    "Delivered Time": "When the parcel reached the buyer.",
    "Tracking ID": "The carrier's parcel number.",
}
_THAI_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "Order ID": "รหัสคำสั่งซื้อ",
    "Order Status": "สถานะปัจจุบันของคำสั่งซื้อ",
    "SKU ID": "รหัส SKU บนแพลตฟอร์ม",
    "Quantity": "จำนวนสินค้าในคำสั่งซื้อ",
    "Created Time": "เวลาที่สร้างคำสั่งซื้อ",
    "Delivered Time": "เวลาที่จัดส่งถึงผู้ซื้อ",
}

LAYOUTS: Final[Mapping[str, Layout]] = {
    "ID": Layout(
        order_columns=ORDER_COLUMNS["ID"],
        order_format="csv",
        reach=timedelta(days=45),
        order_time=DAY_FIRST,
        money=lambda amount: f"Rp{_dotted(amount)}",
        statuses=_statuses(
            ("Belum dibayar", "Belum dibayar"),
            ("Perlu dikirim", "Menunggu pengiriman"),
            ("Perlu dikirim", "Menunggu pengambilan"),
            ("Dikirim", "Dalam perjalanan"),
            ("Dikirim", "Terkirim"),
            ("Selesai", "Selesai"),
            ("Dibatalkan", "Dibatalkan"),
        ),
        has_bom=True,
        has_tabs=True,
        line_end="\n",
        described_every=2,
        descriptions=_ENGLISH_DESCRIPTIONS,
    ),
    "VN": Layout(
        order_columns=ORDER_COLUMNS["VN"],
        order_format="xlsx",
        reach=timedelta(days=35),  # workbooks are slow to write
        order_time=DAY_FIRST,
        money=lambda amount: f"{_dotted(amount)}₫",
        statuses=_statuses(
            ("Chưa thanh toán", "Chưa thanh toán"),
            ("Cần gửi", "Chờ vận chuyển"),
            ("Cần gửi", "Chờ lấy hàng"),
            ("Đã vận chuyển", "Đang vận chuyển"),
            ("Đã vận chuyển", "Đã giao"),
            ("Đã hoàn tất", "Đã hoàn tất"),
            ("Đã hủy", "Đã hủy"),
        ),
        has_bom=False,
        has_tabs=False,
        line_end="\n",
        described_every=1,
        descriptions=_ENGLISH_DESCRIPTIONS,
    ),
    "TH": Layout(
        order_columns=ORDER_COLUMNS["TH"],
        order_format="csv",
        reach=timedelta(days=45),
        order_time=DAY_FIRST,
        money=lambda amount: f"฿{amount / 100:,.2f}",
        statuses=_statuses(
            ("ค้างชำระ", "ค้างชำระ"),
            ("ที่จะจัดส่ง", "รอการจัดส่ง"),
            ("ที่จะจัดส่ง", "รอการรับพัสดุ"),
            ("จัดส่งแล้ว", "อยู่ระหว่างการขนส่ง"),
            ("จัดส่งแล้ว", "จัดส่งสำเร็จ"),
            ("เสร็จสมบูรณ์", "เสร็จสมบูรณ์"),
            ("ยกเลิกแล้ว", "ยกเลิกแล้ว"),
        ),
        has_bom=True,
        has_tabs=True,
        line_end="\n",
        described_every=2,
        descriptions=_THAI_DESCRIPTIONS,
    ),
    "US": Layout(
        order_columns=ORDER_COLUMNS["US"],
        order_format="csv",
        reach=timedelta(days=45),
        order_time=MONTH_FIRST,
        money=lambda amount: f"${amount / 100:,.2f}",
        statuses={state: state for state in _STATES},
        has_bom=False,
        has_tabs=False,
        line_end="\r\n",
        described_every=0,
        descriptions={},
    ),
}
"""Country -> layout."""


def description_row(layout: Layout) -> list[str]:
    """The second row of an orders export: a text under each header."""
    return [layout.descriptions.get(column, f"({column})") for column in layout.order_columns]
