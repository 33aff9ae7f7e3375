"""The code location: `dagster dev -w workspace.yaml`."""

from __future__ import annotations

import dagster as dg

from dagster_project.defs.automation import daily_run, daily_schedule, new_landing_files
from dagster_project.defs.gates import GATES
from dagster_project.defs.ingest import ingest_exports
from dagster_project.defs.publish import publication
from dagster_project.defs.resources import RESOURCES
from dagster_project.defs.transform import dbt_models

defs = dg.Definitions(
    assets=[ingest_exports, dbt_models, publication],
    asset_checks=GATES,
    jobs=[daily_run],
    schedules=[daily_schedule],
    sensors=[new_landing_files],
    resources=RESOURCES,
    # one process: starting another for each step would cost more than the steps
    executor=dg.in_process_executor,
)
