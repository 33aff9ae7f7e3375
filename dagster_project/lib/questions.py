"""What people ask of a publication, a function each: the dashboard's pages, and whoever wants to.

Each takes a connection in which the published tables have their names (`publication`), and answers
rows by column name. Values go by bind parameter; filters are by shop and day first, as rows are
sorted, so that little is read. Rates are shares, 0.005 is 0.5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import duckdb

from dagster_project.lib.attention import LAST_DAY, WINDOW_DAYS
from dagster_project.lib.database import OFFLINE
from dagster_project.lib.metrics import COUNTED_PARTS, EVENT_SOURCES, NUMERATORS, UNMAPPED
from dagster_project.lib.publications import Version
from dagster_project.lib.sql import identifier

Row = dict[str, Any]
Connection = duckdb.DuckDBPyConnection

# The numerator of a product's metric.
_OF_PRODUCT = {"nrr": "negative_review_orders", "sfrr": "seller_fault_return_orders"}
PRODUCT_ORDERS = {
    "excess": "w.rank nulls last, orders desc, rate desc, product_key",
    "orders": "orders desc, rate desc, product_key",
    "rate": "rate desc nulls last, orders desc, product_key",
    "delivered": "delivered_orders desc, product_key",
}
_SPARK_DAYS = 30


def publication(version: Version, memory: str = "512MB") -> Connection:
    """A connection in memory in which the version's tables have their names.

    They are read from Parquet, which takes no lock: a program that writes beside it never waits,
    nor does this for it. Each thread asks through a `cursor()` of its own. Moments are in UTC.
    """
    con = duckdb.connect(config=OFFLINE | {"memory_limit": memory, "temp_directory": ""})
    con.execute("set global timezone = 'UTC'")  # a cursor has no setting of the session
    for path in sorted((version.folder / "parquet").glob("*.parquet")):
        con.execute(f"create view {identifier(path.stem)} as from {version.parquet(path.stem)}")
    return con


def last_day(con: Connection) -> date | None:
    """The newest metric day; None where no shop has one."""
    day: date | None = _value(con, f"select {LAST_DAY}")
    return day


def shops(con: Connection) -> list[Row]:
    """The shops with their first and last day; of frozen ones the rules they break."""
    return _rows(
        con,
        """
        with days as (
            select shop_id, min(metric_date) as first_day, max(metric_date) as last_day
            from shop_metrics_daily group by shop_id
        )

        select d.shop_id, d.first_day, d.last_day, f.shop_id is not null as is_frozen, f.rules
        from days as d
        left join frozen_shops as f using (shop_id)
        order by d.shop_id
        """,
    )


def window_days(con: Connection) -> int:
    """Days of the metric's window."""
    return int(_value(con, f"select {WINDOW_DAYS}"))


def standings(con: Connection, shop: str = "") -> list[Row]:
    """Each shop, or one, and each rate of orders on its last day: target, change, thirty days.

    `change` is in share points against seven days before; None where either rate is unknown.
    `rates` are the days up to that one, the earliest first.
    """
    return _rows(
        con,
        f"""
        with last as (
            select shop_id, max(metric_date) as day from shop_metrics_daily
            where $shop = '' or shop_id = $shop
            group by shop_id
        ),

        recent as (
            select s.*, l.day
            from metric_status_daily as s
            inner join last as l
                on s.shop_id = l.shop_id and s.metric_date > l.day - {_SPARK_DAYS}
            where list_contains($metrics, s.metric) and ($shop = '' or s.shop_id = $shop)
        ),

        series as (
            select shop_id, metric, day, list(rate order by metric_date) as rates,
                any_value(rate) filter (where metric_date = day - 7) as rate_before
            from recent group by all
        )

        select s.shop_id, s.metric, s.day, r.rate, r.orders, r.delivered_orders, r.target,
            r.target_confidence, r.status, r.rate_low, r.rate_high, r.is_reliable, r.breach_since,
            r.days_in_breach, r.rate - s.rate_before as change, s.rates,
            coalesce(r.state, 'ok') as state
        from series as s
        inner join recent as r
            on s.shop_id = r.shop_id and s.metric = r.metric and r.metric_date = s.day
        order by s.shop_id, s.metric
        """,
        {"metrics": list(NUMERATORS), "shop": shop},
    )


