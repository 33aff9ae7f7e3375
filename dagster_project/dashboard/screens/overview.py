"""Overview: all shops against their targets, and what needs attention first."""

from __future__ import annotations

import streamlit as st

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask
from dagster_project.dashboard.view import Column, Html, esc, percent
from dagster_project.lib import attention, questions
from dagster_project.lib.charts import words
from dagster_project.lib.text import printable

_FIRST = 3
_ALL = {"": "all"}
_COLUMNS = (
    Column("Shop"),
    Column("Status"),
    Column("NRR", is_number=True, hint="Orders with a review of 1 or 2 stars, of those delivered"),
    Column("NRR, 30 days", is_extra=True),
    Column("NRR, 7 days", is_number=True, is_extra=True, hint="Change in percentage points"),
    Column("SFRR", is_number=True, hint="Orders with a seller-fault return, of those delivered"),
    Column("SFRR, 30 days", is_extra=True),
    Column("SFRR, 7 days", is_number=True, is_extra=True, hint="Change in percentage points"),
)


def show() -> None:
    """Draw the page."""
    by_shop: dict[str, dict[str, questions.Row]] = {}
    for row in ask(questions.standings):
        by_shop.setdefault(row["shop_id"], {})[row["metric"]] = row
    statuses = {shop: view.status_of(metrics.values()) for shop, metrics in by_shop.items()}
    about = {row["shop_id"]: row for row in ask(questions.shops)}
    _counts(statuses)
    for row in ask(questions.frozen):
        if row["as_of"] is None:
            view.notice(
                f"{printable(row['shop_id'], 60)} {view.NEVER_PUBLISHED} {row['rules']}.",
                "warning",
                view.link("quality", "Data quality", only=row["shop_id"]),
            )
    _attention(list(statuses.values()).count("unknown"))
    view.heading(
        "All shops",
        note="Of the orders delivered in the window: NRR, those with a review of 1 or 2 stars; "
        "SFRR, those with a return or refund for the seller's reasons.",
    )
    left, right = st.columns(2)
    with left:
        status = filters.choice(
            "Status",
            "status",
            _ALL | {code: word for code, (_, word) in view.STATUSES.items()},
            "",
        )
    with right:
        search = filters.text("Find a shop", "q", "part of its id")
    shown = [
        shop
        for shop in by_shop
        if (not status or statuses[shop] == status) and search.casefold() in shop.casefold()
    ]
    shown.sort(
        key=lambda shop: (attention.WORST_FIRST.index(statuses[shop]), -_closeness(by_shop[shop]))
    )
    view.table(
        _COLUMNS,
        [_row(about[shop], by_shop[shop], statuses[shop]) for shop in shown],
        name="All shops",
        empty="No shop is like that; choose another status or look for other letters.",
    )
    names = ["shop_id", "metric", "day", "rate", "orders", "delivered_orders", "target", "status",
             "state", "change", "rate_low", "rate_high", "is_reliable", "breach_since",
             "days_in_breach"]  # fmt: skip
    rows = [row for shop in shown for row in by_shop[shop].values()]
    offer("overview", names, lambda: rows)


def _counts(statuses: dict[str, str]) -> None:
    found = list(statuses.values())
    view.tiles(
        [
            (
                f"{'shops' if (n := found.count(code)) != 1 else 'shop'} {word}",
                Html(f"{n:,}"),
                "",
            )
            for code, (_, word) in view.STATUSES.items()
            if code in ("breach", "at_risk", "ok") or code in found
        ],
        "Shops by status",
    )


def _attention(unknown: int) -> None:
    concerns = ask(attention.concerns)
    view.heading("What needs attention first")
    if not concerns:
        view.nothing(
            f"No shop is known to be near a target or over it; of {unknown:,} it is not known."
            if unknown
            else "No shop is near a target or over it."
        )
        return
    view.cards([_card(it) for it in concerns[:_FIRST]], "What needs attention first")
    if len(concerns) > _FIRST:
        others = ", ".join(
            _to_shop(it).markup + f" ({view.METRICS[it.metric]} {percent(it.rate)})"
            for it in concerns[_FIRST : _FIRST + 12]
        )
        more = len(concerns) - _FIRST - 12
        st.html(f'<p class="note">Also: {others}{f" and {more} more" if more > 0 else ""}</p>')


