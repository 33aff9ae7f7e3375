"""Published: what readers see."""

import dagster as dg

from dagster_project.defs.resources import WRITER_POOL, DataDirectory
from dagster_project.lib.database import connect
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.publish import MARTS, publish


@dg.asset(
    key=["published", "marts"],
    deps=[dg.AssetKey(["marts", name]) for name in MARTS],
    group_name="published",
    kinds={"duckdb", "parquet"},
    pool=WRITER_POOL,
)
def publication(
    context: dg.AssetExecutionContext, data: DataDirectory
) -> dg.MaterializeResult[None]:
    """`published/marts.duckdb`, `published/parquet` and their manifest, swapped in as one."""
    with Ledger.open(data.paths.ledger) as ledger:
        manifest = publish(data.paths, ledger, context.run_id)
    metadata = {f"rows/{name}": count for name, count in manifest["tables"].items()}
    return dg.MaterializeResult(metadata={"as_of": manifest["as_of"], **metadata, **_rates(data)})


def _rates(data: DataDirectory) -> dict[str, float]:
    """The rates of the as-of date, so that the UI plots them over the runs."""
    with connect(data.paths.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(
            "select shop_id, nrr, sfrr from shop_metrics_daily "
            "where metric_date = (select max(metric_date) from shop_metrics_daily)"
        ).fetchall()
    rates: dict[str, float | None] = {}
    for shop_id, nrr, sfrr in rows:
        rates |= {f"nrr/{shop_id}": nrr, f"sfrr/{shop_id}": sfrr}
    return {name: rate for name, rate in rates.items() if rate is not None}
