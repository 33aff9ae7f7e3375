"""The two gates: raw data before dbt, marts before publishing."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from dagster_project.lib.contracts import Rule, load_datasets, load_gate_suites
from dagster_project.lib.ledger import QualityResult
from dagster_project.lib.paths import GATES_DIR

_MAX_EXAMPLES = 20
_loading: list[threading.Thread] = []


@dataclass(frozen=True)
class Suite:
    """The rules for one relation: `batch` is what they judge, `table` all that is known."""

    stage: str
    dataset: str
    batch: str
    table: str
    rules: tuple[Rule, ...]


def raw_suites() -> tuple[Suite, ...]:
    """The raw gate: what new files brought, by dataset, and the files themselves."""
    (files,) = load_gate_suites(GATES_DIR / "files.yaml")
    datasets = [
        Suite("raw", name, f"raw_new.{name}", f"raw.{name}", dataset.rules)
        for name, dataset in load_datasets().items()
    ]
    return (*datasets, Suite("raw", "files", "raw_new.files", files.table, files.rules))


def publish_suites() -> tuple[Suite, ...]:
    """The publish gate: the marts, with each other and with staging."""
    suites = load_gate_suites(GATES_DIR / "publication.yaml")
    names = [suite.table.removeprefix("marts.") for suite in suites]
    return tuple(
        Suite("publish", name, f"unpublished.{name}", suite.table, suite.rules)
        for name, suite in zip(names, suites, strict=True)
    )


def load_in_background() -> None:
    """Begin to import Great Expectations, which takes seconds, while files are being read."""
    if "great_expectations" not in sys.modules and not _loading:
        _loading.append(threading.Thread(target=_load, daemon=True))
        _loading[0].start()


def _load() -> None:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # what goes wrong here goes wrong again, and is reported, when a gate needs it
    with contextlib.suppress(Exception):
        importlib.import_module("great_expectations.expectations")


def check(
    connection: duckdb.DuckDBPyConnection, suites: Sequence[Suite], run_id: str
) -> list[QualityResult]:
    """Run the suites in DuckDB and return one result per rule.

    Offending rows are counted, and fetched only for a rule that has some. A rule that cannot be run
    does not pass and counts as critical, whatever its severity. Suites whose batch is empty still
    run: a rule may ask for rows.
    """
    # imported here because it takes seconds and only a run that has something to check needs it
    from dagster_project.quality.gx_duckdb import add_duckdb

    source = add_duckdb(_context(), "warehouse", connection)
    results: list[QualityResult] = []
    for suite in suites:
        schema, name = suite.batch.split(".")
        asset = source.add_table_asset(suite.batch, table_name=name, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        (rows,) = connection.execute(f"select count(*) from {suite.batch}").fetchall()[0]
        found = _validate(batch, suite, suite.rules, with_rows=False)
        if offended := [rule for rule in suite.rules if not found[rule.id].success]:
            found |= _validate(batch, suite, offended, with_rows=True)
        results += [_result(rule, suite, found[rule.id], rows, run_id) for rule in suite.rules]
    return results


@functools.cache
def _context() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context


def _validate(
    batch: Any, suite: Suite, rules: Sequence[Rule], *, with_rows: bool
) -> dict[str, Any]:
    """What Great Expectations found, by rule; with the offending rows or only their number."""
    import great_expectations as gx

    expectations = [_expectation(rule, suite, with_rows=with_rows) for rule in rules]
    validation = batch.validate(
        gx.ExpectationSuite(name=suite.batch, expectations=expectations), result_format="COMPLETE"
    )
    return {r.expectation_config.meta["rule"]: r for r in validation.results}


def _expectation(rule: Rule, suite: Suite, *, with_rows: bool) -> Any:
    import great_expectations.expectations as gxe

    from dagster_project.quality.gx_duckdb import UnexpectedRowsCount

    meta = {"rule": rule.id}
    if rule.query is None:
        return gxe.ExpectTableRowCountToBeBetween(min_value=rule.min_rows, meta=meta)
    query = rule.query.replace("{table}", suite.table)
    if rule.max_percent:
        query = (
            f"with offending as ({query}) select * from offending "
            "where (select count(*) from offending) * 100.0 "
            f"> {rule.max_percent} * (select count(*) from {{batch}})"
        )
    kind = gxe.UnexpectedRowsExpectation if with_rows else UnexpectedRowsCount
    return kind(unexpected_rows_query=query, description=rule.description, meta=meta)


def _result(rule: Rule, suite: Suite, found: Any, rows: int, run_id: str) -> QualityResult:
    raised = _exception(found.exception_info)
    examples: list[dict[str, Any]] = []
    failed_rows = 0
    if not raised and not found.success and rule.query is not None:
        failed_rows = int(found.result["observed_value"])
        examples = found.result["details"]["unexpected_rows"][:_MAX_EXAMPLES]
    message = "" if found.success else f"Not so: {rule.description}"
    if raised:
        message = f"The check itself failed: {raised}"
    return QualityResult(
        run_id=run_id,
        checked_at=datetime.now(UTC),
        stage=suite.stage,
        dataset=suite.dataset,
        rule=rule.id,
        severity="critical" if raised else rule.severity,
        passed=bool(found.success) and not raised,
        checked_rows=rows,
        failed_rows=failed_rows,
        examples=[dict(e) for e in examples],
        message=message,
    )


def _exception(info: Any) -> str:
    """Great Expectations reports an exception flat, or one per metric it needed."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [e for e in entries if e.get("raised_exception")]
    return str(raised[0].get("exception_message") or "no message")[:500] if raised else ""
