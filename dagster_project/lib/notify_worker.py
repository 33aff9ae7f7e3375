"""The child process of `notify`: hands messages to services through Apprise.

A request is JSON on stdin: `messages` (title, body, page, by id) and `deliveries` (message id,
channel, address). For each delivery comes a line of JSON on stdout as soon as it is done: message
id, channel and what went wrong, None when nothing did. Apprise's own words go nowhere: they may
quote addresses. What hangs is ended by the parent, with this process.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, TextIO

import apprise
from apprise.plugins.email.base import NotifyEmail

_SERVICE_SECONDS = 20
# Messengers cut or refuse what is longer; the page, where a service takes one, has the rest.
_MESSENGER_CHARACTERS = 3500


def main() -> None:
    """Deliver what stdin asks for."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    request = json.load(sys.stdin)
    by_channel: dict[tuple[str, str], list[str]] = defaultdict(list)
    for message_id, channel, url in request["deliveries"]:
        by_channel[channel, url].append(message_id)
    lock = threading.Lock()
    threads = [
        threading.Thread(
            target=_serve, args=(channel, url, ids, request["messages"], answers, lock), daemon=True
        )
        for (channel, url), ids in by_channel.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)  # Apprise's threads may still hang


def _serve(
    channel: str,
    url: str,
    ids: list[str],
    messages: dict[str, dict[str, Any]],
    answers: TextIO,
    lock: threading.Lock,
) -> None:
    for message_id in ids:
        try:
            problem = _send(url, messages[message_id])
        except Exception as error:  # of a plugin; its words may quote the address
            problem = f"failed ({type(error).__name__})"
        with lock:
            answers.write(json.dumps([message_id, channel, problem]) + "\n")
            answers.flush()


def _send(url: str, message: dict[str, Any]) -> str | None:
    asset = apprise.AppriseAsset(
        app_id="feedback",
        app_desc="feedback warehouse",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        storage_mode="memory",
        service_timeout=_SERVICE_SECONDS,
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        return "is no address that Apprise knows"
    if "overflow=" not in url:
        service.overflow_mode = apprise.OverflowMode.SPLIT  # else what is too long is refused
    is_mail = isinstance(service, NotifyEmail)
    page = message["page"]
    body, body_format = message["body"], apprise.NotifyFormat.TEXT
    if page and is_mail:
        body, body_format = Path(page).read_text(encoding="utf-8"), apprise.NotifyFormat.HTML
    elif len(body) > _MESSENGER_CHARACTERS and not is_mail:
        body = body[:_MESSENGER_CHARACTERS].rpartition("\n")[0] + "\n…"
    result = apprise.Apprise(service, asset=asset).notify(
        body=body, title=message["title"], body_format=body_format, attach=page
    )
    if result:
        return None
    if result.status == apprise.AppriseResultStatus.TIMEOUT:
        return f"did not answer within {_SERVICE_SECONDS} s"
    said = " ".join(entry.message for entry in result.logs())
    code = re.search(r"error=(\d{3})\b", said)
    return f"answered {code[1]}" if code else "did not take it: no connection, or refused"


if __name__ == "__main__":
    main()
