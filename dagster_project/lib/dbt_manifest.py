"""What dbt parses: the manifest that Dagster reads, and each data directory's parse cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dagster_project.lib.errors import FeedbackError
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.warehouse import code_version

MANIFEST = DBT_DIR / "target" / "manifest.json"
_BUILT_FROM = DBT_DIR / "target" / "built_from"
_ahead: dict[Path, subprocess.Popen[bytes]] = {}


def ensure_manifest() -> None:
    """Parse the dbt project unless its manifest is up to date; raises FeedbackError.

    Built on demand by the command line and the tests, never when definitions are imported.
    """
    version = code_version()
    if MANIFEST.exists() and _BUILT_FROM.exists() and _BUILT_FROM.read_text() == version:
        return
    done = subprocess.run(  # noqa: S603 - our own environment's dbt, fixed arguments
        [_dbt(), "parse", "--no-partial-parse"],
        cwd=DBT_DIR,
        env=dict(os.environ, DBT_PROFILES_DIR=str(DBT_DIR)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FeedbackError(f"dbt cannot parse {DBT_DIR}:\n{done.stdout[-2000:]}")
    _BUILT_FROM.write_text(version)


def parse_ahead(data: DataDir) -> None:
    """Begin to parse for a data directory that has no parse cache, while its files are being read.

    dbt's cache holds for one database path only, so a directory's first run parses all models.
    Where this fails, the build parses, and reports, by itself.
    """
    if data.root in _ahead or (data.dbt / "target" / "partial_parse.msgpack").exists():
        return
    _ahead[data.root] = subprocess.Popen(  # noqa: S603 - our own environment's dbt
        [
            *(_dbt(), "parse", "--target-path", str(data.dbt / "target")),
            *("--log-path", str(data.dbt / "target")),
        ],
        cwd=DBT_DIR,
        env=dict(
            os.environ,
            DBT_PROFILES_DIR=str(DBT_DIR),
            FEEDBACK_WAREHOUSE=str(data.warehouse),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end_parse(data: DataDir) -> None:
    """Wait for what `parse_ahead` began, if anything."""
    if process := _ahead.pop(data.root, None):
        process.wait()


def _dbt() -> str:
    return str(Path(sys.executable).with_name("dbt"))
