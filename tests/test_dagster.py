"""The code location: what Dagster shows of the flow, and when it starts a run by itself."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from dagster_project.lib.alerts import RunEnd
from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.database import connect, one_run_at_a_time
from dagster_project.lib.errors import BusyError
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import PROJECT_ROOT, DataDir
from dagster_project.lib.publications import read_manifest
from dagster_project.lib.published_version import LEDGER_TABLES, MARTS
from dagster_project.lib.sample import write_sample
from dagster_project.quality.gates import publish_suites, raw_suites
from dagster_project.runner import RunOutcome, failure_words, note_failure, prepare_instance
from tests.support import Published, held_for_writing

POOL = "duckdb_writer"


@pytest.fixture(scope="session")
def defs(manifest: None) -> dg.Definitions:
    from dagster_project.definitions import defs

    return defs


@pytest.fixture(scope="session")
def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {"/".join(spec.key.path): spec for spec in defs.resolve_all_asset_specs()}


# --- the graph --------------------------------------------------------------------------------


@pytest.mark.slow
def test_definitions_load_without_a_call_to_dbt(manifest: None) -> None:
    load = (
        "import os, subprocess\n"
        "class NoDbt(subprocess.Popen):\n"
        "    def __init__(self, program, *arguments, **options):\n"
        "        assert 'dbt' not in str(program), program\n"
        "        super().__init__(program, *arguments, **options)\n"
        "subprocess.Popen = NoDbt\n"
        "import dagster_project.definitions\n"
    )
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_assets_lie_in_the_groups_of_the_flow(specs: dict[str, dg.AssetSpec]) -> None:
    groups: dict[str, set[str]] = {}
    for name, spec in specs.items():
        groups.setdefault(spec.group_name or "", set()).add(name)
    layers = {"raw", "settings", "staging", "intermediate", "marts", "quality", "published"}
    assert set(groups) == layers
    assert groups["quality"] == {f"quality/{name}" for name in LEDGER_TABLES}
    assert {f"raw/{name}" for name in load_datasets()} <= groups["raw"]
    assert {f"marts/{name}" for name in MARTS} == groups["marts"]
    assert groups["published"] == {"published/marts"}
    for layer, prefix in (("staging", "stg_"), ("intermediate", "int_")):
        assert all(name.startswith(f"{layer}/{prefix}") for name in groups[layer])


def test_every_asset_has_a_description_and_kinds(specs: dict[str, dg.AssetSpec]) -> None:
    assert [name for name, spec in specs.items() if not spec.description] == []
    assert [name for name, spec in specs.items() if not spec.kinds] == []


def test_flow_leads_from_every_dataset_to_the_publication(specs: dict[str, dg.AssetSpec]) -> None:
    reached, front = set(), {"published/marts"}
    while front:
        name = front.pop()
        reached.add(name)
        front |= {"/".join(d.asset_key.path) for d in specs[name].deps} - reached
    assert {f"raw/{name}" for name in load_datasets()} <= reached


def test_every_rule_of_the_gates_is_an_asset_check_that_blocks(defs: dg.Definitions) -> None:
    checks = {
        (spec.asset_key.to_user_string(), spec.name): spec
        for gate in defs.asset_checks or []
        for spec in gate.check_specs  # type: ignore[union-attr]
    }
    rules = {
        (suite.table.replace(".", "/"), rule.id): rule
        for suite in (*raw_suites(), *publish_suites())
        for rule in suite.rules
    }
    assert set(checks) == set(rules)
    assert {key: spec.description for key, spec in checks.items()} == {
        key: rule.description for key, rule in rules.items()
    }
    assert all(spec.blocking for spec in checks.values())


def test_everything_that_writes_waits_for_the_one_slot_of_a_pool(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("daily_run")
    assert {node.definition.pool for node in job.nodes} == {POOL}


def test_jobs_run_in_one_process_also_when_an_asset_is_materialised_by_hand(
    defs: dg.Definitions,
) -> None:
    for job in (defs.resolve_job_def("daily_run"), defs.resolve_implicit_global_asset_job_def()):
        assert job.executor_def.name == "in_process"


@pytest.mark.slow
def test_workspace_loads(manifest: None, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("dagster")
    workspace = PROJECT_ROOT / "workspace.yaml"
    done = subprocess.run(
        [program, "definitions", "validate", "-w", workspace],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"DAGSTER_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "feedback_warehouse" in done.stdout + done.stderr


# --- when it starts by itself -----------------------------------------------------------------


def test_schedule_runs_the_job_at_six_each_day(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("daily")
    assert schedule.cron_schedule == "0 6 * * *"
    assert schedule.job_name == "daily_run"
    assert schedule.execution_timezone == "UTC"


def test_schedule_follows_the_time_zone_of_the_environment(
    manifest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.defs import automation

    monkeypatch.setenv("FEEDBACK_SCHEDULE_TIMEZONE", "Asia/Ho_Chi_Minh")
    try:
        again = importlib.reload(automation)
        assert again.daily_schedule.execution_timezone == "Asia/Ho_Chi_Minh"
    finally:
        monkeypatch.undo()
        importlib.reload(automation)


class Sensor:
    """The landing sensor on a data directory, with its cursor kept from look to look."""

    def __init__(self, defs: dg.Definitions, root: Path) -> None:
        self._sensor = defs.resolve_sensor_def("new_landing_files")
        self._root = root
        self._cursor: str | None = None
        self.folder = root / "landing" / "a" / "orders"
        self.folder.mkdir(parents=True)

    def drop(self, name: str, text: str, seconds_ago: float) -> Path:
        path = self.folder / name
        path.write_text(text)
        os.utime(path, times=(time.time() - seconds_ago,) * 2)
        return path

    def look(self) -> dg.RunRequest | dg.SkipReason:
        from dagster_project.defs.resources import DataDirectory

        with dg.build_sensor_context(
            cursor=self._cursor, resources={"data": DataDirectory(root=str(self._root))}
        ) as context:
            found = self._sensor.evaluate_tick(context)
        self._cursor = found.cursor
        if found.run_requests:
            (request,) = found.run_requests
            return request
        return dg.SkipReason(found.skip_message)


@pytest.fixture
def sensor(defs: dg.Definitions, tmp_path: Path) -> Sensor:
    return Sensor(defs, tmp_path)


def test_sensor_skips_an_empty_landing_folder(sensor: Sensor) -> None:
    assert sensor.look() == dg.SkipReason("No new files in the landing folder.")


def test_sensor_waits_while_a_file_may_still_be_growing(sensor: Sensor) -> None:
    sensor.drop("old.csv", "1", seconds_ago=500)
    sensor.drop("new.csv", "1", seconds_ago=5)
    assert sensor.look() == dg.SkipReason("The newest file may still be growing.")


def test_sensor_asks_for_one_run_once_files_have_settled(sensor: Sensor) -> None:
    sensor.drop("new.csv", "1", seconds_ago=90)
    first = sensor.look()
    assert isinstance(first, dg.RunRequest)
    assert first.run_key
    assert isinstance(sensor.look(), dg.SkipReason)
    sensor.drop("newer.csv", "1", seconds_ago=80)
    second = sensor.look()
    assert isinstance(second, dg.RunRequest)
    assert second.run_key != first.run_key


def test_sensor_sees_that_a_file_was_replaced(sensor: Sensor) -> None:
    sensor.drop("new.csv", "1", seconds_ago=900)
    sensor.look()
    sensor.drop("new.csv", "2", seconds_ago=90)
    assert isinstance(sensor.look(), dg.RunRequest)


@pytest.mark.parametrize("name", ["1.csv", "caf\udce9.csv"])
def test_sensor_is_not_held_up_by_a_time_in_the_future_or_a_name_that_is_no_text(
    sensor: Sensor, name: str
) -> None:
    sensor.drop(name, "1", seconds_ago=-3600)
    assert isinstance(sensor.look(), dg.RunRequest)
    assert isinstance(sensor.look(), dg.SkipReason)
    sensor.drop("new.csv", "1", seconds_ago=5)
    assert sensor.look() == dg.SkipReason("The newest file may still be growing.")


def test_sensor_is_not_held_up_by_what_lies_in_no_folder(sensor: Sensor, tmp_path: Path) -> None:
    sensor.drop("new.csv", "1", seconds_ago=90)
    (DataDir(tmp_path).landing / "sync.log").write_text("at work")
    assert isinstance(sensor.look(), dg.RunRequest)


def test_sensor_looks_while_a_run_is_at_work(sensor: Sensor, tmp_path: Path) -> None:
    with one_run_at_a_time(DataDir(tmp_path).lock):
        assert isinstance(sensor.look(), dg.SkipReason)


# --- what a run leaves in the instance --------------------------------------------------------


@pytest.fixture
def instance(published: Published, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a copy of the published data directory."""
    with dg.DagsterInstance.from_config(str(published.copy(tmp_path).dagster_home)) as instance:
        yield instance


