"""The figures of scale.py as `scale.md` and `scale.svg`; the targets also in README.md."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).with_name("scale.json")
README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- targets: written by plot.py -->", "<!-- end -->"
# The notes of README.md on the targets that are not met.
EXPLAINED = {
    "dbt models anew, over the floor": 1,
    "dbt models of one more day, over anew": 2,
    "whole run of one more day, over anew": 2,
    "dbt models of one more day, over those on 1 M lines": 3,
    "whole run of one more day, over that on 1 M lines": 3,
    "publishing anew, over a bare publication": 4,
}
NAMES = {
    "run_full": "`feedback run`, everything anew",
    "run_increment": "`feedback run`, one more day",
    "run_nothing_new": "`feedback run`, nothing new",
    "dbt_alone": "dbt alone, everything anew",
    "dbt_alone_increment": "dbt alone, one more day",
    "floor": "the floor: one SQL script",
    "range_join": "range join, NRR only",
    "pandas_rolling": "pandas rolling, NRR only",
    "bare_publication": "bare publication",
    "imports": "importing Dagster",
    "imports_gx": "importing Great Expectations",
    "dbt_parse": "dbt parse, from nothing",
    "dbt_parse_warm": "dbt parse, warm cache",
    "gates": "both gates, Great Expectations",
    "gates_sql": "both gates, bare SQL",
}
GROUPS = ("imports and parse", "ingest", "raw gate", "dbt", "publish gate", "publish")
PLOTTED = {
    "run_full": "#b4442c",
    "dbt_alone": "#d9902f",
    "floor": "#3b6ea5",
    "run_increment": "#2f8f5b",
    "run_nothing_new": "#7a7a7a",
    "range_join": "#8a4fa3",
}


class Size:
    """What was measured at one size of history; of what was measured often, medians count."""

    def __init__(self, lines: int, measured: Sequence[dict[str, Any]]) -> None:
        self.lines = lines
        self.of: dict[str, list[dict[str, Any]]] = {}
        for found in measured:
            if found["lines"] == lines:
                self.of.setdefault(found["contender"], []).append(found)

    def value(self, contender: str, key: str) -> float | None:
        """A figure of a whole process, such as `cpu_s`."""
        found = self.of.get(contender)
        return median(m[key] for m in found) if found else None

    def own_cpu(self, contender: str) -> float | None:
        """CPU seconds without the imports that the contender itself tells apart."""
        found = self.of.get(contender)
        return median(m["facts"]["cpu_s"] for m in found) if found else None

    def steps(self, contender: str, key: str = "cpu_seconds") -> dict[str, float]:
        """Seconds by group of steps."""
        runs = [_grouped(m["facts"]["steps"], key) for m in self.of.get(contender, [])]
        return {g: median(run.get(g, 0.0) for run in runs) for g in GROUPS} if runs else {}

    def net(self, contender: str) -> float | None:
        """CPU seconds of a run beyond imports and dbt parse: what the figures themselves cost."""
        steps = self.steps(contender)
        parse = self.value("dbt_parse" if contender == "run_full" else "dbt_parse_warm", "cpu_s")
        gx = self.value("imports_gx", "cpu_s")
        if not steps or parse is None or gx is None:
            return None
        return sum(steps.values()) - steps["imports and parse"] - parse - gx


def _grouped(steps: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    groups: dict[str, float] = {}
    for step in steps:
        name = step["name"]
        group = {"ingest": "ingest", "dbt_models": "dbt", "publish": "publish"}.get(name)
        if group is None:
            group = next(
                (g for g in ("raw gate", "publish gate") if name.startswith(g.replace(" ", "_"))),
                "imports and parse",
            )
        groups[group] = groups.get(group, 0.0) + step[key]
    return groups


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None or b <= 0 else a / b


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _sum(*values: float | None) -> float | None:
    return None if any(v is None for v in values) else sum(v for v in values if v is not None)


def targets(sizes: Sequence[Size]) -> list[tuple[str, str, dict[int, float | None]]]:
    """Each target with its bound and its measured ratio by size, of CPU seconds where not told."""
    rows: list[tuple[str, str, dict[int, float | None]]] = []

    def add(name: str, bound: str, ratios: dict[int, float | None]) -> None:
        rows.append((name, bound, ratios))

    def each(figure: Any) -> dict[int, float | None]:
        return {s.lines: figure(s) for s in sizes}

    def anew(s: Size) -> float | None:
        return _less(s.value("dbt_alone", "cpu_s"), s.value("dbt_parse_warm", "cpu_s"))

    def day(s: Size) -> float | None:
        return _less(s.value("dbt_alone_increment", "cpu_s"), s.value("dbt_parse_warm", "cpu_s"))

    million = next((s for s in sizes if s.lines == 1_000_000), None)
    add("dbt models anew, over the floor", "1.5", each(
        lambda s: _ratio(anew(s), s.own_cpu("floor"))))  # fmt: skip
    add("peak memory of dbt models anew, GiB", "4", each(
        lambda s: _ratio(s.value("dbt_alone", "peak_mib"), 1024)))  # fmt: skip
    add("dbt models of one more day, over anew", "0.10", each(
        lambda s: _ratio(day(s), anew(s))))  # fmt: skip
    add("whole run of one more day, over anew", "0.10", each(
        lambda s: _ratio(s.net("run_increment"), s.net("run_full"))))  # fmt: skip
    if million:
        models, whole = day(million), million.net("run_increment")
        add("dbt models of one more day, over those on 1 M lines", "1.5", each(
            lambda s: _ratio(day(s), models)))  # fmt: skip
        add("whole run of one more day, over that on 1 M lines", "1.5", each(
            lambda s: _ratio(s.net("run_increment"), whole)))  # fmt: skip
    add("gates of one more day, over bare SQL", "2", each(
        lambda s: _ratio(s.own_cpu("gates"), s.own_cpu("gates_sql"))))  # fmt: skip
    add("gates of one more day, over the whole of it", "0.25", each(
        lambda s: _ratio(s.own_cpu("gates"), s.net("run_increment"))))  # fmt: skip
    add("nothing new, over importing Dagster and dbt parse", "1.2", each(
        lambda s: _ratio(
            s.value("run_nothing_new", "cpu_s"),
            _sum(s.value("imports", "cpu_s"), s.value("dbt_parse_warm", "cpu_s")),
        )))  # fmt: skip
    add("publishing anew, over a bare publication", "1.5", each(
        lambda s: _ratio(
            s.steps("run_full").get("publish"), s.own_cpu("bare_publication")
        )))  # fmt: skip
    add("publishing one more day, over a bare publication", "1.5", each(
        lambda s: _ratio(
            s.steps("run_increment").get("publish"), s.own_cpu("bare_publication")
        )))  # fmt: skip
    return rows


def targets_table(sizes: Sequence[Size]) -> list[str]:
    """The targets beside what was measured, and whether they are met."""
    lines = [
        "| target (CPU) | at most | " + " | ".join(f"{s.lines:,} lines" for s in sizes) + " | |",
        "|---|---|" + "---|" * (len(sizes) + 1),
    ]
    for name, bound, ratios in targets(sizes):
        cells = " | ".join(_number(ratios[s.lines], 2) for s in sizes)
        lines.append(f"| {name} | {bound} | {cells} | {_verdict(name, bound, ratios)} |")
    return lines


def _verdict(name: str, bound: str, ratios: dict[int, float | None]) -> str:
    missed = [lines for lines, r in ratios.items() if r is not None and round(r, 2) > float(bound)]
    if not missed:
        return "met"
    if max(missed) < max(ratios):
        return f"met above {max(missed):,}"
    return f"**not met**, see {EXPLAINED[name]}" if name in EXPLAINED else "**not met**"


def markdown(results: dict[str, Any], sizes: Sequence[Size]) -> str:
    """The tables: targets, contenders, steps."""
    m = results["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, "
        f"Python {m['python']}, DuckDB {m['duckdb']}, {m['measured_at']}. One more day is "
        f"{results['increment_lines']:,} order lines with their reviews and requests, on any size.",
        "",
        *targets_table(sizes),
    ]
    for size in sizes:
        floor = size.value("floor", "cpu_s")
        lines += [
            "",
            f"### {size.lines:,} order lines",
            "",
            "| whole process | wall s | CPU s | over the floor | peak MiB | spilled MiB "
            "| on disk MiB |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, title in NAMES.items():
            if name not in size.of:
                continue
            cpu = size.value(name, "cpu_s")
            stored = size.of[name][-1]["stored_mib"]
            kept = ", ".join(f"{key} {_number(value, 0)}" for key, value in stored.items())
            lines.append(
                f"| {title} | {_number(size.value(name, 'wall_s'))} | {_number(cpu)} "
                f"| {_number(_ratio(cpu, floor), 2)} | {_number(size.value(name, 'peak_mib'), 0)} "
                f"| {_number(size.value(name, 'spilled_mib'), 0)} | {kept} |"
            )
        lines += [
            "",
            "| CPU s of the steps | " + " | ".join(GROUPS) + " |",
            "|---|" + "---|" * len(GROUPS),
        ]
        for name in ("run_full", "run_increment", "run_nothing_new"):
            steps = size.steps(name)
            if steps:
                cells = " | ".join(_number(steps[g]) for g in GROUPS)
                lines.append(f"| {NAMES[name]} | {cells} |")
    return "\n".join(lines) + "\n"


def svg(sizes: Sequence[Size]) -> str:
    """CPU seconds over order lines, both on a logarithmic scale."""
    width, height, left, right, top, bottom = 790, 420, 64, 230, 40, 52
    points = {
        name: [(s.lines, v) for s in sizes if (v := s.value(name, "cpu_s")) is not None]
        for name in PLOTTED
    }
    values = [v for series in points.values() for _, v in series]
    counts = [s.lines for s in sizes]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(min(counts)), math.log10(max(counts))
    span = last - first or 1.0

    def x(lines: float) -> float:
        return left + (math.log10(lines) - first) / span * (width - left - right)

    def y(seconds: float) -> float:
        share = (math.log10(seconds) - low) / ((high - low) or 1)
        return height - bottom - share * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="22" font-size="15" font-weight="600" fill="#222">'
        "CPU seconds of the whole process, by order lines of the history</text>",
    ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e3e3e3"/>'
            f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#555">'
            f"{10.0**power:g}</text>"
        )
    for lines in counts:
        parts.append(
            f'<text x="{x(lines):.1f}" y="{height - bottom + 22}" text-anchor="middle" fill="#555">'
            f"{lines:,}</text>"
        )
    labels: list[tuple[float, float, str, str]] = []
    for name, colour in PLOTTED.items():
        series = points[name]
        if not series:
            continue
        path = " ".join(f"{x(lines):.1f},{y(v):.1f}" for lines, v in series)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(lines):.1f}" cy="{y(v):.1f}" r="3.5" fill="{colour}"/>'
            for lines, v in series
        ]
        end = x(series[-1][0])
        labels.append((end, y(series[-1][1]), NAMES[name].replace("`", ""), colour))
    at: dict[float, float] = {}
    for end, wanted, title, colour in sorted(labels):
        at[end] = max(wanted, at.get(end, -math.inf) + 17)  # so that no label lies on another
        parts.append(
            f'<text x="{end + 12:.1f}" y="{at[end] + 4:.1f}" fill="{colour}">{escape(title)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def with_targets(text: str, sizes: Sequence[Size]) -> str:
    """The page with its table of targets as measured."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n".join([before + _BEGIN, *targets_table(sizes), _END + after])


def main() -> None:
    """Write them beside the results, and the targets into the page that explains them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    path = parser.parse_args().results
    results = json.loads(path.read_text())
    counts = sorted({m["lines"] for m in results["measured"]})
    sizes = [Size(lines, results["measured"]) for lines in counts]
    path.with_suffix(".md").write_text(markdown(results, sizes), encoding="utf-8")
    path.with_suffix(".svg").write_text(svg(sizes), encoding="utf-8")
    if path == RESULTS:
        text = README.read_text(encoding="utf-8")
        README.write_text(with_targets(text, sizes), encoding="utf-8")
    print(markdown(results, sizes))


if __name__ == "__main__":
    main()
