"""The columns and the ways of writing of each country's Seller Center exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from dagster_project.lib.sample.layouts import (
    COMPLETED,
    DAY_FIRST,
    LAYOUTS,
    MONTH_FIRST,
    OLD_RETURN_COLUMNS,
    ORDER_COLUMNS,
    ORDER_MONEY,
    RETURN_COLUMNS,
    TABBED,
    UNPAID,
)
from tests.exports_helper import csv_text, xlsx_bytes

# --- columns --------------------------------------------------------------------------------------


def _block(first: str, last: str) -> tuple[str, ...]:
    """A run of columns that all countries have alike."""
    columns = ORDER_COLUMNS["VN"]
    return columns[columns.index(first) : columns.index(last) + 1]


STATUS = _block("Order ID", "Normal or Pre-order")
SKU = _block("SKU ID", "SKU Subtotal After Discount")
SHIPPING = _block("Shipping Fee After Discount", "Shipping Fee Platform Discount")
LOGISTICS = _block("Created Time", "Buyer Message")
BUYER = _block("Buyer Username", "Phone #")
PARCEL = _block("Payment Method", "Package ID")
CHECKED = _block("Seller Note", "Checked Marked by")
COMMON = (*STATUS, *SKU, *SHIPPING, *LOGISTICS, *PARCEL, *CHECKED)
TOTALS = ("Payment platform discount", "Taxes", "Order Amount", "Order Refund Amount")

_NOT_IN_ID_58 = {
    "Distance Shipping Fee", "Distance Fee", "Shipping Insurance", "Item Insurance",
    "Tokopedia Invoice Number", "Order Channel", "Creator Handle",
}  # fmt: skip


def _sku_block_after_the_addresses() -> tuple[str, ...]:
    columns = [c for c in ORDER_COLUMNS["ID"] if c not in {*SKU, *_NOT_IN_ID_58}]
    at = columns.index("Additional address information") + 1
    return (*columns[:at], *SKU, *columns[at:])


def _with_zipcode_and_channel(columns: tuple[str, ...]) -> tuple[str, ...]:
    at = columns.index("Country")
    return (*columns[:at], "Zipcode", *columns[at:], "Purchase Channel")


_PH = (
    *STATUS, *SKU, *SHIPPING, *TOTALS, *LOGISTICS, *BUYER,
    "Zipcode", "Country", "Region", "Province", "Municipality", "Barangay", "Detail Address",
    *PARCEL, *CHECKED,
)  # fmt: skip
_ES = (
    *STATUS, *SKU, *SHIPPING, *TOTALS,
    "Product Tax", "Shipping Tax", "Import Tax", "Tax Rate", "Tax Number", "Small Order Fee",
    *LOGISTICS, *BUYER, "Email",
    "Zipcode", "Country", "Autonomous Community", "Province", "City", "Street Name",
    "Detail Address", "Additional address information",
    *PARCEL, *CHECKED,
)  # fmt: skip

PERSONAL = frozenset(
    {
        "Buyer Username", "Buyer Nickname", "Recipient", "Phone #", "Email", "Buyer Message",
        "Buyer Note", "Tracking ID", "Return Logistics Tracking ID", "Zipcode", "Country", "Region",
        "State", "Province", "City", "Municipality", "Barangay", "Autonomous Community",
        "Regency and City", "District", "Districts", "Commune", "Villages", "Street Name",
        "Detail Address", "Additional address information", "Address Line 1", "Address Line 2",
        "Delivery Instruction", "Shipping Information", "Tax Number", "Seller Note",
        "Creator Handle", "Tokopedia Invoice Number",
    }
)  # fmt: skip
"""Columns that tell of a person, and free text that may."""

# --- ways of writing ------------------------------------------------------------------------------

ENGLISH_DESCRIPTION = "Platform unique order ID."
THAI_DESCRIPTION = "รหัสคำสั่งซื้อ"


@dataclass(frozen=True)
class Country:
    """How one country's exports write what they hold; `statuses` are completed and unpaid."""

    region: str
    timezone: str
    currency: str
    money: Callable[[Decimal], str]
    product_name: str
    statuses: tuple[tuple[str, str], tuple[str, str]] = (COMPLETED, UNPAID)
    order_time: str = DAY_FIRST

    @property
    def shop_id(self) -> str:
        return f"shop-{self.region.lower()}"


def _dotted(amount: Decimal) -> str:
    return f"{amount:,.0f}".replace(",", ".")


def _spanish(amount: Decimal) -> str:
    return f"{amount:,.2f} €".translate(str.maketrans(",.", ".,"))


