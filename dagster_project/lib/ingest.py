"""Ingest: new landing files into the raw store, by contract.

Each file is read as text, typed, and split into rows that the contract accepts and rows that it
names as rejected. All accepted rows of a batch go into one Parquet file per dataset; then the
ledger is told, and only then does the batch exist.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from dagster_project.lib.database import OFFLINE
from dagster_project.lib.errors import ConfigurationError, DamagedError
from dagster_project.lib.landing import LandingFile, exported_at, find_files, strays
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.loader import Loader, batch_database, owners_of, reader_version
from dagster_project.lib.paths import DataDir
from dagster_project.lib.readers import can_read
from dagster_project.lib.readers.csv_files import CHUNK_BYTES
from dagster_project.lib.shops import Shop, read_shops
from dagster_project.lib.text import printable
from dagster_project.lib.workbooks import WorkbookReader

# Files that are read and typed together: enough that a statement's own cost does not count.
_CHUNK_FILES = 500
# The bytes of a workbook's text for each of its own.
_UNPACKED = 8


@dataclass(frozen=True)
class Batch:
    """What one ingest brought: the entries of its files; none when nothing was new."""

    batch_id: str
    files: tuple[FileEntry, ...]


def ingest(
    data: DataDir,
    ledger: Ledger,
    say: Callable[[str], None] = lambda _: None,
    growing: Collection[Path] = (),
) -> Batch:
    """Load what is new in the landing folder and commit it to the ledger.

    Files that are `growing`, or change while they are read, are left for the next run.

    Raises ConfigurationError when `shops.csv` is wrong or lacks a shop that was loaded, and when
    nothing was ever found but what is passed over: a slip of the first set-up. A file that
    cannot be used is recorded as refused and the others go on. Raises DamagedError when the raw
    store has what the ledger lacks and nobody could load again.
    """
    shops = read_shops(data.shops_csv)
    known = ledger.current_files()
    _require_shops_of(known, shops)
    _clear_litter(data, ledger, known, shops)
    started = ledger.next_moment()
    batch_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    whole = (f for f in find_files(data.landing, shops) if f.path not in growing)
    new = _what_is_new(whole, known, shops)
    if not new:
        if not (known or growing) and (stray := next(iter(strays(data.landing, shops)), None)):
            raise ConfigurationError(stray.words)
        return Batch(batch_id, ())

    data.tmp.mkdir(parents=True, exist_ok=True)
    with WorkbookReader() as workbooks, batch_database(data.tmp) as con:
        loader = Loader(con, workbooks, batch_id, started, shops, known)
        done = 0
        for chunk in _chunks(new):
            first = chunk[0]
            more = f" and {len(chunk) - 1} more" if len(chunk) > 1 else ""
            name = f"{first.shop_id}/{first.dataset}/{first.name}"
            say(f"reading file {done + 1} of {len(new)}: {name}{more}")
            loader.load(chunk)
            done += len(chunk)
        loader.forget([file for file in new if file.has_changed()])
        loader.write(data.raw)
    ledger.commit_batch(loader.entries, loader.rejects)
    return Batch(batch_id, tuple(loader.entries))


def _require_shops_of(known: Iterable[FileEntry], shops: dict[str, Shop]) -> None:
    """Without its line a loaded shop has rows but neither targets nor days that are covered."""
    loaded = {entry.shop_id for entry in known if entry.may_count}
    if lost := sorted(loaded - set(shops)):
        raise ConfigurationError(
            f"shops.csv lacks the line of {', '.join(map(printable, lost))}, whose exports are "
            "loaded. Put it back; or take all its files out of every figure, for good, with "
            "`feedback retract --shop <shop_id>`."
        )


def _what_is_new(
    files: Iterable[LandingFile], known: Iterable[FileEntry], shops: dict[str, Shop]
) -> list[LandingFile]:
    """Files not seen before; also those refused by an older reader, and known bytes exported later.

    An export without news has the bytes of the one before; its later name still says until when
    the shop is covered. A time in the future gives way to any other. Of several names for the same
    bytes the latest export is taken, one of the future last.
    """
    latest: dict[tuple[str, str, str], LandingFile] = {}
    for file in files:
        identity = (file.shop_id, file.dataset, file.file_id)
        if identity not in latest or _rank(file) > _rank(latest[identity]):
            latest[identity] = file
    owners = owners_of(known)
    seen: dict[tuple[str, str, str], list[FileEntry]] = defaultdict(list)
    for entry in known:
        # a workbook whose sheets name their shops is the same under any shop's folder
        folder = "" if entry.sheet else entry.shop_id
        seen[folder, entry.dataset, entry.file_id].append(entry)

    def is_new(file: LandingFile) -> bool:
        key = (file.dataset, file.file_id)
        entries = seen.get(("", *key)) or seen.get((file.shop_id, *key)) or []
        owner = owners.get(file.file_id)
        return not entries or any(
            # a sheet that names its shop was read by that shop's rules
            _is_news(file, entry, shops.get(entry.shop_id, shops[file.shop_id]), owner)
            for entry in entries
        )

    return [file for file in latest.values() if is_new(file)]


def _rank(file: LandingFile) -> tuple[bool, bool, datetime]:
    stamp = exported_at(file.path.name) or datetime.min
    return can_read(file.path), not _is_of_the_future(stamp), stamp


def _is_of_the_future(stamp: datetime) -> bool:
    """Whether the rule files_are_not_of_the_future forbids it: a day later than tomorrow's."""
    return stamp.date() > datetime.now(UTC).date() + timedelta(days=1)


