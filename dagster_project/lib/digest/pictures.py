"""The digest's pictures, as SVG text that stands within a page."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import duckdb
import vl_convert

from dagster_project.lib import charts
from dagster_project.lib.digest.figures import REVIEW_METRICS, WEEK_DAYS, ShopFigures
from dagster_project.lib.digest.words import METRICS, Chart

_DAYS_SHOWN = 84
_IDS = re.compile(r"\b(?:clip|gradient_)\d+\b")  # vega counts them on from picture to picture
_WIDTH, _HEIGHT = 400, 220  # two beside each other, or one on a phone


# The days that each shop's charts show, up to its newest.
_DAYS = """
with last as (
    select shop_id, max(metric_date) as last_day from shop_metrics_daily group by shop_id
)

select
    s.shop_id, s.metric, s.metric_date, s.rate, s.orders, s.delivered_orders, s.rate_low,
    s.rate_high, s.target, s.state
from metric_status_daily as s
inner join last using (shop_id)
where s.metric_date > last_day - $days
order by s.metric_date
"""
_AHEAD = """
select
    shop_id, metric, forecast_date, expected_rate, rate_if_nothing_new, expected_delivered_orders
from shop_forecast
where horizon_days <= $days and expected_rate is not null
order by forecast_date
"""


class Pictures:
    """Draws from one publication."""

    def __init__(self, marts: duckdb.DuckDBPyConnection) -> None:
        self._days = _by_metric(marts, _DAYS, _DAYS_SHOWN)
        self._ahead = _by_metric(marts, _AHEAD, WEEK_DAYS)

    def of_shop(self, shop: ShopFigures) -> list[Chart]:
        """Its bad reviews, as its targets ask for them, and its returns: 12 weeks, one ahead."""
        families = (shop.most_pressing(*REVIEW_METRICS), shop.most_pressing("sfrr"))
        return [self._rate(shop.shop_id, m) for m in families if m and self._has(shop.shop_id, m)]

    def line(self, shop: ShopFigures) -> Chart | None:
        """Its most pressing metric, small."""
        metric = shop.most_pressing()
        if metric is None or not self._has(shop.shop_id, metric):
            return None
        days = self._days[shop.shop_id, metric]
        label = f"{METRICS[metric]}: the last {len(days)} days"
        rates = [row["rate"] for row in days]
        return Chart(label, charts.sparkline(rates, label=label, target=days[-1]["target"]))

    def _has(self, shop_id: str, metric: str) -> bool:
        return any(row["rate"] is not None for row in self._days[shop_id, metric])

    def _rate(self, shop_id: str, metric: str) -> Chart:
        chart = charts.rate_over_time(
            self._days[shop_id, metric],
            self._ahead[shop_id, metric],
            name="share of orders",
            width=_WIDTH,
            height=_HEIGHT,
        )
        svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
        return Chart(METRICS[metric], _with_own_ids(svg, metric))


def _with_own_ids(svg: str, metric: str) -> str:
    """The same picture with ids that no other of the page has, and that are the same each time."""
    names: dict[str, str] = {}
    return _IDS.sub(lambda m: names.setdefault(m[0], f"{metric}-{len(names)}"), svg)


def _by_metric(
    marts: duckdb.DuckDBPyConnection, query: str, days: int
) -> defaultdict[tuple[str, str], list[dict[str, Any]]]:
    found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in marts.sql(query, params={"days": days}).to_arrow_table().to_pylist():
        found[row["shop_id"], row["metric"]].append(row)
    return found
