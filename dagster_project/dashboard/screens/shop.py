"""Shop: both rates over time, with target, interval, forecast, and the days to mind."""

from __future__ import annotations

from datetime import date, timedelta

import streamlit as st

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask, ask_now
from dagster_project.dashboard.view import Column, Html, percent
from dagster_project.lib import charts, questions

_CAUSES = {"file": "a file came later", "setting": "a setting changed", "code": "the code changed"}


def show() -> None:
    """Draw the page."""
    left, middle, right = st.columns(3)
    with left:
        shop = filters.shop()
    name, last = shop["shop_id"], shop["last_day"]
    standings = {row["metric"]: row for row in ask(questions.standings, name)}
    with middle:
        parts = {
            code: label
            for code, label in view.METRICS.items()
            if code in standings and code != "sfrr"
        }
        part = filters.choice("Rate", "part", parts, _part(standings))
    with right:
        first = filters.first_day(shop, last)
    if shop["is_frozen"]:
        view.notice(
            f"This shop stays as it was on {view.day_text(last)}: its newer exports break "
            f"{shop['rules']}. Put right what the rule names, then `feedback run`.",
            "warning",
        )
    view.heading(name)
    for metric in (part, "sfrr"):
        _metric(shop, metric, standings[metric], first, last)
    _links(name)
    _restatements(name)
    view.heading("Take it away", note="Everything that is published of this shop by day.")
    rows = ask_now(questions.shop_days, name, first, last)
    offer(f"{name}-days", _columns(name, last), rows)


def _part(standings: dict[str, questions.Row]) -> str:
    """The part of the NRR that has a target and stands worst against it; else the NRR."""
    aimed = [
        row
        for row in standings.values()
        if row["metric"].startswith("nrr") and row["target"] is not None and row["rate"] is not None
    ]
    worst = max(aimed, key=lambda row: row["rate"] / row["target"], default={"metric": "nrr"})
    return str(worst["metric"])


def _metric(shop: questions.Row, metric: str, now: questions.Row, first: date, last: date) -> None:
    label = view.METRICS[metric]
    view.heading(label, note=f"Of the orders delivered in the window, {view.MEANINGS[metric]}.")
    ahead = ask(questions.forecast, shop["shop_id"], metric)
    view.tiles(_tiles(now, ahead), label)
    days = ask(questions.rate_days, shop["shop_id"], metric, first, last)
    if not any(row["rate"] is not None for row in days):
        view.nothing(
            f"No {label} in these days: {view.no_rate(metric, now['state'])}. "
            "`feedback status` says which exports to download."
        )
        return
    view.chart(charts.rate_over_time(days, ahead, name=label), key=f"_chart_{metric}")
    view.note(_legend(shop, days, ahead))


def _tiles(now: questions.Row, ahead: list[questions.Row]) -> list[tuple[str, Html | str, str]]:
    aim = f"target below {percent(now['target'])}" if now["target"] is not None else "no target"
    tiles: list[tuple[str, Html | str, str]] = [
        (
            f"on {view.day_text(now['day'])}",
            percent(now["rate"]),
            view.of_orders(now["metric"], now),
        ),
        ("status", view.pill(view.status_of([now])), aim),
    ]
    if now["rate_low"] is not None:
        few = "" if now["is_reliable"] else "; few orders, one decides"
        interval = f"{percent(now['rate_low'])} – {percent(now['rate_high'])}"
        tiles.append(
            (
                "95 % interval",
                Html(f'<span class="small">{interval}</span>'),
                f"what chance alone makes{few}",
            )
        )
    tiles.append(("against 7 days before", view.change_cell(now["change"]), "percentage points"))
    if ahead and now["status"] == "breach":
        ends = ahead[0]["recovery_date"]
        tiles.append(
            (
                f"in breach for {now['days_in_breach']:,} days",
                view.day_text(ends) if ends else "no end yet",
                f"over then if nothing new happens, or after "
                f"{ahead[0]['clean_orders_to_recover']:,} clean orders",
            )
        )
    elif ahead and ahead[0]["orders_to_breach"] is not None:
        tiles.append(
            (
                "room",
                f"{ahead[0]['orders_to_breach']:,}",
                "negative orders still fit under the target",
            )
        )
    return tiles


def _legend(shop: questions.Row, days: list[questions.Row], ahead: list[questions.Row]) -> str:
    parts = ["Line: the rate", "pale band: its 95 % interval"]
    if any(row["target"] is not None for row in days):
        parts.append("red dots: the target")
    if ahead:
        parts.append("dashes: expected; fine dots: if nothing new happens")
    if any(row["restated"] for row in days):
        parts.append("diamonds: restated since")
    if any(row["state"] == "stale" for row in days):
        parts.append("grey: days after what the files cover, no rate")
    full = shop["first_day"] + timedelta(ask(questions.window_days) - 1)
    if days[0]["metric_date"] < full:
        parts.append(f"until {view.day_text(full)} the window is not full yet")
    return "; ".join(parts) + "."


def _links(shop: str) -> None:
    pieces = [
        view.link("products", "Products of this shop", shop=shop).markup,
        view.link("reasons", "Reasons", shop=shop).markup,
        view.link("orders", "Orders behind the NRR", shop=shop, metric="nrr").markup,
        view.link("orders", "Orders behind the SFRR", shop=shop, metric="sfrr").markup,
        view.link("quality", "Files and coverage", only=shop).markup,
    ]
    st.html(f'<p class="links">{" ".join(pieces)}</p>')


def _restatements(shop: str) -> None:
    rows = ask(questions.restatements, shop)
    view.heading("Restated", note="What was published before and is different now, and why.")
    view.table(
        [
            Column("Published"),
            Column("Day"),
            Column("Metric"),
            Column("Was", is_number=True),
            Column("Is", is_number=True),
            Column("Because"),
        ],
        [
            [
                row["published_at"],
                row["metric_date"],
                view.METRICS.get(row["metric"], row["metric"]),
                f"{row['old_numerator']:,} of {row['old_denominator']:,}",
                "no longer published"
                if row["new_numerator"] is None
                else f"{row['new_numerator']:,} of {row['new_denominator']:,}",
                _CAUSES.get(row["cause"], row["cause"]),
            ]
            for row in rows
        ],
        name="Restated figures",
        empty="No figure of this shop was restated.",
    )


def _columns(shop: str, last: date) -> list[str]:
    return list(ask(questions.shop_days, shop, last, last)[0])
