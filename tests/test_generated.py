"""What is written from the contracts is up to date and holds nothing personal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_project.lib import generated
from dagster_project.lib.contracts import load_datasets, load_settings
from dagster_project.lib.generated import SEEDS_FILE, SOURCES_FILE, generated_files
from dagster_project.lib.paths import PROJECT_ROOT
from dagster_project.lib.raw_store import LINEAGE
from dagster_project.lib.text import normalise_header
from dagster_project.lib.warehouse import RUN_TABLES


@pytest.mark.parametrize("name", generated_files())
def test_the_generated_files_are_up_to_date(name: str) -> None:
    assert (PROJECT_ROOT / name).read_text(encoding="utf-8") == generated_files()[name], (
        "run `make generate`"
    )


def test_writing_brings_them_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = generated_files()
    for name in texts:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(generated, "generated_files", lambda: texts)
        patch.setattr(generated, "PROJECT_ROOT", tmp_path)
        generated.write_generated_files()
    for name, text in texts.items():
        assert (tmp_path / name).read_text(encoding="utf-8") == text


def _tables(source: str) -> dict[str, Any]:
    sources = yaml.safe_load(SOURCES_FILE.read_text(encoding="utf-8"))["sources"]
    (found,) = (s for s in sources if s["name"] == source)
    return {table["name"]: table for table in found["tables"]}


def test_every_dataset_is_a_source_with_all_its_columns_described() -> None:
    tables = _tables("raw")
    assert set(tables) == {*load_datasets(), *RUN_TABLES}
    for name, dataset in load_datasets().items():
        columns = {c["name"]: c["data_type"].upper() for c in tables[name]["columns"]}
        assert columns == {c.name: c.type for c in dataset.columns} | LINEAGE
    for table in (*tables.values(), *_tables("own_settings").values()):
        assert table["description"]
        assert all(column["description"] for column in table["columns"]), table["name"]


def _bundled() -> set[str]:
    return {setting.name for setting in load_settings().values() if setting.is_bundled}


def test_every_setting_is_a_seed_and_a_source_of_own_rows() -> None:
    seeds = yaml.safe_load(SEEDS_FILE.read_text(encoding="utf-8"))["seeds"]
    assert set(load_settings()) == set(_tables("own_settings"))
    assert (
        {seed["name"] for seed in seeds} == _bundled() == set(load_settings()) - {"quality_rules"}
    )
    for seed in seeds:
        types = {c.name: c.type.lower() for c in load_settings()[seed["name"]].columns}
        assert seed["config"]["column_types"] == types


def test_personal_columns_are_in_no_source() -> None:
    personal = {normalise_header(h) for d in load_datasets().values() for h in d.personal_headers}
    for name in load_datasets():
        for column in _tables("raw")[name]["columns"]:
            assert normalise_header(column["name"].replace("_", " ")) not in personal
