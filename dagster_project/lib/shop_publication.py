"""A publication of one shop alone, for its owner: nothing of the other shops is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

import duckdb

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.publications import Version, seal
from dagster_project.lib.published_version import (
    MARTS,
    attach_publication,
    describe_publication,
    write_parquet,
)
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import printable

# `quality_results` counts the rows of all shops together; it stays with the agency.
_TABLES = (*MARTS, "metric_restatements", "frozen_shops", "files", "rejected_rows")
# Texts that may name another shop: a workbook of several, a refused file of the wrong one.
_TEXTS = {"files": ("file_name", "message"), "rejected_rows": ("source_file", "message")}
_HIDDEN = "[another shop]"


def write_shop_publication(
    version: Version, shop_id: str, other_names: Collection[str], out: Path
) -> dict[str, int]:
    """Write what `version` has of a shop into the new folder `out`; returns the rows by table.

    `other_names` are the ids and names of the other shops, which no text may have. Raises
    ConfigurationError when there is nothing of that shop or `out` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} is not empty; name a new folder.")
    with duckdb.connect(config=OFFLINE) as con:
        marts = literal(str(version.folder / "marts.duckdb"))
        con.execute(f"attach {marts} as everyone (read_only)")
        con.create_function("hide_others", _mask(other_names), ["VARCHAR"], "VARCHAR")
        known = con.execute(
            "select table_name from duckdb_tables() where database_name = 'everyone'"
        ).fetchall()
        own = {
            table: f"from everyone.main.{identifier(table)}"
            for table in _TABLES
            if (table,) in known
        }
        counts = {
            table: con.execute(f"select count(*) {query} where shop_id = ?", [shop_id]).fetchall()[
                0
            ][0]
            for table, query in own.items()
        }
        if not any(counts.values()):
            raise ConfigurationError(f"The publication has nothing of {printable(shop_id)}.")
        (out / "parquet").mkdir(parents=True)
        attach_publication(con, out)
        for table, query in own.items():
            hidden = ", ".join(f"hide_others({c}) as {c}" for c in _TEXTS.get(table, ()))
            columns = f"* replace ({hidden})" if hidden else "*"
            con.execute(
                f"create table publication.main.{identifier(table)} as "
                f"select {columns} {query} where shop_id = ?",
                [shop_id],
            )
            write_parquet(con, table, out)
        describe_publication(con)
        con.execute("detach publication")
    kept = ("publication_id", "published_at", "as_of", "code_version")
    manifest = {name: version.manifest.get(name) for name in kept}
    seal(out, {**manifest, "shop_id": shop_id, "tables": counts})
    return counts


def _mask(names: Collection[str]) -> Callable[[str], str]:
    longest_first = sorted((name for name in names if name), key=len, reverse=True)
    if not longest_first:
        return lambda text: text
    any_name = re.compile(
        rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE
    )
    return lambda text: any_name.sub(_HIDDEN, text)
