"""What follows a run, whether it succeeded or not: the weekly digest, alerts, and their sending.

What is to be sent is on the record before it is sent, and what became of it after: a process that
dies in between sends twice at worst, and loses nothing. Nothing here fails a run.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import duckdb

from dagster_project.lib.alerts import (
    RECOVERED,
    RunEnd,
    failed_runs,
    find_alerts,
    is_failing,
    message_of,
)
from dagster_project.lib.errors import BusyError, FeedbackError, trouble_of_machine
from dagster_project.lib.ledger import Delivery, Event, Ledger, Notification
from dagster_project.lib.notify import Message, send
from dagster_project.lib.notify_settings import (
    Channel,
    NotifySettings,
    read_notify_settings,
    run_day,
)
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, current
from dagster_project.lib.shops import read_shops
from dagster_project.lib.text import day_words, without_markup

_DIGEST = "digest"
TRIES = 5


def follow_up(data: DataDir, run: RunEnd, now: datetime | None = None) -> None:
    """Write the digest if it is due, tell what is new, send what waits; the ledger says what came.

    `now` has a time zone. Raises BusyError, or what DuckDB says, when the ledger cannot be opened;
    a failed run is told of all the same, perhaps more than once.
    """
    now = now or datetime.now(UTC)
    try:
        with Ledger.open(data.ledger) as ledger:
            _follow_up(data, ledger, run, now)
    except (BusyError, duckdb.Error):
        if alerts := failed_runs(run):
            message = Message(*message_of(alerts))
            channels = read_notify_settings(data).channels
            send({run.run_id: message}, [(run.run_id, channel) for channel in channels])
        raise


def _follow_up(data: DataDir, ledger: Ledger, run: RunEnd, now: datetime) -> None:
    run_id = run.run_id
    with _noted(ledger, run_id, "Settings of digest and alerts"):
        settings = read_notify_settings(data)
        for warning in settings.warnings:
            ledger.add_note(run_id, warning, is_problem=True)
        version = current(data)
        is_due = _is_due(settings, ledger.event_days(_DIGEST), run_day(now))
        if version and is_due and not run.failures:
            with _noted(ledger, run_id, "The weekly digest was not written"):
                _digest(data, ledger, run_id, version, settings, now)
        if settings.channels:
            with _noted(ledger, run_id, "Alerts were not looked for"):
                _alert(data, ledger, run, version, now)
            with _noted(ledger, run_id, "Messages were not sent"):
                _deliver(ledger, run_id, settings.channels)


def _is_due(settings: NotifySettings, written: Sequence[date], today: date) -> bool:
    """On the weekday chosen, and after it where its run failed or did not take place."""
    if settings.digest_weekday is None:
        return False
    day = today - timedelta(days=(today.weekday() - settings.digest_weekday) % 7)
    is_written = any(earlier >= day for earlier in written)
    return not is_written and (day == today or bool(written))


def _digest(
    data: DataDir,
    ledger: Ledger,
    run_id: str,
    version: Version,
    settings: NotifySettings,
    now: datetime,
) -> None:
    # imported once a week: drawing needs more than all else of a run's end
    from dagster_project.lib.digest.files import ALL_SHOPS, litter_of, write_digest

    today = run_day(now)
    folder = data.digests / str(today)
    for litter in litter_of(data.digests):  # of a run that was killed
        shutil.rmtree(litter)
    write_digest(version, read_shops(data.shops_csv), now, today, folder)
    ledger.add_note(run_id, f"Weekly digest: {folder / f'{ALL_SHOPS}.html'}")
    page = folder / f"{ALL_SHOPS}.html"
    body = page.with_suffix(".txt").read_text(encoding="utf-8")
    message = _notification(run_id, f"Feedback: weekly digest, {day_words(today)}", body, str(page))
    event = Event(_DIGEST, "", str(today), today)
    ledger.tell(run_id, [event], message if settings.channels else None)


def _alert(
    data: DataDir, ledger: Ledger, run: RunEnd, version: Version | None, now: datetime
) -> None:
    if not run.failures and is_failing(ledger):
        ledger.tell(run.run_id, [Event(RECOVERED, "", "")], None)
    try:
        alerts = find_alerts(data, ledger, run, version, now)
    except (BusyError, duckdb.Error) as error:
        words = str(error) if isinstance(error, BusyError) else type(error).__name__
        note = f"No alerts of what is published, which could not be read: {words}"
        ledger.add_note(run.run_id, note, is_problem=True)
        alerts = find_alerts(data, ledger, run, None, now)
    if alerts:
        message = _notification(run.run_id, *message_of(alerts), None)
        ledger.tell(run.run_id, [alert.event for alert in alerts], message)


def _deliver(ledger: Ledger, run_id: str, channels: Sequence[Channel]) -> None:
    """Send each message by each channel that has not taken it, a few times at most."""
    earlier = ledger.deliveries()
    taken = {(d.notification_id, d.channel) for d in earlier if d.problem is None}
    tries = Counter((d.notification_id, d.channel) for d in earlier)
    tried = {d.notification_id for d in earlier}
    waiting = ledger.notifications()
    due = [
        (n.notification_id, channel)
        for n in waiting
        for channel in channels
        if (n.notification_id, channel.label) not in taken
        and tries[n.notification_id, channel.label] < TRIES
        # a channel that was added since is not told of what is past
        and (n.notification_id not in tried or tries[n.notification_id, channel.label])
    ]
    messages = {
        n.notification_id: Message(n.title, n.body, Path(n.page) if n.page else None)
        for n in waiting
        if any(n.notification_id == notification_id for notification_id, _ in due)
    }
    outcome = send(messages, due)
    moment = datetime.now(UTC)
    ledger.add_deliveries(
        [
            Delivery(name, run_id, label, problem, moment)
            for (name, label), problem in outcome.items()
        ]
    )
    for (name, label), problem in outcome.items():
        title = messages[name].title
        if problem is None:
            ledger.add_note(run_id, f"Sent by {label}: {title}")
            continue
        is_last = tries[name, label] + 1 >= TRIES
        then = f"given up after {TRIES} tries" if is_last else "the next run tries again"
        ledger.add_note(
            run_id, f"Not sent: {title}. Channel {label} {problem}; {then}.", is_problem=True
        )


def _notification(run_id: str, title: str, body: str, page: str | None) -> Notification:
    return Notification(uuid4().hex, run_id, title, without_markup(body), page, datetime.now(UTC))


@contextmanager
def _noted(ledger: Ledger, run_id: str, what: str) -> Iterator[None]:
    """A fault becomes a note of the run; its words are shown only where they are ours."""
    try:
        yield
    except Exception as error:
        words = str(error) if isinstance(error, FeedbackError) else trouble_of_machine(error)
        ledger.add_note(run_id, f"{what}: {words or type(error).__name__}", is_problem=True)