def _words(country: str) -> tuple[tuple[str, str], tuple[str, str]]:
    statuses = LAYOUTS[country].statuses
    return statuses[COMPLETED], statuses[UNPAID]


COUNTRIES: dict[str, Country] = {
    country.region: country
    for country in (
        Country(
            "ID", "Asia/Jakarta", "IDR", lambda a: f"Rp{_dotted(a)}",
            "Kemeja Batik “Parang”", _words("ID"),
        ),
        Country(
            "VN", "Asia/Ho_Chi_Minh", "VND", lambda a: f"{_dotted(a)}₫",
            "Kem chống nắng, 60ml", _words("VN"),
        ),
        Country("TH", "Asia/Bangkok", "THB", lambda a: f"฿{a:,.2f}", "เซรั่มบำรุงผิว", _words("TH")),
        Country("PH", "Asia/Manila", "PHP", lambda a: f"₱{a:,.2f}", 'Tumbler "Niña", 500 ml'),
        Country("ES", "Europe/Madrid", "EUR", _spanish, "Crema de día señorita"),
        Country(
            "US", "America/New_York", "USD", lambda a: f"${a:,.2f}", "Scented candle 🕯",
            order_time=MONTH_FIRST,
        ),
    )
}  # fmt: skip
SHOPS = csv_text(
    [
        ["shop_id", "shop_name", "region", "timezone", "currency"],
        *([c.shop_id, c.shop_id, c.region, c.timezone, c.currency] for c in COUNTRIES.values()),
    ]
)


@dataclass(frozen=True)
class Layout:
    """One form of an export: its columns in their order and what the platform adds to them."""

    country: Country
    columns: tuple[str, ...]
    description: str | None = None
    has_bom: bool = False
    has_tabs: bool = False
    line_end: str = "\n"

    @property
    def dataset(self) -> str:
        """orders or returns."""
        return "orders" if "Created Time" in self.columns else "returns"

    def lines(self) -> list[dict[str, Any]]:
        """Some lines of the layout's country, as the contract's columns have them."""
        return (order_lines if self.dataset == "orders" else return_lines)(self.country)


_ID, _VN, _TH, _US = (COUNTRIES[region] for region in ("ID", "VN", "TH", "US"))
ORDER_LAYOUTS: dict[str, Layout] = {
    "ID_65": Layout(_ID, ORDER_COLUMNS["ID"], ENGLISH_DESCRIPTION, has_bom=True, has_tabs=True),
    "ID_58": Layout(_ID, _sku_block_after_the_addresses(), has_tabs=True),
    "VN_54": Layout(_VN, ORDER_COLUMNS["VN"], ENGLISH_DESCRIPTION),
    "VN_56": Layout(_VN, _with_zipcode_and_channel(ORDER_COLUMNS["VN"]), has_tabs=True),
    "PH_55": Layout(COUNTRIES["PH"], _PH, ENGLISH_DESCRIPTION, has_tabs=True),
    "ES_63": Layout(COUNTRIES["ES"], _ES, has_bom=True),
    "TH_55": Layout(_TH, ORDER_COLUMNS["TH"], THAI_DESCRIPTION, has_bom=True, has_tabs=True),
    "US_57": Layout(_US, ORDER_COLUMNS["US"], line_end="\r\n"),
}
RETURN_LAYOUTS: dict[str, Layout] = {
    "TH_25": Layout(_TH, RETURN_COLUMNS, has_bom=True, has_tabs=True),
    "VN_25": Layout(_VN, RETURN_COLUMNS, has_tabs=True),
    "ES_25": Layout(COUNTRIES["ES"], RETURN_COLUMNS),
    "US_25": Layout(_US, RETURN_COLUMNS, line_end="\r\n"),
    "ID_19": Layout(_ID, OLD_RETURN_COLUMNS, has_tabs=True),
    "US_19": Layout(_US, OLD_RETURN_COLUMNS),
}
"""Return exports of all countries are day-first, those of the US too."""
ALL_LAYOUTS = ORDER_LAYOUTS | {f"returns {name}": layout for name, layout in RETURN_LAYOUTS.items()}

# --- lines ----------------------------------------------------------------------------------------

Cells = list[list[str]]
FIRST_ORDER, FIRST_SKU, FIRST_REQUEST = 576461413000000001, 1729384756000000001, 4035 * 10**15 + 1


