"""Faults thrown at runs, and what became of them: `make chaos`.

    python benchmarks/chaos.py --kills 50 --publications 100

Exports of invented shops lie ready: half of them published, half waiting. Each trial has a copy of
its own, in which a run meets a fault while readers read; then the fault is taken away and a run is
started again. What is published then must be, row for row, what an undisturbed run publishes, with
no litter left. What needs a right or a program that is not there is left out, by name.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current
from dagster_project.lib.sql import literal

FEEDBACK = Path(sys.executable).with_name("feedback")
READER = Path(__file__).with_name("reader.py")
READERS = ("duckdb", "adbc", "sqlalchemy", "polars")
# Columns that say when or by which run, not what.
_NOT_COMPARED = {"run_id", "checked_at", "message", "publication_id", "published_at"}
_MIB = 1 << 20


@dataclass
class Row:
    """What became of one kind of fault."""

    fault: str
    injected: int = 0
    recovered: int = 0
    rows_lost: int = 0
    rows_doubled: int = 0
    reads: int = 0
    reader_errors: int = 0
    remarks: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every run recovered, in words, and nothing was lost, doubled or unreadable."""
        lost = self.rows_lost or self.rows_doubled or self.reader_errors
        return self.recovered == self.injected and not lost and not self.complaints

    def judge(self, trial: Trial) -> None:
        """Count what a trial left, compared with the undisturbed run."""
        lost, doubled = trial.differing_rows()
        litter = trial.litter()
        self.injected += 1
        self.recovered += not litter and lost == doubled == 0
        self.rows_lost += lost
        self.rows_doubled += doubled
        self.complaints += [f"litter: {path}" for path in litter]


@dataclass(frozen=True)
class Trial:
    """A data directory that meets a fault, and the one that did not."""

    data: DataDir
    undisturbed: DataDir

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a command on it, in a process group of its own."""
        command = [str(FEEDBACK), *(arguments or ("run",)), "--data-dir", str(self.data.root)]
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, **options,
        )  # fmt: skip

    def run(self, *arguments: str, **options: object) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and output."""
        process = self.start(*arguments, **options)
        output, _ = process.communicate()
        return process.returncode, output

    def differing_rows(self) -> tuple[int, int]:
        """Published rows that are missing here, and rows that are there too often."""
        lost = doubled = 0
        with duckdb.connect() as con:
            for name, data in (("here", self.data), ("there", self.undisturbed)):
                version = current(data)
                if version is None:
                    return 1, 0
                marts = literal(str(version.folder / "marts.duckdb"))
                con.execute(f"attach {marts} as {name} (read_only)")
            tables = con.execute(
                "select table_name, string_agg(column_name, ', ') from duckdb_columns() "
                "where database_name = 'there' and not list_contains(?, column_name) "
                "and table_name <> 'quality_results' group by all",
                [sorted(_NOT_COMPARED)],
            ).fetchall()
            for table, columns in tables:
                of_both = [f"(select {columns} from {db}.main.{table})" for db in ("there", "here")]
                more, less = (
                    con.execute(f"select count(*) from ({a} except all {b})").fetchall()[0][0]
                    for a, b in (of_both, of_both[::-1])
                )
                lost += more
                doubled += less
        return lost, doubled

    def litter(self) -> list[str]:
        """What a run should not have left behind."""
        root = self.data.root
        with duckdb.connect(str(self.data.ledger), read_only=True) as ledger:
            known = {
                (dataset, batch)
                for dataset, batch in ledger.execute(
                    "select distinct dataset, batch_id from files"
                ).fetchall()
            }
        found = [*self.data.published.glob(".new-*"), *self.data.tmp.glob("*"), *root.glob("*.wal")]
        found += [*self.data.published.glob("versions/.*"), *root.glob("*.duckdb.tmp")]
        found += (
            path
            for path in self.data.raw.glob("*/*")
            if (path.parent.name, path.name.removesuffix(".parquet")) not in known
        )
        return [path.relative_to(root).as_posix() for path in found]


