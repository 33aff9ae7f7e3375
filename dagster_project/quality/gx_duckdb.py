"""Great Expectations on DuckDB 2.

Great Expectations reaches databases through SQLAlchemy. Its engine reads rows after it has given
the connection back to the pool, which ends the pending result of duckdb-engine; the connection here
hands out cursors that survive. It leans on the inside of three packages, so it refuses to load with
versions it was not proven on. It serves rules that are SQL or count rows: expectations about single
columns would ask for their types through PostgreSQL's catalogue, which DuckDB does not have.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any, ClassVar

import duckdb
import great_expectations.expectations as gxe
import sqlalchemy as sa
from duckdb_engine import ConnectionWrapper

PROVEN = {"great-expectations": "1.24.1", "duckdb-engine": "0.17.0", "SQLAlchemy": "2.1.9"}

for _package, _version in PROVEN.items():
    _found = importlib.metadata.version(_package)
    if _found != _version:
        raise ImportError(
            f"{_package} {_found} is installed, but the gates were proven on {_version}; "
            "install requirements.lock, or prove the new version with tests/test_gx_duckdb.py"
        )


class _Cursor:
    """A cursor of its own DuckDB cursor, so that a rollback elsewhere leaves its rows alone."""

    arraysize = 1

    def __init__(self, connection: _Connection) -> None:
        self.connection = connection
        self._cursor = connection.duckdb.cursor()

    def execute(self, statement: str, parameters: Any = None, context: Any = None) -> None:
        self._cursor.execute(statement, parameters or None)

    @property
    def description(self) -> Any:
        return self._cursor.description

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchmany(self, size: int | None = None) -> Any:
        return self._cursor.fetchmany(size or self.arraysize)

    def fetchall(self) -> Any:
        return self._cursor.fetchall()

    def close(self) -> None:
        """Nothing to close: the cursor goes with the connection."""


class _Connection(ConnectionWrapper):  # type: ignore[misc]
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection)
        self.duckdb = connection

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def close(self) -> None:
        """The connection belongs to whoever opened it."""
        self.closed = True


class UnexpectedRowsCount(gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """The number of unexpected rows without the rows, which saves running the query twice."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = metrics["unexpected_rows_query.row_count"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


def add_duckdb(context: Any, name: str, connection: duckdb.DuckDBPyConnection) -> Any:
    """A data source of `context` on an open DuckDB connection, in place of an earlier one."""
    return context.data_sources.add_or_update_sql(
        name,
        connection_string="duckdb://",
        kwargs={
            "creator": lambda: _Connection(connection),
            "poolclass": sa.pool.StaticPool,
        },
    )