def test_run_by_hand_is_recorded_as_a_run_of_the_scheduled_job(
    published: Published, instance: dg.DagsterInstance
) -> None:
    (run,) = instance.get_runs()
    assert run.run_id == (read_manifest(published.data) or {})["run_id"]
    assert (run.job_name, run.status) == ("daily_run", dg.DagsterRunStatus.SUCCESS)


def metadata(instance: dg.DagsterInstance, *key: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(key))
    assert event
    assert event.asset_materialization
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_publication_carries_row_counts_and_rates_to_plot(
    published: Published, instance: dg.DagsterInstance
) -> None:
    found = metadata(instance, "published", "marts")
    manifest = read_manifest(published.data) or {}
    assert {f"rows/{name}": manifest["tables"][name] for name in MARTS}.items() <= found.items()
    for name in LEDGER_TABLES:
        assert metadata(instance, "quality", name) == {"rows": manifest["tables"][name]}
    assert found["as_of"] == manifest["as_of"]
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        rows = con.execute(
            "select shop_id, nrr, sfrr from shop_metrics_daily where metric_date = '2026-10-31'"
        ).fetchall()
    for shop_id, nrr, sfrr in rows:
        assert (found.get(f"nrr/{shop_id}"), found.get(f"sfrr/{shop_id}")) == (nrr, sfrr)