class World:
    """Exports of two invented shops, half of them published, half of them waiting."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "base"
        command = (
            "sample",
            str(self.base),
            "--shops",
            "2",
            "--days",
            "40",
            "--orders-per-day",
            "8",
        )
        subprocess.run([str(FEEDBACK), *command], check=True, capture_output=True)  # noqa: S603
        landing = self.base / "landing"
        files = sorted(path for path in landing.rglob("*") if path.is_file())
        later = files[1::2]
        aside = folder / "aside"
        for path in later:
            _move(path, aside / path.relative_to(landing))
        self._must_run(DataDir(self.base))
        for path in later:
            _move(aside / path.relative_to(landing), path)
        self.undisturbed = DataDir(folder / "undisturbed")
        shutil.copytree(self.base, self.undisturbed.root, symlinks=True)
        self.seconds = self._seconds_per_step()

    def _must_run(self, data: DataDir) -> None:
        code, output = Trial(data, data).run()
        if code:
            raise SystemExit(f"an undisturbed run failed:\n{output}")

    def _seconds_per_step(self) -> dict[str, float]:
        """Run undisturbed; the time from each step's beginning to the next one's."""
        process = Trial(self.undisturbed, self.undisturbed).start()
        begun = [("start", time.monotonic())]
        begun += [(step, time.monotonic()) for step in _steps_as_they_begin(process)]
        begun.append(("end", time.monotonic()))
        if process.wait():
            raise SystemExit("an undisturbed run failed")
        seconds: dict[str, float] = {}
        for (step, at), (_, until) in itertools.pairwise(begun):
            seconds[step] = seconds.get(step, 0) + until - at
        return seconds

    @contextlib.contextmanager
    def trial(self, at: Path | None = None) -> Iterator[Trial]:
        """A copy of the base, in `at` or a folder of its own, which goes away afterwards."""
        root = (at or self.folder) / "trial"
        shutil.copytree(self.base, root, symlinks=True)
        try:
            yield Trial(DataDir(root), self.undisturbed)
        finally:
            shutil.rmtree(root)


def _steps_as_they_begin(process: subprocess.Popen[str]) -> Iterator[str]:
    """The steps of a run while it goes on; those of a gate have one name."""
    for line in process.stdout or ():
        if step := re.fullmatch(r"… (\w+?)(?:__\w+)?\n", line):
            yield step[1]


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


@contextlib.contextmanager
def readers(data: DataDir, row: Row, kinds: tuple[str, ...] = READERS) -> Iterator[None]:
    """Read in a loop meanwhile, each kind of reader in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        stop = Path(folder) / "stop"
        command = [sys.executable, str(READER)]
        processes = [
            subprocess.Popen(  # noqa: S603 - our own program
                [*command, kind, str(data.published), str(stop)], stdout=subprocess.PIPE, text=True
            )
            for kind in kinds
        ]
        for process in processes:
            if process.stdout is not None:
                process.stdout.readline()  # it has read once
        try:
            yield
        finally:
            stop.touch()
            for kind, process in zip(kinds, processes, strict=True):
                output, _ = process.communicate()
                found = json.loads(output or '{"reads": 0, "errors": ["died"]}')
                row.reads += found["reads"]
                row.reader_errors += len(found["errors"])
                row.remarks += [f"{kind}: {error}" for error in found["errors"][:3]]


def kill(world: World, kills: int, rng: random.Random, steps: Sequence[str] = ()) -> Row:
    """SIGKILL at a random moment of each step, or of these, in turn."""
    row = Row("SIGKILL at a random moment")
    steps = steps or tuple(world.seconds)
    at: Counter[str] = Counter()
    for number, step in enumerate(itertools.islice(itertools.cycle(steps), kills)):
        with world.trial() as trial, readers(trial.data, row, READERS[number % 4 :][:1]):
            process = trial.start()
            if step != "start":
                next(begun for begun in _steps_as_they_begin(process) if begun == step)
            time.sleep(rng.uniform(0, world.seconds[step]))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            at[step if process.returncode == -signal.SIGKILL else "after its end"] += 1
            _recover(trial, row)
    row.remarks.insert(0, "in " + ", ".join(f"{step} {n}" for step, n in at.items()))
    return row


def _recover(trial: Trial, row: Row, *command: str) -> None:
    code, output = trial.run(*command)
    if code:
        row.complaints.append(f"the next run ended with {code}: {output[-300:]}")
    row.judge(trial)


def _expect(row: Row, code: int, output: str, words: str) -> None:
    """A run that cannot do its work must say so in words, and not with a traceback."""
    if code == 0 or words not in output or "Traceback" in output:
        row.complaints.append(f"ended with {code} and not with {words!r}: {output[-300:]}")


def truncated_warehouse(
    world: World, rng: random.Random, shares: tuple[float, ...] = (0.001, 0.3, 0.9)
) -> Row:
    """The warehouse file cut off at several lengths; `feedback rebuild` makes it anew."""
    row = Row("warehouse cut off, then `feedback rebuild`")
    for share in shares:
        with world.trial() as trial, readers(trial.data, row):
            with trial.data.warehouse.open("r+b") as file:
                file.truncate(int(trial.data.warehouse.stat().st_size * share))
            _expect(row, *trial.run(), "feedback rebuild")
            _recover(trial, row, "rebuild")
    return row


def lost_warehouse(world: World, rng: random.Random) -> Row:
    """No warehouse at all: an ordinary run makes it anew."""
    row = Row("warehouse lost")
    with world.trial() as trial, readers(trial.data, row):
        trial.data.warehouse.unlink()
        _recover(trial, row)
    return row


