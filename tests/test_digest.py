"""The digest says what the publication says, in words for owners, and asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.after_run import follow_up
from dagster_project.lib.alerts import RunEnd
from dagster_project.lib.database import connect
from dagster_project.lib.digest import files
from dagster_project.lib.digest.files import write_digest
from dagster_project.lib.digest.render import as_html, as_text
from dagster_project.lib.digest.words import Chart, Page, Row, Section
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current
from dagster_project.lib.shops import read_shops
from tests.conftest import SAMPLE_LAST_DAY
from tests.receivers import http_server
from tests.support import MESSY_SHOP, Published, feedback, fingerprint

TODAY = SAMPLE_LAST_DAY + timedelta(days=2)
NOW = datetime(TODAY.year, TODAY.month, TODAY.day, 6, tzinfo=UTC)  # a Monday
CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>alert(1)</script><img src=x onerror=y> & \"q\" 'a' \x07\u202e"


def write(data: DataDir, out: Path) -> Path:
    version = current(data)
    assert version is not None
    write_digest(version, read_shops(data.shops_csv), NOW, TODAY, out)
    return out


@pytest.fixture(scope="module")
def digest(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(published.data, tmp_path_factory.mktemp("digest") / "out")


@pytest.fixture(scope="module")
def marts(published: Published) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        yield con


@pytest.fixture(autouse=True)
def weekday_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEEDBACK_DIGEST_WEEKDAY")


@pytest.fixture
def data(published: Published, tmp_path: Path) -> DataDir:
    """A copy to change."""
    return published.copy(tmp_path)


def change(data: DataDir, statement: str, *values: object) -> None:
    version = current(data)
    assert version is not None
    with duckdb.connect(str(version.folder / "marts.duckdb")) as con:
        con.execute(statement, list(values))


def plain(path: Path) -> str:
    """A text without its line breaks."""
    return " ".join(path.read_text(encoding="utf-8").split())


class Parsed(HTMLParser):
    """The tags, attributes and visible text of a page; charts are apart."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attributes}
        if tag in ("svg", "style", "title"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, text: str) -> None:
        if not self._inside:
            self.words.append(text)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# --- the figures ------------------------------------------------------------------------------


def test_there_is_a_page_for_each_shop_and_one_for_all(
    digest: Path, marts: duckdb.DuckDBPyConnection
) -> None:
    shops = [
        s for (s,) in marts.execute("select distinct shop_id from shop_metrics_daily").fetchall()
    ]
    names = {"all-shops", *(f"shops/{shop}" for shop in shops)}
    found = {p.relative_to(digest).as_posix() for p in digest.rglob("*") if p.is_file()}
    assert found == {f"{name}{suffix}" for name in names for suffix in (".html", ".txt")}


def told(orders: int, delivered: int, rate: float) -> str:
    return f"{orders:,} of {delivered:,} orders ({rate:.2%})"


@pytest.mark.parametrize("suffix", [".html", ".txt"])
def test_rates_equal_the_publication_today_and_a_week_before(
    digest: Path, marts: duckdb.DuckDBPyConnection, suffix: str
) -> None:
    rows = marts.execute(
        """
        select
            n.shop_id, n.negative_review_orders, n.seller_fault_return_orders, n.delivered_orders,
            n.nrr, n.sfrr, b.negative_review_orders, b.seller_fault_return_orders,
            b.delivered_orders, b.nrr, b.sfrr
        from shop_metrics_daily as n
        inner join shop_metrics_daily as b
            on n.shop_id = b.shop_id and n.metric_date - 7 = b.metric_date
        where n.metric_date = ? and n.nrr_state = 'ok' and n.sfrr_state = 'ok'
        """,
        [SAMPLE_LAST_DAY],
    ).fetchall()
    assert len(rows) >= 4
    for shop, *figures in rows:
        for page in (digest / f"shops/{shop}{suffix}", digest / f"all-shops{suffix}"):
            text = Parsed(page).text if suffix == ".html" else plain(page)
            for reviews, returns, delivered, nrr, sfrr in (figures[:5], figures[5:]):
                assert told(reviews, delivered, nrr) in text, (page, shop)
                assert told(returns, delivered, sfrr) in text, (page, shop)


