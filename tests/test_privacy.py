"""Nothing that a run writes holds a person: neither the bytes of a file nor what they stand for."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.contracts import Dataset, load_datasets
from dagster_project.lib.database import connect
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.sql import identifier
from tests.exports_helper import MAKERS, Row, Store, csv_text, table, xlsx_bytes
from tests.support import Published, feedback


def write_secrets(path: Path, secrets: Iterable[str]) -> Path:
    """A file of all strings that must not be found, one a line, in the spellings they may take."""
    spellings = set()
    for secret in secrets:
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, secret)
            spellings |= {text, json.dumps(text)[1:-1]}
    path.write_text("\n".join(sorted(spellings)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def secrets(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_secrets(
        tmp_path_factory.mktemp("secrets") / "secrets.txt",
        published.personal_strings | published.truth.masked_strings,
    )


def files_with(secrets: Path, folder: Path, *options: str) -> list[str]:
    """The files under a folder that hold one of the secrets, as bytes."""
    done = subprocess.run(
        ["grep", "-r", "-a", "-l", "-F", "-f", str(secrets), *options, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def rows_of_duckdb(path: Path) -> Iterator[object]:
    with connect(path, read_only=True) as con:
        tables = con.execute("select table_schema, table_name from information_schema.tables")
        for schema, table in tables.fetchall():
            yield from con.execute(f"from {identifier(schema)}.{identifier(table)}").fetchall()


def rows_of_sqlite(path: Path) -> Iterator[object]:
    with sqlite3.connect(path) as con:
        for (table,) in con.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall():
            yield from con.execute(f"select * from {identifier(table)}").fetchall()


def rows_of_parquet(path: Path) -> Iterator[object]:
    with duckdb.connect() as con:
        yield from con.execute("from read_parquet(?)", [str(path)]).fetchall()


def written(data: Path) -> Iterator[Path]:
    """All files but the landing folder, which is the user's."""
    for top in data.iterdir():
        if top.name != "landing":
            yield from (p for p in (top, *top.rglob("*")) if p.is_file() and not p.is_symlink())


def cells(rows: Iterable[object]) -> Iterator[str]:
    for row in rows:
        yield from (str(cell) for cell in row)  # type: ignore[attr-defined]


def test_search_finds_the_secrets_where_they_are(published: Published, secrets: Path) -> None:
    landing = published.data.landing
    found = files_with(secrets, landing)
    csv_files = [path for path in landing.rglob("*.csv") if path.parent.name != "products"]
    assert len(published.personal_strings) > 1000
    assert len(published.truth.masked_strings) > 2
    assert set(found) >= {str(p) for p in csv_files if p.parent.name == "orders"}


def test_no_byte_that_a_run_writes_holds_personal_data(published: Published, secrets: Path) -> None:
    assert files_with(secrets, published.data.root, "--exclude-dir=landing") == []


def decoded(data: Path, to: Path) -> Path:
    """A folder with the rows of every table that a run wrote, as text."""
    readers = {".duckdb": rows_of_duckdb, ".db": rows_of_sqlite, ".parquet": rows_of_parquet}
    number = itertools.count()
    kinds = set()
    for path in written(data):
        if path.suffix in readers:
            kinds.add(path.suffix)
            rows = "\n".join(cells(readers[path.suffix](path)))
            (to / f"{next(number)}-{path.name}.txt").write_text(rows, encoding="utf-8")
    assert kinds == set(readers)
    return to


def test_no_table_log_or_history_of_a_run_holds_personal_data(
    published: Published, secrets: Path, tmp_path: Path
) -> None:
    assert files_with(secrets, decoded(published.data.root, tmp_path)) == []


