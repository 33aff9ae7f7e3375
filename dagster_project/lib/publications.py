"""The publications on disk: versions of what readers see, one of them current.

`published/current` is a symbolic link to one folder of `published/versions`; the fixed names
`marts.duckdb`, `parquet` and `manifest.json` lead through it, so a reader never meets a mix.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.landing import sha256
from dagster_project.lib.paths import DataDir
from dagster_project.lib.sql import literal

ID_FORMAT = "%Y%m%dT%H%M%S%f"
_LINKS = ("marts.duckdb", "parquet", "manifest.json")
_DEFAULT_KEPT = 7
_BUILDING = ".building-"


@dataclass(frozen=True)
class Version:
    """One publication as it lies on disk."""

    folder: Path

    @property
    def publication_id(self) -> str:
        """Its name: the time of publishing."""
        return self.folder.name

    def parquet(self, table: str) -> str:
        """A table of it as SQL: from Parquet, which no program that reads the DuckDB file locks."""
        return f"read_parquet({literal(str(self.folder / 'parquet' / f'{table}.parquet'))})"

    def frozen_since(self) -> dict[str, str | None]:
        """Of shops that it did not compute, the publication that did; None where none did."""
        if not (self.folder / "parquet" / "frozen_shops.parquet").exists():
            return {}  # made before shops could be frozen
        with duckdb.connect(config=OFFLINE) as con:
            query = f"select shop_id, publication_id from {self.parquet('frozen_shops')}"
            return dict(con.execute(query).fetchall())

    @property
    def manifest(self) -> dict[str, Any]:
        """What it says of itself; empty where that cannot be read."""
        try:
            manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def faults(self) -> list[str]:
        """How its files differ from its manifest; none when it is as it was written."""
        promised = self.manifest.get("files")
        if not isinstance(promised, dict):
            return ["manifest.json is missing or damaged"]
        found = {
            path.relative_to(self.folder).as_posix(): path
            for path in self.folder.rglob("*")
            if path.is_file() and path != self.folder / "manifest.json"
        }
        faults = [f"{name} is missing" for name in sorted(promised.keys() - found.keys())]
        faults += [f"{name} does not belong to it" for name in sorted(found.keys() - promised)]
        faults += [
            f"{name} is not as it was written"
            for name in sorted(promised.keys() & found.keys())
            if sha256(found[name]) != promised[name]
        ]
        return faults


def published_at(publication_id: str) -> datetime:
    """When it was published, as its name says."""
    return datetime.strptime(publication_id, ID_FORMAT).replace(tzinfo=UTC)


def versions(data: DataDir) -> list[Version]:
    """All that are kept, the newest first."""
    folders = sorted(_versions(data).glob("[!.]*"), reverse=True)
    return [Version(folder) for folder in folders if folder.is_dir()]


def current(data: DataDir) -> Version | None:
    """The one that readers see; None before the first publication."""
    link = data.published / "current"
    return Version(link.resolve()) if link.exists() else None


def require_current(data: DataDir) -> Version:
    """The one that readers see; raises ConfigurationError before the first publication."""
    if (version := current(data)) is None:
        raise ConfigurationError(f"Nothing was published in {data.root} yet.")
    return version


def find(data: DataDir, publication_id: str) -> Version:
    """A kept version by its id or the beginning of it; raises ConfigurationError."""
    found = [v for v in versions(data) if v.publication_id.startswith(publication_id)]
    if len(found) != 1 or not publication_id:
        raise ConfigurationError(
            f"{publication_id or 'An empty id'} names {len(found)} publications; "
            "`feedback publications` lists them."
        )
    return found[0]


def read_manifest(data: DataDir) -> dict[str, Any] | None:
    """The manifest of what readers see now; None before the first publication."""
    version = current(data)
    return version.manifest or None if version else None


def building_folder(data: DataDir, publication_id: str) -> Path:
    """Where a version is put together; readers do not look there."""
    return _versions(data) / f"{_BUILDING}{publication_id}"


def seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, with a checksum of each file, and have all of it on the disk."""
    manifest["files"] = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def put_in_place(building: Path, publication_id: str) -> None:
    """Give a sealed version its name; readers still see the one before."""
    building.rename(building.with_name(publication_id))
    _sync(building.parent)


def switch(data: DataDir, publication_id: str) -> None:
    """Let readers see this version from now on."""
    _link(data.published / "current", Path("versions") / publication_id)
    for name in _LINKS:
        if not (data.published / name).is_symlink():
            _link(data.published / name, Path("current") / name)
    _sync(data.published)


def drop_oldest(data: DataDir, kept: int) -> None:
    """Remove all but the `kept` newest versions, the one that readers see among them."""
    seen = current(data)
    others = [v for v in versions(data) if v != seen]
    for version in others[kept - 1 :]:
        shutil.rmtree(version.folder)


def clear_litter(data: DataDir) -> None:
    """Remove what a run that died left behind; nothing of it was ever seen by readers.

    The caller has caught up with what readers see.
    """
    for path in _versions(data).glob(f"{_BUILDING}*"):
        shutil.rmtree(path)
    for path in data.published.glob(".new-*"):
        path.unlink()


def kept_versions() -> int:
    """How many versions are to be kept; raises ConfigurationError."""
    text = os.environ.get("FEEDBACK_KEPT_PUBLICATIONS") or str(_DEFAULT_KEPT)
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ConfigurationError("FEEDBACK_KEPT_PUBLICATIONS must be a number of at least 1.")
    return int(text)


def _versions(data: DataDir) -> Path:
    return data.published / "versions"


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".new-{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
