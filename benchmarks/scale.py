"""The pipeline at scale against what else could be done: `make bench`.

    python benchmarks/scale.py --lines 100_000 1_000_000 10_000_000
    python benchmarks/scale.py --lines 100_000_000 --work DIR     # once: takes long, needs room

Each contender runs in a process of its own, one after the other, on the same made-up history (see
scale_data.py); figures are wall seconds, CPU seconds and peak memory of the process with all it
starts. A ratio is always within one size and one session. `--work` keeps the histories, so that
another session need not make them again. Results go to `scale.json` as they come, then
`plot.py` makes the table and the plot of them.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dagster_project.lib.dbt_manifest import ensure_manifest
from dagster_project.lib.paths import DBT_DIR

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "scale.json"
CONTENDERS, DATA, FLOOR = (HERE / f"{n}.py" for n in ("contenders", "scale_data", "floor"))
DBT = Path(sys.executable).with_name("dbt")
SIZES = (100_000, 1_000_000, 10_000_000)
INCREMENT_LINES = 13_700
INCREMENTS = 3
MOST_LINES_OF_ANALYSTS = 1_000_000
_POLL_SECONDS = 0.05
_POLLS_PER_LOOK = 20


@dataclass(frozen=True)
class Measured:
    """What a process with all it started took, and what it said of itself.

    `peak_mib` is the largest resident memory of all its processes together, as seen every 50 ms, or
    the largest that any of them had; `spilled_mib` the most that DuckDB put on disk for want of
    memory, as seen every second. `stored_mib` is what it left on disk, where that is told.
    """

    contender: str
    lines: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    spilled_mib: float = 0.0
    stored_mib: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def measure(
    contender: str, lines: int, command: list[str], folder: Path, *,
    env: dict[str, str] | None = None, cwd: Path | None = None,
) -> Measured:  # fmt: skip
    """Run a command that must succeed; a JSON object on its last line becomes `facts`.

    What it spills is looked for in `folder`, to which its temporary files go.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        environment = {**os.environ, "TMPDIR": str(folder), **(env or {})}
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, stdout=out, stderr=err, env=environment, cwd=cwd
        )
        peak = Peak()
        ended = threading.Event()
        watcher = threading.Thread(target=peak.watch, args=(process.pid, folder, ended))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        out.seek(0)
        err.seek(0)
        output = out.read()
        if process.returncode:
            tail = f"{output[-2000:]}\n{err.read()[-3000:]}"
            raise SystemExit(f"{contender} at {lines:,} lines ended with an error:\n{tail}")
    measured = Measured(
        contender,
        lines,
        wall,
        usage.ru_utime + usage.ru_stime,
        max(peak.resident_mib, usage.ru_maxrss / 1024),
        peak.spilled_mib,
        facts=_facts(output),
    )
    print(
        f"{lines:>12,}  {contender:<24} wall {wall:8.1f} s   CPU {measured.cpu_s:8.1f} s   "
        f"peak {measured.peak_mib:6,.0f} MiB   spilled {measured.spilled_mib:6,.0f} MiB",
        flush=True,
    )
    return measured


def _facts(output: str) -> dict[str, Any]:
    """The JSON object on the last line, or the total of the floor's table."""
    last = output.strip().rpartition("\n")[2]
    if last.startswith("{"):
        facts: dict[str, Any] = json.loads(last)
        return facts
    total = re.search(r"^\| \*\*all\*\* \| ([0-9.]+) \| ([0-9.]+) \|", output, re.M)
    return {"cpu_s": float(total[1]), "wall_s": float(total[2])} if total else {}


@dataclass
class Peak:
    """The most that a process and its descendants held in memory, and DuckDB in a folder."""

    resident_mib: float = 0.0
    spilled_mib: float = 0.0

    def watch(self, pid: int, folder: Path, ended: threading.Event) -> None:
        """Look again and again until the process has ended."""
        for poll in itertools.count():
            if ended.wait(_POLL_SECONDS):
                return
            self.resident_mib = max(self.resident_mib, sum(map(_resident_mib, _tree(pid))))
            if poll % _POLLS_PER_LOOK == 0:
                self.spilled_mib = max(self.spilled_mib, _spilled_mib(folder))


def _spilled_mib(folder: Path) -> float:
    total = 0
    for depth in ("*", "*/*", "*/*/*"):
        for path in folder.glob(f"{depth}/duckdb_temp*"):
            with contextlib.suppress(OSError):  # ended in between
                total += path.stat().st_size
    return total / 2**20


