"""Products: which drive a shop's rate, for what reasons, and what to do about them."""

from __future__ import annotations

from datetime import date

import streamlit as st

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask, ask_now
from dagster_project.dashboard.view import Column, Html, esc, percent
from dagster_project.lib import charts, questions
from dagster_project.lib.charts import words

_ON_PAGE = 25
_MOST = 100_000
_ORDERS = {
    "excess": "weight in the shop's rate",
    "orders": "negative orders",
    "rate": "rate",
    "delivered": "delivered orders",
}
_COLUMNS = (
    Column("Product"),
    Column("Rate", is_number=True),
    Column("30 days", is_extra=True),
    Column("Reasons", is_extra=True),
    Column("Advice"),
)
_TAKEN = (
    "product_key", "product_name", "delivered_orders", "orders", "rate", "watch_rank", "threshold",
    "threshold_of", "excess_orders", "rate_change", "top_reason", "top_reason_orders",
    "advice_area", "advice", "platform_steps", "currency", "revenue", "net_refunds",
)  # fmt: skip


def show() -> None:
    """Draw the page."""
    one, two, three = st.columns(3)
    with one:
        shop = filters.shop()
    with two:
        metric = filters.metric()
    with three:
        day = filters.day(shop)
    name = shop["shop_id"]
    product = filters.hidden("product", "the product")
    if product:
        _one(name, metric, product, day, shop)
        return
    left, right = st.columns(2)
    with left:
        order = filters.choice("Ranked by", "order", _ORDERS, "excess")
    with right:
        search = filters.text("Find a product", "q", "part of its name or number")
    rows = filters.paged(
        lambda limit, offset: ask(
            questions.products, name, metric, day, order=order, search=search, limit=limit,
            offset=offset,
        ),
        _ON_PAGE,
    )  # fmt: skip
    keys = [row["product_key"] for row in rows]
    rates = ask(questions.product_rates, name, metric, day, keys)
    reasons: dict[str, list[questions.Row]] = {}
    for row in ask(questions.product_reasons, name, metric, day, keys):
        reasons.setdefault(row["product_key"], []).append(row)
    state = ask(questions.state, name, metric, day)
    view.table(
        _COLUMNS,
        [
            [
                _name(name, metric, day, shop["last_day"], row),
                view.rate_cell(
                    metric, row["rate"], row["orders"], row["delivered_orders"], state=state
                ),
                view.spark(rates[row["product_key"]], _told(metric, row), row["threshold"]),
                Html(
                    f'<span class="wrap">'
                    f"{esc(view.reasons_text(reasons.get(row['product_key'], [])) or '–')}</span>"
                ),
                _advice(row),
            ]
            for row in rows
        ],
        name="Products",
        empty="No product was delivered in this window, or none is called like that.",
    )
    offer(
        f"{name}-products-{metric}-{day}",
        _TAKEN,
        ask_now(questions.products, name, metric, day, order=order, search=search, limit=_MOST),
    )


def _name(shop: str, metric: str, day: date, last: date, row: questions.Row) -> Html:
    shown = view.link(
        "products",
        row["product_name"] or row["product_key"],
        shop=shop,
        metric=metric,
        product=row["product_key"],
        day="" if day == last else day.isoformat(),
    )
    mark = "<small>on the watchlist</small>" if row["watch_rank"] else ""
    return Html(f'<span class="wrap">{shown.markup}</span>{mark}')


def _limit(metric: str, row: questions.Row) -> str:
    """What the threshold of a watched product is."""
    if row["threshold_of"] is None:
        return "the shop's own rate"
    return "target" if row["threshold_of"] == metric else "target of a part of the NRR"


def _told(metric: str, row: questions.Row) -> str:
    told = f"{view.METRICS[metric]} in thirty days"
    if row["threshold"] is None:
        return told
    return f"{told}; dots: {_limit(metric, row)}, {percent(row['threshold'])}"


