"""Other programs read a publication: its tables, what they mean, its figures, and the next one."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.descriptions import describe_mart
from dagster_project.lib.downloads import cell_text
from dagster_project.lib.paths import PROJECT_ROOT, DataDir
from dagster_project.lib.publications import current, switch
from dagster_project.lib.published_version import LEDGER_TABLES, MARTS
from tests.support import FEEDBACK, Published, client_environment

PAGES = PROJECT_ROOT / "docs" / "connect"
FIGURES = (
    "select shop_id, cast(metric_date as varchar), delivered_orders, nrr, sfrr "
    "from shop_metrics_daily order by shop_id, metric_date"
)
# What each client does is told apart by how it opens the file and asks; then it says what it sees,
# waits until another version is swapped in, says what it sees, and what it sees once opened anew.
_CLIENT = """
import json, sys
path, tables, columns, figures = sys.argv[1:]
{client}
def say(ask):
    print(json.dumps([[list(row) for row in ask(query)] for query in (tables, columns, figures)]))
    sys.stdout.flush()
for _ in range(2):
    with opened(path) as ask:
        say(ask)
        sys.stdin.readline()
        say(ask)
"""
CLIENTS = {
    "duckdb": """
from contextlib import contextmanager
import duckdb
@contextmanager
def opened(path):
    with duckdb.connect(path, read_only=True) as con:
        yield lambda query: con.execute(query).fetchall()
""",
    "sqlalchemy": """
from contextlib import contextmanager
import sqlalchemy as sa
engine = sa.create_engine(
    f"duckdb:///{sys.argv[1]}", connect_args={"read_only": True}, poolclass=sa.pool.NullPool
)
@contextmanager
def opened(path):
    with engine.connect() as con:
        yield lambda query: con.execute(sa.text(query)).fetchall()
""",
    "adbc": """
from contextlib import contextmanager
import adbc_driver_duckdb
from adbc_driver_manager import dbapi
@contextmanager
def opened(path):
    options = {"path": path, "access_mode": "READ_ONLY"}
    with dbapi.connect(
        driver=adbc_driver_duckdb.driver_path(), entrypoint="duckdb_adbc_init", db_kwargs=options
    ) as con:
        def ask(query):
            with con.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        yield ask
""",
}
TABLES = "select table_name, comment from duckdb_tables() order by table_name"
COLUMNS = (
    "select table_name, column_name, comment from duckdb_columns() "
    "where not internal order by table_name, column_index"
)
EXPECTED = {name: describe_mart(name) for name in MARTS} | LEDGER_TABLES


@pytest.fixture
def data(published: Published, tmp_path: Path) -> DataDir:
    """A data directory that was published once, for two versions."""
    return published.copy(tmp_path)


def figures(data: DataDir) -> list[list[Any]]:
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        return [list(row) for row in marts.execute(FIGURES).fetchall()]


def swap_in_another_version(data: DataDir) -> None:
    """Let readers see a version with one order more."""
    version = current(data)
    assert version
    later = version.folder.with_name(f"{version.publication_id}9")
    shutil.copytree(version.folder, later)
    with duckdb.connect(str(later / "marts.duckdb")) as marts:
        marts.execute("update shop_metrics_daily set delivered_orders = delivered_orders + 1")
    switch(data, later.name)


@contextmanager
def client(kind: str, python: Path, data: DataDir) -> Iterator[subprocess.Popen[str]]:
    """A client at work in a process of its own, which says what it sees."""
    arguments = [str(data.published / "marts.duckdb"), TABLES, COLUMNS, FIGURES]
    with subprocess.Popen(
        [str(python), "-c", _CLIENT.format(client=CLIENTS[kind]), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    ) as program:
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize(
    ("kind", "environment"),
    [
        ("duckdb", "duckdb-1.4"),
        ("duckdb", "duckdb-1.5"),
        ("sqlalchemy", "duckdb-1.5"),
        ("adbc", ""),
        ("duckdb", ""),
    ],
)
def test_a_client_sees_tables_meanings_figures_and_the_next_version(
    data: DataDir, kind: str, environment: str
) -> None:
    python = client_environment(environment) / "python" if environment else Path(sys.executable)
    before = figures(data)
    with client(kind, python, data) as program:
        assert program.stdin
        assert program.stdout

        def seen() -> list[list[list[Any]]]:
            assert program.stdout
            return list(json.loads(program.stdout.readline()))

        tables, columns, first = seen()
        assert {name: meaning for name, meaning in tables} == {  # noqa: C416 - lists of two
            name: described.description for name, described in EXPECTED.items()
        }
        assert [tuple(row) for row in columns] == [
            (name, column, meaning)
            for name in sorted(EXPECTED)
            for column, meaning in EXPECTED[name].columns.items()
        ]
        assert first == before
        swap_in_another_version(data)
        program.stdin.write("\n")
        program.stdin.flush()
        assert seen()[2] == before
        after = seen()[2]
    assert after == figures(data) != before


def test_sqlalchemy_gives_columns_with_their_meanings(data: DataDir) -> None:
    ask = """
