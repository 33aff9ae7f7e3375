"""What needs attention first: the shops near a target or over it, why, what to do, what then.

Read from a publication; the summary, the dashboard, the digest and the alerts say the same of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

# The newest metric day; shops that stay as they were end on an earlier one of their own.
LAST_DAY = (
    "(select max(metric_date) from shop_metrics_daily "
    "where shop_id not in (select shop_id from frozen_shops))"
)


@dataclass(frozen=True)
class Concern:
    """A shop in breach or at risk, by its worst metric on the newest day.

    Rates and targets are shares, 0.005 is 0.5 %. The product is the first of the shop's watchlist
    for that metric; its fields are None where no product stands out.
    """

    shop_id: str
    metric: str
    status: str
    rate: float
    target: float
    breach_since: date | None
    days_in_breach: int | None
    product_key: str | None
    product_name: str | None
    product_orders: int | None
    top_reason: str | None
    advice: str | None
    recovery_date: date | None
    clean_orders_to_recover: int | None
    orders_to_breach: int | None


def concerns(marts: duckdb.DuckDBPyConnection) -> list[Concern]:
    """The shops in breach or at risk by a rate of orders, the worst first.

    Missed chat targets are left out: they have had no consequences since 2025-07-15.
    """
    rows = marts.execute(
        f"""
        with worst as (
            select *, case when starts_with(metric, 'nrr') then 'nrr' else metric end as family
            from metric_status_daily
            where metric_date = {LAST_DAY} and status in ('breach', 'at_risk')
                and not higher_is_better
            qualify row_number() over (
                partition by shop_id order by status = 'breach' desc, rate / target desc, metric
            ) = 1
        )

        select
            s.shop_id, s.metric, s.status, s.rate, s.target, s.breach_since, s.days_in_breach,
            w.product_key, w.product_name, w.orders, w.top_reason, w.advice,
            f.recovery_date, f.clean_orders_to_recover, f.orders_to_breach
        from worst as s
        left join shop_forecast as f
            on s.shop_id = f.shop_id and s.metric = f.metric and f.horizon_days = 1
        left join watchlist as w on s.shop_id = w.shop_id and s.family = w.metric
        qualify row_number() over (partition by s.shop_id order by w.rank) = 1
        order by s.status = 'breach' desc, s.rate / s.target desc, s.shop_id
        """
    ).fetchall()
    return [Concern(*row) for row in rows]
