"""How the dashboard's server is started: on this machine only, telling nobody."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.paths import DataDir

ADDRESS = "127.0.0.1"
APP = Path(__file__).with_name("app.py")


def require_startable(data: DataDir, port: int) -> None:
    """Raise ConfigurationError where there is no data directory, or the port is taken."""
    if not data.root.is_dir():
        raise ConfigurationError(
            f"{data.root} is no directory; --data-dir names the one that `feedback run` fills."
        )
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((ADDRESS, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} is taken; is a dashboard open already? Name another: --port."
            ) from error


def command(port: int) -> list[str]:
    """The command line of the server; it reads the data directory of `$FEEDBACK_DATA_DIR`."""
    options = {
        "server.port": port,
        "server.address": ADDRESS,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    return [
        *(sys.executable, "-m", "streamlit", "run", str(APP)),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
