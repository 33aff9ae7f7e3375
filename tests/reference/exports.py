"""Random shops as export files, in the layouts that sellers have."""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.model import (
    Chat,
    Complaint,
    File,
    OrderLine,
    PlatformMetric,
    Product,
    ReturnLine,
    Review,
    ReviewOverride,
    Settings,
    Shop,
    ShopCase,
    Target,
    Variant,
)
from tests.reference.money import CURRENCIES, compensation, line_amount, requested_amount

Row = dict[str, Any]

FIRST_DAY = date(2010, 1, 1)
"""The first day that settings are written for."""

MONEY = {"TH": "฿249.00", "VN": "82.912₫", "US": "$23.00", "BR": "R$ 62,90", "ID": "25000"}

ORDERS_HEADER = [
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
    "SKU Subtotal After Discount",
    "Order Amount",
    "Created Time",
    "Delivered Time",
    "Cancelled Time",
    "Buyer Message",
    "Buyer Username",
    "Recipient",
    "Phone #",
]
RETURNS_HEADER = [
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
    "return_reason",
    "arbitration_status",
]
REVIEWS_HEADER = [
    "review_id",
    "order_id",
    "product_id",
    "sku_id",
    "rating",
    "review_text",
    "created_at",
    "updated_at",
    "issue_type",
]
PRODUCTS_HEADER = [
    "product_id",
    "sku_id",
    "seller_sku",
    "product_name",
    "variation",
    "category",
]

COMPLAINTS_HEADER = [
    "complaint_id",
    "order_id",
    "sku_id",
    "complaint_type",
    "complaint_subtype",
    "complaint_detail",
    "created_at",
    "status",
    "resolved_at",
]
CHATS_HEADER = [
    "conversation_id",
    "order_id",
    "started_at",
    "first_reply_at",
    "initiated_by",
    "is_automated_reply",
    "satisfaction",
]
OVERRIDES_HEADER = ["review_id", "reason_code", "decided_at", "decided_by", "why"]
PLATFORM_METRICS_HEADER = ["metric_date", "metric", "value", "window_days"]
HEADERS = {
    "orders": ORDERS_HEADER,
    "returns": RETURNS_HEADER,
    "reviews": REVIEWS_HEADER,
    "products": PRODUCTS_HEADER,
    "complaints": COMPLAINTS_HEADER,
    "chats": CHATS_HEADER,
    "review_overrides": OVERRIDES_HEADER,
    "platform_metrics": PLATFORM_METRICS_HEADER,
}

NOT_IN_OLDER_RETURNS = (
    "Return Quantity",
    "Return Sub Status",
    "Refund Time",
    "Appeal Status",
    "Compensation Status",
    "Compensation Amount",
)
MISSING_IN_OLDER_RETURNS = frozenset({"return_sub_status", "refunded_at"})
"""The fields of a ReturnLine for which the older returns layout has no column."""
ONLY_IN_FEEDS = ("return_reason", "arbitration_status")
MISSING_IN_EXPORTS = frozenset({"return_reason_code", "arbitration_status"})
"""The fields of a ReturnLine that only feeds in the shape of the API have."""

TABBED = {"Order ID", "SKU ID", "Return Order ID", "Created Time", "Delivered Time"} | {
    "Cancelled Time",
    "Time Requested",
    "Refund Time",
}
"""The columns whose cells end in a tab in files of that style; a blank is a lone tab."""


@dataclass(frozen=True)
class Style:
    """How one file is written: marks that must not change what it says."""

    bom: bool = False
    tabs: bool = False
    description_row: bool = False
    own_times: str = "naive"
    """naive, spaced (a blank in place of the T), offset (UTC as +00:00) or zulu (UTC as Z)."""


@dataclass(frozen=True)
class Draft:
    """A file before it is rendered: `rows` hold the fields of the dataset's dataclass."""

    dataset: str
    file_name: str
    exported_at: datetime
    rows: list[Row]
    missing: frozenset[str] = frozenset()
    style: Style = field(default_factory=Style)


