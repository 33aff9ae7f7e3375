"""What the digest tells of: each shop's figures of a publication, beside those of a week before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from dagster_project.lib.attention import WORST_FIRST
from dagster_project.lib.metrics import NUMERATORS

WEEK_DAYS = 7
REVIEW_METRICS = ("nrr", "nrr_seller", "nrr_product", "nrr_service")
_TOP = 3


@dataclass(frozen=True)
class Standing:
    """A metric of a shop on `metric_date`, the newest day that has a rate, else the newest day.

    Rates and targets are shares, 0.005 is 0.5 %. `before_*` are of `WEEK_DAYS` earlier, None where
    that day has none; `next_*` of as many days ahead, None on a day that is not the newest.
    """

    metric: str
    metric_date: date
    last_day: date
    orders: int
    delivered_orders: int
    rate: float | None
    target: float | None
    status: str
    is_reliable: bool
    breach_since: date | None
    days_in_breach: int | None
    before_orders: int | None
    before_delivered_orders: int | None
    before_rate: float | None
    before_status: str | None
    next_date: date | None
    next_orders: float | None
    next_rate: float | None
    next_orders_if_nothing_new: int | None
    next_rate_if_nothing_new: float | None
    next_status: str | None
    orders_to_breach: int | None
    clean_orders_to_recover: int | None
    recovery_date: date | None

    @property
    def is_current(self) -> bool:
        """Whether the shop's newest day has this rate."""
        return self.rate is not None and self.metric_date == self.last_day


@dataclass(frozen=True)
class Reason:
    """Orders of the window with a counted reason, and as many a week before."""

    metric: str
    reason_code: str
    orders: int
    before_orders: int


@dataclass(frozen=True)
class Watched:
    """A product of the watchlist; the money is of its negative orders, in `currency`."""

    metric: str
    product_name: str | None
    orders: int
    delivered_orders: int
    top_reason: str | None
    top_reason_orders: int | None
    advice: str | None
    platform_steps: str | None
    currency: str | None
    net_refunds: Decimal | None


@dataclass(frozen=True)
class Comment:
    """A negative review of the week, its text as published."""

    event_date: date
    rating: int
    reason_code: str
    text: str


@dataclass(frozen=True)
class Restated:
    """Days of a metric that publications of the week changed; the one that moved most, in full.

    `new_*` are None where the day is no longer published.
    """

    metric: str
    days: int
    metric_date: date
    old_numerator: int
    old_denominator: int
    new_numerator: int | None
    new_denominator: int | None
    cause: str


@dataclass(frozen=True)
class Frozen:
    """Why a shop stays as in an earlier publication, and as of when; None where it never was."""

    rules: str
    as_of: date | None


@dataclass
class ShopFigures:
    """All that a digest says of a shop; `states` are those of nrr and sfrr on its newest day."""

    shop_id: str
    last_day: date
    states: dict[str, str]
    standings: list[Standing] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    restated: list[Restated] = field(default_factory=list)
    frozen: Frozen | None = None
    refused_files: int = 0
    rejected_rows: int = 0
    unmapped_lines: int = 0

    def standing(self, metric: str) -> Standing | None:
        """Of one metric."""
        return next((s for s in self.standings if s.metric == metric), None)

    @property
    def status(self) -> str:
        """The worst of its metrics'."""
        found = {s.status for s in self.standings}
        return next((status for status in WORST_FIRST if status in found), "unknown")

    def most_pressing(self, *metrics: str) -> str | None:
        """Of its metrics, or of those named, the one with the worst status; None without any."""
        found = [s for s in self.standings if not metrics or s.metric in metrics]
        found.sort(key=lambda s: (WORST_FIRST.index(s.status), -(s.rate or 0), s.metric))
        return found[0].metric if found else None


_SHOPS = """
select shop_id, metric_date, nrr_state, sfrr_state
from shop_metrics_daily
qualify row_number() over (partition by shop_id order by metric_date desc) = 1
order by shop_id
"""

# Metrics without a target are parts of the NRR that nobody asks for.
_STANDINGS = """
with newest as (
    select
        s.*,
        max(s.metric_date) over (partition by s.shop_id) as last_day
    from metric_status_daily as s
    qualify row_number() over (
        partition by s.shop_id, s.metric order by s.rate is null, s.metric_date desc
    ) = 1
)

select
    s.shop_id, s.metric, s.metric_date, s.last_day, s.orders, s.delivered_orders, s.rate, s.target,
    s.status, s.is_reliable, s.breach_since, s.days_in_breach,
    b.orders, b.delivered_orders, b.rate, b.status,
    f.forecast_date, f.expected_orders, f.expected_rate, f.orders_if_nothing_new,
    f.rate_if_nothing_new, f.expected_status,
    f.orders_to_breach, f.clean_orders_to_recover, f.recovery_date
from newest as s
left join metric_status_daily as b
    on s.shop_id = b.shop_id and s.metric = b.metric and s.metric_date - $week = b.metric_date
left join shop_forecast as f
    on s.shop_id = f.shop_id and s.metric = f.metric and f.horizon_days = $week
        and f.as_of_date = s.metric_date
where not s.higher_is_better and (s.metric in ('nrr', 'sfrr') or s.target is not null)
"""

