"""The dbt project: its unit tests pass, it documents every column, models say their grain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib import warehouse
from dagster_project.lib.dbt_manifest import MANIFEST
from dagster_project.lib.paths import DBT_DIR
from tests.support import Published

MODELS = sorted(path for path in (DBT_DIR / "models").rglob("*") if path.suffix in (".sql", ".py"))


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


def test_the_calendar_has_every_day_of_a_history_of_many_years(
    published: Published, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(published.data.warehouse, warehouse)
    with duckdb.connect(str(warehouse)) as con:
        con.execute(
            "update staging.stg_exports__order_lines set delivered_date = date '2006-05-04' "
            "where order_key = (select min(order_key) from staging.stg_exports__order_lines)"
        )
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dbt"),
            *("run", "--select", "int_calendar"),
            *("--target-path", tmp_path / "target", "--log-path", tmp_path / "logs"),
        ],
        cwd=DBT_DIR,
        env=dict(os.environ, FEEDBACK_WAREHOUSE=str(warehouse), DBT_PROFILES_DIR=str(DBT_DIR)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    with duckdb.connect(str(warehouse)) as con:
        found = con.execute(
            "select count(*), count(distinct calendar_date), min(calendar_date), "
            "max(calendar_date), max(day_number) from intermediate.int_calendar"
        ).fetchall()
    days = (date(2026, 10, 31) - date(2006, 5, 4)).days
    assert found == [(days + 1, days + 1, date(2006, 5, 4), date(2026, 10, 31), days)]


@pytest.mark.parametrize(
    "changed",
    [
        "dbt_project/models/a.py",
        "dbt_project/models/a.sql",
        "data_contracts/a.yaml",
        "dagster_project/lib/review_reasons.py",
    ],
)
def test_code_that_decides_over_figures_is_part_of_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    for name in ("dbt_project/models/b.sql", "dagster_project/lib/review_reasons.py", changed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(warehouse, "DBT_DIR", tmp_path / "dbt_project")
    monkeypatch.setattr(warehouse, "PROJECT_ROOT", tmp_path)
    before = warehouse.code_version()
    assert warehouse.code_version() == before
    (tmp_path / changed).write_text("after")
    assert warehouse.code_version() != before


def test_runs_that_begin_at_once_find_one_whole_manifest(tmp_path: Path) -> None:
    parse = (
        "import sys, json, pathlib; from dagster_project.lib.dbt_manifest import ensure_manifest; "
        "target = pathlib.Path(sys.argv[1]); ensure_manifest(target); "
        "print(len(json.loads((target / 'manifest.json').read_text())['nodes']))"
    )
    command = [sys.executable, "-c", parse, str(tmp_path / "target")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(found) == 1
    assert int(found.pop()) > 50
    assert not list((tmp_path / "target" / "parsing").iterdir())


def test_a_run_in_production_leaves_the_unit_tests_out(published: Published) -> None:
    (path,) = (published.data.dbt / "target").glob("**/run_results.json")
    ran = {r["unique_id"].split(".")[0] for r in json.loads(path.read_text())["results"]}
    assert ran == {"model", "seed", "test"}


def test_first_run_of_a_data_directory_parses_nothing_anew(published: Published) -> None:
    (log,) = (published.data.dbt / "target").glob("**/dbt.log")
    lines = map(json.loads, filter(str.strip, log.read_text().splitlines()))
    events = {line["info"]["name"] for line in lines}
    assert "PartialParsingSkipParsing" in events
    assert "UnableToPartialParse" not in events


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


def test_every_mart_is_read_by_a_named_reader_and_every_metric_described(manifest: None) -> None:
    described = json.loads(MANIFEST.read_text())
    marts = {
        key
        for key, node in described["nodes"].items()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
    exposures = described["exposures"].values()
    assert {e["name"] for e in exposures} >= {"dashboard", "digest", "bi"}
    assert {mart for e in exposures for mart in e["depends_on"]["nodes"]} == marts
    metrics = described["metrics"].values()
    assert {m["name"] for m in metrics} >= {"nrr", "sfrr", "complaint_rate"}
    assert all(m["description"] for m in metrics)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_says_its_grain(path: Path) -> None:
    comment = "# " if path.suffix == ".py" else "-- "
    assert path.read_text().startswith(f"{comment}grain: ")


def test_every_model_has_one_yml_beside_it() -> None:
    for path in MODELS:
        assert path.with_suffix(".yml").exists(), path
