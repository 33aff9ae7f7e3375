"""The raw store as views of the warehouse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dagster_project.lib.contracts import Dataset
from dagster_project.lib.ledger import FileEntry
from dagster_project.lib.raw_store import LINEAGE, batch_path
from dagster_project.lib.sql import identifier, literal


def raw_columns(dataset: Dataset, schema: str = "raw") -> dict[str, str]:
    """The columns of a dataset's raw relation and their types, by schema."""
    gone = {"_is_gone": "BOOLEAN"} if schema == "raw_changed" else {}
    return {c.name: c.type for c in dataset.columns} | LINEAGE | gone


@dataclass(frozen=True)
class RawStore:
    """The raw store as views of the warehouse; `sizes` are the files loaded into each batch."""

    con: duckdb.DuckDBPyConnection
    raw: Path
    sizes: dict[tuple[str, str], int]

    def show(self, schema: str, dataset: Dataset, entries: list[FileEntry]) -> None:
        """A view of the entries' rows; an empty one when there are none.

        In `raw_changed` also the rows of files that went, marked in the column `_is_gone`.
        """
        shown = ("loaded", "retracted", "withdrawn") if schema == "raw_changed" else ("loaded",)
        batches: dict[str, list[FileEntry]] = defaultdict(list)
        for entry in entries:
            if entry.dataset == dataset.name and entry.status in shown:
                batches[entry.batch_id].append(entry)
        whole = [batch for batch, files in batches.items() if self._is_whole(batch, files)]
        columns = raw_columns(dataset, schema)
        nulls = ", ".join(f"cast(null as {k}) as {identifier(n)}" for n, k in columns.items())
        parts = [f"select {nulls} where false"]
        gone = "_is_gone" in columns
        if whole:
            more = ", false as _is_gone" if gone else ""
            parts.append(f"select *{more} from {self._parquet(dataset, whole)}")
        if partly := batches.keys() - set(whole):
            # files taken back and earlier readings of the same bytes stay in their Parquet unseen
            more = ", f.status <> 'loaded' as _is_gone" if gone else ""
            parts.append(
                f"select r.*{more} from {self._parquet(dataset, partly)} as r "
                f"inner join {schema}.files as f on f.shop_id = r.shop_id "
                "and f.file_id = r._file_id and f.exported_at = r._exported_at "
                f"where f.dataset = {literal(dataset.name)} "
                f"and f.status in ({', '.join(map(literal, shown))})"
            )
        view = f"{schema}.{identifier(dataset.name)}"
        self.con.execute(f"create or replace view {view} as {' union all by name '.join(parts)}")

    def _is_whole(self, batch_id: str, files: list[FileEntry]) -> bool:
        """Whether all rows of the batch are shown, so that none need be told from others."""
        is_loaded = all(file.status == "loaded" for file in files)
        return is_loaded and len(files) == self.sizes[batch_id, files[0].dataset]

    def _parquet(self, dataset: Dataset, batches: Iterable[str]) -> str:
        # a batch older than a column of the contract has nulls in it
        paths = [literal(str(batch_path(self.raw, dataset.name, b))) for b in sorted(batches)]
        return f"read_parquet([{', '.join(paths)}], union_by_name = true)"


def show_known_orders(con: duckdb.DuckDBPyConnection, *, ask_models: bool) -> None:
    """`raw.known_orders`: the order lines of all files, found by `hash(order_id)` as `order_key`.

    With `ask_models` those of earlier files come from the models, which have the number at hand;
    not when files went, which the models still have.
    """
    new = "raw_changed" if ask_models else "raw"
    query = (
        "select hash(order_id) as order_key, shop_id, order_id, _file_id, _row_number "
        f"from {new}.orders"
    )
    if ask_models:
        query += (
            " union all select order_key, shop_id, order_id, file_id, row_number "
            "from staging.stg_exports__order_lines"
        )
    con.execute(f"create or replace view raw.known_orders as {query}")
