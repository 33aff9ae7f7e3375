"""Would the tests notice a wrong line in lib/? mutmut on a seeded sample: `make mutation`.

mutmut makes all mutants of `dagster_project/lib` and notes which tests reach each function; of the
mutants a sample is run, each against those tests, the slow ones left out. What lives, or takes too
long, is tried once more, against all tests of its module and the slow ones of whole runs. Those
that mypy refuses are killed too: `make test` runs it. What lives after that, and why, stands in
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dagster_project.lib.paths import PROJECT_ROOT

_BIN = Path(sys.executable).parent
# How mutmut keeps what became of a mutant: exit codes of its tests, or numbers of its own.
_KILLED = {1, 3, 37}
_OTHERS = {
    0: "lives", None: "not run", 5: "no test", 33: "no test", 34: "skipped",
    **dict.fromkeys((24, -24, 36, 152, 255), "took too long"),
}  # fmt: skip
# The tests of a module need minutes; what needs this does not end.
_PATIENCE_SECONDS = 3600
# Mutants are made, and statistics taken, as part of a run: of one that few tests reach.
_ANY_MUTANT = "dagster_project.lib.shops.x__check__mutmut_1"
_NO_MUTANT = "none"
# Where the tests of a module stand, if not all in a file that is called like it.
_FILES_OF_TESTS = {
    "after_run": ("digest", "dagster"),
    "cells": ("workbooks",),
    "charts": ("approved", "questions"),
    "database": ("publish", "explain"),
    "dbt_manifest": ("dbt_project",),
    "digest": ("digest", "approved"),
    "errors": ("notify", "workbooks"),
    "ledger": ("ledger", "containment", "publications"),
    "loader": ("ingest", "hostile"),
    "metrics": ("explain", "questions"),
    "notify_settings": ("notify",),
    "notify_worker": ("notify",),
    "paths": ("publications", "ingest"),
    "published_version": ("publish", "increments"),
    "raw_store": ("ingest",),
    "raw_views": ("gates",),
    "restatements": ("publish",),
    "row_rules": ("ingest",),
    "shop_publication": ("publications",),
    "sql": ("sql_safety", "ingest"),
    "steps": ("cli",),
    "text": ("landing", "notify"),
    "version": ("ingest",),
    "warehouse": ("increments", "publications"),
    "workbook_worker": ("workbooks",),
}
_SLOW_TESTS_OF_ALL = (
    "tests/test_approved.py",
    "tests/test_cli.py",
    "tests/test_publish.py",
    "tests/test_pipeline.py",
)


def verdicts(project: Path) -> dict[str, str]:
    """What became of each mutant so far: killed, lives, or why it was not tried."""
    codes: dict[str, int | None] = {}
    for path in sorted((project / "mutants").rglob("*.meta")):
        codes |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {
        name: "killed" if code in _KILLED else _OTHERS.get(code, f"ended with {code}")
        for name, code in codes.items()
    }


def run(project: Path, *mutants: str) -> None:
    """Have mutmut try these mutants of a project."""
    command = [str(_BIN / "mutmut"), "run", *mutants]
    beside = os.environ | {"PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}  # it calls mypy
    done = subprocess.run(command, cwd=project, check=False, env=beside)  # noqa: S603
    if done.returncode:
        failed = _failing(project, _NO_MUTANT, ["tests/"], ("-m", "not slow"))
        why = f": {failed} fails in its copy without a mutant" if failed else ""
        raise SystemExit(f"mutmut could not run{why}")


def files_of_tests(module: str) -> tuple[str, ...]:
    """The files that hold the tests of a module of lib/, or of a package there."""
    return tuple(f"tests/test_{name}.py" for name in _FILES_OF_TESTS.get(module, (module,)))


def other_test_that_fails(project: Path, mutant: str) -> str | None:
    """The first test that notices a mutant, of those that mutmut does not see reach it.

    They are the slow ones, and those of what runs in a process of its own. None when none does.
    """
    own = files_of_tests(_module(mutant).partition(".")[0])
    slow = tuple(path for path in _SLOW_TESTS_OF_ALL if path not in own)
    for files, options in ((own, ()), (slow, ("-m", "slow"))):
        if failed := _failing(project, mutant, files, options):
            _require_passing(project, files, options)
            return failed
    return None


@functools.cache
def _require_passing(project: Path, files: Sequence[str], options: Sequence[str]) -> None:
    if failed := _failing(project, _NO_MUTANT, files, options):
        raise SystemExit(f"{failed} fails among {', '.join(files)} without a mutant too")


def _failing(
    project: Path, mutant: str, files: Sequence[str], options: Sequence[str]
) -> str | None:
    copy = project / "mutants"
    quietly = ("-x", "-q", "--no-cov", "--no-header", "-p", "no:cacheprovider")
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pytest", *options, *quietly, *files],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "MUTANT_UNDER_TEST": mutant},
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "one that does not end"
    failed = re.search(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.M)
    if done.returncode and not failed:
        raise SystemExit(f"the tests could not run:\n{done.stdout[-2000:]}{done.stderr}")
    return failed[1] if failed else None


def main() -> None:
    """Make the mutants, run a sample and print what became of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    run(PROJECT_ROOT, _ANY_MUTANT)
    everyone = sorted(verdicts(PROJECT_ROOT))
    rng = random.Random(options.seed)  # noqa: S311 - no secret
    chosen = sorted(rng.sample(everyone, min(options.mutants, len(everyone))))
    run(PROJECT_ROOT, *chosen)
    found = verdicts(PROJECT_ROOT)
    for name in chosen:
        if found[name] != "killed" and other_test_that_fails(PROJECT_ROOT, name):
            found[name] = "killed"
    print(table({name: found[name] for name in chosen}))
    lives = [name for name in chosen if found[name] != "killed"]
    for name in lives:
        print(f"\n{name}: {found[name]}")
        show = [str(_BIN / "mutmut"), "show", name]
        subprocess.run(show, cwd=PROJECT_ROOT, check=False)  # noqa: S603
    print(f"\n{len(chosen) - len(lives)} of {len(chosen)} killed; {len(everyone)} in all")
    sys.exit(len(lives) > 0.1 * len(chosen))


def table(found: dict[str, str]) -> str:
    """What became of the mutants, by module, in Markdown."""
    modules = Counter(_module(name) for name in found)
    killed = Counter(_module(name) for name, verdict in found.items() if verdict == "killed")
    rows = [f"| {module} | {n} | {killed[module]} |" for module, n in sorted(modules.items())]
    total = f"| all | {modules.total()} | {killed.total()} |"
    return "\n".join(["| module of lib/ | mutants | killed |", "|---|---|---|", *rows, total])


def _module(name: str) -> str:
    return name.removeprefix("dagster_project.lib.").rpartition(".")[0]


if __name__ == "__main__":
    main()
