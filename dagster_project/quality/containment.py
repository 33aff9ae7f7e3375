"""Blast radius: what breaks a critical rule is set apart, so that the rest can be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from dagster_project.lib.contracts import Rule
from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import GateClosedError
from dagster_project.lib.ledger import FileKey, Ledger, QualityResult
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, current, published_at
from dagster_project.lib.warehouse import open_warehouse, prepare_without_withdrawn
from dagster_project.quality.gates import Offender, Suite, check, raw_suites

# The shops that a publication could be of, by the gate that asks.
_EVERYONE = {
    "raw": "select shop_id from raw.shops where shop_id in (select shop_id from raw.files "
    "where dataset = 'orders' and status = 'loaded' and rows_loaded > 0)",
    "publish": "select distinct shop_id from marts.shop_metrics_daily",
}


@dataclass(frozen=True)
class Containment:
    """What a gate of a run does about offenders: withdraw new files, or else freeze shops.

    A broken rule that names neither in each row, or that judges a share of all rows, is not
    contained; nor are shops frozen when none would be left, or when what was published of them is
    damaged, was computed otherwise or has rows of a file that was retracted since.
    """

    data: DataDir
    ledger: Ledger
    run_id: str
    warehouse: duckdb.DuckDBPyConnection

    def __call__(self, suite: Suite, rule: Rule, offenders: Sequence[Offender]) -> str | None:
        """Set the offenders apart and say so; None where that cannot be."""
        shops = {o.shop_id for o in offenders if o.shop_id}
        if rule.asks == "share" or not all(o.shop_id for o in offenders) or not shops:
            return None
        files = {(o.shop_id or "", o.dataset, o.file_id or "") for o in offenders}
        if suite.stage == "raw" and files <= self._new_files():
            self.ledger.withdraw(sorted(files), rule.id, self.run_id)
            return "Withdrawn: " + ", ".join(f"{s}/{d} {f[:12]}" for s, d, f in sorted(files))
        everyone = {shop for (shop,) in self.warehouse.execute(_EVERYONE[suite.stage]).fetchall()}
        is_all = everyone <= shops | self.ledger.frozen_shops(self.run_id)
        return None if is_all else self._freeze(rule, shops)

    def _new_files(self) -> set[FileKey]:
        rows = self.warehouse.execute(
            "select shop_id, dataset, file_id from raw_new.files where status = 'loaded'"
        ).fetchall()
        return {(shop_id, dataset, file_id) for shop_id, dataset, file_id in rows}

    def _freeze(self, rule: Rule, shops: set[str]) -> str | None:
        version = current(self.data)
        ((method,),) = self.warehouse.execute("select method from raw.run").fetchall()
        if version and (version.faults() or version.manifest.get("method") != method):
            return None
        since = _published_since(version, shops)
        taken_back = self.ledger.taken_back_at()
        if any(
            shop in taken_back and taken_back[shop] > published_at(publication_id)
            for shop, publication_id in since.items()
            if publication_id
        ):
            return None
        self.ledger.freeze(since, rule.id, self.run_id)
        return "Frozen: " + ", ".join(
            f"{shop} as in {known}" if known else f"{shop}, which readers never saw"
            for shop, known in since.items()
        )


def judge_without_withdrawn(
    data: DataDir, ledger: Ledger, run_id: str, *, full_refresh: bool
) -> None:
    """Make the warehouse ready without the files that were withdrawn, and judge the others again.

    They may have been vouched for by those. Raises GateClosedError when a rule closes the gate now,
    or when nothing is left but what was rolled back and nobody asked for a `full_refresh`.
    """
    accepted = ledger.accepted_rules(run_id)
    withdrawn: set[FileKey] = set()
    while (now := ledger.withdrawn_by(run_id)) > withdrawn:
        withdrawn = now
        inputs = prepare_without_withdrawn(data, ledger)
        if inputs in ledger.rolled_back_inputs() and not accepted and not full_refresh:
            raise GateClosedError(
                "Nothing is left but the publication that was rolled back: what is new was "
                "withdrawn."
            )
        with open_warehouse(data.warehouse, read_only=True) as warehouse:
            contain = Containment(data, ledger, run_id, warehouse)
            results = check(warehouse, raw_suites(), run_id, accepted, contain)
        told = ledger.broken_rules(run_id)
        ledger.add_quality_results(
            [r for r in results if not r.passed and (r.rule not in told or _is_news(r))]
        )
        if closed := [result.rule for result in results if result.closes_gate]:
            raise GateClosedError(f"Closed: {', '.join(closed)}.")


def _is_news(result: QualityResult) -> bool:
    return result.closes_gate or result.contained is not None


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
