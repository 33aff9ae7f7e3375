"""The dashboard in a real browser: every page, its figures against SQL, its links and downloads.

The browser is Debian's Chromium. What it asks of anybody but this machine, and every error on its
console, fails the test.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)
from python_calamine import CalamineWorkbook

from dagster_project.dashboard.server import command
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current, switch
from tests.support import MESSY_SHOP, Published, held_for_writing

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Debian's package chromium is missing: apt-get install chromium"
    ),
]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
PAGES = ("", "shop", "products", "reasons", "orders", "quality")
DESKTOP, PHONE = (1440, 900), (390, 844)
SHOP = "th-siam-snacks"
DAY = "2026-10-31"
METRICS = ("nrr", "nrr_seller", "nrr_product", "nrr_service", "sfrr")
# On a deep link Streamlit's own page first asks for its server beneath the page's path, to learn
# where it is mounted, and is told that it is not there.
_OWN_PROBES = re.compile(r"/[a-z]+/_stcore/(health|host-config)$")


@dataclass
class Site:
    """A dashboard that runs, over a data directory."""

    url: str
    data: DataDir

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What SQL says of the publication that readers see."""
        version = current(self.data)
        assert version
        with duckdb.connect(str(version.folder / "marts.duckdb"), read_only=True) as con:
            return con.execute(query, list(values)).fetchall()


