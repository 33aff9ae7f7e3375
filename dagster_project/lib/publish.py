"""Publish: a new version of what readers see, built aside and swapped in by one rename.

`published/current` is a symbolic link to one folder of `published/versions`; the fixed names
`marts.duckdb`, `parquet` and `manifest.json` lead through it, so a reader never meets a mix.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.contracts import load_datasets, load_gate_suites
from dagster_project.lib.errors import GateClosedError
from dagster_project.lib.increments import note_published
from dagster_project.lib.landing import sha256
from dagster_project.lib.ledger import Ledger, Publication
from dagster_project.lib.paths import GATES_DIR, DataDir
from dagster_project.lib.published_version import write_version
from dagster_project.lib.sql import literal
from dagster_project.lib.warehouse import code_version, open_warehouse

_KEPT_VERSIONS = 7
_LINKS = ("marts.duckdb", "parquet", "manifest.json")


def publish(data: DataDir, ledger: Ledger, run_id: str) -> dict[str, Any]:
    """Publish the marts of the warehouse and return the manifest.

    The ledger is told what was published and which figures of days published before it changed.
    Raises GateClosedError when the gates of this run did not pass or were left out.
    """
    _require_open_gates(ledger, run_id)
    published_at = datetime.now(UTC)
    publication_id = f"{published_at:%Y%m%dT%H%M%S%f}"
    versions = data.published / "versions"
    _clear_litter(data.published)
    building = versions / f".building-{publication_id}"
    building.mkdir(parents=True)
    previous = data.published / "current"
    with open_warehouse(data.warehouse) as con:
        counts = write_version(con, ledger, building, _intact(data))
        as_of, inputs = _run(con, run_id)
        restatements = _restatements(con, previous / "marts.duckdb") if previous.exists() else None
    manifest: dict[str, Any] = {
        "publication_id": publication_id,
        "published_at": published_at.isoformat(timespec="seconds"),
        "run_id": run_id,
        "as_of": as_of.isoformat() if as_of else None,
        "code_version": code_version(),
        "inputs": inputs,
        "tables": counts,
        "files": {
            path.relative_to(building).as_posix(): sha256(path)
            for path in sorted(building.rglob("*"))
            if path.is_file()
        },
    }
    (building / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    for path in [*building.rglob("*"), building]:
        _sync(path)
    building.rename(versions / publication_id)
    _sync(versions)
    _swap(data.published, publication_id)
    with open_warehouse(data.warehouse) as con:
        note_published(con, publication_id)
    others = sorted(path for path in versions.iterdir() if path.name != publication_id)
    for version in others[: 1 - _KEPT_VERSIONS]:
        shutil.rmtree(version)
    ledger.add_publication(
        Publication(publication_id, run_id, published_at, as_of, inputs, manifest["code_version"]),
        restatements,
    )
    return manifest


def read_manifest(data: DataDir) -> dict[str, Any] | None:
    """The manifest of what readers see now; None before the first publication."""
    path = data.published / "manifest.json"
    if not path.exists():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def _intact(data: DataDir) -> Path | None:
    """The version that readers see, if its files are still as they were written."""
    manifest = read_manifest(data)
    folder = (data.published / "current").resolve()
    if manifest is None or any(
        not (folder / name).is_file() or sha256(folder / name) != digest
        for name, digest in manifest["files"].items()
    ):
        return None
    return folder


def _run(con: duckdb.DuckDBPyConnection, run_id: str) -> tuple[date | None, str]:
    row = con.execute("select run_id, inputs from raw.run").fetchone() or (None, "")
    if row[0] != run_id:
        raise GateClosedError(
            "The warehouse was made ready by another run; run the whole job, not the last step."
        )
    as_of = con.execute("select as_of_date from intermediate.int_parameters").fetchone()
    return (as_of[0] if as_of else None), row[1]


def _require_open_gates(ledger: Ledger, run_id: str) -> None:
    results = ledger.con.execute(
        "select rule, bool_or(severity = 'critical' and not passed) from quality_results "
        "where run_id = ? group by rule order by rule",
        [run_id],
    ).fetchall()
    left_out = _all_rules() - {rule for rule, _ in results}
    if left_out:
        raise GateClosedError(
            f"Not checked in this run: {', '.join(sorted(left_out))}; run the whole job."
        )
    closed = [rule for rule, is_closed in results if is_closed]
    if closed:
        raise GateClosedError(f"Closed: {', '.join(closed)}.")


def _all_rules() -> set[str]:
    """The ids of all rules, of the datasets' contracts and of the gates'."""
    rules = [rule for dataset in load_datasets().values() for rule in dataset.rules]
    for path in GATES_DIR.glob("*.yaml"):
        rules += [rule for suite in load_gate_suites(path) for rule in suite.rules]
    return {rule.id for rule in rules}


def _restatements(con: duckdb.DuckDBPyConnection, previous: Path) -> pa.Table:
    """What changes of shop days that were published before: metric, old and new counts."""
    con.execute(f"attach {literal(str(previous.resolve()))} as previous (read_only)")
    rows = con.sql(
        """
        with figures as (
            unpivot (
                select
                    coalesce(o.shop_id, n.shop_id) as shop_id,
                    coalesce(o.metric_date, n.metric_date) as metric_date,
                    o.delivered_orders as old_denominator,
                    n.delivered_orders as new_denominator,
                    [o.negative_review_orders, n.negative_review_orders] as nrr,
                    [o.seller_fault_return_orders, n.seller_fault_return_orders] as sfrr
                from previous.main.shop_metrics_daily as o
                left join marts.shop_metrics_daily as n
                    on o.shop_id = n.shop_id and o.metric_date = n.metric_date
            )
            on nrr, sfrr into name metric value counts
        )

        select
            shop_id, metric_date, metric,
            counts[1] as old_numerator, old_denominator, counts[2] as new_numerator, new_denominator
        from figures
        where counts[1] is distinct from counts[2]
            or old_denominator is distinct from new_denominator
        order by all
        """
    ).to_arrow_table()
    con.execute("detach previous")
    return rows


def _clear_litter(published: Path) -> None:
    """Remove what a run that died left behind; nothing of it was ever seen by readers."""
    for path in (published / "versions").glob(".building-*"):
        shutil.rmtree(path)
    for path in published.glob(".new-*"):
        path.unlink()


def _swap(published: Path, publication_id: str) -> None:
    _link(published / "current", Path("versions") / publication_id)
    for name in _LINKS:
        if not (published / name).is_symlink():
            _link(published / name, Path("current") / name)
    _sync(published)


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".new-{link.name}")
    new.symlink_to(target)
    new.replace(link)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
