"""Dagster's own history, written without waiting for the disk at every event.

Dagster opens, commits and closes a SQLite database for each of a run's thousand events; each commit
waits for the disk and each close folds the write-ahead log back. On an ordinary disk that took
longer than all models together. Here the log is folded back once, at the end. The history stays
whole after a crash of the program; only a power failure can lose its last events, and none of the
warehouse's own records are kept there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa


@contextmanager
def quick_history() -> Iterator[None]:
    """Within the context, SQLAlchemy's SQLite databases are written without waiting."""
    kept_open: dict[str, sqlite3.Connection] = {}

    def on_connect(connection: Any, _: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        # as Dagster does itself, but before the second connection looks at a new database
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        path = connection.execute("pragma database_list").fetchone()[2]
        if path and path not in kept_open:
            # while a second connection is open, closing the first one folds nothing back
            kept_open[path] = sqlite3.connect(path, check_same_thread=False)
            kept_open[path].execute("select count(*) from sqlite_master").fetchone()

    sa.event.listen(sa.Engine, "connect", on_connect)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", on_connect)
        for connection in kept_open.values():
            connection.close()
