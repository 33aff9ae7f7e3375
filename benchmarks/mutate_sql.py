"""Would the tests notice a wrong model? Seeded mutations of the dbt project: `make mutation`.

A mutant is a copy of the project with one change to a model or macro: a condition dropped, a
window shifted, a join swapped. The tests that a mutant must fail are run on the copy until one
does. Those of which benchmarks/README.md says why they change nothing are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dagster_project.lib.paths import DBT_DIR, PROJECT_ROOT

# What is changed, by kind: the pattern and what is put in the place of what it finds.
KINDS: dict[str, list[tuple[str, str]]] = {
    "condition dropped": [
        (r"(?m)^(\s+)and [^\n]+$", r"\1"),
        (r"(?m)\bwhere (?!not exists)([^\n]+)$", "where true"),
    ],
    "window shifted": [
        (r"(?<=[-+] )(\d+)\b", "{n+1}"), (r"\bwindow_days\b(?! - )", "window_days + 1"),
    ],
    "join swapped": [(r"\binner join\b", "left join"), (r"\bleft join\b", "inner join")],
    "comparison moved": [
        (r" <= ", " < "), (r" >= ", " > "), (r" < ", " <= "), (r" > ", " >= "),
    ],
    "comparison turned": [(r"(?<= )= (?!case)", "<> "), (r"\bis not null\b", "is null")],
    "aggregate swapped": [
        (r"\bmin\(", "max("), (r"\bmax\(", "min("), (r"\bcount\(distinct ", "count("),
        (r"\bsum\(", "max("),
    ],
    "order turned": [(r"\bdesc\b", "asc")],
    "rows doubled or lost": [
        (r"\bunion all\b(?! by)", "union"), (r"\bselect distinct\b", "select"),
    ],
    "connective swapped": [(r"(?<=\s)or(?=\s)", "and")],
    "value swapped": [
        (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"'(ok|seller|review|return)'", "'other'"),
    ],
    "null not filled": [(r"\bcoalesce\((\w+(?:\.\w+)?), ['\w]+\)", r"\1")],
}  # fmt: skip
README = Path(__file__).with_name("README.md")
_NO_SQL = re.compile(r"--[^\n]*|\{#.*?#\}|\{%.*?%\}", re.S)
# Run one after the other until one fails.
_REFERENCE = "tests/test_marts_equal_reference.py"
Tests = tuple[tuple[str, dict[str, str]], ...]
TESTS: Tests = (
    (
        f"{_REFERENCE}::test_marts_equal_the_reference_up_to_a_given_as_of",
        {"REFERENCE_SHOPS": "15"},
    ),
    ("tests/test_increments.py", {"INCREMENT_SHOPS": "40", "INCREMENT_RUNS": "4"}),
    (_REFERENCE, {"REFERENCE_SHOPS": "40"}),
    ("tests/test_dbt_project.py", {}),
)


@dataclass(frozen=True)
class Mutant:
    """One change to one file; `old` and `new` are the lines as they were and are."""

    kind: str
    path: Path
    text: str
    line: int
    old: str
    new: str

    def __str__(self) -> str:
        where = f"{self.path.relative_to(DBT_DIR)}:{self.line}"
        return f"{where} {self.kind}: `{self.old.strip()}` -> `{self.new.strip()}`"

    @property
    def is_explained(self) -> bool:
        """Whether a row of the README's table says why this one changes nothing."""
        cell = str(self).replace("|", r"\|")
        return f"\n| {cell} |" in README.read_text(encoding="utf-8")


def mutants() -> Iterator[Mutant]:
    """All that the kinds make of the models and macros."""
    seen: set[tuple[Path, str]] = set()
    for folder in ("models", "macros"):
        for path in sorted((DBT_DIR / folder).rglob("*.sql")):
            text = path.read_text(encoding="utf-8")
            hidden = [match.span() for match in _NO_SQL.finditer(text)]
            for kind, changes in KINDS.items():
                for pattern, replacement in changes:
                    for match in re.finditer(pattern, text):
                        if any(start <= match.start() < end for start, end in hidden):
                            continue
                        mutant = _mutant(kind, path, text, match, replacement)
                        if (path, mutant.text) not in seen:
                            seen.add((path, mutant.text))
                            yield mutant


