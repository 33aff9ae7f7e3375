"""Quality: each rule of the gates is an asset check; a critical one that fails stops the run."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from dagster_project.defs.resources import WRITER_POOL, DataDirectory, tried_again_when_busy
from dagster_project.lib.ledger import Ledger, QualityResult
from dagster_project.lib.warehouse import open_warehouse
from dagster_project.quality.containment import Containment
from dagster_project.quality.gates import Suite, check, publish_suites, raw_suites


def _gate(suite: Suite) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(suite.table.split("."))
    specs = [
        dg.AssetCheckSpec(name=rule.id, asset=key, description=rule.description, blocking=True)
        for rule in suite.rules
    ]

    @dg.multi_asset_check(
        name=f"{suite.stage}_gate__{suite.dataset}", specs=specs, pool=WRITER_POOL
    )
    def gate(
        context: dg.AssetCheckExecutionContext, data: DataDirectory
    ) -> Iterator[dg.AssetCheckResult]:
        run_id = context.run.run_id
        with (
            tried_again_when_busy(),
            Ledger.open(data.paths.ledger) as ledger,
            open_warehouse(data.paths.warehouse, read_only=True) as warehouse,
        ):
            contain = Containment(data.paths, ledger, run_id, warehouse)
            results = check(warehouse, [suite], run_id, ledger.accepted_rules(run_id), contain)
            ledger.add_quality_results(results)
        for result in results:
            yield _check_result(result, key)

    return gate


def _check_result(result: QualityResult, key: dg.AssetKey) -> dg.AssetCheckResult:
    accepted = result.accepted_reason and f"Let pass once: {result.accepted_reason}"
    is_stopping = replace(result, passed=False).closes_gate
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=result.rule,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if is_stopping else dg.AssetCheckSeverity.WARN,
        description=" ".join(filter(None, (result.message, accepted, result.contained))),
        metadata={
            "checked_rows": result.checked_rows,
            "failed_rows": result.failed_rows,
            "examples": dg.MetadataValue.json(
                [{k: str(v) for k, v in example.items()} for example in result.examples]
            ),
        },
    )


GATES = [_gate(suite) for suite in (*raw_suites(), *publish_suites())]
