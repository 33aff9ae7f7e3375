"""What pages are made of: headings, notices, tables, cards; all outside text is escaped here.

Pieces are HTML, which Streamlit cleans of scripts before it shows it: tables that a screen reader
reads and a phone folds, which its own canvas of cells is not.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlencode

import altair as alt
import streamlit as st

from dagster_project.lib.attention import WORST_FIRST
from dagster_project.lib.charts import NO_RATE, sparkline, words
from dagster_project.lib.metrics import EVENT_SOURCES
from dagster_project.lib.text import day_words, printable

METRICS = {
    "nrr": "NRR",
    "nrr_seller": "NRR, seller's part",
    "nrr_product": "NRR, product",
    "nrr_service": "NRR, service",
    "sfrr": "SFRR",
    "complaint_rate": "Complaints",
    "negative_feedback_rate": "Negative feedback",
    "product_negative_feedback_rate": "Negative feedback, product",
    "service_negative_feedback_rate": "Negative feedback, service",
}
MEANINGS = {
    "nrr": "orders with a review of 1 or 2 stars",
    "nrr_seller": "orders with a negative review that is not only about logistics",
    "nrr_product": "orders with a negative review about the product",
    "nrr_service": "orders with a negative review about the service",
    "sfrr": "orders with a return or refund for a reason that is the seller's",
    "complaint_rate": "orders with a complaint that counts",
    "negative_feedback_rate": "orders with a negative review, such a return or such a complaint",
    "product_negative_feedback_rate": "orders with any of these about the product",
    "service_negative_feedback_rate": "orders with any of these about the service",
}
STATUSES = {
    "breach": ("▲", "in breach"),
    "at_risk": ("◆", "at risk"),
    "ok": ("✓", "within target"),
    "no_target": ("–", "without target"),
    "unknown": ("?", "without rate"),
}

NEVER_PUBLISHED = "is held back and was never published: its exports break"


@dataclass(frozen=True)
class Html:
    """Text that is markup already; all other text is escaped where it is shown."""

    markup: str


Cell = Html | str | int | float | date | datetime | None


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand right, and what a phone has no room for is left out."""

    name: str
    is_number: bool = False
    is_extra: bool = False
    hint: str = ""


def esc(value: object, limit: int = 200) -> str:
    """Outside text as HTML: control characters shown, cut at `limit`."""
    return html.escape(printable(str(value), limit))


