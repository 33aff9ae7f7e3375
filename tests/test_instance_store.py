"""Dagster's history is written without waiting, and is all there afterwards."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from dagster_project.instance_store import quick_history


def write(path: Path, value: int) -> int:
    """Insert a row as Dagster does, with an engine of its own; how long commits wait (1 = not)."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("pragma journal_mode = wal")
        connection.exec_driver_sql("create table if not exists events (id integer)")
        connection.exec_driver_sql(f"insert into events values ({value})")
        return int(connection.exec_driver_sql("pragma synchronous").scalar_one())


def test_history_is_whole_and_its_log_folded_back_once_the_run_is_over(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with quick_history():
        assert write(path, 1) == 1
        assert write(path, 2) == 1
        assert path.with_name("history.db-wal").exists()
    assert not path.with_name("history.db-wal").exists()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select id from events order by id").fetchall() == [(1,), (2,)]


def test_other_connections_wait_again_afterwards(tmp_path: Path) -> None:
    with quick_history():
        pass
    assert write(tmp_path / "history.db", 1) == 2
