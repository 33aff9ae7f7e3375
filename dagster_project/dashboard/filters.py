"""Filters that live in the URL: what it says is what is shown, so a link shows the same view.

The URL leads, a control follows it, and a change of the control is written to the URL. What the URL
says but cannot be shown falls back, with a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import streamlit as st

from dagster_project.dashboard import view
from dagster_project.dashboard.source import ask
from dagster_project.lib import attention, questions
from dagster_project.lib.text import printable

# Kept when another page is opened by the menu, which leaves the URL's filters behind.
_KEPT = ("shop", "metric")
_LONGEST = 100
DAYS = {"30": "30 days", "90": "90 days", "180": "180 days", "365": "a year", "all": "all days"}
RATES = {"nrr": "NRR", "sfrr": "SFRR"}


def choice(
    label: str,
    name: str,
    options: Mapping[str, str],
    default: str,
    why_not: Mapping[str, str] | None = None,
) -> str:
    """One of `options`, code by code with what people read; the code stands in the URL.

    `why_not` tells of codes that are no option why they are none.
    """
    said = st.query_params.get(name) or ""
    kept = st.session_state.get("_kept", {}).get(name, "")
    value = next((code for code in (said, kept) if code in options and code), default)
    if said and said not in options:
        view.notice(
            (why_not or {}).get(said)
            or f"There is no “{printable(said, 40)}” to choose for “{label}”; shown is "
            f"{options.get(value, value)}.",
            "warning",
        )
        _say(name, "")
    if name in _KEPT:
        st.session_state.setdefault("_kept", {})[name] = value
        _say(name, value)
    key = f"_{name}"
    if st.session_state.get(key) != value:
        st.session_state[key] = value
    st.selectbox(
        label,
        list(options),
        format_func=lambda code: options.get(code, code),
        key=key,
        on_change=_changed,
        args=(name, "" if name in _KEPT else default),
    )
    return value


def shop(label: str = "Shop") -> questions.Row:
    """The shop that is looked at: the URL's, else the one that needs attention most."""
    found = {row["shop_id"]: row for row in ask(questions.shops)}
    worst = [it.shop_id for it in ask(attention.concerns)]
    default = next(iter([*worst, *found]))
    held_back = {
        row["shop_id"]: f"{printable(row['shop_id'], 60)} {view.NEVER_PUBLISHED} {row['rules']}; "
        "shown is another shop."
        for row in ask(questions.frozen)
        if row["as_of"] is None
    }
    options = {name: printable(name, 60) for name in found}
    picked = choice(label, "shop", options, default, held_back)
    row: questions.Row = found[picked]
    return row


def metric() -> str:
    """`nrr` or `sfrr`."""
    return choice("Metric", "metric", RATES, "nrr")


def day(row: questions.Row) -> date:
    """The metric day, from the shop's first to its last, which is the default."""
    first: date = row["first_day"]
    last: date = row["last_day"]
    said = _said("day")
    value = last
    if said:
        try:
            value = date.fromisoformat(said)
        except ValueError:
            value = date.max
        if not first <= value <= last:
            view.notice(
                f"“{printable(said, 40)}” is no day that this shop has; shown is "
                f"{view.day_text(last)}, its last.",
                "warning",
            )
            value = last
            _say("day", "")
    if st.session_state.get("_day") != value:
        st.session_state["_day"] = value
    st.date_input(
        "Window ends on", min_value=first, max_value=last, key="_day", on_change=_day_changed,
        args=(last,), format="YYYY-MM-DD",
    )  # fmt: skip
    return value


def first_day(row: questions.Row, last: date, default: str = "90") -> date:
    """The first day of a chart that ends on `last`."""
    days = choice("Show", "days", DAYS, default)
    first: date = row["first_day"]
    return first if days == "all" else max(first, last - timedelta(int(days) - 1))


def text(label: str, name: str, hint: str) -> str:
    """What to look for; empty for all."""
    value = (_said(name) or "")[:_LONGEST]
    if st.session_state.get(f"_{name}") != value:
        st.session_state[f"_{name}"] = value
    st.text_input(
        label, key=f"_{name}", placeholder=hint, max_chars=_LONGEST, on_change=_changed,
        args=(name, ""),
    )  # fmt: skip
    return value


def hidden(name: str, label: str) -> str:
    """A filter that only links set; shown with a way to lift it."""
    value = _said(name) or ""
    if value and st.button(f"Without {label}", key=f"_lift_{name}", icon=":material/close:"):
        _say(name, "")
        st.rerun()
    return value


def paged(fetch: Callable[[int, int], list[questions.Row]], size: int) -> list[questions.Row]:
    """The rows of the page that the URL asks for, by `fetch(limit, offset)`; shows how to turn it.

    Rows say in `total` how many there are on all pages.
    """
    said = _said("page") or "1"
    number = int(said) if said.isascii() and said.isdigit() and len(said) < 7 else 0
    rows = fetch(size, (number - 1) * size) if number > 0 else []
    if not rows and said != "1":
        view.notice(f"There is no page “{printable(said, 40)}”; shown is the first.", "warning")
        _say("page", "")
        number, rows = 1, fetch(size, 0)
    total = rows[0]["total"] if rows else 0
    pages = -(-total // size)
    if pages > 1:
        back, where, on = st.columns([1, 2, 1], vertical_alignment="center")
        back.button(
            "Previous", disabled=number == 1, on_click=_say, args=("page", str(number - 1)),
            width="stretch",
        )  # fmt: skip
        with where:
            view.note(f"Page {number:,} of {pages:,}; {total:,} in all")
        on.button(
            "Next", disabled=number == pages, on_click=_say, args=("page", str(number + 1)),
            width="stretch",
        )  # fmt: skip
    return rows


def _said(name: str) -> str | None:
    return st.query_params.get(name)


def _say(name: str, value: str) -> None:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]


def _changed(name: str, default: str) -> None:
    value = st.session_state[f"_{name}"]
    _say(name, "" if value == default else value)
    _say("page", "")


def _day_changed(last: date) -> None:
    value = st.session_state["_day"]
    _say("day", "" if value in (last, None) else value.isoformat())
    _say("page", "")