def build_case(shop: Shop, drafts: Iterable[Draft]) -> ShopCase:
    """Render a shop's files, and give each row its real file_id and row number."""
    files: list[File] = []
    contents: list[bytes] = []
    versions: dict[str, list[Any]] = {dataset: [] for dataset in HEADERS}
    classes = {
        "orders": OrderLine,
        "reviews": Review,
        "returns": ReturnLine,
        "products": Product,
        "complaints": Complaint,
        "chats": Chat,
        "review_overrides": ReviewOverride,
        "platform_metrics": PlatformMetric,
    }
    for draft in drafts:
        content = render(shop, draft)
        file_id = hashlib.sha256(content).hexdigest()
        file = File(shop.shop_id, draft.dataset, draft.file_name, draft.exported_at, file_id)
        files.append(file)
        contents.append(content)
        first_row = 3 if draft.style.description_row else 2
        for row_number, row in enumerate(draft.rows, start=first_row):
            known = {name: None if name in draft.missing else value for name, value in row.items()}
            versions[draft.dataset].append(
                classes[draft.dataset](
                    file=file, row_number=row_number, missing=draft.missing, **known
                )
            )
    return ShopCase(
        shop=shop,
        files=tuple(files),
        order_lines=tuple(versions["orders"]),
        reviews=tuple(versions["reviews"]),
        return_lines=tuple(versions["returns"]),
        products=tuple(versions["products"]),
        complaints=tuple(versions["complaints"]),
        chats=tuple(versions["chats"]),
        overrides=tuple(versions["review_overrides"]),
        platform_metrics=tuple(versions["platform_metrics"]),
        contents=tuple(contents),
    )


def render(shop: Shop, draft: Draft) -> bytes:
    """Write a file as the bytes of a CSV; row 1 is the header."""
    header = HEADERS[draft.dataset]
    if draft.missing >= MISSING_IN_OLDER_RETURNS:
        header = [column for column in header if column not in NOT_IN_OLDER_RETURNS]
    if draft.missing >= MISSING_IN_EXPORTS:
        header = [column for column in header if column not in ONLY_IN_FEEDS]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)
    if draft.style.description_row:
        writer.writerow(["Platform unique order ID.", *("Description." for _ in header[1:])])
    for number, row in enumerate(draft.rows):
        cells = _cells(shop, draft, row, number)
        written = []
        for column in header:
            cell = cells.get(column) or ""
            written.append(f"{cell}\t" if draft.style.tabs and column in TABBED else cell)
        writer.writerow(written)
    text = buffer.getvalue()
    return (f"\ufeff{text}" if draft.style.bom else text).encode()


def _cells(shop: Shop, draft: Draft, row: Row, number: int) -> dict[str, str | None]:
    if draft.dataset == "orders":
        return _order_cells(shop, row, number)
    if draft.dataset == "returns":
        return _return_cells(shop, row, number)
    if draft.dataset == "reviews":
        return _review_cells(shop, row, draft.style)
    if draft.dataset == "complaints":
        return _complaint_cells(shop, row, draft.style)
    if draft.dataset == "chats":
        return {
            **row,
            "started_at": _own_time(shop, row["started_at"], draft.style),
            "first_reply_at": _own_time(shop, row["first_reply_at"], draft.style),
            "is_automated_reply": "false" if number % 2 else "true",
        }
    if draft.dataset == "review_overrides":
        decided_at = _own_time(shop, row["decided_at"], draft.style)
        return {**row, "decided_at": decided_at, "decided_by": "Ms. Lee", "why": "read it again"}
    if draft.dataset == "platform_metrics":
        return _platform_cells(row, number)
    return {**row, "variation": "Default", "category": "Household"}