def _tree(pid: int) -> list[int]:
    """A process and all its descendants that are alive."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:  # ended in between
                continue
    return found


def _resident_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)
    return int(match[1]) / 1024 if match else 0.0


def size_mib(path: Path) -> float:
    """The bytes of a file or of all files under a folder, in MiB; links are not followed."""
    paths = [path] if path.is_file() else path.rglob("*")
    return sum(p.stat().st_size for p in paths if p.is_file() and not p.is_symlink()) / 2**20


def contender(
    name: str, lines: int, root: Path, out: Path | None = None, *, called: str = ""
) -> Measured:
    """Measure one of contenders.py on a data directory."""
    command = [sys.executable, str(CONTENDERS), name, str(root), *([str(out)] if out else [])]
    return measure(called or name, lines, command, root.parent)


def copy_history(history: Path, root: Path) -> Path:
    """A data directory of its own on the same raw store, whose files are never written to."""
    root.mkdir(parents=True)
    for name in ("ledger.duckdb", "shops.csv", "history.json"):
        shutil.copy(history / name, root)
    shutil.copytree(history / "raw", root / "raw", copy_function=os.link)
    return root


def dbt(name: str, lines: int, arguments: list[str], root: Path) -> Measured:
    """Measure dbt itself on the warehouse of a data directory; its target folder lies there too."""
    env = {
        "FEEDBACK_WAREHOUSE": str(root / "warehouse.duckdb"),
        "DBT_PROFILES_DIR": str(DBT_DIR),
        "DBT_TARGET_PATH": str(root / "dbt_alone"),
        "DBT_LOG_PATH": str(root / "dbt_alone"),
    }
    return measure(name, lines, [str(DBT), *arguments], root, env=env, cwd=DBT_DIR)


def stored(root: Path) -> dict[str, float]:
    """What a data directory keeps, in MiB."""
    return {
        "raw": size_mib(root / "raw"),
        "warehouse": size_mib(root / "warehouse.duckdb"),
        "published": size_mib((root / "published" / "current").resolve()),
    }


def lay_increment(root: Path, lines: int) -> None:
    """One more day's exports, in `landing/`."""
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(DATA), "increment", str(root), "--lines", str(lines)],
        check=True,
        capture_output=True,
    )


def bench(lines: int, work: Path, increment: int, increments: int) -> Iterator[Measured]:
    """All contenders at one size, on the history in `work`, which is made when it is not there."""
    ensure_manifest()  # as a run does when the project has changed; not what is measured here
    history = work / f"history-{lines}"
    if not (history / "history.json").exists():
        shutil.rmtree(history, ignore_errors=True)
        command = [sys.executable, str(DATA), "history", str(history), "--lines", str(lines)]
        measure("generate", lines, command, work)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        yield contender("imports", lines, history)
        yield contender("imports_gx", lines, history)

        alone = copy_history(history, folder / "alone")
        contender("prepare", lines, alone)
        yield dbt("dbt_parse", lines, ["parse", "--no-partial-parse"], alone)
        yield dbt("dbt_parse_warm", lines, ["parse"], alone)
        build = ["build", "--exclude-resource-type", "unit_test"]
        rebuilt = dbt("dbt_alone", lines, [*build, "--full-refresh"], alone)
        yield _with_sizes(rebuilt, {"warehouse": size_mib(alone / "warehouse.duckdb")})
        for _ in range(increments):
            contender("settle", lines, alone)
            lay_increment(alone, increment)
            scope = contender("prepare", lines, alone).facts["scope"]
            yield dbt("dbt_alone_increment", lines, [*build, *scope], alone)
        shutil.rmtree(alone)

        floor = folder / "floor.duckdb"
        command = [str(FLOOR), "--data-dir", str(history), "--out", str(floor)]
        measured = measure("floor", lines, [sys.executable, *command], folder)
        yield _with_sizes(measured, {"marts": size_mib(floor)})
        floor.unlink()

        root = copy_history(history, folder / "data")
        full = contender("run", lines, root, called="run_full")
        yield _with_sizes(full, stored(root))
        yield contender("bare_publication", lines, root, folder / "bare")
        shutil.rmtree(folder / "bare")
        yield contender("run", lines, root, called="run_nothing_new")
        for _ in range(increments):
            lay_increment(root, increment)
            more = contender("run", lines, root, called="run_increment")
            yield _with_sizes(more, stored(root))
        yield contender("run", lines, root, called="run_nothing_new")
        lay_increment(root, increment)
        contender("run_up_to_publication", lines, root)
        yield contender("gates", lines, root)
        yield contender("gates_sql", lines, root)
        shutil.rmtree(root)

        if lines <= MOST_LINES_OF_ANALYSTS:
            yield contender("range_join", lines, history, folder / "range_join")
            yield contender("pandas_rolling", lines, history)


def _with_sizes(found: Measured, sizes: dict[str, float]) -> Measured:
    return replace(found, stored_mib=sizes)


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    import duckdb

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu[1].strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "measured_at": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    """Measure the sizes asked for; sizes measured before stay in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--work", type=Path, help="keep the histories here; default a temp folder")
    parser.add_argument("--increment", type=int, default=INCREMENT_LINES, help="order lines a day")
    parser.add_argument("--increments", type=int, default=INCREMENTS, help="how many days")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    results: dict[str, Any] = {"measured": []}
    if options.results.exists():
        results = json.loads(options.results.read_text())
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        for lines in options.lines:
            others = [m for m in results["measured"] if m["lines"] != lines]
            found: list[Measured] = []
            for measured in bench(lines, work.resolve(), options.increment, options.increments):
                found.append(measured)
                results = {
                    "machine": machine(),
                    "increment_lines": options.increment,
                    "measured": sorted([*others, *map(asdict, found)], key=lambda m: m["lines"]),
                }
                options.results.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
