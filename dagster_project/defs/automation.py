"""When it runs: daily, and when files arrive."""

import hashlib
import os
import time

import dagster as dg

from dagster_project.defs.resources import DataDirectory

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
    newest = 0.0
    for path in sorted(data.paths.landing.glob("*/*/*")):
        stat = path.lstat()
        newest = max(newest, stat.st_mtime)
        digest.update(f"{path}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    seen = digest.hexdigest()
    if seen == context.cursor or not newest:
        return dg.SkipReason("No new files in the landing folder.")
    if time.time() - newest < _SETTLED_SECONDS:
        return dg.SkipReason("The newest file may still be growing.")
    context.update_cursor(seen)
    return dg.RunRequest(run_key=seen)
