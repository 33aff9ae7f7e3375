"""What the assets are given: the data directory and dbt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject

from dagster_project.lib.paths import DBT_DIR, DataDir

WRITER_POOL = "duckdb_writer"

dbt_project = DbtProject(project_dir=DBT_DIR)


class DataDirectory(dg.ConfigurableResource[None]):
    """The data directory that a run works on."""

    root: str

    @property
    def paths(self) -> DataDir:
        """The places within it."""
        return DataDir(Path(self.root))


class Dbt(DbtCliResource):  # type: ignore[misc]
    """dbt as a subprocess only.

    Dagster would also load dbt's adapter into its own process, for row counts that nothing here
    asks it for; that costs as much as a third of the dbt build itself.
    """

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        return None


RESOURCES = {
    "data": DataDirectory(root=str(DataDir.default().root)),
    # the dbt of this environment, whatever is on PATH
    "dbt": Dbt(
        project_dir=dbt_project, dbt_executable=str(Path(sys.executable).with_name("dbt"))
    ),
}
