"""The landing folder: which files lie there, what they are, when they were exported."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.shops import Shop
from dagster_project.lib.text import printable

# What file managers leave beside people's files.
_LITTER = {"desktop.ini", "thumbs.db"}
# Names under which browsers, spreadsheets and copy tools keep files that are not whole yet.
_UNFINISHED = re.compile(r"^(\.|~\$)|\.(part|partial|tmp|crdownload|download|filepart)$", re.I)

_STAMP = re.compile(
    r"(?<!\d)(?P<y>20\d{2})(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:[-_ T.]?(?P<H>[01]\d|2[0-3])[-_:.]?(?P<M>[0-5]\d)(?:[-_:.]?(?P<S>[0-5]\d))?(?!\d|-\d)"
    r"|(?!\d))"
)


@dataclass(frozen=True)
class LandingFile:
    """One file in the landing folder; `file_id` is the sha-256 of its bytes, in hex.

    `dataset` is the folder it lies in, seen from the shop's; it need not be one that is known.
    """

    path: Path
    shop_id: str
    dataset: str
    file_id: str

    @property
    def name(self) -> str:
        """The file's own name, made printable."""
        return printable(self.path.name, 200)


def find_files(landing: Path, shops: dict[str, Shop]) -> Iterator[LandingFile]:
    """All finished files of the landing folder, by shop, dataset and name.

    Symbolic links, devices and the like are passed over, and so are names of unfinished downloads.
    Raises ConfigurationError for a shop folder that `shops` does not name, and for a file that lies
    in no shop's folder.
    """
    if not landing.is_dir():
        return
    for path in sorted(landing.iterdir()):
        if path.is_file() and not path.is_symlink() and not _is_litter(path.name):
            raise ConfigurationError(
                f"landing/{printable(path.name)} lies in no shop's folder. "
                "Move it to landing/<shop_id>/<dataset>/."
            )
    for shop_dir in sorted(_folders(landing)):
        if shop_dir.name not in shops:
            raise ConfigurationError(
                f"landing/{printable(shop_dir.name)} is no shop of shops.csv. Add a line "
                f"`{printable(shop_dir.name)},<name>,<region>,<timezone>,<currency>` to shops.csv, "
                "or rename the folder."
            )
        for path in sorted(shop_dir.rglob("*")):
            inside = path.relative_to(shop_dir)
            if path.is_symlink() or not path.is_file() or any(map(_is_litter, inside.parts)):
                continue
            dataset = printable(inside.parent.as_posix())
            with contextlib.suppress(FileNotFoundError):  # taken away again
                yield LandingFile(path, shop_dir.name, dataset, _file_id(path))


def _folders(path: Path) -> Iterator[Path]:
    return (p for p in path.iterdir() if p.is_dir() and not p.is_symlink() and p.name[0] != ".")


def _is_litter(name: str) -> bool:
    return name.lower() in _LITTER or _UNFINISHED.search(name) is not None


def _file_id(path: Path) -> str:
    """The file's sha-256; of one that nobody may read that of its name, until it can be read."""
    try:
        return sha256(path)
    except PermissionError:
        return hashlib.sha256(os.fsencode(path.name)).hexdigest()


def sha256(path: Path) -> str:
    """The sha-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exported_at(file_name: str) -> datetime | None:
    """The time stamp in an export's name, in shop time; a date alone means the end of that day.

    Of several (a name that carries a date range) the latest. None when the name has none.
    Source: metric definitions, "exported_at".
    """
    stamps = []
    for match in _STAMP.finditer(file_name):
        parts = match.groupdict()
        day = (int(parts["y"]), int(parts["m"]), int(parts["d"]))
        clock = (23, 59, 59)
        if parts["H"] is not None:
            clock = (int(parts["H"]), int(parts["M"]), int(parts["S"] or 0))
        try:
            stamps.append(datetime(*day, *clock))
        except ValueError:  # 31 February is no stamp
            continue
    return max(stamps, default=None)
