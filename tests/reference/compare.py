"""The published tables beside the reference, row by row and column by column."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from tests.reference.compute import (
    GRAINS,
    Key,
    Row,
    Tables,
    event_times,
    normalised_name,
    product_names,
    sku_of,
)
from tests.reference.model import (
    Chat,
    Complaint,
    OrderLine,
    PlatformMetric,
    Product,
    ReturnLine,
    Review,
    ReviewOverride,
    Settings,
    ShopCase,
    Version,
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "shop_metrics_daily": (
        "delivered_orders",
        "negative_review_orders",
        "seller_negative_review_orders",
        "product_negative_review_orders",
        "service_negative_review_orders",
        "seller_fault_return_orders",
        "nrr",
        "nrr_seller",
        "nrr_product",
        "nrr_service",
        "sfrr",
        "nrr_state",
        "sfrr_state",
        "complaint_orders",
        "negative_feedback_orders",
        "product_negative_feedback_orders",
        "service_negative_feedback_orders",
        "complaint_rate",
        "negative_feedback_rate",
        "product_negative_feedback_rate",
        "service_negative_feedback_rate",
        "complaint_state",
        "negative_feedback_state",
        "chats",
        "chats_replied_in_time",
        "chat_reply_rate",
        "median_reply_hours",
        "p90_reply_hours",
        "chat_state",
    ),
    "product_metrics_daily": (
        "delivered_orders",
        "negative_review_orders",
        "seller_fault_return_orders",
        "nrr",
        "sfrr",
    ),
    "reason_metrics_daily": (
        "category",
        "fault",
        "is_counted",
        "orders",
        "delivered_orders",
        "rate",
        "share",
        "rank",
    ),
    "product_reason_metrics_daily": ("is_counted", "orders"),
    "complaint_metrics_daily": (
        "category",
        "fault",
        "is_counted",
        "orders",
        "delivered_orders",
        "rate",
    ),
    "feedback_events": (
        "order_id",
        "product_key",
        "event_date",
        "rating",
        "reason_code",
        "category",
        "fault",
        "is_negative",
        "complaint_type",
        "reason_rule",
    ),
    "metric_status_daily": (
        "orders",
        "delivered_orders",
        "rate",
        "target",
        "status",
        "target_confidence",
        "rate_low",
        "rate_high",
        "is_reliable",
        "breach_since",
        "days_in_breach",
        "higher_is_better",
        "state",
    ),
    "shop_forecast": (
        "as_of_date",
        "forecast_date",
        "orders_if_nothing_new",
        "expected_orders",
        "expected_delivered_orders",
        "rate_if_nothing_new",
        "expected_rate",
        "target",
        "status_if_nothing_new",
        "expected_status",
        "orders_to_breach",
        "clean_orders_to_recover",
        "recovery_date",
    ),
    "feedback_costs": (
        "as_of_date",
        "orders",
        "currency",
        "revenue",
        "refunds",
        "compensation",
        "net_refunds",
    ),
    "watchlist": (
        "as_of_date",
        "orders",
        "delivered_orders",
        "rate",
        "threshold",
        "excess_orders",
        "rate_change",
        "top_reason",
        "top_reason_orders",
        "advice_area",
        "advice",
        "platform_steps",
        "currency",
        "revenue",
        "net_refunds",
        "rate_low",
        "rate_high",
    ),
    "metric_variants_daily": ("metric", "numerator", "denominator", "rate"),
    "reconciliation": (
        "platform_value",
        "rate",
        "difference",
        "nearest_variant",
        "nearest_rate",
        "nearest_difference",
        "explained_by",
        "explained_by_rate",
        "explained_by_mean_difference",
        "explained_by_days",
        "is_explained",
    ),
}
"""The columns that are compared, next to the key columns of each table."""

ROW = "(row)"
"""Stands for a column in a difference that is about a whole row."""


@dataclass(frozen=True)
class Difference:
    """One cell, or one whole row, in which the publication and the reference part."""

    table: str
    key: Key
    column: str
    expected: Any
    got: Any

    @property
    def shop_id(self) -> str:
        """The shop that the row is about: the first column of every key."""
        return str(self.key[0])

    def __str__(self) -> str:
        """Name the row by its key columns, the column, what was expected and what was there."""
        where = " ".join(
            f"{name}={value}" for name, value in zip(GRAINS[self.table], self.key, strict=True)
        )
        return f"{self.table} {where} {self.column}: expected {self.expected!r}, got {self.got!r}"


def read_published(path: Path) -> dict[str, list[tuple[Key, Row]]]:
    """Read the compared columns of every table of a published DuckDB file, as they lie."""
    published = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        for table, grain in GRAINS.items():
            columns = (*grain, *COLUMNS[table])
            if table == "product_metrics_daily":
                columns = (*columns, "product_name")
            rows = connection.table(table).select(*columns).fetchall()
            published[table] = [
                (
                    row[: len(grain)],
                    dict(zip(columns[len(grain) :], row[len(grain) :], strict=True)),
                )
                for row in rows
            ]
    return published


def differences(expected: Tables, published: dict[str, list[tuple[Key, Row]]]) -> list[Difference]:
    """List every cell that differs, every row that is missing, surplus or there twice."""
    found = []
    for table, expected_rows in expected.items():
        seen: dict[Key, Row] = {}
        for key, row in published[table]:
            if key in seen:
                found.append(Difference(table, key, ROW, "one row", "several rows"))
            seen[key] = row
        for key, row in expected_rows.items():
            if key not in seen:
                found.append(Difference(table, key, ROW, row, "no row"))
                continue
            for column in COLUMNS[table]:
                if not is_same(row[column], seen[key][column]):
                    found.append(Difference(table, key, column, row[column], seen[key][column]))
        for key, row in seen.items():
            if key not in expected_rows:
                found.append(Difference(table, key, ROW, "no row", row))
    return found


def name_differences(
    cases: Iterable[ShopCase], published: dict[str, list[tuple[Key, Row]]]
) -> list[Difference]:
    """List the products shown under a name that none of their skus has.

    The definitions do not say which of several names a product shows, so any of them will do,
    in whatever spelling that is the same after normalisation.
    """
    names = {case.shop.shop_id: product_names(case, Settings()) for case in cases}
    found = []
    for key, row in published["product_metrics_daily"]:
        allowed = names.get(key[0], {}).get(key[1], set())
        name = row["product_name"]
        if name is None or normalised_name(name) not in allowed:
            found.append(
                Difference("product_metrics_daily", key, "product_name", sorted(allowed), name)
            )
    return found


def is_same(expected: Any, got: Any) -> bool:
    """Tell whether two cells hold the same value; rates may differ in the last digits."""
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(expected, got, rel_tol=1e-12, abs_tol=1e-12)
    if isinstance(expected, bool) != isinstance(got, bool):
        return False
    return bool(expected == got)


# ---------------------------------------------------------------- telling what went wrong


def explain(found: list[Difference], cases: list[ShopCase], limit: int = 12) -> str:
    """Tell what differs where, and show the whole case of the simplest shop that differs."""
    if not found:
        return "no differences"
    cases_by_shop = {case.shop.shop_id: case for case in cases}
    by_column: dict[tuple[str, str], list[Difference]] = {}
    for difference in found:
        by_column.setdefault((difference.table, difference.column), []).append(difference)
    shops = {difference.shop_id for difference in found}
    lines = [f"{len(found)} differences in {len(shops)} of {len(cases)} shops:"]
    for (table, column), of_column in by_column.items():
        shops_of_column = {difference.shop_id for difference in of_column}
        lines.append(f"  {table}.{column}: {len(of_column)} in {len(shops_of_column)} shops")
    known = sorted(shops & cases_by_shop.keys(), key=lambda shop: _size(cases_by_shop[shop]))
    if not known:
        return "\n".join(lines + [f"  {difference}" for difference in found[:limit]])
    of_shop = [difference for difference in found if difference.shop_id == known[0]]
    lines.append(f"the smallest of these shops, {known[0]}, has {len(of_shop)}, among them:")
    lines.extend(f"  {difference}" for difference in _one_of_each_column_first(of_shop)[:limit])
    lines.append(describe(cases_by_shop[known[0]]))
    return "\n".join(lines)


def _one_of_each_column_first(found: list[Difference]) -> list[Difference]:
    seen = set()
    first: list[Difference] = []
    rest: list[Difference] = []
    for difference in found:
        kind = (difference.table, difference.column)
        (rest if kind in seen else first).append(difference)
        seen.add(kind)
    return first + rest


def _size(case: ShopCase) -> int:
    return len(case.order_lines) + len(case.reviews) + len(case.return_lines)


def describe(case: ShopCase) -> str:
    """Write a case out, file by file in order of export, with the fields that decide figures."""
    shop = case.shop
    lines = [f"the case: {shop.shop_id}, region {shop.region}, {shop.timezone}"]
    versions: list[Version] = [
        *case.products,
        *case.order_lines,
        *case.reviews,
        *case.overrides,
        *case.return_lines,
        *case.complaints,
        *case.platform_metrics,
        *case.chats,
    ]
    for file in sorted(case.files, key=lambda file: (file.dataset, file.exported_at)):
        rows = [version for version in versions if version.file == file]
        note = "" if rows else " (no rows)"
        missing = sorted({name for row in rows for name in row.missing})
        if missing:
            note += f" (no column for {', '.join(missing)})"
        lines.append(
            f"  {file.dataset}/{file.file_name} exported {file.exported_at}"
            f" {file.file_id[:8]}{note}"
        )
        lines.extend(f"    {row.row_number}: {_summary(row)}" for row in rows)
    return "\n".join(lines)


def _summary(version: Version) -> str:
    times = " ".join(str(time) for time in event_times(version))
    if isinstance(version, OrderLine):
        sku = sku_of(version.sku_id, version.seller_sku)
        delivered = "" if version.delivered_at else " undelivered"
        return f"order {version.order_id} sku {sku} {version.product_name!r} {times}{delivered}"
    if isinstance(version, Review):
        return (
            f"review {version.review_id} order {version.order_id} sku {version.sku_id}"
            f" product {version.product_id} rating {version.rating} {times}"
            f" issue {version.issue_type!r} text {version.review_text!r}"
        )
    if isinstance(version, ReturnLine):
        sku = sku_of(version.sku_id, version.seller_sku)
        return (
            f"return {version.return_order_id} order {version.order_id} sku {sku} {times}"
            f" reason {version.return_reason_code!r} {version.return_reason!r}"
            f" status {version.return_status!r} / {version.return_sub_status!r}"
            f" / {version.arbitration_status!r}"
        )
    if isinstance(version, Complaint):
        about = f"order {version.order_id} sku {version.sku_id}"
        of_type = f"type {version.complaint_type!r} / {version.complaint_subtype!r}"
        return f"complaint {version.complaint_id} {about} {times} {of_type}"
    if isinstance(version, PlatformMetric):
        window = f"over {version.window_days} days"
        return f"shown {version.metric} {version.metric_date} {window}: {version.value}"
    if isinstance(version, Chat):
        return f"chat {version.conversation_id} {times} by {version.initiated_by!r}"
    if isinstance(version, ReviewOverride):
        return f"override of review {version.review_id} {times} reason {version.reason_code!r}"
    if isinstance(version, Product):
        sku = sku_of(version.sku_id, version.seller_sku)
        return f"sku {sku} product {version.product_id} {version.product_name!r}"
    raise TypeError(f"no summary for {type(version).__name__}")


def latest_time(case: ShopCase) -> datetime | None:
    """Give the latest time that any row of a case carries, superseded versions included."""
    versions: list[Version] = [
        *case.order_lines,
        *case.reviews,
        *case.return_lines,
        *case.complaints,
        *case.chats,
    ]
    times = [time for version in versions for time in event_times(version)]
    return max(times) if times else None
