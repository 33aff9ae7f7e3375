"""Blast radius: what breaks a critical rule is set apart, so that the rest can be published."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from dagster_project.lib.contracts import Rule
from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import GateClosedError
from dagster_project.lib.ledger import FileKey, Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, current
from dagster_project.lib.warehouse import (
    method_fingerprint,
    open_warehouse,
    prepare_without_withdrawn,
)
from dagster_project.quality.gates import Contain, Offender, Suite, check, raw_suites


def containment(
    data: DataDir, ledger: Ledger, run_id: str, warehouse: duckdb.DuckDBPyConnection
) -> Contain:
    """What a gate does about offenders: withdraw new files, or else freeze shops.

    A broken rule that names neither in each row, or that judges a share of all rows, is not
    contained; nor are shops frozen when none would be left, or when what was published of them is
    damaged or was computed otherwise.
    """

    def contain(suite: Suite, rule: Rule, offenders: Sequence[Offender]) -> str | None:
        shops = {o.shop_id for o in offenders if o.shop_id}
        if rule.asks == "share" or not all(o.shop_id for o in offenders) or not shops:
            return None
        files = {(o.shop_id or "", o.dataset, o.file_id or "") for o in offenders}
        if suite.stage == "raw" and files <= _new_files(warehouse):
            ledger.withdraw(sorted(files), rule.id, run_id)
            return "Withdrawn: " + ", ".join(f"{s}/{d} {f[:12]}" for s, d, f in sorted(files))
        return _freeze(data, ledger, run_id, warehouse, rule, shops)

    return contain


def judge_without_withdrawn(data: DataDir, ledger: Ledger, run_id: str) -> None:
    """Make the warehouse ready without the files that were withdrawn, and judge the others again.

    They may have been vouched for by those. Raises GateClosedError when a rule closes the gate now,
    or when nothing is left but what was rolled back.
    """
    withdrawn: set[FileKey] = set()
    while (now := ledger.withdrawn_by(run_id)) > withdrawn:
        withdrawn = now
        inputs = prepare_without_withdrawn(data, ledger)
        if inputs in ledger.rolled_back_inputs():
            raise GateClosedError(
                "Nothing is left but the publication that was rolled back: what is new was "
                "withdrawn."
            )
        with open_warehouse(data.warehouse, read_only=True) as warehouse:
            contain = containment(data, ledger, run_id, warehouse)
            accepted = ledger.accepted_rules(run_id)
            results = check(warehouse, raw_suites(), run_id, accepted, contain)
        ledger.add_quality_results([result for result in results if not result.passed])
        if closed := [result.rule for result in results if result.closes_gate]:
            raise GateClosedError(f"Closed: {', '.join(closed)}.")


def _new_files(warehouse: duckdb.DuckDBPyConnection) -> set[FileKey]:
    rows = warehouse.execute(
        "select shop_id, dataset, file_id from raw_new.files where status = 'loaded'"
    ).fetchall()
    return {(shop_id, dataset, file_id) for shop_id, dataset, file_id in rows}


def _freeze(
    data: DataDir,
    ledger: Ledger,
    run_id: str,
    warehouse: duckdb.DuckDBPyConnection,
    rule: Rule,
    shops: set[str],
) -> str | None:
    everyone = {
        shop_id
        for (shop_id,) in warehouse.execute(
            "select shop_id from raw.shops where shop_id in (select shop_id from raw.files "
            "where dataset = 'orders' and status = 'loaded' and rows_loaded > 0)"
        ).fetchall()
    }
    if everyone <= shops | ledger.frozen_shops(run_id):
        return None
    version = current(data)
    if version and (version.faults() or version.manifest.get("method") != method_fingerprint(data)):
        return None
    since = _published_since(version, shops)
    ledger.freeze(since, rule.id, run_id)
    return "Frozen: " + ", ".join(
        f"{shop} as in {known}" if known else f"{shop}, which readers never saw"
        for shop, known in since.items()
    )


def _published_since(version: Version | None, shops: set[str]) -> dict[str, str | None]:
    """The publication that computed what readers see of each shop; None where they see nothing."""
    since: dict[str, str | None] = dict.fromkeys(sorted(shops))
    if version is None:
        return since
    with duckdb.connect(config=OFFLINE) as con:
        published = con.execute(
            f"select distinct shop_id from {version.parquet('shop_metrics_daily')}"
        ).fetchall()
    known = {shop: version.publication_id for (shop,) in published} | version.frozen_since()
    return {shop: known.get(shop) for shop in since}
