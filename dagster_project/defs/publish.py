"""Published: what readers see, the marts and the ledger's tables as one publication."""

from collections.abc import Iterator

import dagster as dg

from dagster_project.defs.resources import WRITER_POOL, DataDirectory, tried_again_when_busy
from dagster_project.lib.attention import LAST_DAY
from dagster_project.lib.database import connect
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.publish import publish
from dagster_project.lib.published_version import LEDGER_TABLES, MARTS

MARTS_KEY = dg.AssetKey(["published", "marts"])


def _specs() -> Iterator[dg.AssetSpec]:
    yield dg.AssetSpec(
        MARTS_KEY,
        deps=[dg.AssetKey(["marts", name]) for name in MARTS],
        group_name="published",
        kinds={"duckdb", "parquet"},
        description="`published/marts.duckdb` and `published/parquet`, swapped in as one.",
    )
    for name, table in LEDGER_TABLES.items():
        yield dg.AssetSpec(
            dg.AssetKey(["quality", name]),
            deps=[dg.AssetKey(["raw", "files"])],
            group_name="quality",
            kinds={"duckdb", "parquet"},
            description=table.description,
        )


@dg.multi_asset(name="publish", specs=list(_specs()), pool=WRITER_POOL)
def publication(
    context: dg.AssetExecutionContext, data: DataDirectory
) -> Iterator[dg.MaterializeResult[None]]:
    """Build a version aside and swap it in; refuses unless the gates of this run are open."""
    with tried_again_when_busy(), Ledger.open(data.paths.ledger) as ledger:
        manifest = publish(data.paths, ledger, context.run_id)
    rows = manifest["tables"]
    counts = {f"rows/{name}": rows[name] for name in MARTS}
    yield dg.MaterializeResult(
        asset_key=MARTS_KEY, metadata={"as_of": manifest["as_of"], **counts, **_rates(data)}
    )
    for name in LEDGER_TABLES:
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(["quality", name]), metadata={"rows": rows[name]}
        )


def _rates(data: DataDirectory) -> dict[str, float]:
    """The rates of the as-of date, so that the UI plots them over the runs."""
    with connect(data.paths.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(
            f"select shop_id, nrr, sfrr from shop_metrics_daily where metric_date = {LAST_DAY}"
        ).fetchall()
    rates: dict[str, float | None] = {}
    for shop_id, nrr, sfrr in rows:
        rates |= {f"nrr/{shop_id}": nrr, f"sfrr/{shop_id}": sfrr}
    return {name: rate for name, rate in rates.items() if rate is not None}
