"""The marts depend on the set of records, not on how files, runs and orders of arrival cut it up.

200 random shops share three data directories: all files in one run; the same files in random order
over several runs; and the same records split otherwise over files of the same time of export.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.ingest import ingest
from dagster_project.lib.landing import exported_at
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.published_version import MARTS
from dagster_project.lib.sql import literal
from dagster_project.lib.text import normalise_header
from tests.reference.exports import write_case
from tests.reference.strategies import LAST_DAY, generate_shop
from tests.support import run_pipeline

pytestmark = pytest.mark.slow

SHOPS = 200
RUNS = 4
SEED = 20261123


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the shops' files, not run yet."""
    root = tmp_path_factory.mktemp("landed")
    cases = [generate_shop(random.Random(f"{SEED}/{n}"), n, max_orders=12) for n in range(SHOPS)]
    write_case(root, cases)
    return root


@pytest.fixture(scope="module")
def at_once(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("once") / "data"
    shutil.copytree(landed, root)
    return run_pipeline(root, LAST_DAY)


@pytest.fixture(scope="module")
def over_runs(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = DataDir(tmp_path_factory.mktemp("runs"))
    shutil.copy(landed / "shops.csv", data.shops_csv)
    files = sorted(path for path in (landed / "landing").rglob("*") if path.is_file())
    random.Random(SEED).shuffle(files)
    for run in range(RUNS):
        for path in files[run::RUNS]:
            to = data.root / path.relative_to(landed)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
        if run < RUNS - 1:
            with Ledger.open(data.ledger) as ledger:
                ingest(data, ledger)
    return run_pipeline(data.root, LAST_DAY)


@pytest.fixture(scope="module")
def split(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that alone have their time of export, cut into up to three.

    Of two versions with the same time the file_id decides (metric definitions, "Versions"), so
    records of other files stay where they are, and so do the versions within one file.
    """
    root = tmp_path_factory.mktemp("split")
    shutil.copy(landed / "shops.csv", root)
    rng = random.Random(SEED)
    parts_written = 0
    for folder in sorted((landed / "landing").glob("*/*")):
        dataset = load_datasets()[folder.name]
        files = sorted(folder.iterdir())
        times = Counter(exported_at(path.name) for path in files)
        to = root / folder.relative_to(landed)
        to.mkdir(parents=True)
        for path in files:
            is_alone = times[exported_at(path.name)] == 1
            parts = _parts(rng, path.read_bytes(), dataset) if is_alone else [path.read_bytes()]
            for number, part in enumerate(parts):
                (to / f"{path.stem} part {number}.csv").write_bytes(part)
            parts_written += len(parts) - 1
    assert parts_written > SHOPS
    return run_pipeline(root, LAST_DAY)


def _parts(rng: random.Random, content: bytes, dataset: Dataset) -> list[bytes]:
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    names = [normalise_header(name) for name in header]
    descriptions = [row for row in rows[:1] if row[0].lower() in dataset.description_row]
    count = rng.randint(1, 3)
    parts: dict[int, list[list[str]]] = {number: [] for number in range(count)}
    homes: dict[str, int] = {}
    for row in rows[len(descriptions) :]:
        # the latest line of a SKU names its product, so the lines of a SKU stay together too
        key = _cell(row, names, dataset, "sku_id" if _has_sku(dataset) else dataset.key[0])
        key = key or _cell(row, names, dataset, dataset.key[0])
        parts[homes.setdefault(key, rng.randrange(count))].append(row)
    written = []
    for part in parts.values():
        out = io.StringIO(newline="")
        csv.writer(out).writerows([header, *descriptions, *part])
        written.append(out.getvalue().encode())
    return list(dict.fromkeys(written))


def _has_sku(dataset: Dataset) -> bool:
    return any(column.name == "sku_id" for column in dataset.columns)


def _cell(row: list[str], names: list[str], dataset: Dataset, column: str) -> str:
    declared = dataset.column(column)
    for header in map(normalise_header, declared.headers):
        if header in names and row[names.index(header)].strip():
            return row[names.index(header)].strip()
    return _cell(row, names, dataset, declared.fallback) if declared.fallback else ""


# Of the last weeks before an as-of date at which these shops no longer deliver.
SILENT = {"feedback_costs", "watchlist"}


def _differences(one: Path, other: Path, table: str, but: str = "") -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        for name, path in (("one", one), ("other", other)):
            con.execute(f"attach {literal(str(path))} as {name} (read_only)")
        columns = f"* {f'exclude ({but})' if but else ''}"
        found = []
        for here, there in (("one", "other"), ("other", "one")):
            rows = [f"select {columns} from {place}.{table}" for place in (here, there)]
            found += con.execute(" except all ".join(rows)).fetchall()
        ((count,),) = con.execute(f"select count(*) from one.{table}").fetchall()
        assert count > SHOPS
    return found


@pytest.mark.parametrize("table", [table for table in MARTS if table not in SILENT])
def test_files_in_random_order_over_several_runs_give_the_same_marts(
    at_once: Path, over_runs: Path, table: str
) -> None:
    assert _differences(at_once, over_runs, table) == []


@pytest.mark.parametrize("table", [table for table in MARTS if table not in SILENT])
def test_records_split_otherwise_over_files_give_the_same_marts(
    at_once: Path, split: Path, table: str
) -> None:
    # of several SKUs' names of the same time the file_id decides which one the product shows
    by_lineage = {
        "feedback_events": "file_id, row_number",
        "product_metrics_daily": "product_name",
    }
    assert _differences(at_once, split, table, by_lineage.get(table, "")) == []
