"""Fixtures of the whole suite: one published run that tests read, or copy and change."""

from __future__ import annotations

import atexit
import os
from datetime import date
from pathlib import Path
from unittest import mock

import pytest

from dagster_project.lib.dbt_manifest import ensure_manifest
from dagster_project.lib.paths import DataDir
from dagster_project.lib.sample import write_sample
from tests.support import Published, feedback, write_messy_shop

# Fixtures that take a run of the pipeline; whoever asks for one is slow.
_SLOW_FIXTURES = {"published", "planted"}
# Files that take minutes come first, lest one worker be left with them while the others are done.
_LONGEST = (
    "test_mutation.py", "test_containment.py", "test_dashboard.py", "test_cli.py",
    "test_increments.py", "test_chaos.py", "test_superset.py", "test_splitting.py",
    "test_marts_equal_reference.py", "test_dagster.py",
)  # fmt: skip
SAMPLE_LAST_DAY = date(2026, 10, 31)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_configure() -> None:
    """At exit DuckDB's binding would print pages about what Great Expectations keeps alive."""
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


@pytest.fixture(scope="session", autouse=True)
def nobodys_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test can reach the data directory of whoever runs the tests."""
    os.environ["FEEDBACK_DATA_DIR"] = str(tmp_path_factory.mktemp("nobody"))
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "true"
    os.environ["FEEDBACK_DIGEST_WEEKDAY"] = "never"  # no test does more on a Monday
    os.environ.pop("FEEDBACK_NOTIFY_URLS", None)
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture(autouse=True)
def own_environment() -> object:
    """What a test, or the job it runs, sets in the environment ends with the test."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def manifest() -> None:
    """The dbt manifest, which must be there before `dagster_project.definitions` is imported."""
    ensure_manifest()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Four sample shops and a messy one, loaded and published by `feedback run`."""
    root: Path = tmp_path_factory.mktemp("published") / "data"
    system_temp: Path = tmp_path_factory.mktemp("system temp")
    truth = write_sample(root, shops=4, days=45, orders_per_day=6, last_day=SAMPLE_LAST_DAY)
    personal = write_messy_shop(root, SAMPLE_LAST_DAY)
    command = feedback("run", "--data-dir", root, TMPDIR=str(system_temp))
    assert command.code == 0, command.output
    return Published(DataDir(root), truth, truth.personal_strings | personal, command, system_temp)
