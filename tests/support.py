"""What several tests need: commands and runs in a data directory of its own, and what to run on."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

from dagster_project import cli
from dagster_project.lib.database import one_run_at_a_time
from dagster_project.lib.paths import PROJECT_ROOT, DataDir
from dagster_project.lib.sample import SampleTruth

FEEDBACK = Path(sys.executable).with_name("feedback")


@dataclass(frozen=True)
class CommandResult:
    """What a command left behind."""

    code: int
    output: str


@dataclass(frozen=True)
class Published:
    """A data directory after one published run; tests read it, or change a copy of it."""

    data: DataDir
    truth: SampleTruth
    personal_strings: frozenset[str]
    command: CommandResult
    system_temp: Path

    def copy(self, to: Path) -> DataDir:
        """Copy the whole data directory, history included."""
        return DataDir(Path(shutil.copytree(self.data.root, to / "data", symlinks=True)))


def feedback(*arguments: object, **environment: str) -> CommandResult:
    """Run the console script as a user would, with a wide terminal."""
    done = subprocess.run(
        [str(FEEDBACK), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(os.environ, COLUMNS="200") | environment,
        check=False,
    )
    return CommandResult(done.returncode, re.sub(r"\s+\n", "\n", done.stdout + done.stderr))


def feedback_here(*arguments: object) -> CommandResult:
    """Run a command in this process, which saves the seconds that imports take."""
    done = CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return CommandResult(done.exit_code, done.output)


def run_pipeline(data_dir: Path, as_of: date | None = None) -> Path:
    """Run the job in this process and return the published database; fails the test otherwise."""
    from dagster_project.runner import run_job

    data = DataDir(data_dir)
    with mock.patch.dict(os.environ), one_run_at_a_time(data.lock):
        outcome = run_job(data, as_of, lambda _: None)
    assert outcome.succeeded, f"{outcome.errors}\n{data.logs / outcome.run_id}.log"
    return data.published / "marts.duckdb"


@contextmanager
def held_for_writing(path: Path) -> Iterator[Callable[[], object]]:
    """Another program holds a database meanwhile; yields what makes it let go."""
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", hold, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout
            assert program.stdout.readline() == "held\n"
            yield program.communicate
        finally:
            program.kill()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# What pip says where it reaches no index.
_NO_INDEX = re.compile(
    "NewConnectionError|Failed to establish|Temporary failure|timed out|Max retries|"
    "No matching distribution"
)


def skip_without_packages(said: str) -> None:
    """Skip the test where pip could not reach its index; never where CI runs it."""
    if os.environ.get("CI") != "true" and _NO_INDEX.search(said):
        pytest.skip("needs the Python package index, which cannot be reached")


def client_environment(name: str) -> Path:
    """The programs of `tests/clients/<name>.lock`, in an environment that later runs find again."""
    lock = PROJECT_ROOT / "tests" / "clients" / f"{name}.lock"
    environment = PROJECT_ROOT / ".venv-clients" / name
    made_from = environment / "made_from"
    with one_run_at_a_time(environment.with_suffix(".lock")):
        if not made_from.exists() or made_from.read_text() != lock.read_text():
            shutil.rmtree(environment, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            install = ("install", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock))
            done = subprocess.run(
                [str(environment / "bin" / "python"), "-m", "pip", *install],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                skip_without_packages(done.stderr)
                pytest.fail(f"{lock.name} cannot be installed:\n{done.stderr[-2000:]}")
            made_from.write_text(lock.read_text())
    return environment / "bin"


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file, folder and link of a folder, with the sha-256 of its bytes or its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


ORDER_HEADER = (
    *("Order ID", "SKU ID", "Product Name", "Order Status", "Created Time", "Delivered Time"),
    *("Recipient", "Phone #", "Detail Address"),
)
RETURN_HEADER = (
    *("Return Order ID", "Order ID", "SKU ID", "Time Requested", "Return Reason"),
    *("Return Status", "Return Sub Status", "Buyer Note"),
)
REVIEW_HEADER = (
    *("review_id", "order_id", "product_id", "sku_id", "rating", "review_text", "created_at"),
    *("updated_at", "issue_type"),
)
MESSY_SHOP = "my-messy-market"


def write_messy_shop(root: Path, last_day: date) -> frozenset[str]:
    """Add a shop whose files have every fault that a run reports and goes on with.

    Two of its 60 order lines are rejected, one file is refused, one lies in an unknown folder, one
    return reason and one return status stand in no setting. Returns its personal strings; some of
    them stand in the rejected rows and refused files.
    """
    folder = root / "landing" / MESSY_SHOP
    with (root / "shops.csv").open("a", encoding="utf-8") as file:
        file.write(f"{MESSY_SHOP},Messy Market,MY,Asia/Kuala_Lumpur,MYR\n")

    def day(days_ago: int) -> str:
        return f"{last_day - timedelta(days=days_ago):%d/%m/%Y} 10:00:00"

    private = ["Nurul Huda binti Osman", "(+60)17-555-0143", "14 Jalan Tanpa Nama, Kampung Rahsia"]
    orders = [
        [f"5770000000000000{n:02}", "1729000000000000001", "Teh Tarik 1 kg", "Completed",
         day(30 - n // 3), day(25 - n // 3), *private]
        for n in range(60)
    ]  # fmt: skip
    orders[20][4] = private[0]  # cells that slid, so that a person stands where a time belongs
    orders[40][2] = ""
    write_csv(folder / "orders" / f"All order-{last_day}-20_00.csv", ORDER_HEADER, orders)
    write_csv(
        folder / "returns" / f"Return order-{last_day}-20_00.csv",
        RETURN_HEADER,
        [
            ["4035000000000000001", "577000000000000001", "1729000000000000001", day(9),
             "It smells of fish", "Completed", "", private[2]],
            ["4035000000000000002", "577000000000000002", "1729000000000000001", day(8),
             "Poor quality", "Under celestial review", "", private[2]],
        ],
    )  # fmt: skip
    write_csv(
        folder / "reviews" / f"reviews-{last_day}.csv",
        [name for name in REVIEW_HEADER if name != "rating"],
        [
            [
                "9001",
                "577000000000000003",
                "",
                "",
                f"Call {private[0]} on {private[1]}",
                str(last_day),
            ]
        ],
    )
    write_csv(folder / "invoices" / "invoices.csv", ["Invoice", "Billed to"], [["1", private[0]]])
    return frozenset(private)
