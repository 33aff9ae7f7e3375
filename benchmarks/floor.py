"""The floor: the four core marts by hand-written DuckDB SQL, timed statement by statement.

    python benchmarks/floor.py --data-dir D --out FILE [--compare MARTS]

`floor.sql` reads the raw store of a data directory as a run would and writes the marts into a fresh
DuckDB file; making the raw store visible is not timed. `--compare` takes a published marts.duckdb
and counts the rows, over the columns of the contract, that only one of the two has.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from dagster_project.lib.contracts import load_datasets, load_settings
from dagster_project.lib.database import OFFLINE
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.raw_store import LINEAGE, batch_path
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.steps import Moment, Step
from dagster_project.lib.warehouse import open_warehouse, prepare_warehouse

FLOOR = Path(__file__).with_suffix(".sql")
THREADS = 2
MEMORY = "4GB"
CONTRACT = {
    "shop_metrics_daily": (
        "shop_id, metric_date, delivered_orders, negative_review_orders, "
        "seller_negative_review_orders, product_negative_review_orders, "
        "service_negative_review_orders, seller_fault_return_orders, nrr, nrr_seller, nrr_product, "
        "nrr_service, sfrr, nrr_state, sfrr_state"
    ),
    "product_metrics_daily": (
        "shop_id, product_key, metric_date, delivered_orders, negative_review_orders, "
        "seller_fault_return_orders, nrr, sfrr, product_name"
    ),
    "reason_metrics_daily": (
        "shop_id, metric_date, metric, reason_code, category, fault, is_counted, orders, "
        "delivered_orders, rate, share, rank"
    ),
    "product_reason_metrics_daily": (
        "shop_id, product_key, metric_date, metric, reason_code, is_counted, orders"
    ),
}


@dataclass(frozen=True)
class _Aside(DataDir):
    """A data directory whose warehouse lies elsewhere, so that nothing in it is written to."""

    aside: Path

    @property
    def warehouse(self) -> Path:
        """The scratch warehouse."""
        return self.aside / "warehouse.duckdb"

    @property
    def ledger(self) -> Path:
        """A copy of the ledger: opening one writes to it."""
        return self.aside / "ledger.duckdb"


def run_floor(data: DataDir, out: Path, as_of: date | None = None) -> list[Step]:
    """Write the four marts of a data directory into `out`; a file there is replaced."""
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(data.ledger, folder)
        aside = _Aside(data.root, Path(folder))
        batches = _prepare(aside, as_of)
        con = duckdb.connect(str(out), config={**OFFLINE, "threads": THREADS})
        try:
            con.execute(f"set memory_limit = {literal(MEMORY)}")
            con.execute(f"set temp_directory = {literal(folder)}")
            con.execute(f"attach {literal(str(aside.warehouse))} as warehouse (read_only)")
            _show_inputs(con, batches)
            steps = [_run(con, name, sql) for name, sql in _parts(FLOOR.read_text())]
            return [*steps, _run(con, "checkpoint", "checkpoint")]
        finally:
            con.close()


def compare(out: Path, marts: Path) -> dict[str, tuple[int, int, int]]:
    """Of each mart: its rows, the rows that only the floor has and those that only `marts` has."""
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(out))} as floor (read_only)")
        con.execute(f"attach {literal(str(marts.resolve()))} as marts (read_only)")
        found = {}
        for mart, columns in CONTRACT.items():
            ours = f"select {columns} from floor.main.{mart}"
            theirs = f"select {columns} from marts.main.{mart}"
            row = con.execute(
                f"select (select count(*) from ({ours})), "
                f"(select count(*) from ({ours} except all {theirs})), "
                f"(select count(*) from ({theirs} except all {ours}))"
            ).fetchone()
            assert row is not None  # noqa: S101 - a select without a from has one row
            found[mart] = (int(row[0]), int(row[1]), int(row[2]))
        return found


def _prepare(aside: _Aside, as_of: date | None) -> dict[str, list[Path]]:
    """Make the scratch warehouse ready and name the batches that count, by dataset."""
    batches: dict[str, set[Path]] = {name: set() for name in load_datasets()}
    with Ledger.open(aside.ledger) as ledger:
        prepare_warehouse(aside, ledger, "floor", as_of, "floor")
        for entry in ledger.current_files():
            if entry.status == "loaded":
                path = batch_path(aside.raw, entry.dataset, entry.batch_id)
                batches[entry.dataset].add(path)
    with open_warehouse(aside.warehouse) as con:
        for name, setting in load_settings().items():
            types = ", ".join(f"{literal(c.name)}: {literal(c.type)}" for c in setting.columns)
            con.execute(
                f"create or replace table seed_{name} as from read_csv("
                f"{literal(str(DBT_DIR / 'seeds' / f'{name}.csv'))}, types = {{{types}}})"
            )
    return {name: sorted(paths) for name, paths in batches.items()}


def _show_inputs(con: duckdb.DuckDBPyConnection, batches: dict[str, list[Path]]) -> None:
    for dataset in load_datasets().values():
        columns = {c.name: c.type for c in dataset.columns} | LINEAGE
        rows = ", ".join(f"cast(null as {k}) as {identifier(n)}" for n, k in columns.items())
        rows = f"select {rows} where false"
        if paths := batches[dataset.name]:
            names = ", ".join(literal(str(path)) for path in paths)
            read = f"from read_parquet([{names}], union_by_name = true)"
            rows = f"{rows} union all by name {read}"
        con.execute(f"create temp view {identifier(f'{dataset.name}_batches')} as {rows}")
    con.execute("create schema raw")
    con.execute("create schema own_settings")
    tables = con.execute(
        "select table_schema, table_name from information_schema.tables where "
        "table_catalog = 'warehouse' and table_type = 'BASE TABLE' "
        "and table_schema in ('raw', 'own_settings', 'main')"
    ).fetchall()
    for schema, table in tables:
        con.execute(
            f"create {'temp ' if schema == 'main' else ''}view "
            f"{'' if schema == 'main' else schema + '.'}{table} "
            f"as from warehouse.{schema}.{table}"
        )


def _parts(script: str) -> list[tuple[str, str]]:
    """The script's parts: from a comment at the start of a paragraph to the next such."""
    found = re.findall(r"\n\n-- ([^\n]+)\n(.*?)(?=\n\n-- |\Z)", script, re.S)
    return [(name, body) for name, body in found]