def test_ingest_carries_rows_rejects_and_file_ids(instance: dg.DagsterInstance) -> None:
    found = metadata(instance, "raw", "orders")
    assert (found["new_files"], found["rejected_rows"]) == (29, 2)
    assert found["new_rows"] > 1000
    assert len(set(found["file_ids"])) == 29
    assert metadata(instance, "raw", "reviews")["refused_files"] == 1


def test_checks_are_recorded_with_counts_and_examples(instance: dg.DagsterInstance) -> None:
    def record_of(asset: str, rule: str) -> dg.AssetCheckEvaluation:
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), rule)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event
        assert record.event.dagster_event
        return record.event.dagster_event.asset_check_evaluation_data

    for suite in (*raw_suites(), *publish_suites()):
        for rule in suite.rules:
            found = record_of(suite.table.replace(".", "/"), rule.id)
            critical = rule.severity == "critical"
            assert found.severity.name == ("ERROR" if critical else "WARN")
            assert {"checked_rows", "failed_rows", "examples"} <= set(found.metadata)
    warned = record_of("raw/files", "files_have_few_rejected_rows")
    assert not warned.passed
    assert warned.metadata["failed_rows"].value == 1
    (example,) = warned.metadata["examples"].value
    assert set(example) == {"shop_id", "dataset", "_file_id", "rows_rejected", "value"}


def test_run_can_be_found_by_the_files_it_brought(instance: dg.DagsterInstance) -> None:
    (run,) = instance.get_runs()
    ids = run.tags["feedback/file_ids"].split(",")
    assert int(run.tags["feedback/new_files"]) > len(ids) == 50
    assert all(re.fullmatch("[0-9a-f]{12}", file_id) for file_id in ids)
    assert instance.get_runs(dg.RunsFilter(tags={"feedback/new_files": "1"})) == []


