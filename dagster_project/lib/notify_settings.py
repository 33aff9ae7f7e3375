"""Whom to send digests and alerts to, and when: `settings/notifications.csv` or the environment.

The addresses hold passwords and tokens. They are read here, handed to the process that sends, and
are in no figure, ledger, log, message or error.
"""

from __future__ import annotations

import csv
import os
import re
import stat
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.paths import DataDir
from dagster_project.lib.text import normalise_header, printable

_HEADER = ["setting", "value"]
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEVER = "never"


@dataclass(frozen=True)
class Channel:
    """Where messages go; `label` names it in words that hold no secret: place and kind."""

    label: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class NotifySettings:
    """`digest_weekday` is 0 for Monday, None for never; `warnings` are for people."""

    channels: tuple[Channel, ...] = ()
    digest_weekday: int | None = 0
    warnings: tuple[str, ...] = ()


def read_notify_settings(data: DataDir) -> NotifySettings:
    """The settings of a data directory and of `FEEDBACK_NOTIFY_URLS`, `FEEDBACK_DIGEST_WEEKDAY`.

    Raises ConfigurationError naming file and row, and nothing of what stands in it.
    """
    urls, weekday, warnings = _read(data)
    # between addresses, not within one: mail has commas of its own
    from_environment = re.split(r"\s+|,(?=\w+://)", os.environ.get("FEEDBACK_NOTIFY_URLS", ""))
    urls += [url for url in from_environment if url]
    if chosen := os.environ.get("FEEDBACK_DIGEST_WEEKDAY"):
        weekday = _weekday(chosen, "FEEDBACK_DIGEST_WEEKDAY")
    channels = [Channel(f"{i} ({_kind(url)})", url) for i, url in enumerate(urls, start=1)]
    return NotifySettings(tuple(channels), weekday, tuple(warnings))


def run_day(now: datetime) -> date:
    """The day of a run, in the time zone of the schedule; `now` has a time zone."""
    return now.astimezone(ZoneInfo(os.environ.get("FEEDBACK_SCHEDULE_TIMEZONE", "UTC"))).date()


def _read(data: DataDir) -> tuple[list[str], int | None, list[str]]:
    path = data.notifications
    if not path.is_file():
        return [], 0, []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path} cannot be read as UTF-8 CSV ({type(error).__name__})."
        ) from None
    if not rows or [normalise_header(cell) for cell in rows[0][:2]] != _HEADER:
        raise ConfigurationError(f"{path}: the first line must be `{','.join(_HEADER)}`.")
    urls: list[str] = []
    weekday: int | None = 0
    for number, row in enumerate(rows[1:], start=2):
        name, *rest = (cell.strip() for cell in row) if row else [""]
        value = ",".join(rest).rstrip(",")  # a comma of a mail address need not be quoted
        if name == "url" and "://" in value:
            urls.append(value)
        elif name == "digest_weekday":
            weekday = _weekday(value, f"{path}, row {number}")
        elif name or value:
            raise ConfigurationError(
                f"{path}, row {number}: the settings are url, with an address such as "
                "mailto://…, and digest_weekday."
            )
    warnings = []
    if urls and stat.S_IMODE(path.stat().st_mode) & 0o077:
        warnings.append(
            f"Other users of this machine can read {path}, which holds secrets; chmod 600 it."
        )
    return urls, weekday, warnings


def _weekday(text: str, place: str) -> int | None:
    name = text.strip().casefold()
    if name == _NEVER:
        return None
    if name not in _WEEKDAYS:
        raise ConfigurationError(
            f"{place}: {printable(text, 20)!r} is no weekday; one of {', '.join(_WEEKDAYS)}, "
            f"or {_NEVER}."
        )
    return _WEEKDAYS.index(name)


def _kind(url: str) -> str:
    scheme = url.partition("://")[0]
    # only what can be no secret by mistake
    return scheme if re.fullmatch(r"[a-z][a-z0-9+]{1,15}", scheme) else "?"
