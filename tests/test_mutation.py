"""The short form of `make mutation`: faults put into models and lib/ that the tests must notice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import mutate_lib, mutate_sql
from benchmarks.mutate_sql import KINDS, Mutant, mutants, sample
from dagster_project.lib.paths import PROJECT_ROOT

# the reference on few shops, in place of all that `make mutation` runs
QUICK = (
    (
        "tests/test_marts_equal_reference.py::test_marts_equal_the_reference_up_to_a_given_as_of",
        {"REFERENCE_SHOPS": "12"},
    ),
)


def the_mutant(path: str, kind: str, old: str) -> Mutant:
    (found,) = (m for m in mutants() if (m.path.name, m.kind) == (path, kind) and old in m.old)
    return found


def test_every_kind_makes_mutants_that_differ_from_the_model() -> None:
    found = list(mutants())
    assert {m.kind for m in found} == set(KINDS)
    for mutant in found:
        assert mutant.text != mutant.path.read_text(encoding="utf-8")
        assert mutant.old != mutant.new
        assert mutant.path.is_relative_to(PROJECT_ROOT / "dbt_project")
    assert len({(m.path, m.text) for m in found}) == len(found)


def test_sample_is_the_same_for_a_seed_and_has_of_every_kind() -> None:
    chosen = sample(2 * len(KINDS), 5)
    assert chosen == sample(2 * len(KINDS), 5)
    assert chosen != sample(2 * len(KINDS), 6)
    assert {m.kind for m in chosen} == set(KINDS)


def test_mutants_that_are_explained_can_still_be_made() -> None:
    of_readme = re.findall(
        r"^\| (\S+\.sql):\d+ (.+?) \| [^|]+ \|$", mutate_sql.README.read_text(), re.M
    )
    made = [(re.sub(r":\d+$", "", where), words) for where, words in (
        str(mutant).replace("|", r"\|").split(" ", 1) for mutant in mutants()
    )]  # fmt: skip
    assert len(of_readme) > 5
    assert set(of_readme) <= set(made)
    assert any(mutant.is_explained for mutant in mutants())
    assert not all(mutant.is_explained for mutant in mutants())


@pytest.mark.slow
def test_a_fault_put_into_a_macro_is_noticed() -> None:
    killed_by = mutate_sql.killer(
        the_mutant("rolling.sql", "window shifted", "as window_end"), QUICK
    )
    assert killed_by == "test_marts_equal_the_reference_up_to_a_given_as_of"


@pytest.mark.slow
def test_models_as_they_are_live() -> None:
    assert mutate_sql.killer(None, QUICK) is None


NARROW = """[tool.mutmut]
source_paths = ["dagster_project/"]
only_mutate = ["dagster_project/lib/shops.py"]
also_copy = ["data_contracts/", "dbt_project/"]
pytest_add_cli_args_test_selection = ["tests/test_shops.py"]
pytest_add_cli_args = ["--no-cov", "-p", "no:cacheprovider"]
process_isolation = "forkserver"
use_git_change_detection = false

"""


@pytest.mark.slow
def test_faults_put_into_a_module_of_lib_are_noticed(tmp_path: Path) -> None:
    project = tmp_path / "project"
    leave = shutil.ignore_patterns(".git", ".venv", "target", "data", ".*_cache", "mutants")
    shutil.copytree(PROJECT_ROOT, project, ignore=leave)
    settings = project / "pyproject.toml"
    text = re.sub(
        r"\[tool\.mutmut\].*?(?=^\[tool\.cov)", NARROW, settings.read_text(), flags=re.S | re.M
    )
    assert text != settings.read_text()
    settings.write_text(text)
    tried = "dagster_project.lib.shops.x__check__mutmut_1*"
    mutate_lib.run(project, tried)
    found = mutate_lib.verdicts(project)
    assert len(found) > 50
    killed = [name for name, verdict in found.items() if verdict == "killed"]
    assert len(killed) >= 8
    assert {found[name] for name in found} <= {"killed", "lives", "not run"}
    modules = mutate_lib.table({name: found[name] for name in killed})
    assert f"| all | {len(killed)} | {len(killed)} |" in modules


def test_what_fast_tests_leave_alive_is_tried_with_those_that_mutmut_cannot_see(
    tmp_path: Path,
) -> None:
    tests = tmp_path / "mutants" / "tests"
    tests.mkdir(parents=True)
    (tests / "conftest.py").write_text(
        "def pytest_configure(config): config.addinivalue_line('markers', 'slow')"
    )
    slow = ("approved", "cli", "pipeline")
    for name in ("landing", "notify", *slow):
        (tests / f"test_{name}.py").write_text(
            f"import os, pytest\n{'@pytest.mark.slow' if name in slow else ''}\n"
            f"def test_of_{name}(): assert '{name}' not in os.environ['MUTANT_UNDER_TEST']\n"
        )
    (tests / "test_publish.py").write_text("def test_fast_one_of_whole_runs(): assert False\n")
    noticed = {
        module: mutate_lib.other_test_that_fails(
            tmp_path, f"dagster_project.lib.{module}.x__it__mutmut_1"
        )
        for module in ("notify_worker", "steps", "text")
    }
    assert noticed == {"notify_worker": "test_of_notify", "steps": None, "text": None}
    seen_by_cli = "dagster_project.lib.text.x_cli__mutmut_1"
    assert mutate_lib.other_test_that_fails(tmp_path, seen_by_cli) == "test_of_cli"


def test_what_took_too_long_is_no_kill_before_it_was_tried_again(tmp_path: Path) -> None:
    mutants = tmp_path / "mutants"
    mutants.mkdir()
    codes = {"failed": 1, "refused": 37, "passed": 0, "slow": 36, "out_of_time": -24, "odd": 35}
    (mutants / "shops.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert mutate_lib.verdicts(tmp_path) == {
        "failed": "killed",
        "refused": "killed",
        "passed": "lives",
        "slow": "took too long",
        "out_of_time": "took too long",
        "odd": "ended with 35",
    }


def test_a_mutant_whose_tests_do_not_end_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = tmp_path / "mutants" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_notify.py").write_text(
        "import os, time\n"
        "def test_of_notify(): 'notify' in os.environ['MUTANT_UNDER_TEST'] and time.sleep(600)\n"
    )
    monkeypatch.setattr(mutate_lib, "_PATIENCE_SECONDS", 20)
    mutant = "dagster_project.lib.notify_worker.x__it__mutmut_1"
    assert mutate_lib.other_test_that_fails(tmp_path, mutant) == "one that does not end"


def test_a_test_that_fails_without_a_mutant_kills_none(tmp_path: Path) -> None:
    tests = tmp_path / "mutants" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_notify.py").write_text("def test_of_notify(): assert False\n")
    mutant = "dagster_project.lib.notify_worker.x__it__mutmut_1"
    with pytest.raises(
        SystemExit, match=r"test_of_notify fails among tests/test_notify\.py without"
    ):
        mutate_lib.other_test_that_fails(tmp_path, mutant)


def test_every_module_of_lib_has_files_of_tests() -> None:
    for path in (PROJECT_ROOT / "dagster_project" / "lib").iterdir():
        if path.name.startswith("_") or path.suffix not in ("", ".py"):
            continue
        for file in mutate_lib.files_of_tests(path.stem):
            assert (PROJECT_ROOT / file).is_file(), f"{path.name}: {file}"
