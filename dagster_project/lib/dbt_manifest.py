"""The dbt manifest that Dagster reads, and the parse that builds begin from.

Made when the project changed, never at import.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dagster_project.lib.database import one_run_at_a_time
from dagster_project.lib.errors import FeedbackError
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.warehouse import code_version

_TARGET = DBT_DIR / "target"
MANIFEST = _TARGET / "manifest.json"
SEMANTIC_MANIFEST = _TARGET / "semantic_manifest.json"
_PARSE = "partial_parse.msgpack"
# Under dbt's own name for it, whoever calls dbt or sqlfluff by hand would write another one.
_KEPT_PARSE = "parse.msgpack"


def ensure_manifest(target: Path = _TARGET) -> None:
    """Parse the dbt project unless its manifest is up to date; raises FeedbackError.

    Built on demand by the command line and the tests, never when definitions are imported; where
    several runs begin at once, of whatever data directories, by one of them.
    """
    version = code_version()
    built_from = target / "built_from"
    with one_run_at_a_time(target / "parse.lock"):
        if built_from.exists() and built_from.read_text() == version:
            return
        aside = target / "parsing"
        done = subprocess.run(  # noqa: S603 - our own environment's dbt, fixed arguments
            [
                str(Path(sys.executable).with_name("dbt")),
                *("parse", "--no-partial-parse", "--target-path", str(aside)),
            ],
            cwd=DBT_DIR,
            env=dict(
                os.environ,
                DBT_PROFILES_DIR=str(DBT_DIR),
                FEEDBACK_WAREHOUSE=DataDir.default().warehouse.name,  # as in dbt_beside_warehouse
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FeedbackError(f"dbt cannot parse {DBT_DIR}:\n{done.stdout[-2000:]}")
        for path in aside.iterdir():  # a reader sees the old or the new one, never half of it
            path.replace(target / (_KEPT_PARSE if path.name == _PARSE else path.name))
        built_from.write_text(version)


def hand_on_parse(target: Path) -> None:
    """Let the first build with this target folder begin from the parse of `ensure_manifest`."""
    kept = _TARGET / _KEPT_PARSE
    if kept.exists() and not (target / _PARSE).exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, target / _PARSE)
