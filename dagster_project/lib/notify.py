"""Messages to people, through Apprise, in a process of its own that is ended when it hangs.

A service that does not answer would keep Apprise's threads, and with them this process, from
ending; and what Apprise logs may quote addresses. So another process does it, and only its verdicts
come back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_project.lib.notify_settings import Channel

_PACKAGE_ROOT = Path(__file__).parents[2]
SECONDS = 45.0


@dataclass(frozen=True)
class Message:
    """Plain text; `page` is an HTML file to go with it, to mail as its body."""

    title: str
    body: str
    page: Path | None = None


def send(
    messages: Mapping[str, Message],
    deliveries: Sequence[tuple[str, Channel]],
    seconds: float = SECONDS,
) -> dict[tuple[str, str], str | None]:
    """Deliver messages, by id, to channels, all within `seconds`.

    Returns for each delivery, by message id and channel's label, what went wrong in words, None
    when nothing did. Never raises for a service's fault.
    """
    if not deliveries:
        return {}
    request = {
        "messages": {
            name: {
                "title": message.title,
                "body": message.body,
                "page": str(message.page) if message.page and message.page.is_file() else None,
            }
            for name, message in messages.items()
        },
        "deliveries": [[name, channel.label, channel.url] for name, channel in deliveries],
    }
    told, code = _ask(json.dumps(request), seconds)
    unknown = (
        f"did not answer within {seconds:.0f} s"
        if code is None
        else f"may not have got it: the process that sends ended with code {code}"
    )
    outcome: dict[tuple[str, str], str | None] = {
        (name, channel.label): unknown for name, channel in deliveries
    }
    for line in told:
        name, label, problem = json.loads(line)
        outcome[name, label] = problem
    return outcome


def _ask(request: str, seconds: float) -> tuple[list[str], int | None]:
    """What the child has answered, with its exit code; None when its time was over."""
    environment = {k: v for k, v in os.environ.items() if k != "FEEDBACK_NOTIFY_URLS"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dagster_project.lib.notify_worker"],
            input=request.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_PACKAGE_ROOT,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return _lines(late.stdout or b""), None
    return _lines(done.stdout), done.returncode


def _lines(told: bytes) -> list[str]:
    return told.decode().split("\n")[:-1]  # a line that was cut says nothing
