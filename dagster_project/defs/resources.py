"""What the assets are given: the data directory and dbt."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject

from dagster_project.lib.paths import DBT_DIR, DataDir

WRITER_POOL = "duckdb_writer"

dbt_project = DbtProject(project_dir=DBT_DIR)


class DataDirectory(dg.ConfigurableResource):  # type: ignore[misc]
    """The data directory that a run works on."""

    root: str

    @property
    def paths(self) -> DataDir:
        """The places within it."""
        return DataDir(Path(self.root))


RESOURCES = {
    "data": DataDirectory(root=str(DataDir.default().root)),
    # the dbt of this environment, whatever is on PATH
    "dbt": DbtCliResource(
        project_dir=dbt_project, dbt_executable=str(Path(sys.executable).with_name("dbt"))
    ),
}
