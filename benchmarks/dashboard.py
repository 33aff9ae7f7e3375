"""How fast the dashboard's pages answer over a large publication, beside their slowest query.

`python benchmarks/dashboard.py [--shops 200] [--products 20000] [--days 730] [--work DIR]` invents
the published tables, asks each page as its server would, and prints a Markdown table. A page must
answer within 1.5 times its slowest bare query plus a fixed time to render.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current, seal, switch

PUBLICATION = "20300101T000000000000"
SHOP = "shop-0007"
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "Overview": ("overview", {}),
    "Shop": ("shop", {"shop": SHOP, "days": "all"}),
    "Products": ("products", {"shop": SHOP}),
    "Product": ("products", {"shop": SHOP, "product": "product-00000607", "days": "all"}),
    "Reasons": ("reasons", {"shop": SHOP, "metric": "sfrr", "days": "all"}),
    "Orders": ("orders", {"shop": SHOP, "metric": "sfrr"}),
    "Orders, all events": ("orders", {"shop": SHOP, "metric": "all"}),
    "Data quality": ("quality", {}),
}
RENDERING = 0.5  # seconds; what a page takes whose answers are kept is below that
FACTOR = 1.5
TURNS = 3
_PAGE = """
from dagster_project.dashboard import source
from dagster_project.dashboard.screens import {name}
source.look()
{name}.show()
"""

_METRICS = (
    "(values ('nrr', 1.0), ('nrr_seller', 0.8), ('nrr_product', 0.5), ('nrr_service', 0.3), "
    "('sfrr', 1.4)) as m(metric, part)"
)
# Reasons, and whether they count, for either metric.
_REASONS = (
    "(values ('nrr', 'defective_or_low_quality', true), ('nrr', 'not_as_described', true), "
    "('nrr', 'missing_item', true), ('nrr', 'late_delivery', true), ('nrr', 'no_comment', true), "
    "('sfrr', 'defective', true), ('sfrr', 'damaged', true), ('sfrr', 'wrong_item', true), "
    "('sfrr', 'not_as_described', true), ('sfrr', 'change_of_mind', false)) "
    "as r(metric, reason_code, is_counted)"
)
# The published tables, sorted as they are published; numbers come from hashes, so they are the
# same every time. `shops`, `days` and `products` are views made before.
TABLES = {
    "shop_metrics_daily": """
        with counts as (
            select shop_id, metric_date, 300 + hash(shop_id) % 2000 + hash(metric_date) % 50 as d,
                hash(shop_id, metric_date, 1) % 12 as n, hash(shop_id, metric_date, 2) % 20 as f
            from shops cross join days
        )
        select shop_id, metric_date, d::bigint as delivered_orders,
            n::bigint as negative_review_orders, (n // 2)::bigint as seller_negative_review_orders,
            (n // 3)::bigint as product_negative_review_orders,
            (n // 4)::bigint as service_negative_review_orders,
            f::bigint as seller_fault_return_orders, n / d as nrr, n // 2 / d as nrr_seller,
            n // 3 / d as nrr_product, n // 4 / d as nrr_service, f / d as sfrr,
            'ok' as nrr_state, 'ok' as sfrr_state
        from counts order by shop_id, metric_date
    """,
    "metric_status_daily": f"""
        with counts as (
            select shop_id, metric, metric_date,
                300 + hash(shop_id) % 2000 + hash(metric_date) % 50 as d,
                (hash(shop_id, metric, metric_date) % 12 * part)::bigint as n
            from shops cross join {_METRICS} cross join days
        )
        select shop_id, metric_date, metric, n as orders, d::bigint as delivered_orders,
            n / d as rate, 0.005::double as target,
            case when n / d >= 0.005 then 'breach' when n / d >= 0.004 then 'at_risk' else 'ok' end
                as status,
            'official' as target_confidence, n / d * 0.6 as rate_low,
            n / d * 1.8 as rate_high,
            true as is_reliable, case when n / d >= 0.005 then metric_date - 3 end as breach_since,
            case when n / d >= 0.005 then 4 end as days_in_breach,
            false as higher_is_better, 'ok' as state
        from counts order by shop_id, metric, metric_date
    """,
    "shop_forecast": f"""
        select shop_id, date '2026-10-31' as as_of_date, metric, h as horizon_days,
            date '2026-10-31' + h::integer as forecast_date, 3::bigint as orders_if_nothing_new,
            4.5::double as expected_orders, 900.0::double as expected_delivered_orders,
            0.003::double as rate_if_nothing_new, 0.005::double as expected_rate,
            0.005::double as target,
            'ok' as status_if_nothing_new, 'breach' as expected_status,
            0::bigint as orders_to_breach, 200::bigint as clean_orders_to_recover,
            date '2026-11-12' as recovery_date
        from shops cross join {_METRICS} cross join (select unnest(range(1, 31)) as h)
        order by shop_id, metric, h
    """,
    "product_metrics_daily": """
        with counts as (
            select shop_id, product_key, metric_date,
                3 + hash(product_key) % 60 + hash(metric_date) % 5 as d,
                hash(product_key, metric_date, 1) % 9 // 6 as n,
                hash(product_key, metric_date, 2) % 9 // 5 as f
            from products cross join days
        )
        select shop_id, product_key, metric_date,
            'A product with a title as long as they are, ' || product_key as product_name,
            d::bigint as delivered_orders, n::bigint as negative_review_orders,
            f::bigint as seller_fault_return_orders, n / d as nrr, f / d as sfrr
        from counts order by shop_id, product_key, metric_date
    """,
    "reason_metrics_daily": f"""
        select shop_id, metric_date, metric, reason_code, 'product' as category,
            'seller' as fault, is_counted,
            (1 + hash(shop_id, metric_date, reason_code) % 5)::bigint as orders,
            900::bigint as delivered_orders, 0.002::double as rate,
            case when is_counted then 0.2::double end as share,
            case when is_counted then 1 end as rank
        from shops cross join days cross join {_REASONS}
        order by shop_id, metric, reason_code, metric_date
    """,
    "product_reason_metrics_daily": f"""
        select shop_id, product_key, metric_date, metric, reason_code, is_counted,
            1::bigint as orders
        from products cross join days cross join {_REASONS}
        where hash(product_key, metric_date, reason_code) % 10 = 0
        order by shop_id, product_key, metric, reason_code, is_counted, metric_date
    """,
    "feedback_events": f"""
        with found as (
            select shop_id, metric_date, metric, reason_code, is_counted, n,
                hash(shop_id, metric_date, metric, reason_code, n) as number
            from shops cross join days cross join {_REASONS}
            cross join (select unnest(range(2)) as n)
        )
        select case metric when 'nrr' then 'review:' else 'return:' end || number as event_id,
            shop_id, case metric when 'nrr' then 'review' else 'return' end as source,
            number::varchar as order_id, (number % 5000)::varchar as sku_id,
            'product-' || lpad((number % 100)::varchar, 8, '0') as product_key,
            metric_date as event_date, 1 as rating, reason_code, 'product' as category,
            'seller' as fault, true as is_negative, is_counted,
            case when is_counted then 'counted' else 'reason_not_seller_fault' end as rule,
            'It came broken and nobody answered, ' || number as text,
            null::varchar as unmapped_reason, null::varchar as unknown_status,
            md5(shop_id) as file_id, (number % 1000)::bigint as row_number,
            null::varchar as complaint_type, 'defective-en' as reason_rule,
            metric_date - (number % 20)::integer as delivered_date,
            metric_date - (number % 20)::integer as product_delivered_date,
            true as is_sellers_part
        from found order by shop_id, event_id
    """,
    "watchlist": """
        select shop_id, date '2026-10-31' as as_of_date,
            row_number() over (partition by shop_id order by product_key) as rank, product_key,
            'A product with a title as long as they are, ' || product_key as product_name,
            'nrr' as metric, 4::bigint as orders, 60::bigint as delivered_orders,
            0.066::double as rate,
            0.005::double as threshold, 3.7::double as excess_orders, 0.01::double as rate_change,
            'not_as_described' as top_reason, 2::bigint as top_reason_orders,
            'listing' as advice_area, 'Compare listing and product.' as advice,
            'warning; frozen' as platform_steps, 'THB' as currency,
            120.0::decimal(38,2) as revenue, 100.0::decimal(38,2) as net_refunds
        from products qualify rank <= 10 order by shop_id, rank
    """,
    "files": """
        select md5(shop_id || dataset || metric_date) as file_id, shop_id, dataset,
            dataset || '-' || metric_date || '.csv' as file_name,
            metric_date::timestamp as exported_at, 500::bigint as rows_read,
            500::bigint as rows_loaded, 0::bigint as rows_rejected, 'loaded' as status,
            '' as message
        from shops cross join days
        cross join (select unnest(['orders', 'returns', 'reviews']) as dataset)
        where dayofweek(metric_date) = 1
        order by shop_id, dataset, file_id
    """,
    "rejected_rows": """
        select 'orders' as dataset, shop_id, 'orders-' || n as source_file, n as row_number,
            'Created Time' as column_name, 'not_a_time' as rule, '' as message,
            md5(shop_id) as file_id
        from shops cross join (select unnest(range(50)) as n) order by all
    """,
    "quality_results": """
        select 'run' as run_id, now() as checked_at, 'raw' as stage, 'orders' as dataset,
            'rule_' || n as rule, 'warning' as severity, n > 3 as passed,
            100::bigint as checked_rows,
            1::bigint as failed_rows, '[]' as examples, 'Not so.' as message,
            null::varchar as accepted_reason, null::varchar as contained
        from (select unnest(range(52)) as n)
    """,
    "metric_restatements": """
        select '20300101T000000000000' as publication_id, now() as published_at, shop_id,
            metric_date, 'nrr' as metric, 1::bigint as old_numerator,
            900::bigint as old_denominator, 2::bigint as new_numerator,
            900::bigint as new_denominator, 'file' as cause
        from shops cross join days where day(metric_date) = 7 order by all
    """,
    "frozen_shops": """
        select null::varchar as shop_id, null::varchar as rules, null::varchar as publication_id,
            null::date as as_of limit 0
    """,
}


def main() -> None:
    """Invent, ask, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shops", type=int, default=200)
    options.add_argument("--products", type=int, default=20_000)
    options.add_argument("--days", type=int, default=730)
    options.add_argument("--work", type=Path)
    options.add_argument("--only-invent", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = DataDir((asked.work or Path(scratch)).resolve())
        if asked.only_invent:
            invent(data, asked.shops, asked.products, asked.days)
            return
        if current(data) is None:
            # in a process of its own, so that its memory is not taken for the server's
            subprocess.run(  # noqa: S603 - this file, with numbers
                [sys.executable, __file__, "--only-invent", "--work", str(data.root),
                 *(f"--{name}={getattr(asked, name)}" for name in ("shops", "products", "days"))],
                check=True,
            )  # fmt: skip
        os.environ["FEEDBACK_DATA_DIR"] = str(data.root)
        logging.disable(logging.WARNING)
        for line in report(data):
            print(line, flush=True)


def invent(data: DataDir, shops: int, products: int, days: int) -> None:
    """Write a publication of that size."""
    folder = data.published / "versions" / PUBLICATION
    (folder / "parquet").mkdir(parents=True)
    with duckdb.connect(str(data.root / "invent.duckdb")) as con:
        con.execute("set memory_limit = '2GB'")
        con.execute(
            f"create view shops as select 'shop-' || lpad(n::varchar, 4, '0') as shop_id "
            f"from (select unnest(range({shops})) as n)"
        )
        con.execute(
            f"create view days as select (date '2026-10-31' - n::integer) as metric_date "
            f"from (select unnest(range({days})) as n)"
        )
        con.execute(
            f"create view products as select 'shop-' || lpad((n % {shops})::varchar, 4, '0') as "
            f"shop_id, 'product-' || lpad(n::varchar, 8, '0') as product_key "
            f"from (select unnest(range({products})) as n)"
        )
        for name, query in TABLES.items():
            path = folder / "parquet" / f"{name}.parquet"
            con.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)")
            rows = con.execute(f"select count(*) from '{path}'").fetchall()[0][0]
            print(f"{name}: {rows:,} rows, {path.stat().st_size / 1e6:,.1f} MB", file=sys.stderr)
    (data.root / "invent.duckdb").unlink()
    seal(folder, {"publication_id": PUBLICATION, "as_of": "2026-10-31"})
    switch(data, PUBLICATION)


def report(data: DataDir) -> Iterator[str]:
    """Ask every page; a line of the table each, then the memory that all of it took."""
    from dagster_project.dashboard import source

    yield "| page | slowest bare query | alone, ms | page, ms | allowed, ms | answers kept, ms |"
    yield "|---|---|---:|---:|---:|---:|"
    _page_seconds("overview", {})  # what is imported once is not a page's time
    is_within = True
    for title, (name, filters) in PAGES.items():
        cold, warm = [], []
        recorded = _recorded(source)
        for _ in range(TURNS):
            source._answer.clear()
            source._connection.clear()
            with recorded:
                cold.append(_page_seconds(name, filters))
            warm.append(_page_seconds(name, filters))
        alone = {question: _alone(data, *call) for question, call in recorded.calls.items()}
        slowest = max(alone, key=lambda question: alone[question])
        page, kept = statistics.median(cold), statistics.median(warm)
        allowed = FACTOR * alone[slowest] + RENDERING
        is_within = is_within and page <= allowed
        yield (
            f"| {title} | `{slowest}` | {alone[slowest] * 1000:,.0f} | {page * 1000:,.0f} | "
            f"{allowed * 1000:,.0f} | {kept * 1000:,.0f} |"
        )
    before = _peak()
    for number in range(50):
        shop = f"shop-{number:04}"
        for name in ("shop", "products", "reasons", "orders"):
            _page_seconds(name, {"shop": shop})
    yield ""
    yield (
        f"{'All pages are' if is_within else 'Not all pages are'} within what is allowed. Peak "
        f"memory: {before:,.0f} MB after the pages above, {_peak():,.0f} MB after four pages of "
        "each of 50 further shops."
    )


class _recorded:  # noqa: N801 - used like a function
    """Which questions a page asks, with what, the last time each."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.before = dict(source._QUESTIONS)
        self.calls: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {}

    def __enter__(self) -> None:
        for name, question in self.before.items():
            self.source._QUESTIONS[name] = self._recording(name, question)

    def _recording(self, name: str, question: Any) -> Any:
        def ask(con: Any, *arguments: Any, **named: Any) -> Any:
            self.calls[name] = (question, arguments, named)
            return question(con, *arguments, **named)

        return ask

    def __exit__(self, *_: object) -> None:
        self.source._QUESTIONS.update(self.before)


def _page_seconds(name: str, filters: dict[str, str]) -> float:
    """Seconds until a page's script has answered in a session of its own."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_string(_PAGE.format(name=name), default_timeout=120)
    for key, value in filters.items():
        app.query_params[key] = value
    start = time.perf_counter()
    app.run()
    seconds = time.perf_counter() - start
    if app.exception:
        raise RuntimeError(f"{name}: {app.exception[0].value}")
    return seconds


def _alone(
    data: DataDir, question: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> float:
    """Seconds of one question by itself, on a connection as new as the page's was."""
    from dagster_project.lib.questions import publication

    version = current(data)
    if version is None:
        raise RuntimeError("nothing is published")
    seconds = []
    for _ in range(TURNS):
        with publication(version) as con:
            start = time.perf_counter()
            question(con, *arguments, **named)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
