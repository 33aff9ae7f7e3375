"""Workbooks, honest and hostile, read in a child process that cannot take its parent down."""

from __future__ import annotations

import io
import itertools
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xlsxwriter

from dagster_project.lib import workbook_worker, workbooks
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.workbooks import Sheet, WorkbookReader
from tests.exports_helper import xlsx_bytes

Save = Callable[[bytes], Path]
CELLS = [["id", "name"], ["1", "a"], ["2", "b"]]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DATE_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><numFmts count="2">'
    '<numFmt numFmtId="170" formatCode="yyyy-mm-dd hh:mm:ss"/>'
    '<numFmt numFmtId="171" formatCode="[h]:mm:ss"/></numFmts>'
    '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="171"/></cellXfs>'
    "</styleSheet>"
)


@pytest.fixture(scope="module")
def shared_reader() -> Iterator[WorkbookReader]:
    with WorkbookReader() as reader:
        yield reader


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a workbook into a file of its own."""

    def save(content: bytes) -> Path:
        path = tmp_path / f"file {len(list(tmp_path.iterdir()))}.xlsx"
        path.write_bytes(content)
        return path

    return save


@pytest.fixture
def head(shared_reader: WorkbookReader, save: Save) -> Callable[[bytes], list[list[Any]]]:
    """The first rows of a workbook's only sheet."""

    def head(content: bytes) -> list[list[Any]]:
        (sheet,) = shared_reader.sheets(save(content))
        return sheet.head

    return head


@pytest.fixture
def texts(shared_reader: WorkbookReader, save: Save) -> Callable[[bytes], list[list[Any]]]:
    """All cells of a workbook's first sheet, as text."""

    def texts(content: bytes) -> list[list[Any]]:
        path = save(content)
        sheet, *_ = shared_reader.sheets(path)
        width = len(sheet.head[0])
        return [row[2:] for row in _rows(shared_reader, path, sheet.name, range(width), width)]

    return texts


def _rows(
    reader: WorkbookReader,
    path: Path,
    sheet: str = "Sheet1",
    positions: Any = (0, 1),
    width: int = 2,
    first_row: int = 1,
) -> list[list[Any]]:
    batches = reader.rows(path, sheet, list(positions), width, first_row)
    return [list(row.values()) for batch in batches for row in batch.to_pylist()]


