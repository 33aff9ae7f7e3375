"""What the assets are given: the data directory and dbt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from importlib import metadata
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from dagster_project.lib.after_run import follow_up
from dagster_project.lib.alerts import RunEnd
from dagster_project.lib.database import one_run_at_a_time
from dagster_project.lib.errors import BusyError
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.runner import failure_words

WRITER_POOL = "duckdb_writer"
_TRIES_AGAIN = 3
_SECONDS_BETWEEN_TRIES = 10.0

dbt_project = DbtProject(project_dir=DBT_DIR)


class DataDirectory(dg.ConfigurableResource[None]):
    """The data directory that a run works on; `is_locked` when its starter holds the run lock."""

    root: str
    is_locked: bool = False

    @property
    def paths(self) -> DataDir:
        """The places within it."""
        return DataDir(Path(self.root))

    @contextmanager
    def yield_for_execution(  # type: ignore[override]
        self, context: dg.InitResourceContext
    ) -> Iterator[DataDirectory]:
        """One run at a time, first step to last; a sensor, which only looks, waits not."""
        if context.run is None or context.instance is None:
            yield self
            return
        with nullcontext() if self.is_locked else one_run_at_a_time(self.paths.lock):
            killed = _bury_dead_runs(context.instance, context.run.run_id)
            try:
                yield self
            finally:
                self._follow_up(context, context.instance, context.run.run_id, killed)

    def _follow_up(
        self,
        context: dg.InitResourceContext,
        instance: dg.DagsterInstance,
        run_id: str,
        killed: Sequence[str],
    ) -> None:
        """Digest and alerts, after the last step and still alone; never a reason to fail."""
        try:
            failed = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
            failures = [
                failure_words(str(event.step_key), event.step_failure_data.error)
                for entry in failed
                if (event := entry.dagster_event)
            ]
            follow_up(self.paths, RunEnd(run_id, failures, killed))
        except Exception as error:
            if context.log:
                context.log.warning(f"Digest and alerts: {type(error).__name__}")


@contextmanager
def tried_again_when_busy() -> Iterator[None]:
    """Have Dagster try a step again while another program holds a file, and for nothing else."""
    try:
        yield
    except BusyError as error:
        raise dg.RetryRequested(_TRIES_AGAIN, _SECONDS_BETWEEN_TRIES) from error


def _bury_dead_runs(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Take their pool slots from runs that were killed, for which every later run would wait.

    Returns the runs that died so.
    """
    killed = []
    storage = instance.event_log_storage
    for dead in storage.get_concurrency_run_ids() - {run_id}:
        run = instance.get_run_by_id(dead)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run ended before the run did.")
            killed.append(dead)
        storage.free_concurrency_slots_for_run(dead)
    return sorted(killed)


class Dbt(DbtCliResource):  # type: ignore[misc]
    """dbt as a subprocess only.

    Dagster would also load dbt's adapter into its own process, for row counts that nothing here
    asks it for, and start dbt once more to ask for its version; each costs as much as a third of
    the dbt build itself.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        return None


RESOURCES = {
    "data": DataDirectory(root=str(DataDir.default().root)),
    "dbt": Dbt(
        project_dir=dbt_project,
        profiles_dir=DBT_DIR,
        dbt_executable=sys.executable,
        global_config_flags=["-P", "-m", "dagster_project.dbt_beside_warehouse"],
    ),
}