@dataclass(frozen=True)
class Secrets:
    """Unique strings for the cells that tell of a person."""

    given: list[str] = field(default_factory=list)

    def next(self) -> str:
        self.given.append(f"Xq{len(self.given):05}Zv")
        return f"เจ้า {self.given[-1]} Ñ"


def order_lines(country: Country) -> list[dict[str, Any]]:
    """Five lines of three orders, as the contract's columns have them; the first two are of one."""
    amount = Decimal("1082912.00") if country.currency in ("IDR", "VND") else Decimal("1249.50")
    completed, unpaid = country.statuses

    def line(order: int, number: int, **changed: Any) -> dict[str, Any]:
        return {
            "order_id": str(FIRST_ORDER + order),
            "sku_id": str(FIRST_SKU + number),
            "seller_sku": f"SKU-{number:03}",
            "product_name": f"{country.product_name} {number}",
            "variation": "",
            "order_status": completed[0],
            "order_substatus": completed[1],
            "quantity": number,
            "sku_subtotal_after_discount": Decimal(25 * number),
            "order_amount": amount,
            "created_time": datetime(2025, 3, 4, 0, 5, 9),
            "delivered_time": datetime(2025, 3, 17, 23, 59, 58),
            "cancelled_time": None,
            "product_category": "Beauty & Care",
        } | changed

    return [
        line(0, 1),
        line(0, 2, variation="Đỏ, 2 ชิ้น"),
        line(1, 3, created_time=datetime(2025, 12, 11, 12), delivered_time=datetime(2025, 12, 12)),
        line(1, 4, created_time=datetime(2025, 12, 11, 12), delivered_time=datetime(2025, 12, 13)),
        line(
            2, 5, order_status=unpaid[0], order_substatus=unpaid[1], delivered_time=None,
            cancelled_time=datetime(2025, 3, 5, 18, 30), product_category="",
        ),
    ]  # fmt: skip


def return_lines(country: Country) -> list[dict[str, Any]]:
    """Three lines of two requests, as the contract's columns have them."""
    lines = []
    for number, request in enumerate((0, 0, 1), start=1):
        is_paid = number == 2
        lines.append(
            {
                "return_order_id": str(FIRST_REQUEST + request),
                "order_id": str(FIRST_ORDER + request),
                "sku_id": str(FIRST_SKU + number),
                "seller_sku": f"SKU-{number:03}",
                "order_amount": Decimal(1250),
                "return_type": "Refund only" if is_paid else "",
                "time_requested": datetime(2025, 4, 3 + number, 21, 2, 3),
                "return_reason": "Package wasn't received" if is_paid else "Poor quality",
                "return_unit_price": Decimal(25 * number),
                "return_quantity": number,
                "return_status": "Completed" if is_paid else "In process",
                "return_sub_status": "" if is_paid else "Request Canceled",
                "refund_time": datetime(2025, 4, 11, 9, 30) if is_paid else None,
                "compensation_status": "Successful" if is_paid else "",
                "compensation_amount": Decimal(12) if is_paid else None,
            }
        )
    return lines


def as_cells(layout: Layout, lines: Sequence[dict[str, Any]], secrets: Secrets) -> Cells:
    """The lines in a layout: header, description row where it has one, rows as its country writes.

    Every column is filled, those that tell of a person with strings that come once.
    """
    country = layout.country
    stamp = country.order_time if layout.dataset == "orders" else DAY_FIRST

    def write(column: str, line: dict[str, Any]) -> str:
        value = line.get(column.lower().replace(" ", "_"), _other(column))
        if column in PERSONAL:
            text = secrets.next()
        elif isinstance(value, datetime):
            text = f"{value:{stamp}}"
        elif isinstance(value, Decimal):
            text = country.money(value)
        else:
            text = "" if value is None else str(value)
        return f"{text}\t" if layout.has_tabs and column in TABBED else text

    def _other(column: str) -> Any:
        return Decimal(0) if column in ORDER_MONEY else "x"

    rows = [[write(column, line) for column in layout.columns] for line in lines]
    descriptions = []
    if layout.description is not None:
        about = [f"What {column} means." for column in layout.columns]
        about[layout.columns.index("Order ID")] = layout.description
        descriptions.append(about)
    return [list(layout.columns), *descriptions, *rows]


def as_file(layout: Layout, cells: Sequence[Sequence[str]], kind: str) -> bytes:
    """The cells as a CSV file or a workbook of the platform's kind."""
    if kind == "xlsx":
        return xlsx_bytes(cells, one_cell_dimension=True)
    text = csv_text(cells, line_end=layout.line_end)
    return text.encode("utf-8-sig" if layout.has_bom else "utf-8")
