"""The two gates: raw data before dbt, marts before publishing."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from dagster_project.lib.contracts import Rule, all_rules, load_datasets, load_gate_suites
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.ledger import QualityResult
from dagster_project.lib.paths import GATES_DIR
from dagster_project.lib.text import printable
from dagster_project.quality.own_rules import OwnRules, read_own_rules

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


@dataclass(frozen=True)
class Offender:
    """What a row that breaks a rule can be laid at: a file, a shop, both or neither."""

    shop_id: str | None
    dataset: str
    file_id: str | None


# What is done about offenders so that the rest can go on, in words; None where nothing can be.
Contain = Callable[[Suite, Rule, Sequence[Offender]], str | None]


def check_acceptance(rules: Collection[str], reason: str) -> None:
    """Raise ConfigurationError unless the rules to let pass exist and a reason goes with them."""
    if unknown := set(rules) - all_rules().keys():
        raise ConfigurationError(
            f"No rule is called {', '.join(map(printable, sorted(unknown)))}; "
            f"these are {', '.join(sorted(all_rules()))}."
        )
    if bool(rules) != bool(reason.strip()):
        raise ConfigurationError("--accept RULE and --reason TEXT go together.")


def check(
    connection: duckdb.DuckDBPyConnection,
    suites: Sequence[Suite],
    run_id: str,
    accepted: Mapping[str, str] | None = None,
    contain: Contain | None = None,
) -> list[QualityResult]:
    """Run the suites in DuckDB and return one result per rule.

    Offending rows are counted, and fetched only for a rule that has some. A rule that cannot be run
    does not pass and counts as critical, whatever its severity. Suites whose batch is empty still
    run: a rule may ask for rows. `accepted` rules may be broken, for the reason given, but not left
    unchecked; of others that are critical `contain` is asked to set the offenders apart.
    """
    # imported here because it takes seconds and only a run that has something to check needs it
    from dagster_project.quality.gx_duckdb import add_duckdb

    source = add_duckdb(_context(), "warehouse", connection)
    own = read_own_rules(connection)
    results: list[QualityResult] = []
    for suite in suites:
        schema, name = suite.batch.split(".")
        asset = source.add_table_asset(suite.batch, table_name=name, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        (rows,) = connection.execute(f"select count(*) from {suite.batch}").fetchall()[0]
        found = _validate(batch, suite, suite.rules, own, with_rows=False)
        if offended := [rule for rule in suite.rules if not found[rule.id].success]:
            found |= _validate(batch, suite, offended, own, with_rows=True)
        for rule in suite.rules:
            result, offenders = _judge(connection, suite, rule, own, found[rule.id])
            result = replace(result, run_id=run_id, checked_rows=rows)
            if result.passed or _exception(found[rule.id].exception_info):
                results.append(result)
                continue
            result = replace(result, accepted_reason=(accepted or {}).get(rule.id))
            if contain and result.severity == "critical" and result.accepted_reason is None:
                critical = [o for o in offenders if own.severity(rule, o.shop_id) == "critical"]
                result = replace(result, contained=contain(suite, rule, critical))
            results.append(result)
    return results


def _judge(
    connection: duckdb.DuckDBPyConnection, suite: Suite, rule: Rule, own: OwnRules, found: Any
) -> tuple[QualityResult, list[Offender]]:
    """What Great Expectations found, in our words, and whom it can be laid at."""
    raised = _exception(found.exception_info)
    is_broken = not found.success and not raised
    offenders = _offenders(connection, suite, rule, own) if is_broken else []
    result = QualityResult(
        run_id="",
        checked_at=datetime.now(UTC),
        stage=suite.stage,
        dataset=suite.dataset,
        rule=rule.id,
        severity="critical" if raised else _severity(rule, own, offenders),
        passed=bool(found.success) and not raised,
        checked_rows=0,
        failed_rows=_failed_rows(rule, found) if is_broken else 0,
        examples=_examples(rule, found) if is_broken else [],
        message=_message(rule, raised, is_broken=is_broken),
    )
    return result, offenders


def _severity(rule: Rule, own: OwnRules, offenders: Sequence[Offender]) -> str:
    """The rule's own, or where it is broken the worst of the shops that break it."""
    severities = {own.severity(rule, o.shop_id) for o in offenders} or {own.severity(rule)}
    return next(s for s in ("critical", "warning", "off") if s in severities)


def _offenders(
    connection: duckdb.DuckDBPyConnection, suite: Suite, rule: Rule, own: OwnRules
) -> list[Offender]:
    """Whom the broken rule names; nobody where it counts rows."""
    if rule.query is None:
        return []
    query = own.offending(rule).replace("{table}", suite.table).replace("{batch}", suite.batch)
    relation = connection.sql(query)
    named = [c for c in ("shop_id", "dataset", "_file_id") if c in relation.columns]
    if not named:
        return [Offender(None, suite.dataset, None)]
    found = relation.project(", ".join(named)).distinct().order("all").fetchall()
    rows = [dict(zip(named, row, strict=True)) for row in found]
    return [
        Offender(r.get("shop_id"), r.get("dataset", suite.dataset), r.get("_file_id")) for r in rows
    ]


@functools.cache
def _context() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context


def _validate(
    batch: Any, suite: Suite, rules: Sequence[Rule], own: OwnRules, *, with_rows: bool
) -> dict[str, Any]:
    """What Great Expectations found, by rule; with the offending rows or only their number."""
    import great_expectations as gx

    expectations = [_expectation(rule, suite, own, with_rows=with_rows) for rule in rules]
    validation = batch.validate(
        gx.ExpectationSuite(name=suite.batch, expectations=expectations), result_format="COMPLETE"
    )
    return {r.expectation_config.meta["rule"]: r for r in validation.results}


def _expectation(rule: Rule, suite: Suite, own: OwnRules, *, with_rows: bool) -> Any:
    import great_expectations.expectations as gxe

    from dagster_project.quality.gx_duckdb import UnexpectedRowsCount

    meta = {"rule": rule.id}
    if rule.query is None:
        return gxe.ExpectTableRowCountToBeBetween(min_value=int(rule.limit), meta=meta)
    query = own.offending(rule).replace("{table}", suite.table)
    if with_rows:  # of the same data the same examples
        query = f"select * from ({query}) order by all"
    kind = gxe.UnexpectedRowsExpectation if with_rows else UnexpectedRowsCount
    return kind(unexpected_rows_query=query, description=rule.description, meta=meta)


def _failed_rows(rule: Rule, found: Any) -> int:
    return int(found.result["observed_value"]) if rule.query is not None else 0


def _examples(rule: Rule, found: Any) -> list[dict[str, Any]]:
    if rule.query is None:
        return []
    return [dict(e) for e in found.result["details"]["unexpected_rows"][:_MAX_EXAMPLES]]


def _message(rule: Rule, raised: str, *, is_broken: bool) -> str:
    if raised:
        return f"The check itself failed: {raised}"
    return f"Not so: {rule.description}" if is_broken else ""


def _exception(info: Any) -> str:
    """Great Expectations reports an exception flat, or one per metric it needed."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [e for e in entries if e.get("raised_exception")]
    return str(raised[0].get("exception_message") or "no message")[:500] if raised else ""
