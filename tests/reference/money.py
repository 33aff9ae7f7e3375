"""Amounts of the random exports, told by numbers of order and request, and what they add up to."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.reference.model import ReturnLine

Row = dict[str, Any]

CURRENCIES = {
    "ID": "IDR",
    "TH": "THB",
    "VN": "VND",
    "PH": "PHP",
    "MX": "MXN",
    "BR": "BRL",
    "GB": "GBP",
    "US": "USD",
}


def _number(text: str) -> int:
    return sum(place * ord(character) for place, character in enumerate(text, 1))


def line_amount(order_id: str) -> Decimal:
    """Give what a line of the order was sold for, after discounts."""
    return Decimal(_number(order_id) % 997 + 1)


def requested_amount(return_order_id: str) -> Decimal:
    """Give what a line of the request asks back."""
    return Decimal(_number(return_order_id) % 499 + 2)


def compensation(return_order_id: str) -> tuple[str, Decimal]:
    """Give the status of the compensation for a line of the request, and its amount."""
    digit = _number(return_order_id) % 10
    return ("Successful (paid)" if digit % 2 else "In review"), Decimal(digit + 1)


def paid(versions: list[ReturnLine]) -> Decimal:
    """Give what the platform paid for a request line: known once a file has such a column."""
    if all("refunded_at" in version.missing for version in versions):
        return Decimal(0)  # the older layout, which lacks both
    status, amount = compensation(versions[0].return_order_id)
    return amount if status.startswith("Successful") else Decimal(0)


def cost_rows(
    state: Any,
    amounts_of_product: dict[tuple[str, str | None], Decimal],
    paid_for: dict[tuple[str, str, str | None], Decimal],
    as_of: date,
    currency: str,
    *,
    all_reasons: bool = False,
) -> dict[tuple[Any, ...], Row]:
    """Give a shop's rows of feedback_costs.

    `amounts_of_product` has what an order's delivered lines of a product were sold for, `paid_for`
    what was paid for a request line by request, order and sku. With `all_reasons` each order
    counts once in a metric, whatever its reasons, which have no name then.
    """
    first_day = as_of - timedelta(days=state.settings.window_days - 1)
    affected: dict[tuple[str, str, str, bool], set[str]] = {}
    events_of_order = {}
    for order in state.delivered:
        events_of_order[order.order_id] = order.events
        for event in order.events:
            is_asked = event.metric in ("nrr", "sfrr") and event.is_negative
            if not is_asked or event.event_date > as_of:
                continue
            is_known = event.product_key in order.delivered_date_of_product
            product = event.product_key if is_known else "unattributed"
            delivered = order.delivered_date_of_product.get(product, order.delivered_date)
            if first_day <= delivered <= as_of:
                reason_code = "" if all_reasons else event.reason_code
                key = (product, event.metric, reason_code, event.is_counted)
                affected.setdefault(key, set()).add(order.order_id)
    rows = {}
    for (product, metric, reason_code, is_counted), orders in affected.items():
        revenue = refunds = compensated = Decimal(0)
        for (order_id, of_product), amount in amounts_of_product.items():
            if order_id in orders and product in ("unattributed", of_product):
                revenue += amount
        for order_id in orders:
            for event in events_of_order[order_id]:
                if event.source != "return" or not event.is_negative or event.event_date > as_of:
                    continue
                if product in ("unattributed", event.product_key):
                    request = event.version.return_order_id
                    refunds += requested_amount(request)
                    compensated += paid_for[request, order_id, event.sku_id]
        rows[state.case.shop.shop_id, product, metric, reason_code, is_counted] = {
            "as_of_date": as_of,
            "orders": len(orders),
            "currency": currency,
            "revenue": revenue,
            "refunds": refunds,
            "compensation": compensated,
            "net_refunds": refunds - compensated,
        }
    return rows
