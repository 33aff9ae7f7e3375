"""When it runs: daily, and when files arrive."""

import hashlib
import os

import dagster as dg

from dagster_project.defs.resources import DataDirectory
from dagster_project.lib.landing import file_states

_SETTLED_SECONDS = 60

daily_run = dg.define_asset_job(
    "daily_run",
    selection=dg.AssetSelection.all(),
    description="Ingest, raw gate, dbt, publish gate, publish.",
)

daily_schedule = dg.ScheduleDefinition(
    name="daily",
    job=daily_run,
    cron_schedule=os.environ.get("FEEDBACK_SCHEDULE_CRON", "0 6 * * *"),
    execution_timezone=os.environ.get("FEEDBACK_SCHEDULE_TIMEZONE", "UTC"),
)


@dg.sensor(name="new_landing_files", job=daily_run, minimum_interval_seconds=60)
def new_landing_files(
    context: dg.SensorEvaluationContext, data: DataDirectory
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run when the landing folder has changed and no file in it is still growing."""
    digest = hashlib.sha256()
    states = {
        path: state
        for path, state in file_states(data.paths.landing).items()
        if path.parent != data.paths.landing  # a program's log, perhaps
    }
    for path, state in sorted(states.items()):
        digest.update(os.fsencode(path) + f"\n{state.size}\n{state.written_at}\n".encode())
    seen = digest.hexdigest()
    if seen == context.cursor or not states:
        return dg.SkipReason("No new files in the landing folder.")
    # of a time in the future nothing follows; the run itself watches such files
    if any(0 <= state.age_seconds < _SETTLED_SECONDS for state in states.values()):
        return dg.SkipReason("The newest file may still be growing.")
    context.update_cursor(seen)
    return dg.RunRequest(run_key=seen)
