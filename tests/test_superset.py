"""Apache Superset over a publication, set up by the README's words and looked at in a browser."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, Response, sync_playwright

from dagster_project.lib.database import connect
from dagster_project.lib.descriptions import describe_mart
from dagster_project.lib.paths import PROJECT_ROOT, DataDir
from dagster_project.lib.publications import current, switch
from dagster_project.lib.published_version import LEDGER_TABLES, MARTS
from dagster_project.superset import server
from dagster_project.superset.api import import_bundle
from dagster_project.superset.content import bundle
from tests.support import Published, feedback_here, free_port, skip_without_packages

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
CHROMIUM = "/usr/bin/chromium"
HOSTILE = "<b>=1+1</b>"
WAIT = 240_000  # milliseconds; busy machines take long


@dataclass(frozen=True)
class Superset:
    """Superset at work over a data directory of its own."""

    data: DataDir
    address: str
    session: requests.Session

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.session.request("POST" if body else "GET", self.address + path, json=body)
        return dict(answer.json())


def block() -> str:
    """The README's block that leads to a chart in Superset."""
    (found,) = re.findall(r"```sh\n((?:[^`]*\n)?make superset.*?)```", README, re.DOTALL)
    return found


@contextmanager
def at_work(data: DataDir, port: int, log: Path) -> Iterator[None]:
    """Do what the README says, in this project's environment, until the test is done."""
    ready = data.root / "ready"
    ready.touch()
    variables = f"PORT={port} BIN={Path(sys.executable).parent} READY={ready}"
    environment = {
        **os.environ,
        "FEEDBACK_DATA_DIR": str(data.root),
        "MAKEFLAGS": f"--no-print-directory -- {variables}",
    }
    with (
        log.open("w") as output,
        subprocess.Popen(
            ["bash", "-euc", block()],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        ) as program,
    ):
        try:
            assert program.stdout
            for line in program.stdout:
                if "/superset/dashboard/" in line:
                    break
            else:
                skip_without_packages(log.read_text())
                pytest.fail(f"Superset did not start:\n{log.read_text()[-3000:]}")
            yield
        finally:
            os.killpg(program.pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def superset(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    data = published.copy(tmp_path_factory.mktemp("superset"))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with at_work(data, port, data.root / "make.log"), requests.Session() as session:
        password = (data.superset / "admin_password").read_text()
        login = {"username": "admin", "password": password, "provider": "db"}
        token = session.post(f"{address}/api/v1/security/login", json=login).json()["access_token"]
        session.headers.update({"Authorization": f"Bearer {token}", "Referer": address})
        guard = session.get(f"{address}/api/v1/security/csrf_token/").json()["result"]
        session.headers["X-CSRFToken"] = guard
        yield Superset(data, address, session)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(superset: Superset, browser: Browser) -> Iterator[Page]:
    """A page of somebody who is logged in."""
    with browser.new_context(viewport={"width": 1440, "height": 2400}) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{superset.address}/login/", timeout=WAIT)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill((superset.data.superset / "admin_password").read_text())
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/superset/welcome/**", timeout=WAIT)
        yield page


Rows = list[dict[str, Any]]


def charts_of(superset: Superset, page: Page) -> dict[str, list[Rows]]:
    """The answers that each chart of the dashboard was drawn from, as the browser got them."""
    names = {chart["id"]: chart["slice_name"] for chart in superset.ask("/api/v1/chart/")["result"]}
    found: dict[str, list[Rows]] = {}

    def keep(response: Response) -> None:
        number = re.search(r"slice_id%22%3A(\d+)", response.url)
        if "/api/v1/chart/data" in response.url and number:
            answer = response.json()["result"]
            found[names[int(number[1])]] = [part["data"] for part in answer]

    page.on("response", keep)
    page.goto(f"{superset.address}/superset/dashboard/feedback/", timeout=WAIT)
    for name in names.values():
        chart = page.locator(".dashboard-component-chart-holder").filter(has_text=name)
        chart.scroll_into_view_if_needed(timeout=WAIT)
        chart.locator("canvas, table").first.wait_for(timeout=WAIT)
    page.remove_listener("response", keep)
    return found


def rows(data: DataDir, query: str) -> list[tuple[Any, ...]]:
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        return marts.execute(query).fetchall()


def shops_of(row: dict[str, Any], series: str) -> set[str]:
    """Of which shops a day's row of a chart has a rate, or a target."""
    found = (name.partition(", ") for name, value in row.items() if value is not None)
    return {shop for name, _, shop in found if name == series}


@contextmanager
def swapped_in(data: DataDir, *statements: str) -> Iterator[None]:
    """Meanwhile readers see another version, which statements make of the current one."""
    version = current(data)
    assert version
    later = version.folder.with_name(f"{version.publication_id}9")
    shutil.copytree(version.folder, later)
    with duckdb.connect(str(later / "marts.duckdb")) as marts:
        for statement in statements:
            marts.execute(statement)
    switch(data, later.name)
    try:
        yield
    finally:
        switch(data, version.publication_id)
        shutil.rmtree(later)


def test_charts_show_the_published_figures(superset: Superset, page: Page) -> None:
    charts = charts_of(superset, page)
    assert len(charts) == 6
    for metric in ("nrr", "sfrr"):
        name = f"{metric.upper()} by shop, with the target where one is known"
        for series, column in ((metric.upper(), "rate"), ("target", "target")):
            shown = {
                (shop, row["metric_date"]): row[f"{series}, {shop}"]
                for row in charts[name][0]
                for shop in shops_of(row, series)
            }
            published = rows(
                superset.data,
                f"select shop_id, epoch_ms(metric_date), {column} from metric_status_daily "
                f"where metric = '{metric}' and {column} is not null",
            )
            assert shown == {(shop, day): value for shop, day, value in published}
            assert shown
    assert {
        (row["shop_id"], row["metric"], row["status"], row["rate"], row["target"])
        for row in charts["How each shop stands on its last day"][0]
    } == set(
        rows(
            superset.data,
            "select shop_id, metric, status, rate, target from metric_status_daily "
            "qualify metric_date = max(metric_date) over (partition by shop_id)",
        )
    )
    (standing,) = charts["How each shop stands on its last day"]
    places = {"breach": 0, "at_risk": 1, "ok": 2}
    statuses = [places[row["status"]] for row in standing if row["status"] in places]
    assert statuses == sorted(statuses)
    assert set(statuses) == {0, 1, 2}
    for metric, name in (("nrr", "Why buyers rate badly"), ("sfrr", "Why buyers ask for money")):
        ((shown_reasons,),) = (drawn for title, drawn in charts.items() if title.startswith(name))
        assert {(row["reason_code"], row["orders"]) for row in shown_reasons} == set(
            rows(
                superset.data,
                "select reason_code, sum(orders)::bigint from reason_metrics_daily "
                f"where is_counted and metric = '{metric}' and metric_date = "
                "(select max(metric_date) from shop_metrics_daily) group by reason_code",
            )
        )
        assert shown_reasons
    (products,) = charts["Products that need action, the worst first"]
    assert sorted(
        (p["shop_id"], p["product_name"], p["metric"], p["orders"]) for p in products
    ) == (
        sorted(rows(superset.data, "select shop_id, product_name, metric, orders from watchlist"))
    )
    excess = [product["excess_orders"] for product in products]
    assert excess == sorted(excess, reverse=True)
    assert products


def test_nothing_is_fetched_from_elsewhere(superset: Superset, page: Page) -> None:
    outside: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.on("requestfailed", lambda request: refused.append(f"{request.url} {request.failure}"))
    charts_of(superset, page)
    outside = [url for url in outside if not url.startswith((superset.address, "data:", "blob:"))]
    assert len(refused) >= len(outside)
    for url in outside:  # the maker's pixel for statistics, which the page's policy blocks
        assert f"{url} csp" in refused


def test_another_version_is_seen_once_it_is_swapped_in_and_its_names_are_no_markup(
    superset: Superset, page: Page
) -> None:
    (before,) = charts_of(superset, page)["How each shop stands on its last day"]
    with swapped_in(
        superset.data,
        "update metric_status_daily set rate = rate / 2 where metric = 'sfrr'",
        f"update watchlist set product_name = '{HOSTILE}'",
    ):
        (after,) = charts_of(superset, page)["How each shop stands on its last day"]
        page.get_by_text(HOSTILE, exact=True).first.wait_for(timeout=WAIT)
        assert page.locator("td b").count() == 0
    was = {(r["shop_id"], r["metric"]): r["rate"] for r in before}
    assert any(rate for (_, metric), rate in was.items() if metric == "sfrr")
    assert {(r["shop_id"], r["metric"]): r["rate"] for r in after} == {
        key: rate / 2 if key[1] == "sfrr" and rate else rate for key, rate in was.items()
    }


def test_of_many_shops_the_targets_shown_are_of_those_whose_rates_are(
    superset: Superset, page: Page
) -> None:
    """Also where shops tie for the last place, and where no target is known at all."""
    with swapped_in(
        superset.data,
        "insert into metric_status_daily select s.* replace ('shop ' || n as shop_id, "
        "if(metric = 'nrr' and n % 2 = 0, 0.005, null) as target, if(n > 12, 2.0, 1.5) as rate) "
        "from metric_status_daily as s, range(10, 40) as r (n) where shop_id = 'th-siam-snacks'",
        "update metric_status_daily set target = null where metric = 'sfrr'",
    ):
        charts = charts_of(superset, page)
    for metric in ("nrr", "sfrr"):
        ((*_, last_day),) = charts[f"{metric.upper()} by shop, with the target where one is known"]
        shops = shops_of(last_day, metric.upper())
        assert len(shops) == 10
        assert shops_of(last_day, "target") == {
            shop for shop in shops if metric == "nrr" and int(shop.removeprefix("shop ")) % 2 == 0
        }


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (a int)",
        "delete from shop_metrics_daily",
        "drop table files",
        "attach '{outside}' as other",
        "copy shop_metrics_daily to '{outside}'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('{secret}')",
        "set enable_external_access = true",
        "install httpfs",
    ],
)
def test_sql_can_neither_write_nor_read_other_files(
    superset: Superset, statement: str, tmp_path: Path
) -> None:
    secret = superset.data.superset / "secret_key"
    sql = statement.format(outside=tmp_path / "outside", secret=secret)
    before = current(superset.data)
    answer = superset.ask("/api/v1/sqllab/execute/", database_id=1, sql=sql, runAsync=False)
    assert "data" not in answer, answer
    assert answer["errors"]
    assert secret.read_text() not in json.dumps(answer)
    assert not list(tmp_path.iterdir())
    assert before
    assert before.faults() == []


def test_sql_reads_what_is_published(superset: Superset) -> None:
    sql = "select sum(delivered_orders) as orders from shop_metrics_daily"
    answer = superset.ask("/api/v1/sqllab/execute/", database_id=1, sql=sql, runAsync=False)
    ((orders,),) = rows(superset.data, sql)
    assert answer["data"] == [{"orders": orders}]


def test_every_published_table_is_a_dataset_with_described_columns(superset: Superset) -> None:
    listed = superset.ask("/api/v1/dataset/?q=(page_size:100)")["result"]
    ids = {dataset["table_name"]: dataset["id"] for dataset in listed}
    assert ids.keys() == {*MARTS, *LEDGER_TABLES, "reasons_now"}
    for name in (*MARTS, *LEDGER_TABLES):
        dataset = superset.ask(f"/api/v1/dataset/{ids[name]}")["result"]
        described = LEDGER_TABLES[name] if name in LEDGER_TABLES else describe_mart(name)
        assert dataset["description"] == described.description
        columns = {column["column_name"]: column["description"] for column in dataset["columns"]}
        assert columns == described.columns


def test_a_rate_of_several_shops_is_of_their_orders_together(superset: Superset) -> None:
    listed = superset.ask("/api/v1/dataset/?q=(page_size:100)")["result"]
    (dataset,) = (d["id"] for d in listed if d["table_name"] == "shop_metrics_daily")
    answer = superset.ask(
        "/api/v1/chart/data",
        datasource={"id": dataset, "type": "table"},
        queries=[{"columns": ["metric_date"], "metrics": ["nrr", "sfrr"], "row_limit": 0}],
    )
    shown = {(r["metric_date"], r["nrr"], r["sfrr"]) for r in answer["result"][0]["data"]}
    assert shown == set(
        rows(
            superset.data,
            """
            select
                epoch_ms(metric_date),
                sum(negative_review_orders) filter (nrr_state = 'ok')
                / sum(delivered_orders) filter (nrr_state = 'ok'),
                sum(seller_fault_return_orders) filter (sfrr_state = 'ok')
                / sum(delivered_orders) filter (sfrr_state = 'ok')
            from shop_metrics_daily group by metric_date
            """,
        )
    )


def test_setting_up_again_renews_and_adds_nothing(superset: Superset) -> None:
    def objects() -> dict[str, list[tuple[int, str]]]:
        return {
            kind: sorted(
                (found["id"], found["uuid"])
                for found in superset.ask(f"/api/v1/{kind}/?q=(page_size:100)")["result"]
            )
            for kind in ("database", "dataset", "chart")
        }

    before = objects()
    assert [len(found) for found in before.values()] == [1, 18, 6]
    with connect(superset.data.published / "marts.duckdb", read_only=True) as marts:
        content = bundle(marts, superset.data.published / "marts.duckdb")
    import_bundle(superset.address, superset.data.superset, content)
    assert objects() == before
    assert superset.ask("/api/v1/dashboard/")["count"] == 1


def test_only_its_owner_can_read_supersets_home(superset: Superset) -> None:
    home = superset.data.superset
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("secret_key", "admin_password"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
        assert len((home / name).read_text()) > 30
    password = (home / "admin_password").read_text()
    assert password not in (home / "superset.log").read_text()
    server.prepare(home)
    assert (home / "admin_password").read_text() == password


def test_it_answers_on_loopback_only(superset: Superset) -> None:
    port = int(superset.address.rpartition(":")[2])
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_the_version_is_looked_up_for_each_query_whatever_others_hold_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret_key").write_text("x")
    monkeypatch.setenv("FEEDBACK_SUPERSET_HOME", str(tmp_path))
    settings = Path(server.__file__).with_name("superset_config.py")
    mutate = runpy.run_path(str(settings))["DB_CONNECTION_MUTATOR"]
    (tmp_path / "current").symlink_to("1")
    uri = sa.make_url(f"duckdb:///{tmp_path}/current/marts.duckdb")
    for version in ("1", "2"):
        (tmp_path / "new").symlink_to(version)
        (tmp_path / "new").replace(tmp_path / "current")
        opened, _ = mutate(uri, {}, "admin", None, None)
        assert opened.database == str(tmp_path.resolve() / version / "marts.duckdb")
    other = sa.make_url("postgresql://localhost/current")
    assert mutate(other, {}, "admin", None, None) == (other, {})


# --- without Superset -------------------------------------------------------------------------


def test_the_page_on_superset_begins_as_the_readme_does() -> None:
    assert f"```sh\n{block()}```" in (PROJECT_ROOT / "docs/connect/superset.md").read_text()


def test_nothing_to_show_is_told(tmp_path: Path) -> None:
    done = feedback_here("superset", "--data-dir", tmp_path)
    assert (done.code, "Nothing was published" in done.output) == (2, True)


def test_superset_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ENVIRONMENT", tmp_path / "nowhere")
    with pytest.raises(server.ConfigurationError, match="`make superset`"):
        server.prepare(tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(server.ConfigurationError, match=f"Port {port} is taken"),
            server.serving(tmp_path, port),
        ):
            pass
