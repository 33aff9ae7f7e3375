"""Files as sellers have them, read as text: headers, quirks, faulty rows, workbooks."""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_project.lib import readers
from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.errors import FileRefusedError
from dagster_project.lib.readers import csv_files
from dagster_project.lib.readers import table as reader_table
from dagster_project.lib.text import BLANKS
from tests.exports_helper import csv_text, order, product, table, xlsx_bytes

Read = Callable[..., list[tuple[Any, ...]]]
HEADER = ["product_id", "sku_id", "product_name"]
PLAIN = "product_id,sku_id,product_name\n"


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


@pytest.fixture
def read(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> Read:
    """Reads a file's content and returns row number, problem and the columns asked for."""

    def read(
        content: str | bytes, *columns: str, dataset: str = "products", name: str = "file.csv"
    ) -> list[tuple[Any, ...]]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        readers.read_text(con, path, load_datasets()[dataset], "rows")
        return con.execute(
            f"select {', '.join(columns or ('_row_number', *HEADER))} from rows order by 1"
        ).fetchall()

    return read


# --- the header -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "\ufeffproduct_id,sku_id,product_name",
        "PRODUCT_ID,Sku_Id,Product_Name",
        "  product_id , sku_id\t,product_name\t",
        "\u00a0product_id,sku_id,product_name",
        '"product_id","sku_id","product_name"',
    ],
)
def test_a_header_is_matched_without_byte_order_mark_case_and_space_around(
    read: Read, header: str
) -> None:
    assert read(f"{header}\n1,2,a\n") == [(2, "1", "2", "a")]


def test_inner_space_of_a_header_is_folded(read: Read) -> None:
    (header, *rows) = csv_text(table([order(1)])).split("\n")
    text = "\n".join([header.replace("Order ID", "Order  \u00a0ID"), *rows])
    assert read(text, "order_id", dataset="orders") == [("576461413000000001",)]


def test_columns_are_found_by_name_whatever_their_order_and_unknown_ones_pass_by(
    read: Read,
) -> None:
    text = "What is this?,product_name,sku_id,And this?,product_id\nx,a,2,y,1\n"
    assert read(text) == [(2, "1", "2", "a")]


def test_unknown_columns_may_repeat(read: Read) -> None:
    assert read("note,product_id,sku_id,product_name,note\nx,1,2,a,y\n") == [(2, "1", "2", "a")]


def test_an_optional_column_that_is_missing_is_null(read: Read) -> None:
    assert read("product_id,sku_id\n1,2\n") == [(2, "1", "2", None)]


def test_a_missing_required_column_is_named(read: Read) -> None:
    header, row = table([order(1)])
    lacking = [
        [cell for name, cell in zip(header, cells, strict=True) if name != "Delivered Time"]
        for cells in (header, row)
    ]
    with pytest.raises(FileRefusedError, match="lacks the column 'Delivered Time'"):
        read(csv_text(lacking), dataset="orders")


def test_a_seller_sku_column_stands_in_for_the_sku_column(read: Read) -> None:
    text = csv_text([["product_id", "seller_sku"], ["1", "MY-SKU"]])
    assert read(text, "sku_id", "seller_sku") == [(None, "MY-SKU")]
    with pytest.raises(FileRefusedError, match="lacks the column 'sku_id'"):
        read("product_id,product_name\n1,a\n")


def test_a_known_column_that_stands_there_twice_is_refused_by_name(read: Read) -> None:
    with pytest.raises(FileRefusedError, match="has the column 'sku_id' twice"):
        read("product_id,sku_id,product_name,SKU_ID\n1,2,a,3\n")


def test_of_two_names_of_one_column_the_contracts_first_is_taken(read: Read) -> None:
    text = "id,review_id,order_id,rating,created_at\n9,1,2,5,2025-03-01\n"
    assert read(text, "review_id", dataset="reviews") == [("1",)]


@pytest.mark.parametrize(
    ("above", "header_row"),
    [
        ("\n", 2),
        ("\n\n\n", 4),
        ("01/03/2025 - 31/03/2025\n", 2),
        ('"Report\nof March",x\n\n', 3),
        ('Report of 5" screens\n\n', 3),
        ('solo\n"a"b\n', 3),
        ("range \u2028 x\n", 2),
    ],
)
def test_lines_above_the_header_are_passed_over_and_counted(
    read: Read, above: str, header_row: int
) -> None:
    rows = read(f"{above}{PLAIN}1,2,a\n3,4,b\n")
    assert rows == [(header_row + 1, "1", "2", "a"), (header_row + 2, "3", "4", "b")]


