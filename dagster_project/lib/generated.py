"""Files written from contracts and mart yml, so that each thing is declared once.

dbt's sources and seeds, the page of rules, the data dictionary.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dagster_project.lib.contracts import (
    Dataset,
    load_datasets,
    load_gate_suites,
    load_settings,
)
from dagster_project.lib.descriptions import describe_mart, mart_types
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DBT_DIR, GATES_DIR, PROJECT_ROOT
from dagster_project.lib.published_version import LEDGER_TABLES, MARTS
from dagster_project.lib.raw_store import LINEAGE, LINEAGE_DESCRIPTIONS
from dagster_project.lib.warehouse import RUN_TABLES

_NOTE = "# Written by `make generate` from data_contracts/; a test fails when the two differ.\n"
SOURCES_FILE = DBT_DIR / "models" / "staging" / "_sources.yml"
SEEDS_FILE = DBT_DIR / "seeds" / "_seeds.yml"
RULES_FILE = PROJECT_ROOT / "docs" / "quality-rules.md"
DICTIONARY_FILE = PROJECT_ROOT / "docs" / "data-dictionary.md"


def generated_files() -> dict[str, str]:
    """The text of each generated file by its path, relative to the project."""
    texts = {
        SOURCES_FILE: _NOTE + _dump(_sources()),
        SEEDS_FILE: _NOTE + _dump(_seeds()),
        RULES_FILE: _rules(),
        DICTIONARY_FILE: "\n".join(_dictionary()) + "\n",
    }
    return {str(path.relative_to(PROJECT_ROOT)): text for path, text in texts.items()}


def write_generated_files() -> None:
    """Bring the generated files up to date."""
    for name, text in generated_files().items():
        (PROJECT_ROOT / name).write_text(text, encoding="utf-8")


def _rules() -> str:
    lines = [
        "# The rules of the quality gates",
        "",
        "Written by `make generate` from `data_contracts/`. The raw gate looks at what new files",
        "brought, before anything is computed; the publish gate at what was computed, before",
        "readers see it. A *warning* is told. Where a *critical* rule is broken, what it can be",
        "laid at is set apart and the rest is published. New files are withdrawn: each later run",
        "that has anything new judges them again, `feedback retract` takes them out for good. A",
        "shop stays as in its last good publication, as the published table `frozen_shops` says.",
        "The gate closes, and nothing is published, for what can be laid at neither or at all",
        "shops, for a limit in percent of all rows (plain `percent` below), for a rule that cannot",
        "be checked, and where the last publication is damaged, was computed by other code or",
        "metric settings, or has rows of the shop that were retracted since.",
        "",
        "What is right as it is may pass once, on the record:",
        "`feedback run --accept RULE --reason TEXT`. Severities (critical, warning, off) and",
        "limits are set in `settings/quality_rules.csv` of the data directory, for all shops or",
        "for one:",
        "",
        "```csv",
        "rule,shop_id,severity,limit_value",
        "files_have_few_rejected_rows,,critical,5",
        "shop_orders_leave_no_hole,my-weekend-shop,,4",
        "```",
    ]
    files = load_gate_suites(GATES_DIR / "files.yaml")
    publication = load_gate_suites(GATES_DIR / "publication.yaml")
    gates = {
        "Raw gate": [
            *((dataset.name, dataset.rules) for dataset in load_datasets().values()),
            *((suite.table.partition(".")[2], suite.rules) for suite in files),
        ],
        "Publish gate": [(suite.table.partition(".")[2], suite.rules) for suite in publication],
    }
    for gate, judged in gates.items():
        lines += ["", f"## {gate}", ""]
        lines += ["| of | rule | severity | limit | what must hold |", "|---|---|---|---|---|"]
        for name, rules in judged:
            for rule in rules:
                severity = f"**{rule.severity}**" if rule.severity == "critical" else rule.severity
                limit = f"{rule.limit:g} {rule.unit}" if rule.unit else ""
                lines.append(
                    f"| {name} | `{rule.id}` | {severity} | {limit} | {rule.description} |"
                )
    return "\n".join(lines) + "\n"


def _dictionary() -> Iterator[str]:
    yield from (
        "# Data dictionary",
        "",
        "Written by `make generate` from the contracts in `data_contracts/` and the marts' yml.",
        "",
        "## What is published",
        "",
        "Tables of `published/marts.duckdb`, schema `main`, each also a Parquet file. Clients show",
        "the same words as comments of tables and columns. Rates are shares: 0.005 is 0.5 %.",
    )
    for name in MARTS:
        described, types = describe_mart(name), mart_types(name)
        columns = [(c, types[c], text) for c, text in described.columns.items()]
        yield from _dictionary_table(name, described.description, columns)
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open(Path(folder) / "ledger.duckdb") as ledger,
    ):
        for name, table in LEDGER_TABLES.items():
            found = ledger.con.sql(table.query).types
            texts = zip(table.columns.items(), found, strict=True)
            columns = [(c, str(kind), text) for (c, text), kind in texts]
            yield from _dictionary_table(name, table.description, columns)
    yield from (
        "",
        "## What exports bring",
        "",
        "What ingest keeps of them, all versions of every record; the column's name in the export",
        "where it is another. **Bold**: a row without it is rejected. Columns called personal are",
        "never stored.",
    )
    for dataset in load_datasets().values():
        yield from _dictionary_of(dataset)
        if dataset.personal_headers:
            yield from ("", f"Personal: {', '.join(dataset.personal_headers)}.")
    yield from (
        "",
        "## Settings",
        "",
        "Bundled rows lie in `dbt_project/seeds/`; your own in `settings/` of the data directory.",
    )
    for dataset in load_settings().values():
        yield from _dictionary_of(dataset)


def _dictionary_of(dataset: Dataset) -> Iterator[str]:
    columns = []
    for column in dataset.columns:
        others = [header for header in column.headers[:1] if header != column.name]
        text = f"{column.description}{f' In the export: {others[0]}.' if others else ''}"
        name = f"**{column.name}**" if column.required else column.name
        columns.append((name, column.type, text))
    return _dictionary_table(dataset.name, f"{dataset.description} {dataset.grain}", columns)


def _dictionary_table(
    name: str, description: str, columns: Iterable[tuple[str, str, str]]
) -> Iterator[str]:
    yield from ("", f"### {name}", "", description, "", "| column | type | what it is |")
    yield "|---|---|---|"
    for row in columns:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _sources() -> dict[str, Any]:
    raw = [_table(d, lineage=True) for d in load_datasets().values()]
    for name, (description, columns) in RUN_TABLES.items():
        raw.append({"name": name, "description": description, "columns": _columns(columns)})
    own = [_table(d, lineage=False) for d in load_settings().values()]
    return {
        "version": 2,
        "sources": [
            {"name": "raw", "description": "What ingest accepted, typed.", "tables": raw},
            {
                "name": "raw_changed",
                "description": "Of these, the rows of files that came or went since the models "
                "were built; nothing when they are built anew.",
                "tables": [_changed_table(d) for d in load_datasets().values()],
            },
            {
                "name": "own_settings",
                "description": "The data directory's own rows of the settings.",
                "tables": own,
            },
        ],
    }


def _seeds() -> dict[str, Any]:
    seeds = []
    for dataset in load_settings().values():
        if not dataset.is_bundled:
            continue
        table = _table(dataset, lineage=False)
        table["config"] = {"column_types": {c.name: c.type.lower() for c in dataset.columns}}
        seeds.append(table)
    return {"version": 2, "seeds": seeds}


def _table(dataset: Dataset, *, lineage: bool) -> dict[str, Any]:
    columns = {c.name: (c.type, c.description) for c in dataset.columns}
    if lineage:
        columns |= {name: (kind, LINEAGE_DESCRIPTIONS[name]) for name, kind in LINEAGE.items()}
    return {
        "name": dataset.name,
        "description": f"{dataset.description} {dataset.grain}",
        "columns": _columns(columns),
    }


def _changed_table(dataset: Dataset) -> dict[str, Any]:
    table = _table(dataset, lineage=True)
    gone = ("BOOLEAN", "Whether the row's file went.")
    return table | {"columns": [*table["columns"], *_columns({"_is_gone": gone})]}


def _columns(columns: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "data_type": kind.lower(), "description": description}
        for name, (kind, description) in columns.items()
    ]


def _dump(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


if __name__ == "__main__":
    write_generated_files()
