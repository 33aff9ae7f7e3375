"""Which products need action, by the reference's own tables; settings are read as they lie."""

import csv
from datetime import date, timedelta
from typing import Any

from dagster_project.lib.paths import DBT_DIR
from tests.reference.outlook import wilson

Row = dict[str, Any]
NUMERATORS = {"nrr": "negative_review_orders", "sfrr": "seller_fault_return_orders"}
MIN_ORDERS = 2


def _seed(name: str, key: str) -> dict[str, dict[str, str]]:
    with (DBT_DIR / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def watch_rows(
    shop_id: str,
    as_of: date,
    tables: dict[str, dict[Any, Row]],
    money: dict[tuple[str, str], Row],
    categories: dict[str, str],
) -> dict[tuple[str, str, str], Row]:
    """Give a shop's rows of watchlist.

    `money` has, by product and metric, what is at stake in the orders with a counted event;
    `categories` that of each reason.
    """
    advice, steps = _seed("reason_advice", "reason_code"), _seed("platform_steps", "category")
    products = tables["product_metrics_daily"]
    statuses = {
        metric: row
        for (_, day, metric), row in tables["metric_status_daily"].items()
        if day == as_of
    }
    found = []
    for (_, product, day), row in products.items():
        if day != as_of:
            continue
        earlier = products.get((shop_id, product, as_of - timedelta(days=7)))
        for metric, numerator in NUMERATORS.items():
            orders, rate = row[numerator], row[metric]
            targets = [
                status["target"]
                for name, status in statuses.items()
                if name.partition("_")[0] == metric and status["target"] is not None
            ]
            if rate is None or orders < MIN_ORDERS:
                continue
            threshold = min(targets) if targets else statuses[metric]["rate"]
            interval = wilson(orders, row["delivered_orders"])
            assert interval is not None
            if rate < threshold if targets else interval[0] <= threshold:
                continue
            reasons = sorted(
                (-of_reason["orders"], code)
                for (_, of_product, on, of_metric, code), of_reason in tables[
                    "product_reason_metrics_daily"
                ].items()
                if (of_product, on, of_metric) == (product, as_of, metric)
                and of_reason["is_counted"]
            )
            count, reason = reasons[0]
            was = earlier[metric] if earlier else None
            found.append(
                {
                    "product_key": product,
                    "metric": metric,
                    "as_of_date": as_of,
                    "orders": orders,
                    "delivered_orders": row["delivered_orders"],
                    "rate": rate,
                    "threshold": threshold,
                    "excess_orders": orders - threshold * row["delivered_orders"],
                    "rate_change": None if was is None else rate - was,
                    "top_reason": reason,
                    "top_reason_orders": -count,
                    "advice_area": advice.get(reason, {}).get("area"),
                    "advice": advice.get(reason, {}).get("advice"),
                    "platform_steps": steps.get(categories[reason], {}).get("steps"),
                    "currency": money[product, metric]["currency"],
                    "revenue": money[product, metric]["revenue"],
                    "net_refunds": money[product, metric]["net_refunds"],
                    "rate_low": interval[0],
                    "rate_high": interval[1],
                }
            )
    return {(shop_id, row.pop("product_key"), row.pop("metric")): row for row in found}
