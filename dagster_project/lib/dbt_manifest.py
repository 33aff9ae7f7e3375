"""The dbt manifest that Dagster reads: built when the project changed, never at import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dagster_project.lib.errors import FeedbackError
from dagster_project.lib.paths import DBT_DIR
from dagster_project.lib.warehouse import code_version

MANIFEST = DBT_DIR / "target" / "manifest.json"
_BUILT_FROM = DBT_DIR / "target" / "built_from"


def ensure_manifest() -> None:
    """Parse the dbt project unless its manifest is up to date; raises FeedbackError.

    Built on demand by the command line and the tests, never when definitions are imported.
    """
    version = code_version()
    if MANIFEST.exists() and _BUILT_FROM.exists() and _BUILT_FROM.read_text() == version:
        return
    done = subprocess.run(  # noqa: S603 - our own environment's dbt, fixed arguments
        [str(Path(sys.executable).with_name("dbt")), "parse", "--no-partial-parse"],
        cwd=DBT_DIR,
        env=dict(os.environ, DBT_PROFILES_DIR=str(DBT_DIR)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FeedbackError(f"dbt cannot parse {DBT_DIR}:\n{done.stdout[-2000:]}")
    _BUILT_FROM.write_text(version)
