"""How fast files come in, against the bare parsers: `make bench`.

Every figure is a ratio within one run: bare reading and ingest of the same file take turns, each in
a process of its own, so that a slow moment of the machine hits both and peak memory is told apart.
"""

from __future__ import annotations

import csv
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import xlsxwriter
from python_calamine import CalamineWorkbook

from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.sample import write_sample

ROUNDS = 3
CSV_LINES, XLSX_LINES, SMALL_FILES, SEEN_FILES = 1_000_000, 100_000, 1_000, 10_000
SHOP = "id-batik-house"
STAMP = "2026-10-31-21_07"


def lines(sample: Path) -> Iterator[list[str]]:
    """The header of the sample's Indonesian orders, then its lines for ever, each order new."""
    folder = sample / "landing" / SHOP / "orders"
    rows: list[list[str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *found = csv.reader(file)
        rows += [row for row in found if row[0].strip().isdigit()]
    yield header
    for number, row in enumerate(itertools.cycle(rows)):
        yield [f"{576_000_000_000_000_000 + number}\t", *row[1:]]


def write_csv(path: Path, rows: Iterator[list[str]], header: list[str], count: int) -> None:
    """The next `count` rows as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(itertools.islice(rows, count))


def write_xlsx(path: Path, rows: Iterator[list[str]], header: list[str], count: int) -> None:
    """The next `count` rows as a workbook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("OrderSKUList")
        for number, row in enumerate([header, *itertools.islice(rows, count)]):
            sheet.write_row(number, 0, row)


def read_csv(path: Path) -> None:
    """What DuckDB alone needs to make a table of the file."""
    with duckdb.connect(config={"memory_limit": "1GB"}) as con:
        con.execute("create temp table t as select * from read_csv(?)", [str(path)])


def read_xlsx(path: Path) -> None:
    """What calamine alone needs to go through the first sheet."""
    for _ in CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows():
        pass


def run_ingest(root: Path) -> None:
    """Ingest of a data directory into a new ledger."""
    data = DataDir(root)
    with Ledger.open(data.ledger) as ledger:
        batch = ingest(data, ledger)
    refused = [file.message for file in batch.files if file.status != "loaded"]
    if refused:
        raise SystemExit(f"{len(refused)} files refused: {refused[0]}")


TASKS: dict[str, Callable[[Path], None]] = {
    "read_csv": read_csv,
    "read_xlsx": read_xlsx,
    "ingest": run_ingest,
}


def measured(task: str, path: Path) -> tuple[float, float]:
    """Seconds of the task without imports and contracts, peak memory in MiB with its child's."""
    command = [sys.executable, __file__, task, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    seconds, mebibytes = json.loads(output)
    return seconds, mebibytes


def run_task(task: str, path: Path) -> None:
    """The child's part of `measured`."""
    load_datasets()
    started = time.perf_counter()
    TASKS[task](path)
    seconds = time.perf_counter() - started
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(json.dumps([seconds, sum(peaks) / 1024]))


def data_dir(folder: Path, sample: Path, name: str) -> tuple[Path, Path]:
    """A new data directory and its folder for orders."""
    root = folder / name
    root.mkdir()
    (root / "shops.csv").write_bytes((sample / "shops.csv").read_bytes())
    return root, root / "landing" / SHOP / "orders"


def forget(root: Path) -> None:
    """Make the data directory as if nothing had been ingested."""
    (root / "ledger.duckdb").unlink(missing_ok=True)


def compare(name: str, bare: tuple[str, Path], root: Path) -> None:
    """Print a row of the table: bare task against ingest, in turns."""
    pairs = []
    for _ in range(ROUNDS):
        forget(root)
        pairs.append((measured(*bare), measured("ingest", root)))
    ratio = statistics.median(ours[0] / theirs[0] for theirs, ours in pairs)
    bare_seconds = statistics.median(theirs[0] for theirs, _ in pairs)
    our_seconds = statistics.median(ours[0] for _, ours in pairs)
    memory = max(ours[1] for _, ours in pairs)
    print(
        f"| {name} | {bare_seconds:.2f} | {our_seconds:.2f} | {ratio:.2f} | {memory:,.0f} |",
        flush=True,
    )


def main() -> None:
    """Print a Markdown table of the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = folder / "sample"
        write_sample(sample)
        rows = lines(sample)
        header = next(rows)
        print("| ingest of | against, s | ingest, s | ratio | peak memory, MiB |")
        print("|---|---|---|---|---|", flush=True)

        root, orders = data_dir(folder, sample, "csv")
        path = orders / f"All order-{STAMP}.csv"
        write_csv(path, rows, header, CSV_LINES)
        compare(f"{CSV_LINES:,} order lines, CSV; DuckDB's read_csv", ("read_csv", path), root)

        root, orders = data_dir(folder, sample, "xlsx")
        path = orders / f"All order-{STAMP}.xlsx"
        write_xlsx(path, rows, header, XLSX_LINES)
        compare(f"{XLSX_LINES:,} order lines, XLSX; bare calamine", ("read_xlsx", path), root)

        whole, orders = data_dir(folder, sample, "whole")
        write_csv(orders / f"All order-{STAMP}.csv", rows, header, 100 * SMALL_FILES)
        parts, orders = data_dir(folder, sample, "parts")
        for number in range(SMALL_FILES):
            write_csv(orders / f"All order-{STAMP} ({number}).csv", rows, header, 100)
        pairs = []
        for _ in range(ROUNDS):
            forget(whole)
            forget(parts)
            pairs.append((measured("ingest", whole), measured("ingest", parts)))
        ratio = statistics.median(b[0] / a[0] for a, b in pairs)
        first, second = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
        peak = max(b[1] for _, b in pairs)
        print(
            f"| {SMALL_FILES:,} files; the same rows in one | {first:.2f} | {second:.2f} "
            f"| {ratio:.2f} | {peak:,.0f} |",
            flush=True,
        )

        seen, orders = data_dir(folder, sample, "seen")
        for number in range(SEEN_FILES):
            write_csv(orders / f"All order-{STAMP} ({number}).csv", rows, header, 20)
        measured("ingest", seen)
        seconds = statistics.median(measured("ingest", seen)[0] for _ in range(ROUNDS))
        print(f"\nPassing over {SEEN_FILES:,} files seen before: {seconds:.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_task(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
