"""Explain a published figure: the orders in it, their events, the file rows they came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.downloads import as_csv, cell_text, write_whole
from dagster_project.lib.errors import ConfigurationError, FeedbackError
from dagster_project.lib.metrics import COUNTED_PARTS, EVENT_SOURCES, NUMERATORS
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, require_current
from dagster_project.lib.text import printable
from dagster_project.lib.warehouse import open_warehouse

_SHOWN = 20


@dataclass(frozen=True)
class Question:
    """Which figure is asked about; without product and reason it is the shop's."""

    shop_id: str
    metric: str
    metric_date: date
    product_key: str | None = None
    reason_code: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in NUMERATORS:
            raise ConfigurationError(f"The metrics are {', '.join(NUMERATORS)}.")
        if self.metric not in ("nrr", "sfrr") and (self.product_key or self.reason_code):
            raise ConfigurationError("By product or reason there are nrr and sfrr.")


@dataclass(frozen=True)
class Line:
    """One event of an order of the figure, or an order without any.

    File rows are those of the latest version: of the order's first delivered line, of the event.
    """

    order_id: str
    in_numerator: bool
    delivered_date: date
    order_file: str
    order_file_id: str
    order_row: int
    event_id: str | None
    event_date: date | None
    rating: int | None
    reason_code: str | None
    event_counts: bool | None
    rule: str | None
    event_file: str | None
    event_file_id: str | None
    event_row: int | None


@dataclass(frozen=True)
class Explanation:
    """All orders of a figure's denominator, and what was published."""

    question: Question
    lines: list[Line]
    published_orders: int
    published_delivered_orders: int

    @property
    def orders(self) -> int:
        """The numerator, as listed."""
        return len({line.order_id for line in self.lines if line.in_numerator})

    @property
    def delivered_orders(self) -> int:
        """The denominator, as listed."""
        return len({line.order_id for line in self.lines})

    @property
    def adds_up(self) -> bool:
        """Whether what is listed is what was published."""
        published = (self.published_orders, self.published_delivered_orders)
        return (self.orders, self.delivered_orders) == published


def explain(data: DataDir, question: Question) -> Explanation:
    """List the orders behind a published figure.

    Raises ConfigurationError when there is no such figure, FeedbackError when the warehouse is no
    longer, or not yet, what was published.
    """
    version = require_current(data)
    if not data.warehouse.exists():
        raise FeedbackError(
            "The warehouse is lost; `feedback run` makes it anew (after a rollback, the next one "
            "that has anything new)."
        )
    published = _published(version, question)
    with open_warehouse(data.warehouse, read_only=True) as con:
        found = con.execute("select run_id, inputs from raw.run").fetchone()
        manifest = version.manifest
        if found is None or (found[0] != manifest["run_id"] and found[1] != manifest["inputs"]):
            raise FeedbackError(
                "The warehouse holds another run than the one that readers see (a gate is closed, "
                "a run did not end, or an earlier publication was put back); `feedback run` first."
            )
        return Explanation(question, _lines(con, question), *published)


def product_key(data: DataDir, shop_id: str, key_or_name: str) -> str:
    """A product's key by itself or by the product's name; raises ConfigurationError."""
    version = require_current(data)
    with duckdb.connect(config=OFFLINE) as con:
        rows = con.execute(
            f"select distinct product_key from {version.parquet('product_metrics_daily')} "
            "where shop_id = $1 and (product_key = $2 or lower(product_name) = lower($2)) "
            "order by product_key <> $2, 1",
            [shop_id, key_or_name],
        ).fetchall()
    keys = [key for (key,) in rows]
    if key_or_name in keys or len(keys) == 1:
        return str(keys[0])
    named = f": {', '.join(keys)}" if keys else ""
    raise ConfigurationError(f"{printable(key_or_name)} names {len(keys)} products{named}.")


def _published(version: Version, question: Question) -> tuple[int, int]:
    """Numerator and denominator as published; a reason without orders has no row, which is 0."""
    if question.shop_id in version.frozen_since():
        raise FeedbackError(
            f"{printable(question.shop_id)} stays as in an earlier publication (frozen_shops says "
            "why); its orders of then are no longer at hand."
        )
    numerator = NUMERATORS[question.metric]
    by_product = "product_metrics_daily" if question.product_key else "shop_metrics_daily"
    key = [question.shop_id, question.metric_date]
    where = "shop_id = ? and metric_date = ?"
    if question.product_key:
        key.append(question.product_key)
        where += " and product_key = ?"
    with duckdb.connect(config=OFFLINE) as con:
        row = con.execute(
            f"select {numerator}, delivered_orders from {version.parquet(by_product)} "
            f"where {where}",
            key,
        ).fetchone()
        if row is None:
            raise ConfigurationError(
                f"No figure was published of {printable(question.shop_id)} for "
                f"{question.metric_date}{' and that product' if question.product_key else ''}."
            )
        if question.reason_code is None:
            return row[0], row[1]
        by_reason = f"{'product_' if question.product_key else ''}reason_metrics_daily"
        reason = con.execute(
            f"select orders from {version.parquet(by_reason)} "
            f"where {where} and metric = ? and reason_code = ? order by is_counted desc limit 1",
            [*key, question.metric, question.reason_code],
        ).fetchone()
        return (reason[0] if reason else 0), row[1]


