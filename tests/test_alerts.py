"""What people are told after a run: each event once, all of a run's in one message, none lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib import after_run
from dagster_project.lib.after_run import TRIES, _alert, follow_up
from dagster_project.lib.alerts import RunEnd, find_alerts, message_of
from dagster_project.lib.errors import BusyError
from dagster_project.lib.landing import MOST_STRAYS
from dagster_project.lib.ledger import FileEntry, Ledger, QualityResult
from dagster_project.lib.metrics import CHAT_RATE
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version
from tests.receivers import Inbox, http_server
from tests.support import held_for_writing

NOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)  # a Wednesday
FIRST_DAY = date(2026, 10, 1)
STATUSES = {"o": "ok", "r": "at_risk", "b": "breach", "u": "unknown", "n": "no_target"}
SHOP = "my-shop"
GOOD = RunEnd("run-good")

_MARTS = """
create table shop_metrics_daily (shop_id varchar, metric_date date);
create table frozen_shops (shop_id varchar, rules varchar, publication_id varchar, as_of date);
create table metric_status_daily (
    shop_id varchar, metric_date date, metric varchar, orders bigint, delivered_orders bigint,
    rate double, target double, status varchar, is_reliable boolean, breach_since date,
    days_in_breach bigint, higher_is_better boolean
);
create table shop_forecast (
    shop_id varchar, metric varchar, horizon_days bigint, recovery_date date,
    clean_orders_to_recover bigint, orders_to_breach bigint
);
create table watchlist (
    shop_id varchar, metric varchar, rank bigint, product_key varchar, product_name varchar,
    orders bigint, top_reason varchar, top_reason_orders bigint, advice varchar
);
create table feedback_events (
    shop_id varchar, source varchar, unmapped_reason varchar, order_id varchar, product_key varchar,
    reason_code varchar, category varchar, is_counted boolean, is_sellers_part boolean,
    event_date date, product_delivered_date date
);
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path / "data")
    data.settings.mkdir(parents=True)
    data.shops_csv.write_text(
        "shop_id,shop_name,region,timezone,currency\n"
        "my-shop,My Shop,TH,Asia/Bangkok,THB\nother,Other,ID,Asia/Jakarta,IDR\n"
    )
    return data


@pytest.fixture
def ledger(data: DataDir) -> Iterator[Ledger]:
    with Ledger.open(data.ledger) as ledger:
        yield ledger


