"""Publish: a new version of what readers see, built aside and swapped in by one rename."""

from __future__ import annotations

import contextlib
import shutil
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.contracts import all_rules
from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import DamagedError, FeedbackError, GateClosedError
from dagster_project.lib.increments import forget_published, note_published
from dagster_project.lib.ledger import Ledger, Publication
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import (
    ID_FORMAT,
    Version,
    building_folder,
    clear_litter,
    current,
    drop_oldest,
    find,
    kept_versions,
    put_in_place,
    seal,
    switch,
    versions,
)
from dagster_project.lib.published_version import write_version
from dagster_project.lib.warehouse import (
    basis_fingerprint,
    code_version,
    inputs_fingerprint,
    method_fingerprint,
    open_warehouse,
)


def publish(data: DataDir, ledger: Ledger, run_id: str) -> dict[str, Any]:
    """Publish the marts of the warehouse and return the manifest.

    The ledger is told what was published and which figures of days published before it changed.
    Raises GateClosedError when the gates of this run did not pass or were left out.
    """
    _require_open_gates(ledger, run_id)
    kept = kept_versions()
    catch_up(data, ledger)
    frozen = ledger.frozen_shops(run_id)
    moment = ledger.next_moment()
    publication_id = f"{moment:{ID_FORMAT}}"
    clear_litter(data)
    _remove_unseen(data, ledger)
    building = building_folder(data, publication_id)
    building.mkdir(parents=True)
    previous = current(data)
    is_intact = previous is not None and not previous.faults()
    if frozen and previous and not is_intact:
        raise GateClosedError("Shops cannot be left as they were: that publication is damaged.")
    with open_warehouse(data.warehouse) as con:
        counts = write_version(
            con, ledger, building, previous.folder if previous and is_intact else None, frozen
        )
        as_of, inputs = _run(con, run_id)
        if ledger.withdrawn_by(run_id) and _is_basis(con, basis_fingerprint(data)):
            inputs = inputs_fingerprint(data, ledger, _asked_as_of(con))
    manifest: dict[str, Any] = {
        "publication_id": publication_id,
        "published_at": moment.isoformat(),
        "previous": previous.publication_id if previous else None,
        "run_id": run_id,
        "as_of": as_of.isoformat() if as_of else None,
        "code_version": code_version(),
        "method": method_fingerprint(data),
        "inputs": inputs,
        "tables": counts,
    }
    seal(building, manifest)
    put_in_place(building, publication_id)
    switch(data, publication_id)
    with open_warehouse(data.warehouse) as con:
        note_published(con, publication_id, frozen)
    _record(data, ledger, Version(building.with_name(publication_id)))
    drop_oldest(data, kept)
    return manifest


def _remove_unseen(data: DataDir, ledger: Ledger) -> None:
    """Remove versions whose run died before readers saw them."""
    seen = current(data)
    for version in versions(data):
        if seen and version.publication_id <= seen.publication_id:
            break  # older ones were seen, whatever the ledger says
        if not ledger.knows_publication(version.publication_id):
            shutil.rmtree(version.folder)


def catch_up(data: DataDir, ledger: Ledger) -> None:
    """Tell the ledger of a publication whose run died after readers saw it, before it was told."""
    version = current(data)
    if version and version.manifest and not ledger.knows_publication(version.publication_id):
        _record(data, ledger, version)


def roll_back(data: DataDir, ledger: Ledger, publication_id: str) -> Version:
    """Let readers see an earlier version again, and keep that.

    Raises ConfigurationError when it is not kept, FeedbackError when it is damaged.
    """
    version = find(data, publication_id)
    if faults := version.faults():
        raise FeedbackError(f"{version.publication_id} is damaged: {'; '.join(faults)}.")
    catch_up(data, ledger)
    if data.warehouse.exists():
        # of a damaged one nothing is taken for published anyway
        with contextlib.suppress(DamagedError), open_warehouse(data.warehouse) as con:
            forget_published(con)
    ledger.add_rollback(version.publication_id, ledger.next_moment())
    switch(data, version.publication_id)
    return version


def _record(data: DataDir, ledger: Ledger, version: Version) -> None:
    manifest = version.manifest
    previous = manifest.get("previous")
    before = next((v for v in versions(data) if v.publication_id == previous), None)
    as_of = manifest["as_of"]
    ledger.add_publication(
        Publication(
            publication_id=manifest["publication_id"],
            run_id=manifest["run_id"],
            published_at=datetime.fromisoformat(manifest["published_at"]),
            as_of=date.fromisoformat(as_of) if as_of else None,
            inputs=manifest["inputs"],
            code_version=manifest["code_version"],
        ),
        _restatements(before, version) if before and not before.faults() else None,
    )


def _run(con: duckdb.DuckDBPyConnection, run_id: str) -> tuple[date | None, str]:
    row = con.execute("select run_id, inputs from raw.run").fetchone() or (None, "")
    if row[0] != run_id:
        raise GateClosedError(
            "The warehouse was made ready by another run; run the whole job, not the last step."
        )
    as_of = con.execute("select as_of_date from intermediate.int_parameters").fetchone()
    return (as_of[0] if as_of else None), row[1]


def _is_basis(con: duckdb.DuckDBPyConnection, basis: str) -> bool:
    return bool(con.execute("select 1 from raw.run where basis = ?", [basis]).fetchall())


def _asked_as_of(con: duckdb.DuckDBPyConnection) -> date | None:
    ((as_of,),) = con.execute("select as_of from raw.run").fetchall()
    return as_of  # type: ignore[no-any-return]


def _require_open_gates(ledger: Ledger, run_id: str) -> None:
    results = ledger.con.execute(
        "select rule, bool_or(severity = 'critical' and not passed "
        "and accepted_reason is null and contained is null) "
        "from quality_results where run_id = ? group by rule order by rule",
        [run_id],
    ).fetchall()
    left_out = all_rules().keys() - {rule for rule, _ in results}
    if left_out:
        raise GateClosedError(
            f"Not checked in this run: {', '.join(sorted(left_out))}; run the whole job."
        )
    closed = [rule for rule, is_closed in results if is_closed]
    if closed:
        raise GateClosedError(f"Closed: {', '.join(closed)}.")


def _restatements(before: Version, after: Version) -> pa.Table:
    """What changed of shop days that were published before: metric, old and new counts."""
    with duckdb.connect(config=OFFLINE) as con:
        return con.sql(
            f"""
            with figures as (
                unpivot (
                    select
                        coalesce(o.shop_id, n.shop_id) as shop_id,
                        coalesce(o.metric_date, n.metric_date) as metric_date,
                        o.delivered_orders as old_denominator,
                        n.delivered_orders as new_denominator,
                        [o.negative_review_orders, n.negative_review_orders] as nrr,
                        [o.seller_fault_return_orders, n.seller_fault_return_orders] as sfrr
                    from {before.parquet("shop_metrics_daily")} as o
                    left join {after.parquet("shop_metrics_daily")} as n
                        on o.shop_id = n.shop_id and o.metric_date = n.metric_date
                )
                on nrr, sfrr into name metric value counts
            )

            select
                shop_id, metric_date, metric,
                counts[1] as old_numerator, old_denominator,
                counts[2] as new_numerator, new_denominator
            from figures
            where counts[1] is distinct from counts[2]
                or old_denominator is distinct from new_denominator
            order by all
            """
        ).to_arrow_table()
