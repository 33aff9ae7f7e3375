"""dbt, called from the folder of the warehouse: `python -m dagster_project.dbt_beside_warehouse …`.

To dbt the path of the database is part of the profile, and it parses the whole project anew where
that changed. Called from beside it, the path is its name, the same for each data directory; so what
lib/dbt_manifest.py parsed once serves them all.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Become dbt, with the arguments of this program."""
    warehouse = Path(os.environ["FEEDBACK_WAREHOUSE"])
    os.chdir(warehouse.parent)
    os.environ["FEEDBACK_WAREHOUSE"] = warehouse.name
    dbt = str(Path(sys.executable).with_name("dbt"))  # of this environment, whatever is on PATH
    os.execv(dbt, [dbt, *sys.argv[1:]])  # noqa: S606 - our own environment's dbt


if __name__ == "__main__":
    main()
