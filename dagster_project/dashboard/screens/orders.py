"""Orders: the events behind any figure, from which file and row, and why they count or not."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask, ask_now
from dagster_project.dashboard.view import Column, Html, esc
from dagster_project.lib import questions
from dagster_project.lib.charts import words
from dagster_project.lib.text import printable

_ON_PAGE = 50
_MOST = 100_000
_ALL = "all"
_FIGURES = {**view.METRICS, _ALL: "all events, by their date"}
_COLUMNS = (
    Column("Date"),
    Column("Order"),
    Column("What", is_extra=True),
    Column("Reason"),
    Column("Text"),
    Column("Counts"),
    Column("Delivered", is_extra=True),
    Column("From file, row", is_extra=True),
)
_TAKEN = (
    "event_date", "source", "order_id", "sku_id", "product_key", "rating", "reason_code",
    "category", "fault", "is_counted", "rule", "text", "delivered_date", "file_name", "file_id",
    "row_number", "event_id",
)  # fmt: skip


def show() -> None:
    """Draw the page."""
    one, two, three = st.columns(3)
    with one:
        shop = filters.shop()
    with two:
        metric = filters.choice("Events behind", "metric", _FIGURES, "nrr")
    with three:
        day = filters.day(shop)
    name = shop["shop_id"]
    left, right = st.columns(2)
    with left:
        codes = {code: words(code) for code in ask(questions.reason_codes, name)}
        reason = filters.choice("Reason", "reason", {"": "all"} | codes, "")
    with right:
        search = filters.text("Find", "q", "order number, reason or words of the text")
    product = filters.hidden("product", "the product")
    asked = {
        "metric": "" if metric == _ALL else metric,
        "day": day,
        "first": day - timedelta(ask(questions.window_days) - 1),
        "product": product,
        "reason": reason,
        "search": search,
    }
    called = product and ask(questions.product_name, name, product, day)
    if product and not called:
        view.notice(
            f"{printable(name, 60)} has no delivered order with a product "
            f"“{printable(product, 60)}” in the window that ends on {view.day_text(day)}.",
            "warning",
        )
    elif product:
        view.heading(called, note=f"Only events on the product {product}")
    rows = filters.paged(
        lambda limit, offset: ask(questions.events, name, **asked, limit=limit, offset=offset),
        _ON_PAGE,
    )
    if rows:
        window = f"the window that ends on {view.day_text(day)}"
        what = (
            f"dated in {window}, whether they count or not"
            if metric == _ALL
            else f"in the {_FIGURES[metric]} of {window}"
        )
        only = {"product": called or product, "reason": words(reason), "text": search}
        narrowed = [f"{word} “{printable(said, 60)}”" for word, said in only.items() if said]
        view.note(
            f"{view.counted(rows[0]['total'], 'event')} on "
            f"{view.counted(rows[0]['total_orders'], 'order')} {what}"
            + (f"; only those with the {' and the '.join(narrowed)}." if narrowed else ".")
        )
    view.table(
        _COLUMNS,
        [_row(row) for row in rows],
        name="Events",
        empty="No event is behind that: choose another figure, reason or day.",
    )
    offer(
        f"{name}-orders-{metric}-{day}",
        _TAKEN,
        ask_now(questions.events, name, **asked, limit=_MOST),
    )


def _row(row: questions.Row) -> list[view.Cell]:
    stars = "" if row["rating"] is None else f", {row['rating']} ★"
    counts = "yes" if row["is_counted"] else f"no: {words(row['rule'])}"
    return [
        row["event_date"],
        Html(f'<span class="number">{esc(row["order_id"] or "not named")}</span>'),
        f"{row['source']}{stars}",
        words(row["reason_code"]),
        Html(f'<span class="wrap">{esc(row["text"] or "", 400)}</span>'),
        counts,
        row["delivered_date"],
        Html(
            f'<span class="wrap" title="id {esc(row["file_id"])}">'
            f"{esc(row['file_name'] or row['file_id'][:12])}, row {row['row_number']:,}</span>"
        ),
    ]