def _parts(
    rows: str, target: str = "worksheets/sheet1.xml", properties: str = "", before: str = ""
) -> dict[str, bytes]:
    """The files in a workbook of one sheet, whose `<row>` elements are given."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{properties}'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="{target}"/></Relationships>',
        "xl/styles.xml": _DATE_STYLES,
        f"xl/{target}": f'{before}<worksheet xmlns="{_MAIN}"><dimension ref="A1:A1"/>'
        f"<sheetData>{rows}</sheetData></worksheet>",
    }
    return {name: content.encode() for name, content in parts.items()}


def _zip(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _book(rows: str, **options: str) -> bytes:
    return _zip(_parts(rows, **options))


def _cell(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'


def _bomb(block: bytes, times: int, declared: int | None = None) -> bytes:
    """A workbook of a few MB whose sheet has the block so many times, and may lie about its size.

    A deflate stream may be put together of equal blocks, so nothing of that size is ever made.
    """
    sheet = "xl/worksheets/sheet1.xml"
    parts = _parts("")
    before, after = parts.pop(sheet).split(b"</sheetData>")
    packer = zlib.compressobj(wbits=-15)

    def packed(data: bytes) -> bytes:
        return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)

    stream = packed(before) + packed(block) * times
    stream += packed(b"</sheetData>" + after) + packer.flush()
    plain = _zip(parts | {sheet: b""})
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        start = archive.getinfo(sheet).header_offset
        directory = archive.start_dir
    name = sheet.encode()
    size = len(before + after) + 12 + len(block) * times if declared is None else declared
    sizes = struct.pack("<III", 0, len(stream), size)
    local = struct.pack("<IHHHHH", 0x04034B50, 20, 0, 8, 0, 0x21) + sizes
    local += struct.pack("<HH", len(name), 0) + name + stream
    entry = plain.index(name, directory) - 46
    ending = plain.rindex(b"PK\x05\x06")
    return (
        plain[:start]
        + local
        + plain[directory : entry + 16]
        + sizes
        + plain[entry + 28 : ending + 16]
        + struct.pack("<I", start + len(local))
        + plain[ending + 20 :]
    )


# --- honest workbooks -----------------------------------------------------------------------------


def test_sheets_come_with_their_first_twenty_rows(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(xlsx_bytes([[number] for number in range(30)], CELLS, []))
    assert shared_reader.sheets(path) == [
        Sheet("Sheet1", [[float(number)] for number in range(20)]),
        Sheet("Sheet2", CELLS),
        Sheet("Sheet3", []),
    ]


def test_cells_of_the_first_rows_keep_their_type(head: Callable[[bytes], Any]) -> None:
    cells = [1.5, "a", True, date(2025, 3, 2), datetime(2025, 3, 2, 1, 2, 3), None, "é"]
    assert head(xlsx_bytes([cells])) == [[*cells[:5], "", "é"]]
    spans = '<row r="1"><c r="A1" s="1"><v>0.5</v></c><c r="B1" s="2"><v>1.5</v></c></row>'
    assert head(_book(spans)) == [[clock(12), timedelta(days=1.5)]]


def test_any_sheet_may_be_asked_for_and_other_files_come_in_between(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(xlsx_bytes(CELLS, [["x", "y"]], [["z", "z"]]))
    other = save(xlsx_bytes([["p", "q"]]))
    shared_reader.sheets(path)
    assert _rows(shared_reader, path, "Sheet3") == [[1, None, "z", "z"]]
    assert _rows(shared_reader, other) == [[1, None, "p", "q"]]
    assert _rows(shared_reader, path, "Sheet2") == [[1, None, "x", "y"]]
    assert len(_rows(shared_reader, path)) == 3


def test_a_path_that_was_written_anew_is_read_anew(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(xlsx_bytes([["old"]]))
    shared_reader.sheets(path)
    path.write_bytes(xlsx_bytes([["new"]]))
    assert shared_reader.sheets(path) == [Sheet("Sheet1", [["new"]])]
    assert _rows(shared_reader, path, positions=[0]) == [[1, None, "new"]]


@pytest.mark.parametrize("blank_rows", [0, 1, 5])
def test_rows_are_numbered_as_a_spreadsheet_shows_them(
    shared_reader: WorkbookReader, save: Save, blank_rows: int
) -> None:
    path = save(xlsx_bytes([*CELLS, [], ["3", "c"]], first_row=blank_rows))
    (sheet,) = shared_reader.sheets(path)
    assert sheet.head[:blank_rows] == [["", ""]] * blank_rows
    assert _rows(shared_reader, path, first_row=blank_rows + 2) == [
        [blank_rows + 2, None, "1", "a"],
        [blank_rows + 3, None, "2", "b"],
        [blank_rows + 4, None, "", ""],
        [blank_rows + 5, None, "3", "c"],
    ]


def test_positions_count_from_the_first_column_that_is_used(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(_book(f'<row r="2">{_cell("C2", "a")}{_cell("D2", "b")}</row>'))
    (sheet,) = shared_reader.sheets(path)
    assert sheet.head == [["", ""], ["a", "b"]]
    assert _rows(shared_reader, path, positions=[1]) == [[1, None, ""], [2, None, "b"]]


def test_rows_come_in_order_and_in_portions(shared_reader: WorkbookReader, save: Save) -> None:
    path = save(xlsx_bytes([[f"{number}", "x", number] for number in range(45_100)]))
    batches = list(shared_reader.rows(path, "Sheet1", [2, 0], 3, 2))
    assert [batch.num_rows for batch in batches] == [20_000, 20_000, 5_099]
    assert batches[0].schema.names == ["_row_number", "_problem", "c2", "c0"]
    rows = [row for batch in batches for row in batch.to_pylist()]
    expected = [(number + 1, None, f"{number}", f"{number}") for number in range(1, 45_100)]
    assert [tuple(row.values()) for row in rows] == expected


def test_only_the_columns_asked_for_leave_the_child(
    shared_reader: WorkbookReader, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossed: list[object] = []
    frame = workbooks._frame

    def noted(child: subprocess.Popen[bytes]) -> object:
        crossed.append(frame(child))
        return crossed[-1]

    monkeypatch.setattr(workbooks, "_frame", noted)
    path = save(xlsx_bytes([["kept", "Somchai Private", "kept"]] * 50))
    assert len(_rows(shared_reader, path, positions=[0, 2], width=3)) == 50
    assert b"kept" in crossed[0]  # type: ignore[operator]
    assert b"Somchai" not in crossed[0]  # type: ignore[operator]


def test_a_sheet_narrower_or_wider_than_expected_has_its_rows_named(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(xlsx_bytes([["1", "a"], [], ["2", "b", "\u00a0"], ["3", "c", "", "note"]]))
    problems = [row[1] for row in _rows(shared_reader, path, width=2)]
    assert problems == [None, None, None, "too_many_cells"]
    rows = _rows(shared_reader, path, positions=[0, 4], width=5)
    assert [row[1:] for row in rows] == [
        ["too_few_cells", "1", None],
        [None, "", None],
        ["too_few_cells", "2", None],
        ["too_few_cells", "3", None],
    ]


def test_hidden_sheets_count_and_charts_do_not(
    shared_reader: WorkbookReader, tmp_path: Path
) -> None:
    path = tmp_path / "file.XLSX"
    with xlsxwriter.Workbook(path) as book:
        for name in ("plain", "hidden"):
            book.add_worksheet(name).write(0, 0, name)
        book.get_worksheet_by_name("hidden").hide()
        chart = book.add_chart({"type": "bar"})
        chart.add_series({"values": "=plain!$A$1:$A$2"})
        book.add_chartsheet("chart").set_chart(chart)
    assert [sheet.name for sheet in shared_reader.sheets(path)] == ["plain", "hidden"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("576461413000000001", "576461413000000001"),
        (123456789012345, "123456789012345"),
        (1729384756000000001, "1.729384756E+18"),
        (1e17, "1E+17"),
        (-3, "-3"),
        (2.5, "2.5"),
        (0.1 + 0.2, "0.3"),
        (datetime(2025, 3, 2, 23, 59, 59), "2025-03-02 23:59:59"),
        (date(2025, 3, 2), "2025-03-02"),
        (True, "True"),
        ("เซรั่ม 🧴\n50 ml", "เซรั่ม 🧴\n50 ml"),
        ("", ""),
    ],
)
def test_cells_become_text_that_does_not_pretend_to_lost_digits(
    texts: Callable[[bytes], Any], cell: object, text: str
) -> None:
    assert texts(xlsx_bytes([["head", "é"], [cell, "plain"]])) == [["head", "é"], [text, "plain"]]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ('<c r="A1" t="e"><v>#N/A</v></c>', ""),
        ('<c r="A1"><f>1+1</f><v>2</v></c>', "2"),
        ('<c r="A1"><f>1+1</f></c>', ""),
        ('<c r="A1" t="str"><f>"x"</f><v>x</v></c>', "x"),
        ('<c r="A1" t="d"><v>2025-03-02T10:00:00</v></c>', "2025-03-02 10:00:00"),
        ('<c r="A1" s="1"><v>45718.5</v></c>', "2025-03-02 12:00:00"),
        ('<c r="A1" s="2"><v>1.5</v></c>', "1 day, 12:00:00"),
        ('<c r="A1" t="b"><v>0</v></c>', "False"),
        ('<c r="A1" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>', "ab"),
    ],
)  # fmt: skip
def test_errors_are_blank_and_formulas_have_the_value_last_computed(
    texts: Callable[[bytes], Any], xml: str, text: str
) -> None:
    book = _book(f'<row r="1">{xml}</row><row r="2">{_cell("A2", "x")}</row>')
    assert texts(book) == [[text], ["x"]]


def test_dates_of_the_1904_system_are_the_same_days(texts: Callable[[bytes], Any]) -> None:
    rows = '<row r="1"><c r="A1" s="1"><v>44256.5</v></c></row>'
    properties = '<workbookPr date1904="1"/>'
    assert texts(_book(rows, properties=properties)) == [["2025-03-02 12:00:00"]]


def test_links_and_rich_text_are_text(texts: Callable[[bytes], Any]) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        sheet.write_url(0, 0, "https://shop.example/1", string="the link")
        sheet.write_rich_string(1, 0, "one ", bold, "two")
    assert texts(out.getvalue()) == [["the link"], ["one two"]]


def test_a_sheet_elsewhere_with_each_cell_in_a_row_of_its_own_is_read_whole(
    texts: Callable[[bytes], Any],
) -> None:
    rows = "".join(
        f'<row r="{r}">{_cell(f"{c}{r}", f"{c}{r}")}</row>' for r in (1, 2) for c in "AB"
    )
    book = _book(rows, target="worksheets/sheet2.xml")
    assert texts(book) == [["A1", "B1"], ["A2", "B2"]]


def test_a_relative_path_is_read_whatever_the_folder(
    save: Save, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = save(xlsx_bytes(CELLS))
    monkeypatch.chdir(tmp_path)
    with WorkbookReader() as reader:
        assert len(reader.sheets(Path(path.name))) == 1


# --- hostile ones ---------------------------------------------------------------------------------


_ENTITIES = (
    '<!DOCTYPE l [<!ENTITY file SYSTEM "file:///etc/passwd"><!ENTITY a "xxxxxxxxxx">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise("abcdefghi"))
    + "]>"
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no readable XLSX workbook"),
        (b"product_id,sku_id\n1,2\n", "is no readable XLSX workbook"),
        (b"PK\x03\x04 and no more", "is no readable XLSX workbook"),
        (_zip({"a.txt": b"x"}), "is no readable XLSX workbook"),
        (xlsx_bytes(CELLS)[:-200], "is no readable XLSX workbook"),
        (xlsx_bytes(CELLS)[:500], "is no readable XLSX workbook"),
        (_book(_cell("A1", "&i;"), before=_ENTITIES), "is no readable XLSX workbook"),
        (_book(_cell("A1", "&file;"), before=_ENTITIES), "is no readable XLSX workbook"),
        (_book('<row r="1"><c r="A1" t="e"><v>#PRIVATE</v></c></row>'), r"workbook \(Calamine"),
        (_book('<row r="1"><c r="A1" t="s"><v>7</v></c></row>'), r"workbook \(CalamineError\)"),
        (_book('<row r="1"><c r="A1" s="2"><v>1e300</v></c></row>'), r"\(OverflowError\)"),
        (_book(f'<row r="1048577">{_cell("A1048577", "x")}</row>'), "last row or column"),
        (_book('<row r="4294967295"><c><v>1</v></c></row>'), "last row or column"),
        (_book(f'<row r="1">{_cell("XFE1", "x")}</row>'), "last row or column"),
        (_book(f'<row r="1">{_cell("A1", "x" * (1 << 20) + "y")}</row>'), "more than 1 MiB"),
    ],
)  # fmt: skip
def test_a_broken_workbook_is_refused_and_the_child_lives_on(
    shared_reader: WorkbookReader, save: Save, content: bytes, why: str
) -> None:
    shared_reader.sheets(save(xlsx_bytes(CELLS)))
    child = shared_reader._child
    with pytest.raises(FileRefusedError, match=why) as refusal:
        shared_reader.sheets(save(content))
    assert "PRIVATE" not in str(refusal.value)
    assert shared_reader._child is child
    assert len(shared_reader.sheets(save(xlsx_bytes(CELLS)))) == 1


def test_a_sparse_bomb_is_refused_and_the_next_file_is_read(save: Save) -> None:
    near, far = f"<row>{_cell('A1', 'a')}</row>", f"<row>{_cell('XFD1048576', 'b')}</row>"
    with WorkbookReader() as reader:
        with pytest.raises(FileRefusedError, match="needs more than 1,024 MiB to read; export a"):
            reader.sheets(save(_book(near + far)))
        assert reader._child is None
        assert reader.sheets(save(xlsx_bytes(CELLS))) == [Sheet("Sheet1", CELLS)]


@pytest.mark.parametrize(
    "block",
    [b"x" * (1 << 20), b'<row><c t="inlineStr"><is><t>x</t></is></c></row>' * 20_000],
    ids=["endless text", "endless rows"],
)
def test_a_zip_bomb_is_refused_for_its_memory_and_the_next_file_is_read(
    save: Save, block: bytes
) -> None:
    with WorkbookReader(memory_mib=64, seconds=60) as reader:
        with pytest.raises(FileRefusedError, match="needs more than 64 MiB"):
            reader.sheets(save(_bomb(block, 1_900)))
        assert len(reader.sheets(save(xlsx_bytes(CELLS)))) == 1


def test_a_workbook_that_says_it_unpacks_to_too_much_is_not_unpacked(
    shared_reader: WorkbookReader, save: Save
) -> None:
    with pytest.raises(FileRefusedError, match="unpacks to more than 2 GiB"):
        shared_reader.sheets(save(_bomb(b"<row/>", 1, declared=(2 << 30) + 1)))


def test_a_workbook_that_lies_about_its_size_is_refused(
    shared_reader: WorkbookReader, save: Save
) -> None:
    with pytest.raises(FileRefusedError, match="is no readable XLSX workbook"):
        shared_reader.sheets(save(_bomb(b"<row/>" * 170_000, 3_000, declared=1_000)))


def test_a_long_text_repeated_in_many_cells_is_refused_for_its_memory(save: Save) -> None:
    parts = _parts('<row><c t="s"><v>0</v></c></row>' * 1_000)
    shared = f'<sst xmlns="{_MAIN}"><si><t>{"x" * 1_000_000}</t></si></sst>'
    book = _zip(parts | {"xl/sharedStrings.xml": shared.encode()})
    with WorkbookReader(memory_mib=256) as reader, pytest.raises(FileRefusedError, match="256 MiB"):
        reader.sheets(save(book))


def test_a_cell_beyond_all_measure_refuses_the_file(
    shared_reader: WorkbookReader, save: Save
) -> None:
    for cell in ("x" * (1 << 20) + "y", "é" * ((1 << 19) + 1)):
        parts = _parts(f'<row r="1">{_cell("A1", "1")}</row><row r="30">{_cell("A30", cell)}</row>')
        path = save(_zip(parts))
        assert len(shared_reader.sheets(path)) == 1
        with pytest.raises(FileRefusedError, match="more than 1 MiB of text; export it again"):
            _rows(shared_reader, path, positions=[0])


@pytest.mark.slow
def test_what_takes_too_long_is_refused_in_time_and_the_next_file_is_read(save: Save) -> None:
    path = save(_bomb(b"<row/>" * 170_000, 1_200))
    assert path.stat().st_size < 2_000_000
    with WorkbookReader() as reader:
        start = time.monotonic()
        with pytest.raises(FileRefusedError, match=r"takes more than \d+ s to read; export a"):
            reader.sheets(path)
        assert time.monotonic() - start < 12
        assert len(reader.sheets(save(xlsx_bytes(CELLS)))) == 1


def test_the_time_bound_may_be_set(save: Save) -> None:
    with (
        WorkbookReader(seconds=0.5) as reader,
        pytest.raises(FileRefusedError, match="takes more than"),
    ):
        reader.sheets(save(_bomb(b"<row/>" * 170_000, 1_200)))


def test_a_parent_that_takes_its_time_is_not_the_file_s_fault(save: Save) -> None:
    path = save(_book("<row><c><v>7</v></c><c><v>8</v></c></row>" * 60_000))
    with WorkbookReader(seconds=2) as reader:
        batches = reader.rows(path, "Sheet1", [0, 1], 2, 1)
        next(batches)
        select.select([], [], [], 2.2)
        assert sum(batch.num_rows for batch in batches) == 40_000


def _compound_file(stream: str) -> bytes:
    """The smallest container of old Office files and of encrypted new ones; its stream is empty."""
    free, end = 0xFFFFFFFF, 0xFFFFFFFE
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    head += struct.pack("<HHHHH6x9I", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, end, 0, end, 0)
    table = struct.pack("<128I", 0xFFFFFFFD, end, *[free] * 126)
    folder = b""
    for name, kind, child in (("Root Entry", 5, 1), (stream, 2, free)):
        title = name.encode("utf-16-le") + bytes(2)
        folder += title.ljust(64, b"\0") + struct.pack("<HBB", len(title), kind, 1)
        folder += struct.pack("<3I36xIQ", free, free, child, end, 0)
    return head + struct.pack("<109I", 0, *[free] * 108) + table + folder.ljust(512, b"\0")


def test_a_workbook_locked_with_a_password_is_refused_with_the_way_out(
    shared_reader: WorkbookReader, save: Save
) -> None:
    with pytest.raises(FileRefusedError, match="locked with a password; save it without one"):
        shared_reader.sheets(save(_compound_file("EncryptedPackage")))


def test_an_old_workbook_by_a_new_name_is_refused(
    shared_reader: WorkbookReader, save: Save
) -> None:
    with pytest.raises(FileRefusedError, match="is no readable XLSX workbook"):
        shared_reader.sheets(save(_compound_file("Workbook")))


@pytest.mark.slow
def test_a_workbook_with_any_bytes_changed_is_read_or_refused(save: Save) -> None:
    whole = xlsx_bytes([[f"text {n}", n, date(2025, 3, 2)] for n in range(50)])
    chance = random.Random(1)
    path = save(whole)
    with WorkbookReader(memory_mib=256, seconds=5) as reader:
        for _ in range(300):
            changed = bytearray(whole)
            for _ in range(chance.randint(1, 5)):
                changed[chance.randrange(len(whole))] = chance.randrange(256)
            path.write_bytes(changed[: chance.choice((len(whole), chance.randrange(len(whole))))])
            try:
                reader.sheets(path)
                _rows(reader, path)
            except FileRefusedError as refusal:
                assert "text " not in str(refusal)


# --- the child ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (signal.SIGKILL, "needs more than 1,024 MiB"),  # the system is out of memory
        (signal.SIGABRT, "needs more than 1,024 MiB"),
        (signal.SIGSEGV, "is no readable XLSX workbook .it breaks the reader.; export it again"),
    ],
)
def test_however_the_child_ends_the_file_is_refused_and_the_next_one_read(
    save: Save, end: signal.Signals, why: str
) -> None:
    path = save(xlsx_bytes(CELLS))
    with WorkbookReader() as reader:
        reader.sheets(path)
        assert reader._child is not None
        reader._child.send_signal(end)
        reader._child.wait()
        with pytest.raises(FileRefusedError, match=why):
            _rows(reader, path)
        assert len(_rows(reader, path)) == 3


def test_signals_meant_for_the_parent_do_not_end_the_child(
    shared_reader: WorkbookReader, save: Save
) -> None:
    path = save(xlsx_bytes(CELLS))
    shared_reader.sheets(path)
    child = shared_reader._child
    assert child is not None
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(ignored)
    assert len(_rows(shared_reader, path)) == 3
    assert shared_reader._child is child


def test_rows_may_be_left_off_midway(save: Save) -> None:
    path = save(_book("<row><c><v>7</v></c><c><v>8</v></c></row>" * 60_000))
    with WorkbookReader() as reader:
        next(reader.rows(path, "Sheet1", [0], 2, 1))
        assert [sheet.name for sheet in reader.sheets(path)] == ["Sheet1"]
        assert len(_rows(reader, path)) == 60_000


def test_the_child_ends_with_its_parent(save: Save) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from dagster_project.lib.workbooks import WorkbookReader\n"
        "reader = WorkbookReader()\n"
        "reader.sheets(pathlib.Path(sys.argv[1]))\n"
        "print(reader._child.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "os._exit(9)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, save(xlsx_bytes(CELLS))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.stdin.close()
        assert select.select([child], [], [], 10)[0] == [child]
        os.close(child)
    assert parent.returncode == 9


def test_a_closed_reader_leaves_no_process_and_may_be_used_again(save: Save) -> None:
    path = save(xlsx_bytes(CELLS))
    reader = WorkbookReader()
    with reader:
        reader.sheets(path)
        child = reader._child
    assert child is not None
    assert child.returncode == -signal.SIGKILL
    with reader:
        assert len(_rows(reader, path)) == 3


def test_a_child_that_does_not_start_is_not_the_file_s_fault(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "_PACKAGE_ROOT", Path("/"))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with WorkbookReader() as reader, pytest.raises(RuntimeError, match="does not start: /bin/fal"):
        reader.sheets(save(xlsx_bytes(CELLS)))


def test_the_child_has_its_limits_and_imports_no_framework(save: Save) -> None:
    program = (
        "import resource, sys\n"
        "from dagster_project.lib import workbook_worker as worker\n"
        "worker._limit(100)\n"
        "book = worker._Workbook(sys.argv[1])\n"
        "list(book.batches('Sheet1', [0, 9], 1, 1))\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0)\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    path = save(xlsx_bytes(CELLS))
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    heavy = {"dagster", "duckdb", "pydantic", "pandas", "great_expectations", "dbt", "yaml"}
    assert not heavy & set(done.stdout.split())


def test_the_worker_gives_the_same_answers_without_a_process(save: Save) -> None:
    """Also what coverage sees of it: a child that may write no file cannot report any."""
    worker = workbook_worker._Worker()
    path = str(save(xlsx_bytes([*CELLS, ["3", 4.0]])))
    assert list(worker.answer({"path": path})) == [
        ["sheets", [("Sheet1", [*CELLS, ["3", 4.0]])]],
    ]
    request = {"path": path, "sheet": "Sheet1", "positions": [1], "width": 1, "first_row": 3}
    content, end = worker.answer(request)
    batch = pa.ipc.read_record_batch(content, workbook_worker.schema([1]))
    assert batch.to_pydict() == {
        "_row_number": [3, 4],
        "_problem": ["too_many_cells"] * 2,
        "c1": ["b", "4"],
    }
    assert end == ["end"]
    for broken in (b"", _compound_file("EncryptedPackage"), _bomb(b"", 0, declared=(2 << 30) + 1)):
        ((kind, _),) = worker.answer({"path": str(save(broken))})
        assert kind == "refused"
