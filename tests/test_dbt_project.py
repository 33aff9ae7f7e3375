"""The dbt project: its unit tests pass, it documents every column, models say their grain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.dbt_manifest import MANIFEST
from dagster_project.lib.paths import DBT_DIR
from tests.support import Published

MODELS = sorted((DBT_DIR / "models").rglob("*.sql"))


def test_every_unit_test_of_the_project_passes(published: Published, tmp_path: Path) -> None:
    shutil.copy(published.data.warehouse, tmp_path / "warehouse.duckdb")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dbt"),
            *("test", "--select", "test_type:unit"),
            *("--target-path", tmp_path / "target", "--log-path", tmp_path / "logs"),
        ],
        cwd=DBT_DIR,
        env=dict(
            os.environ,
            FEEDBACK_WAREHOUSE=str(tmp_path / "warehouse.duckdb"),
            DBT_PROFILES_DIR=str(DBT_DIR),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    results = json.loads((tmp_path / "target" / "run_results.json").read_text())["results"]
    assert len(results) >= 40
    assert {r["status"] for r in results} == {"pass"}


def test_a_run_in_production_leaves_the_unit_tests_out(published: Published) -> None:
    (path,) = (published.data.dbt / "target").glob("**/run_results.json")
    ran = {r["unique_id"].split(".")[0] for r in json.loads(path.read_text())["results"]}
    assert ran == {"model", "seed", "test"}


def test_every_model_and_column_is_described(manifest: None, published: Published) -> None:
    nodes = json.loads(MANIFEST.read_text())["nodes"].values()
    models = [n for n in nodes if n["resource_type"] == "model"]
    assert len(models) == len(MODELS)
    with duckdb.connect(str(published.data.warehouse), read_only=True) as con:
        for model in models:
            assert model["description"], model["name"]
            built = con.execute(f"describe {model['schema']}.{model['name']}").fetchall()
            described = {n for n, c in model["columns"].items() if c["description"].strip()}
            assert described == {row[0] for row in built}, model["name"]


def test_every_mart_has_an_enforced_contract(manifest: None) -> None:
    nodes = json.loads(MANIFEST.read_text())["nodes"].values()
    marts = [n for n in nodes if n["resource_type"] == "model" and n["fqn"][1] == "marts"]
    assert marts
    assert all(n["config"]["contract"]["enforced"] for n in marts)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_says_its_grain(path: Path) -> None:
    assert path.read_text().startswith("-- grain: ")


def test_every_model_has_one_yml_beside_it() -> None:
    for path in MODELS:
        assert path.with_suffix(".yml").exists(), path
