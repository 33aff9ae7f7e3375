"""A run by hand: the scheduled Dagster job, in this process, recorded in the same instance."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from dagster_project.instance_store import quick_history
from dagster_project.lib.dbt_manifest import ensure_manifest
from dagster_project.lib.paths import DataDir
from dagster_project.lib.steps import Moment, Step

# How DuckDB says that a database file is cut off or has other bytes than were written.
_WORDS_OF_DAMAGE = (
    "Could not read enough bytes", "Corrupt", "computed checksum", "Failed to deserialize",
    "not a valid DuckDB database", "INTERNAL Error", "FATAL Error",
)  # fmt: skip

# Pools of one slot each: everything that writes waits for its turn.
_INSTANCE_YAML = """telemetry:
  enabled: false
concurrency:
  pools:
    default_limit: 1
"""


@dataclass
class RunOutcome:
    """What became of a run; `errors` are messages for people."""

    run_id: str
    succeeded: bool = False
    published: bool = False
    misconfigured: bool = False
    errors: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def prepare_instance(data: DataDir) -> None:
    """Make the data directory's Dagster instance the current one, and nobody phone home."""
    data.dagster_home.mkdir(parents=True, exist_ok=True)
    settings = data.dagster_home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_INSTANCE_YAML)
    os.environ["DAGSTER_HOME"] = str(data.dagster_home)
    os.environ["FEEDBACK_DATA_DIR"] = str(data.root)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "true"
    _heed_interrupts()


def _heed_interrupts() -> None:
    """Heed Ctrl-C also where a script started us in the background, which has it ignored.

    Dagster has SIGTERM do what SIGINT does; ignored, its readers of logs, which inherit that, could
    not be ended, and each step would wait a minute for them.
    """
    is_main = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGINT, signal.SIGTERM) if is_main else ():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def run_job(
    data: DataDir,
    as_of: date | None,
    say: Callable[[str], None],
    *,
    full_refresh: bool = False,
    accept: Sequence[str] = (),
    reason: str = "",
) -> RunOutcome:
    """Run the daily job once; what it logs goes to `data/logs`, what people need to the outcome.

    The caller holds `data.lock`. The rules that `accept` names may be broken this once, for
    `reason`. Raises FeedbackError when dbt cannot read its project.
    """
    started = Moment.now()
    prepare_instance(data)
    ensure_manifest()
    data.logs.mkdir(parents=True, exist_ok=True)
    # imported here because it takes seconds and needs the environment set above
    import dagster as dg
    from dagster._core.utils import make_new_run_id

    from dagster_project.definitions import defs
    from dagster_project.defs.publish import MARTS_KEY
    from dagster_project.defs.resources import DataDirectory

    outcome = RunOutcome(run_id=make_new_run_id())
    outcome.steps.append(started.step("start (imports, dbt manifest)"))
    began: dict[str, Moment] = {}

    def on_event(entry: Any) -> None:
        event = entry.dagster_event
        if event is None:
            if entry.step_key == "ingest" and entry.level == logging.INFO:
                say(entry.user_message)
            return
        if event.step_key is None:
            return
        if event.is_step_start:
            began[event.step_key] = Moment.now()
            say(event.step_key)
        elif event.is_step_success or event.is_step_failure:
            moment = began.get(event.step_key) or Moment.now()
            outcome.steps.append(moment.step(event.step_key))

    job = defs.resolve_job_def("daily_run")
    log = data.logs / f"{outcome.run_id}.log"
    with (
        quick_history(),
        dg.DagsterInstance.get() as instance,
        log.open("w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        instance.add_event_listener(outcome.run_id, on_event)
        result = job.execute_in_process(
            instance=instance,
            run_id=outcome.run_id,
            resources={"data": DataDirectory(root=str(data.root), is_locked=True)},
            run_config={
                "ops": {
                    "ingest": {
                        "config": {
                            "as_of": as_of.isoformat() if as_of else None,
                            "full_refresh": full_refresh,
                            "accept": list(accept),
                            "reason": reason,
                        }
                    }
                }
            },
            raise_on_error=False,
        )
    outcome.succeeded = result.success
    for event in result.all_events:
        if event.is_step_failure:
            note_failure(outcome, str(event.step_key), event.step_failure_data.error)
        elif event.asset_key == MARTS_KEY and event.is_step_materialization:
            outcome.published = True
    return outcome


def _is_damage(message: str) -> bool:
    """Whether DuckDB says that a file of ours is not whole."""
    return any(words in message for words in _WORDS_OF_DAMAGE) and "ledger.duckdb" not in message


def note_failure(outcome: RunOutcome, step: str, error: Any) -> None:
    """Add what a failed step means for people to the outcome."""
    causes = _causes(error)
    names = {cause.cls_name: cause for cause in causes}
    ours = _our_words(step, causes)
    if ours is not None:
        outcome.misconfigured |= _is_misconfigured(causes)
        outcome.errors += filter(None, [ours])
    elif "DagsterDbtCliRuntimeError" in names:
        _, _, reported = names["DagsterDbtCliRuntimeError"].message.rpartition("dbt logs:")
        outcome.errors.append(f"dbt: {reported.strip()}")
    else:
        outcome.errors.append(f"{step}: {causes[-1].message.strip() if causes else 'failed'}")


def failure_words(step: str, error: Any) -> str:
    """What a failed step means, in words that may leave this machine: ours, not an engine's.

    What dbt or DuckDB say may quote a cell. Blank for closed rules, which the ledger has.
    """
    ours = _our_words(step, _causes(error))
    return f"{step} failed; the log of the run says why." if ours is None else ours


def _causes(error: Any) -> list[Any]:
    """An error and what caused it, the cause last."""
    causes = []
    while error is not None:
        causes.append(error)
        error = error.cause
    return causes


def _is_misconfigured(causes: Sequence[Any]) -> bool:
    is_damage = any(_is_damage(cause.message) for cause in causes)
    return not is_damage and any(cause.cls_name == "ConfigurationError" for cause in causes)


def _our_words(step: str, causes: Sequence[Any]) -> str | None:
    """What we have to say of an error; None where only an engine has."""
    names = {cause.cls_name: cause for cause in causes}
    if any(_is_damage(cause.message) for cause in causes):
        return (
            "The warehouse is damaged; `feedback rebuild` makes it anew from what was ever loaded."
        )
    if "DagsterAssetCheckFailedError" in names:
        return ""  # the closed rules stand in the ledger, with their examples
    if "DagsterExecutionInterruptedError" in names:
        return f"Stopped during {step}; run again to take it up."
    if "DagsterDbtCliRuntimeError" in names:
        return None
    for name in (
        "ConfigurationError", "GateClosedError", "BusyError", "DamagedError", "FeedbackError"
    ):  # fmt: skip
        if name in names:
            return str(names[name].message.split(": ", 1)[-1].strip())
    return None
