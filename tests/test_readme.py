"""What the README says to type leads to what it shows; Superset's block is test_superset's."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.paths import PROJECT_ROOT
from tests.test_pages import blocks, run

pytestmark = pytest.mark.slow

README = PROJECT_ROOT / "README.md"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone as far as `make run` and the README's commands look at it, with this environment."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (folder / name).symlink_to(PROJECT_ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def test_the_readme_leads_to_a_figure_its_orders_and_the_worst_products(fresh: Path) -> None:
    ready = fresh / "ready"
    ready.touch()
    environment = {
        "FEEDBACK_DATA_DIR": str(fresh / "data"),
        "MAKEFLAGS": f"--no-print-directory -- READY={ready}",
    }
    followed = []
    for commands, shown in blocks(README):
        if commands.startswith(("make run", ".venv/bin/feedback")) and "~" not in commands:
            said = run(commands, fresh, **environment)
            lines = [" ".join(line.split()) for line in said.splitlines()]
            assert [
                line for line in shown.splitlines() if " ".join(line.split()) not in lines
            ] == []
            followed.append(commands.split()[1])
    assert followed == ["run", "explain", "download"]
    with (fresh / "worst-products.csv").open(encoding="utf-8-sig", newline="") as file:
        found = [(row["shop_id"], row["product_key"]) for row in csv.DictReader(file)]
    with connect(fresh / "data" / "published" / "marts.duckdb", read_only=True) as con:
        products = con.execute("select shop_id, product_key from watchlist order by shop_id, rank")
        assert found == products.fetchall() != []