@contextmanager
def served(data: DataDir, log: Path) -> Iterator[Site]:
    """Run a server over `data` until it is no longer needed."""
    arguments = command(0)
    with (
        log.open("w") as errors,
        subprocess.Popen(
            arguments,
            env=dict(os.environ, FEEDBACK_DATA_DIR=str(data.root), PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=log.parent,
        ) as server,
    ):
        try:
            assert server.stdout
            found = None
            while not found and (line := server.stdout.readline()):
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, log.read_text()
            yield Site(found[0], data)
        finally:
            server.kill()  # it keeps nothing


@pytest.fixture(scope="module")
def site(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests that only look."""
    with served(published.data, tmp_path_factory.mktemp("dashboard") / "log") as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def windows(browser: Browser) -> dict[tuple[int, int], BrowserContext]:
    """Windows of both sizes; pages of one share what the browser keeps of the site's own files."""
    return {
        (width, height): browser.new_context(viewport={"width": width, "height": height})
        for width, height in (DESKTOP, PHONE)
    }


@pytest.fixture
def open_page(
    windows: dict[tuple[int, int], BrowserContext],
) -> Iterator[Callable[..., Page]]:
    """Open addresses in pages of their own; fails on console errors and outside requests."""
    pages: list[Page] = []
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and not _OWN_PROBES.search(message.location["url"]):
            wrong.append(f"console: {message.text}")

    def asked(request: Request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(
            request.url
        ).hostname not in ("127.0.0.1", "localhost"):
            wrong.append(f"request: {request.url}")

    def open_(address: str, size: tuple[int, int] = DESKTOP) -> Page:
        page = windows[size].new_page()
        pages.append(page)
        page.set_default_timeout(90_000)
        page.on("console", heard)
        page.on("request", asked)
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.on("dialog", lambda dialog: (wrong.append("a dialog opened"), dialog.dismiss()))
        page.goto(address)
        return settled(page)

    yield open_
    for page in pages:
        page.close()
    assert not wrong, wrong


def settled(page: Page) -> Page:
    """Wait until the page's script has run and all of it is drawn."""
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function(
        '() => !document.querySelector(\'[data-testid="stSkeleton"], [data-stale="true"]\')'
    )
    return page


def body(page: Page) -> str:
    return page.locator('[data-testid="stMain"]').inner_text()


def table(page: Page, name: str) -> list[dict[str, str]]:
    """The rows of a table by column name, as a reader sees them."""
    box = page.locator(f'.scroll[aria-label="{name}"]')
    box.wait_for()
    found: list[dict[str, str]] = box.evaluate(
        "box => [...box.querySelectorAll('tbody tr')].map(row => Object.fromEntries("
        "[...row.cells].map(cell => [cell.dataset.column, cell.innerText])))"
    )
    return found


def percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate * 100:.2f} %"


def pick(page: Page, label: str, option: str) -> None:
    """Choose an option of a control and wait for what it shows."""
    before = page.url
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()
    page.wait_for_function("before => location.href !== before", arg=before)
    settled(page)


def filters_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


# --- every page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("path", PAGES, ids=[path or "overview" for path in PAGES])
def test_every_page_is_drawn_whole_and_accessible(
    site: Site, open_page: Callable[..., Page], path: str, size: tuple[int, int]
) -> None:
    page = open_page(f"{site.url}/{path}", size)
    assert "as of 31 Oct 2026" in body(page)
    assert_whole_and_accessible(page)


def test_a_table_that_is_cut_shows_that_it_scrolls(
    site: Site, open_page: Callable[..., Page]
) -> None:
    box = open_page(f"{site.url}/orders?shop={SHOP}", PHONE).locator(".scroll")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert "local" in box.evaluate("box => getComputedStyle(box).backgroundAttachment")


def assert_whole_and_accessible(page: Page) -> None:
    assert page.locator('[data-testid="stException"]').count() == 0
    assert "cannot be read" not in body(page)
    wide = page.evaluate(
        "() => [document.documentElement, document.querySelector('[data-testid=\"stMain\"]')]"
        ".map(box => box.scrollWidth - box.clientWidth)"
    )
    assert wide == [0, 0], "the page scrolls sideways"
    result = Axe().run(page)
    assert len(result.response["passes"]) > 10
    assert not result.response["violations"], result.generate_report()


def test_the_menu_leads_to_every_page_and_keeps_the_shop(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{site.url}/shop?shop=us-sunny-home")
    for title, path in (("Products", "products"), ("Reasons", "reasons"), ("Orders", "orders")):
        page.get_by_role("link", name=title, exact=True).click()
        page.wait_for_url(f"**/{path}*shop=us-sunny-home*")
        page.get_by_role("heading", name=title, level=1).wait_for()
    page.get_by_role("link", name="Data quality", exact=True).click()
    page.get_by_role("heading", name="Gates").wait_for()
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("heading", name="All shops").wait_for()
    page = open_page(f"{site.url}/overview")
    page.get_by_role("heading", name="All shops").wait_for()
    assert page.get_by_role("dialog").count() == 0


# --- figures are what SQL says --------------------------------------------------------------------


def test_the_overview_shows_the_rates_of_every_shop(
    site: Site, open_page: Callable[..., Page]
) -> None:
    shown = {row["Shop"].split("\n")[0]: row for row in table(open_page(site.url), "All shops")}
    said = site.ask(
        "select s.shop_id, s.metric, s.rate, s.orders, s.delivered_orders, s.rate - b.rate "
        "from metric_status_daily as s left join metric_status_daily as b "
        "on s.shop_id = b.shop_id and s.metric = b.metric and b.metric_date = s.metric_date - 7 "
        "where s.metric_date = ? and s.metric in ('nrr', 'sfrr')",
        DAY,
    )
    assert len(said) == 2 * len(shown) == 10
    for shop, metric, rate, orders, delivered, change in said:
        cell, changed = (shown[shop][f"{metric.upper()}{of}"] for of in ("", ", 7 days"))
        assert cell.startswith(percent(rate)), shop
        if rate is not None:
            assert f"{orders:,} of {delivered:,} orders" in cell, shop
        if change is not None and abs(change) >= 0.00005:
            assert f"{change * 100:+.2f}".replace("-", "−") in changed, shop


def test_the_overview_counts_and_ranks_the_shops_by_status(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(site.url)
    rank = {"▲ in breach": 0, "◆ at risk": 1, "? without rate": 2, "✓ within target": 3}
    statuses = [row["Status"] for row in table(page, "All shops")]
    assert statuses == sorted(statuses, key=lambda status: rank.get(status, 4))
    ((breaches,),) = site.ask(
        "select count(distinct shop_id) from metric_status_daily "
        "where metric_date = ? and status = 'breach'",
        DAY,
    )
    assert statuses.count("▲ in breach") == breaches > 0
    tile = page.get_by_label("Shops by status").locator("li").first
    assert re.findall(r"\d+", tile.inner_text()) == [str(breaches)]


def test_why_a_shop_has_no_rate_is_said(site: Site, open_page: Callable[..., Page]) -> None:
    rows = {row["Shop"]: row for row in table(open_page(site.url), "All shops")}
    assert "no reviews were ever loaded" in rows[MESSY_SHOP]["NRR"]
    page = open_page(f"{site.url}/shop?shop={MESSY_SHOP}")
    assert "in these days: no reviews were ever loaded" in body(page)
    tiles = page.get_by_role("list", name="NRR", exact=True).inner_text()
    assert "no reviews were ever loaded" in tiles
    assert "without rate" in tiles
    assert " of " not in tiles
    page = open_page(f"{site.url}/products?shop={MESSY_SHOP}")
    assert {row["Rate"] for row in table(page, "Products")} == {"–\nno reviews were ever loaded"}
    page.locator('.scroll[aria-label="Products"]').get_by_role("link").first.click()
    page.get_by_text("no reviews were ever loaded").first.wait_for()
    assert body(settled(page)).count("No negative order is known, and no rate") == 2
    page = open_page(f"{site.url}/reasons?shop={MESSY_SHOP}")
    assert "No negative order is known, and no rate: no reviews were ever loaded" in body(page)


@pytest.mark.parametrize("metric", METRICS)
def test_a_shop_shows_its_rate_target_interval_and_forecast(
    site: Site, open_page: Callable[..., Page], metric: str
) -> None:
    part = {} if metric == "sfrr" else {"part": metric}
    page = open_page(f"{site.url}/shop?{urlencode({'shop': SHOP, **part})}")
    ((rate, orders, delivered, target, low, high),) = site.ask(
        "select rate, orders, delivered_orders, target, rate_low, rate_high "
        "from metric_status_daily where shop_id = ? and metric = ? and metric_date = ?",
        SHOP, metric, DAY,
    )  # fmt: skip
    label = {"nrr": "NRR", "nrr_seller": "NRR, seller's part", "nrr_product": "NRR, product",
             "nrr_service": "NRR, service", "sfrr": "SFRR"}[metric]  # fmt: skip
    tiles = page.get_by_role("list", name=label, exact=True).inner_text()
    assert percent(rate) in tiles
    assert f"{orders:,} of {delivered:,} orders" in tiles
    assert f"{percent(low)} – {percent(high)}" in tiles
    assert ("no target" if target is None else f"target below {percent(target)}") in tiles
    ((last, expected),) = site.ask(
        "select max(forecast_date), max_by(expected_rate, forecast_date) from shop_forecast "
        "where shop_id = ? and metric = ?",
        SHOP, metric,
    )  # fmt: skip
    chart = page.locator(f'[role="graphics-document"][aria-label^="{label} by day"]')
    said = chart.get_attribute("aria-label") or ""
    assert f"{orders:,} of {delivered:,} orders" in said
    assert f"Expected on {last.day} {last:%b %Y}: {expected:.2%}" in said


def test_hovering_a_day_tells_numerator_and_denominator(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{site.url}/shop?shop={SHOP}&part=nrr")
    ((orders, delivered),) = site.ask(
        "select negative_review_orders, delivered_orders from shop_metrics_daily "
        "where shop_id = ? and metric_date = ?",
        SHOP, DAY,
    )  # fmt: skip
    point = page.locator(f'[aria-label*="Day: 31 Oct 2026"][aria-label*="{orders} of"]').first
    point.hover(force=True)
    page.locator("#vg-tooltip-element", has_text=f"{orders:,} of {delivered:,}").wait_for()
    cell = open_page(site.url).locator("tr", has_text=SHOP).locator(".rate").first
    assert cell.get_attribute("title").startswith(f"{orders:,} of {delivered:,}")


@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_products_are_ranked_with_their_rates_and_reasons(
    site: Site, open_page: Callable[..., Page], metric: str
) -> None:
    orders = {"nrr": "negative_review_orders", "sfrr": "seller_fault_return_orders"}[metric]
    page = open_page(f"{site.url}/products?shop={SHOP}&metric={metric}&order=orders")
    said = site.ask(
        f"select product_name, {metric}, {orders}, delivered_orders, product_key "
        "from product_metrics_daily where shop_id = ? and metric_date = ? "
        f"order by {orders} desc, {metric} desc, product_key limit 25",
        SHOP, DAY,
    )  # fmt: skip
    shown = table(page, "Products")
    assert len(shown) == len(said) > 3
    for row, (name, rate, negative, delivered, key) in zip(shown, said, strict=True):
        assert row["Product"].startswith(name)
        assert row["Rate"] == f"{percent(rate)}\n{negative:,} of {delivered:,} orders"
        reasons = site.ask(
            "select reason_code, orders from product_reason_metrics_daily where shop_id = ? "
            "and metric_date = ? and metric = ? and product_key = ? and is_counted "
            "order by orders desc, reason_code limit 3",
            SHOP, DAY, metric, key,
        )  # fmt: skip
        told = ", ".join(f"{code.replace('_', ' ')} {count}" for code, count in reasons)
        assert row["Reasons"] == (told or "–")


def test_a_product_shows_its_advice_reasons_and_variations(
    site: Site, open_page: Callable[..., Page]
) -> None:
    shop, metric, key, name, advice, orders, delivered = site.ask(
        "select shop_id, metric, product_key, product_name, advice, orders, delivered_orders "
        "from watchlist where advice is not null order by shop_id, rank limit 1"
    )[0]
    asked = urlencode({"shop": shop, "metric": metric})
    page = open_page(f"{site.url}/products?{asked}")
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(f"**product={quote(key)}*")
    page.get_by_role("heading", name=name).wait_for()
    page.get_by_role("heading", name="Variations").wait_for()
    settled(page)
    assert advice in body(page)
    assert f"{orders:,} of {delivered:,} orders" in body(page)
    assert_whole_and_accessible(page)
    assert_whole_and_accessible(open_page(page.url, PHONE))
    named = sum(int(row["Orders"]) for row in table(page, "Variations"))
    assert named >= orders
    page.get_by_role("link", name="The orders behind it").click()
    page.wait_for_url("**/orders*")
    page.get_by_text(re.compile(rf"on {orders} orders?.*with the product “{name}”")).wait_for()


@pytest.mark.parametrize("reasons", [1, 2, 3])
def test_each_reason_has_a_bar_with_room_for_its_name(
    own_site: Site, open_page: Callable[..., Page], reasons: int
) -> None:
    shop, metric, key = own_site.ask(
        "select shop_id, metric, product_key from watchlist order by shop_id, rank limit 1"
    )[0]
    names = [f"reason_{number}" for number in range(reasons)]
    republish(
        own_site.data,
        "20300101T000000000000",
        product_reason_metrics_daily="select d.* replace (n.code as reason_code) "
        "from (select distinct on (shop_id, product_key, metric, metric_date) * "
        "from product_reason_metrics_daily order by is_counted desc) as d "
        f"cross join (select unnest({names}) as code) as n",
    )
    asked = urlencode({"shop": shop, "metric": metric, "product": key})
    page = open_page(f"{own_site.url}/products?{asked}")
    bars = page.locator('[aria-label^="Orders by reason"] [aria-roledescription="bar"]')
    bars.first.wait_for()
    heights = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().height)")
    assert len(heights) == reasons
    assert min(heights) > 15


def test_a_product_is_found_by_its_whole_key_and_by_no_part(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    shop, metric, key, advice = own_site.ask(
        "select shop_id, metric, product_key, advice from watchlist where advice is not null "
        "order by shop_id, rank limit 1"
    )[0]
    part, long = key[:-1], f"name:{'long ' * 100}end"
    republish(
        own_site.data,
        "20300101T000000000000",
        product_metrics_daily="select * from product_metrics_daily union all select * replace ("
        f"unnest(['{part}', '{long}']) as product_key, 'another' as product_name) "
        f"from product_metrics_daily where shop_id = '{shop}' and product_key = '{key}'",
    )
    asked = {"shop": shop, "metric": metric}
    page = open_page(f"{own_site.url}/products?{urlencode(asked | {'product': part})}")
    page.get_by_role("heading", name="another").wait_for()
    assert advice not in body(page)
    assert "threshold" not in body(page)
    page = open_page(f"{own_site.url}/products?{urlencode(asked | {'q': 'long long'})}")
    page.get_by_role("link", name="another", exact=True).click()
    page.get_by_role("heading", name="another").wait_for()
    assert filters_of(page)["product"] == long


@pytest.mark.parametrize("metric", ["nrr", "sfrr"])
def test_reasons_are_those_of_the_window(
    site: Site, open_page: Callable[..., Page], metric: str
) -> None:
    page = open_page(f"{site.url}/reasons?shop={SHOP}&metric={metric}&day=2026-10-20")
    said = site.ask(
        "select replace(reason_code, '_', ' '), category, orders, rate, share "
        "from reason_metrics_daily where shop_id = ? and metric = ? and metric_date = '2026-10-20' "
        "order by orders desc, is_counted desc, reason_code",
        SHOP, metric,
    )  # fmt: skip
    shown = table(page, "All reasons")
    assert [
        (row["Reason"], row["Category"], row["Orders"], row["Of delivered"], row["Share"])
        for row in shown
    ] == [
        (name, category, f"{orders:,}", percent(rate),
         "not counted" if share is None else f"{share:.0%}")
        for name, category, orders, rate, share in said
    ]  # fmt: skip
    pareto = page.locator('[aria-label^="Orders by reason"]').get_attribute("aria-label")
    assert pareto
    assert all(f"{name} {orders:,}" in pareto for name, _, orders, *_ in said)
    lines = page.locator('[role="graphics-document"][aria-label^="Orders in the window by day"]')
    places = lines.locator('[aria-roledescription="point"]').evaluate_all(
        "points => points.map(point => point.getBoundingClientRect().x)"
    )
    days = site.ask(
        "select count(*) from shop_metrics_daily where shop_id = ? and metric_date <= '2026-10-20'",
        SHOP,
    )[0][0]
    assert len(set(places)) == days > 20, "each day has a place of its own"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("day", [DAY, "2026-10-08"])
def test_the_orders_behind_a_figure_are_as_many_as_it_says(
    site: Site, open_page: Callable[..., Page], metric: str, day: str
) -> None:
    page = open_page(f"{site.url}/orders?shop={SHOP}&metric={metric}&day={day}")
    ((orders,),) = site.ask(
        "select orders from metric_status_daily where shop_id = ? and metric = ? "
        "and metric_date = ?",
        SHOP, metric, day,
    )  # fmt: skip
    if not orders:
        assert "No event is behind that" in body(page)
        return
    shown = table(page, "Events")
    assert len({row["Order"] for row in shown}) == orders
    assert {row["Counts"] for row in shown} == {"yes"}
    assert f"on {orders:,} order{'s' if orders > 1 else ''} in the" in body(page)
    assert "only those" not in body(page)


def test_what_is_watched_for_is_called_what_it_is(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    key, threshold, revenue = own_site.ask(
        "select product_key, threshold, revenue from watchlist "
        "where shop_id = ? and metric = 'nrr' order by rank limit 1",
        SHOP,
    )[0]
    asked = urlencode({"shop": SHOP, "metric": "nrr"})
    address = f"{own_site.url}/products?{asked}&product={key}"
    page = open_page(address)
    assert f"{revenue:,.2f} THB" in body(page)
    assert "asked back" not in body(page)
    line = f"{threshold:.2%}"
    assert page.locator("svg text", has_text=f"target of a part of the NRR: {line}").count() == 1
    republish(
        own_site.data,
        "20300101T000000000000",
        metric_status_daily="select * replace (null::double as target) from metric_status_daily",
    )
    page = open_page(address)
    assert page.locator("svg text", has_text=f"the shop's own rate: {line}").count() == 1
    spark = open_page(f"{own_site.url}/products?{asked}").locator("img.spark").first
    assert "dots: the shop's own rate" in (spark.get_attribute("alt") or "")


def test_what_narrows_the_orders_is_said(site: Site, open_page: Callable[..., Page]) -> None:
    ((reason, order),) = site.ask(
        "select reason_code, order_id from feedback_events "
        "where shop_id = ? and source = 'return' and is_counted and event_date <= cast(? as date) "
        "and delivered_date between cast(? as date) - 29 and cast(? as date) limit 1",
        SHOP, DAY, DAY, DAY,
    )  # fmt: skip
    asked = urlencode({"shop": SHOP, "metric": "sfrr", "reason": reason, "q": order})
    page = open_page(f"{site.url}/orders?{asked}")
    assert (
        "on 1 order in the SFRR of the window that ends on 31 Oct 2026; only those with the "
        f"reason “{reason.replace('_', ' ')}” and the text “{order}”." in body(page)
    )


def test_an_events_file_is_named_and_found_among_the_files(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{own_site.url}/orders?shop={SHOP}&metric=sfrr")
    said = own_site.ask(
        "select distinct on (event_id) file_name, row_number, file_id "
        "from feedback_events as e join files as f using (file_id) where e.shop_id = ? "
        "and source = 'return' and is_counted and event_date <= cast(? as date) "
        "and delivered_date between cast(? as date) - 29 and cast(? as date)",
        SHOP, DAY, DAY, DAY,
    )  # fmt: skip
    shown = [row["From file, row"] for row in table(page, "Events")]
    assert sorted(shown) == sorted(f"{name}, row {row:,}" for name, row, _ in said) != []
    header, *rows = downloaded(page, "CSV")
    assert {(row[header.index("file_name")], row[header.index("file_id")]) for row in rows} == {
        (name, file_id) for name, _, file_id in said
    }
    kept = ", ".join(f"'{file_id}'" for *_, file_id in said)
    republish(
        own_site.data,
        "20300101T000000000000",
        files=f"select * from files where file_id in ({kept})",
    )
    files = table(open_page(f"{own_site.url}/quality?only={SHOP}"), "Files")
    assert {row["Id"] for row in files} == {file_id[:12] for *_, file_id in said}


def test_data_quality_tells_gates_files_rejects_and_unknown_texts(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{site.url}/quality")
    ((failed, rules),) = site.ask(
        "select count(*) filter (where not passed), count(*) from quality_results "
        "where run_id = (select run_id from quality_results order by checked_at desc limit 1)"
    )
    assert len(table(page, "Rules that did not pass")) == failed > 0
    assert f"{rules - failed} of {rules} rules passed" in body(page)
    rejected = site.ask(
        "select shop_id, dataset, trim(column_name || ' ' || replace(rule, '_', ' ')), count(*) "
        "from rejected_rows group by all order by 4 desc, 1, 2, 3"
    )
    assert (
        [
            (row["Shop"], row["Data"], row["Column and rule"], row["Rows"])
            for row in table(page, "Rejected rows")
        ]
        == [(*names, str(rows)) for *names, rows in rejected]
        != []
    )
    texts = {row["Text"] for row in table(page, "Texts that no setting knows")}
    assert {"It smells of fish", "Under celestial review"} <= texts
    covered = {row["Shop"]: row for row in table(page, "Coverage")}
    assert covered[SHOP]["orders"] == "31 Oct 2026"
    assert covered[MESSY_SHOP]["reviews"] == "–"
    files = table(page, "Files")
    assert files[0]["Status"].startswith("refused")


# --- filters and links ----------------------------------------------------------------------------


def test_a_link_shows_the_same_view(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/reasons")
    pick(page, "Shop", "id-batik-house")
    pick(page, "Metric", "SFRR")
    pick(page, "Show", "30 days")
    assert filters_of(page) == {"shop": "id-batik-house", "metric": "sfrr", "days": "30"}
    page.get_by_text("Reasons in the SFRR of id-batik-house").wait_for()
    assert body(open_page(page.url)) == body(page)


def test_what_is_looked_for_stands_in_the_link(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/")
    page.get_by_label("Find a shop").fill("SIAM")
    page.get_by_label("Find a shop").press("Enter")
    page.wait_for_url("**q=SIAM*")
    page.locator("tr", has_text="us-sunny-home").wait_for(state="detached")
    other = open_page(page.url)
    assert [row["Shop"] for row in table(other, "All shops")] == [SHOP]


def test_the_overview_leads_to_a_shop_and_on_to_its_orders(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(site.url)
    page.locator('.scroll[aria-label="All shops"]').get_by_role("link", name=SHOP).click()
    page.wait_for_url(f"**/shop?shop={SHOP}*")
    page.get_by_role("heading", name=SHOP).wait_for()
    page.get_by_role("link", name="Orders behind the SFRR").click()
    page.wait_for_url("**/orders*")
    page.get_by_text("orders in the SFRR of the window").wait_for()
    assert filters_of(page) == {"shop": SHOP, "metric": "sfrr"}


def test_a_long_table_is_turned_page_by_page(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/quality")
    ((files,),) = site.ask("select count(*) from files")
    first = table(page, "Files")
    page.get_by_role("button", name="Next").click()
    page.wait_for_url("**page=2*")
    page.get_by_text(f"Page 2 of {-(-files // 25)}; {files} in all").wait_for()
    assert table(settled(page), "Files") != first


@pytest.mark.parametrize(
    ("path", "filters", "word"),
    [
        ("shop", {"shop": "<script>alert(1)</script>"}, "to choose for “Shop”"),
        ("shop", {"shop": SHOP, "days": "1e9"}, "to choose for “Show”"),
        ("shop", {"shop": SHOP, "part": "sfrr; drop table x"}, "to choose for “Rate”"),
        ("products", {"shop": SHOP, "day": "2026-13-77"}, "is no day that this shop has"),
        ("products", {"shop": SHOP, "day": "1999-01-01"}, "is no day that this shop has"),
        ("products", {"shop": SHOP, "order": "1 desc --"}, "to choose for “Ranked by”"),
        ("products", {"shop": SHOP, "page": "-4"}, "There is no page"),
        ("products", {"shop": SHOP, "page": "999999"}, "There is no page"),
        ("products", {"shop": SHOP, "product": "'; --<img src=x onerror=alert(1)>"}, "No order"),
        ("reasons", {"shop": SHOP, "reason": "\x00\u202e"}, "to choose for “Reason”"),
        (
            "orders",
            {"shop": SHOP, "metric": "../../etc"},
            "to choose for “Events behind”; shown is NRR.",
        ),
        ("orders", {"shop": SHOP, "product": "<b>x"}, "no delivered order with a product “<b>x”"),
        ("orders", {"shop": SHOP, "q": "%' or 1=1 --"}, "No event is behind that"),
        ("quality", {"only": "nobody"}, "to choose for “Shop”"),
        ("", {"status": "fine"}, "to choose for “Status”"),
        ("", {"q": "<b>" * 500}, "No shop is like that"),
    ],
)
def test_a_link_that_cannot_be_shown_falls_back_with_a_word(
    site: Site, open_page: Callable[..., Page], path: str, filters: dict[str, str], word: str
) -> None:
    page = open_page(f"{site.url}/{path}?{urlencode(filters)}")
    page.get_by_text(word).first.wait_for()
    assert "Traceback" not in body(page)
    assert_whole_and_accessible(settled(page))


# --- downloads ------------------------------------------------------------------------------------


def downloaded(page: Page, kind: str) -> list[list[Any]]:
    with page.expect_download() as taken:
        page.get_by_role("button", name=kind).first.click()
    path = Path(taken.value.path())
    if kind == "CSV":
        return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    return (
        CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))
        .get_sheet_by_index(0)
        .to_python()
    )


@pytest.mark.parametrize("kind", ["CSV", "XLSX"])
def test_downloads_have_the_rows_that_sql_has(
    site: Site, open_page: Callable[..., Page], kind: str
) -> None:
    page = open_page(f"{site.url}/orders?shop={SHOP}&metric=sfrr")
    header, *rows = downloaded(page, kind)
    picked = [header.index(name) for name in ("order_id", "reason_code", "row_number")]
    assert (
        [[str(row[at]).removesuffix(".0") for at in picked] for row in rows]
        == _events_behind_sfrr(site)
        != []
    )


def _events_behind_sfrr(site: Site) -> list[list[str]]:
    rows = site.ask(
        "select order_id, reason_code, row_number from feedback_events where shop_id = ? "
        "and source = 'return' and is_counted and event_date <= cast(? as date) "
        "and delivered_date between cast(? as date) - 29 and cast(? as date) "
        "order by event_date desc, event_id",
        SHOP, DAY, DAY, DAY,
    )  # fmt: skip
    return [[str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("path", PAGES, ids=[path or "overview" for path in PAGES])
def test_every_page_gives_its_rows_away(
    site: Site, open_page: Callable[..., Page], path: str
) -> None:
    page = open_page(f"{site.url}/{path}?{urlencode({'shop': SHOP})}")
    as_csv, as_book = downloaded(page, "CSV"), downloaded(page, "XLSX")
    assert as_csv[0] == as_book[0]
    assert len(as_csv) == len(as_book) > 1


# --- states ---------------------------------------------------------------------------------------


def republish(data: DataDir, publication_id: str, **tables: str) -> None:
    """Swap in a copy of what readers see, with some tables made by other queries."""
    version = current(data)
    assert version
    folder = Path(shutil.copytree(version.folder, version.folder.with_name(publication_id)))
    with duckdb.connect() as con:
        for path in (folder / "parquet").glob("*.parquet"):
            query = tables.get(path.stem, tables.get("every_table", ""))
            if query:
                con.execute(f"create or replace view {path.stem} as from read_parquet('{path}')")
                new = path.with_suffix(".new")
                con.execute(
                    f"copy ({query.replace('THE_TABLE', path.stem)}) to '{new}' (format parquet)"
                )
                new.replace(path)
    switch(data, publication_id)


@pytest.fixture
def own_site(published: Published, tmp_path: Path) -> Iterator[Site]:
    """A server over a data directory that the test may change."""
    with served(published.copy(tmp_path), tmp_path / "log") as site:
        yield site


def test_where_nothing_is_published_the_way_on_is_said_until_something_is(
    published: Published, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    data = DataDir(tmp_path / "data")
    data.root.mkdir()
    with served(data, tmp_path / "log") as site:
        page = open_page(site.url)
        assert "Nothing is published yet" in body(page)
        assert "feedback run" in body(page)
        assert not Axe().run(page).response["violations"]
        shutil.copytree(published.data.published, data.published, symlinks=True)
        page.reload()
        page.get_by_role("heading", name="All shops").wait_for()
        page.close()  # before its server is gone


def test_a_new_publication_is_shown_at_the_next_click_and_said_so(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{own_site.url}/orders?shop={SHOP}&metric=nrr")
    before = table(page, "Events")
    republish(
        own_site.data,
        "20300101T000000000000",
        feedback_events="select * replace (reason_code || '_anew' as reason_code) "
        "from feedback_events",
    )
    assert table(page, "Events") == before
    pick(page, "Events behind", "SFRR")
    page.get_by_text("A new publication was swapped in").wait_for()
    page.get_by_text("published 1 Jan 2030").wait_for()
    assert all(row["Reason"].endswith(" anew") for row in table(page, "Events"))


def test_the_version_that_is_looked_at_may_vanish(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{own_site.url}/shop?shop={SHOP}")
    old = current(own_site.data)
    assert old
    republish(own_site.data, "20300101T000000000000")
    shutil.rmtree(old.folder)
    pick(page, "Show", "30 days")
    page.get_by_text("published 1 Jan 2030").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_program_that_holds_the_database_for_writing_neither_waits_nor_is_waited_for(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    version = current(own_site.data)
    assert version
    page = open_page(f"{own_site.url}/shop?shop={SHOP}")
    with held_for_writing(version.folder / "marts.duckdb"):
        pick(page, "Show", "30 days")
        page.get_by_role("link", name="Reasons", exact=True).first.click()
        page.get_by_role("heading", name="All reasons").wait_for()
    assert version.faults() == []


def test_hostile_names_and_texts_are_shown_as_they_are(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    evil = "=1+1[:*?]'<img src=x onerror=alert(1)>`code` [x](javascript:alert(1)) \x1b[31m"
    quoted = "'" + evil.replace("'", "''") + "'"
    columns = {
        "product_metrics_daily": "product_name",
        "watchlist": "product_name",
        "feedback_events": "text",
        "files": "file_name",
    }
    rename = f"replace(shop_id, '{SHOP}', {quoted}) as shop_id"
    republish(
        own_site.data,
        "20300101T000000000000",
        **{
            name: f"select * replace ({rename}, {quoted} as {column}) from {name}"
            for name, column in columns.items()
        },
        **{
            name: f"select * replace ({rename}) from {name}"
            for name in ("shop_metrics_daily", "metric_status_daily", "shop_forecast",
                         "reason_metrics_daily", "product_reason_metrics_daily")
        },
    )  # fmt: skip
    shown = evil.replace("\x1b", "\\x1b")
    page = open_page(own_site.url)
    assert any(row["Shop"] == shown for row in table(page, "All shops"))
    for path in PAGES[1:]:
        page = open_page(f"{own_site.url}/{path}?{urlencode({'shop': evil, 'only': evil})}")
        assert shown in body(page), path
        assert page.locator('img[src="x"]').count() == 0
        assert not page.locator("a[href^=javascript]").count()
    page = open_page(f"{own_site.url}/orders?{urlencode({'shop': evil})}")
    header, *rows = downloaded(page, "CSV")
    assert rows
    assert {row[header.index("text")] for row in rows} == {f"'{evil}"}
    header, *rows = downloaded(page, "XLSX")
    assert {row[header.index("text")][:30] for row in rows} == {evil[:30]}


def test_restated_stale_and_frozen_days_are_marked(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    republish(
        own_site.data,
        "20300101T000000000000",
        metric_restatements="select '20300101T000000000000' as publication_id, "
        f"now() as published_at, '{SHOP}' as shop_id, date '2026-10-20' as metric_date, "
        "'sfrr' as metric, 1::bigint as old_numerator, 99::bigint as old_denominator, "
        "2::bigint as new_numerator, 98::bigint as new_denominator, 'file' as cause union all "
        f"select '20300101T000000000000', now(), '{SHOP}', date '2026-10-19', 'sfrr', 3, 97, null, "
        "null, 'file'",
        frozen_shops=f"select '{SHOP}' as shop_id, 'orders_belong_to_one_shop' as rules, "
        "'20260101T000000000000' as publication_id, date '2026-10-31' as as_of",
        metric_status_daily="select * replace (case when metric_date > '2026-10-28' and metric = "
        f"'sfrr' and shop_id = '{SHOP}' then null else rate end as rate, "
        "case when metric_date > '2026-10-28' and metric = 'sfrr' "
        f"and shop_id = '{SHOP}' then 'stale' else state end as state) from metric_status_daily",
        shop_metrics_daily="select * replace (case when metric_date > '2026-10-28' "
        f"and shop_id = '{SHOP}' then 'stale' else sfrr_state end as sfrr_state) "
        "from shop_metrics_daily",
        **{
            name: f"select * replace (case when metric_date <= '2026-10-28' or shop_id <> '{SHOP}' "
            f"or {is_other} then {rate} end as {rate}) from {name}"
            for name, rate, is_other in (
                ("product_metrics_daily", "sfrr", "false"),
                ("reason_metrics_daily", "rate", "metric <> 'sfrr'"),
            )
        },
    )
    page = open_page(f"{own_site.url}/shop?shop={SHOP}")
    text = body(page)
    assert "stays as it was on 31 Oct 2026" in text
    assert "orders_belong_to_one_shop" in text
    assert "diamonds: restated since" in text
    assert "grey: days after what the files cover, no rate" in text
    restated = table(page, "Restated figures")
    assert [(row["Was"], row["Is"]) for row in restated] == [
        ("1 of 99", "2 of 98"),
        ("3 of 97", "no longer published"),
    ]
    assert {row["Because"] for row in restated} == {"a file came later"}
    marks = page.locator('[aria-label*="Restated: 1 of 99 until"]')
    assert marks.count() > 0
    overview = {
        row["Shop"].split("\n")[0]: row for row in table(open_page(own_site.url), "All shops")
    }
    assert "stays as of 31 Oct 2026" in overview[SHOP]["Shop"]
    assert "the files end before this day" in overview[SHOP]["SFRR"]
    assert_whole_and_accessible(page)
    asked = urlencode({"shop": SHOP, "metric": "sfrr"})
    page = open_page(f"{own_site.url}/reasons?{asked}")
    assert "There is no SFRR on that day: the files end before this day" in body(page)
    for name in ("All reasons", "Products with this reason"):
        assert {row["Of delivered"].split("\n")[0] for row in table(page, name)} == {"–"}
    assert_whole_and_accessible(page)
    page = open_page(f"{own_site.url}/products?{asked}&order=orders")
    assert {row["Rate"] for row in table(page, "Products")} == {"–\nthe files end before this day"}
    page.locator('.scroll[aria-label="Products"]').get_by_role("link").first.click()
    page.get_by_text("the files end before this day").first.wait_for()
    settled(page).locator("svg text", has_text="stale").first.wait_for()
    assert_whole_and_accessible(page)


def test_a_shop_that_was_never_published_is_named(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    republish(
        own_site.data,
        "20300101T000000000000",
        frozen_shops="select 'new-shop' as shop_id, 'events_have_known_reasons' as rules, "
        "null::varchar as publication_id, null::date as as_of",
        files="from files union all select * replace ('new-shop' as shop_id) from files "
        f"where shop_id = '{SHOP}'",
    )
    page = open_page(own_site.url)
    said = "new-shop is held back and was never published: its exports break"
    assert f"{said} events_have_known_reasons." in body(page)
    assert_whole_and_accessible(page)
    page.locator(".notice").get_by_role("link", name="Data quality").click()
    page.get_by_role("cell", name="never published").wait_for()
    assert filters_of(page) == {"only": "new-shop"}
    assert said in body(open_page(f"{own_site.url}/shop?shop=new-shop"))


def test_where_no_publication_is_marked_the_kept_ones_are_pointed_to(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    (own_site.data.published / "current").unlink()
    said = body(open_page(own_site.url))
    assert "feedback rollback ID" in said
    assert "No run has published" not in said


def test_a_publication_without_shops_says_what_to_do(
    own_site: Site, open_page: Callable[..., Page]
) -> None:
    republish(own_site.data, "20300101T000000000000", every_table="select * from THE_TABLE limit 0")
    assert "no shop with a delivered order yet" in body(open_page(own_site.url))


def test_a_publication_of_an_older_version_is_no_traceback(
    own_site: Site, browser: Browser
) -> None:
    republish(
        own_site.data,
        "20300101T000000000000",
        feedback_events="select * exclude (delivered_date) from feedback_events",
    )
    page = browser.new_page()
    page.goto(f"{own_site.url}/orders?shop={SHOP}")
    page.get_by_text("feedback run --full-refresh").wait_for()
    assert "Traceback" not in body(page)
    page.close()
