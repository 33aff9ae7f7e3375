"""Superset's home in the data directory, and the server on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from dagster_project.lib.errors import ConfigurationError, FeedbackError
from dagster_project.lib.landing import sha256
from dagster_project.lib.paths import PROJECT_ROOT

ENVIRONMENT = PROJECT_ROOT / ".venv-superset"
_LOCK = PROJECT_ROOT / "requirements-superset.lock"
_HERE = Path(__file__).parent
_START_SECONDS = 300


def prepare(home: Path) -> None:
    """Make `home` ready for the installed version of Superset; half a minute the first time.

    Only its owner may read it. Raises ConfigurationError where Superset is not installed.
    """
    if not (ENVIRONMENT / "bin" / "gunicorn").exists():
        raise ConfigurationError("Superset is not installed; `make superset` does it, and starts.")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("secret_key", "admin_password"):
        _keep_secret(home / name)
    made_by, version = home / "made_by", sha256(_LOCK)
    if made_by.exists() and made_by.read_text(encoding="utf-8") == version:
        return
    program = [str(ENVIRONMENT / "bin" / "python"), str(_HERE / "initialise.py")]
    with (home / "superset.log").open("ab") as log:
        done = subprocess.run(  # noqa: S603 - our own script
            program, env=_environment(home), stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise FeedbackError(f"Superset's own database cannot be made; see {home}/superset.log.")
    made_by.write_text(version, encoding="utf-8")


@contextmanager
def serving(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Superset on 127.0.0.1:`port`, ready to answer, until done.

    Raises ConfigurationError where the port is taken, FeedbackError where it does not start.
    """
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(f"Port {port} is taken; name another: --port.") from error
    program = [
        str(ENVIRONMENT / "bin" / "gunicorn"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8"),
        *("--timeout", "300", "superset.app:create_app()"),
    ]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # lest the server outlive us
    with (
        (home / "superset.log").open("ab") as log,
        subprocess.Popen(  # noqa: S603 - our own environment's program
            program, env=_environment(home), cwd=home, stdout=log, stderr=log
        ) as server,
    ):
        try:
            _wait_until_healthy(server, port, home)
            yield server
        finally:
            server.terminate()


def wait(server: subprocess.Popen[bytes]) -> None:
    """Wait until told to end; raises FeedbackError where the server ends by itself."""
    with contextlib.suppress(KeyboardInterrupt):
        raise FeedbackError(f"Superset ended by itself, with {server.wait()}; see superset.log.")


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, home: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            requests.get(f"http://127.0.0.1:{port}/health", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise FeedbackError(f"Superset does not start; see {home}/superset.log.")


def _keep_secret(path: Path) -> None:
    """Write a random text that only the owner can read, unless there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))


def _environment(home: Path) -> dict[str, str]:
    """What Superset's programs see: of ours only what any program needs."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "FLASK_APP": "superset.app:create_app()",
        "SUPERSET_CONFIG_PATH": str(_HERE / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "FEEDBACK_SUPERSET_HOME": str(home),
    }
