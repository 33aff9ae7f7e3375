"""What Superset shows: every published table as a dataset, and a dashboard of six charts.

As the bundle of files that Superset imports and exports; each object's UUID follows from its name,
so that importing again renews it. JSON is YAML, which Superset reads.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.lib.metrics import NUMERATORS

DASHBOARD = "feedback"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "feedback-warehouse")
_PERCENT = {"d3NumberFormat": ".2%"}
# Rows of the window that ends on each shop's last day; rows of days must never be summed.
_REASONS_NOW = """
select r.* from reason_metrics_daily as r
where (r.shop_id, r.metric_date) in (
    select (shop_id, max(metric_date)) from shop_metrics_daily group by shop_id
)
""".strip()
Content = dict[str, Any]


def bundle(marts: duckdb.DuckDBPyConnection, database: Path) -> bytes:
    """A ZIP of all that Superset imports, for the publication `marts` that lies at `database`."""
    tables = _tables(marts)
    reasons, columns = tables["reason_metrics_daily"]
    datasets = {name: _dataset(name, *described) for name, described in tables.items()}
    datasets["reasons_now"] = {
        **_dataset("reasons_now", f"{reasons} Of each shop's last day only.", columns),
        "sql": _REASONS_NOW,
    }
    charts = {chart["slice_name"]: chart for chart in _charts()}
    files: dict[str, Content] = {
        "metadata": {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00"},
        "databases/feedback": _database(database),
        **{f"datasets/{name}": dataset for name, dataset in datasets.items()},
        **{f"charts/{number}": chart for number, chart in enumerate(charts.values())},
        "dashboards/feedback": _dashboard(list(charts)),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            archive.writestr(f"feedback/{name}.yaml", json.dumps(file))
    return content.getvalue()


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def _object(kind: str, name: str, **content: Any) -> Content:
    """What all objects have; importing again would undo what was changed by hand, so none is."""
    return {
        "uuid": _id(kind, name),
        "version": "1.0.0",
        "is_managed_externally": True,
        **content,
    }


def _database(path: Path) -> Content:
    """The publication, for reading: SQL can neither change it nor reach other files."""
    config = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "lock_configuration": "true",
    }
    return _object(
        "database",
        "feedback",
        database_name="Feedback warehouse",
        sqlalchemy_uri=f"duckdb:///{path}",
        expose_in_sqllab=True,
        allow_dml=False,
        allow_ctas=False,
        allow_cvas=False,
        allow_csv_upload=False,
        extra={"engine_params": {"connect_args": {"read_only": True, "config": config}}},
    )


def _tables(marts: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, list[Content]]]:
    """Each published table's description, and its columns as Superset describes them."""
    columns: dict[str, list[Content]] = {}
    for table, name, kind, comment in marts.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() "
        "where not internal order by table_name, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(
            {
                "column_name": name,
                "type": kind,
                "is_dttm": kind.startswith(("DATE", "TIMESTAMP")),
                "is_active": True,
                "groupby": True,
                "filterable": True,
                "description": comment,
            }
        )
    described = marts.execute("select table_name, comment from duckdb_tables()").fetchall()
    return {name: (comment, columns[name]) for name, comment in described}


def _dataset(name: str, description: str, columns: Sequence[Content]) -> Content:
    times = [column["column_name"] for column in columns if column["is_dttm"]]
    metrics = [_metric("rows", "count(*)", "The number of rows.", ",d")]
    if name == "shop_metrics_daily":
        metrics += [_rate(rate, numerator) for rate, numerator in NUMERATORS.items()]
    return _object(
        "dataset",
        name,
        table_name=name,
        schema="main",
        database_uuid=_id("database", "feedback"),
        description=description,
        main_dttm_col=times[0] if times else None,
        columns=list(columns),
        metrics=metrics,
    )


def _rate(rate: str, numerator: str) -> Content:
    known = f"filter (where {rate} is not null)"
    return _metric(
        rate,
        f"sum({numerator}) {known} / sum(delivered_orders) {known}",
        "Of several shops together; of one day at a time, since each day is a window of its own.",
        ".2%",
    )


def _metric(name: str, expression: str, description: str, number_format: str) -> Content:
    return {
        "metric_name": name,
        "expression": expression,
        "description": description,
        "d3format": number_format,
    }


# --- charts -----------------------------------------------------------------------------------


def _charts() -> list[Content]:
    return [
        _against_target("nrr", "NRR by shop, with the target where one is known"),
        _against_target("sfrr", "SFRR by shop, with the target where one is known"),
        _standing(),
        _reasons("nrr", "Why buyers rate badly, on each shop's last day"),
        _reasons("sfrr", "Why buyers ask for money back, on each shop's last day"),
        _products(),
    ]


def _chart(name: str, dataset: str, kind: str, **settings: Any) -> Content:
    return _object(
        "chart",
        name,
        slice_name=name,
        viz_type=kind,
        dataset_uuid=_id("dataset", dataset),
        params={"viz_type": kind, "row_limit": 50_000, **settings},
    )