def _is_news(file: LandingFile, entry: FileEntry, shop: Shop, owner: str | None) -> bool:
    if entry.status == "refused":
        return entry.reader != reader_version(file, shop, owner)
    stamp = exported_at(file.path.name)
    if stamp is None or _is_of_the_future(stamp) or not entry.may_count:
        return False
    known = entry.exported_at
    return known is None or stamp > known or _is_of_the_future(known)


def _chunks(files: list[LandingFile]) -> Iterator[list[LandingFile]]:
    """The files in portions of one dataset each, in which no bytes come twice."""
    for _, group in itertools.groupby(sorted(files, key=_dataset), key=_dataset):
        chunk: list[LandingFile] = []
        total = 0
        for file in group:
            size = _size(file)
            is_full = len(chunk) == _CHUNK_FILES or total + size > CHUNK_BYTES
            if chunk and (is_full or any(f.file_id == file.file_id for f in chunk)):
                yield chunk
                chunk, total = [], 0
            chunk.append(file)
            total += size
        yield chunk


def _dataset(file: LandingFile) -> str:
    return file.dataset


def _size(file: LandingFile) -> int:
    """About the bytes of its text; 0 for a file that is gone."""
    with contextlib.suppress(OSError):
        is_packed = file.path.suffix.lower() == ".xlsx"
        return file.path.stat().st_size * (_UNPACKED if is_packed else 1)
    return 0


def _clear_litter(
    data: DataDir, ledger: Ledger, known: Collection[FileEntry], shops: dict[str, Shop]
) -> None:
    """Remove what runs that died left behind, unless an older ledger only makes it look so."""
    batches = {entry.batch_id for entry in known}
    litter = [p for p in data.raw.glob("*/*") if p.name.removesuffix(".parquet") not in batches]
    _require_other_copies(data, ledger, litter, known, shops)
    for path in litter:
        path.unlink()
    for path in data.tmp.glob("*"):
        if path.is_file():
            path.unlink()
    shutil.rmtree(data.spill, ignore_errors=True)  # most often there is none


def _require_other_copies(
    data: DataDir,
    ledger: Ledger,
    litter: Iterable[Path],
    known: Iterable[FileEntry],
    shops: dict[str, Shop],
) -> None:
    """Raise DamagedError where the rows of a file that was loaded are in the litter alone."""
    ever = ledger.batch_sizes()
    whole = [path for path in litter if path.suffix == ".parquet"]
    unknown = [path for path in whole if (path.stem, path.parent.name) not in ever]
    if not unknown:
        return
    loaded = {(e.shop_id, e.dataset, e.file_id) for e in known if e.status != "refused"}
    landed = {file.file_id for file in find_files(data.landing, shops)}
    for path in unknown:
        for shop_id, file_id in _files_in(path):
            if (shop_id, path.parent.name, file_id) not in loaded and file_id not in landed:
                raise DamagedError(
                    f"{printable(str(path))} may be all there is of exports that neither "
                    f"{data.ledger.name} nor landing/ has any more. Put back a newer backup of "
                    f"{data.ledger.name} and `feedback rebuild`; or put these exports back; or "
                    "move the file away and run."
                )


def _files_in(parquet: Path) -> list[tuple[str, str]]:
    """The shop and id of each file with rows in it; none when it was not written to its end."""
    with duckdb.connect(config=OFFLINE) as con:
        try:
            return con.execute(
                "select distinct shop_id, _file_id from read_parquet(?)", [str(parquet)]
            ).fetchall()
        except duckdb.InvalidInputException:
            return []
