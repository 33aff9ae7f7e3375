"""Compiles the dbt project's models for the Spark adapter, in a process of its own, without Spark.

`python -m tests.spark_compile WORK_DIR` writes `WORK_DIR/compiled.json`: the SQL of every model and
data test by form (see `FORMS`) and name. dbt-spark and dbt's compiler are the real ones; only the
connection is replaced, by one that answers the few questions that models ask while they compile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import yaml
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.spark.connections import SparkConnectionManager, SparkConnectionWrapper
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from dagster_project.lib.paths import DBT_DIR

ENGINE_FILE = "macros/engine.sql"
# What an engine macro writes in the neutral forms: a call that no ban mistakes for a function.
NEUTRAL_PREFIX = "engine__"
# The form's name: whether the marts stand already, and whether engine macros stay unexpanded.
FORMS = {
    "full": (False, False),
    "increment": (True, False),
    "full, neutral": (False, True),
    "increment, neutral": (True, True),
}

PROFILE = {
    "feedback": {
        "target": "spark",
        "outputs": {
            "spark": {
                "type": "spark",
                "method": "session",
                "host": "none",
                "schema": "main",
                "threads": 1,
            }
        },
    }
}


class PretendedSpark(SparkConnectionWrapper):
    """Answers what models ask while they compile; refuses all else."""

    has_marts = False

    def cursor(self) -> PretendedSpark:
        return self

    def execute(self, sql: str, bindings: list[Any] | None = None) -> None:
        self._columns, self._rows = self._answer(sql[sql.rfind("*/") + 2 :].strip().lower())

    def _answer(self, question: str) -> tuple[list[str], list[tuple[object, ...]]]:
        if question.startswith("show table extended in"):
            mart: tuple[object, ...] = ("marts", "metric_status_daily", False, "Type: MANAGED")
            has_it = self.has_marts and question.startswith("show table extended in marts")
            return ["database", "tableName", "isTemporary", "information"], [mart] if has_it else []
        # an increment that reads no record anew has only some of the parts of one that does
        if question.startswith("select 1 from raw.reread"):
            return ["1"], [(1,)]
        raise ValueError(f"models ask Spark while they compile: {question}")

    def fetchall(self) -> list[tuple[object, ...]]:
        return self._rows

    @property
    def description(self) -> list[tuple[str, str, None, None, None, None, bool]]:
        return [(name, "string", None, None, None, None, True) for name in self._columns]

    def cancel(self) -> None: ...

    def close(self) -> None: ...

    def rollback(self) -> None: ...


def open_pretended(connection: Connection) -> Connection:
    connection.handle = PretendedSpark()
    connection.state = ConnectionState.OPEN
    return connection


def invoke(dbt: dbtRunner, work: Path, *command: str) -> Any:
    done = dbt.invoke(
        [
            *command,
            *("--project-dir", str(DBT_DIR), "--profiles-dir", str(work)),
            *("--target-path", str(work / "target"), "--log-path", str(work / "logs")),
            "--quiet",
        ]
    )
    if not done.success:
        failed = [r.message for r in getattr(done.result, "results", []) if r.message]
        raise SystemExit(f"dbt {command[0]}: {done.exception or failed}")
    return done.result


def unexpand_engine_macros(manifest: Manifest) -> None:
    """Spark's own macros of the engine file write `engine__<name>(<arguments>)` from here on."""
    for macro in manifest.macros.values():
        if macro.original_file_path == ENGINE_FILE and macro.name.startswith("spark__"):
            call = macro.name.replace("spark__", NEUTRAL_PREFIX)
            macro.macro_sql = (
                f"{{% macro {macro.name}() %}}{call}("
                "{% for given in varargs %}"
                "{{ given | join(', ') if given is iterable and given is not string else given }}"
                "{{ ', ' if not loop.last }}{% endfor %})"
                "{% endmacro %}"
            )


def compile_forms(work: Path) -> Iterator[tuple[str, dict[str, str]]]:
    manifest: Manifest = invoke(dbtRunner(), work, "parse", "--no-partial-parse")
    for form, (has_marts, is_neutral) in FORMS.items():
        PretendedSpark.has_marts = has_marts
        if is_neutral:
            unexpand_engine_macros(manifest)
        done = invoke(
            dbtRunner(manifest=manifest), work, "compile", "--select", "resource_type:model"
        )
        yield (
            form,
            {r.node.name: r.node.compiled_code for r in done.results if r.node.language == "sql"},
        )


def main(work: Path) -> None:
    (work / "profiles.yml").write_text(yaml.safe_dump(PROFILE), encoding="utf-8")
    with (
        # dbt-spark only asks whether it can be imported
        mock.patch.dict(sys.modules, pyspark=ModuleType("pyspark")),
        mock.patch.object(SparkConnectionManager, "open", staticmethod(open_pretended)),
    ):
        compiled = dict(compile_forms(work))
    (work / "compiled.json").write_text(json.dumps(compiled), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
