"""Damaged exports by the thousand: `make fuzz`.

Files of every dataset and format are damaged by seeded chance and go through the real ingest. Each
must end loaded or refused with a reason, in bounded time, and no row that the damage did not touch
may be missing from a file that was loaded. A batch of files is ingested at once, in a process that
may die; a batch that dies, raises or takes longer than a single file may is taken apart.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import re
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb

from dagster_project.lib.ingest import ingest
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from tests.exports_helper import MAKERS, SHOPS, csv_text, table, xlsx_bytes

ROWS = 60
BATCH_FILES = 100
MOST_SECONDS = 10.0  # that a single file may take
KEYS = {
    "orders": "order_id",
    "returns": "return_order_id",
    "reviews": "review_id",
    "products": "sku_id",
    "complaints": "complaint_id",
    "chats": "conversation_id",
    "platform_metrics": "metric_date",
    "review_overrides": "review_id",
}
NASTY = (
    "", "-", "NaN", "inf", "1e400", "1.73E+18", "0", "-1", "9999999999999999999999", "=1+1", "NULL",
    "31/02/2025", "2025-13-45", "13/14/2025", "01-02-03", "9999999999", "45000.5", "\t", "\u200b",
    "x" * 5000, "ก" * 300, "'; drop table files; --", "{}", "[1]", "\u202e", "\ufeff", "a\x00b",
    "%", "🧴", "null", "true", "1,2", "1;2", "../../etc/passwd", "${x}", "{{ x }}",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A damaged file: `untouched` are the keys of the rows it must still have; null = not known."""

    number: int
    dataset: str
    form: str
    mutator: str
    content: bytes
    untouched: frozenset[str] | None


@dataclass
class Tally:
    """What became of the files of one form and mutator."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def case(seed: int, number: int) -> Case:
    """The damaged file of that number; the same at every call."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311
    dataset = rng.choice(sorted(MAKERS))
    form = rng.choice(
        ["csv", "csv", "xlsx", *(["jsonl"] if dataset in ("reviews", "returns") else [])]
    )
    rows = [MAKERS[dataset](n) for n in range(1, ROWS + 1)]
    if dataset == "platform_metrics":
        for n, row in enumerate(rows):
            row["metric_date"] = str(date(2025, 1, 1) + timedelta(n))
    cells = [[str(cell) for cell in row] for row in table(rows)]
    key = next(i for i, h in enumerate(cells[0]) if h.lower().replace(" ", "_") == KEYS[dataset])
    keys = [row[key] for row in cells[1:]]
    mutate = rng.choice(MUTATORS[form])
    content, untouched = mutate(rng, cells, keys)
    return Case(
        number,
        dataset,
        form,
        mutate.__name__,
        content,
        None if untouched is None else frozenset(untouched),
    )


Mutated = tuple[bytes, Sequence[str] | None]
Mutator = Callable[[random.Random, list[list[str]], list[str]], Mutated]


def _but(keys: list[str], *touched: int) -> list[str]:
    return [key for number, key in enumerate(keys) if number not in touched]


def _nasty_cell(rng: random.Random, cells: list[list[str]]) -> int:
    row = rng.randrange(1, len(cells))
    cells[row][rng.randrange(len(cells[row]))] = rng.choice(NASTY)
    return row - 1


def _write(rng: random.Random, cells: list[list[str]]) -> bytes:
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])
    text = csv_text(cells, rng.choice(",;\t"), rng.choice(["\n", "\r\n"]))
    return text.encode(encoding, "replace")