import json, sys
import sqlalchemy as sa
engine = sa.create_engine(f"duckdb:///{sys.argv[1]}", connect_args={"read_only": True})
found = sa.inspect(engine)
tables = {
    name: [
        found.get_table_comment(name)["text"],
        {column["name"]: column["comment"] for column in found.get_columns(name)},
    ]
    for name in found.get_table_names()
}
print(json.dumps([sa.__version__, engine.dialect.__module__, tables]))
"""
    python = client_environment("duckdb-1.5") / "python"
    done = subprocess.run(
        [str(python), "-c", ask, str(data.published / "marts.duckdb")],
        capture_output=True,
        text=True,
        check=True,
    )
    version, dialect, tables = json.loads(done.stdout)
    assert version.startswith("2.")
    assert dialect.startswith("duckdb_sqlalchemy")
    assert tables == {
        name: [described.description, described.columns] for name, described in EXPECTED.items()
    }


@pytest.mark.parametrize("environment", ["duckdb-1.4", "duckdb-1.5"])
def test_older_clients_may_read_while_others_do_and_cannot_write(
    data: DataDir, environment: str
) -> None:
    ask = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as con:
    try:
        con.execute("delete from files")
    except duckdb.InvalidInputException as error:
        print(error)
"""
    python = client_environment(environment) / "python"
    marts = data.published / "marts.duckdb"
    with connect(marts, read_only=True):
        done = subprocess.run(
            [str(python), "-c", ask, str(marts)], capture_output=True, text=True, check=True
        )
    assert "read-only" in done.stdout


# --- what the pages say -----------------------------------------------------------------------


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.fixture
def home(data: DataDir, tmp_path: Path) -> Path:
    """A home with a publication where the pages expect it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "feedback").symlink_to(data.root)
    return home


def done_in(home: Path, *command: str, programs: str = "") -> str:
    path = f"{programs}:{os.environ['PATH']}" if programs else os.environ["PATH"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(home), "PATH": path, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("python.md", "python"))))
def test_what_the_page_for_python_says_runs(home: Path, number: int) -> None:
    block = blocks("python.md", "python")[number]
    needs_own = "sqlalchemy" in block
    python = client_environment("duckdb-1.5") / "python" if needs_own else Path(sys.executable)
    said = done_in(home, str(python), "-W", "error", "-c", block)
    assert len(said.splitlines()) >= 1, said


def test_what_the_page_for_pandas_shows_is_what_sql_says(home: Path, data: DataDir) -> None:
    (pandas_block,) = (b for b in blocks("python.md", "python") if "read_parquet(version" in b)
    said = done_in(home, sys.executable, "-c", pandas_block.replace(".head()", ".to_json()"))
    shown = json.loads(said)
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        rows = marts.execute("select shop_id, product_name, metric from watchlist").fetchall()
    columns = [list(shown[name].values()) for name in ("shop_id", "product_name", "metric")]
    assert sorted(zip(*columns, strict=True)) == sorted(rows)
    assert rows


def test_what_the_page_for_polars_shows_is_what_sql_says(home: Path, data: DataDir) -> None:
    (block,) = (b for b in blocks("python.md", "python") if "polars" in b)
    said = done_in(home, sys.executable, "-c", f"{block}\nprint(worst.write_json())")
    shown = json.loads(said.splitlines()[-1])
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        orders = marts.execute(
            "select negative_review_orders, delivered_orders, nrr from product_metrics_daily "
            "qualify metric_date = max(metric_date) over (partition by shop_id) "
            "order by negative_review_orders desc limit 5"
        ).fetchall()
    assert [row["nrr"] * row["delivered_orders"] for row in shown] == pytest.approx(
        [negative for negative, _, _ in orders]
    )


@pytest.mark.parametrize(
    ("page", "written", "table"),
    [
        ("duckdb-cli.md", "worst-products.csv", "watchlist"),
        ("excel.md", "for-excel/shop_metrics_daily.csv", "shop_metrics_daily"),
    ],
)
def test_what_pages_write_in_the_shell_is_what_sql_says(
    home: Path, data: DataDir, page: str, written: str, table: str
) -> None:
    programs = client_environment("duckdb-1.5")
    for block in blocks(page, "sh"):
        done_in(home, "bash", "-euc", block, programs=f"{programs}:{FEEDBACK.parent}")
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        published = marts.table(table)
        names = published.columns
        rows = [[cell_text(cell) for cell in row] for row in published.fetchall()]
    with (home / written).open(encoding="utf-8-sig", newline="") as lines:
        shown = list(csv.reader(lines))
    assert shown[0] == names
    assert sorted(shown[1:]) == sorted(rows)
    assert rows


@pytest.mark.parametrize("environment", ["duckdb-1.4", "duckdb-1.5"])
def test_the_initial_sql_of_tableau_opens_the_publication_for_reading(
    home: Path, environment: str
) -> None:
    (statement,) = blocks("tableau.md", "sql")
    statement = statement.replace("/home/me", str(home))
    ask = (
        "import duckdb, sys\n"
        "with duckdb.connect() as con:\n"
        "    con.execute(sys.argv[1])\n"
        "    print(con.execute('select count(*) from feedback.main.files').fetchone()[0])\n"
        '    print(con.execute("select readonly from duckdb_databases() '
        "where database_name = 'feedback'\").fetchone()[0])\n"
    )
    python = client_environment(environment) / "python"
    count, read_only = done_in(home, str(python), "-c", ask, statement).split()
    assert int(count) > 0
    assert read_only == "True"


def test_paths_that_pages_name_are_those_of_a_publication(data: DataDir) -> None:
    manifest = json.loads((data.published / "manifest.json").read_text())
    parquet = data.published / "versions" / manifest["publication_id"] / "parquet"
    for page in ("power-bi.md", "tableau.md", "excel.md"):
        text = (PAGES / page).read_text(encoding="utf-8")
        named = set(re.findall(r"(\w+)\.parquet", text))
        assert all((parquet / f"{name}.parquet").exists() for name in named), named
    columns = EXPECTED["shop_metrics_daily"].columns
    power_bi = (PAGES / "power-bi.md").read_text(encoding="utf-8")
    for name in re.findall(r"shop_metrics_daily\[(\w+)\]", power_bi):
        assert name in columns
