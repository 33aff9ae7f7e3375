"""The metrics as MetricFlow knows them, asked of a publication.

dbt describes the semantic models over the marts of the warehouse, which is the pipeline's own.
Readers have the same marts under the same names in a publication, so what dbt says of the metrics
is handed to MetricFlow with the tables' addresses there.
"""

from __future__ import annotations

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

# Its days are those of the shops: `int_calendar`, with which dbt describes them, is not published.
_DAYS = "(select distinct metric_date as calendar_date from marts.main.shop_metrics_daily)"


def run_metricflow(version: Version, arguments: Sequence[str]) -> int:
    """Run `mf` on a publication; returns its exit code. The dbt manifest is up to date."""
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), version)
        places = dict.fromkeys(("DBT_PROJECT_DIR", "DBT_PROFILES_DIR", "DBT_LOG_PATH"), folder)
        done = subprocess.run(  # noqa: S603 - our own environment's program
            [str(Path(sys.executable).with_name("mf")), *arguments],
            env=os.environ | places,
            check=False,
        )
    return done.returncode


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