def _at_stake(metric: str, row: questions.Row) -> tuple[str, str, str] | None:
    amount = row["revenue" if metric == "nrr" else "net_refunds"]
    if amount is None:
        return None
    money = f"{amount:,.2f} {row['currency'] or ''}".rstrip()
    if metric == "nrr":
        return "sold for", money, "the product in the negative orders"
    return "asked back", money, "less compensation"


def _advice(row: questions.Row) -> Html:
    if not row["advice"]:
        return Html("–")
    area = f"{row['advice_area'].capitalize()}: " if row["advice_area"] else ""
    return Html(f'<span class="wrap">{esc(area + row["advice"], 300)}</span>')


def _one(shop: str, metric: str, product: str, day: date, about: questions.Row) -> None:
    title = ask(questions.product_name, shop, product, day)
    if title is None:
        view.nothing(
            f"No order with the product {product} was delivered to buyers of this shop in the "
            f"window that ends on {view.day_text(day)}."
        )
        return
    label = view.METRICS[metric]
    view.heading(title, note=f"Product {product} of {shop}")
    first = filters.first_day(about, day)
    days = ask(questions.product_days, shop, metric, product, first, day)
    now = days[-1]
    found = ask(questions.products, shop, metric, day, product=product)
    watched = found[0] if found and found[0]["watch_rank"] else None
    tiles: list[tuple[str, Html | str, str]] = [
        (
            f"{label} on {view.day_text(day)}",
            percent(now["rate"]),
            view.of_orders(metric, now),
        )
    ]
    if watched:
        tiles += [
            ("threshold", percent(watched["threshold"]), _limit(metric, watched)),
            ("too many", f"{watched['excess_orders']:.1f}", "negative orders over the threshold"),
        ]
        if at_stake := _at_stake(metric, watched):
            tiles.append(at_stake)
    view.tiles(tiles, label)
    if watched:
        view.cards([Html(_todo(watched))], "Advice")
    view.chart(
        charts.rate_over_time(
            [row | {"target": watched["threshold"] if watched else None} for row in days],
            name=label,
            limit=_limit(metric, watched) if watched else "target",
            height=240,
        ),
        key="_chart_product",
    )
    left, right = st.columns(2)
    with left:
        _reasons(shop, metric, product, day, now["state"])
    with right:
        _variations(shop, metric, product, day, now["state"])
    behind = view.link(
        "orders", "The orders behind it", shop=shop, metric=metric, product=product,
        day="" if day == about["last_day"] else day.isoformat(),
    )  # fmt: skip
    st.html(f'<p class="links">{behind.markup}</p>')


def _todo(row: questions.Row) -> str:
    steps = row["platform_steps"]
    orders = view.counted(row["top_reason_orders"] or 0, "order")
    return (
        f"<h3>What to do</h3><p>Most often: {esc(words(row['top_reason'] or '–'))} "
        f"({orders}). {esc(row['advice'] or '', 400)}</p>"
        + (
            f"<p><b>Else the platform may</b> do this, the mildest first: {esc(steps, 400)}.</p>"
            if steps
            else ""
        )
    )


def _reasons(shop: str, metric: str, product: str, day: date, state: str) -> None:
    view.heading("Reasons")
    rows = ask(questions.reasons, shop, metric, day, product)
    if not rows:
        view.nothing(view.no_negative_order(metric, state))
        return
    view.chart(charts.reasons_pareto(rows), key="_chart_product_reasons")


def _variations(shop: str, metric: str, product: str, day: date, state: str) -> None:
    view.heading("Variations", note="Of these orders, those whose review or request names the SKU.")
    view.table(
        [Column("SKU"), Column("Orders", is_number=True), Column("Most often"), Column("Latest")],
        [
            [row["sku_id"] or "not named", row["orders"], words(row["most_often"]), row["latest"]]
            for row in ask(questions.variations, shop, metric, product, day)
        ],
        name="Variations",
        empty=view.no_negative_order(metric, state),
    )