def test_a_header_further_down_than_twenty_rows_is_not_found(read: Read) -> None:
    assert read("\n" * 19 + PLAIN + "1,2,a\n") == [(21, "1", "2", "a")]
    with pytest.raises(
        FileRefusedError, match="no header of an export of products in its first 20"
    ):
        read("\n" * 20 + PLAIN + "1,2,a\n")


def test_a_header_name_may_hold_a_line_break(read: Read) -> None:
    rows = read('product_id,sku_id,product_name,"a\nb"\n1,2,a,x\n3,4,b,y\n')
    assert rows == [(2, "1", "2", "a"), (3, "3", "4", "b")]


# --- CSV ------------------------------------------------------------------------------------------


def test_an_empty_file_is_refused(read: Read) -> None:
    with pytest.raises(FileRefusedError, match="is empty; export it again"):
        read("")


def test_a_workbook_under_the_name_of_a_csv_file_is_told(read: Read, tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match=r"is an Excel workbook, .* ending \.xlsx"):
        read(xlsx_bytes(table([product()])))


@pytest.mark.parametrize("text", [PLAIN, PLAIN.strip(), "\ufeff" + PLAIN.replace("\n", "\r\n")])
def test_a_header_alone_is_a_file_without_rows(read: Read, text: str) -> None:
    assert read(text) == []


def test_trailing_tabs_are_trimmed_and_a_lone_tab_is_empty(read: Read) -> None:
    text = "product_id,sku_id,seller_sku,product_name\n1\t,2\t,\t,a\t\n"
    assert read(text, "product_id", "sku_id", "seller_sku", "product_name") == [
        ("1", "2", None, "a")
    ]


def test_rows_of_blanks_are_no_rows_but_are_counted(read: Read) -> None:
    assert read(PLAIN + "1,2,a\n\t,\t,\t\n,,\n3,4,b\n") == [(2, "1", "2", "a"), (5, "3", "4", "b")]