def rate_days(con: Connection, shop: str, metric: str, first: date, last: date) -> list[Row]:
    """A shop's metric by day, with what `charts.rate_over_time` marks."""
    return _rows(
        con,
        """
        with restated as (
            select metric_date, string_agg(
                old_numerator || ' of ' || old_denominator || ' until '
                || strftime(published_at, '%-d %b %Y') || ' (' || cause || ')',
                '; ' order by published_at
            ) as restated
            from metric_restatements
            where shop_id = $shop and metric = $metric
                and metric_date between $first and $last
            group by metric_date
        )

        select s.metric_date, s.rate, s.orders, s.delivered_orders, s.target, s.status,
            s.rate_low, s.rate_high, s.is_reliable, r.restated, coalesce(s.state, 'ok') as state
        from metric_status_daily as s
        left join restated as r on s.metric_date = r.metric_date
        where s.shop_id = $shop and s.metric = $metric and s.metric_date between $first and $last
        order by s.metric_date
        """,
        {"shop": shop, "metric": metric, "first": first, "last": last},
    )


def state(con: Connection, shop: str, metric: str, day: date) -> str:
    """Whether a shop's `nrr` or `sfrr` is known on a day: `ok`, `not_loaded` or `stale`."""
    rows = _rows(
        con,
        f"select {identifier(f'{metric}_state')} as state from shop_metrics_daily "
        "where shop_id = ? and metric_date = ?",
        [shop, day],
    )
    return str(rows[0]["state"]) if rows else "ok"


def shop_days(con: Connection, shop: str, first: date, last: date) -> list[Row]:
    """All that is published of a shop by day, to take away."""
    return _rows(
        con,
        "select * from shop_metrics_daily where shop_id = ? and metric_date between ? and ? "
        "order by metric_date",
        [shop, first, last],
    )


def forecast(con: Connection, shop: str, metric: str) -> list[Row]:
    """The days ahead of a shop's metric."""
    return _rows(
        con,
        "select * from shop_forecast where shop_id = ? and metric = ? order by horizon_days",
        [shop, metric],
    )


def restatements(con: Connection, shop: str, limit: int = 50) -> list[Row]:
    """What was said of a shop before and is different now, the latest first."""
    return _rows(
        con,
        "select published_at, metric_date, metric, old_numerator, old_denominator, "
        "new_numerator, new_denominator, cause from metric_restatements where shop_id = ? "
        "order by published_at desc, metric_date desc, metric limit ?",
        [shop, limit],
    )


def products(
    con: Connection,
    shop: str,
    metric: str,
    day: date,
    *,
    order: str = "excess",
    search: str = "",
    product: str = "",
    limit: int = 25,
    offset: int = 0,
) -> list[Row]:
    """A shop's products on a day, ranked; `total` is how many there are.

    Those on the watchlist come with its rank, threshold and advice, on the day that it speaks of;
    `threshold_of` is the metric whose target that is, None where it is the shop's own rate.
    `search` is looked for in names and keys; `product` is a key, of that product alone.
    """
    orders = _OF_PRODUCT[metric]
    family = [name for name, of in EVENT_SOURCES.items() if of == EVENT_SOURCES[metric]]
    return _rows(
        con,
        f"""
        with on_day as (
            select product_key, product_name, delivered_orders, {orders} as orders,
                {metric} as rate
            from product_metrics_daily
            where shop_id = $shop and metric_date = $day
                and ($search = '' or contains(lower(product_name), lower($search))
                    or contains(lower(product_key), lower($search)))
                and ($product = '' or product_key = $product)
        ),

        aims as (
            select arg_min(metric, (target, metric <> $metric, metric)) as metric
            from metric_status_daily
            where shop_id = $shop and metric_date = $day and target is not null
                and list_contains($family, metric)
        )

        select p.*, w.rank as watch_rank, w.threshold,
            case when w.threshold is not null then a.metric end as threshold_of,
            w.excess_orders, w.rate_change,
            w.top_reason, w.top_reason_orders, w.advice_area, w.advice, w.platform_steps,
            w.currency, w.revenue, w.net_refunds, count(*) over () as total
        from on_day as p
        cross join aims as a
        left join watchlist as w
            on w.shop_id = $shop and w.metric = $metric and w.product_key = p.product_key
            and w.as_of_date = $day
        order by {PRODUCT_ORDERS[order]}
        limit $limit offset $offset
        """,
        {
            "shop": shop, "day": day, "metric": metric, "search": search, "product": product,
            "limit": limit, "offset": offset, "family": family,
        },
    )  # fmt: skip