def published(data: DataDir, days: dict[tuple[str, str], str], *more: str) -> Version:
    """A publication of shops' metrics, a letter a day; `more` are statements."""
    folder = data.root / "version"
    folder.mkdir(exist_ok=True)
    (folder / "marts.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "marts.duckdb")) as con:
        con.execute(_MARTS)
        for (shop_id, metric), letters in days.items():
            since = None
            for index, letter in enumerate(letters):
                day = FIRST_DAY + timedelta(days=index)
                since = (since or day) if letter == "b" else None
                con.execute(
                    "insert into metric_status_daily values "
                    "(?, ?, ?, 9, 880, 0.0102, 0.005, ?, true, ?, null, ?)",
                    [shop_id, day, metric, STATUSES[letter], since, metric == CHAT_RATE],
                )
                con.execute("insert into shop_metrics_daily values (?, ?)", [shop_id, day])
        for statement in more:
            con.execute(statement)
    return Version(folder)


def unmapped(reason: str, source: str = "return") -> str:
    """A statement: an event whose reason no setting knows."""
    return (
        "insert into feedback_events (shop_id, source, unmapped_reason) "
        f"values ('my-shop', '{source}', '{reason}')"
    )


def tell(data: DataDir, ledger: Ledger, version: Version | None, run: RunEnd = GOOD) -> list[str]:
    """What is new after a run, which then counts as told."""
    alerts = find_alerts(data, ledger, run, version, NOW)
    ledger.tell(run.run_id, [alert.event for alert in alerts], None)
    return [f"{a.event.kind} {a.event.shop_id} {a.event.subject}".strip() for a in alerts]


def days(data: DataDir, ledger: Ledger, *histories: str) -> list[list[str]]:
    """What is told of one metric of one shop as its history becomes these, one after another."""
    return [
        [line.split()[0] for line in tell(data, ledger, published(data, {(SHOP, "nrr"): history}))]
        for history in histories
    ]


# --- a shop and its targets -------------------------------------------------------------------


def test_a_breach_is_told_once_while_it_lasts(data: DataDir, ledger: Ledger) -> None:
    told = days(data, ledger, "ooo", "ooob", "ooobb", "ooobbb")
    assert told == [[], ["breach"], [], []]


def test_a_shop_that_recovers_and_falls_again_is_told_again(data: DataDir, ledger: Ledger) -> None:
    told = days(data, ledger, "ob", "obo", "obob", "obobr", "obobrb", "obobrbo", "obobrbor")
    assert told == [["breach"], [], ["breach"], [], ["breach"], [], ["at_risk"]]


def test_a_shop_at_risk_is_told_before_it_is_in_breach_and_not_after(
    data: DataDir, ledger: Ledger
) -> None:
    told = days(data, ledger, "oor", "oorr", "oorrb", "oorrbr", "oorrbrr")
    assert told == [["at_risk"], [], ["breach"], [], []]


def test_a_rollback_and_what_is_published_after_it_tell_nothing_twice(
    data: DataDir, ledger: Ledger
) -> None:
    told = days(data, ledger, "oobbb", "oo", "oob", "oobb", "oobbbb")
    assert told == [["breach"], [], [], [], []]


def test_late_data_that_move_the_beginning_of_a_breach_tell_nothing(
    data: DataDir, ledger: Ledger
) -> None:
    assert days(data, ledger, "ooob", "obbb", "oobbb") == [["breach"], [], []]


def test_a_shop_that_has_no_rate_or_no_target_is_not_told(data: DataDir, ledger: Ledger) -> None:
    assert days(data, ledger, "obu", "n", "u") == [[], [], []]


def test_a_first_day_in_danger_is_told(data: DataDir, ledger: Ledger) -> None:
    assert days(data, ledger, "r", "rr") == [["at_risk"], []]


def test_each_metric_and_shop_is_an_event_of_its_own(data: DataDir, ledger: Ledger) -> None:
    version = published(
        data,
        {(SHOP, "nrr_seller"): "ob", (SHOP, "sfrr"): "or", ("other", "sfrr"): "bb"},
    )
    told = ["breach my-shop nrr_seller", "breach other sfrr", "at_risk my-shop sfrr"]
    assert tell(data, ledger, version) == told
    assert tell(data, ledger, version) == []


def test_the_alert_says_why_and_what_to_do(data: DataDir, ledger: Ledger) -> None:
    version = published(
        data,
        {(SHOP, "sfrr"): "ob"},
        "insert into watchlist values "
        "('my-shop', 'sfrr', 1, 'p', 'Crunchy Seaweed', 6, 'damaged', 4, 'Pack well.')",
        "insert into shop_forecast values ('my-shop', 'sfrr', 1, '2026-10-09', 921, 0)",
        "update metric_status_daily set is_reliable = false",
    )
    (alert,) = find_alerts(data, ledger, GOOD, version, NOW)
    assert alert.text == (
        "My Shop (my-shop): returns and refunds for the shop's fault in 9 of 880 orders (1.02%), "
        "target below 0.50%; over the target since 2 Oct 2026. Look first at Crunchy Seaweed: in "
        "6 of these orders, 4 because of “damaged”. To do: Pack well. Under the target again on "
        "9 Oct 2026 if nothing bad happens, or after 921 more orders without trouble. Few orders: "
        "take it as a hint."
    )


def test_chats_answered_too_late_are_no_alert(data: DataDir, ledger: Ledger) -> None:
    assert tell(data, ledger, published(data, {(SHOP, CHAT_RATE): "obb"})) == []


# --- files and reasons ------------------------------------------------------------------------


def entry(**changes: object) -> FileEntry:
    plain = FileEntry(
        file_id="f" * 64, shop_id=SHOP, dataset="orders", file_name="orders.csv", sheet="",
        exported_at=datetime(2026, 11, 24, 17), rows_read=1, rows_loaded=1, rows_rejected=0,
        status="loaded", message="", layout="", batch_id="b", reader="csv",
        ingested_at=NOW - timedelta(days=9),
    )  # fmt: skip
    return replace(plain, **changes)


def test_a_refused_file_is_told_once(data: DataDir, ledger: Ledger) -> None:
    refused = entry(status="refused", message="has no header", ingested_at=NOW)
    ledger.commit_batch([refused], [])
    (alert,) = find_alerts(data, ledger, GOOD, None, NOW)
    assert (alert.kind, alert.text) == ("file_refused", "my-shop/orders/orders.csv: has no header")
    assert tell(data, ledger, None) == [f"file_refused my-shop orders {'f' * 64}"]
    # read again, because it was written anew or dated otherwise
    ledger.commit_batch([replace(refused, ingested_at=NOW + timedelta(hours=1))], [])
    assert tell(data, ledger, None) == []


def test_a_withdrawn_file_is_told(data: DataDir, ledger: Ledger) -> None:
    ledger.commit_batch([entry(ingested_at=NOW)], [])
    ledger.withdraw([(SHOP, "orders", "f" * 64)], "a_rule", "run-good")
    (alert,) = find_alerts(data, ledger, GOOD, None, NOW)
    assert alert.text == "my-shop/orders/orders.csv: breaks the rule a_rule"


def test_a_file_refused_long_ago_is_told_only_while_it_lies_there(
    data: DataDir, ledger: Ledger
) -> None:
    ledger.commit_batch([entry(status="refused", message="has no header")], [])
    assert tell(data, ledger, None) == []
    path = data.landing / SHOP / "orders" / "orders.csv"
    path.parent.mkdir(parents=True)
    path.touch()
    assert len(tell(data, ledger, None)) == 1


def test_a_failed_run_is_told_also_where_nobody_may_look_into_the_landing_folder(
    data: DataDir, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.commit_batch([entry(status="refused", message="has no header")], [])
    (data.landing / "stranger").mkdir(parents=True)

    def deny(look: str) -> None:
        usual = getattr(Path, look)

        def look_elsewhere(path: Path, **options: Any) -> Any:
            if path.is_relative_to(data.landing):
                raise PermissionError(path)
            return usual(path, **options)

        monkeypatch.setattr(Path, look, look_elsewhere)

    for look in ("stat", "lstat", "iterdir"):
        deny(look)
    assert tell(data, ledger, None, failed("1", "ingest: no")) == ["run_failed  ingest: no"]


def test_of_many_strays_each_is_told(data: DataDir, ledger: Ledger) -> None:
    for number in range(MOST_STRAYS + 2):
        (data.landing / f"s{number}").mkdir(parents=True)
    assert len(tell(data, ledger, None)) == MOST_STRAYS + 2


def test_a_folder_of_no_shop_is_told_once(data: DataDir, ledger: Ledger) -> None:
    for folder in (SHOP, "stranger"):
        (data.landing / folder / "orders").mkdir(parents=True)
    (alert,) = find_alerts(data, ledger, GOOD, None, NOW)
    assert alert.text.startswith("landing/stranger is no shop of shops.csv. Add a line ")
    assert len(tell(data, ledger, None)) == 1
    assert tell(data, ledger, None) == []
    # which folders are of no shop cannot be known then
    data.shops_csv.write_text("nonsense")
    (data.landing / "another").mkdir()
    assert tell(data, ledger, None) == []


def test_an_unmapped_reason_is_told_once_whatever_the_lines(data: DataDir, ledger: Ledger) -> None:
    row = unmapped("It smells of fish")
    version = published(
        data,
        {},
        row,
        "insert into feedback_events (shop_id, source) values ('my-shop', 'return')",
    )
    (alert,) = find_alerts(data, ledger, GOOD, version, NOW)
    assert alert.text == (
        "return reason “It smells of fish”: 1 line in 1 shop, not counted until a setting names it"
    )
    assert tell(data, ledger, version) == ["unmapped_reason  return: It smells of fish"]
    assert tell(data, ledger, published(data, {}, row, row)) == []
    again = unmapped("Too blue")
    assert tell(data, ledger, published(data, {}, row, again)) == [
        "unmapped_reason  return: Too blue"
    ]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("complaint", "type of complaint “Odd”: 1 line in 1 shop, counted as unclassified until"),
        ("review", "reason of an override “Odd”: 1 line in 1 shop, passed over until"),
    ],
)
def test_what_counts_all_the_same_is_not_said_not_to(
    data: DataDir, ledger: Ledger, source: str, says: str
) -> None:
    (alert,) = find_alerts(data, ledger, GOOD, published(data, {}, unmapped("Odd", source)), NOW)
    assert alert.text == f"{says} a setting names it"


