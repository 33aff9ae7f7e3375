"""Quality: each rule of the gates is an asset check; a critical one that fails stops the run."""

from collections.abc import Iterator

import dagster as dg

from dagster_project.defs.resources import WRITER_POOL, DataDirectory
from dagster_project.lib.ledger import Ledger, QualityResult
from dagster_project.lib.warehouse import open_warehouse
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
        with open_warehouse(data.paths.warehouse, read_only=True) as warehouse:
            results = check(warehouse, [suite], context.run.run_id)
        with Ledger.open(data.paths.ledger) as ledger:
            ledger.add_quality_results(results)
        for result in results:
            yield _check_result(result, key)

    return gate


def _check_result(result: QualityResult, key: dg.AssetKey) -> dg.AssetCheckResult:
    critical = result.severity == "critical"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=result.rule,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        description=result.message,
        metadata={
            "checked_rows": result.checked_rows,
            "failed_rows": result.failed_rows,
            "examples": dg.MetadataValue.json(
                [{k: str(v) for k, v in example.items()} for example in result.examples]
            ),
        },
    )


GATES = [_gate(suite) for suite in (*raw_suites(), *publish_suites())]
