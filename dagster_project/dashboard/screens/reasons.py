"""Reasons: for which a shop's buyers are unhappy, over time and by product."""

from __future__ import annotations

from datetime import date

import streamlit as st

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask
from dagster_project.dashboard.view import Column
from dagster_project.lib import charts, questions
from dagster_project.lib.charts import words

_LINES = 5


def show() -> None:
    """Draw the page."""
    one, two, three, four = st.columns(4)
    with one:
        shop = filters.shop()
    with two:
        metric = filters.metric()
    with three:
        day = filters.day(shop)
    with four:
        first = filters.first_day(shop, day)
    name, label = shop["shop_id"], view.METRICS[metric]
    rows = ask(questions.reasons, name, metric, day)
    view.heading(
        f"Reasons in the {label} of {name}",
        note=f"Window that ends on {view.day_text(day)}. An order with two reasons is in both "
        "bars, so shares may add up to more than 100 %; grey bars are not counted in the rate.",
    )
    state = ask(questions.state, name, metric, day)
    if not rows:
        view.nothing(view.no_negative_order(metric, state))
        return
    if state != "ok":
        view.notice(
            f"There is no {label} on that day: {view.no_rate(metric, state)}. The orders are those "
            "that are known.",
            "warning",
        )
    view.chart(charts.reasons_pareto(rows), key="_chart_reasons")
    view.heading("Over time", note="Orders of each day's window, for the most frequent reasons.")
    codes = [row["reason_code"] for row in rows if row["is_counted"]][:_LINES]
    if codes:
        view.chart(
            charts.orders_by_reason_over_time(
                ask(questions.reason_days, name, metric, codes, first, day)
            ),
            key="_chart_reason_days",
        )
    else:
        view.nothing("No reason that counts in this window.")
    day_said = "" if day == shop["last_day"] else day.isoformat()
    view.heading("All reasons")
    view.table(
        [
            Column("Reason"),
            Column("Category", is_extra=True),
            Column("Whose fault", is_extra=True),
            Column("Orders", is_number=True),
            Column("Of delivered", is_number=True, is_extra=True),
            Column("Share", is_number=True, hint="of the metric's negative orders"),
        ],
        [
            [
                view.link(
                    "orders", words(row["reason_code"]), shop=name, reason=row["reason_code"],
                    day=day_said, metric=metric if row["is_counted"] else "all",
                ),
                row["category"],
                row["fault"],
                row["orders"],
                view.percent(row["rate"]),
                "not counted" if row["share"] is None else f"{row['share']:.0%}",
            ]
            for row in rows
        ],
        name="All reasons",
    )  # fmt: skip
    offer(f"{name}-reasons-{metric}-{day}", list(rows[0]), lambda: rows)
    _by_product(name, metric, rows, day, day_said, state)


def _by_product(
    shop: str, metric: str, rows: list[questions.Row], day: date, day_said: str, state: str
) -> None:
    view.heading("By product")
    reasons = {code: words(code) for code in dict.fromkeys(row["reason_code"] for row in rows)}
    reason = filters.choice("Reason", "reason", reasons, next(iter(reasons)))
    view.table(
        [
            Column("Product"),
            Column("Orders", is_number=True),
            Column("Of delivered", is_number=True),
        ],
        [
            [
                view.link(
                    "products", row["product_name"], shop=shop, metric=metric, day=day_said,
                    product=row["product_key"],
                ),
                row["orders"],
                view.rate_cell(
                    metric, row["rate"], row["orders"], row["delivered_orders"], state=state
                ),
            ]
            for row in ask(questions.reason_products, shop, metric, reason, day)
        ],
        name="Products with this reason",
        empty="No event of this reason names a product.",
    )  # fmt: skip
