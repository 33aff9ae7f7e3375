"""How long a run takes, against its dbt build alone: `make bench`.

Each round lays the sample exports into a new data directory, runs `feedback run`, then runs
`dbt build` by itself on the raw tables of that run, each as a whole process. The two alternate, so
that a slow moment of the machine hits both; the ratio is taken round by round.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dagster_project.lib.dbt_manifest import ensure_manifest
from dagster_project.lib.paths import DBT_DIR
from dagster_project.lib.sample import write_sample

ROUNDS = 5
BIN = Path(sys.executable).parent


def timed(command: list[str], cwd: Path, env: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, env={**os.environ, **env}, check=True, capture_output=True)  # noqa: S603
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return wall, cpu


def main() -> None:
    """Print a Markdown table of the rounds."""
    ensure_manifest()
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample"
        write_sample(sample)
        walls, cpus = [], []
        print("| round | run: wall s | run: CPU s | dbt build: wall s | dbt build: CPU s |")
        print("|---|---|---|---|---|")
        for number in range(1, ROUNDS + 1):
            data = Path(folder) / f"round-{number}"
            shutil.copytree(sample, data)
            run = timed([str(BIN / "feedback"), "run", "--data-dir", str(data)], data, {})
            env = {
                "FEEDBACK_WAREHOUSE": str(data / "warehouse.duckdb"),
                "DBT_PROFILES_DIR": str(DBT_DIR),
                "DBT_TARGET_PATH": str(data / "alone"),
                "DBT_LOG_PATH": str(data / "alone"),
            }
            dbt = timed(
                [str(BIN / "dbt"), "build", "--exclude-resource-type", "unit_test"], DBT_DIR, env
            )
            print(f"| {number} | {run[0]:.1f} | {run[1]:.1f} | {dbt[0]:.1f} | {dbt[1]:.1f} |")
            walls.append(run[0] / dbt[0])
            cpus.append(run[1] / dbt[1])
            shutil.rmtree(data)
        print(
            f"\nRun over dbt build alone, median of {ROUNDS}: "
            f"wall {statistics.median(walls):.2f}, CPU {statistics.median(cpus):.2f}"
        )


if __name__ == "__main__":
    main()