def product_rates(
    con: Connection, shop: str, metric: str, day: date, keys: Sequence[str]
) -> dict[str, list[float | None]]:
    """Of some products, the rates of the thirty days up to `day`; None without deliveries."""
    rows = _rows(
        con,
        f"select product_key, metric_date, {identifier(metric)} as rate "
        "from product_metrics_daily where shop_id = ? and metric_date between ? and ? "
        "and list_contains(?, product_key)",
        [shop, day - timedelta(_SPARK_DAYS - 1), day, list(keys)],
    )
    rates: dict[str, list[float | None]] = {key: [None] * _SPARK_DAYS for key in keys}
    for row in rows:
        rates[row["product_key"]][_SPARK_DAYS - 1 - (day - row["metric_date"]).days] = row["rate"]
    return rates


def product_reasons(
    con: Connection, shop: str, metric: str, day: date, keys: Sequence[str]
) -> list[Row]:
    """Of some products, the counted reasons and their orders, the most first."""
    return _rows(
        con,
        """
        select product_key, reason_code, orders
        from product_reason_metrics_daily
        where shop_id = ? and metric_date = ? and metric = ? and is_counted
            and list_contains(?, product_key)
        order by product_key, orders desc, reason_code
        """,
        [shop, day, metric, list(keys)],
    )


def product_days(
    con: Connection, shop: str, metric: str, product: str, first: date, last: date
) -> list[Row]:
    """A product's rate by day, as `rate_days` has it; days without deliveries have no rate."""
    orders = _OF_PRODUCT[metric]
    return _rows(
        con,
        f"""
        with days as (
            select cast(unnest(range($first, $last + 1, interval 1 day)) as date) as metric_date
        )

        select d.metric_date, p.{metric} as rate, coalesce(p.{orders}, 0) as orders,
            coalesce(p.delivered_orders, 0) as delivered_orders,
            coalesce(s.{metric}_state, 'ok') as state
        from days as d
        left join product_metrics_daily as p
            on p.shop_id = $shop and p.product_key = $product
            and p.metric_date between $first and $last and p.metric_date = d.metric_date
        left join shop_metrics_daily as s
            on s.shop_id = $shop and s.metric_date = d.metric_date
        order by d.metric_date
        """,
        {"shop": shop, "product": product, "first": first, "last": last},
    )


def product_name(con: Connection, shop: str, product: str, day: date) -> str | None:
    """What a product is called on a day; None where it had no deliveries in the window."""
    rows = _rows(
        con,
        "select coalesce(product_name, product_key) as product_name from product_metrics_daily "
        "where shop_id = ? and product_key = ? and metric_date = ?",
        [shop, product, day],
    )
    return rows[0]["product_name"] if rows else None


def variations(con: Connection, shop: str, metric: str, product: str, day: date) -> list[Row]:
    """Of a product's orders in a figure, how many name each variation (SKU), and for what."""
    return _rows(
        con,
        f"""
        select sku_id, count(distinct order_id) as orders,
            mode(reason_code) as most_often, max(event_date) as latest
        from feedback_events
        where {_IN_PRODUCT_WINDOW} and source = $source
        group by sku_id
        order by orders desc, sku_id nulls last
        limit 20
        """,
        _window(con, day) | {"shop": shop, "product": product, "source": EVENT_SOURCES[metric]},
    )


def reasons(con: Connection, shop: str, metric: str, day: date, product: str = "") -> list[Row]:
    """Reasons of a shop or product on a day, the most orders first; not counted ones too.

    `rate` is None where the shop's `state` of that day is not `ok`.
    """
    if not product:
        return _rows(
            con,
            "select reason_code, category, fault, is_counted, orders, delivered_orders, rate, "
            "share, rank from reason_metrics_daily "
            "where shop_id = ? and metric_date = ? and metric = ? "
            "order by orders desc, is_counted desc, reason_code",
            [shop, day, metric],
        )
    return _rows(
        con,
        f"""
        with on_day as (
            select delivered_orders, {_OF_PRODUCT[metric]} as numerator, {metric} as product_rate
            from product_metrics_daily
            where shop_id = $shop and metric_date = $day and product_key = $product
        ),

        named as (
            select reason_code, any_value(category) as category, any_value(fault) as fault
            from reason_metrics_daily
            where shop_id = $shop and metric_date = $day and metric = $metric
            group by reason_code
        )

        select r.reason_code, coalesce(n.category, '') as category, coalesce(n.fault, '') as fault,
            r.is_counted, r.orders, p.delivered_orders,
            case when p.product_rate is not null then r.orders / p.delivered_orders end as rate,
            case when r.is_counted then r.orders / p.numerator end as share
        from product_reason_metrics_daily as r
        cross join on_day as p
        left join named as n using (reason_code)
        where r.shop_id = $shop and r.metric_date = $day and r.metric = $metric
            and r.product_key = $product
        order by r.orders desc, r.is_counted desc, r.reason_code
        """,
        {"shop": shop, "day": day, "metric": metric, "product": product},
    )