def test_products_reasons_targets_and_forecasts_equal_the_publication(
    digest: Path, marts: duckdb.DuckDBPyConnection
) -> None:
    def check(query: str, at_least: int) -> None:
        rows = marts.execute(query).fetchall()
        assert len(rows) >= at_least
        for shop, words in rows:
            assert words in plain(digest / f"shops/{shop}.txt"), (shop, words)

    check(
        "select shop_id, format('{} in {} of its {:,} orders', case metric when 'nrr' then "
        "'bad reviews' else 'returns' end, orders, delivered_orders) from watchlist "
        "where rank <= 3",
        2,
    )
    check("select distinct shop_id, advice from watchlist where rank <= 3", 2)
    check(
        "select shop_id, format('{} {}', replace(replace(reason_code, '_', ' '), "
        "'unclassified', 'comment without a clear reason'), orders) from reason_metrics_daily "
        f"where metric_date = '{SAMPLE_LAST_DAY}' and is_counted and rank <= 3 "
        "and reason_code <> 'no_comment'",
        10,
    )
    check(
        "select shop_id, format('target below {:.2f}%', target * 100) from metric_status_daily "
        f"where metric_date = '{SAMPLE_LAST_DAY}' and target is not null and not higher_is_better",
        4,
    )
    check(
        "select shop_id, strftime(recovery_date, 'again on %-d %b %Y') from shop_forecast "
        "where horizon_days = 1 and recovery_date is not null",
        1,
    )
    check(
        "select shop_id, format('({:.2f}%) on {}', expected_rate * 100, "
        "strftime(forecast_date, '%-d %b %Y')) from shop_forecast "
        "where horizon_days = 7 and metric = 'sfrr' and expected_rate is not null",
        3,
    )
    check(
        "select s.shop_id, strftime(s.breach_since, 'over the target since %-d %b %Y (') || "
        "s.days_in_breach || ' day' from metric_status_daily as s "
        f"where metric_date = '{SAMPLE_LAST_DAY}' and breach_since is not null "
        "and not higher_is_better",
        1,
    )


def test_the_overview_counts_each_shop_once(digest: Path, marts: duckdb.DuckDBPyConnection) -> None:
    counted = re.findall(r"- (\d+) of (\d+) shops?: ", (digest / "all-shops.txt").read_text())
    ((shops,),) = marts.execute("select count(distinct shop_id) from shop_metrics_daily").fetchall()
    assert {int(of) for _, of in counted} == {shops}
    assert sum(int(count) for count, _ in counted) == shops
    ((in_breach,),) = marts.execute(
        "select count(distinct shop_id) from metric_status_daily "
        f"where metric_date = '{SAMPLE_LAST_DAY}' and status = 'breach'"
    ).fetchall()
    assert f"{in_breach} of {shops} shops: over the target" in plain(digest / "all-shops.txt")


def test_html_and_text_say_the_same(tmp_path: Path) -> None:
    page = Page(
        "Title", "Subtitle",
        (
            Section("First", "A verdict.", ("A line.", "Another & line <b>."), ("What", "Now"),
                    (Row(("Reviews", "6 of 901"), "ok"), Row(("Returns", "7 of 901"), "breach"))),
            Section("Pictures", charts=(Chart("A picture", "<svg></svg>"),)),
        ),
        ("A note.",),
    )  # fmt: skip
    (tmp_path / "page.html").write_text(as_html(page))
    html, text = Parsed(tmp_path / "page.html").text, as_text(page)
    for words in (
        *("Title", "Subtitle", "First", "A verdict.", "A line.", "Another & line <b>."),
        *("Reviews", "6 of 901", "Returns", "7 of 901", "A note."),
    ):
        assert words in html
        assert words in text
    assert "- Reviews: now 6 of 901" in text
    assert "Pictures" not in text


def test_the_same_publication_and_day_give_the_same_files(
    published: Published, digest: Path, tmp_path: Path
) -> None:
    assert fingerprint(write(published.data, tmp_path / "again")) == fingerprint(digest)


# --- the page ---------------------------------------------------------------------------------

_REQUESTS = {"src", "href", "srcset", "action", "poster", "background", "xlink:href", "data"}


