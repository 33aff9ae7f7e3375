"""Turns what happened into rows of an export: only what was known when it was made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dagster_project.lib.sample import layouts
from dagster_project.lib.sample.events import Chat, Complaint, Line, Order, Request, Review, Sku
from dagster_project.lib.sample.layouts import DAY_FIRST, LAYOUTS, TABBED
from dagster_project.lib.sample.regions import CASH_ON_DELIVERY, Region

Row = list[str]


class Exporter:
    """Writes one shop's records as its country's Seller Center does."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._layout = LAYOUTS[region.code]
        self._zone = ZoneInfo(region.timezone)
        nought = self._layout.money(0)
        self._order_defaults = dict.fromkeys(layouts.ORDER_MONEY, nought) | {
            "Normal or Pre-order": "Normal",
            "Fulfillment Type": "Fulfillment by seller",
            "Warehouse Name": region.warehouse,
            "Delivery Option": region.delivery_option,
            "Purchase Channel": "TikTok",
            "Order Channel": "TikTok Shop",
        }

    def orders(self, orders: Iterable[Order], at: datetime) -> Iterator[Row]:
        """One row per order and SKU as of `at`."""
        columns = self._layout.order_columns
        for order in orders:
            order_cells = self._order_cells(order, at)
            for line in order.lines:
                yield self._row(columns, order_cells | self._line_cells(order, line, at))

    def returns(
        self, requests: Iterable[Request], columns: Sequence[str], at: datetime
    ) -> Iterator[Row]:
        """One row per returned SKU line as of `at`; the requests must exist by then."""
        for request in requests:
            for line in request.lines:
                yield self._row(columns, self._return_cells(request, line, at))

    def reviews(self, reviews: Iterable[Review], at: datetime) -> Iterator[Row]:
        """One row per review as of `at`; the reviews must exist by then."""
        for review in reviews:
            version = review.version(at)
            is_edited = version is not review.versions[0]
            yield [
                review.review_id,
                review.order_id,
                review.product_id,
                review.sku_id,
                str(version.rating),
                version.text,
                self._iso(review.created_at),
                self._iso(version.at) if is_edited else "",
                version.issue_type,
            ]

    def complaints(self, complaints: Iterable[Complaint]) -> Iterator[Row]:
        """One row per complaint as it stands at the end of the sample."""
        for complaint in complaints:
            yield [
                complaint.complaint_id,
                complaint.order_id,
                complaint.sku_id,
                complaint.complaint_type,
                complaint.complaint_subtype,
                complaint.detail,
                self._iso(complaint.created_at),
                "Open" if complaint.resolved_at is None else "Resolved",
                "" if complaint.resolved_at is None else self._iso(complaint.resolved_at),
            ]

    def chats(self, chats: Iterable[Chat]) -> Iterator[Row]:
        """One row per chat as it stands at the end of the sample."""
        for chat in chats:
            yield [
                chat.conversation_id,
                "",
                self._iso(chat.started_at),
                "" if chat.first_reply_at is None else self._iso(chat.first_reply_at),
                chat.initiated_by,
                str(chat.is_automated_reply).lower() if chat.first_reply_at else "",
                "",
            ]

    @staticmethod
    def products(skus: Iterable[Sku]) -> Iterator[Row]:
        """One row per SKU of the catalogue."""
        for sku in sorted(skus, key=lambda sku: sku.seller_sku):
            product = sku.product
            yield [
                product.product_id,
                sku.sku_id,
                sku.seller_sku,
                product.name,
                sku.variation,
                product.category,
            ]

    def _row(self, columns: Sequence[str], cells: Mapping[str, str]) -> Row:
        tabbed = TABBED if self._layout.has_tabs else ()
        return [cells.get(c, "") + ("\t" if c in tabbed else "") for c in columns]

    def _order_cells(self, order: Order, at: datetime) -> dict[str, str]:
        money = self._layout.money
        refunded = sum(
            line.paid
            for request in order.requests
            if _is_refund_shown(request, at)
            for line in request.lines
        )
        cells = self._order_defaults | order.buyer.cells
        cells |= {column: money(fee) for column, fee in order.fees.items()}
        cells |= {
            "Order ID": order.order_id,
            "Shipping Fee After Discount": money(order.shipping_fee - order.shipping_discount),
            "Original Shipping Fee": money(order.shipping_fee),
            "Shipping Fee Platform Discount": money(order.shipping_discount),
            "Order Refund Amount": money(min(refunded, order.amount)),
            "Order Amount": money(order.amount),
            "Created Time": self._time(order.created_at, at),
            "Paid Time": self._time(order.paid_at, at),
            "Cancelled Time": self._time(order.cancelled_at, at),
            "Buyer Message": order.message,
            "Payment Method": order.payment_method,
        }
        if order.is_preorder:
            cells["Normal or Pre-order"] = "Pre-order"
        if order.invoice:
            cells["Purchase Channel"] = "Tokopedia"
            cells["Tokopedia Invoice Number"] = order.invoice
        if _is_known(order.cancelled_at, at):
            cells["Cancelation/Return Type"] = "Cancel"
            cells["Cancel By"] = order.cancelled_by
            cells["Cancel Reason"] = order.cancel_reason
        return cells

    def _line_cells(self, order: Order, line: Line, at: datetime) -> dict[str, str]:
        money, sku, parcel = self._layout.money, line.sku, line.parcel
        status, sub_status = self._layout.statuses[_state(order, line, at)]
        cells = {
            "Order Status": status,
            "Order Substatus": sub_status,
            "SKU ID": sku.sku_id,
            "Seller SKU": sku.seller_sku,
            "Product Name": sku.product.name,
            "Variation": sku.variation,
            "Quantity": str(line.quantity),
            "Sku Quantity of return": "0",
            "SKU Unit Original Price": money(sku.price),
            "SKU Subtotal Before Discount": money(line.subtotal),
            "SKU Platform Discount": money(line.platform_discount),
            "SKU Seller Discount": money(line.seller_discount),
            "SKU Subtotal After Discount": money(line.paid),
            "RTS Time": self._time(parcel.rts_at, at),
            "Shipped Time": self._time(parcel.shipped_at, at),
            "Delivered Time": self._time(parcel.delivered_at, at),
            "Weight(kg)": f"{0.2 * line.quantity:.2f}",
            "Product Category": sku.product.category,
            "Package ID": parcel.package_id,
        }
        if _is_known(parcel.rts_at, at):
            cells["Tracking ID"] = parcel.tracking_id
            cells["Shipping Provider Name"] = parcel.carrier
        if any(line in r.lines for r in order.requests if _is_refund_shown(r, at)):
            cells["Cancelation/Return Type"] = "Return/Refund"
            cells["Sku Quantity of return"] = str(line.quantity)
        return cells

    def _return_cells(self, request: Request, line: Line, at: datetime) -> dict[str, str]:
        money, order, sku = self._layout.money, request.order, line.sku
        status, sub_status = self._layout.statuses[_state(order, line, at)]
        step = request.state(at)
        return {
            "Return Order ID": request.return_id,
            "Order ID": order.order_id,
            "Order Amount": money(order.amount),
            "Order Status": status,
            "Order Substatus": sub_status,
            "Payment Method": order.payment_method,
            "SKU ID": sku.sku_id,
            "Seller SKU": sku.seller_sku,
            "Product Name": sku.product.name,
            "SKU Name": sku.variation,
            "Buyer Username": order.buyer.cells["Buyer Username"],
            "Return Type": request.return_type,
            "Time Requested": request.requested_at.strftime(DAY_FIRST),
            "Return Reason": request.reason_text,
            "Return unit price": money(line.paid),
            "Return Quantity": str(line.quantity),
            "Return Logistics Tracking ID": (
                request.tracking_id if _is_known(request.shipped_back_at, at) else ""
            ),
            "Return Status": step.status,
            "Return Sub Status": step.sub_status,
            "Refund Time": (
                request.refunded_at.strftime(DAY_FIRST)
                if request.refunded_at and request.refunded_at <= at
                else ""
            ),
            "Buyer Note": request.note,
        }

    def _time(self, moment: datetime | None, at: datetime) -> str:
        if moment is None or moment > at:
            return ""
        return moment.strftime(self._layout.order_time)

    def _iso(self, moment: datetime) -> str:
        """Naive shop time; from the US shop in UTC, so that a reader must convert."""
        if self._region.code != "US":
            return moment.isoformat(sep=" ")
        return moment.replace(tzinfo=self._zone).astimezone(UTC).isoformat()


def _is_known(moment: datetime | None, at: datetime) -> bool:
    return moment is not None and moment <= at


def _is_refund_shown(request: Request, at: datetime) -> bool:
    return request.is_flagged_in_orders and _is_known(request.refunded_at, at)


def _state(order: Order, line: Line, at: datetime) -> tuple[str, str]:
    """Status and sub-status in English; a delivered line is `Shipped` until the order completes."""
    parcel = line.parcel
    if _is_known(order.cancelled_at, at):
        return layouts.CANCELED
    if _is_known(order.completed_at, at):
        return layouts.COMPLETED
    if _is_known(parcel.delivered_at, at):
        return layouts.DELIVERED
    if _is_known(parcel.shipped_at, at):
        return layouts.IN_TRANSIT
    if _is_known(parcel.rts_at, at):
        return layouts.AWAITING_COLLECTION
    if order.payment_method == CASH_ON_DELIVERY or _is_known(order.paid_at, at):
        return layouts.AWAITING_SHIPMENT
    return layouts.UNPAID