def _to_shop(it: attention.Concern) -> Html:
    part = "" if it.metric == "sfrr" else it.metric
    return view.link("shop", it.shop_id, shop=it.shop_id, part=part)


def _card(it: attention.Concern) -> Html:
    since = f"since {view.day_text(it.breach_since)}" if it.breach_since else ""
    as_of = f", as of {view.day_text(it.metric_date)}" if it.is_frozen else ""
    family = it.watched_as or "nrr"
    why, todo = "", ""
    if it.product_key and it.product_orders:
        product = view.link(
            "products",
            it.product_name or it.product_key,
            shop=it.shop_id,
            metric=family,
            product=it.product_key,
        )
        why = (
            f"<p><b>Why</b> {product.markup}: {it.product_orders:,} of {it.orders:,} orders, most "
            f"often {esc(words(it.top_reason or 'no reason'))} ({it.top_reason_orders or 0:,}).</p>"
        )
        todo = f"<p><b>Do</b> {esc(it.advice)}</p>" if it.advice else ""
    elif it.watched_as:
        reasons = view.link("reasons", "reasons", shop=it.shop_id, metric=family)
        why = f"<p><b>Why</b> No single product stands out; see the {reasons.markup}.</p>"
    then = attention.what_then(it, view.day_text)
    return Html(
        f"<h3>{_to_shop(it).markup} "
        f"{view.pill(it.status).markup}</h3>"
        f"<p>{esc(view.METRICS[it.metric])} <b>{percent(it.rate)}</b>, target below "
        f"{percent(it.target)} {since}{as_of}</p>{why}{todo}"
        + (f"<p><b>Then</b> {then}</p>" if then else "")
    )


def _row(about: questions.Row, metrics: dict[str, questions.Row], status: str) -> list[view.Cell]:
    shop = about["shop_id"]
    frozen = (
        f"<small>stays as of {view.day_text(about['last_day'])}</small>"
        if about["is_frozen"]
        else ""
    )
    name = Html(view.link("shop", shop, shop=shop).markup + frozen)
    cells: list[view.Cell] = [name, view.pill(status)]
    for metric in ("nrr", "sfrr"):
        row = metrics[metric]
        decisive = _decisive(metric, metrics)
        cells += [
            view.rate_cell(
                metric,
                row["rate"],
                row["orders"],
                row["delivered_orders"],
                state=row["state"],
                more=_target(metric, decisive),
            ),
            view.spark(row["rates"], _told(shop, row), row["target"]),
            view.change_cell(row["change"]),
        ]
    return cells


def _target(metric: str, decisive: questions.Row) -> str:
    if decisive["target"] is None:
        return ""
    if decisive["metric"] == metric:
        return f"target < {percent(decisive['target'])}"
    part = view.METRICS[decisive["metric"]].removeprefix("NRR, ")
    return f"{part} {percent(decisive['rate'])}, target < {percent(decisive['target'])}"


def _told(shop: str, row: questions.Row) -> str:
    known = [rate for rate in row["rates"] if rate is not None]
    name = view.METRICS[row["metric"]]
    if not known:
        return f"{name} of {shop}: no rate in thirty days"
    return f"{name} of {shop} in thirty days: from {percent(known[0])} to {percent(known[-1])}"


def _decisive(metric: str, metrics: dict[str, questions.Row]) -> questions.Row:
    """The metric itself, or the part of it that stands worst against a target of its own."""
    family = [row for name, row in metrics.items() if name.startswith(metric)]
    with_target = [row for row in family if row["target"] is not None and row["rate"] is not None]
    return max(with_target, key=lambda row: row["rate"] / row["target"], default=metrics[metric])


def _closeness(metrics: dict[str, questions.Row]) -> float:
    return max(
        (
            row["rate"] / row["target"]
            for row in metrics.values()
            if row["rate"] is not None and row["target"]
        ),
        default=0.0,
    )