def _run(con: duckdb.DuckDBPyConnection, name: str, sql: str) -> Step:
    began = Moment.now()
    con.execute(sql)
    return began.step(name)


def main() -> None:
    """Print a Markdown table of the steps and, where asked, of the differences."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--as-of", type=lambda text: datetime.strptime(text, "%Y-%m-%d").date())
    options = parser.parse_args()
    steps = run_floor(DataDir(options.data_dir.resolve()), options.out, options.as_of)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("| step | CPU s | wall s |\n|---|---|---|")
    for step in steps:
        print(f"| {step.name} | {step.cpu_seconds:.2f} | {step.seconds:.2f} |")
    cpu, wall = sum(s.cpu_seconds for s in steps), sum(s.seconds for s in steps)
    print(f"| **all** | {cpu:.2f} | {wall:.2f} |")
    size = options.out.stat().st_size / 2**20
    print(f"\nPeak memory {peak:,.0f} MiB; the file has {size:,.0f} MiB.")
    if options.compare:
        print("\n| mart | rows | only in the floor | only in the publication |\n|---|---|---|---|")
        found = compare(options.out, options.compare)
        for mart, counts in found.items():
            print(f"| {mart} | {' | '.join(f'{count:,}' for count in counts)} |")
        if any(ours or theirs for _, ours, theirs in found.values()):
            raise SystemExit("The floor and the publication differ.")


if __name__ == "__main__":
    main()
