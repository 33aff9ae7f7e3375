"""Pages whose commands and queries are run: tutorial, twenty questions, MetricFlow, notebook."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.paths import PROJECT_ROOT, DataDir
from dagster_project.lib.publications import Version, current, switch, versions
from docs.answers import PAGE, answered

pytestmark = pytest.mark.slow

DOCS = PROJECT_ROOT / "docs"
BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Followed:
    """A page whose commands were run one after the other, and what they said."""

    outputs: list[tuple[str, str]]  # of each block: what the page shows of it, what it said
    data: DataDir

    @property
    def first_publication(self) -> Version:
        """What the bundled sample gives, before anything was added to it."""
        return versions(self.data)[-1]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The commands of a page in order, each with what the page shows of its output."""
    found: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        found = [*found, (text, "")] if kind == "sh" else [*found[:-1], (found[-1][0], text)]
    return found


def run(commands: str, folder: Path, **environment: str) -> str:
    here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": here, "COLUMNS": "160"} | environment,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("empty")
    steps = blocks(DOCS / "tutorial.md")
    outputs = [(shown, run(commands, folder)) for commands, shown in steps]
    return Followed(outputs, DataDir(folder / "shops"))


def test_the_tutorial_leads_from_nothing_to_the_orders_behind_a_figure(tutorial: Followed) -> None:
    shown = [(line, said) for lines, said in tutorial.outputs for line in lines.splitlines()]
    assert len(shown) > 10
    for line, said in shown:
        assert " ".join(line.split()) in [" ".join(s.split()) for s in said.splitlines()], said


def test_each_of_the_twenty_questions_has_the_answer_of_the_sample(tutorial: Followed) -> None:
    page = PAGE.read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", page, re.MULTILINE)]
    assert numbers == list(range(1, 21))
    path = tutorial.first_publication.folder / "marts.duckdb"
    with duckdb.connect(str(path), read_only=True) as marts:
        assert answered(page, marts) == page, "run `make answers`"
        unanswered = re.sub(r"\n(\|.*\n)+", "", page)
        assert unanswered.count("|---") == 0
        assert answered(unanswered, marts).count("\n|---") == 20


def test_every_answer_has_rows_and_none_names_a_run(tutorial: Followed) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(re.findall(r"\|---\|\n\| ", page)) == 20
    version = current(tutorial.data)
    assert version is not None
    for publication in versions(tutorial.data):
        assert publication.publication_id not in page
        assert publication.manifest["run_id"] not in page


def test_the_commands_of_the_metricflow_page_run(tutorial: Followed, tmp_path: Path) -> None:
    commands = [text for text, _ in blocks(DOCS / "metricflow.md")]
    said, by_day = (
        run(command, tmp_path, FEEDBACK_DATA_DIR=str(tutorial.data.root)) for command in commands
    )
    assert "th-siam-snacks" in said
    assert "not_as_described" in by_day
    assert [path.name for path in tmp_path.iterdir()] == ["reasons.csv"]
    assert "not_as_described" in (tmp_path / "reasons.csv").read_text(encoding="utf-8")


def opened_notebook(data: DataDir) -> dict[str, Any]:
    """What the notebook's cells define, run in order over what is published."""
    path = DOCS / "notebooks" / "rates.py"
    spec = importlib.util.spec_from_file_location("rates", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEEDBACK_DATA_DIR", str(data.root))
        spec.loader.exec_module(module)
        outputs, defined = module.app.run()
    assert len(outputs) == 6
    return dict(defined)


def test_the_notebook_shows_the_published_rate_of_the_worst_shop(tutorial: Followed) -> None:
    notebook = opened_notebook(tutorial.data)
    with connect(tutorial.data.published / "marts.duckdb", read_only=True) as marts:
        rates = marts.execute(
            "select metric_date, negative_review_orders, delivered_orders, nrr "
            "from shop_metrics_daily where shop_id = 'th-siam-snacks' order by metric_date"
        ).fetchall()
        (reason,) = marts.execute(
            "select reason_code, orders from reason_metrics_daily where shop_id = 'th-siam-snacks' "
            "and metric = 'nrr' and rank = 1 and metric_date = '2026-10-31'"
        ).fetchall()
    assert notebook["shop"].value == "th-siam-snacks"
    columns = ["metric_date", "orders", "delivered_orders", "rate"]
    assert notebook["rates"].select(columns).rows() == rates
    assert notebook["reasons"].select(["reason_code", "orders"]).rows()[0] == reason
    assert notebook["products"]["orders"].sum() >= rates[-1][1]
    assert len(notebook["ahead"]) == 30


def test_the_notebook_takes_the_window_as_it_is_and_good_chats_for_good(
    tutorial: Followed, tmp_path: Path
) -> None:
    """Forty days are compared, and a shop that meets its chat target is not the worst."""
    version = current(tutorial.data)
    assert version is not None
    data = DataDir(tmp_path)
    shutil.copytree(version.folder, data.published / "versions" / version.publication_id)
    switch(data, version.publication_id)
    with duckdb.connect(str(data.published / "marts.duckdb")) as marts:
        marts.execute(
            """
            insert into shop_forecast
            select * replace (horizon_days + 10 as horizon_days)
            from shop_forecast where horizon_days > 20;

            update metric_status_daily set rate = case
                when higher_is_better then if(shop_id = 'id-batik-house', 1, target)
                else if(shop_id = 'th-siam-snacks', 0.9, 0.8) * target
            end
            """
        )
    notebook = opened_notebook(data)
    assert notebook["shop"].value == "th-siam-snacks"
    assert len(notebook["ahead"]) == 40
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        changes = marts.execute(
            """
            select product_key, n.negative_review_orders - coalesce(b.negative_review_orders, 0)
            from product_metrics_daily as n
            left join (from product_metrics_daily where metric_date = date '2026-10-31' - 40) as b
                using (shop_id, product_key)
            where shop_id = 'th-siam-snacks' and n.metric_date = '2026-10-31'
            order by n.negative_review_orders desc, product_key
            """
        ).fetchall()
    assert notebook["products"].select(["product_key", "change"]).rows() == changes