def test_pools_have_one_slot_unless_told_otherwise(tmp_path: Path) -> None:
    prepare_instance(DataDir(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.root_directory == str(tmp_path / "dagster")
        assert not instance.telemetry_enabled


def test_models_are_built_together_or_not_at_all(manifest: None, tmp_path: Path) -> None:
    from dagster_project.definitions import defs

    prepare_instance(DataDir(tmp_path))
    key = dg.AssetKey(["marts", "shop_metrics_daily"])
    job = defs.resolve_implicit_job_def_def_for_assets([key])
    assert job
    with dg.DagsterInstance.get() as instance:
        done = job.execute_in_process(
            instance=instance, raise_on_error=False, asset_selection=[key]
        )
    assert not done.success
    failures = [e.step_failure_data.error for e in done.filter_events(lambda e: e.is_step_failure)]
    assert ["Materialize all of them" in str(failure) for failure in failures] == [True]


# --- one run at a time ------------------------------------------------------------------------


@dg.asset(pool=POOL)
def touched(data: dg.ResourceParam[object]) -> None:
    """An asset that writes nothing, in the writers' pool."""


def touch(instance: dg.DagsterInstance, root: Path) -> dg.ExecuteInProcessResult:
    from dagster_project.defs.resources import DataDirectory

    return dg.materialize(
        [touched], instance=instance, resources={"data": DataDirectory(root=str(root))}
    )


def test_run_that_was_killed_does_not_hold_up_the_next_one(manifest: None, tmp_path: Path) -> None:
    from dagster_project.defs import resources

    prepare_instance(DataDir(tmp_path))
    with dg.DagsterInstance.get() as instance:
        dead = instance.create_run_for_job(
            dg.Definitions(
                [touched], resources={"data": object()}
            ).resolve_implicit_global_asset_job_def()
        )
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, dead.job_name), dead.run_id
        )
        instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
        claim = instance.event_log_storage.claim_concurrency_slot(POOL, dead.run_id, "dbt_models")
        assert claim.is_claimed
        with mock.patch.object(resources, "follow_up") as follow_up:
            done = touch(instance, tmp_path)
        assert done.success
        (told,) = [call.args for call in follow_up.call_args_list]
        assert told == (DataDir(tmp_path), RunEnd(done.run_id, [], [dead.run_id]))
        buried = instance.get_run_by_id(dead.run_id)
        assert buried
        assert buried.status == dg.DagsterRunStatus.FAILURE


def test_second_run_waits_until_the_first_is_done(manifest: None, tmp_path: Path) -> None:
    prepare_instance(DataDir(tmp_path))
    done: list[bool] = []
    with dg.DagsterInstance.get() as instance:
        second = threading.Thread(target=lambda: done.append(touch(instance, tmp_path).success))
        with one_run_at_a_time(DataDir(tmp_path).lock):
            second.start()
            second.join(timeout=2)
            assert done == []
        second.join(timeout=60)
        assert done == [True]


def steps_tried(data: DataDir, hold: Callable[[int], object]) -> tuple[bool, int]:
    """Run ingest in a data directory; `hold` is told the number of each try as it begins.

    Returns whether the run succeeded and how often ingest was tried.
    """
    from dagster_project.defs import ingest as ingest_module
    from dagster_project.defs import resources
    from dagster_project.defs.ingest import ingest_exports
    from dagster_project.defs.resources import DataDirectory

    tries = 0
    open_ledger = Ledger.open

    def counted(path: Path) -> Any:
        nonlocal tries
        tries += 1
        hold(tries)
        return open_ledger(path)

    prepare_instance(data)
    with (
        mock.patch.object(ingest_module.Ledger, "open", counted),
        mock.patch.object(resources, "follow_up"),  # opens it once more
        dg.DagsterInstance.get() as instance,
    ):
        done = dg.materialize(
            [ingest_exports],
            instance=instance,
            resources={"data": DataDirectory(root=str(data.root))},
            raise_on_error=False,
        )
    return done.success, tries


