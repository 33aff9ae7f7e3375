"""The raw store: immutable Parquet, one file per batch and dataset, each row with its lineage."""

from __future__ import annotations

from pathlib import Path

LINEAGE = {
    "shop_id": "VARCHAR",
    "_file_id": "VARCHAR",
    "_row_number": "BIGINT",
    "_exported_at": "TIMESTAMP",
    "_missing_columns": "VARCHAR",
}
LINEAGE_DESCRIPTIONS = {
    "shop_id": "The shop, from the folder the file lay in.",
    "_file_id": "sha-256 of the file's bytes, in hex.",
    "_row_number": "Row of the file, 1 = the first.",
    "_exported_at": "When the file was exported, in shop time.",
    "_missing_columns": (
        "Columns that the file's layout lacks, as `,a,b,`; a lone comma when it has all."
    ),
}


def batch_path(raw: Path, dataset: str, batch_id: str) -> Path:
    """Where the raw store keeps a batch's rows of a dataset."""
    return raw / dataset / f"{batch_id}.parquet"