def counted(number: int, word: str) -> str:
    """How many of something there are."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def status_of(rows: Collection[Mapping[str, Any]]) -> str:
    """The worst status of some rates; `unknown` where none of them is known, targets or not."""
    if all(row["rate"] is None for row in rows):
        return "unknown"
    found = {row["status"] for row in rows}
    return next(status for status in WORST_FIRST if status in found)


def percent(rate: float | None) -> str:
    """A share as people write it."""
    return "–" if rate is None else f"{rate * 100:.2f} %"


def day_text(day: date | None) -> str:
    """A day as people write it."""
    return "–" if day is None else day_words(day)


def link(page: str, text: str, **filters: str) -> Html:
    """A link to a page that shows what the filters say."""
    query = urlencode({name: value for name, value in filters.items() if value})
    return Html(f'<a href="{esc(page)}?{html.escape(query)}" target="_self">{esc(text)}</a>')


def pill(status: str, more: str = "") -> Html:
    """A status by sign, word and colour."""
    sign, word = STATUSES[status]
    title = f' title="{esc(more)}"' if more else ""
    return Html(
        f'<span class="pill {status}"{title}><span aria-hidden="true">{sign}</span> {word}</span>'
    )


def no_rate(metric: str, state: str) -> str:
    """Why a metric has no rate, by the `state` that the marts give its day."""
    if state == "not_loaded" and metric in EVENT_SOURCES:
        return f"no {EVENT_SOURCES[metric]}s were ever loaded"
    return NO_RATE[state]


def of_orders(metric: str, row: Mapping[str, Any]) -> str:
    """Numerator and denominator of a rate; why there is none, if so."""
    if row["rate"] is None:
        return no_rate(metric, row["state"])
    return f"{row['orders']:,} of {row['delivered_orders']:,} orders"


def rate_cell(
    metric: str,
    rate: float | None,
    orders: int,
    delivered: int,
    *,
    state: str = "ok",
    more: str = "",
) -> Html:
    """A rate with numerator and denominator beneath it and on hover; why there is none, if so."""
    of = f"{orders:,} of {delivered:,} orders"
    if rate is None:
        return Html(f'<span class="rate">–</span><small>{esc(no_rate(metric, state))}</small>')
    hint = f"{of}; {more}" if more else of
    also = f'<span class="more">{esc(more)}</span>' if more else ""
    return Html(
        f'<span class="rate" title="{esc(hint)}">{percent(rate)}</span>'
        f"<small>{esc(of)}{also}</small>"
    )


def spark(rates: Sequence[float | None], label: str, target: float | None = None) -> Html:
    """A sparkline as a picture, which is told to those who do not see it."""
    svg = sparkline(rates, label=label, target=target)
    return Html(
        f'<img class="spark" alt="{esc(label)}" title="{esc(label)}" '
        f'src="data:image/svg+xml,{quote(svg)}">'
    )


def change_cell(change: float | None) -> Html:
    """A change in share points: an arrow and a word say whether it is for the better."""
    if change is None:
        return Html('<span title="No rate seven days before">–</span>')
    points = f"{change * 100:+.2f}".replace("-", "−")
    if abs(change) < 0.00005:
        return Html('<span class="same">± 0.00</span>')
    kind, arrow, word = ("worse", "▲", "worse") if change > 0 else ("better", "▼", "better")
    return Html(
        f'<span class="{kind}" title="{points} percentage points against 7 days before">'
        f'<span aria-hidden="true">{arrow}</span> {points}'
        f'<span class="hidden"> {word}</span></span>'
    )


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, name: str, empty: str = ""
) -> None:
    """A table in a box that scrolls by itself where it is too wide."""
    if not rows:
        nothing(empty or "Nothing to show.")
        return
    head = "".join(
        f'<th scope="col" class="{_classes(column)}"'
        + (f' title="{esc(column.hint)}"' if column.hint else "")
        + f">{esc(column.name)}</th>"
        for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_classes(column)}" data-column="{esc(column.name)}">{_cell(cell)}</td>'
            for column, cell in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    st.html(
        f'<div class="scroll" role="region" aria-label="{esc(name)}" tabindex="0"><table>'
        f'<caption class="hidden">{esc(name)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def heading(text: str, level: int = 2, note: str = "") -> None:
    """A heading, with a quiet line beneath it."""
    below = f'<p class="note">{esc(note, 400)}</p>' if note else ""
    st.html(f"<h{level}>{esc(text)}</h{level}>{below}")


def note(text: str) -> None:
    """A quiet line."""
    st.html(f'<p class="note">{_prose(text)}</p>')


def notice(text: str, kind: str = "info", more: Html | None = None) -> None:
    """A line in a box, `info` or `warning`, with a link behind it."""
    sign = "⚠" if kind == "warning" else "ⓘ"
    st.html(
        f'<div class="notice {kind}" role="status"><span aria-hidden="true">{sign}</span> '
        f"<span>{_prose(text)}{f' {more.markup}' if more else ''}</span></div>"
    )


def nothing(text: str) -> None:
    """What stands where there is nothing to show, and why."""
    st.html(f'<div class="nothing">{_prose(text)}</div>')


def cards(pieces: Sequence[Html], name: str) -> None:
    """Boxes side by side, one beneath the other on a phone."""
    inner = "".join(f"<li>{piece.markup}</li>" for piece in pieces)
    st.html(f'<ul class="cards" aria-label="{esc(name)}">{inner}</ul>')


def tiles(pieces: Sequence[tuple[str, Html | str, str]], name: str) -> None:
    """Figures side by side: what it is, the figure, a line beneath."""
    inner = "".join(
        f"<li><span>{esc(what)}</span><strong>{_cell(figure)}</strong><small>{esc(below)}</small>"
        "</li>"
        for what, figure, below in pieces
    )
    st.html(f'<ul class="tiles" aria-label="{esc(name)}">{inner}</ul>')


def chart(drawn: alt.LayerChart, *, key: str) -> None:
    """A chart, as wide as its box, in its own colours."""
    spec = drawn.to_dict()
    # Streamlit wants rows where Vega takes text as well, and those of a whole chart it would hand
    # over when their days can no longer be read as such
    rows = {name: json.loads(text) for name, text in spec.pop("datasets").items()}
    shared = spec.pop("data", None)
    for layer in spec["layer"]:
        layer["data"] = {"values": rows[layer.get("data", shared)["name"]]}
    st.vega_lite_chart(spec=spec, theme=None, key=key)


def no_negative_order(metric: str, state: str) -> str:
    """What stands where a shop or product has no negative order: why none is known, if so."""
    if state == "ok":
        return "No negative order in this window."
    return (
        f"No negative order is known, and no rate: {no_rate(metric, state)}. "
        "`feedback status` says which exports to download."
    )


def reasons_text(reasons: Sequence[Mapping[str, Any]], most: int = 3) -> str:
    """The first few reasons as one line."""
    return ", ".join(f"{words(row['reason_code'])} {row['orders']}" for row in reasons[:most])


def _prose(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", esc(text, 600))


def _classes(column: Column) -> str:
    return " ".join(
        name for name, is_so in (("n", column.is_number), ("extra", column.is_extra)) if is_so
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, Html):
        return cell.markup
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M}"
    if isinstance(cell, date):
        return day_text(cell)
    return f"{cell:,}" if isinstance(cell, int | float) else esc(cell)


STYLE = """<style>
.block-container, [data-testid="stMainBlockContainer"] {
  max-width: 1280px; padding-top: 4.2rem; padding-bottom: 3rem; }