def test_a_page_asks_nothing_of_the_network_and_runs_nothing(digest: Path) -> None:
    pages = list(digest.rglob("*.html"))
    for path in pages:
        page = Parsed(path)
        names = {name for name, _ in page.attributes}
        assert not names & _REQUESTS
        assert not [name for name in names if name.startswith("on")]
        assert not page.tags & {"script", "link", "iframe", "img", "object", "embed", "base"}
        markup = path.read_text(encoding="utf-8")
        assert not re.search(r"url\s*\(\s*['\"]?(?!#)|@import", markup)
        assert set(re.findall(r"https?://[^\s\"'<]+", markup)) <= {
            "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
        }  # fmt: skip
    assert any("svg" in Parsed(path).tags for path in pages)


def test_every_shop_with_rates_has_two_charts_and_a_line(digest: Path) -> None:
    page = (digest / "shops" / "th-siam-snacks.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == page.count("<svg") == 2
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) >= 2
    assert set(re.findall(r"url\(#([^)]+)\)", page)) == set(ids)
    overview = (digest / "all-shops.html").read_text(encoding="utf-8")
    assert overview.count("<svg") >= 4


def test_hostile_names_and_comments_are_words(data: DataDir, tmp_path: Path) -> None:
    shops = data.shops_csv.read_text(encoding="utf-8")
    quoted = HOSTILE.replace('"', '""')
    data.shops_csv.write_text(shops.replace("Siam Snacks", f'"{quoted}"'), encoding="utf-8")
    for table in ("watchlist", "product_metrics_daily"):
        change(data, f"update {table} set product_name = ?", HOSTILE)
    for column in ("top_reason", "advice", "platform_steps"):
        change(data, f"update watchlist set {column} = ?", HOSTILE)
    change(data, "update reason_metrics_daily set reason_code = ?", HOSTILE)
    change(data, "update feedback_events set text = ? where source = 'review'", HOSTILE)
    out = write(data, tmp_path / "out")
    harmless = {tag for path in out.rglob("*.html") for tag in Parsed(path).tags}
    assert not harmless & {"script", "img"}
    page = out / "shops" / "th-siam-snacks.html"
    assert not [name for name, _ in Parsed(page).attributes if name.startswith("on")]
    assert Parsed(page).text.count("<script>alert(1)</script>") >= 4
    for path in out.rglob("*.*"):
        assert not set("\x07\u202e") & set(path.read_text(encoding="utf-8"))