_REASONS = """
with days as (
    select shop_id, metric, max(metric_date) as metric_date
    from metric_status_daily where rate is not null group by all
)

select r.shop_id, r.metric, r.reason_code, r.orders, coalesce(sum(b.orders), 0)
from reason_metrics_daily as r
inner join days as d using (shop_id, metric, metric_date)
left join reason_metrics_daily as b
    on r.shop_id = b.shop_id and r.metric = b.metric and r.reason_code = b.reason_code
        and b.is_counted and r.metric_date - $week = b.metric_date
where r.is_counted and r.rank <= $top
group by r.shop_id, r.metric, r.reason_code, r.orders, r.rank
order by r.shop_id, r.metric, r.rank
"""

_WATCHED = """
select
    shop_id, metric, product_name, orders, delivered_orders, top_reason, top_reason_orders,
    advice, platform_steps, currency, net_refunds
from watchlist
qualify row_number() over (partition by shop_id order by rank) <= $top
order by shop_id, rank
"""

_COMMENTS = """
select e.shop_id, e.event_date, e.rating, e.reason_code, e.text
from feedback_events as e
inner join (
    select shop_id, max(metric_date) as last_day from shop_metrics_daily group by shop_id
) as d using (shop_id)
where e.source = 'review' and e.is_counted and e.text is not null
    and e.event_date > d.last_day - $week and e.event_date <= d.last_day
qualify row_number() over (
    partition by e.shop_id order by e.event_date desc, e.rating, e.event_id
) <= $top
order by e.shop_id, e.event_date desc, e.rating, e.event_id
"""

_RESTATED = """
with found as (
    select * from metric_restatements
    where metric in ('nrr', 'sfrr') and published_at > $since
),

days as (
    select shop_id, metric, count(distinct metric_date) as days from found group by shop_id, metric
)

select
    shop_id, metric, days, metric_date, old_numerator, old_denominator, new_numerator,
    new_denominator, cause
from found
inner join days using (shop_id, metric)
qualify row_number() over (
    partition by shop_id, metric
    order by new_numerator is null, abs(new_numerator - old_numerator) desc,
        abs(new_denominator - old_denominator) desc, metric_date desc, published_at
) = 1
order by shop_id, metric
"""

_NOT_USED = """
select shop_id, count(*) from files
where status in ('refused', 'withdrawn') and coalesce(exported_at > cast($since as date), true)
group by shop_id
"""

_COUNTS = {
    "rejected_rows": "select shop_id, count(*) from rejected_rows group by 1",
    "unmapped_lines": "select shop_id, count(*) from feedback_events "
    "where unmapped_reason is not null and source = 'return' group by 1",
}


def read_figures(marts: duckdb.DuckDBPyConnection, since: datetime) -> dict[str, ShopFigures]:
    """Each shop's figures, by shop_id; `since` is when the week began, with a time zone."""
    found = {
        shop_id: ShopFigures(shop_id, day, {"nrr": nrr, "sfrr": sfrr})
        for shop_id, day, nrr, sfrr in marts.execute(_SHOPS).fetchall()
    }

    def rows(query: str, **values: Any) -> dict[str, list[Sequence[Any]]]:
        grouped: dict[str, list[Sequence[Any]]] = defaultdict(list)
        for shop_id, *row in marts.execute(query, values).fetchall():
            grouped[shop_id].append(row)
        return grouped

    standings = rows(_STANDINGS, week=WEEK_DAYS)
    reasons = rows(_REASONS, week=WEEK_DAYS, top=_TOP)
    watched = rows(_WATCHED, top=_TOP)
    comments = rows(_COMMENTS, week=WEEK_DAYS, top=_TOP)
    restated = rows(_RESTATED, since=since)
    frozen = rows("select shop_id, rules, as_of from frozen_shops")
    counts = {name: rows(query) for name, query in _COUNTS.items()}
    counts["refused_files"] = rows(_NOT_USED, since=since)
    for shop_id, shop in found.items():
        shop.standings = sorted(
            (Standing(*row) for row in standings[shop_id]),
            key=lambda s: list(NUMERATORS).index(s.metric),
        )
        shop.reasons = [Reason(*row) for row in reasons[shop_id]]
        shop.watched = [Watched(*row) for row in watched[shop_id]]
        shop.comments = [Comment(*row) for row in comments[shop_id]]
        shop.restated = [Restated(*row) for row in restated[shop_id]]
        shop.frozen = next((Frozen(*row) for row in frozen[shop_id]), None)
        for name, grouped in counts.items():
            setattr(shop, name, grouped[shop_id][0][0] if grouped[shop_id] else 0)
    return found
