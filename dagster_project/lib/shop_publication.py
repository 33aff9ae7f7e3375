"""A publication of one shop alone, for its owner: nothing of the other shops is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
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
from dagster_project.lib.shops import Shop
from dagster_project.lib.sql import identifier, literal
from dagster_project.lib.text import printable

# `quality_results` counts the rows of all shops together; it stays with the agency.
_TABLES = (*MARTS, "metric_restatements", "frozen_shops", "files", "rejected_rows")
# Texts that may name another shop: a folder, a workbook of several, a file in the wrong place.
_TEXTS = {
    "files": ("dataset", "file_name", "message"),
    "rejected_rows": ("source_file", "message"),
}
_HIDDEN = "[another shop]"


def write_shop_publication(
    version: Version, shop_id: str, shops: Mapping[str, Shop], out: Path
) -> dict[str, int]:
    """Write what `version` has of a shop into the new folder `out`; returns the rows by table.

    No text names another shop, be it one of `shops` or one that `version` still has. Raises
    ConfigurationError when there is nothing of that shop or `out` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} is not empty; name a new folder.")
    with duckdb.connect(config=OFFLINE) as con:
        marts = literal(str(version.folder / "marts.duckdb"))
        con.execute(f"attach {marts} as everyone (read_only)")
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
        published = con.execute(
            " union ".join(f"select shop_id {query}" for query in own.values())
        ).fetchall()
        names = {shop: {shop} for (shop,) in published}
        names |= {shop.shop_id: {shop.shop_id, shop.shop_name} for shop in shops.values()}
        mask = _mask(names.pop(shop_id), set().union(*names.values()))
        con.create_function("hide_others", mask, ["VARCHAR"], "VARCHAR")
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


def _mask(own: Collection[str], others: Collection[str]) -> Callable[[str], str]:
    """Hides the names of others, but where they are part of a name of one's own."""
    own_name, other_name = _any_of(own), _any_of(others)

    def mask(text: str) -> str:
        kept = [found.span() for found in own_name.finditer(text)]

        def hidden(found: re.Match[str]) -> str:
            is_own = any(a <= found.start() and found.end() <= b for a, b in kept)
            return found[0] if is_own else _HIDDEN

        return other_name.sub(hidden, text)

    return mask


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    """Finds names, the longest first, unless a Latin letter or digit goes on before or behind.

    Letters of other scripts are no border: Thai and Chinese put no space between words.
    """
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    any_name = "|".join(map(re.escape, longest_first)) or "(?!)"
    return re.compile(rf"(?<![a-z0-9])(?:{any_name})(?![a-z0-9])", re.IGNORECASE)