@pytest.mark.parametrize("faulty_row", ["", "5,6,c,d\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_blank_lines_count_as_rows_as_in_a_spreadsheet(
    read: Read, faulty_row: str, line_end: str
) -> None:
    text = f"{PLAIN}\n1,2,a\n\n\n3,4,b\n{faulty_row}\n".replace("\n", line_end)
    assert read(text)[:2] == [(3, "1", "2", "a"), (6, "3", "4", "b")]


@pytest.mark.parametrize("faulty_row", ["", "5,6,c,d\n"])
def test_line_breaks_and_quotes_in_text_belong_to_it(read: Read, faulty_row: str) -> None:
    text = f'{PLAIN}1,2,"first\nsecond ""quoted"", third"\n3,4,5" screen\n{faulty_row}'
    assert read(text)[:2] == [
        (2, "1", "2", 'first\nsecond "quoted", third'),
        (3, "3", "4", '5" screen'),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(read: Read, delimiter: str) -> None:
    text = csv_text([HEADER, ["1", "2", f"a{delimiter}b, c; d"]], delimiter)
    assert read(text) == [(2, "1", "2", f"a{delimiter}b, c; d")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_in_any_encoding_that_spreadsheets_write(read: Read, encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    text = f"{mark}{PLAIN}1,2,เซรั่ม\n3,4,plain\n"
    assert read(text.encode(encoding)) == [(2, "1", "2", "เซรั่ม"), (3, "3", "4", "plain")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_long_file_may_be_cut_anywhere_while_its_header_is_sought(
    read: Read, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    for length in range(66, 78):
        monkeypatch.setattr(csv_files, "_HEAD_BYTES", 2 * (length // 2) if encoding[4:] else length)
        text = f"{PLAIN}1,2,🧴🧴🧴🧴🧴🧴🧴🧴🧴🧴🧴🧴🧴🧴\n"
        assert read(text.encode(encoding))[0][3] == "🧴" * 14


@pytest.mark.parametrize(
    ("encoding", "region", "word"),
    [("cp1252", "ES", "crème señor"), ("cp874", "TH", "ของแท้ ส่งไว"), ("cp1258", "VN", "đẹp lắm")],
)
def test_text_that_is_not_unicode_is_read_in_the_code_page_of_the_region(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, encoding: str, region: str, word: str
) -> None:
    path = tmp_path / "file.csv"
    # Windows-1258 writes Vietnamese letters apart from their tone marks
    text = unicodedata.normalize("NFC", word)
    letters = text if encoding != "cp1258" else _with_loose_tone_marks(text)
    path.write_bytes(f"{PLAIN}1,2,{letters}\n".encode(encoding))
    products = load_datasets()["products"]
    tables = {7: csv_files.open_csv(path, products, region)}
    assert readers.read_tables(con, tables, products, "rows") == {}
    found = con.execute("select _table, _row_number, product_name from rows").fetchall()
    assert found == [(7, 2, text)]


def _with_loose_tone_marks(text: str) -> str:
    marks = "\u0300\u0301\u0303\u0309\u0323"
    return "".join(
        unicodedata.normalize("NFC", "".join(c for c in parts if c not in marks))
        + "".join(c for c in parts if c in marks)
        for parts in (unicodedata.normalize("NFD", letter) for letter in text)
    )


def test_a_damaged_row_of_a_utf_8_file_is_named_and_the_others_are_read(read: Read) -> None:
    text = f"{PLAIN}1,2,เซรั่ม\n3,4,เซรั่ม\n5,6,เซรั่ม\n".encode()
    damaged = text.replace("3,4,เซ".encode(), "3,4,เ".encode() + b"\xff")
    rows = read(damaged, "_row_number", "_problem", "product_name")
    assert rows == [(2, None, "เซรั่ม"), (3, "not_text", None), (4, None, "เซรั่ม")]


def test_damage_in_a_cell_that_is_not_kept_harms_nothing(read: Read) -> None:
    text = b"product_id,sku_id,product_name,Recipient\n1,2,\xe0\xb9\x80\xe0\xb8\x8b,\xff\n"
    assert read(text) == [(2, "1", "2", "เซ")]


def test_utf_16_that_is_cut_is_refused_with_the_way_out(read: Read) -> None:
    with pytest.raises(FileRefusedError, match="no whole UTF-16 text; export it again"):
        read(f"{PLAIN}1,2,a\n".encode("utf-16")[:-1])


def test_a_row_with_more_cells_than_the_header_is_named_a_problem(read: Read) -> None:
    rows = read(f"{PLAIN}1,2,a\n3,4,b,c\n5,6,d,\n7,8,e,\t\n", "_row_number", "_problem")
    assert rows == [(2, None), (3, "too_many_cells"), (4, None), (5, None)]


def test_a_row_that_ends_too_early_is_named_a_problem(read: Read) -> None:
    text = "product_id,sku_id,product_name,note,note\n1,2\n3,4,b\n\t\n5,6,c,d,e\n"
    rows = read(text, "_row_number", "_problem")
    assert rows == [(2, "too_few_cells"), (3, None), (5, None)]


@pytest.mark.parametrize(
    "tail",
    [
        '3,4,"b\n5,6,c\n',  # the last cell swallows the rest
        '3,"4,b\n5,6,c\n',  # a cell in the middle does
        '3,4,"b\n5,6,"c"\n7,8,d\n',  # the next quote would end it and the row look whole
    ],
)
def test_an_opening_quote_that_is_not_closed_refuses_the_file(read: Read, tail: str) -> None:
    with pytest.raises(FileRefusedError, match="a quote in row 3 that is not closed"):
        read(f"{PLAIN}1,2,a\n{tail}")


@pytest.mark.parametrize(
    "tail", ['3,4,"b\n5,6,c\n', '3,4,"b', '3,4,"b ""c"" d\n', '"3,4,b\n5,6,""c\n']
)
def test_an_open_quote_is_noticed_among_many_files_too(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, tail: str
) -> None:
    """DuckDB itself passes over it where it reads many files, each by one thread."""
    products = load_datasets()["products"]
    tables = {}
    for number in range(12):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"{PLAIN}1,2,a\n" + (tail if number == 5 else '3,4,"b, c"\n'))
        tables[number] = csv_files.open_csv(path, products, "")
    refusals = readers.read_tables(con, tables, products, "rows")
    assert {key: "row 3 that is not closed" in str(why) for key, why in refusals.items()} == {
        5: True
    }
    assert con.execute("select count(*), count(distinct _table) from rows").fetchone() == (22, 11)


def test_quotes_that_are_not_doubled_are_taken_as_they_stand_within_a_line(read: Read) -> None:
    assert read(f'{PLAIN}1,2,"the "best" one"\n')[0][3] == 'the best" one"'


def test_a_long_text_is_no_reason_to_refuse_the_file(read: Read) -> None:
    long = "x" * 200_000
    assert read(f"{PLAIN}1,2,{long}\n") == [(2, "1", "2", long)]
    assert read(f"{PLAIN}1,2,{long}\n3,4,b,c\n")[0][3] == long


@pytest.mark.parametrize("text", [f"{'x' * 60}\n{PLAIN}", f"{PLAIN}1,2,{'x' * 60}\n3,4,b,c\n"])
def test_a_cell_beyond_all_measure_refuses_the_file(read: Read, text: str) -> None:
    before = csv.field_size_limit(50)
    try:
        with pytest.raises(FileRefusedError, match="is no CSV file"):
            read(text)
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("name", "neighbour"),
    [
        ("file[1].csv", "file1.csv"),
        ("file*.csv", "file2.csv"),
        ("file?.csv", "file3.csv"),
        ("file{1,2}.csv", "file1.csv"),
    ],
)
def test_a_file_name_is_never_a_pattern_for_its_neighbours(
    read: Read, tmp_path: Path, name: str, neighbour: str
) -> None:
    (tmp_path / neighbour).write_text(f"{PLAIN}9,9,neighbour\n")
    assert read(f"{PLAIN}1,2,a\n", name=name) == [(2, "1", "2", "a")]


def test_a_folder_name_adds_no_values(read: Read, tmp_path: Path) -> None:
    (tmp_path / "c0=evil").mkdir()
    assert read(f"{PLAIN}1,2,a\n", name="c0=evil/file.csv") == [(2, "1", "2", "a")]


@pytest.mark.parametrize("name", ["it's.csv", 'a"b;drop.csv', "two\nlines.csv", "x-\udcff.csv"])
def test_odd_file_names_are_read_like_others(read: Read, name: str) -> None:
    assert read(f"{PLAIN}1,2,a\n", name=name) == [(2, "1", "2", "a")]


@pytest.mark.parametrize("name", ["export.xls", "export.txt", "export", "export.csv.gz"])
def test_other_kinds_of_files_are_refused_with_the_way_out(read: Read, name: str) -> None:
    with pytest.raises(FileRefusedError, match=r"is none of \.csv, \.xlsx, \.jsonl; export it"):
        read(PLAIN, name=name)


_ODD_CELLS = (
    "", "a", "x y", 'a"b', '"q"', '"a\nb"', '"a\n\nb"', '"a ""b"" c"', '"a, b"', " ", "\t",
    '"x"y', '"', "\u2028", "\x0b", "\x85", "é", "a\rb", '"a\r\nb"', "\ufeff", '""', '"" x',
    "NULL", "\\", '\\"', "#c",
)  # fmt: skip


@example(rows=[['"" x', '"a\nb"']], line_end="\n", is_ended=False)
@given(
    rows=st.lists(st.lists(st.sampled_from(_ODD_CELLS), max_size=4), max_size=5),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    is_ended=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_rows_and_their_numbers_are_the_same_by_the_fast_and_the_careful_way(
    con: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    line_end: str,
    is_ended: bool,
) -> None:
    lines = [",".join(HEADER), *(",".join(row) for row in rows)]
    text = line_end.join(lines) + line_end * is_ended
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    path.write_bytes(text.encode())
    expected = []
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
        cells = [cell.strip(BLANKS) or None for cell in row[:3]]
        if number > 1 and any(cells):
            expected.append((number, *cells, *[None] * (3 - len(cells))))
    try:
        readers.read_text(con, path, load_datasets()["products"], "rows")
    except FileRefusedError as refusal:
        assert "not closed" in str(refusal)
        return
    found = con.execute(
        f"select _row_number, {', '.join(HEADER)} from rows "
        "where coalesce(product_id, sku_id, product_name) is not null"
    ).fetchall()
    assert found == expected


def test_rows_of_a_large_file_are_numbered_in_order(read: Read) -> None:
    text = PLAIN + "".join(f"{i},{i},{'x' * 100}\n" for i in range(60_000))
    rows = read(text, "count(*)", "count_if(_row_number <> cast(product_id as bigint) + 2)")
    assert rows == [(60_000, 0)]


def test_the_careful_way_reads_in_portions(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_table, "_BATCH_ROWS", 7)
    rows = read(PLAIN + "".join(f"{i},{i},\n" for i in range(100)) + "1,2,3,4\n", "product_id")
    assert len(rows) == 101


# --- XLSX -----------------------------------------------------------------------------------------


def test_a_workbook_is_read_as_text(read: Read) -> None:
    book = xlsx_bytes(table([product(1, product_name="เซรั่ม\n50 ml"), product(2)]))
    assert read(book, name="file.xlsx") == [
        (2, "1700000000000000001", "1729384756000000001", "เซรั่ม\n50 ml"),
        (3, "1700000000000000002", "1729384756000000002", "Serum"),
    ]


def test_a_workbook_that_says_it_spans_one_cell_is_read_whole(read: Read) -> None:
    book = xlsx_bytes(table([product(1)]), one_cell_dimension=True)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        assert b'ref="A1:A1"' in archive.read("xl/worksheets/sheet1.xml")
    assert len(read(book, name="file.xlsx")) == 1


def test_a_workbook_with_each_cell_in_a_row_element_of_its_own_is_read_whole(
    read: Read, tmp_path: Path
) -> None:
    rows = [HEADER, ["1", "2", "a"], ["3", "4", "b"]]
    cells = "".join(
        f'<row r="{r}"><c r="{"ABC"[c]}{r}" t="inlineStr"><is><t>{cell}</t></is></c></row>'
        for r, row in enumerate(rows, start=1)
        for c, cell in enumerate(row)
    )
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx_bytes([["x"]]))) as plain,
        zipfile.ZipFile(out, "w") as changed,
    ):
        for entry in plain.namelist():
            content = plain.read(entry).decode()
            if entry == "xl/worksheets/sheet1.xml":
                head, rest = content.split("<sheetData>")
                content = (
                    head + "<sheetData>" + cells + "</sheetData>" + rest.split("</sheetData>")[1]
                )
            changed.writestr(entry, content)
    assert read(out.getvalue(), name="file.xlsx") == [(2, "1", "2", "a"), (3, "3", "4", "b")]


@pytest.mark.parametrize("first_row", [0, 1, 5])
def test_row_numbers_of_a_workbook_are_those_the_spreadsheet_shows(
    read: Read, first_row: int
) -> None:
    cells = [["March"], [], HEADER, ["1", "2", "a"], [], ["3", "4", "b"]]
    book = xlsx_bytes(cells, first_row=first_row)
    assert read(book, name="file.xlsx") == [
        (first_row + 4, "1", "2", "a"),
        (first_row + 6, "3", "4", "b"),
    ]


def test_the_sheet_with_the_header_is_found(read: Read) -> None:
    book = xlsx_bytes([["Read me"], ["x"]], [], [HEADER, ["1", "2", "a"]])
    assert read(book, name="file.xlsx") == [(2, "1", "2", "a")]


def test_a_workbook_with_several_such_sheets_is_refused_naming_them(read: Read) -> None:
    book = xlsx_bytes([HEADER, ["1", "2", "a"]], [HEADER, ["3", "4", "b"]])
    with pytest.raises(FileRefusedError, match=r"products on several sheets \(Sheet1, Sheet2\)"):
        read(book, name="file.xlsx")


def test_of_the_sheets_without_the_header_the_best_is_named(read: Read) -> None:
    book = xlsx_bytes([["Read me"]], [["sku_id", "product_name"]])
    with pytest.raises(FileRefusedError, match="lacks the column 'product_id'"):
        read(book, name="file.xlsx")
    with pytest.raises(FileRefusedError, match="no header of an export of products"):
        read(xlsx_bytes([["Read me"]]), name="file.xlsx")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("576461413000000001", "576461413000000001"),
        (123456789012345, "123456789012345"),
        (576461413000000001, "5.76461413E+17"),
        (1e17, "1E+17"),
        (2.5, "2.5"),
        (0.1 + 0.2, "0.3"),
        (datetime(2025, 3, 2, 23, 59, 59), "2025-03-02 23:59:59"),
        (date(2025, 3, 2), "2025-03-02"),
        (True, "True"),
    ],
)
def test_cells_of_a_workbook_become_text_that_does_not_pretend_to_lost_digits(
    read: Read, cell: object, text: str
) -> None:
    book = xlsx_bytes([HEADER, ["1", "2", cell]])
    assert read(book, "product_name", name="file.xlsx") == [(text,)]


def test_notes_beside_the_table_of_a_workbook_pass_by(read: Read) -> None:
    book = xlsx_bytes([HEADER, ["1", "2", "a", "ask Lek"], ["3", "4", "b"]])
    assert read(book, "_row_number", "_problem", name="file.xlsx") == [(2, None), (3, None)]


@pytest.mark.parametrize("content", [b"", b"product_id,sku_id\n", b"PK\x03\x04 and no more"])
def test_a_broken_workbook_is_refused(read: Read, content: bytes) -> None:
    with pytest.raises(FileRefusedError, match="is no readable XLSX workbook"):
        read(content, name="file.xlsx")


# --- text as it is kept ---------------------------------------------------------------------------


def _masked(read: Read, text: str) -> str:
    cells = [["review_id", "order_id", "rating", "created_at", "review_text"]]
    cells.append(["1", "2", "5", "2025-03-20", text])
    ((kept,),) = read(csv_text(cells), "review_text", dataset="reviews")
    return str(kept)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("call 081-234-5678 now", "call [number] now"),
        ("+66 81 234 5678", "[number]"),
        ("(021) 555 12345", "[number]"),
        ("WA081234567890ya", "WA[number]ya"),
        ("โทร0812345678ครับ", "โทร[number]ครับ"),
        ("๐๘๑-๒๓๔-๕๖๗๘", "[number]"),
        ("08 - 1234 - 5678", "[number]"),
        ("0812/3456/7890", "[number]"),
        ("write a.b+c@mail.example.com now", "write [e-mail] now"),
        ("see https://example.com/x?y=1 ok", "see [link] ok"),
        ("ดูที่www.example.com ครับ", "ดูที่[link] ครับ"),
        ("LINE.ME/ti/p/abc", "[link]"),
        ("shop.example.co.th/abc", "[link]"),
        ("line id: somchai, or LINE @shop", "[handle], or LINE [handle]"),
        ("ไลน์ไอดี: somchai", "[handle]"),
        ("zalo 0912345678 or ig somchai_99", "zalo [number] or [handle]"),
        ("add me on Telegram: som.chai_x", "add me on [handle]"),
        ("my WhatsApp is somchai99", "my [handle]"),
        ("follow @somchai.shop", "follow [handle]"),
        ("Line up nicely; bottom line: bad", "Line up nicely; bottom line: bad"),
        ("the Facebook ad was wrong, line 3 too", "the Facebook ad was wrong, line 3 too"),
        ("size 38-40, 100% cotton, 10/10", "size 38-40, 100% cotton, 10/10"),
        ("5 of 5, bought 12 pieces for 1,299.00", "5 of 5, bought 12 pieces for 1,299.00"),
        ("ok.good", "ok.good"),
    ],
)
def test_numbers_addresses_and_links_in_free_text_are_masked(
    read: Read, text: str, kept: str
) -> None:
    assert _masked(read, text) == kept


def test_text_is_composed_but_otherwise_kept(read: Read) -> None:
    assert _masked(read, "  cre\u0300me \n 👍 ") == "crème \n 👍"


def test_only_columns_of_the_contract_leave_the_parser(read: Read) -> None:
    cells = [[*HEADER, "Recipient"], ["1", "2", "a", "Somchai"]]
    for content, name in ((csv_text(cells), "file.csv"), (xlsx_bytes(cells), "file.xlsx")):
        (row,) = read(content, "*", name=name)
        assert set(row) == {0, 2, None, "1", "2", "a"}
