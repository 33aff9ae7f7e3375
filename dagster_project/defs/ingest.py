"""Raw: exports from the landing folder into the raw store, shown to dbt as sources."""

import time
from collections.abc import Callable, Iterator
from datetime import date

import dagster as dg

from dagster_project.defs.resources import WRITER_POOL, DataDirectory, tried_again_when_busy
from dagster_project.lib.contracts import load_datasets, load_settings
from dagster_project.lib.ingest import Batch, ingest
from dagster_project.lib.landing import await_quiet, stray_words
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.publications import kept_versions, read_manifest
from dagster_project.lib.publish import catch_up
from dagster_project.lib.shops import read_shops
from dagster_project.lib.warehouse import (
    RUN_TABLES,
    inputs_fingerprint,
    is_built,
    prepare_warehouse,
)
from dagster_project.quality.gates import check_acceptance, load_in_background

_SECONDS_BETWEEN_LINES = 3.0
# A file that was not written to for so long is whole; a run waits only so long for that.
_QUIET_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0
_MOST_IDS = 50


class IngestConfig(dg.Config):
    """`as_of`: the last metric day, as YYYY-MM-DD; none = the latest day with an event.

    `full_refresh`: build all models anew, also when nothing is new. `accept`: rules that may be
    broken this once, for `reason`.
    """

    as_of: str | None = None
    full_refresh: bool = False
    accept: list[str] = []  # noqa: RUF012 - pydantic copies it
    reason: str = ""


def _specs() -> Iterator[dg.AssetSpec]:
    described = {("raw", d.name): d.description for d in load_datasets().values()}
    described |= {("raw", name): text for name, (text, _) in RUN_TABLES.items()}
    described |= {("own_settings", s.name): s.description for s in load_settings().values()}
    for key, description in described.items():
        yield dg.AssetSpec(
            key=dg.AssetKey(key),
            group_name="raw",
            description=description,
            kinds={"parquet" if key[1] in load_datasets() else "duckdb"},
            skippable=True,
        )


def _file_tags(batch: Batch) -> dict[str, str]:
    """Tags to find the run that brought a file; the first ids only, all are in the metadata."""
    ids = sorted({entry.file_id[:12] for entry in batch.files})
    if not ids:
        return {}
    return {"feedback/new_files": str(len(ids)), "feedback/file_ids": ",".join(ids[:_MOST_IDS])}


def _progress(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    """Tell of the files being read, now and then: each line is an event in Dagster's history.

    The first file also starts the import that the gates would otherwise wait for.
    """
    last = -_SECONDS_BETWEEN_LINES

    def say(message: str) -> None:
        nonlocal last
        load_in_background()
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            context.log.info(message)

    return say


@dg.multi_asset(name="ingest", specs=list(_specs()), pool=WRITER_POOL)
def ingest_exports(
    context: dg.AssetExecutionContext, config: IngestConfig, data: DataDirectory
) -> Iterator[dg.MaterializeResult[None]]:
    """Load what is new; yields nothing when the last publication already covers all there is.

    A warehouse that is lost, or not built to its end, is something to do; what was rolled back is
    not.
    """
    as_of = date.fromisoformat(config.as_of) if config.as_of else None
    check_acceptance(config.accept, config.reason)
    kept_versions()  # a mistake in it is told before the work
    with tried_again_when_busy(), Ledger.open(data.paths.ledger) as ledger:
        ledger.accept_rules(context.run_id, config.accept, config.reason)
        catch_up(data.paths, ledger)
        growing = await_quiet(data.paths.landing, _QUIET_SECONDS, _PATIENCE_SECONDS)
        if growing:
            context.log.info(f"Left for the next run: {len(growing)} files still being written.")
        batch = ingest(data.paths, ledger, _progress(context), growing)
        for warning in stray_words(data.paths.landing, read_shops(data.paths.shops_csv)):
            context.log.warning(warning)
        context.instance.add_run_tags(context.run_id, _file_tags(batch))
        inputs = inputs_fingerprint(data.paths, ledger, as_of)
        if not config.full_refresh and not config.accept:
            is_published = (read_manifest(data.paths) or {}).get("inputs") == inputs
            is_whole = is_published and is_built(data.paths.warehouse)
            if is_whole and not ledger.has_untold_withdrawals():
                context.log.info("Nothing new: the last publication covers all there is.")
                return
            if inputs in ledger.rolled_back_inputs():
                context.log.info(
                    "Nothing new since the publication that was rolled back; retract what was "
                    "wrong in it, or publish it all the same with --full-refresh."
                )
                return
        ledger.reconsider_withdrawn(context.run_id)
        inputs = inputs_fingerprint(data.paths, ledger, as_of)
        prepare_warehouse(
            data.paths, ledger, context.run_id, as_of, inputs, full_refresh=config.full_refresh
        )
    for spec in _specs():
        mine = [e for e in batch.files if e.dataset == spec.key.path[-1]]
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "new_files": len(mine),
                "new_rows": sum(e.rows_loaded for e in mine),
                "rejected_rows": sum(e.rows_rejected for e in mine),
                "refused_files": sum(e.status == "refused" for e in mine),
                "file_ids": [e.file_id for e in mine],
            },
        )