def _against_target(metric: str, name: str) -> Content:
    """The rate of each shop and its target: in one query, so that both are of the same shops."""
    return _chart(
        name,
        "metric_status_daily",
        "echarts_timeseries_line",
        x_axis="metric_date",
        time_grain_sqla="P1D",
        # of hundreds of shops those with the highest rates, since that is the first metric
        metrics=[_aggregate("max(rate)", metric.upper()), _aggregate("max(target)", "target")],
        groupby=["shop_id"],
        limit=10,
        order_desc=True,
        adhoc_filters=[_where(f"metric = '{metric}'")],
        y_axis_format=".1%",
        rich_tooltip=True,
        show_legend=True,
        legendOrientation="top",
        legendType="scroll",
        x_axis_time_format="%d %b",
        xAxisLabelRotation=45,
        tooltipTimeFormat="%d %b %Y",
    )


def _standing() -> Content:
    last = {
        "status": "status",
        "rate": "rate",
        "low": "rate_low",
        "high": "rate_high",
        "target": "target",
        "out of": "delivered_orders",
        "over since": "breach_since",
    }
    return _chart(
        "How each shop stands on its last day",
        "metric_status_daily",
        "table",
        query_mode="aggregate",
        groupby=["shop_id", "metric"],
        metrics=[
            *(_aggregate(f"arg_max_null({c}, metric_date)", label) for label, c in last.items()),
            _aggregate("max(metric_date)", "as of"),
        ],
        timeseries_limit_metric=_aggregate(f"arg_max_null({_NEARNESS}, metric_date)", "nearness"),
        order_desc=True,
        column_config=dict.fromkeys(("rate", "low", "high", "target"), _PERCENT),
        **_TABLE,
    )


def _reasons(metric: str, name: str) -> Content:
    return _chart(
        name,
        "reasons_now",
        "echarts_timeseries_bar",
        x_axis="reason_code",
        metrics=[_aggregate("sum(orders)", "orders")],
        adhoc_filters=[_where(f"metric = '{metric}'"), _where("is_counted")],
        orientation="horizontal",
        x_axis_sort="orders",
        x_axis_sort_asc=True,
        show_value=True,
        rich_tooltip=True,
        show_legend=False,
        y_axis_format=",d",
    )


def _products() -> Content:
    return _chart(
        "Products that need action, the worst first",
        "watchlist",
        "table",
        query_mode="raw",
        all_columns=[
            *("shop_id", "product_name", "metric", "orders", "delivered_orders", "rate"),
            *("threshold", "excess_orders", "top_reason", "advice"),
        ],
        order_by_cols=[json.dumps(["excess_orders", False])],
        column_config={
            "rate": _PERCENT,
            "threshold": _PERCENT,
            "excess_orders": {"d3NumberFormat": ",.1f"},
        },
        **_TABLE,
    )


# How much of what the target allows is used up, 1 and more in breach.
_NEARNESS = (
    "case when higher_is_better then (1 - rate) / nullif(1 - target, 0) else rate / target end"
)
# Names and texts are buyers' and sellers': they are shown, never rendered.
_TABLE: Mapping[str, Any] = {
    "allow_render_html": False,
    "show_cell_bars": False,
    "table_timestamp_format": "%Y-%m-%d",
    "page_length": 0,
}


def _aggregate(expression: str, label: str) -> Content:
    return {
        "expressionType": "SQL",
        "sqlExpression": expression,
        "label": label,
        "hasCustomLabel": True,
        "optionName": f"metric_{_id('metric', label)}",
    }


def _where(condition: str) -> Content:
    return {"expressionType": "SQL", "clause": "WHERE", "sqlExpression": condition}


# --- the dashboard ----------------------------------------------------------------------------


def _dashboard(charts: Sequence[str]) -> Content:
    """The charts in rows of twelfths of the page; a filter by shop holds for all."""
    nrr, sfrr, standing, nrr_reasons, sfrr_reasons, products = charts
    rows = [
        [(nrr, 6), (sfrr, 6)],
        [(standing, 12)],
        [(nrr_reasons, 6), (sfrr_reasons, 6)],
        [(products, 12)],
    ]
    position: Content = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {
            "type": "GRID",
            "id": "GRID_ID",
            "children": [f"ROW-{number}" for number in range(len(rows))],
            "parents": ["ROOT_ID"],
        },
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": "NRR and SFRR"}},
    }
    for number, row in enumerate(rows):
        name = f"ROW-{number}"
        position[name] = {
            "type": "ROW",
            "id": name,
            "children": [f"CHART-{chart}" for chart, _ in row],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for chart, width in row:
            position[f"CHART-{chart}"] = {
                "type": "CHART",
                "id": f"CHART-{chart}",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", name],
                "meta": {
                    "uuid": _id("chart", chart),
                    "chartId": charts.index(chart),  # for the import, which gives its own
                    "sliceName": chart,
                    "width": width,
                    "height": 52,
                },
            }
    by_shop = {
        "id": "NATIVE_FILTER-shop",
        "type": "NATIVE_FILTER",
        "name": "Shop",
        "filterType": "filter_select",
        "targets": [
            {
                "datasetUuid": _id("dataset", "shop_metrics_daily"),
                "column": {"name": "shop_id"},
            }
        ],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
        "controlValues": {"multiSelect": True, "enableEmptyFilter": False},
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "cascadeParentIds": [],
        "description": "",
    }
    return _object(
        "dashboard",
        DASHBOARD,
        dashboard_title="NRR and SFRR",
        slug=DASHBOARD,
        published=True,
        position=position,
        metadata={"native_filter_configuration": [by_shop], "color_scheme": "supersetColors"},
    )