def reason_days(
    con: Connection,
    shop: str,
    metric: str,
    codes: Sequence[str],
    first: date,
    last: date,
    product: str = "",
) -> list[Row]:
    """Orders of the window by day, of each of some reasons; none is 0."""
    table, of_product = (
        ("product_reason_metrics_daily", "and product_key = $product")
        if product
        else ("reason_metrics_daily", "and $product = ''")
    )
    return _rows(
        con,
        f"""
        with found as (
            select metric_date, reason_code, sum(orders) as orders
            from {table}
            where shop_id = $shop and metric = $metric and metric_date between $first and $last
                and list_contains($codes, reason_code) {of_product}
            group by all
        ),

        delivered as (
            select metric_date, delivered_orders from shop_metrics_daily
            where shop_id = $shop and metric_date between $first and $last
        ),

        codes as (select unnest($codes) as reason_code, unnest(range(len($codes))) as place)

        select d.metric_date, c.reason_code, cast(coalesce(f.orders, 0) as bigint) as orders,
            d.delivered_orders
        from delivered as d
        cross join codes as c
        left join found as f
            on d.metric_date = f.metric_date and c.reason_code = f.reason_code
        order by c.place, d.metric_date
        """,
        {
            "shop": shop, "metric": metric, "codes": list(codes), "first": first, "last": last,
            "product": product,
        },
    )  # fmt: skip


def reason_products(
    con: Connection, shop: str, metric: str, reason: str, day: date, limit: int = 15
) -> list[Row]:
    """The products behind a reason on a day, the most orders first; `rate` as of `reasons`."""
    return _rows(
        con,
        f"""
        select r.product_key, coalesce(p.product_name, r.product_key) as product_name,
            r.is_counted, r.orders, p.delivered_orders,
            case when p.{identifier(metric)} is not null
                then r.orders / p.delivered_orders end as rate
        from product_reason_metrics_daily as r
        inner join product_metrics_daily as p
            on p.shop_id = $shop and p.metric_date = $day and r.product_key = p.product_key
        where r.shop_id = $shop and r.metric_date = $day and r.metric = $metric
            and r.reason_code = $reason
        order by r.orders desc, p.delivered_orders, r.product_key
        limit $limit
        """,
        {"shop": shop, "metric": metric, "reason": reason, "day": day, "limit": limit},
    )


def reason_codes(con: Connection, shop: str) -> list[str]:
    """The reasons that a shop's events name."""
    rows = _rows(
        con,
        "select distinct reason_code from feedback_events where shop_id = ? order by 1",
        [shop],
    )
    return [row["reason_code"] for row in rows]


_EVENT_COLUMNS = (
    "event_date, source, order_id, sku_id, product_key, rating, reason_code, category, fault, "
    "is_counted, rule, text, delivered_date, file_id, row_number, event_id"
)
# An event is in a shop's figure of a day when it counts, is dated up to that day and its order was
# delivered in the window; in a product's by the product's own delivery.
_IN_WINDOW = (
    "shop_id = $shop and is_counted and event_date <= $day "
    "and delivered_date between $window_start and $day"
)
_IN_PRODUCT_WINDOW = (
    "shop_id = $shop and product_key = $product and is_counted and event_date <= $day "
    "and product_delivered_date between $window_start and $day"
)


