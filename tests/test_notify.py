"""Messages reach people by the channels that they name, and addresses stay secret."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from apprise.plugins.custom_json import NotifyJSON

from dagster_project.lib import notify_worker
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.notify import Message, send
from dagster_project.lib.notify_settings import Channel, read_notify_settings, run_day
from dagster_project.lib.paths import DataDir
from dagster_project.lib.text import without_markup
from tests.receivers import http_server, smtp_server
from tests.support import feedback, feedback_here

SECRET = "s3cr3t-t0ken"  # noqa: S105 - nobody's
MESSAGE = Message("A title", "Two\nlines")


@pytest.fixture(autouse=True)
def weekday_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEEDBACK_DIGEST_WEEKDAY")


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    (tmp_path / "settings").mkdir()
    return DataDir(tmp_path)


def settings_file(data: DataDir, *lines: str, mode: int = 0o600) -> Path:
    data.notifications.write_text("\n".join(["setting,value", *lines]) + "\n", encoding="utf-8")
    data.notifications.chmod(mode)
    return data.notifications


def deliver(url: str, message: Message = MESSAGE, seconds: float = 30) -> str | None:
    outcome = send({"m": message}, [("m", Channel("1 (x)", url))], seconds)
    return outcome["m", "1 (x)"]


# --- the settings -----------------------------------------------------------------------------


def test_settings_name_channels_and_the_weekday(data: DataDir) -> None:
    settings_file(
        data,
        "url,mailto://u:p@example.com?to=a@example.com,b@example.com",
        'url,"tgram://token/chat"',
        ",",
        "digest_weekday,Friday",
    )
    settings = read_notify_settings(data)
    assert [(c.label, c.url) for c in settings.channels] == [
        ("1 (mailto)", "mailto://u:p@example.com?to=a@example.com,b@example.com"),
        ("2 (tgram)", "tgram://token/chat"),
    ]
    assert settings.digest_weekday == 4
    assert settings.warnings == ()


def test_without_settings_nobody_is_told_and_the_digest_is_of_mondays(data: DataDir) -> None:
    settings = read_notify_settings(data)
    assert (settings.channels, settings.digest_weekday, settings.warnings) == ((), 0, ())


def test_the_environment_adds_channels_and_chooses_the_weekday(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file(data, "url,json://one", "digest_weekday,friday")
    monkeypatch.setenv("FEEDBACK_NOTIFY_URLS", "json://two?to=a,b,jsons://three\n json://four ")
    monkeypatch.setenv("FEEDBACK_DIGEST_WEEKDAY", "never")
    settings = read_notify_settings(data)
    urls = [c.url for c in settings.channels]
    assert urls == ["json://one", "json://two?to=a,b", "jsons://three", "json://four"]
    assert settings.digest_weekday is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"url\n{SECRET}\n", "the first line must be `setting,value`"),
        ("", "the first line must be"),
        (f"setting,value\nurl,{SECRET}\n", "row 2: the settings are url"),
        (f"setting,value\n\nurls,json://{SECRET}\n", "row 3: the settings are url"),
        ("setting,value\ndigest_weekday,someday\n", "row 2: 'someday' is no weekday"),
        ("setting,value\ndigest_weekday,\n", "row 2: '' is no weekday"),
        ("\udcff", "cannot be read as UTF-8 CSV"),
    ],
)
def test_a_mistake_in_the_settings_is_told_by_row_and_never_by_content(
    data: DataDir, content: str, message: str
) -> None:
    data.notifications.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=message) as told:
        read_notify_settings(data)
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None


def test_a_file_that_others_can_read_is_warned_of(data: DataDir) -> None:
    path = settings_file(data, "url,json://one", mode=0o640)
    (warning,) = read_notify_settings(data).warnings
    assert f"{path}, which holds secrets" in warning
    settings_file(data, "digest_weekday,monday", mode=0o644)
    assert read_notify_settings(data).warnings == ()


def test_a_scheme_that_may_be_a_secret_is_not_shown(data: DataDir) -> None:
    settings_file(data, f"url,{SECRET}!://x")
    (channel,) = read_notify_settings(data).channels
    assert channel.label == "1 (?)"
    assert SECRET not in repr(channel)


def test_the_day_of_a_run_is_that_of_the_schedules_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datetime import UTC, date, datetime

    sunday_evening = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    assert run_day(sunday_evening) == date(2026, 11, 22)
    monkeypatch.setenv("FEEDBACK_SCHEDULE_TIMEZONE", "Asia/Bangkok")
    assert run_day(sunday_evening) == date(2026, 11, 23)


# --- sending ----------------------------------------------------------------------------------


def test_a_message_reaches_a_service_by_http(tmp_path: Path) -> None:
    page = tmp_path / "all-shops.html"
    page.write_text("<p>page</p>")
    with http_server() as inbox:
        assert deliver(inbox.url, Message("A title", "Two\nlines <b>&", page)) is None
    (received,) = inbox.messages
    assert (received["title"], received["message"]) == ("A title", "Two\nlines <b>&")
    assert [a["filename"] for a in received["attachments"]] == ["all-shops.html"]


def test_a_page_is_the_body_of_a_mail(tmp_path: Path) -> None:
    page = tmp_path / "all-shops.html"
    page.write_text("<!doctype html><p>สาหร่าย 11 of 880</p>", encoding="utf-8")
    with smtp_server() as mailbox:
        assert deliver(mailbox.url, Message("A title", "plain", page)) is None
    (mail,) = mailbox.mails
    assert mail["Subject"] == "A title"
    html = mail.get_body(("html",))
    assert html is not None
    assert "<p>สาหร่าย 11 of 880</p>" in html.get_content()
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert "สาหร่าย 11 of 880" in plain.get_content()
    assert [a.get_filename() for a in mail.iter_attachments()] == ["all-shops.html"]


def test_an_alert_is_plain_text_in_a_mail() -> None:
    with smtp_server() as mailbox:
        assert deliver(mailbox.url, Message("A title", "a <script>x</script>\nb")) is None
    (mail,) = mailbox.mails
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == ["a <script>x</script>", "b"]


def test_a_service_that_fails_is_told_by_its_answer() -> None:
    with http_server(500) as inbox:
        assert deliver(inbox.url.replace("json://", f"json://u:{SECRET}@")) == "answered 500"
        nowhere = inbox.url
    problem = deliver(f"{nowhere}/{SECRET}")
    assert problem == "did not take it: no connection, or refused"
    assert deliver(f"nosuch://{SECRET}") == "is no address that Apprise knows"


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that send, as they are started."""
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return started


