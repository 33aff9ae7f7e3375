"""What tables and columns mean, as clients of a publication see it."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.descriptions import describe_mart
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DBT_DIR
from dagster_project.lib.publications import current, read_manifest
from dagster_project.lib.publish import publish
from dagster_project.lib.published_version import (
    LEDGER_TABLES,
    MARTS,
    attach_publication,
    describe_publication,
)
from dagster_project.lib.shop_publication import write_shop_publication
from tests.support import Published

EXPECTED = {name: describe_mart(name) for name in MARTS} | LEDGER_TABLES
Comments = dict[str, tuple[str | None, dict[str, str | None]]]


def comments(database: Path) -> Comments:
    """The comment of each table and of its columns, as any client reads them."""
    with connect(database, read_only=True) as con:
        tables = con.execute("select table_name, comment from duckdb_tables()").fetchall()
        columns = con.execute(
            "select table_name, column_name, comment from duckdb_columns() "
            "where not internal order by column_index"
        ).fetchall()
    return {
        name: (comment, {c: text for table, c, text in columns if table == name})
        for name, comment in tables
    }


def described(*tables: str) -> Comments:
    return {name: (EXPECTED[name].description, EXPECTED[name].columns) for name in tables}


def test_every_published_table_and_column_has_its_description(published: Published) -> None:
    found = comments(published.data.published / "marts.duckdb")
    assert found == described(*EXPECTED)
    assert all(text for table, columns in found.values() for text in (table, *columns.values()))


def test_descriptions_outlive_a_publication_that_takes_over_the_tables_before(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    with Ledger.open(data.ledger) as ledger:
        publish(data, ledger, (read_manifest(data) or {})["run_id"])
    assert comments(data.published / "marts.duckdb") == described(*EXPECTED)


def test_what_an_owner_gets_is_described(published: Published, tmp_path: Path) -> None:
    version = current(published.data)
    assert version
    shop_id, _ = min(published.truth.daily)
    tables = write_shop_publication(version, shop_id, {}, tmp_path / "out")
    assert comments(tmp_path / "out" / "marts.duckdb") == described(*tables)


def test_a_description_that_changed_is_renewed_and_what_earlier_code_had_left_alone(
    tmp_path: Path,
) -> None:
    with duckdb.connect() as con:
        attach_publication(con, tmp_path)
        con.execute("create table publication.files (file_id varchar, gone integer)")
        con.execute("comment on column publication.files.file_id is 'it''s old'")
        con.execute("create table publication.gone (gone integer)")
        describe_publication(con)
        con.execute("detach publication")
    files = EXPECTED["files"]
    assert comments(tmp_path / "marts.duckdb") == {
        "files": (files.description, {"file_id": files.columns["file_id"], "gone": None}),
        "gone": (None, {"gone": None}),
    }


@pytest.mark.parametrize("mart", MARTS)
def test_descriptions_are_rendered_sentences(mart: str) -> None:
    found = describe_mart(mart)
    for text in (found.description, *found.columns.values()):
        assert re.search(r"[.?]$", text), text
        assert not re.search(r"{{|{%|\.;|  ", text), text


def test_a_description_written_once_is_the_same_in_every_mart() -> None:
    blocks = dict(
        re.findall(
            r"{% docs (\w+) %}(.*?){% enddocs %}", (DBT_DIR / "models/columns.md").read_text()
        )
    )
    assert describe_mart("shop_metrics_daily").columns["nrr"] == blocks["nrr"]
    assert describe_mart("feedback_costs").columns["product_key"].startswith(blocks["product_key"])