@pytest.fixture
def impatient(manifest: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DataDir:
    """A data directory without files, where tries follow each other at once."""
    from dagster_project.defs import resources

    monkeypatch.setattr(resources, "_SECONDS_BETWEEN_TRIES", 0.1)
    (tmp_path / "shops.csv").write_text(
        "shop_id,shop_name,region,timezone,currency\na,A,TH,Asia/Bangkok,THB\n"
    )
    return DataDir(tmp_path)


def test_step_is_tried_again_while_another_program_holds_the_ledger(impatient: DataDir) -> None:
    with held_for_writing(impatient.ledger) as let_go:
        assert steps_tried(impatient, lambda n: let_go() if n == 3 else None) == (True, 3)


def test_step_is_not_tried_for_ever(impatient: DataDir) -> None:
    def held(_: int) -> None:
        raise BusyError("in use")

    assert steps_tried(impatient, held) == (False, 4)


def test_step_is_not_tried_again_for_a_fault_of_the_data(impatient: DataDir) -> None:
    impatient.shops_csv.write_text("nonsense\n")
    assert steps_tried(impatient, lambda _: None) == (False, 1)


@pytest.mark.slow
def test_daemon_starts_runs_that_publish(manifest: None, tmp_path: Path) -> None:
    """The sensor for files that have settled, the schedule for a file that just arrived."""
    data = DataDir(tmp_path / "data")
    write_sample(data.root, shops=1, days=20, orders_per_day=4)
    waiting = sorted((data.landing).rglob("*.csv"))
    for path in waiting:
        os.utime(path, times=(time.time() - 900,) * 2)
    late = waiting[-1].rename(tmp_path / waiting[-1].name)
    prepare_instance(data)
    environment = os.environ | {"FEEDBACK_SCHEDULE_CRON": "* * * * *"}
    workspace = ["-w", str(PROJECT_ROOT / "workspace.yaml")]
    programs = Path(sys.executable).parent

    def switch(kind: str, command: str, name: str) -> None:
        subprocess.run(
            [programs / "dagster", kind, command, name, *workspace],
            check=True, capture_output=True, env=environment,
        )  # fmt: skip

    switch("sensor", "start", "new_landing_files")
    log = tmp_path / "daemon.log"
    with log.open("w") as file, dg.DagsterInstance.get() as instance:
        daemon = subprocess.Popen(
            [programs / "dagster-daemon", "run", *workspace],
            stdout=file, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            tags = tags_of_publication(instance, data, before=None)
            assert tags["dagster/sensor_name"] == "new_landing_files"
            first = (read_manifest(data) or {})["publication_id"]
            switch("sensor", "stop", "new_landing_files")
            late.rename(waiting[-1])
            switch("schedule", "start", "daily")
            tags = tags_of_publication(instance, data, before=first)
            assert tags["dagster/schedule_name"] == "daily"
            assert tags["feedback/new_files"] == "1"
        finally:
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)


def tags_of_publication(
    instance: dg.DagsterInstance, data: DataDir, before: str | None
) -> Mapping[str, str]:
    """Wait for another publication than `before`; the tags of the run that made it."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        manifest = read_manifest(data)
        if manifest and manifest["publication_id"] != before:
            run = instance.get_run_by_id(manifest["run_id"])
            assert run
            return run.tags
        time.sleep(1)
    runs = [(run.run_id, run.status) for run in instance.get_runs()]
    pytest.fail(f"no publication in five minutes; {runs}")


def test_log_readers_can_be_ended_where_a_script_had_interrupts_ignored(
    manifest: None, tmp_path: Path
) -> None:
    program = (
        "import signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from dagster_project.lib.paths import DataDir\n"
        "from dagster_project.runner import prepare_instance\n"
        "prepare_instance(DataDir(Path(sys.argv[1])))\n"
        "from dagster._utils.interrupts import setup_interrupt_handlers\n"
        "setup_interrupt_handlers()\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "child.terminate()\n"
        "sys.exit(child.wait(30) != -signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_lock_is_refused_at_once_when_waiting_is_not_wanted(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with one_run_at_a_time(lock), pytest.raises(BusyError, match="Another run is at work"):  # noqa: SIM117
        with one_run_at_a_time(lock, wait=False):
            pass
    with one_run_at_a_time(lock, wait=False):
        pass


# --- what people are told of a failure --------------------------------------------------------


def told(*causes: tuple[str, str]) -> RunOutcome:
    """The outcome of a step that failed for these causes, outermost first: (class, message)."""
    error = None
    for name, message in reversed(causes):
        error = SimpleNamespace(cls_name=name, message=message, cause=error)
    outcome = RunOutcome("run-1")
    note_failure(outcome, "some_step", error)
    return outcome


def test_failed_check_is_left_to_the_table_of_rules() -> None:
    assert told(("DagsterAssetCheckFailedError", "…")).errors == []


def test_failure_of_dbt_is_told_by_what_dbt_reported() -> None:
    message = (
        "dagster_dbt.errors.DagsterDbtCliRuntimeError: The dbt CLI process with command\n\n"
        "`dbt build`\n\nfailed with exit code `1`.\n\nErrors parsed from dbt logs:\n\n"
        "Failure in test unique_key_orders\n"
    )
    assert told(("DagsterDbtCliRuntimeError", message)).errors == [
        "dbt: Failure in test unique_key_orders"
    ]


def test_stopped_run_is_told_without_a_class_name() -> None:
    cause = ("DagsterExecutionInterruptedError", "dagster….DagsterExecutionInterruptedError\n")
    assert told(cause).errors == ["Stopped during some_step; run again to take it up."]


def test_mistake_in_the_configuration_is_told_apart_from_a_failure() -> None:
    outer = ("DagsterExecutionStepExecutionError", "Error occurred while executing op")
    mistake = told(
        outer, ("ConfigurationError", "errors.ConfigurationError: shops.csv, line 2: no")
    )
    assert (mistake.errors, mistake.misconfigured) == (["shops.csv, line 2: no"], True)
    closed = told(outer, ("GateClosedError", "errors.GateClosedError: Closed: a_rule."))
    assert (closed.errors, closed.misconfigured) == (["Closed: a_rule."], False)


def test_what_an_engine_says_does_not_leave_the_machine() -> None:
    def words(*causes: tuple[str, str]) -> str:
        error = None
        for name, message in reversed(causes):
            error = SimpleNamespace(cls_name=name, message=message, cause=error)
        return failure_words("some_step", error)

    outer = ("DagsterExecutionStepExecutionError", "Error occurred while executing op")
    unsaid = "some_step failed; the log of the run says why."
    assert words(outer, ("ConversionException", "Could not convert 'Nurul' to DATE")) == unsaid
    assert words(("DagsterDbtCliRuntimeError", "dbt logs:\n\n'Nurul'")) == unsaid
    assert words(outer, ("BusyError", "errors.BusyError: It is in use.")) == "It is in use."
    assert words(("DagsterAssetCheckFailedError", "…")) == ""


def test_a_follow_up_that_fails_fails_no_run(manifest: None, tmp_path: Path) -> None:
    from dagster_project.defs import resources

    prepare_instance(DataDir(tmp_path))
    with (
        dg.DagsterInstance.get() as instance,
        mock.patch.object(resources, "follow_up", side_effect=RuntimeError("no")),
    ):
        assert touch(instance, tmp_path).success


def test_unforeseen_failure_is_told_with_its_step() -> None:
    failure = told(("DagsterExecutionStepExecutionError", "…"), ("ValueError", "ValueError: no\n"))
    assert failure.errors == ["some_step: ValueError: no"]


def test_version_of_dbt_is_known_without_starting_it() -> None:
    from dagster_dbt import DbtCliResource

    from dagster_project.defs.resources import RESOURCES, dbt_project

    dbt = Path(sys.executable).with_name("dbt")
    asked = DbtCliResource(project_dir=dbt_project, dbt_executable=dbt)  # what `Dbt` spares a run
    assert RESOURCES["dbt"]._cli_version == asked._cli_version
