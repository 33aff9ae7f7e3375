"""The landing folder: which files lie there, what they are, when they were exported."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dagster_project.lib.shops import Shop
from dagster_project.lib.text import printable

# What file managers leave beside people's files.
_LITTER = {"desktop.ini", "thumbs.db"}
# Names under which browsers, spreadsheets and copy tools keep files that are not whole yet.
_UNFINISHED = re.compile(r"^(\.|~\$)|\.(part|partial|tmp|crdownload|download|filepart)$", re.I)

# How many strays are told of by name.
MOST_STRAYS = 10

_STAMP = re.compile(
    r"(?<!\d)(?P<y>20\d{2})(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:[-_ T.]?(?P<H>[01]\d|2[0-3])[-_:.]?(?P<M>[0-5]\d)(?:[-_:.]?(?P<S>[0-5]\d))?(?!\d|-\d)"
    r"|(?!\d))"
)


@dataclass(frozen=True)
class FileState:
    """Size in bytes and time of the last writing in nanoseconds: what changes as a file grows."""

    size: int
    written_at: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The state of a file now; raises FileNotFoundError."""
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns)

    @property
    def age_seconds(self) -> float:
        """Seconds since the last writing; below 0 where a clock ran ahead of this one's."""
        return time.time() - self.written_at / 1e9


@dataclass(frozen=True)
class LandingFile:
    """One file in the landing folder; `file_id` is the sha-256 of its bytes, in hex.

    `dataset` is the folder it lies in, seen from the shop's; it need not be one that is known.
    `state` is how it lay there before its bytes were read, where that is to be watched.
    """

    path: Path
    shop_id: str
    dataset: str
    file_id: str
    state: FileState | None = None

    @property
    def name(self) -> str:
        """The file's own name, made printable."""
        return printable(self.path.name, 200)

    def has_changed(self) -> bool:
        """Whether it was written to, or taken away, since its bytes were looked at."""
        try:
            return self.state is not None and FileState.of(self.path) != self.state
        except FileNotFoundError:
            return True


@dataclass(frozen=True)
class Stray:
    """What a run passes over in the landing folder, as it belongs to no shop or cannot be seen.

    Its name, and in words what it is and the way out.
    """

    name: str
    words: str


def find_files(landing: Path, shops: dict[str, Shop]) -> Iterator[LandingFile]:
    """All finished files of the shops' landing folders, by shop, dataset and name.

    Symbolic links, devices and the like are passed over, and so are names of unfinished downloads.
    """
    for shop_dir in _shop_folders(landing, shops):
        files, _ = _look_into(shop_dir)
        for path in sorted(files):
            dataset = printable(path.relative_to(shop_dir).parent.as_posix())
            with contextlib.suppress(FileNotFoundError):  # taken away again
                state = FileState.of(path)
                yield LandingFile(path, shop_dir.name, dataset, _file_id(path), state)


def strays(landing: Path, shops: dict[str, Shop]) -> list[Stray]:
    """Folders of shops that cannot be looked into, then what belongs to no shop, folders first.

    None where the landing folder cannot be listed: a run cannot load from it then, and says so.
    """
    with contextlib.suppress(OSError):
        shut = [
            p for folder in _shop_folders(landing, shops) for p in sorted(_look_into(folder)[1])
        ]
        found = (path for path in landing.iterdir() if _is_stray(path, shops))
        return [
            *(_shut(path.relative_to(landing)) for path in shut),
            *(_stray(path) for path in sorted(found, key=lambda path: (path.is_file(), path))),
        ]
    return []


def stray_words(landing: Path, shops: dict[str, Shop]) -> list[str]:
    """The words of all strays; of many those of the first, and how many more there are."""
    words = [stray.words for stray in strays(landing, shops)]
    if more := len(words[MOST_STRAYS:]):
        words[MOST_STRAYS:] = [f"{more} more files or folders of landing/ are passed over."]
    return words


def _is_stray(path: Path, shops: dict[str, Shop]) -> bool:
    if path.is_symlink() or _is_litter(path.name):
        return False
    return path.name not in shops if path.is_dir() else path.is_file()


def _shut(folder: Path) -> Stray:
    name = printable(folder.as_posix(), 200)
    return Stray(
        name,
        f"landing/{name} cannot be looked into, so no file of it is loaded; give the user who runs "
        "this the right to list and enter it.",
    )


def _stray(path: Path) -> Stray:
    name = printable(path.name, 200)
    if path.is_dir():
        words = (
            f"landing/{name} is no shop of shops.csv. Add a line "
            f"`{name},<name>,<region>,<timezone>,<currency>` to shops.csv, or rename the folder."
        )
    else:
        words = f"landing/{name} lies in no shop's folder. Move it to landing/<shop_id>/<dataset>/."
    return Stray(name, words)


def is_there(path: Path) -> bool:
    """Whether something lies there; false also where nobody may look."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def file_states(landing: Path) -> dict[Path, FileState]:
    """How each file of the landing folder lies there, but for those that nobody may look at."""
    states = {}
    for path in landing.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                states[path] = FileState(found.st_size, found.st_mtime_ns)
    return states


def await_quiet(landing: Path, quiet_seconds: float, patience_seconds: float) -> set[Path]:
    """Wait until nothing was written for so long; returns what is still written to after that.

    A file with a time in the future, from a share whose clock runs ahead, is watched for so long.
    """
    until = time.monotonic() + patience_seconds
    seen_at: dict[tuple[Path, FileState], float] = {}
    while True:
        fresh = set()
        now = time.monotonic()
        for path, state in file_states(landing).items():
            age = state.age_seconds
            if age < 0:
                age = now - seen_at.setdefault((path, state), now)
            if age < quiet_seconds:
                fresh.add(path)
        if not fresh or now >= until:
            return fresh
        time.sleep(min(quiet_seconds / 4, patience_seconds))


def _shop_folders(landing: Path, shops: dict[str, Shop]) -> list[Path]:
    found = landing.iterdir() if landing.is_dir() else ()
    return sorted(p for p in found if p.name in shops and p.is_dir() and not p.is_symlink())


def _look_into(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder, without litter, and the folders that nobody may look into."""
    files: list[Path] = []
    shut: list[Path] = []
    folders = [folder]
    while folders:
        inside = folders.pop()
        try:
            for path in inside.iterdir():
                if _is_litter(path.name) or path.is_symlink():
                    continue
                if path.is_dir():
                    folders.append(path)
                elif path.is_file():
                    files.append(path)
        except PermissionError:  # Path.rglob would pass over it without a word
            shut.append(inside)
    return files, shut


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
