"""Servers on loopback that take messages: by HTTP and by SMTP, well, badly or not at all."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Inbox:
    """What has arrived; `url` is the address for Apprise."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bodies(self) -> list[str]:
        return [message["message"] for message in self.messages]

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


@contextmanager
def http_server(status: int = 200, *, hangs: bool = False) -> Iterator[Inbox]:
    """Answers each message with `status`, or only when the server is closed."""
    inbox, closing = Inbox(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.messages.append(json.loads(content))
            if hangs:
                # now and then a byte, so that no time limit between bytes helps
                while not closing.wait(0.5):
                    try:
                        self.wfile.write(b"x")
                        self.wfile.flush()
                    except OSError:
                        return
                return
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    inbox.url = f"json://127.0.0.1:{server.server_port}"
    try:
        yield inbox
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mailbox:
    """The mails that have arrived."""

    url: str = ""
    mails: list[EmailMessage] = field(default_factory=list)


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    """Takes every mail."""
    mailbox = Mailbox()

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            mailbox.mails.append(mail)
            return "250 OK"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # aiosmtpd must be told which
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    mailbox.url = f"mailto://127.0.0.1:{port}/?from=shops@example.com&to=owner@example.com"
    try:
        yield mailbox
    finally:
        controller.stop()