def _lines(con: duckdb.DuckDBPyConnection, question: Question) -> list[Line]:
    is_in = f"e.counts_by_itself and {COUNTED_PARTS.get(question.metric, 'true')}"
    if question.reason_code is not None:
        # a reason that is not the seller's has a row too, of the orders that name it
        is_in = (
            "e.is_negative and e.reason_code = $reason_code and e.counts_by_itself = max("
            "case when e.is_negative and e.reason_code = $reason_code "
            "then e.counts_by_itself end) over ()"
        )
    orders = "intermediate.int_orders"
    on_product = "true"
    if question.product_key is not None:
        orders, on_product = "intermediate.int_order_products", "product_key = $product_key"
    asked = {
        name: value
        for name, value in vars(question).items()
        if value is not None and name != "metric"
    }
    rows = con.execute(
        f"""
        with delivered as (
            select o.order_key, o.order_id, o.delivered_date
            from {orders} as o
            cross join intermediate.int_parameters as p
            where o.shop_id = $shop_id
                and {on_product}
                and o.delivered_date <= $metric_date
                and o.delivered_date > $metric_date - p.window_days
        ),

        lines as (
            select l.order_id, l.file_id, l.row_number
            from staging.stg_exports__order_lines as l
            inner join delivered as d on l.order_id = d.order_id and l.shop_id = $shop_id
            left join intermediate.int_skus__products as s
                on l.shop_id = s.shop_id and l.sku_id = s.sku_id
            where l.delivered_date = d.delivered_date and {on_product}
            qualify row_number() over (
                partition by l.order_id order by l.file_id, l.row_number
            ) = 1
        ),

        events as (
            select e.*, coalesce({is_in}, false) as event_counts
            from intermediate.int_feedback_events as e
            inner join delivered as d on e.order_id = d.order_id
            where e.shop_id = $shop_id and ($source is null or e.source = $source)
                and e.event_date <= $metric_date and {on_product}
        ),

        files as (
            select file_id, min(file_name) as file_name
            from raw.files where shop_id = $shop_id group by file_id
        )

        select
            d.order_id,
            coalesce(bool_or(e.event_counts) over (partition by d.order_id), false),
            d.delivered_date,
            fo.file_name, l.file_id, l.row_number,
            e.event_id, e.event_date, e.rating, e.reason_code, e.event_counts, e.rule,
            fe.file_name, e.file_id, e.row_number
        from delivered as d
        left join lines as l on d.order_id = l.order_id
        left join events as e on d.order_id = e.order_id
        left join files as fo on l.file_id = fo.file_id
        left join files as fe on e.file_id = fe.file_id
        order by 2 desc, d.delivered_date, d.order_id, e.event_date, e.event_id
        """,
        asked | {"source": EVENT_SOURCES.get(question.metric)},
    ).fetchall()
    return [Line(*row) for row in rows]


def write_lines(lines: list[Line], out: Path) -> None:
    """Write the lines as CSV, in order; cells are safe to open in a spreadsheet."""
    write_whole(out, as_csv(list(Line.__dataclass_fields__), [vars(line) for line in lines]))


def show(explanation: Explanation) -> RenderableType:
    """The figure, the orders in its numerator and what else was said of its orders."""
    asked = explanation.question
    rate = explanation.orders / explanation.delivered_orders if explanation.delivered_orders else 0
    what = " ".join(filter(None, (asked.metric, asked.product_key, asked.reason_code)))
    orders = Table(
        title=f"{escape(asked.shop_id)}, {asked.metric_date}, {escape(what)}: "
        f"{explanation.orders} of {explanation.delivered_orders} orders, {rate:.2%}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
    )
    for column in ("Order", "Delivered", "Event on", "Reason", "Why", "In file", "Row"):
        orders.add_column(column, no_wrap=column not in ("Why", "In file"))
    told = [line for line in explanation.lines if line.in_numerator and line.event_counts]
    for line in told[:_SHOWN]:
        cells = (line.order_id, line.delivered_date, line.event_date, line.reason_code, line.rule)
        orders.add_row(*(escape(cell_text(c)) for c in (*cells, line.event_file, line.event_row)))
    more = f"{len(told) - _SHOWN} more with `--out FILE.csv`." if len(told) > _SHOWN else ""
    others = Counter(
        "counted_elsewhere" if line.rule == "counted" else str(line.rule)
        for line in explanation.lines
        if line.event_id and not line.event_counts
    )
    listed = ", ".join(f"{rule} {count}" for rule, count in sorted(others.items()))
    return Group(
        orders,
        *([more] if more else []),
        f"Events of these {explanation.delivered_orders} orders that do not count in it: "
        f"{listed or 'none'}.",
    )