def _order_cells(shop: Shop, row: Row, number: int) -> dict[str, str | None]:
    statuses = [("Shipped", "Delivered"), ("Completed", "Completed"), ("Canceled", "Canceled")]
    status, sub_status = statuses[number % 3]
    return {
        "Order ID": row["order_id"],
        "Order Status": status,
        "Order Substatus": sub_status,
        "Normal or Pre-order": "Normal",
        "SKU ID": row["sku_id"],
        "Seller SKU": row["seller_sku"],
        "Product Name": row["product_name"],
        "Variation": "Default",
        "Quantity": "1",
        "Sku Quantity of return": "0",
        "SKU Unit Original Price": MONEY.get(shop.region, "249.00"),
        "SKU Subtotal After Discount": str(line_amount(row["order_id"])),
        "Order Amount": MONEY.get(shop.region, "249.00"),
        "Created Time": _order_time(shop, row["created_at"]),
        "Delivered Time": _order_time(shop, row["delivered_at"]),
        "Buyer Message": "please ring\ntwice",
        "Buyer Username": f"buyer.{number}",
        "Recipient": "R*** N***",
        "Phone #": "(+00)*****42",
    }


def _return_cells(shop: Shop, row: Row, number: int) -> dict[str, str | None]:
    return {
        "Return Order ID": row["return_order_id"],
        "Order ID": row["order_id"],
        "Order Amount": MONEY.get(shop.region, "249.00"),
        "Order Status": "Completed",
        "Order Substatus": "Completed",
        "Payment Method": "Cash",
        "SKU ID": row["sku_id"],
        "Seller SKU": row["seller_sku"],
        "Product Name": "As listed",
        "SKU Name": "Default",
        "Buyer Username": f"buyer.{number}",
        "Return Type": ["Return and refund", "Refund only", ""][number % 3],
        "Time Requested": day_first(row["requested_at"]),
        "Return Reason": row["return_reason"],
        "Return unit price": str(requested_amount(row["return_order_id"])),
        "Return Quantity": "1",
        "Return Status": row["return_status"],
        "Return Sub Status": row["return_sub_status"],
        "Refund Time": day_first(row["refunded_at"]),
        "Compensation Status": compensation(row["return_order_id"])[0],
        "Compensation Amount": str(compensation(row["return_order_id"])[1]),
        "Buyer Note": "call me, neighbour knows",
        "return_reason": row["return_reason_code"],
        "arbitration_status": row["arbitration_status"],
    }


def _review_cells(shop: Shop, row: Row, style: Style) -> dict[str, str | None]:
    return {
        **{column: row[column] for column in REVIEWS_HEADER},
        "rating": str(row["rating"]),
        "created_at": _own_time(shop, row["created_at"], style),
        "updated_at": _own_time(shop, row["updated_at"], style),
    }


def _platform_cells(row: Row, number: int) -> dict[str, str | None]:
    value, window_days = row["value"], row["window_days"]
    return {
        "metric_date": row["metric_date"].isoformat(),
        "metric": row["metric"],
        "value": f"{value * 100:.2f}%" if number % 2 else f"{value:.4f}",
        "window_days": None if window_days is None else str(window_days),
    }


def _complaint_cells(shop: Shop, row: Row, style: Style) -> dict[str, str | None]:
    return {
        **row,
        "complaint_detail": 'said "where is it",\ntwice',
        "created_at": _own_time(shop, row["created_at"], style),
        "status": "Open" if row["resolved_at"] is None else "Closed",
        "resolved_at": _own_time(shop, row["resolved_at"], style),
    }


def day_first(time: datetime | None) -> str:
    """Give a time as all files but the US orders write it."""
    return "" if time is None else time.strftime("%d/%m/%Y %H:%M:%S")


def _order_time(shop: Shop, time: datetime | None) -> str:
    if shop.region == "US" and time is not None:
        return time.strftime("%m/%d/%Y %I:%M:%S %p")
    return day_first(time)


def _own_time(shop: Shop, time: datetime | None, style: Style) -> str:
    """Give a time as the project's own layouts may write it."""
    if time is None:
        return ""
    if style.own_times == "naive":
        return time.isoformat()
    if style.own_times == "spaced":
        return time.isoformat(sep=" ")
    in_utc = time.replace(tzinfo=ZoneInfo(shop.timezone)).astimezone(ZoneInfo("UTC")).isoformat()
    return in_utc.replace("+00:00", "Z") if style.own_times == "zulu" else in_utc


