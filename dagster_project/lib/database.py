"""Who may use the pipeline's own DuckDB files: one run at a time, one writer each."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dagster_project.lib.errors import BusyError

# Nothing is fetched from anywhere: all that is needed comes with the package.
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


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


@contextmanager
def one_run_at_a_time(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold `lock` until done or dead; raises BusyError where it is held and `wait` is false."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"Another run is at work in {lock.parent}; wait for it to end, then run again."
            ) from error
        yield
