"""The summary of a run: what people want to read first, from the publication and the ledger."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dagster_project.lib.attention import LAST_DAY, concerns, what_then
from dagster_project.lib.contracts import load_settings
from dagster_project.lib.landing import is_there
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version
from dagster_project.lib.questions import unknown_values
from dagster_project.lib.steps import Step
from dagster_project.lib.text import printable
from dagster_project.lib.warehouse import open_warehouse

_STATUS_STYLES = {"ok": "green", "at_risk": "yellow", "breach": "bold red"}
_TOP = 3
_IN_FULL = 2
_KNOWN_REASONS = "events_mostly_have_known_reasons"
_LONGEST_TEXT = 10_000  # a text to paste is not cut


def summarise(marts: duckdb.DuckDBPyConnection) -> RenderableType:
    """Rates against targets, top reasons and products, rejects and unmapped reasons."""
    parts = [
        _in_danger(marts),
        _frozen_shops(marts),
        _rates(marts),
        _top_reasons(marts),
        _top_products(marts),
        _files(marts),
        _unknown_values(marts),
    ]
    return Group(*(part for part in parts if part is not None))


def show_gates(ledger: Ledger, run_id: str) -> RenderableType | None:
    """The rules that did not pass in a run, with examples; None when all passed."""
    rows = ledger.con.execute(
        "select severity, dataset, rule, failed_rows, checked_rows, message, examples, "
        "accepted_reason, contained "
        "from quality_results where run_id = ? and not passed order by severity, dataset, rule",
        [run_id],
    ).fetchall()
    if not rows:
        return None
    names = {e.file_id: f"{e.shop_id}/{e.dataset}/{e.file_name}" for e in ledger.current_files()}
    table = _table("Quality rules that did not pass", "Severity", "Data", "Rule", "Rows", "What")
    for severity, dataset, rule, failed, checked, message, examples, accepted, contained in rows:
        style = "bold red" if severity == "critical" else "yellow"
        shown = "; ".join(_example(e, names) for e in json.loads(examples)[:_TOP])
        what = f"{message} For example {shown}" if shown else message
        if accepted is not None:
            what += f" Let pass once: {accepted}"
        if contained is not None:
            what += f" {contained}"
        table.add_row(Text(severity, style), dataset, rule, f"{failed} of {checked}", escape(what))
    return table


def unknown_reasons(
    data: DataDir, ledger: Ledger, run_id: str
) -> tuple[RenderableType | None, str | None]:
    """What `run_id` found in texts that no setting knows, and lines to paste, published or not.

    Both are None where the run did not break the rule that return reasons be known.
    """
    ((is_broken,),) = ledger.con.execute(
        "select count(*) > 0 from quality_results where run_id = ? and rule = ? and not passed",
        [run_id, _KNOWN_REASONS],
    ).fetchall()
    if not is_broken:
        return None, None
    with open_warehouse(data.warehouse, read_only=True) as con:
        con.execute("set schema = 'marts'")
        return _unknown_values(con), settings_lines(con, data)


def _example(example: dict[str, Any], file_names: dict[str, str]) -> str:
    """One offending row for people: its keys, its file by name and by the id to retract it by."""
    keys = {name: value for name, value in example.items() if not name.startswith("_")}
    parts = [f"{name} {_short(value)}" for name, value in keys.items()]
    if file_id := example.get("_file_id"):
        parts.append(f"in {file_names.get(file_id, 'a file')} (id {file_id[:12]})")
    if row_number := example.get("_row_number"):
        parts.append(f"row {row_number}")
    return ", ".join(parts)


def _short(value: object) -> object:
    """A float to four digits, and never as 1e+04; anything else as it is."""
    if not isinstance(value, float):
        return value
    return f"{value:.0f}" if abs(value) >= 1000 else f"{Decimal(f'{value:.4g}'):f}"


def show_refused(
    new: Sequence[FileEntry], earlier: Sequence[FileEntry], landing: Path
) -> RenderableType | None:
    """New refused files, and earlier ones that still lie there, and why; None without any."""
    still = [e for e in earlier if is_there(landing / e.shop_id / e.dataset / e.file_name)]
    rows = sorted((e.shop_id, e.dataset, e.message) for e in (*new, *still))
    if not rows:
        return None
    table = _table("Files that were set aside", "Shop", "Data", "Why")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def show_steps(steps: Sequence[Step]) -> RenderableType:
    """Seconds per step."""
    table = _table("Time per step", "Step", "Seconds")
    for step in steps:
        table.add_row(step.name, f"{step.seconds:.1f}")
    table.add_row("total", f"{sum(step.seconds for step in steps):.1f}", style="bold")
    return table


def show_publications(kept: Sequence[Version], seen: Version | None) -> RenderableType:
    """The publications that are kept, the newest first."""
    table = _table("Publications", "Id", "As of", "Shop days", "Run", "")
    for version in kept:
        manifest = version.manifest
        table.add_row(
            version.publication_id,
            str(manifest.get("as_of")),
            f"{manifest.get('tables', {}).get('shop_metrics_daily', 0):,}",
            str(manifest.get("run_id")),
            "readers see this one" if version == seen else "",
        )
    return table


def show_outputs(data: DataDir) -> RenderableType:
    """Where the outputs lie."""
    table = _table("Outputs", "What", "Where")
    table.add_row("DuckDB", str(data.published / "marts.duckdb"))
    table.add_row("Parquet", str(data.published / "parquet"))
    table.add_row("Manifest", str(data.published / "manifest.json"))
    return table


def _rates(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    rows = marts.execute(
        f"""
        select
            s.shop_id, s.metric_date, s.metric, s.rate, s.orders, s.delivered_orders, s.target,
            s.status, s.higher_is_better, s.state
        from metric_status_daily as s
        where s.metric_date = {LAST_DAY}
            and (s.metric in ('nrr', 'sfrr') or s.target is not null)
        order by s.shop_id, s.metric
        """
    ).fetchall()
    if not rows:
        return None
    table = _table(
        f"Rates of the window that ends on {rows[0][1]}",
        "Shop", "Metric", "Rate", "Orders", "Target", "Status", "Data",
    )  # fmt: skip
    previous = None
    for shop, _, metric, rate, orders, delivered, target, status, is_floor, state in rows:
        if previous not in (None, shop):
            table.add_section()
        table.add_row(
            escape(shop) if shop != previous else "",
            metric,
            _percent(rate),
            f"{orders} of {delivered}",
            "" if target is None else f"{'>' if is_floor else '<'} {_percent(target)}",
            Text(status.replace("_", " "), _STATUS_STYLES.get(status, "dim")),
            state.replace("_", " "),
        )
        previous = shop
    return table


def _in_danger(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    """In ten lines at most: who is near a target, since when, why, what to do, what then."""
    found = concerns(marts)
    if not found:
        return None
    lines = []
    for it in found[:_IN_FULL]:
        days = f"in breach since {it.breach_since} ({it.days_in_breach} days)"
        as_of = f", as of {it.metric_date}" if it.is_frozen else ""
        lines.append(
            f"{it.shop_id}: {it.metric} {_percent(it.rate)}, target below {_percent(it.target)}; "
            f"{days if it.breach_since else 'at risk'}{as_of}."
        )
        if it.product_orders:
            name = (it.product_name or "a product without name")[:40]
            lines.append(
                f"  Look first at {name}: in {it.product_orders} of {it.orders} orders, "
                f"most often {it.top_reason} ({it.top_reason_orders})."
            )
            if it.advice:
                lines.append(f"  {it.advice}")
        elif it.watched_as:
            lines.append("  No single product stands out; the top reasons are below.")
        if then := what_then(it):
            lines.append(f"  {then}")
    others = ", ".join(f"{it.shop_id} ({it.metric} {_percent(it.rate)})" for it in found[_IN_FULL:])
    if others:
        lines.append(f"Also: {printable(others, 110)}")
    return Group(Text.assemble(("In danger\n", "bold"), "\n".join(lines)), "")


def _frozen_shops(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    rows = marts.execute(
        "select shop_id, publication_id, cast(as_of as varchar), rules from frozen_shops "
        "order by all"
    ).fetchall()
    if not rows:
        return None
    table = _table("Shops that stay as they were", "Shop", "Publication", "As of", "Rules broken")
    for shop, publication, as_of, rules in rows:
        table.add_row(escape(shop), publication or "never published", as_of, rules)
    return table


def _top_reasons(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    rows = marts.execute(
        f"""
        select shop_id, metric, reason_code, orders, share
        from reason_metrics_daily
        where metric_date = {LAST_DAY} and rank <= ?
        order by shop_id, metric, rank
        """,
        [_TOP],
    ).fetchall()
    if not rows:
        return None
    table = _table("Top reasons", "Shop", "Metric", "Reason", "Orders", "Share")
    previous: tuple[str | None, str | None] = (None, None)
    for shop, metric, reason, orders, share in rows:
        same_shop, same_metric = shop == previous[0], (shop, metric) == previous
        table.add_row(
            "" if same_shop else escape(shop),
            "" if same_metric else metric,
            reason,
            str(orders),
            f"{share:.0%}",
        )
        previous = (shop, metric)
    return table


def _top_products(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    rows = marts.execute(
        f"""
        select
            shop_id, product_name, delivered_orders, negative_review_orders,
            seller_fault_return_orders
        from product_metrics_daily
        where metric_date = {LAST_DAY}
            and negative_review_orders + seller_fault_return_orders > 0
        qualify row_number() over (
            partition by shop_id
            order by negative_review_orders + seller_fault_return_orders desc, product_key
        ) <= ?
        order by shop_id, negative_review_orders + seller_fault_return_orders desc, product_key
        """,
        [_TOP],
    ).fetchall()
    if not rows:
        return None
    table = _table(
        "Top products", "Shop", "Product", "Delivered", "Negative reviews", "Seller-fault returns"
    )
    previous = None
    for shop, name, *counts in rows:
        table.add_row(
            "" if shop == previous else escape(shop),
            escape((name or "")[:40]),
            *(str(count) for count in counts),
        )
        previous = shop
    return table


def _files(marts: duckdb.DuckDBPyConnection) -> RenderableType:
    table = _table("Files", "Data", "Loaded", "Refused", "Rows read", "Rows rejected", "Why")
    for row in marts.execute(
        """
        with reasons as (
            select dataset, rule, column_name, count(*) as rejects
            from rejected_rows group by all
        ),

        texts as (
            select
                dataset,
                string_agg(
                    trim(column_name || ' ' || replace(rule, '_', ' ')) || ': ' || rejects,
                    ', ' order by rejects desc, rule
                ) as why
            from reasons group by dataset
        )

        select
            f.dataset,
            count(*) filter (where f.status = 'loaded'),
            count(*) filter (where f.status = 'refused'),
            coalesce(sum(f.rows_read), 0),
            coalesce(sum(f.rows_rejected), 0),
            any_value(t.why)
        from files as f
        left join texts as t using (dataset)
        group by f.dataset
        order by f.dataset
        """
    ).fetchall():
        table.add_row(*(escape(str(cell)) if cell is not None else "" for cell in row))
    return table


def _unknown_values(marts: duckdb.DuckDBPyConnection) -> RenderableType | None:
    rows = unknown_values(marts)
    if not rows:
        return None
    table = _table("Texts that no setting knows", "Text", "What", "Lines")
    for row in rows:
        table.add_row(escape(printable(row["value"])), row["what"], str(row["lines"]))
    return table


def settings_lines(marts: duckdb.DuckDBPyConnection, data: DataDir) -> str | None:
    """Lines to paste into the own settings for return reasons that no setting knows."""
    rows = marts.execute(
        "select distinct unmapped_reason from feedback_events "
        "where unmapped_reason is not null and source = 'return' order by 1"
    ).fetchall()
    if not rows:
        return None
    columns = [c for c in load_settings()["return_reason_texts"].columns if c.required_header]
    out = io.StringIO()
    lines = csv.DictWriter(out, [c.name for c in columns], restval="", lineterminator="\n")
    lines.writeheader()
    for (text,) in rows:
        shown = printable(text, _LONGEST_TEXT)
        lines.writerow({"reason_text": shown, "reason_code": "?", "valid_from": "2010-01-01"})
    path = data.settings / "return_reason_texts.csv"
    return (
        "To have these return reasons counted, put the code that fits in the place of each ? and "
        f"add the lines to {path} (the first one only where the file is new):\n\n{out.getvalue()}"
    )


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.2%}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    numbers = {"Rate", "Orders", "Shop days", "Target", "Share", "Seconds", "Loaded", "Refused",
               "Lines", "Rows read", "Rows rejected", "Delivered", "Negative reviews",
               "Seller-fault returns"}  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left")
    return table


def outcome_line(published: bool, manifest: dict[str, Any] | None) -> str:
    """One line: what readers see now."""
    if manifest is None:
        return "Nothing is published yet."
    word = "Published" if published else "Nothing new; still published"
    return f"{word}: {manifest['publication_id']}, as of {manifest['as_of'] or 'no day yet'}."