OWN_VARIANTS = (
    Variant("own_week", "nrr", 7, denominator="created", anchor="period"),
    Variant("own_seller", "nrr_seller", rating="latest", empty_comments="in"),
    Variant("own_product", "nrr_product", 45, rating="initial", empty_comments="out"),
    Variant("own_service", "nrr_service", 30, anchor="period"),
    Variant("own_strict", "sfrr", denominator="created", rejected="out"),
    Variant("own_mild", "sfrr", 60, anchor="period", rejected="in"),
    Variant("own_changing", "nrr", 10, valid_to=date(2024, 3, 20)),
    Variant("own_changing", "nrr", 60, anchor="period", valid_from=date(2024, 3, 25)),
)
"""Variants of a data directory's own that together make every choice there is."""


# Random shops are small and much complained of: targets and volumes that tell them apart.
OWN_TARGETS = (
    Target("ID", "nrr", 0.2, confidence="house"),
    Target("ID", "nrr", 0.4, shop_id="shop-001", confidence="house"),
    Target("TH", "sfrr", 0.25, date(2024, 2, 10), date(2024, 3, 20), confidence="house"),
    Target("TH", "sfrr", 0.1, date(2024, 3, 25), confidence="house"),
    Target("PH", "nrr_seller", 0.3, confidence="house"),
    Target("BR", "nrr_product", 0.1, confidence="house"),
    Target("GB", "nrr", 0.25, confidence="house"),
    Target("GB", "sfrr", 0.25, confidence="house"),
    Target("ID", "complaint_rate", 0.1, confidence="house"),
    Target("ID", "negative_feedback_rate", 0.3, confidence="house"),
    Target("TH", "product_negative_feedback_rate", 0.2, confidence="house"),
    Target("TH", "service_negative_feedback_rate", 0.2, confidence="house"),
    Target("ID", "chat_reply_rate", 0.5, date(2024, 2, 10), date(2025, 8, 14), confidence="house"),
    Target("GB", "chat_reply_rate", 0.6, confidence="house"),
)
OWN_SETTINGS = Settings(
    variants=Settings().variants + OWN_VARIANTS,
    targets=Settings().targets + OWN_TARGETS,
    min_delivered_orders=5,
)
"""The settings of a data directory in which `write_own_settings` has written."""


def write_own_settings(data_dir: Path) -> None:
    """Write what OWN_SETTINGS has beside the bundled settings."""
    folder = data_dir / "settings"
    folder.mkdir()
    _write_setting(folder / "metric_variants.csv", OWN_VARIANTS)
    _write_setting(folder / "metric_targets.csv", OWN_TARGETS, source="")
    (folder / "metric_settings.csv").write_text(
        "setting,value,valid_from,valid_to\n"
        f"min_delivered_orders,{OWN_SETTINGS.min_delivered_orders},{FIRST_DAY},\n"
    )


def _write_setting(path: Path, rows: Sequence[Variant] | Sequence[Target], **more: str) -> None:
    names = [field.name for field in dataclasses.fields(rows[0])]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["variant" if name == "code" else name for name in (*names, *more)])
        for row in rows:
            values = dataclasses.replace(row, valid_from=max(row.valid_from, FIRST_DAY))
            cells = [getattr(values, name) for name in names]
            cells = ["" if cell in (None, date.max) else cell for cell in cells]
            writer.writerow([*cells, *more.values()])


def write_case(data_dir: Path, shops: list[ShopCase]) -> None:
    """Write shops.csv and every file of every shop below `data_dir`/landing."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "shops.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["shop_id", "shop_name", "region", "timezone", "currency"])
        for case in shops:
            shop = case.shop
            name = f"Shop {shop.shop_id}"
            writer.writerow(
                [shop.shop_id, name, shop.region, shop.timezone, CURRENCIES[shop.region]]
            )
    for case in shops:
        for file, content in zip(case.files, case.contents, strict=True):
            folder = data_dir / "landing" / file.shop_id / file.dataset
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / file.file_name
            if path.exists():
                raise FileExistsError(f"two files of a case have the same path: {path}")
            path.write_bytes(content)