def events(
    con: Connection,
    shop: str,
    *,
    metric: str = "",
    day: date,
    first: date | None = None,
    product: str = "",
    reason: str = "",
    search: str = "",
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Events of a shop, the latest first; `total` and `total_orders` are of all pages.

    With a `metric` they are those behind its figure of `day`, of a product or reason where named;
    without one all that happened from `first` to `day`, whether they count or not. `search` is
    looked for in order numbers, reasons and texts; `file_name` is that of `file_id`.
    """
    conditions, values = _event_conditions(con, shop, metric, day, first, product, reason, search)
    return _rows(
        con,
        f"""
        with found as (select {_EVENT_COLUMNS} from feedback_events where {conditions}),

        totals as (
            select count(*) as total, count(distinct order_id) as total_orders from found
        ),

        names as (
            select file_id, min(file_name) as file_name from files
            where shop_id = $shop group by file_id
        )

        select f.*, n.file_name, t.total, t.total_orders
        from found as f
        cross join totals as t
        left join names as n using (file_id)
        order by f.event_date desc, f.event_id
        limit $limit offset $offset
        """,
        values | {"limit": limit, "offset": offset},
    )


def _event_conditions(
    con: Connection,
    shop: str,
    metric: str,
    day: date,
    first: date | None,
    product: str,
    reason: str,
    search: str,
) -> tuple[str, Row]:
    values: Row = {"shop": shop, "day": day}
    if metric:
        conditions = [_IN_PRODUCT_WINDOW if product else _IN_WINDOW]
        values |= _window(con, day)
        if metric in EVENT_SOURCES:
            conditions.append("source = $source")
            values["source"] = EVENT_SOURCES[metric]
        if metric in COUNTED_PARTS:
            conditions.append(COUNTED_PARTS[metric])
    else:
        conditions = ["shop_id = $shop", "event_date between $first and $day"]
        values["first"] = first or date.min
        if product:
            conditions.append("product_key = $product")
    if product:
        values["product"] = product
    if reason:
        conditions.append("reason_code = $reason")
        values["reason"] = reason
    if search:
        conditions.append(
            "(contains(lower(order_id), lower($search)) or contains(lower(text), lower($search)) "
            "or contains(replace(reason_code, '_', ' '), lower($search)))"
        )
        values["search"] = search
    return " and ".join(conditions), values


def gates(con: Connection) -> list[Row]:
    """What each rule of the latest run found, those that did not pass first."""
    return _rows(
        con,
        """
        select stage, dataset, rule, severity, passed, checked_rows, failed_rows, message,
            accepted_reason, contained, checked_at, run_id
        from quality_results
        where run_id = (select run_id from quality_results order by checked_at desc limit 1)
        order by passed, severity, stage desc, dataset, rule
        """,
    )


def coverage(con: Connection) -> list[Row]:
    """Until when each shop and dataset is covered, with the counts of its files and rows."""
    return _rows(
        con,
        """
        select shop_id, dataset,
            cast(max(exported_at) filter (where status = 'loaded') as date) as covered_until,
            count(*) filter (where status = 'loaded') as loaded_files,
            count(*) filter (where status <> 'loaded') as other_files,
            coalesce(sum(rows_read), 0) as rows_read,
            coalesce(sum(rows_rejected), 0) as rows_rejected
        from files
        group by shop_id, dataset
        order by shop_id, dataset
        """,
    )


def files(con: Connection, shop: str = "", limit: int = 50, offset: int = 0) -> list[Row]:
    """Files, those not loaded first, then the newest; `total` is of all pages."""
    return _rows(
        con,
        """
        select shop_id, dataset, file_name, exported_at, rows_read, rows_loaded, rows_rejected,
            status, message, file_id, count(*) over () as total
        from files
        where $shop = '' or shop_id = $shop
        order by status = 'loaded', exported_at desc nulls last, shop_id, dataset, file_name
        limit $limit offset $offset
        """,
        {"shop": shop, "limit": limit, "offset": offset},
    )


def rejects(con: Connection, shop: str = "", limit: int = 50) -> list[Row]:
    """Why rows were set aside, with counts and one place each, the most first."""
    return _rows(
        con,
        """
        select shop_id, dataset, column_name, rule, count(*) as rejected_rows,
            arg_min(source_file, (source_file, row_number)) as for_example_in,
            arg_min(row_number, (source_file, row_number)) as at_row
        from rejected_rows
        where $shop = '' or shop_id = $shop
        group by all
        order by rejected_rows desc, shop_id, dataset, column_name, rule
        limit $limit
        """,
        {"shop": shop, "limit": limit},
    )


_UNMAPPED = " ".join(f"when '{it}' then '{what}, {fate}'" for it, (what, fate) in UNMAPPED.items())


def unknown_values(con: Connection, shop: str = "") -> list[Row]:
    """Texts that no setting knows, what becomes of them, and on how many lines they stand."""
    return _rows(
        con,
        f"""
        with unknown as (
            select
                unmapped_reason as value,
                case source {_UNMAPPED} end as what,
                shop_id
            from feedback_events
            union all
            select unknown_status, 'return status, counted', shop_id from feedback_events
        )

        select value, what, count(*) as lines
        from unknown
        where value is not null and ($shop = '' or shop_id = $shop)
        group by value, what
        order by 3 desc, 1, 2
        """,
        {"shop": shop},
    )


def frozen(con: Connection) -> list[Row]:
    """The shops that stay as they were, since when, and the rules they break."""
    return _rows(con, "select shop_id, as_of, rules, publication_id from frozen_shops order by all")


def _window(con: Connection, day: date) -> Row:
    return {"day": day, "window_start": day - timedelta(window_days(con) - 1)}


def _rows(con: Connection, query: str, values: Row | list[Any] | None = None) -> list[Row]:
    found = con.execute(query, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _value(con: Connection, query: str) -> Any:
    ((value,),) = con.execute(query).fetchall()
    return value
