"""Where everything lies: the project's own folders and those of a data directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CONTRACTS_DIR = PROJECT_ROOT / "data_contracts"
GATES_DIR = CONTRACTS_DIR / "gates"
SETTINGS_CONTRACTS_DIR = CONTRACTS_DIR / "settings"
DBT_DIR = PROJECT_ROOT / "dbt_project"


@dataclass(frozen=True)
class DataDir:
    """A data directory: what users put in, what the pipeline keeps, what readers see."""

    root: Path

    @classmethod
    def default(cls) -> DataDir:
        """`$FEEDBACK_DATA_DIR`, else `data` beside the project."""
        return cls(Path(os.environ.get("FEEDBACK_DATA_DIR") or PROJECT_ROOT / "data").resolve())

    @property
    def shops_csv(self) -> Path:
        """The shops: id, name, region, time zone, currency."""
        return self.root / "shops.csv"

    @property
    def landing(self) -> Path:
        """Exports as users drop them: `landing/<shop_id>/<dataset>/<file>`; never written to."""
        return self.root / "landing"

    @property
    def settings(self) -> Path:
        """Own rows that add to or override the bundled settings: `settings/<seed>.csv`."""
        return self.root / "settings"

    @property
    def raw(self) -> Path:
        """The raw store: immutable Parquet, one file per batch and dataset."""
        return self.root / "raw"

    @property
    def warehouse(self) -> Path:
        """The pipeline's private DuckDB file; can be rebuilt from `raw` and the ledger."""
        return self.root / "warehouse.duckdb"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what the warehouse has no memory for; it clears this only at an end."""
        return self.warehouse.with_name(f"{self.warehouse.name}.tmp")

    @property
    def ledger(self) -> Path:
        """Append-only history: files, rejects, quality results, publications, restatements."""
        return self.root / "ledger.duckdb"

    @property
    def published(self) -> Path:
        """All that readers see."""
        return self.root / "published"

    @property
    def digests(self) -> Path:
        """The weekly digests, a folder for each, called after its day."""
        return self.root / "digests"

    @property
    def notifications(self) -> Path:
        """Whom to send digests and alerts to, and when; secret, and of no figure."""
        return self.settings / "notifications.csv"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: run history, schedules, sensors."""
        return self.root / "dagster"

    @property
    def dbt(self) -> Path:
        """What dbt compiles and logs."""
        return self.root / "dbt"

    @property
    def superset(self) -> Path:
        """Apache Superset's own database, secrets and log."""
        return self.root / "superset"

    @property
    def logs(self) -> Path:
        """One log per run, for what the summary does not say."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """Held by the run that is at work; the system lets go of it when its process dies."""
        return self.root / "run.lock"

    @property
    def tmp(self) -> Path:
        """Scratch space; what lies here at the start of a run is litter of a dead one."""
        return self.root / "tmp"
