"""The metrics as MetricFlow knows them, asked of a publication.

dbt describes the semantic models over the marts of the warehouse, which is the pipeline's own.
Readers have the same marts under the same names in a publication, so what dbt says of the metrics
is handed to MetricFlow with the tables' addresses there.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.dbt_manifest import SEMANTIC_MANIFEST
from dagster_project.lib.paths import DBT_DIR
from dagster_project.lib.publications import Version
from dagster_project.lib.text import spreadsheet_safe

# Its days are those of the shops: `int_calendar`, with which dbt describes them, is not published.
_DAYS = "(select distinct metric_date as calendar_date from marts.main.shop_metrics_daily)"


def run_metricflow(version: Version, arguments: Sequence[str]) -> int:
    """Run `mf` on a publication; returns its exit code. The dbt manifest is up to date.

    In the CSV that it was asked for, cells that look like formulas become text.
    """
    out = _csv_of(arguments)
    before = _written_at(out)
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), version)
        places = dict.fromkeys(("DBT_PROJECT_DIR", "DBT_PROFILES_DIR", "DBT_LOG_PATH"), folder)
        done = subprocess.run(  # noqa: S603 - our own environment's program
            [str(Path(sys.executable).with_name("mf")), *arguments],
            env=os.environ | places | {"PYTHONUTF8": "1"},
            check=False,
        )
    if out and _written_at(out) != before:
        _guard(out)
    return done.returncode


def _csv_of(arguments: Sequence[str]) -> Path | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--csv", type=Path, nargs="?")
    out: Path | None = parser.parse_known_args(arguments)[0].csv
    return out


def _written_at(path: Path | None) -> int | None:
    return path.stat().st_mtime_ns if path and path.is_file() else None


def _guard(path: Path) -> None:
    """Rewrite a CSV of MetricFlow, in which no figure is negative."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [[spreadsheet_safe(cell) for cell in row] for row in csv.reader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def write_project(folder: Path, version: Version) -> None:
    """Make the empty `folder` one in which `mf` asks the publication, which it only reads."""
    described = json.loads(SEMANTIC_MANIFEST.read_text(encoding="utf-8"))
    for model in described["semantic_models"]:
        model["node_relation"] = _address(model["node_relation"]["alias"])
    for spine in described["project_configuration"]["time_spines"]:
        spine["node_relation"]["relation_name"] = _DAYS
    (folder / "target").mkdir()
    (folder / "target" / "semantic_manifest.json").write_text(json.dumps(described))
    shutil.copyfile(DBT_DIR / "dbt_project.yml", folder / "dbt_project.yml")
    output = {
        "type": "duckdb",
        "path": str(version.folder / "marts.duckdb"),
        "config_options": {"access_mode": "READ_ONLY"} | OFFLINE,
    }
    profiles = {"feedback": {"target": "publication", "outputs": {"publication": output}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")


def _address(table: str) -> dict[str, Any]:
    return {
        "alias": table,
        "schema_name": "main",
        "database": "marts",
        "relation_name": f"marts.main.{table}",
    }