def little_memory(world: World, rng: random.Random) -> Row:
    """An address space too small for a run."""
    row = Row("too little memory")
    for mib in (700, 1500, 2500):
        limit = mib * _MIB

        def less(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

        with world.trial() as trial, readers(trial.data, row):
            code, _ = trial.run(preexec_fn=less)
            row.remarks.append(f"{mib} MiB: ended with {code}")
            _recover(trial, row)
    return row


def full_disk(world: World, rng: random.Random) -> Row:
    """A disk with room for a part of what a run writes."""
    row = Row("disk full")
    size = sum(p.stat().st_size for p in world.base.rglob("*") if p.is_file()) // _MIB + 1
    for free in (1, 4, 16):
        with (
            _tmpfs(world.folder / "small", size + free) as small,
            world.trial(small) as trial,
            readers(trial.data, row),
        ):
            code, output = trial.run()
            if code == 0:
                row.remarks.append(f"{free} MiB were enough")
            else:
                _expect(row, code, output, "Error")
            _mount(small, f"remount,size={size + 500}m")
            _recover(trial, row)
    return row


def read_only(world: World, rng: random.Random) -> Row:
    """A data directory that cannot be written to."""
    row = Row("data directory read-only")
    with (
        _tmpfs(world.folder / "small", 2000) as small,
        world.trial(small) as trial,
        readers(trial.data, row),
    ):
        _mount(small, "remount,ro")
        _expect(row, *trial.run(), "Error")
        _mount(small, "remount,rw")
        _recover(trial, row)
    return row


def clock_set_back(world: World, rng: random.Random) -> Row:
    """A clock that says the day before yesterday."""
    row = Row("clock set back by two days")
    with world.trial() as trial, readers(trial.data, row):
        process = subprocess.run(  # noqa: S603
            ["faketime", "-f", "-2d", str(FEEDBACK), "run", "--data-dir", str(trial.data.root)],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        row.remarks.append(f"ended with {process.returncode}")
        _recover(trial, row)
    return row


def two_runs(world: World, rng: random.Random) -> Row:
    """Two runs at once, some moments apart."""
    row = Row("two runs at once")
    for _ in range(3):
        with world.trial() as trial, readers(trial.data, row):
            first = trial.start()
            time.sleep(rng.uniform(0, 3))
            second = trial.start()
            outputs = [first.communicate()[0], second.communicate()[0]]
            codes = [first.returncode, second.returncode]
            for code, output in zip(codes, outputs, strict=True):
                if code:
                    _expect(row, code, output, "Another run is at work")
            if all(codes):
                row.complaints.append("neither run succeeded")
            _recover(trial, row)
    return row


def many_publications(world: World, publications: int) -> Row:
    """Readers in a loop while versions are swapped; each has one number in all its tables."""
    row = Row(f"{publications} publications under 4 readers")
    with world.trial() as trial, readers(trial.data, row):
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, str(READER), "publish", str(trial.data.root), str(publications)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        row.injected = publications
        row.recovered = int(done.stdout.strip().rpartition("\n")[2] or 0)
        if done.returncode:
            row.remarks.append(done.stderr[-300:])
    return row


@contextlib.contextmanager
def _tmpfs(at: Path, mib: int) -> Iterator[Path]:
    at.mkdir()
    _mount(at, f"size={mib}m")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)  # noqa: S603, S607
        at.rmdir()


def _mount(at: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def can_mount(folder: Path) -> bool:
    """Whether this user may make a small disk."""
    try:
        with _tmpfs(folder / "probe", 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        (folder / "probe").rmdir()
        return False


def faults(folder: Path) -> list[tuple[Callable[[World, random.Random], Row], str]]:
    """The faults beside killing, and why one cannot be had here."""
    mount = "" if can_mount(folder) else "needs the right to mount a tmpfs"
    clock = "" if shutil.which("faketime") else "needs the Debian package faketime"
    return [
        (truncated_warehouse, ""),
        (lost_warehouse, ""),
        (little_memory, ""),
        (full_disk, mount),
        (read_only, mount),
        (clock_set_back, clock),
        (two_runs, ""),
    ]


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| fault | injected | recovered | rows lost | rows doubled | reads | reader errors |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.fault} | {r.injected} | {r.recovered} | {r.rows_lost} | {r.rows_doubled} "
        f"| {r.reads:,} | {r.reader_errors} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Inject all of them and print what became of the runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--publications", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="some of the faults, by the names below")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - no secret
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = World(folder)
        everything: list[tuple[str, Callable[[], Row], str]] = [
            ("publications", lambda: many_publications(world, options.publications), ""),
            *((f.__name__, functools.partial(f, world, rng), why) for f, why in faults(folder)),
            ("kill", lambda: kill(world, options.kills, rng), ""),
        ]
        with contextlib.suppress(KeyboardInterrupt):  # what is done is shown
            for fault, inject, why_not in everything:
                if options.only and fault not in options.only:
                    continue
                if why_not:
                    print(f"{fault}: left out, {why_not}")
                    continue
                row = inject()
                rows.append(row)
                print(f"{fault}: {row.recovered} of {row.injected} recovered", flush=True)
                for remark in (*row.remarks, *row.complaints):
                    print(f"    {remark}", flush=True)
    print(f"\n{table(rows)}")
    sys.exit(not rows or not all(row.is_good for row in rows))


if __name__ == "__main__":
    main()
