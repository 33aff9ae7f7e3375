"""What the status and forecast marts say, as plain loops over the shop days of the reference."""

import math
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from tests.reference.model import Settings, Shop, Target

Row = dict[str, Any]

NUMERATORS = {
    "nrr": "negative_review_orders",
    "nrr_seller": "seller_negative_review_orders",
    "nrr_product": "product_negative_review_orders",
    "nrr_service": "service_negative_review_orders",
    "sfrr": "seller_fault_return_orders",
    "complaint_rate": "complaint_orders",
    "negative_feedback_rate": "negative_feedback_orders",
    "product_negative_feedback_rate": "product_negative_feedback_orders",
    "service_negative_feedback_rate": "service_negative_feedback_orders",
}
STATES = {
    "sfrr": "sfrr_state",
    "complaint_rate": "complaint_state",
    "negative_feedback_rate": "negative_feedback_state",
    "product_negative_feedback_rate": "negative_feedback_state",
    "service_negative_feedback_rate": "negative_feedback_state",
    "chat_reply_rate": "chat_state",
}


def target_on(shop: Shop, metric: str, day: date, targets: Iterable[Target]) -> Target | None:
    """Give the target in force: the shop's own, else that of its region."""
    found = [
        target
        for target in targets
        if target.region == shop.region
        and target.metric == metric
        and target.shop_id in (None, shop.shop_id)
        and target.valid_from <= day <= target.valid_to
    ]
    return min(found, key=lambda target: target.shop_id is None, default=None)


def wilson(successes: int, trials: int) -> tuple[float, float] | None:
    """Give the Wilson score interval, 95 %, in the textbook's form (Wilson 1927)."""
    if trials == 0:
        return None
    z = 1.959964
    p = successes / trials
    middle = p + z * z / (2 * trials)
    margin = z * math.sqrt(p * (1 - p) / trials + (z / (2 * trials)) ** 2)
    low, high = ((middle + sign * margin) / (1 + z * z / trials) for sign in (-1, 1))
    return min(low, p), max(high, p)


def status_of(rate: float | None, target: float | None, settings: Settings) -> str:
    """Give how a rate stands to its target, which it meets while it is below it."""
    if target is None:
        return "no_target"
    if rate is None:
        return "unknown"
    if rate >= target:
        return "breach"
    return "at_risk" if rate >= settings.at_risk_share_of_target * target else "ok"


def chat_status_of(rate: float | None, target: float | None, settings: Settings) -> str:
    """Give the same of the share of chats in time, which is to stay above its target."""
    if target is None or rate is None:
        return status_of(rate, target, settings)
    if rate <= target:
        return "breach"
    is_near = 1 - rate >= settings.at_risk_share_of_target * (1 - target)
    return "at_risk" if is_near else "ok"


def figures(of_shop: Row) -> dict[str, tuple[int, int, float | None]]:
    """Give numerator, denominator and rate of each metric that has rows on a shop day."""
    found = {
        metric: (of_shop[numerator], of_shop["delivered_orders"], of_shop[metric])
        for metric, numerator in NUMERATORS.items()
    }
    in_time, rate = of_shop["chats_replied_in_time"], of_shop["chat_reply_rate"]
    found["chat_reply_rate"] = (in_time, of_shop["chats"], rate)
    return {
        metric: figure
        for metric, figure in found.items()
        if metric == "sfrr" or metric.startswith("nrr") or of_shop[STATES[metric]] != "not_loaded"
    }


def status_rows(
    shop: Shop, days: dict[date, Row], settings: Settings
) -> dict[tuple[str, date, str], Row]:
    """Give a shop's rows of metric_status_daily, of its rows of shop_metrics_daily by day."""
    rows = {}
    since: dict[str, date | None] = {}
    for day in sorted(days):
        for metric, (orders, delivered, rate) in figures(days[day]).items():
            is_chat = metric == "chat_reply_rate"
            target = target_on(shop, metric, day, settings.targets)
            limit = target.target if target else None
            status = (chat_status_of if is_chat else status_of)(rate, limit, settings)
            first = since[metric] = (since.get(metric) or day) if status == "breach" else None
            low, high = (wilson(orders, delivered) if rate is not None else None) or (None, None)
            rows[shop.shop_id, day, metric] = {
                "orders": orders,
                "delivered_orders": delivered,
                "rate": rate,
                "target": limit,
                "status": status,
                "target_confidence": target.confidence if target else None,
                "rate_low": low,
                "rate_high": high,
                "is_reliable": delivered >= settings.min_delivered_orders,
                "breach_since": first,
                "days_in_breach": (day - first).days + 1 if first else None,
                "higher_is_better": is_chat,
                "state": days[day][STATES.get(metric, "nrr_state")],
            }
    return rows


def forecast_rows(
    shop: Shop,
    as_of: date,
    statuses: dict[tuple[str, date, str], Row],
    remaining: dict[int, Row],
    settings: Settings,
) -> dict[tuple[str, str, int], Row]:
    """Give a shop's rows of shop_forecast.

    `remaining` has, by days ahead, what the row of shop_metrics_daily on the as-of date would be
    if it only held the orders that still are in the window then.
    """
    rows: dict[tuple[str, str, int], Row] = {}
    for metric, numerator in NUMERATORS.items():
        today = statuses.get((shop.shop_id, as_of, metric))
        if today is None:
            continue
        delivered, rate = today["delivered_orders"], today["rate"]
        recovery = None
        for days, of_shop in sorted(remaining.items()):
            day = as_of + timedelta(days=days)
            new = delivered * days / settings.window_days
            expected_delivered = of_shop["delivered_orders"] + new
            expected = nothing_new = None
            if rate is not None:
                expected = of_shop[numerator] + rate * new
                nothing_new = of_shop[numerator] / expected_delivered
            target = target_on(shop, metric, day, settings.targets)
            limit = target.target if target else None
            expected_rate = None if expected is None else expected / expected_delivered
            row = {
                "as_of_date": as_of,
                "forecast_date": day,
                "orders_if_nothing_new": of_shop[numerator],
                "expected_orders": expected,
                "expected_delivered_orders": expected_delivered,
                "rate_if_nothing_new": nothing_new,
                "expected_rate": expected_rate,
                "target": limit,
                "status_if_nothing_new": status_of(nothing_new, limit, settings),
                "expected_status": status_of(expected_rate, limit, settings),
                "orders_to_breach": room(today),
                "clean_orders_to_recover": way_back(today),
            }
            is_over = row["status_if_nothing_new"] in ("ok", "at_risk")
            if today["status"] == "breach" and is_over and recovery is None:
                recovery = day
            rows[shop.shop_id, metric, days] = row
        for days in remaining:
            rows[shop.shop_id, metric, days]["recovery_date"] = recovery
    return rows


def room(today: Row) -> int | None:
    """Count further negative orders, one by one, while the rate stays below the target."""
    if today["target"] is None or today["rate"] is None:
        return None
    further = 0
    while (today["orders"] + further + 1) / today["delivered_orders"] < today["target"]:
        further += 1
    return further


def way_back(today: Row) -> int | None:
    """Count further clean orders, one by one, until the rate is below the target."""
    if today["target"] is None or today["rate"] is None:
        return None
    clean = 0
    while today["orders"] / (today["delivered_orders"] + clean) >= today["target"]:
        clean += 1
    return clean
