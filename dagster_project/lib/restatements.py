"""Restatements: figures of days that were published before and are others now, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.metrics import NUMERATORS
from dagster_project.lib.publications import Version

TABLE = "metric_restatements"


def restated_figures(before: Version, after: Version, manifest: Mapping[str, Any]) -> pa.Table:
    """What `after`, whose manifest is to be `manifest`, says otherwise of days of `before`.

    One row per shop, day and metric whose counts differ, with the columns of the published table;
    metrics that `before` does not have are left out.
    """
    with duckdb.connect(config=OFFLINE) as con:
        known = con.sql(f"from {before.parquet('shop_metrics_daily')}").columns
        metrics = {name: column for name, column in NUMERATORS.items() if column in known}
        values = ", ".join(
            f"[o.{column}, n.{column}] as {name}" for name, column in metrics.items()
        )
        return con.sql(
            f"""
            with figures as (
                unpivot (
                    select
                        coalesce(o.shop_id, n.shop_id) as shop_id,
                        coalesce(o.metric_date, n.metric_date) as metric_date,
                        o.delivered_orders as old_denominator,
                        n.delivered_orders as new_denominator,
                        {values}
                    from {before.parquet("shop_metrics_daily")} as o
                    left join {after.parquet("shop_metrics_daily")} as n
                        on o.shop_id = n.shop_id and o.metric_date = n.metric_date
                )
                on {", ".join(metrics)} into name metric value counts
            )

            select
                cast($publication_id as varchar) as publication_id,
                cast($published_at as timestamptz) as published_at,
                shop_id, metric_date, metric,
                counts[1] as old_numerator, old_denominator,
                counts[2] as new_numerator, new_denominator,
                cast($cause as varchar) as cause
            from figures
            where counts[1] is distinct from counts[2]
                or old_denominator is distinct from new_denominator
            order by all
            """,
            params={
                "publication_id": manifest["publication_id"],
                "published_at": manifest["published_at"],
                "cause": _cause(before.manifest, manifest),
            },
        ).to_arrow_table()


def restatements_of(version: Version) -> pa.Table | None:
    """What a version says it restates; None where it was made before versions said so."""
    if not (version.folder / "parquet" / f"{TABLE}.parquet").exists():
        return None
    with duckdb.connect(config=OFFLINE) as con:
        return con.sql(
            f"select * exclude (published_at) from {version.parquet(TABLE)} "
            "where publication_id = ?",
            params=[version.publication_id],
        ).to_arrow_table()


def _cause(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The first of code, setting and file that is another."""
    if before.get("code_version") != after["code_version"]:
        return "code"
    return "setting" if before.get("basis") != after["basis"] else "file"
