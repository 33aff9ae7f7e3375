"""What the assets are given: the data directory and dbt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from dagster_project.lib.database import one_run_at_a_time
from dagster_project.lib.errors import BusyError
from dagster_project.lib.paths import DBT_DIR, DataDir

WRITER_POOL = "duckdb_writer"
_TRIES_AGAIN = 3
_SECONDS_BETWEEN_TRIES = 10.0

dbt_project = DbtProject(project_dir=DBT_DIR)


class DataDirectory(dg.ConfigurableResource[None]):
    """The data directory that a run works on."""

    root: str

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
        with one_run_at_a_time(self.paths.lock):
            _bury_dead_runs(context.instance, context.run.run_id)
            yield self


@contextmanager
def tried_again_when_busy() -> Iterator[None]:
    """Have Dagster try a step again while another program holds a file, and for nothing else."""
    try:
        yield
    except BusyError as error:
        raise dg.RetryRequested(_TRIES_AGAIN, _SECONDS_BETWEEN_TRIES) from error


def _bury_dead_runs(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take their pool slots from runs that were killed, for which every later run would wait."""
    storage = instance.event_log_storage
    for dead in storage.get_concurrency_run_ids() - {run_id}:
        run = instance.get_run_by_id(dead)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run ended before the run did.")
        storage.free_concurrency_slots_for_run(dead)


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
    # the dbt of this environment, whatever is on PATH
    "dbt": Dbt(project_dir=dbt_project, dbt_executable=str(Path(sys.executable).with_name("dbt"))),
}
