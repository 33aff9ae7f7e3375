"""What needs attention first: the shops near a target or over it, why, what to do, what then.

Read from a publication; the summary, the dashboard, the digest and the alerts say the same of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import duckdb

from dagster_project.lib.metrics import COUNTED_PARTS

# The newest metric day; shops that stay as they were end on an earlier one of their own.
LAST_DAY = (
    "(select max(metric_date) from shop_metrics_daily "
    "where shop_id not in (select shop_id from frozen_shops))"
)
LAST_DAYS = "(select shop_id, max(metric_date) from shop_metrics_daily group by shop_id)"
# Days of the metric's window: as far as the forecast goes, which ends with it.
WINDOW_DAYS = "(select cast(coalesce(max(horizon_days), 30) as integer) from shop_forecast)"
# How statuses are listed, and which of its metrics' is a shop's.
WORST_FIRST = ("breach", "at_risk", "unknown", "ok", "no_target")
# Figures are called old when their newest day is longer ago than a weekly export explains.
OLD_AFTER_DAYS = 8

_COUNTED = " ".join(f"when '{metric}' then {part}" for metric, part in COUNTED_PARTS.items())


@dataclass(frozen=True)
class Concern:
    """A shop in breach or at risk, by its worst metric on its last day, `metric_date`.

    Rates and targets are shares, 0.005 is 0.5 %. The product is of the shop's watchlist, with how
    many of the metric's orders name it, for which reason most often; None where none stands out.
    """

    shop_id: str
    metric: str
    metric_date: date
    is_frozen: bool
    status: str
    orders: int
    delivered_orders: int
    rate: float
    target: float
    breach_since: date | None
    days_in_breach: int | None
    product_key: str | None
    product_name: str | None
    product_orders: int | None
    top_reason: str | None
    top_reason_orders: int | None
    advice: str | None
    recovery_date: date | None
    clean_orders_to_recover: int | None
    orders_to_breach: int | None

    @property
    def watched_as(self) -> str | None:
        """The metric by which products are watched: nrr, also for its parts, sfrr, or none."""
        if self.metric.startswith("nrr"):
            return "nrr"
        return "sfrr" if self.metric == "sfrr" else None


def concerns(marts: duckdb.DuckDBPyConnection) -> list[Concern]:
    """The shops in breach or at risk by a rate of orders, the worst first.

    Missed chat targets are left out: they have had no consequences since 2025-07-15. For a part of
    the NRR the products are those of which that part has the most orders, two or more.
    """
    rows = marts.execute(
        f"""
        with worst as (
            select *, case when starts_with(metric, 'nrr') then 'nrr' else metric end as watched_as
            from metric_status_daily
            where (shop_id, metric_date) in {LAST_DAYS} and status in ('breach', 'at_risk')
                and not higher_is_better
            qualify row_number() over (
                partition by shop_id order by status = 'breach' desc, rate / target desc, metric
            ) = 1
        ),

        part_events as (
            select e.shop_id, e.product_key, e.reason_code, e.order_id
            from feedback_events as e
            inner join worst as s
                on e.shop_id = s.shop_id and s.metric <> s.watched_as and e.source = 'review'
                    and e.is_counted and e.event_date <= s.metric_date
                    and e.product_delivered_date <= s.metric_date
                    and e.product_delivered_date > s.metric_date - {WINDOW_DAYS}
            where case s.metric {_COUNTED} end
        ),

        part_reasons as (
            select shop_id, product_key, reason_code, count(distinct order_id) as orders
            from part_events group by shop_id, product_key, reason_code
            qualify row_number() over (
                partition by shop_id, product_key order by orders desc, reason_code
            ) = 1
        ),

        part_products as (
            select shop_id, product_key, count(distinct order_id) as orders
            from part_events group by shop_id, product_key
            having count(distinct order_id) > 1
        ),

        products as (
            select
                s.shop_id, w.product_key, w.product_name, w.orders, w.top_reason,
                w.top_reason_orders, w.advice, w.rank as place
            from worst as s
            inner join watchlist as w on s.shop_id = w.shop_id and s.metric = w.metric
            union all
            select
                s.shop_id, w.product_key, w.product_name, p.orders, r.reason_code, r.orders,
                case when r.reason_code = w.top_reason then w.advice end,
                row_number() over (partition by s.shop_id order by p.orders desc, w.rank)
            from worst as s
            inner join watchlist as w
                on s.shop_id = w.shop_id and s.watched_as = w.metric and s.metric <> w.metric
            inner join part_products as p
                on w.shop_id = p.shop_id and w.product_key = p.product_key
            inner join part_reasons as r
                on w.shop_id = r.shop_id and w.product_key = r.product_key
        )

        select
            s.shop_id, s.metric, s.metric_date, z.shop_id is not null, s.status, s.orders,
            s.delivered_orders, s.rate, s.target, s.breach_since, s.days_in_breach,
            p.product_key, p.product_name, p.orders, p.top_reason, p.top_reason_orders, p.advice,
            f.recovery_date, f.clean_orders_to_recover, f.orders_to_breach
        from worst as s
        left join frozen_shops as z on s.shop_id = z.shop_id
        left join shop_forecast as f
            on s.shop_id = f.shop_id and s.metric = f.metric and f.horizon_days = 1
        left join products as p on s.shop_id = p.shop_id
        qualify row_number() over (partition by s.shop_id order by p.place) = 1
        order by s.status = 'breach' desc, s.rate / s.target desc, s.shop_id
        """
    ).fetchall()
    return [Concern(*row) for row in rows]


def what_then(it: Concern, day_text: Callable[[date], str] = str) -> str:
    """When a breach would end, or how much room is left; blank where no forecast says."""
    if it.breach_since is None:
        room = it.orders_to_breach
        return "" if room is None else f"Negative orders that still fit under the target: {room:,}."
    clean = it.clean_orders_to_recover
    ends = [
        f"on {day_text(it.recovery_date)} if nothing new happens" if it.recovery_date else "",
        f"after {clean:,} clean orders" if clean else "",
    ]
    return f"Ends {', or '.join(end for end in ends if end)}." if any(ends) else ""