[data-testid="stHtml"] h1 { font-size: 1.9rem; font-weight: 700; margin: 0; padding: 0; }
[data-testid="stHtml"] h2 { font-size: 1.2rem; font-weight: 650; margin: .6rem 0 0; padding: 0; }
[data-testid="stHtml"] h3 { font-size: 1rem; font-weight: 650; margin: 0; padding: 0; }
[data-testid="stHtml"] small, [data-testid="stHtml"] .note { color: #57606a; font-size: .82rem; }
[data-testid="stHtml"] .note { margin: .15rem 0 0; }
[data-testid="stHtml"] a { color: #0b5cad; text-decoration: underline;
  text-decoration-color: #9dbfe0; text-underline-offset: 3px; }
.asof { display: flex; flex-wrap: wrap; gap: .3rem 1rem; color: #57606a; font-size: .88rem; }
/* a shadow at the side where more can be scrolled to; the table's own white covers it at the end */
.scroll { overflow-x: auto; border: 1px solid #d0d7de; border-radius: 8px; background:
  linear-gradient(to right, #fff 40%, #fff0) 0 0 / 40px 100% no-repeat local,
  linear-gradient(to left, #fff 40%, #fff0) 100% 0 / 40px 100% no-repeat local,
  linear-gradient(to right, #1f293740, #1f293700) 0 0 / 14px 100% no-repeat scroll,
  linear-gradient(to left, #1f293740, #1f293700) 100% 0 / 14px 100% no-repeat scroll; }
.scroll:focus-visible { outline: 2px solid #0b5cad; }
.scroll table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: 0; }
.scroll th { text-align: left; font-weight: 600; color: #424a53; background: #57606a12;
  white-space: nowrap; padding: .45rem .7rem; border: 0; border-bottom: 1px solid #d0d7de; }
.scroll td { padding: .45rem .7rem; border: 0; border-top: 1px solid #eaeef2;
  vertical-align: middle; overflow-wrap: break-word; }
.scroll tr:first-child td { border-top: 0; }
.scroll .n { text-align: right; font-variant-numeric: tabular-nums; }
.scroll small, .scroll .more { display: block; white-space: nowrap; }
.scroll .wrap { white-space: normal; min-width: 8rem; max-width: 26rem; display: block; }
.scroll td:first-child { min-width: 7rem; }
.scroll td:first-child > a { white-space: nowrap; }
.rate { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.pill { display: inline-block; border-radius: 999px; padding: .1rem .6rem; font-size: .82rem;
  font-weight: 600; white-space: nowrap; }
.pill.breach { background: #fde8e6; color: #8f1d13; } .pill.at_risk { background: #fff1d6;
  color: #6f4400; } .pill.ok { background: #e3f4e8; color: #14612f; }
.pill.no_target, .pill.unknown { background: #eef1f4; color: #424a53; }
.worse { color: #8f1d13; white-space: nowrap; } .better { color: #14612f; white-space: nowrap; }
.same { color: #57606a; white-space: nowrap; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
[data-testid="stHtml"] ul.tiles, [data-testid="stHtml"] ul.cards { display: grid; gap: .7rem;
  list-style: none; margin: .2rem 0; padding: 0; }
.tiles, .cards {
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.spark { display: block; width: 120px; height: 28px; max-width: none; }
[data-testid="stHtml"] .tiles li { border: 1px solid #d0d7de; border-radius: 8px;
  padding: .55rem .8rem; margin: 0; font-size: .85rem; color: #424a53; }
.tiles strong { display: block; font-size: 1.45rem; line-height: 1.5; color: #1f2937;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tiles small { display: block; }
.cards { grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); }
[data-testid="stHtml"] .cards li { border: 1px solid #d0d7de; border-radius: 8px;
  border-left: 4px solid #8c959f; padding: .7rem .9rem; margin: 0; font-size: .92rem;
  overflow-wrap: anywhere; }
[data-testid="stHtml"] .cards li:has(.breach) { border-left-color: #b42318; }
[data-testid="stHtml"] .cards li:has(.at_risk) { border-left-color: #b7791f; }
.cards p { margin: .3rem 0 0; font-size: .9rem; }
.cards b { font-weight: 600; }
.notice { display: flex; gap: .6rem; border-radius: 8px; padding: .55rem .8rem;
  font-size: .9rem; background: #e8f1fb; color: #0a3d73; }
.notice.warning { background: #fff4e0; color: #5f3b00; }
.links { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; margin: 0; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles .small { font-size: 1.1rem; white-space: nowrap; }
.scroll small.wrap, .scroll .wrap small { white-space: normal; }
.nothing { border: 1px dashed #8c959f; border-radius: 8px; padding: 1.2rem; color: #424a53;
  text-align: center; }
[data-testid="stHtml"] pre { background: #f3f5f8; border-radius: 8px; padding: .7rem 1rem;
  overflow-x: auto; }
@media (max-width: 640px) {
  .scroll .extra, .scroll .more { display: none; }
  .scroll td:first-child > a { white-space: normal; }
  .scroll th, .scroll td { padding: .4rem .5rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .cards { grid-template-columns: 1fr; }
  [data-testid="stHtml"] h1 { font-size: 1.5rem; }
}
</style>"""