@pytest.mark.slow
def test_a_service_that_hangs_is_left_after_the_time_limit_and_others_are_served(
    senders: list[subprocess.Popen[bytes]],
) -> None:
    with http_server(hangs=True) as hanging, http_server() as good:
        channels = [Channel("1 (json)", hanging.url), Channel("2 (json)", good.url)]
        began = time.monotonic()
        outcome = send({"m": MESSAGE}, [("m", c) for c in channels], seconds=6)
        took = time.monotonic() - began
    assert outcome == {("m", "1 (json)"): "did not answer within 6 s", ("m", "2 (json)"): None}
    assert len(hanging.messages) == 1
    assert took < 12
    (sender,) = senders
    assert sender.returncode == -signal.SIGKILL, "not ended, or not waited for"


def test_a_sender_that_ends_by_itself_is_no_service_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = '["m", "1 (x)", null]\\n["m", "2 '
    (tmp_path / "apprise.py").write_text(f"print('{answers}', end='')\nraise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    channels = [Channel("1 (x)", "json://one"), Channel("2 (x)", "json://two")]
    assert send({"m": MESSAGE}, [("m", channel) for channel in channels]) == {
        ("m", "1 (x)"): None,
        ("m", "2 (x)"): "may not have got it: the process that sends ended with code 3",
    }


def test_what_is_too_long_for_a_messenger_is_cut_at_a_line(tmp_path: Path) -> None:
    lines = "\n".join(f"line {number:04}" for number in range(1000))
    with http_server() as inbox:
        assert deliver(inbox.url, Message("A title", lines)) is None
    told = inbox.bodies[0].splitlines()
    assert told[-1] == "…"
    assert told[-2] == f"line {len(told) - 2:04}"
    assert len(inbox.bodies[0]) <= 3502


def test_what_a_service_takes_in_parts_only_comes_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NotifyJSON, "body_maxlen", 300)
    message = {"title": "A title", "body": "word " * 100, "page": None}
    with http_server() as inbox:
        assert notify_worker._send(inbox.url, message) is None
        assert len(inbox.messages) == 2
        assert notify_worker._send(f"{inbox.url}?overflow=truncate", message) is None
    assert len(inbox.messages) == 3


def test_names_are_no_markup_mention_or_link() -> None:
    hostile = "<b>[x](http://e.com) *a* `b` <!channel> @everyone ~c~ |d| &amp; \\"
    assert not set("<>[]*`@~|&\\") & set(without_markup(hostile))
    assert "://" not in without_markup(hostile)
    assert without_markup("id-batik-house, 6 of 901 (0.67%)") == "id-batik-house, 6 of 901 (0.67%)"


# --- the command ------------------------------------------------------------------------------


def test_the_test_message_reaches_each_channel_and_failures_are_told(data: DataDir) -> None:
    with http_server() as good, http_server(403) as bad:
        settings_file(data, f"url,{good.url}", f"url,{bad.url}/{SECRET}")
        done = feedback("notify", "--test", "--data-dir", data.root)
    assert done.code == 1
    assert "Channel 1 (json) took the message" in done.output
    assert "Channel 2 (json) answered 403" in done.output
    assert SECRET not in done.output
    assert good.titles == ["Feedback: a test"]


def test_without_test_nothing_is_sent(data: DataDir) -> None:
    with http_server() as inbox:
        settings_file(data, f"url,{inbox.url}", mode=0o644)
        done = feedback_here("notify", "--data-dir", data.root)
    assert (done.code, inbox.messages) == (0, [])
    assert "Channel 1 (json)" in done.output
    assert "holds secrets" in done.output


def test_nobody_to_notify_is_told_with_the_way_out(data: DataDir) -> None:
    done = feedback_here("notify", "--test", "--data-dir", data.root)
    assert done.code == 2
    assert "notifications.csv" in done.output
    assert "FEEDBACK_NOTIFY_URLS" in done.output
