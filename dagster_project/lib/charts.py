"""Charts of published figures, as Altair specifications: for the dashboard, and as SVG for letters.

A row is a mapping with the names of the marts' columns, so what a query answers is what is drawn.
Rates are shares, 0.005 is 0.5 %. Days are drawn in UTC, lest a browser's time zone move them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt

from dagster_project.lib.text import day_words

Row = Mapping[str, Any]

# Dark on light by 4.5 : 1 or more, apart for those who do not tell red from green; what a colour
# says, a dash, a shape or a word says too.
INK = "#1f2937"
MUTED = "#57606a"
RATE = "#0b5cad"
TARGET = "#b42318"
RESTATED = "#7a3e9d"
STALE = "#8c959f"
NOT_COUNTED = "#8c959f"

# Why a day has no rate, by the `state` that the marts give it.
NO_RATE = {
    "not_loaded": "no file was ever loaded",
    "stale": "the files end before this day",
    "ok": "no delivered orders in the window",
}

_AXIS = {
    "labelColor": MUTED,
    "titleColor": MUTED,
    "gridColor": "#e5e7eb",
    "domainColor": "#d0d7de",
    "tickColor": "#d0d7de",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
}
_FONT = "'Source Sans', 'Noto Sans', 'DejaVu Sans', sans-serif"


def rate_over_time(
    days: Iterable[Row],
    forecast: Iterable[Row] = (),
    *,
    name: str,
    limit: str = "target",
    width: int | str = "container",
    height: int = 300,
) -> alt.LayerChart:
    """A rate by day: the line, its interval, its target, what is expected, and days to mind.

    Args:
        days: one row a day: `metric_date`, `rate` (None leaves a gap), `orders`,
            `delivered_orders`, `rate_low`, `rate_high`, `target` (None: none), `state` (`ok`,
            `not_loaded`, `stale`) and `restated`, what was said before and why, or
            None.
        forecast: one row a day ahead: `forecast_date`, `expected_rate`, `rate_if_nothing_new`,
            `expected_delivered_orders`.
        name: what the rate is called, `NRR`.
        limit: what `target` is, where it is no target of this rate: `the shop's own rate`.
        width: in pixels, or that of the box it stands in.
        height: in pixels.
    """
    known = [_day(row, limit) for row in days]
    ahead = [_day_ahead(row) for row in forecast]
    x = alt.X(
        "day:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=_days_axis(),
    )
    tooltip = [
        alt.Tooltip("Day:N"),
        alt.Tooltip("rate:Q", title=name, format=".2%"),
        alt.Tooltip("Orders:N"),
        alt.Tooltip("95 % interval:N"),
        alt.Tooltip("Target:N", title=limit.capitalize()),
        alt.Tooltip("Data:N"),
        alt.Tooltip("Restated:N"),
    ]
    y = alt.Y(
        "rate:Q",
        title=name,
        axis=alt.Axis(format="~%", tickCount=5),
        scale=alt.Scale(domain=[0, _ceiling(known, ahead)], clamp=True),
    )
    base = _of(known).encode(x=x)
    layers: list[alt.Chart] = []
    if any(row["state"] == "stale" for row in known):
        layers.append(
            _of([row for row in known if row["state"] == "stale"])
            .mark_rect(aria=False, color=STALE, opacity=0.22)
            .encode(x=x, x2="next_day:T", tooltip=tooltip)
        )
        layers.append(
            _of([row for row in known if row["state"] == "stale"][:1])
            .mark_text(aria=False, align="left", dx=2, color=MUTED, fontSize=12, text="stale")
            .encode(x=x, y=alt.value(8))
        )
    layers.append(
        base.mark_area(aria=False, color=RATE, opacity=0.14, clip=True).encode(
            y=alt.Y("rate_low:Q", title=name), y2="rate_high:Q"
        )
    )
    if any(row["target"] is not None for row in known):
        end = (ahead or known)[-1]["day"]
        aims = [row for row in known if row["target"] is not None]
        last = aims[-1] | {"day": end}
        # the target is named at the end of the line that the rate is farther from
        is_left = _distance(known[0]["rate"], aims[0]) > _distance(
            ahead[-1]["expected"] if ahead else known[-1]["rate"], last
        )
        layers.append(
            _of([*aims, last])
            .encode(x=x)
            .mark_line(
                aria=False, color=TARGET, strokeWidth=1.5, strokeDash=[2, 3], interpolate="step"
            )
            .encode(y="target:Q")
        )
        layers.append(
            _of([aims[0] if is_left else last])
            .mark_text(
                aria=False,
                align="left" if is_left else "right",
                baseline="bottom",
                dx=3 if is_left else -3,
                dy=-3,
                color=TARGET,
                fontSize=12,
            )
            .encode(x=x, y="target:Q", text="target_label:N")
        )
    layers.append(base.mark_line(aria=False, color=RATE, strokeWidth=2.5).encode(y=y))
    if ahead:
        start = [row for row in known if row["rate"] is not None][-1:]
        joined = [
            {"day": row["day"], "expected": row["rate"], "least": row["rate"]} for row in start
        ]
        future = _of(joined + ahead).encode(x=x)
        told = [
            alt.Tooltip("Day:N"),
            alt.Tooltip("expected:Q", title=f"{name} expected", format=".2%"),
            alt.Tooltip("least:Q", title="If nothing new happens", format=".2%"),
            alt.Tooltip("Expected orders:N"),
        ]
        layers.append(
            future.mark_line(aria=False, color=RATE, strokeWidth=2, strokeDash=[6, 4]).encode(
                y="expected:Q"
            )
        )
        layers.append(
            future.mark_line(aria=False, color=RATE, strokeWidth=1.5, strokeDash=[1, 4]).encode(
                y="least:Q"
            )
        )
        layers.append(_hover(future, "expected:Q", told))
    if any(row["Restated"] for row in known):
        layers.append(
            _of([row for row in known if row["Restated"]])
            .mark_point(
                aria=False, shape="diamond", color=RESTATED, filled=True, size=90, opacity=1
            )
            .encode(x=x, y="rate:Q", tooltip=tooltip)
        )
    layers.append(_hover(base, "rate:Q", tooltip))
    chart = alt.layer(*layers).properties(
        width=width, height=height, description=_describe_rate(name, limit, known, ahead)
    )
    return _plain(chart)


def reasons_pareto(
    reasons: Sequence[Row], *, width: int | str = "container", row_height: int = 26
) -> alt.LayerChart:
    """Reasons by orders, the most first, with the share of the metric's numerator at each bar.

    Args:
        reasons: `reason_code`, `orders`, `share` (None when not counted), `is_counted`,
            `category`, most first. An order with two reasons is in both bars.
        width: in pixels, or that of the box it stands in.
        row_height: in pixels, of one reason.
    """
    rows = [
        {
            "Reason": words(row["reason_code"]),
            "orders": row["orders"],
            "Category": row["category"],
            "Counts": "counted" if row["is_counted"] else "not counted",
            "label": f"{row['orders']:,}"
            + (f"  ({row['share']:.0%})" if row["share"] is not None else "  not counted"),
        }
        for row in reasons
    ]
    base = _of(rows).encode(
        y=alt.Y(
            "Reason:N",
            sort=None,
            title=None,
            axis=alt.Axis(labelLimit=190, ticks=False, domain=False, labelColor=INK),
        ),
        x=alt.X(
            "orders:Q",
            title="orders",
            axis=alt.Axis(format="~s", tickMinStep=1, tickCount=4),
            scale=alt.Scale(
                domain=[0, 1.35 * max((row["orders"] for row in rows), default=1) or 1]
            ),
        ),
        tooltip=[
            alt.Tooltip("Reason:N"),
            alt.Tooltip("label:N", title="Orders (share)"),
            alt.Tooltip("Category:N"),
            alt.Tooltip("Counts:N"),
        ],
    )
    colour = alt.Color(
        "Counts:N",
        legend=None,
        scale=alt.Scale(domain=["counted", "not counted"], range=[RATE, NOT_COUNTED]),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=colour)
    labels = base.mark_text(aria=False, align="left", dx=5, color=INK, fontSize=12).encode(
        text="label:N"
    )
    told = "; ".join(f"{row['Reason']} {row['label']}" for row in rows) or "none"
    chart = alt.layer(bars, labels).properties(
        width=width,
        height=max(len(rows), 1) * row_height,
        description=f"Orders by reason, most first: {told}.",
    )
    return _plain(chart)


def orders_by_reason_over_time(
    days: Iterable[Row], *, width: int | str = "container", height: int = 280
) -> alt.LayerChart:
    """Orders of the window by reason and day, a line each, named at its end.

    Args:
        days: `metric_date`, `reason_code`, `orders`, `delivered_orders`, in order of days.
        width: in pixels, or that of the box it stands in.
        height: in pixels.
    """
    rows = [
        {
            "day": _iso(row["metric_date"]),
            "Day": day_words(row["metric_date"]),
            "Reason": words(row["reason_code"]),
            "orders": row["orders"],
            "Orders": f"{row['orders']:,} of {row['delivered_orders']:,}",
        }
        for row in days
    ]
    names = list(dict.fromkeys(row["Reason"] for row in rows))
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolType="stroke")
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3], [10, 3], [3, 1]]
    base = _of(rows).encode(
        x=alt.X(
            "day:T",
            title=None,
            scale=alt.Scale(type="utc"),
            axis=_days_axis(),
        ),
        y=alt.Y(
            "orders:Q",
            title="orders in the window",
            axis=alt.Axis(tickMinStep=1),
        ),
        color=alt.Color(
            "Reason:N",
            sort=names,
            scale=alt.Scale(domain=names, range=list(SERIES)),
            legend=legend,
        ),
    )
    dash = alt.StrokeDash("Reason:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    tooltip = [alt.Tooltip("Day:N"), alt.Tooltip("Reason:N"), alt.Tooltip("Orders:N")]
    lines = base.mark_line(aria=False, strokeWidth=2).encode(strokeDash=dash)
    points = base.mark_point(size=60, opacity=0).encode(tooltip=tooltip)
    chart = alt.layer(lines, points).properties(
        width=width,
        height=height,
        description=f"Orders in the window by day, for {', '.join(names) or 'no reason'}.",
    )
    return _plain(chart)


# Okabe and Ito's colours, darkened to stand out on white
SERIES = (
    "#0b5cad", "#b45309", "#0f766e", "#7a3e9d", "#b42318", "#4d7c0f", "#57606a", "#9d174d",
)  # fmt: skip


def sparkline(
    rates: Sequence[float | None],
    *,
    label: str,
    target: float | None = None,
    width: int = 120,
    height: int = 28,
) -> str:
    """A small line as SVG text, to stand within a table's cell; a gap where there is no rate.

    Args:
        rates: shares, the earliest first.
        label: what it shows, for those who do not see it.
        target: drawn as a dotted line where given.
        width: in pixels.
        height: in pixels.
    """
    found = [rate for rate in rates if rate is not None]
    top = max([*found, target or 0.0], default=0.0) or 1.0

    def place(index: int, rate: float) -> tuple[float, float]:
        across = 3 + index * (width - 6) / max(len(rates) - 1, 1)
        return round(across, 1), round(height - 3 - rate / top * (height - 6), 1)

    runs: list[list[tuple[float, float]]] = [[]]
    for index, rate in enumerate(rates):
        if rate is None:
            runs.append([])
        else:
            runs[-1].append(place(index, rate))
    lines = "".join(
        f'<polyline points="{" ".join(f"{x},{y}" for x, y in run)}" fill="none" stroke="{RATE}" '
        'stroke-width="1.8" stroke-linejoin="round"/>'
        for run in runs
        if len(run) > 1
    )
    if target is not None:
        y = place(0, target)[1]
        lines += (
            f'<line x1="3" x2="{width - 3}" y1="{y}" y2="{y}" stroke="{TARGET}" '
            'stroke-dasharray="2 3"/>'
        )
    if rates and rates[-1] is not None:
        x, y = place(len(rates) - 1, rates[-1])
        lines += f'<circle cx="{x}" cy="{y}" r="2.4" fill="{RATE}"/>'
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">{lines}</svg>'
    )


def words(code: str) -> str:
    """A code as words: `not_as_described` is `not as described`."""
    return code.replace("_", " ")


def _day(row: Row, limit: str) -> dict[str, Any]:
    day: date = row["metric_date"]
    rate, target, low, high = (row.get(n) for n in ("rate", "target", "rate_low", "rate_high"))
    state = row.get("state") or "ok"
    aim = "none" if target is None else f"{'below ' if limit == 'target' else ''}{target:.2%}"
    return {
        "day": _iso(day),
        "next_day": _iso(date.fromordinal(day.toordinal() + 1)),
        "rate": rate,
        "rate_low": low,
        "rate_high": high,
        "target": target,
        "target_label": "" if target is None else f"{limit}: {aim}",
        "state": state,
        "Day": day_words(day),
        "Orders": f"{row['orders']:,} of {row['delivered_orders']:,}",
        "95 % interval": "–" if low is None or high is None else f"{low:.2%} to {high:.2%}",
        "Target": aim,
        "Data": "complete" if rate is not None else NO_RATE[state],
        "Restated": row.get("restated") or "",
    }


def _day_ahead(row: Row) -> dict[str, Any]:
    return {
        "day": _iso(row["forecast_date"]),
        "Day": day_words(row["forecast_date"]),
        "expected": row["expected_rate"],
        "least": row["rate_if_nothing_new"],
        "Expected orders": f"{row['expected_delivered_orders']:,.0f} delivered",
    }


def _hover(chart: alt.Chart, field: str, tooltip: list[alt.Tooltip]) -> alt.Chart:
    """Points that are not seen, each wide enough to be met by a finger."""
    points = chart.mark_point(size=160, filled=True, opacity=0)
    hovered: alt.Chart = points.encode(y=field, tooltip=tooltip)
    return hovered


def _ceiling(known: list[dict[str, Any]], ahead: list[dict[str, Any]]) -> float:
    """The top of the axis: what is said fits; a wide interval of few orders does not decide."""
    said = [row[name] for row in known for name in ("rate", "target") if row[name] is not None]
    said += [row["expected"] for row in ahead if row["expected"] is not None]
    highest = max(said, default=0.0)
    widest = max(
        (row["rate_high"] for row in known[-30:] if row["rate_high"] is not None), default=0
    )
    return max(highest * 1.15, min(float(widest) * 1.05, highest * 2.5), 0.001)


def _describe_rate(
    name: str, limit: str, known: list[dict[str, Any]], ahead: list[dict[str, Any]]
) -> str:
    """The chart in a sentence, for those who do not see it."""
    rated = [row for row in known if row["rate"] is not None]
    if not rated:
        return f"{name} by day: no rate in these days."
    first, last = rated[0], rated[-1]
    text = (
        f"{name} by day: {first['rate']:.2%} on {first['Day']}, {last['rate']:.2%} on "
        f"{last['Day']} ({last['Orders']} orders); {limit} {last['Target']}."
    )
    if ahead and ahead[-1]["expected"] is not None:
        text += f" Expected on {ahead[-1]['Day']}: {ahead[-1]['expected']:.2%}."
    return text


def _days_axis() -> alt.Axis:
    return alt.Axis(format="%-d %b", labelOverlap=True, tickCount=6, grid=False)


def _distance(rate: float | None, aim: dict[str, Any]) -> float:
    """How far a rate is from the target; without a rate nothing is in the way."""
    return float("inf") if rate is None else abs(rate - aim["target"])


def _iso(day: date) -> str:
    return day.isoformat()


def _of(rows: list[dict[str, Any]]) -> alt.Chart:
    # as text, which Vega reads and Altair does not walk through row by row, layer by layer
    values = alt.InlineData(values=json.dumps(rows), format=alt.JsonDataFormat(type="json"))
    return alt.Chart(values)


def _plain(chart: Any) -> alt.LayerChart:
    # the height is of what is drawn, without axis; not in the configuration, which Streamlit
    # overrules
    fitted = chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    configured: alt.LayerChart = (
        fitted.configure(font=_FONT, background="#ffffff")
        .configure_axis(**_AXIS)
        .configure_view(stroke=None)
        .configure_legend(labelColor=INK, labelFontSize=12, labelLimit=220)
    )
    return configured