def csv_cell(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """One cell is replaced."""
    touched = _nasty_cell(rng, cells)
    return _write(rng, cells), _but(keys, touched)


def csv_columns(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Columns change places, unknown ones come in."""
    cells = [[*row, f"note {n}", ""] for n, row in enumerate(cells)]
    order = rng.sample(range(len(cells[0])), len(cells[0]))
    return _write(rng, [[row[i] for i in order] for row in cells]), keys


def csv_column_lost_or_twice(
    rng: random.Random, cells: list[list[str]], keys: list[str]
) -> Mutated:
    """A column is missing, or there twice."""
    at = rng.randrange(len(cells[0]))
    if rng.random() < 0.5:
        return _write(rng, [row[:at] + row[at + 1 :] for row in cells]), None
    return _write(rng, [[*row, row[at]] for row in cells]), keys


def csv_line(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """One line is cut, deleted, doubled, glued or turned into noise."""
    lines = csv_text(cells).splitlines()
    row = rng.randrange(1, len(lines))
    kind = rng.randrange(5)
    touched = [row - 1]
    if kind == 0:
        lines[row] = lines[row][: rng.randrange(len(lines[row]))]
    elif kind == 1:
        del lines[row]
    elif kind == 2:
        lines.insert(row, lines[row])
    elif kind == 3 and row + 1 < len(lines):
        lines[row : row + 2] = [lines[row] + lines[row + 1]]
        touched.append(row)
    else:
        lines[row] = "".join(chr(rng.randrange(32, 0x2FF)) for _ in range(40)).replace('"', "")
    return "\n".join(lines).encode(), _but(keys, *touched)


def csv_quote(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """A quote comes in somewhere."""
    lines = csv_text(cells).splitlines()
    row = rng.randrange(1, len(lines))
    at = rng.randrange(len(lines[row]) + 1)
    lines[row] = lines[row][:at] + '"' + lines[row][at:]
    return "\n".join(lines).encode(), _but(keys, row - 1)


def csv_line_ends(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Line ends of several kinds, blank lines between."""
    lines = csv_text(cells).splitlines()
    ends = rng.choice([["\r"], ["\r\n", "\n"], ["\n", "\n\n"], ["\r\n", "\r\n\r\n"]])
    return "".join(line + rng.choice(ends) for line in lines).encode(), keys


def _touched_by(lines: list[bytes], places: list[int]) -> list[int] | None:
    """The data rows (0 = the first) in which the bytes lie; none known when the header is hit."""
    starts, end = [], 0
    for line in lines:
        starts.append(end)
        end += len(line)
    touched = set()
    for place in places:
        row = max(i for i, start in enumerate(starts) if start <= place)
        if row == 0:
            return None
        touched.add(row - 1)
        if place == starts[row] + len(lines[row]) - 1:  # its line end
            touched.add(row)
    return sorted(touched)


def _flipped(rng: random.Random, content: bytes, most: int) -> tuple[bytes, list[int]]:
    places = [rng.randrange(len(content)) for _ in range(rng.randint(1, most))]
    damaged = bytearray(content)
    for place in places:
        damaged[place] ^= 1 << rng.randrange(8)
    return bytes(damaged), places


def _flip_lines(rng: random.Random, content: bytes, keys: list[str]) -> Mutated:
    damaged, places = _flipped(rng, content, 3)
    touched = _touched_by(content.splitlines(keepends=True), places)
    return damaged, None if touched is None else _but(keys, *touched)


def csv_flips(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Up to three bits are flipped."""
    return _flip_lines(rng, csv_text(cells).encode(), keys)


def csv_cut(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """The file ends early."""
    content = csv_text(cells).encode()
    at = rng.randrange(len(content))
    whole = content[:at].count(b"\n") - 1
    return content[:at], keys[: max(whole, 0)] if whole >= 0 else None


def csv_noise(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """NULs, byte order marks and bytes of no encoding come in."""
    lines = csv_text(cells).encode().splitlines(keepends=True)
    row = rng.randrange(1, len(lines))
    at = rng.randrange(len(lines[row]) - 1)
    noise = rng.choice([b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\x80", b"\x1a", b"\x0c", b"\x85"])
    lines[row] = lines[row][:at] + noise + lines[row][at:]
    return b"".join(lines), _but(keys, row - 1)


def xlsx_cell(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """One cell is replaced."""
    touched = _nasty_cell(rng, cells)
    safe = [[re.sub(r"[\x00\ufffe\uffff]", "", cell) for cell in row] for row in cells]
    return xlsx_bytes(safe, first_row=rng.choice([0, 0, 3])), _but(keys, touched)


def xlsx_columns(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Columns change places."""
    order = rng.sample(range(len(cells[0])), len(cells[0]))
    return xlsx_bytes([[row[i] for i in order] for row in cells]), keys


def xlsx_flips(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Bits of the archive are flipped."""
    return _flipped(rng, xlsx_bytes(cells), 8)[0], None


def xlsx_cut(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """The archive ends early."""
    content = xlsx_bytes(cells)
    return content[: rng.randrange(len(content))], None


def xlsx_xml(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """The sheet's XML is edited: bits, references, the dimension, elements lost."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx_bytes(cells))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml") or (rng.random() < 0.1 and name.endswith(".xml")):
                kind = rng.randrange(5)
                if kind == 0:
                    content = _flipped(rng, content, 8)[0]
                elif kind == 1:
                    reference = rng.choice([b"A1:A1", b"A1:XFD1048576", b"B7", b"", b"A0:ZZZZ9"])
                    content = re.sub(rb'(<dimension ref=")[^"]*', rb"\g<1>" + reference, content)
                elif kind == 2:
                    reference = rng.choice([b"XFD1048576", b"A99999999", b"A1", b"1A", b"ZZZ1"])
                    content = re.sub(rb'r="[A-Z]+3"', b'r="' + reference + b'"', content, count=1)
                elif kind == 3:
                    parts = content.split(b"<row ")
                    del parts[rng.randrange(1, len(parts)) if len(parts) > 1 else 0]
                    content = b"<row ".join(parts)
                else:
                    content = content[: rng.randrange(len(content))]
            new.writestr(name, content)
    return out.getvalue(), None


def _records(cells: list[list[str]]) -> list[dict[str, object]]:
    header, *rows = cells
    return [dict(zip(header, row, strict=True)) for row in rows]


def jsonl_line(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """One record gets a value of another kind, deep nesting, or is no JSON any more."""
    lines = [json.dumps(record) for record in _records(cells)]
    row = rng.randrange(len(lines))
    record = _records(cells)[row]
    name = rng.choice(sorted(record))
    record[name] = rng.choice([None, [], {}, [{"a": 1}], 1e308, -1, 10**30, True, "\ud800", *NASTY])
    deep = "[" * 5000 + "]" * 5000
    lines[row] = rng.choice(
        [json.dumps(record), json.dumps(record), lines[row][:-5], deep, "", "null", '{"a": NaN}']
    )
    return "\n".join(lines).encode("utf-8", "surrogatepass"), _but(keys, row)


def jsonl_flips(rng: random.Random, cells: list[list[str]], keys: list[str]) -> Mutated:
    """Up to three bits are flipped."""
    content = "".join(json.dumps(record) + "\n" for record in _records(cells)).encode()
    head = b"\n"  # stands where a CSV has its header, so that rows count alike
    damaged, places = _flipped(rng, content, 3)
    touched = _touched_by([head, *content.splitlines(keepends=True)], [p + 1 for p in places])
    return damaged, None if touched is None else _but(keys, *touched)


MUTATORS: dict[str, list[Mutator]] = {
    "csv": [
        csv_cell, csv_columns, csv_column_lost_or_twice, csv_line, csv_quote, csv_line_ends,
        csv_flips, csv_cut, csv_noise,
    ],
    "xlsx": [xlsx_cell, xlsx_columns, xlsx_flips, xlsx_cut, xlsx_xml],
    "jsonl": [jsonl_line, jsonl_flips],
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    number: int
    status: str
    message: str
    is_consistent: bool
    lost: tuple[str, ...]
    seconds: float


def ingest_cases(seed: int, numbers: list[int]) -> list[Outcome]:
    """Ingest these files in one data directory of their own; what escapes is the caller's."""
    with tempfile.TemporaryDirectory() as folder:
        data = DataDir(Path(folder))
        data.shops_csv.write_text(SHOPS, encoding="utf-8")
        cases = {f"{n}-2026-01-31.{(c := case(seed, n)).form}": c for n in numbers}
        for name, damaged in cases.items():
            path = data.landing / "thai" / damaged.dataset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damaged.content)
        started = time.perf_counter()
        with Ledger.open(data.ledger) as ledger:
            files = {entry.file_name: entry for entry in ingest(data, ledger).files}
        seconds = time.perf_counter() - started
        found: dict[str, set[str]] = {}
        for dataset, key in KEYS.items():
            for path in (data.raw / dataset).glob("*.parquet"):
                rows = duckdb.execute(
                    f"select _file_id, cast({key} as varchar) from read_parquet(?)", [str(path)]
                ).fetchall()
                for file_id, value in rows:
                    found.setdefault(file_id, set()).add(value)
        outcomes = []
        for name, damaged in cases.items():
            entry = files.get(name)
            if entry is None:  # the very bytes of another file of the batch
                twin = next(
                    c for n, c in cases.items() if n in files and c.content == damaged.content
                )
                entry = files[f"{twin.number}-2026-01-31.{twin.form}"]
            is_loaded = entry.status == "loaded"
            lost = (damaged.untouched or frozenset()) - found.get(entry.file_id, set())
            outcomes.append(
                Outcome(
                    damaged.number,
                    entry.status,
                    entry.message,
                    entry.rows_read == entry.rows_loaded + entry.rows_rejected
                    if is_loaded
                    else bool(entry.message),
                    tuple(sorted(lost)) if is_loaded else (),
                    seconds / len(numbers),
                )
            )
        return outcomes


def run(seed: int, files: int, workers: int = 2) -> Iterator[Outcome]:
    """All outcomes; a batch that fails is taken apart, so that the fault is laid at a file."""
    numbers = list(range(files))
    batches = [numbers[i : i + BATCH_FILES] for i in range(0, files, BATCH_FILES)]
    while batches:
        suspects: list[list[int]] = []
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            futures = {pool.submit(ingest_cases, seed, batch): batch for batch in batches}
            batches = []
            for future, batch in futures.items():
                try:
                    # what a whole batch does in less than this, none of its files took longer for
                    outcomes = future.result(timeout=None)
                    total = sum(outcome.seconds for outcome in outcomes)
                    if total > MOST_SECONDS and len(batch) > 1:
                        suspects += [[number] for number in batch]
                    else:
                        yield from outcomes
                except BrokenProcessPool:
                    suspects += [[n] for n in batch] if len(batch) > 1 else []
                    if len(batch) == 1:
                        yield Outcome(batch[0], "crashed", "the process died", False, (), 0)
                except Exception:
                    suspects += [[n] for n in batch] if len(batch) > 1 else []
                    if len(batch) == 1:
                        text = traceback.format_exc()
                        yield Outcome(batch[0], "raised", text, False, (), 0)
        batches = suspects


def main() -> None:
    """Print a Markdown table, and every file that ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tallies: dict[str, Tally] = {}
    for outcome in run(options.seed, options.files):
        damaged = case(options.seed, outcome.number)
        tally = tallies.setdefault(damaged.mutator, Tally())
        tally.slowest = max(tally.slowest, outcome.seconds)
        is_whole = damaged.untouched is not None and outcome.status == "loaded"
        tally.counts.update(
            {
                "files": 1,
                outcome.status: 1,
                "untouched": len(damaged.untouched or ()) if is_whole else 0,
                "lost": len(outcome.lost),
                "over": outcome.seconds > MOST_SECONDS,
                "inconsistent": not outcome.is_consistent,
            }
        )
        if outcome.lost or not outcome.is_consistent or outcome.status not in ("loaded", "refused"):
            print(
                f"{damaged.number} {damaged.dataset} {damaged.mutator}: {outcome.status} "
                f"{outcome.message[-300:]} lost {len(outcome.lost)}",
                flush=True,
            )
    print("\n| damage | files | loaded | refused | untouched rows | lost | died | over 10 s |")
    print("|---|---|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for name, tally in sorted(tallies.items()):
        total.update(tally.counts)
        print(_line(name, tally.counts))
    print(_line("**all**", total))
    if (
        total["lost"]
        or total["raised"]
        or total["crashed"]
        or total["over"]
        or total["inconsistent"]
    ):
        raise SystemExit(1)


def _line(name: str, counts: Counter[str]) -> str:
    cells = [counts[k] for k in ("files", "loaded", "refused", "untouched", "lost")]
    cells += [counts["raised"] + counts["crashed"], counts["over"]]
    return f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


if __name__ == "__main__":
    main()
