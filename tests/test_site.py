"""The documentation as a site: whole, without dead links, and asking nobody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.paths import PROJECT_ROOT
from tests.support import Published

CHROMIUM = shutil.which("chromium")
# What a page has its reader's browser fetch; links that a reader may follow are not among them.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*\brel=.canonical))\b[^>]*?\b(?:src|href)=[\"']?"
    r"((?:https?:)?//[^\"'\s>]+)"
)


def build(site: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make docs` with this environment's programs."""
    return subprocess.run(
        ["make", "-o", ".venv/.ready", "docs", f"BIN={Path(sys.executable).parent}",
         f"SITE={site}", *variables],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a free port of this machine; yields its address."""
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.mark.slow
def test_the_site_has_every_page_of_the_docs(site: Path) -> None:
    pages = [p for p in (PROJECT_ROOT / "docs").rglob("*.md") if p.name != "README.md"]
    assert len(pages) > 8
    for page in pages:
        assert (site / page.relative_to(PROJECT_ROOT)).with_suffix(".html").exists(), page
    assert (site / "index.html").exists()
    assert "orders behind it" in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_dead_link_fails_the_build(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(PROJECT_ROOT / "docs", root / "docs")
    for name in ("README.md", "DECISIONS.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(PROJECT_ROOT / name, root)
    for folder in ("benchmarks", "tests/evaluation"):
        shutil.copytree(PROJECT_ROOT / folder, root / folder)
    page = root / "dbt_project" / "target" / "docs" / "static_index.html"
    page.parent.mkdir(parents=True)
    page.write_text("dbt")

    def mkdocs() -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("mkdocs")
        command = [program, "build", "-f", root / "docs" / "mkdocs.yml", "-d", tmp_path / "site"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert mkdocs().returncode == 0
    for dead in ("[gone](gone.md)", "[gone](variants.md#gone)"):
        (root / "docs" / "tutorial.md").write_text(f"# Tutorial\n\n{dead}\n", encoding="utf-8")
        done = mkdocs()
        assert done.returncode != 0
        assert "gone" in done.stderr


@pytest.mark.slow
def test_the_sites_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if page.name != "dbt.html"]
    assert len(pages) > 10
    for page in pages:
        assert FETCHED.findall(page.read_text(encoding="utf-8")) == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_what_a_page_would_fetch_is_found() -> None:
    assert FETCHED.findall('<script async src="https://cdn.example/a.js">') == [
        "https://cdn.example/a.js"
    ]
    assert FETCHED.findall("<link rel=stylesheet href=//fonts.example/x.css>")
    assert not FETCHED.findall('<a href="https://example.org">; <img src="a.png">')


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")
def test_in_a_browser_the_site_is_searched_and_asks_nobody_else(site: Path) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    errors: list[str] = []
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/docs/dbt.html#!/metric/metric.feedback.nrr")
        page.get_by_text("Negative Review Rate: of the orders delivered").first.wait_for()
        page.goto(f"{address}/index.html?q=frozen_shops")
        page.locator(".md-search-result__link").first.wait_for()
        browser.close()
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []


@pytest.mark.slow
def test_the_data_dictionary_has_every_published_column_with_its_type(published: Published) -> None:
    text = (PROJECT_ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    with duckdb.connect(str(published.data.published / "marts.duckdb"), read_only=True) as con:
        columns = con.execute(
            "select table_name, column_name, data_type from duckdb_columns() where not internal "
            "order by column_index"
        ).fetchall()
    assert columns
    sections = dict(
        re.findall(
            r"^### (\w+)\n(.*?)(?=^##|\Z)", text.partition("## What exports")[0], re.M | re.S
        )
    )
    for table, column, kind in columns:
        assert f"\n| {column} | {kind} | " in sections[table], (table, column)
