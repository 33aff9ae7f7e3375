"""Connections to the pipeline's own DuckDB files."""

from __future__ import annotations

from pathlib import Path

import duckdb

from dagster_project.lib.errors import BusyError

# Nothing is fetched from anywhere: all that is needed comes with the package.
OFFLINE: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file; raises BusyError when another process holds it."""
    try:
        return duckdb.connect(str(path), read_only=read_only, config=OFFLINE)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise BusyError(
                f"{path} is in use by another run or program; wait for it to end, then run again. "
                "To query, open published/marts.duckdb, which is never locked."
            ) from error
        raise