def test_a_publication_that_cannot_be_read_silences_nothing_else(
    data: DataDir, ledger: Ledger
) -> None:
    ledger.commit_batch([entry(status="refused", message="has no header", ingested_at=NOW)], [])
    version = published(data, {(SHOP, "nrr"): "ob"})
    (version.folder / "marts.duckdb").write_bytes(b"cut short")
    run = failed("r", "It failed.")
    _alert(data, ledger, run, version, NOW)
    (sent,) = ledger.notifications()
    assert "It failed." in sent.body
    assert "has no header" in sent.body
    ((is_problem, note),) = ledger.notes("r")
    assert is_problem
    assert note.startswith("No alerts of what is published, which could not be read: ")


# --- exports that stop ------------------------------------------------------------------------


def exports(ledger: Ledger, *days_ago: int, dataset: str = "orders") -> None:
    ledger.commit_batch(
        [
            entry(file_id=f"{dataset}{ago}", dataset=dataset,
                  exported_at=datetime(2026, 11, 25, 12) - timedelta(days=ago))
            for ago in days_ago
        ],
        [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("days_ago", "is_silent"),
    [
        ((10, 9, 8, 7, 6, 5), True),  # daily, and four days late
        ((9, 8, 7, 6, 5, 4), False),  # three
        ((39, 32, 25, 18, 11), True),  # weekly
        ((38, 31, 24, 17, 10), False),
        ((100, 60, 10, 9, 8, 7, 6, 5), True),  # what was usual long ago does not count
        ((11,), True),  # one export, no habit
        ((10,), False),
        ((), False),  # never exported is no silence
    ],
)
def test_a_shop_is_silent_when_its_next_export_is_overdue(
    data: DataDir, ledger: Ledger, days_ago: tuple[int, ...], is_silent: bool
) -> None:
    exports(ledger, *days_ago)
    assert tell(data, ledger, None) == (["silent my-shop orders"] if is_silent else [])


def test_a_silence_is_told_once_and_again_after_the_next_export(
    data: DataDir, ledger: Ledger
) -> None:
    exports(ledger, 80, 79, 78)
    assert tell(data, ledger, None) == ["silent my-shop orders"]
    assert tell(data, ledger, None) == []
    exports(ledger, 70)
    assert tell(data, ledger, None) == ["silent my-shop orders"]


def test_what_no_rate_needs_may_be_silent_and_a_shops_silence_is_one_line(
    data: DataDir, ledger: Ledger
) -> None:
    for dataset in ("orders", "returns", "chats", "products"):
        exports(ledger, 22, 21, 20, dataset=dataset)
    alerts = find_alerts(data, ledger, GOOD, None, NOW)
    assert [a.event.subject for a in alerts] == ["orders", "returns"]
    title, body = message_of(alerts)
    assert title == "Feedback: exports have stopped"
    assert body == (
        "Exports have stopped:\n- my-shop: no orders after 5 Nov 2026, 20 days ago, where they use "
        "to come every day; no returns after 5 Nov 2026, 20 days ago, where they use to come every "
        "day"
    )


# --- runs and gates ---------------------------------------------------------------------------


def broken(run_id: str, rule: str = "a_rule", **changes: object) -> QualityResult:
    plain = QualityResult(
        run_id, NOW, "publish", "marts", rule, "critical", False, 9, 2, [], "It does not hold."
    )
    return replace(plain, **changes)


def failed(run_id: str, *failures: str) -> RunEnd:
    return RunEnd(run_id, failures)


def test_a_closed_gate_is_told_once_until_a_run_succeeds(data: DataDir, ledger: Ledger) -> None:
    def run(number: int) -> list[str]:
        return tell(data, ledger, None, failed(f"run-{number}", ""))

    ledger.add_quality_results([broken("run-1"), broken("run-1", "b_rule", severity="warning")])
    (alert,) = find_alerts(data, ledger, failed("run-1", ""), None, NOW)
    assert (alert.kind, alert.text) == ("gate_closed", "a_rule, 2 rows: It does not hold.")
    assert run(1) == ["gate_closed  a_rule"]
    ledger.add_quality_results([broken("run-2"), broken("run-2", "c_rule")])
    assert run(2) == ["gate_closed  c_rule"]
    ledger.add_quality_results([broken("run-3", accepted_reason="It is right.")])
    assert run(3) == []
    after_run._alert(data, ledger, RunEnd("run-4"), None, NOW)  # which succeeds
    ledger.add_quality_results([broken("run-5")])
    assert run(5) == ["gate_closed  a_rule"]


def test_a_failed_run_is_told_once_until_one_succeeds_or_it_fails_otherwise(
    data: DataDir, ledger: Ledger
) -> None:
    assert tell(data, ledger, None, failed("1", "ingest: no")) == ["run_failed  ingest: no"]
    assert tell(data, ledger, None, failed("2", "ingest: no")) == []
    assert tell(data, ledger, None, failed("3", "dbt failed")) == ["run_failed  dbt failed"]
    after_run._alert(data, ledger, RunEnd("4"), None, NOW)
    after_run._alert(data, ledger, RunEnd("5"), None, NOW)
    assert tell(data, ledger, None, failed("6", "ingest: no")) == ["run_failed  ingest: no"]
    recovered = ledger.con.execute(
        "select count(*) from told_events where kind = 'run_succeeded'"
    ).fetchone()
    assert recovered == (1,)


def test_a_run_that_was_killed_is_told_by_the_next(data: DataDir, ledger: Ledger) -> None:
    run = RunEnd("run-2", killed=["0123456789"])
    (alert,) = find_alerts(data, ledger, run, None, NOW)
    assert alert.text == "Run 01234567 was ended from outside; the next run took up its work."
    assert tell(data, ledger, None, run) == ["run_failed  killed 0123456789"]
    assert tell(data, ledger, None, run) == []


def test_a_frozen_shop_is_told_once(data: DataDir, ledger: Ledger) -> None:
    ledger.add_quality_results([broken("run-1", contained="Frozen: my-shop")])
    ledger.freeze({SHOP: None}, "a_rule", "run-1")
    (alert,) = find_alerts(data, ledger, RunEnd("run-1"), None, NOW)
    assert (alert.kind, alert.text) == (
        "shop_frozen", "my-shop is not published, because it breaks a_rule"
    )  # fmt: skip
    tell(data, ledger, None, RunEnd("run-1"))
    ledger.add_quality_results([broken("run-2", contained="Frozen: my-shop")])
    ledger.freeze({SHOP: None}, "a_rule", "run-2")
    assert tell(data, ledger, None, RunEnd("run-2")) == []


# --- the message ------------------------------------------------------------------------------


def test_all_events_of_a_run_are_one_message_in_the_order_of_their_weight(
    data: DataDir, ledger: Ledger
) -> None:
    ledger.commit_batch([entry(status="refused", message="has no header", ingested_at=NOW)], [])
    version = published(
        data,
        {(SHOP, "nrr"): "ob", ("other", "sfrr"): "or"},
        unmapped("Too blue"),
    )
    title, body = message_of(find_alerts(data, ledger, failed("r", "It failed."), version, NOW))
    assert title == (
        "Feedback: run failed, over a target, close to a target, files set aside, "
        "reasons that no setting knows"
    )
    headings = [line for line in body.splitlines() if line.endswith(":")]
    assert headings == [
        "Run failed:", "Over a target:", "Close to a target:", "Files set aside:",
        "Reasons that no setting knows:",
    ]  # fmt: skip


def test_hostile_names_are_no_markup_and_no_control_characters(
    data: DataDir, ledger: Ledger
) -> None:
    hostile = "<b>x</b> [y](https://e.com) @everyone\n\x1b[31m\u202e `z`"
    ledger.commit_batch(
        [entry(status="refused", message=hostile, file_name=hostile, ingested_at=NOW)], []
    )
    version = published(data, {(hostile, "nrr"): "ob"})
    with duckdb.connect(str(version.folder / "marts.duckdb")) as con:
        con.execute(unmapped(hostile))
        con.execute(
            "insert into watchlist values (?, 'nrr', 1, 'p', ?, 6, ?, 4, 'x')", [hostile] * 3
        )
    _, body = message_of(find_alerts(data, ledger, GOOD, version, NOW))
    assert not set("<>[]@`\x1b\u202e") & set(body)
    assert "://" not in body
    assert body.count("everyone") >= 4
    assert len(body.splitlines()) == len([x for x in body.splitlines() if x[:2] == "- "]) + 5


def test_a_message_has_thirty_lines_of_a_kind_at_most(data: DataDir, ledger: Ledger) -> None:
    rows = [unmapped(f"r{n:02}") for n in range(33)]
    _, body = message_of(find_alerts(data, ledger, GOOD, published(data, {}, *rows), NOW))
    lines = body.splitlines()
    assert len(lines) == 32
    assert lines[-1] == "- and 3 more"


# --- sent, tried again, never lost ------------------------------------------------------------


def channels(data: DataDir, *inboxes: Inbox) -> None:
    lines = ["setting,value", "digest_weekday,never", *(f"url,{inbox.url}" for inbox in inboxes)]
    data.notifications.write_text("\n".join(lines))
    data.notifications.chmod(0o600)


def notes(data: DataDir, run_id: str) -> list[tuple[bool, str]]:
    with Ledger.open(data.ledger) as ledger:
        return ledger.notes(run_id)


def test_nothing_to_say_is_nothing_sent(data: DataDir) -> None:
    with http_server() as inbox:
        channels(data, inbox)
        follow_up(data, RunEnd("1"), NOW)
    assert inbox.messages == []
    assert notes(data, "1") == []


def test_alerts_go_out_also_when_the_run_failed_and_once(data: DataDir) -> None:
    with http_server() as inbox:
        channels(data, inbox)
        follow_up(data, failed("1", "ingest failed."), NOW)
        follow_up(data, failed("2", "ingest failed."), NOW)
    assert inbox.bodies == ["Run failed:\n- ingest failed."]
    assert notes(data, "1") == [(False, "Sent by 1 (json): Feedback: run failed")]


def test_without_channels_nothing_counts_as_told(data: DataDir) -> None:
    follow_up(data, failed("1", "It failed."), NOW)
    with http_server() as inbox:
        channels(data, inbox)
        follow_up(data, failed("2", "It failed."), NOW)
    assert len(inbox.messages) == 1


def test_a_message_is_tried_again_by_later_runs_up_to_a_bound(data: DataDir) -> None:
    with http_server(500) as bad, http_server() as good:
        channels(data, bad, good)
        follow_up(data, failed("0", "It failed."), NOW)
        for number in range(1, TRIES + 2):
            follow_up(data, RunEnd(str(number)), NOW)
    assert len(good.messages) == 1
    assert len(bad.messages) == TRIES
    problem = "Not sent: Feedback: run failed. Channel 1 (json) answered 500; "
    assert notes(data, "0")[0] == (True, problem + "the next run tries again.")
    assert notes(data, str(TRIES - 1)) == [(True, problem + f"given up after {TRIES} tries.")]
    assert notes(data, str(TRIES)) == []


def test_a_message_reaches_a_service_that_is_back(data: DataDir) -> None:
    with http_server(503) as bad:
        channels(data, bad)
        follow_up(data, failed("1", "It failed."), NOW)
    with http_server() as good:
        channels(data, good)
        follow_up(data, RunEnd("2"), NOW)
        follow_up(data, RunEnd("3"), NOW)
    assert good.bodies == ["Run failed:\n- It failed."]


def test_a_channel_that_is_added_is_not_told_of_what_is_past(data: DataDir) -> None:
    with http_server() as first, http_server() as second:
        channels(data, first)
        follow_up(data, failed("1", "It failed."), NOW)
        channels(data, first, second)
        follow_up(data, RunEnd("2"), NOW)
    assert (len(first.messages), second.messages) == (1, [])


@pytest.mark.parametrize("dies_in", ["send", "add_deliveries"])
def test_a_process_that_dies_while_it_sends_loses_nothing(
    data: DataDir, dies_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    with http_server() as inbox:
        channels(data, inbox)
        with monkeypatch.context() as dying:
            dying.setattr(after_run if dies_in == "send" else Ledger, dies_in, die)
            with pytest.raises(SystemExit):
                follow_up(data, failed("1", "It failed."), NOW)
        assert len(inbox.messages) == (0 if dies_in == "send" else 1)
        follow_up(data, RunEnd("2"), NOW)
        follow_up(data, RunEnd("3"), NOW)
    assert set(inbox.bodies) == {"Run failed:\n- It failed."}
    assert len(inbox.messages) == (1 if dies_in == "send" else 2)


def test_wrong_settings_and_faults_are_notes_and_no_errors(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.notifications.write_text("nothing\n")
    follow_up(data, RunEnd("1"), NOW)
    ((is_problem, note),) = notes(data, "1")
    assert is_problem
    assert "the first line must be `setting,value`" in note

    def fail(*_: object) -> None:
        raise RuntimeError("secret words")

    with http_server() as inbox:
        channels(data, inbox)
        monkeypatch.setattr(after_run, "find_alerts", fail)
        follow_up(data, RunEnd("2"), NOW)
    assert notes(data, "2") == [(True, "Alerts were not looked for: RuntimeError")]


def test_a_failed_run_is_told_also_when_the_ledger_is_in_use(data: DataDir) -> None:
    with Ledger.open(data.ledger):
        pass
    with http_server() as inbox, held_for_writing(data.ledger):
        channels(data, inbox)
        with pytest.raises(BusyError):
            follow_up(data, failed("1", "The ledger is in use."), NOW)
        with pytest.raises(BusyError):
            follow_up(data, RunEnd("2"), NOW)
    assert inbox.bodies == ["Run failed:\n- The ledger is in use."]


# --- when the digest is due -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "weekday", "written", "is_due"),
    [
        ("2026-11-23", 0, [], True),  # a Monday
        ("2026-11-23", 0, ["2026-11-16"], True),
        ("2026-11-23", 0, ["2026-11-23"], False),  # a second run of that day
        ("2026-11-24", 0, ["2026-11-23"], False),
        ("2026-11-24", 0, [], False),  # the first is of the weekday
        ("2026-11-25", 0, ["2026-11-16"], True),  # Monday's run failed
        ("2026-11-26", 0, ["2026-11-16", "2026-11-25"], False),  # made up for
        ("2026-11-27", 4, ["2026-11-23"], True),  # the weekday was changed
        ("2026-11-23", None, [], False),
    ],
)
def test_a_digest_is_due_once_a_week(
    today: str, weekday: int | None, written: list[str], is_due: bool
) -> None:
    settings = after_run.NotifySettings(digest_weekday=weekday)
    days_written = [date.fromisoformat(day) for day in written]
    assert after_run._is_due(settings, days_written, date.fromisoformat(today)) == is_due
