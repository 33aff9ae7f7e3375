"""The dbt sources and seeds, written from the contracts, so that a raw column is declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from dagster_project.lib.contracts import Dataset, load_datasets, load_settings
from dagster_project.lib.paths import DBT_DIR
from dagster_project.lib.raw_store import LINEAGE, LINEAGE_DESCRIPTIONS
from dagster_project.lib.warehouse import RUN_TABLES

_NOTE = "# Written by `make generate` from data_contracts/; a test fails when the two differ.\n"
SOURCES_FILE = DBT_DIR / "models" / "staging" / "_sources.yml"
SEEDS_FILE = DBT_DIR / "seeds" / "_seeds.yml"


def generated_files() -> dict[str, str]:
    """The text of each generated file by its path, relative to the dbt project."""
    return {
        str(SOURCES_FILE.relative_to(DBT_DIR)): _NOTE + _dump(_sources()),
        str(SEEDS_FILE.relative_to(DBT_DIR)): _NOTE + _dump(_seeds()),
    }


def write_generated_files() -> None:
    """Bring the generated files up to date."""
    for name, text in generated_files().items():
        (DBT_DIR / name).write_text(text, encoding="utf-8")


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
