"""What several tests need: a run of the pipeline in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FEEDBACK = Path(sys.executable).with_name("feedback")


@dataclass(frozen=True)
class CommandResult:
    """What a command left behind."""

    code: int
    output: str


def feedback(*arguments: str, cwd: Path | None = None) -> CommandResult:
    """Run the console script as a user would, with a wide terminal."""
    done = subprocess.run(
        [str(FEEDBACK), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=dict(os.environ, COLUMNS="200"),
        check=False,
    )
    return CommandResult(done.returncode, re.sub(r"\s+\n", "\n", done.stdout + done.stderr))


def run_pipeline(data_dir: Path, as_of: date | None = None) -> Path:
    """Run the job in this process and return the published database; fails the test otherwise."""
    from dagster_project.lib.paths import DataDir
    from dagster_project.runner import run_job

    data = DataDir(data_dir)
    outcome = run_job(data, as_of, lambda _: None)
    assert outcome.succeeded, f"{outcome.errors}\n{data.logs / outcome.run_id}.log"
    return data.published / "marts.duckdb"
