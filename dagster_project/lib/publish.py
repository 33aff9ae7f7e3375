"""Publish: a new version of what readers see, built aside and swapped in by one rename."""

from __future__ import annotations

import contextlib
import shutil
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.contracts import all_rules
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
from dagster_project.lib.published_version import append_rows, write_version
from dagster_project.lib.restatements import TABLE as RESTATEMENTS
from dagster_project.lib.restatements import restated_figures, restatements_of
from dagster_project.lib.warehouse import (
    basis_fingerprint,
    code_version,
    inputs_fingerprint,
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
        as_of, inputs, basis, method = _run(con, data, ledger, run_id)
    manifest: dict[str, Any] = {
        "publication_id": publication_id,
        "published_at": moment.isoformat(),
        "previous": previous.publication_id if previous else None,
        "run_id": run_id,
        "as_of": as_of.isoformat() if as_of else None,
        "code_version": code_version(),
        "method": method,
        "basis": basis,
        "inputs": inputs,
        "tables": counts,
    }
    if previous and is_intact:
        restated = restated_figures(previous, Version(building), manifest)
        counts[RESTATEMENTS] += append_rows(building, RESTATEMENTS, restated)
    seal(building, manifest)
    put_in_place(building, publication_id)
    switch(data, publication_id)
    with open_warehouse(data.warehouse) as con:
        note_published(con, publication_id, frozen)
    published = Version(building.with_name(publication_id))
    _record(ledger, published, restatements_of(published))
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
    """Tell the ledger of a publication whose run died after readers saw it, before it was told.

    Raises DamagedError when the ledger is lost, or older than a publication: what it lacks, such as
    a retraction, would be undone without a word.
    """
    for kept in versions(data):
        run_id = kept.manifest.get("run_id")
        # a run's checks are on record before it publishes
        if run_id and not (
            ledger.knows_publication(kept.publication_id) or ledger.closed_rules(run_id)
        ):
            raise DamagedError(
                f"{data.ledger} is lost or older than publication {kept.publication_id}. Put "
                "ledger.duckdb, raw and published back from one backup and `feedback rebuild`; or "
                "begin anew: move these and warehouse.duckdb away, put all exports into landing "
                "again and run. What was retracted since is to be retracted again."
            )
    version = current(data)
    if version and version.manifest and not ledger.knows_publication(version.publication_id):
        _record(ledger, version, None if version.faults() else restatements_of(version))


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


def _record(ledger: Ledger, version: Version, restatements: pa.Table | None) -> None:
    manifest = version.manifest
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
        restatements,
    )


def _run(
    con: duckdb.DuckDBPyConnection, data: DataDir, ledger: Ledger, run_id: str
) -> tuple[date | None, str, str, str]:
    """The last metric day, and the fingerprints of all it was computed from, basis and method."""
    found = con.execute("select run_id, as_of, inputs, basis, method from raw.run").fetchone()
    if found is None or found[0] != run_id:
        raise GateClosedError(
            "The warehouse was made ready by another run; run the whole job, not the last step."
        )
    _, asked_as_of, inputs, basis, method = found
    if ledger.withdrawn_by(run_id) and basis == basis_fingerprint(data):
        inputs = inputs_fingerprint(data, ledger, asked_as_of)
    ((as_of,),) = con.execute("select max(as_of_date) from intermediate.int_parameters").fetchall()
    return as_of, inputs, basis, method


def _require_open_gates(ledger: Ledger, run_id: str) -> None:
    results = ledger.closed_rules(run_id)
    if left_out := all_rules().keys() - results.keys():
        raise GateClosedError(
            f"Not checked in this run: {', '.join(sorted(left_out))}; run the whole job."
        )
    closed = [rule for rule, is_closed in results.items() if is_closed]
    if closed:
        raise GateClosedError(f"Closed: {', '.join(closed)}.")