def _mutant(kind: str, path: Path, text: str, match: re.Match[str], replacement: str) -> Mutant:
    put = str(int(match[1]) + 1) if replacement == "{n+1}" else match.expand(replacement)
    changed = text[: match.start()] + put + text[match.end() :]
    line = text.count("\n", 0, match.start() + len(match[0]) - len(match[0].lstrip())) + 1
    lines = [
        t.splitlines()[line - 1] if line <= len(t.splitlines()) else "" for t in (text, changed)
    ]
    return Mutant(kind, path, changed, line, *lines)


def sample(size: int, seed: int) -> list[Mutant]:
    """As many of each kind as there is room for, chosen by seeded chance."""
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in mutants():
        by_kind.setdefault(mutant.kind, []).append(mutant)
    rng = random.Random(seed)  # noqa: S311 - no secret
    for found in by_kind.values():
        rng.shuffle(found)
    chosen: list[Mutant] = []
    while len(chosen) < size and any(by_kind.values()):
        chosen += [found.pop() for found in by_kind.values() if found]
    return chosen[:size]


def killer(mutant: Mutant | None, tests: Tests = TESTS) -> str | None:
    """The test that fails on the mutant; None where it lives. Without a mutant: as things are."""
    with tempfile.TemporaryDirectory() as name, _copy(Path(name)) as root:
        if mutant:
            place = root / mutant.path.relative_to(PROJECT_ROOT)
            place.write_text(mutant.text, encoding="utf-8")
        for test, environment in tests:
            command = [
                *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("--no-cov", "--basetemp", str(Path(name) / "tests"), test),
            ]
            done = subprocess.run(  # noqa: S603 - our own tests
                command, cwd=root, capture_output=True, text=True, check=False,
                env=os.environ | environment | {"PYTHONPATH": str(root)},
            )  # fmt: skip
            if done.returncode not in (0, 1):
                raise SystemExit(f"{test} could not be run on {mutant}:\n{done.stdout[-3000:]}")
            if done.returncode:
                failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\w+)", done.stdout, re.M)
                return failed[0] if failed else test
    return None


@contextlib.contextmanager
def _copy(folder: Path) -> Iterator[Path]:
    root = folder / "project"
    leave = shutil.ignore_patterns(
        ".git", ".venv", "target", "data", ".*_cache", "mutants", "*.json"
    )
    shutil.copytree(PROJECT_ROOT, root, ignore=leave)
    yield root


def main() -> None:
    """Sample mutants, run the tests on each and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if failing := killer(None):
        raise SystemExit(f"{failing} fails before anything is changed")
    every = sample(options.mutants, options.seed)
    chosen = [mutant for mutant in every if not mutant.is_explained]
    found: dict[Mutant, str | None] = {}
    started = time.monotonic()

    def judge(mutant: Mutant) -> None:
        found[mutant] = killer(mutant)
        minutes = (time.monotonic() - started) / 60
        verdict = f"killed by {found[mutant]}" if found[mutant] else "LIVES"
        print(f"{len(found)} of {len(chosen)}, {minutes:.0f} min: {verdict}: {mutant}", flush=True)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(judge, chosen))
    print(f"\n{table(found)}")
    print(f"{len(every) - len(chosen)} more change nothing, as benchmarks/README.md says")
    for mutant, killed in found.items():
        if not killed:
            print(f"lives: {mutant}")
    killed = sum(1 for by in found.values() if by)
    sys.exit(killed < 0.9 * len(found))


def table(found: dict[Mutant, str | None]) -> str:
    """What became of the mutants, by kind, in Markdown."""
    all_, killed = (
        Counter(m.kind for m, by in found.items() if by or not only_killed)
        for only_killed in (False, True)
    )
    rows = [f"| {kind} | {all_[kind]} | {killed[kind]} |" for kind in KINDS if all_[kind]]
    total = f"| all | {all_.total()} | {killed.total()} |"
    return "\n".join(
        ["| change to a model or macro | mutants | killed |", "|---|---|---|", *rows, total]
    )


if __name__ == "__main__":
    main()