def test_masked_contacts_leave_their_mask_in_the_text(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        masked = con.execute(
            "select count(*) from feedback_events where regexp_matches(text, '\\[[a-z-]+\\]')"
        ).fetchone()
    assert masked
    assert masked[0] >= 1


# --- every dataset in every format ----------------------------------------------------------------

# Numbers as people of every country that the platform serves write them; # is a digit.
PHONES = (
    "+66 8# ### ####", "08#-###-####", "(08#) ### ####",  # Thailand
    "+62 8##-####-####", "08##.####.####", "628##########",  # Indonesia
    "+84 9# ### ## ##", "09## ### ###",  # Viet Nam
    "+63 9## ### ####", "09##-###-####",  # Philippines
    "+60 1#-### ####", "01#-#######",  # Malaysia
    "+65 9### ####", "8### ####",  # Singapore
    "+1 (2##) 555-####", "2##.555.####", "1-2##-555-####",  # United States
    "+44 7### ######", "07### ### ###",  # United Kingdom
    "+34 6## ## ## ##", "6## ### ###",  # Spain
    "+52 1 55 #### ####", "+55 (11) 9####-####", "+81 90-####-####",
    "+49 15## #######", "+33 6 ## ## ## ##", "+39 3## ### ####", "+353 8# ### ####",
)  # fmt: skip
OTHER_CONTACTS = (
    "som.chai{n}@mail.example.co.th", "https://evil{n}.example/x?y={n}", "www.evil{n}.example.com",
    "wa.me/66{n}555000", "line.me/ti/p/som{n}", "t.me/somchai{n}", "line id: somchai{n}",
    "LINE @som{n}shop", "ไลน์ไอดี: somchai{n}", "zalo 09{n}00000", "IG som_chai{n}",
    "my whatsapp is somchai_{n}",
)  # fmt: skip
WORDS = {"line", "id:", "LINE", "ไลน์ไอดี:", "zalo", "IG", "my", "whatsapp", "is"}
FORMATS = ("csv", "xlsx", "jsonl")


class Planter:
    """Makes personal strings of which no two are alike, and keeps them."""

    def __init__(self) -> None:
        self.planted: set[str] = set()
        self._number = itertools.count(10_001)

    def person(self) -> str:
        """What stands in a personal column."""
        return self._kept(f"Somchai{next(self._number)} Jaidee")

    def contacts(self) -> str:
        """A text with one contact of each kind."""
        found = []
        for shape in PHONES:
            digits = itertools.cycle(str(next(self._number) * 7919))
            found.append(self._kept("".join(next(digits) if c == "#" else c for c in shape)))
        for shape in OTHER_CONTACTS:
            text = shape.format(n=next(self._number))
            found.append(text)
            self._kept(" ".join(word for word in text.split() if word not in WORDS))
        return "nice, but call " + " or ".join(found)

    def _kept(self, text: str) -> str:
        self.planted.add(text)
        return text


def planted_row(planter: Planter, dataset: Dataset, number: int) -> Row:
    row = MAKERS[dataset.name](number)
    for header in (*dataset.personal_headers, "A column that nobody knows"):
        row[header] = planter.person()
    for column in dataset.columns:
        if column.classification == "masked" and not column.required:
            row[column.headers[0]] = planter.contacts()
    return row


def content(rows: list[Row], suffix: str) -> bytes:
    if suffix == "jsonl":
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return xlsx_bytes(table(rows)) if suffix == "xlsx" else csv_text(table(rows)).encode()


def plant(store: Store, planter: Planter, dataset: Dataset, suffix: str) -> None:
    """A file that is loaded with some rejected rows, and one that is refused."""
    rows = [planted_row(planter, dataset, n % 25 + 1) for n in range(100)]
    required = next(c for c in dataset.columns if (c.required and c.kind != "string") or c.required)
    for row in rows[:2]:
        name = next(h for h in required.headers if h in row)
        row[name] = ""
    for column in dataset.columns:
        if column.kind == "timestamp" and column.headers[0] in rows[3]:
            rows[3][column.headers[0]] = planter.person()  # cells that slid
    raw = content(rows, suffix)
    if suffix == "csv":
        raw += f"{'x,' * 200}{planter.person()}\n".encode()
        raw += planter.person().encode() + b" \xff\xfe," + planter.person().encode() + b"\n"
    if suffix == "jsonl":
        raw += f'\n{{"note": "{planter.person()}", "buyer": {{"name": '.encode()
        raw += json.dumps(planter.person()).encode()
    store.drop(raw, dataset.name, f"{suffix}-2025-03-31.{suffix}")
    lost = [{"Recipient": planter.person(), "Order": planter.contacts()}]
    store.drop(content(lost, suffix), dataset.name, f"{suffix}-refused-2025-03-31.{suffix}")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataDir, Path]:
    """A data directory after a run over personal strings wherever they may stand."""
    root = tmp_path_factory.mktemp("planted")
    store, planter = Store(root / "data"), Planter()
    for dataset in load_datasets().values():
        for suffix in FORMATS:
            plant(store, planter, dataset, suffix)
    known = ("--accept", "events_mostly_have_known_reasons", "--reason", "planted reasons")
    done = feedback("run", "--data-dir", store.data.root, *known)
    (root / "output.txt").write_text(done.output, encoding="utf-8")
    assert done.code == 0, done.output
    return store.data, write_secrets(root / "secrets.txt", planter.planted)


def test_every_dataset_and_format_with_personal_strings_was_read(
    planted: tuple[DataDir, Path],
) -> None:
    data, secrets = planted
    with Ledger.open(data.ledger) as ledger:
        entries = {(e.dataset, e.file_name): e for e in ledger.current_files()}
    assert len(entries) == len(MAKERS) * len(FORMATS) * 2
    for (_, name), entry in entries.items():
        if "refused" in name:
            assert (entry.status, entry.rows_loaded) == ("refused", 0)
        else:
            assert entry.status == "loaded", entry.message
            assert entry.rows_loaded > 90
            assert entry.rows_rejected > 1
    plain = [p for p in data.landing.rglob("*") if p.suffix in (".csv", ".jsonl")]
    assert set(files_with(secrets, data.landing)) == {str(path) for path in plain}


def test_no_byte_table_log_or_output_holds_a_planted_string(
    planted: tuple[DataDir, Path], tmp_path: Path
) -> None:
    data, secrets = planted
    assert files_with(secrets, data.root, "--exclude-dir=landing") == []
    assert files_with(secrets, decoded(data.root, tmp_path)) == []
    assert files_with(secrets, data.root.parent / "output.txt") == []