def test_no_personal_data_and_nothing_of_other_shops_is_in_an_owners_page(
    published: Published, digest: Path
) -> None:
    shops = read_shops(published.data.shops_csv)
    for path in digest.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert not [word for word in published.personal_strings if word in text], path
        if path.parent.name == "shops":
            others = [s for s in shops.values() if s.shop_id != path.stem]
            assert others
            assert not [s for s in others if s.shop_name in text or s.shop_id in text], path


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium")
@pytest.mark.parametrize("width", [390, 1100])
def test_a_browser_shows_a_page_without_scrolling_sideways_or_asking(
    digest: Path, width: int
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        for path in (digest / "all-shops.html", digest / "shops" / "th-siam-snacks.html"):
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert len(asked) == 2
    assert all(url.startswith("file://") for url in asked)
    assert complaints == []


# --- what owners must know --------------------------------------------------------------------

SHOP = "th-siam-snacks"


def page_of(data: DataDir, tmp_path: Path, shop: str = SHOP) -> str:
    return plain(write(data, tmp_path / "out") / "shops" / f"{shop}.txt")


def test_few_orders_and_missing_targets_are_said(digest: Path) -> None:
    text = plain(digest / "shops" / "us-sunny-home.txt")
    assert re.search(r"Only [\d,]+ orders were delivered in the window: a single one moves", text)
    assert "no published target of the platform is known" in text
    assert "No target of the platform is known here" in text


def test_set_aside_and_unmapped_are_said(digest: Path) -> None:
    text = plain(digest / "shops" / f"{MESSY_SHOP}.txt")
    assert "2 files of the last 7 days could not be used and are left out." in text
    assert "2 rows of the exports could not be read and are left out." in text
    assert "1 return line has a reason that no setting knows" in text
    assert "Over the target, with few orders to judge by: returns and refunds" in text
    assert "No export of reviews was ever loaded, so nothing is known of bad reviews." in text


def test_a_stale_shop_shows_its_last_known_figure_by_its_day(
    data: DataDir, tmp_path: Path, marts: duckdb.DuckDBPyConnection
) -> None:
    last = SAMPLE_LAST_DAY - timedelta(days=3)
    for table, columns in (
        ("shop_metrics_daily", "nrr = null, nrr_state = 'stale'"),
        ("metric_status_daily", "rate = null, status = 'unknown', breach_since = null"),
    ):
        metric = "and metric like 'nrr%'" if table == "metric_status_daily" else ""
        change(
            data,
            f"update {table} set {columns} where shop_id = ? and metric_date > ? {metric}",
            SHOP,
            last,
        )
    row = marts.execute(
        "select negative_review_orders, delivered_orders, nrr from shop_metrics_daily "
        "where shop_id = ? and metric_date = ?",
        [SHOP, last],
    ).fetchone()
    assert row is not None
    text = page_of(data, tmp_path)
    assert f"now {told(*row)}" in text
    assert f", as of {last.day} {last:%b %Y}" in text
    assert "of bad reviews the last known figure, of" in text
    ahead = text.partition("What comes next")[2].partition("How far to trust this")[0]
    assert "Returns and refunds" in ahead
    assert "Bad reviews" not in ahead


def test_a_shop_under_its_known_targets_is_said_to_be(data: DataDir, tmp_path: Path) -> None:
    change(
        data,
        "update metric_status_daily set status = 'ok', breach_since = null "
        "where shop_id = ? and target is not null",
        SHOP,
    )
    text = page_of(data, tmp_path)
    assert "Under every target that is known here." in text
    assert "No target of the platform is known here" not in text
    overview = plain(tmp_path / "out" / "all-shops.txt")
    assert re.search(r"- Siam Snacks: bad reviews \d[^-]* stands under the target -", overview)


def test_reasons_are_those_of_the_day_that_is_shown(data: DataDir, tmp_path: Path) -> None:
    change(
        data,
        "update metric_status_daily set orders = 0, rate = 0 "
        "where shop_id = ? and metric = 'nrr' and metric_date > ?",
        SHOP,
        SAMPLE_LAST_DAY - timedelta(days=20),
    )
    change(
        data,
        "delete from reason_metrics_daily where shop_id = ? and metric = 'nrr' and metric_date > ?",
        SHOP,
        SAMPLE_LAST_DAY - timedelta(days=20),
    )
    text = page_of(data, tmp_path)
    assert "Most common reasons for returns" in text
    assert "Most common reasons for bad reviews" not in text


def test_comments_are_of_the_week_and_of_reviews_that_count(data: DataDir, tmp_path: Path) -> None:
    for words, day, is_counted in (
        ("Of the week", SAMPLE_LAST_DAY, True),
        ("Of tomorrow", SAMPLE_LAST_DAY + timedelta(days=1), True),
        ("Of an unknown order", SAMPLE_LAST_DAY, False),
    ):
        change(
            data,
            "insert into feedback_events select * replace (? as text, ? as event_date, "
            "? as is_counted, 'new' || event_id as event_id) from feedback_events "
            "where source = 'review' and shop_id = ? limit 1",
            words,
            day,
            is_counted,
            SHOP,
        )
    text = page_of(data, tmp_path)
    assert "“Of the week”" in text
    assert "Of tomorrow" not in text
    assert "Of an unknown order" not in text


def test_old_figures_are_said_to_be(data: DataDir, tmp_path: Path, digest: Path) -> None:
    version = current(data)
    assert version is not None
    later = timedelta(days=20)
    write_digest(version, read_shops(data.shops_csv), NOW + later, TODAY + later, tmp_path / "out")
    for name in (f"shops/{SHOP}", "all-shops"):
        assert "These figures end 22 days ago" in plain(tmp_path / "out" / f"{name}.txt")
        assert "These figures end" not in plain(digest / f"{name}.txt")


def test_a_file_that_a_rule_withdrew_is_counted_in_its_week(data: DataDir, tmp_path: Path) -> None:
    for exported_at in (NOW, NOW - timedelta(days=8)):
        change(
            data,
            "insert into files select * replace ('withdrawn' as status, ? as exported_at) "
            "from files where shop_id = ? limit 1",
            exported_at.replace(tzinfo=None),
            SHOP,
        )
    assert "1 file of the last 7 days could not be used and is left out." in page_of(data, tmp_path)


def test_a_frozen_shop_says_since_when_and_why(data: DataDir, tmp_path: Path) -> None:
    change(data, "insert into frozen_shops values (?, 'a_rule', 'p', '2026-10-20')", SHOP)
    text = page_of(data, tmp_path)
    assert "held back because they break a check (a_rule); the figures are those of 20 Oct" in text
    overview = plain(tmp_path / "out" / "all-shops.txt")
    assert "Siam Snacks: Newer data were held back" in overview


def test_what_was_restated_this_week_is_said(data: DataDir, tmp_path: Path) -> None:
    version = current(data)
    assert version is not None
    at = datetime.strptime(version.publication_id[:8], "%Y%m%d").replace(tzinfo=UTC)
    for metric, day, published_at, new in (
        ("nrr", 20, at, 9),
        ("nrr", 20, at + timedelta(days=1), 8),
        ("nrr", 21, at, 6),
        ("nrr", 22, at, None),
        ("nrr", 19, NOW - timedelta(days=8), 99),
        ("sfrr", 23, at, None),
    ):
        change(
            data,
            "insert into metric_restatements values ('p', ?, ?, ?, ?, 5, 800, ?, ?, 'file')",
            published_at,
            SHOP,
            date(2026, 10, day),
            metric,
            new,
            None if new is None else 801,
        )
    text = page_of(data, tmp_path)
    assert (
        "Earlier figures of returns were corrected for 1 day because newer exports came in; "
        "on 23 Oct 2026, for example, 5 of 800 is no longer published."
    ) in text
    assert (
        "Earlier figures of bad reviews were corrected for 3 days because newer exports came in; "
        "on 20 Oct 2026, for example, 5 of 800 became 9 of 801 orders."
    ) in text
    assert "99" not in re.findall(r"became (\d+)", text)


def test_exports_to_download_are_said_with_their_days(digest: Path) -> None:
    text = plain(digest / "shops" / f"{SHOP}.txt")
    first = SAMPLE_LAST_DAY - timedelta(days=30)
    assert (
        f"Orders: {first.day} {first:%b %Y} to {TODAY.day} {TODAY:%b %Y} (what is here ends on "
        f"{SAMPLE_LAST_DAY.day} {SAMPLE_LAST_DAY:%b %Y}). Where: Seller Center"
    ) in text


# --- written ----------------------------------------------------------------------------------


def test_a_folder_that_is_no_digest_is_left_alone(data: DataDir, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(ConfigurationError, match="is no digest; name a new folder"):
        write(data, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_digest_that_is_cut_short_leaves_the_one_before(
    data: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write(data, tmp_path / "out")
    before = fingerprint(out)
    written = []

    def die_at_the_third(page: object) -> str:
        written.append(page)
        if len(written) == 3:
            raise SystemExit
        return "half"

    with monkeypatch.context() as dying:
        dying.setattr(files, "as_text", die_at_the_third)
        with pytest.raises(SystemExit):
            write(data, out)
    assert fingerprint(out) == before
    write(data, out)
    assert fingerprint(out) == before
    assert [p.name for p in tmp_path.iterdir() if p.name != "data"] == ["out"]


def test_the_command_writes_where_it_is_told(data: DataDir, tmp_path: Path) -> None:
    done = feedback("digest", "--data-dir", data.root, "--out", tmp_path / "out")
    assert done.code == 0, done.output
    assert str(tmp_path / "out" / "all-shops.html") in done.output
    assert (tmp_path / "out" / "shops" / f"{SHOP}.html").is_file()
    done = feedback("digest", "--data-dir", tmp_path / "nothing")
    assert done.code == 2
    assert "Nothing was published" in done.output


def run(data: DataDir, run_id: str, now: datetime, *failures: str) -> list[str]:
    follow_up(data, RunEnd(run_id, failures), now)
    with Ledger.open(data.ledger) as ledger:
        return [note for _, note in ledger.notes(run_id)]


def test_the_digest_is_written_on_its_day_once_and_sent(
    data: DataDir, published: Published
) -> None:
    with http_server() as inbox:
        data.settings.mkdir(exist_ok=True)
        data.notifications.write_text(f"setting,value\nurl,{inbox.url}\n")
        data.notifications.chmod(0o600)
        run(data, "0", NOW - timedelta(days=1))  # a Sunday: what there is to alert
        assert not data.digests.exists()
        inbox.messages.clear()
        assert run(data, "1", NOW, "It failed.")[-1].startswith("Sent by 1 (json): Feedback: run f")
        assert not data.digests.exists()
        for name in (".building-2026-11-01", ".old-2026-11-01", ".git"):
            (data.digests / name).mkdir(parents=True)
        (data.digests / ".DS_Store").touch()
        notes = run(data, "2", NOW)
        run(data, "3", NOW + timedelta(hours=9))
        run(data, "4", NOW + timedelta(days=1))
    folder = data.digests / str(TODAY)
    assert {p.name for p in data.digests.iterdir()} == {str(TODAY), ".git", ".DS_Store"}
    sent = json.dumps(inbox.messages, ensure_ascii=False)
    assert not [word for word in published.personal_strings if word in sent]
    assert notes == [
        f"Weekly digest: {folder / 'all-shops.html'}",
        f"Sent by 1 (json): Feedback: weekly digest, {TODAY.day} {TODAY:%b %Y}",
    ]
    _, weekly = inbox.messages
    assert weekly["title"].startswith("Feedback: weekly digest")
    assert weekly["message"].startswith("All shops: week to")
    assert [a["filename"] for a in weekly["attachments"]] == ["all-shops.html"]


def test_a_digest_that_cannot_be_written_is_a_note(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.digests.write_text("in the way")
    notes = run(data, "1", NOW)
    (note,) = notes
    assert re.fullmatch(
        r"The weekly digest was not written: .*(NotADirectory|not a dir|File).*", note
    )
    data.digests.unlink()
    assert run(data, "2", NOW) == [f"Weekly digest: {data.digests / str(TODAY) / 'all-shops.html'}"]


# --- a whole run ------------------------------------------------------------------------------


def test_a_run_without_anything_new_writes_the_digest_and_tells_no_secret(data: DataDir) -> None:
    secret = "s3cr3t-t0ken"  # noqa: S105 - nobody's
    with http_server() as good, http_server(500) as bad:
        data.settings.mkdir(exist_ok=True)
        data.notifications.write_text(f"setting,value\nurl,{bad.url}/{secret}?k={secret}\n")
        data.notifications.chmod(0o644)
        done = feedback(
            "run", "--data-dir", data.root, FEEDBACK_NOTIFY_URLS=f"{good.url}/{secret}",
            FEEDBACK_DIGEST_WEEKDAY=f"{datetime.now(UTC):%A}",
        )  # fmt: skip
    assert done.code == 0, done.output
    assert "Nothing new" in done.output
    assert "Weekly digest: " in done.output
    assert "Sent by 2 (json): Feedback: weekly digest" in done.output
    assert "Channel 1 (json) answered 500; the next run tries again" in done.output
    assert "holds secrets; chmod 600" in done.output
    assert len(good.messages) == len(bad.messages) == 2
    assert secret not in done.output
    for path in data.root.rglob("*"):
        if path.is_file() and path != data.notifications:
            assert secret.encode() not in path.read_bytes(), path


def test_a_run_that_fails_alerts_by_itself(data: DataDir) -> None:
    with http_server() as inbox:
        environment = {"FEEDBACK_NOTIFY_URLS": inbox.url, "FEEDBACK_DIGEST_WEEKDAY": "never"}
        (data.settings / "nonsense.csv").parent.mkdir(exist_ok=True)
        (data.settings / "nonsense.csv").write_text("x\n")
        done = feedback("run", "--full-refresh", "--data-dir", data.root, **environment)
        assert done.code == 2, done.output
        assert any("nonsense.csv is no setting" in body for body in inbox.bodies)
        (data.settings / "nonsense.csv").unlink()
        data.shops_csv.write_text("nothing\n")
        done = feedback("run", "--data-dir", data.root, **environment)
        assert done.code == 2, done.output
    assert len(inbox.messages) == 2
    assert "the header lacks shop_id" in inbox.bodies[1]


def test_the_settings_of_sending_are_of_no_figure(data: DataDir) -> None:
    before = fingerprint(data.published)
    data.settings.mkdir(exist_ok=True)
    data.notifications.write_text("setting,value\ndigest_weekday,never\n")
    done = feedback("run", "--data-dir", data.root)
    assert done.code == 0, done.output
    assert "Nothing new" in done.output
    assert fingerprint(data.published) == before
