"""What makes sellers' files break parsers, each oddity in a file of its own, taken in by ingest."""

from __future__ import annotations

import io
import json
import random
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import xlsxwriter

from dagster_project.lib.ledger import Ledger
from dagster_project.lib.published_version import MARTS
from tests.exports_helper import (
    Row,
    Store,
    chat,
    complaint,
    csv_text,
    order,
    platform_metric,
    request,
    review,
    table,
    xlsx_bytes,
)
from tests.support import run_pipeline

SHOPS = """shop_id,shop_name,region,timezone,currency
thai,Thai,TH,Asia/Bangkok,THB
american,American,US,America/New_York,USD
vietnamese,Vietnamese,VN,Asia/Ho_Chi_Minh,VND
indonesian,Indonesian,ID,Asia/Jakarta,IDR
singaporean,Singaporean,SG,Asia/Singapore,SGD
brazilian,Brazilian,BR,America/Sao_Paulo,BRL
spanish,Spanish,ES,Europe/Madrid,EUR
"""
BOOK = "orders-2025-03-31.xlsx"
TEN_O_CLOCK = datetime(2025, 3, 14, 10)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, SHOPS)


def load_whole(store: Store, content: str | bytes | Sequence[Row], *args: str) -> None:
    """Load a file of which every row must be taken."""
    entry = store.load(content, *args)
    assert (entry.status, entry.rows_rejected) == ("loaded", 0), (entry.message, store.rejects())


# --- text and ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first_header", ["Order ID", '"Order ID"'])
def test_byte_order_mark_before_the_first_header_is_no_part_of_it(
    store: Store, first_header: str
) -> None:
    text = csv_text(table([order()])).replace("Order ID", first_header, 1)
    load_whole(store, text.encode("utf-8-sig"), "orders")
    assert store.rows("orders", "order_id") == ["576461413000000001"]


def test_tabs_after_ids_zip_codes_and_times_are_cut_off_and_a_lone_tab_is_blank(
    store: Store,
) -> None:
    cells = order(Seller_SKU="\t", Cancelled_Time="\t", Zipcode="10110\t", Tracking_ID="TH1\t")
    rows = [{name: cell.rstrip("\t") + "\t" for name, cell in cells.items()}]
    rows.append(order(2, SKU_ID="\t", Seller_SKU="MY-1\t", Delivered_Time="\t"))
    load_whole(store, rows, "orders")
    assert store.rows(
        "orders", "order_id", "sku_id", "seller_sku", "product_name", "delivered_time",
        "cancelled_time",
    ) == [
        ("576461413000000001", "1729384756000000001", None, "Serum",
         datetime(2025, 3, 16, 17, 30), None),
        ("576461413000000002", "seller_sku:MY-1", "MY-1", "Serum", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_ids_of_18_and_19_digits_are_kept_to_the_last_one(store: Store, kind: str) -> None:
    ids = ["576461413211900123", "1729384756000000999", "9999999999999999999"]
    cells = table([order(Order_ID=number, SKU_ID=number) for number in ids])
    content = csv_text(cells) if kind == "csv" else xlsx_bytes(cells)
    load_whole(store, content, "orders", f"orders-2025-03-31.{kind}")
    assert store.rows("orders", "order_id", "sku_id") == [(number, number) for number in ids]


@pytest.mark.parametrize(
    ("kind", "number"), [("csv", "1.73E+18"), ("xlsx", 1.73e18), ("jsonl", 1.73e18)]
)
def test_ids_cut_to_1_73e18_are_rejected_and_the_message_says_what_to_do(
    store: Store, kind: str, number: object
) -> None:
    rows = [review(n) for n in range(30)]
    rows[4]["review_id"] = number
    content: dict[str, Callable[[], str | bytes]] = {
        "csv": lambda: csv_text(table(rows)),
        "xlsx": lambda: xlsx_bytes(table(rows)),
        "jsonl": lambda: "\n".join(["", *map(json.dumps, rows)]),
    }
    entry = store.load(content[kind](), "reviews", f"reviews-2025-03-31.{kind}")
    assert (entry.rows_loaded, entry.rows_rejected) == (29, 1)
    assert store.ledger_rows(
        "select source_file, row_number, column_name, rule, message from rejected_rows"
    ) == [
        (
            f"reviews-2025-03-31.{kind}", 6, "review_id", "digits_lost",
            "a spreadsheet has cut the number's digits; export the file again",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_line_breaks_and_quotes_in_text_belong_to_it(store: Store, kind: str) -> None:
    name = 'เซรั่ม "พิเศษ"\n2 × 50 ml; sérum, 🧴'
    rows = [order(Product_Name=name, Buyer_Message='she said\r\n"please"\n\n'), order(2)]
    content = csv_text(table(rows)) if kind == "csv" else xlsx_bytes(table(rows))
    load_whole(store, content, "orders", f"orders-2025-03-31.{kind}")
    assert store.rows("orders", "product_name", "_row_number") == [(name, 2), ("Serum", 3)]


@pytest.mark.parametrize(
    ("shop", "encoding", "delimiter", "name"),
    [
        ("thai", "utf-8", ",", "เซรั่ม, 🧴"),
        ("thai", "utf-8-sig", ";", "เซรั่ม; 🧴"),
        ("thai", "utf-16", "\t", "เซรั่ม\t🧴"),
        ("thai", "utf-16", ",", "เซรั่ม 🧴"),
        ("thai", "cp874", ",", "เซรั่มบำรุงผิว"),
        ("thai", "cp874", "\t", "เซรั่มบำรุงผิว"),
        ("vietnamese", "cp1258", ";", "Kem dưỡng đẹp lắm"),
        ("spanish", "cp1252", ";", "Crema de día 5 €; señorita"),
        ("brazilian", "cp1252", ";", "Sabão “coração”"),
    ],
)
def test_delimiters_and_encodings_are_found_out(
    store: Store, shop: str, encoding: str, delimiter: str, name: str
) -> None:
    text = csv_text(table([order(number, Product_Name=name) for number in range(3)]), delimiter)
    text = _with_loose_tone_marks(text) if encoding == "cp1258" else text
    store.drop(text.encode(encoding), "orders", shop=shop)
    (entry,) = store.ingest()
    assert entry.message == ""
    assert store.rows("orders", "product_name") == [name] * 3


def _with_loose_tone_marks(text: str) -> str:
    """Letters and their marks as that code page has them: tone marks apart, all others not."""
    marks = "\u0300\u0301\u0303\u0309\u0323"
    letters = []
    for letter in text:
        parts = unicodedata.normalize("NFD", letter)
        bare = unicodedata.normalize("NFC", "".join(c for c in parts if c not in marks))
        letters.append(bare + "".join(c for c in parts if c in marks))
    return "".join(letters)


# --- workbooks ------------------------------------------------------------------------------------


def _plain(cells: list[list[Any]]) -> bytes:
    return xlsx_bytes(cells)


def _dimension_of_one_cell(cells: list[list[Any]]) -> bytes:
    return xlsx_bytes(cells, one_cell_dimension=True)


def _inline_strings(cells: list[list[Any]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("OrderSKUList")
        for number, row in enumerate(cells):
            sheet.write_row(number, 0, row)
    return out.getvalue()


def _each_cell_in_a_row_element(cells: list[list[Any]]) -> bytes:
    def split(xml: str) -> str:
        return re.sub(
            "(<row [^>]*>)(.*?)</row>",
            lambda row: "".join(f"{row[1]}{c}</row>" for c in re.findall("<c .*?</c>", row[2])),
            xml,
        )

    return _rewritten(xlsx_bytes(cells), split)


def _in_sheet2_xml(cells: list[list[Any]]) -> bytes:
    return _rewritten(xlsx_bytes(cells), lambda text: text.replace("sheet1.xml", "sheet2.xml"))


def _in_the_second_sheet(cells: list[list[Any]]) -> bytes:
    return xlsx_bytes([["Read me", "first"], ["Orders of March"]], cells)


def _all_at_once(cells: list[list[Any]]) -> bytes:
    text = _rewritten(_inline_strings(cells), lambda text: text.replace("sheet1.xml", "sheet2.xml"))
    return _rewritten(text, lambda text: re.sub("(<dimension ref=)[^/]*", r'\1"A1:A1"', text))


def _rewritten(book: bytes, change: Callable[[str], str]) -> bytes:
    """The workbook with the names and contents of its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            after.writestr(change(name), change(before.read(name).decode()))
    return out.getvalue()


@pytest.mark.parametrize(
    "form",
    [
        _plain, _dimension_of_one_cell, _inline_strings, _each_cell_in_a_row_element,
        _in_sheet2_xml, _in_the_second_sheet, _all_at_once,
    ],
)  # fmt: skip
def test_workbooks_of_unusual_make_are_read_whole(
    store: Store, form: Callable[[list[list[Any]]], bytes]
) -> None:
    book = form(table([order(n, Product_Name=f"เซรั่ม {n}") for n in range(3)]))
    load_whole(store, book, "orders", BOOK)
    assert store.rows("orders", "product_name", "created_time", "_row_number") == [
        (f"เซรั่ม {n}", TEN_O_CLOCK, n + 2) for n in range(3)
    ]


def test_rich_text_and_links_of_a_workbook_are_text(store: Store) -> None:
    header, cells = table([order()])
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        sheet.write_row(0, 0, header)
        sheet.write_row(1, 0, cells)
        sheet.write_url(1, 0, "https://seller.example/order?id=1", string=cells[0])
        sheet.write_rich_string(1, header.index("Product Name"), "Serum ", bold, "extra", " soft")
    load_whole(store, out.getvalue(), "orders", BOOK)
    assert store.rows("orders", "order_id", "product_name") == [(cells[0], "Serum extra soft")]


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("xlsx", TEN_O_CLOCK),  # a number with the format of a date
        ("xlsx", 45730.4166666667),
        ("xlsx", "45730.4166666667"),
        ("csv", "45730.4166666667"),
        ("csv", "45730,4166666667"),
        ("xlsx", "14/03/2025 10:00:00"),
    ],
)
def test_dates_may_be_the_serial_numbers_of_a_spreadsheet(
    store: Store, kind: str, cell: object
) -> None:
    cells = table([order(Created_Time=cell, Delivered_Time="")])
    content = csv_text(cells) if kind == "csv" else xlsx_bytes(cells)
    load_whole(store, content, "orders", f"orders-2025-03-31.{kind}")
    assert store.rows("orders", "created_time") == [TEN_O_CLOCK]


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shop", "dataset", "dates", "first"),
    [
        ("thai", "orders", ["03/04/2025 10:00:00"], datetime(2025, 4, 3, 10)),
        ("thai", "orders", ["03/04/2025", "04/13/2025"], datetime(2025, 3, 4)),
        ("american", "orders", ["03/04/2025 01:00:00 PM"], datetime(2025, 3, 4, 13)),
        ("american", "orders", ["03/04/2025", "13/04/2025"], datetime(2025, 4, 3)),
        ("american", "returns", ["03/04/2025 10:00:00"], datetime(2025, 4, 3, 10)),
        ("american", "returns", ["03/04/2025", "04/13/2025"], datetime(2025, 3, 4)),
        ("brazilian", "orders", ["2025-03-04 10:00:00"], datetime(2025, 3, 4, 10)),
    ],
)
def test_order_of_day_and_month_is_told_by_the_column_and_else_by_the_region(
    store: Store, shop: str, dataset: str, dates: list[str], first: datetime
) -> None:
    make, header = (order, "Created Time") if dataset == "orders" else (request, "Time Requested")
    rows = [make(n, Delivered_Time="") | {header: cell} for n, cell in enumerate(dates)]
    load_whole(store, rows, dataset, "export-2025-04-30.csv", shop)
    assert store.rows(dataset, header.replace(" ", "_"))[0] == first


def test_each_column_of_each_file_has_a_date_format_of_its_own(store: Store) -> None:
    for name, created in (("a", "13/04/2025"), ("b", "04/13/2025")):
        rows = [
            order(1, Created_Time=created, Delivered_Time="2025-04-14"),
            order(2, Created_Time="03/03/2025", Delivered_Time="2025-03-04"),
        ]
        store.drop(rows, "orders", f"{name}-2025-04-30.csv")
    assert [e.rows_rejected for e in store.ingest()] == [0, 0]
    assert store.rows("orders", "created_time") == [datetime(2025, 4, 13), datetime(2025, 3, 3)] * 2


@pytest.mark.parametrize(
    "impossible",
    ["31/02/2025 10:00:00", "29/02/2025 10:00:00", "31/04/2025", "00/03/2025", "10/13/2025",
     "10/03/2025 25:00:00"],
)  # fmt: skip
def test_impossible_dates_are_rejected_by_file_row_column_and_rule(
    store: Store, impossible: str
) -> None:
    rows = [order(number) for number in range(25)]
    rows[7]["Created Time"] = impossible
    entry = store.load(rows, "orders")
    assert (entry.rows_loaded, entry.rows_rejected) == (24, 1)
    assert store.ledger_rows(
        "select source_file, row_number, column_name, rule, message from rejected_rows"
    ) == [
        (
            "export-2025-03-31.csv", 9, "Created Time", "not_a_timestamp",
            "the value is no date and time of the form day/month/year",
        )
    ]  # fmt: skip


# --- money, shares, yes and no --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shop", "text", "amount"),
    [
        ("indonesian", "25000", "25000"),
        ("thai", "฿249.00", "249"),
        ("vietnamese", "82.912₫", "82912"),
        ("singaporean", "S$12.3", "12.3"),
        ("indonesian", "Rp25.000", "25000"),
        ("brazilian", "R$ 62,90", "62.9"),
        ("american", "$23.00", "23"),
        ("thai", "฿1,249.50", "1249.5"),
        ("vietnamese", "1.082.912₫", "1082912"),
        ("brazilian", "R$ 1.062,90", "1062.9"),
        ("american", "USD 1,023.00", "1023"),
        ("spanish", "1.062,90 €", "1062.9"),
        ("vietnamese", "0₫", "0"),
    ],
)
def test_money_is_read_in_every_way_of_writing(
    store: Store, shop: str, text: str, amount: str
) -> None:
    iso = {"Created Time": "2025-03-14", "Delivered Time": "", "Time Requested": "2025-03-20"}
    amounts = {"Order Amount": text, "SKU Subtotal After Discount": text}
    store.drop([order() | iso | amounts], "orders", shop=shop)
    amounts = {"Order Amount": text, "Return unit price": text, "Compensation Amount": text}
    store.drop([request() | iso | amounts], "returns", shop=shop)
    assert [e.rows_rejected for e in store.ingest()] == [0, 0]
    kept = store.rows("orders", "order_amount", "sku_subtotal_after_discount")
    kept += store.rows("returns", "order_amount", "return_unit_price", "compensation_amount")
    assert kept == [(Decimal(amount),) * 2, (Decimal(amount),) * 3]


def test_amounts_of_the_order_repeat_on_every_line_of_it(store: Store) -> None:
    rows = [order(1, SKU_ID=f"{number}", Order_Amount="฿500.00") for number in range(3)]
    load_whole(store, [*rows, order(2, Order_Amount="฿7.00")], "orders")
    assert store.rows("orders", "order_amount") == [Decimal(500)] * 3 + [Decimal(7)]


def test_percent_signs_of_platform_metrics_are_divided_by_a_hundred(store: Store) -> None:
    values = ["0.45%", "0.0045", "0,45 %", "1.5%", "0%", "0"]
    rows = [platform_metric(day, value=value) for day, value in enumerate(values, start=1)]
    load_whole(store, rows, "platform_metrics")
    assert store.rows("platform_metrics", "value") == [0.0045, 0.0045, 0.0045, 0.015, 0.0, 0.0]


def test_metrics_beyond_a_hundred_percent_and_without_value_are_rejected(store: Store) -> None:
    bad = [platform_metric(value="145%"), platform_metric(2, value="n/a")]
    rows = bad + [platform_metric(n % 30 + 1, window_days=f"{n}") for n in range(1, 41)]
    store.load(rows, "platform_metrics")
    assert store.rejects() == [(2, "value", "out_of_range"), (3, "value", "not_a_number")]


def test_yes_and_no_are_read_in_every_spelling_of_spreadsheets(store: Store) -> None:
    spelt = ["true", "TRUE", "Yes", "1", "false", "FALSE", "no", "0", ""]
    rows = [chat(number, is_automated_reply=text) for number, text in enumerate(spelt)]
    load_whole(store, rows, "chats")
    rows = [chat(number, is_automated_reply=number == 20) for number in (20, 21)]
    load_whole(store, xlsx_bytes(table(rows)), "chats", "chats-2025-04-01.xlsx")
    expected = [True] * 4 + [False] * 4 + [None] + [True, False]
    assert store.rows("chats", "is_automated_reply") == expected


# --- answers of the platform's API ----------------------------------------------------------------

EPOCH = 1741921200  # 10 o'clock of 14 March 2025 in Bangkok


def _json_lines(*records: object) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


@pytest.mark.parametrize("as_text", [int, str])
@pytest.mark.parametrize("stamp", [EPOCH, EPOCH * 1000])
@pytest.mark.parametrize("is_answer", [False, True])
def test_reviews_as_the_platforms_api_gives_them(
    store: Store, as_text: Callable[[int], object], stamp: int, is_answer: bool
) -> None:
    records = [
        {
            "id": as_text(7400000000000000001 + number),
            "order_id": as_text(576461413211900123),
            "product": {"id": as_text(1729384756000000999), "name": "Serum", "image": {"url": ""}},
            "sku": {"id": as_text(1729384756000000111)},
            "rating": as_text(2),
            "content": 'so "so"\nเฉย ๆ',
            "create_time": as_text(stamp),
            "author": {"nickname": "Somchai"},
            "media": [{"type": "image"}, {"type": "video"}],
        }
        for number in range(3)
    ]
    answers = [
        {"code": 0, "message": "Success", "data": {"reviews": part, "total_count": 3}}
        for part in (records[:2], records[2:])
    ]
    lines = _json_lines(*(answers if is_answer else records))
    load_whole(store, lines, "reviews", "reviews-2025-03-31.jsonl")
    assert store.rows(
        "reviews", "review_id", "order_id", "product_id", "sku_id", "rating", "review_text",
        "created_at",
    ) == [
        (f"740000000000000000{n}", "576461413211900123", "1729384756000000999",
         "1729384756000000111", 2, 'so "so"\nเฉย ๆ', TEN_O_CLOCK)
        for n in (1, 2, 3)
    ]  # fmt: skip


@pytest.mark.parametrize("as_text", [int, str])
@pytest.mark.parametrize("is_answer", [False, True])
def test_returns_as_the_platforms_api_gives_them(
    store: Store, as_text: Callable[[int], object], is_answer: bool
) -> None:
    def item(number: int) -> dict[str, object]:
        return {
            "sku_id": as_text(1729384756000000999 + number),
            "seller_sku": f"MY-{number}",
            "refund_amount": {"currency": "THB", "refund_total": f"{number}49.50"},
        }

    record = {
        "return_id": as_text(4035000000000000001),
        "order_id": as_text(576461413211900123),
        "return_type": "REFUND",
        "return_status": "RETURN_OR_REFUND_REQUEST_COMPLETE",
        "arbitration_status": "SUPPORT_SELLER",
        "return_reason": "ecom_order_delivered_refund_reason_wrong_product",
        "return_reason_text": "Wrong product was sent",
        "create_time": as_text(EPOCH),
        "return_line_items": [item(1), item(2)],
        "buyer_user_name": "Somchai",
    }
    answer = {"code": 0, "data": {"return_orders": [record], "next_page_token": ""}}
    lines = _json_lines(answer if is_answer else record)
    load_whole(store, lines, "returns", "returns-2025-03-31.jsonl")
    assert store.rows(
        "returns", "return_order_id", "order_id", "sku_id", "seller_sku", "return_unit_price",
        "return_reason_code", "return_reason", "arbitration_status", "time_requested",
    ) == [
        ("4035000000000000001", "576461413211900123", f"{1729384756000000999 + n}", f"MY-{n}",
         Decimal(f"{n}49.5"), record["return_reason"], "Wrong product was sent", "SUPPORT_SELLER",
         TEN_O_CLOCK)
        for n in (1, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("data", [{"reviews": [], "total_count": 0}, {"total_count": 0}])
def test_an_answer_without_records_is_a_file_without_rows(
    store: Store, data: dict[str, object]
) -> None:
    lines = _json_lines({"code": 0, "message": "Success", "data": data})
    entry = store.load(lines, "reviews", "reviews-2025-03-31.jsonl")
    assert (entry.status, entry.rows_read, entry.message) == ("loaded", 0, "")
    assert entry.exported_at == datetime(2025, 3, 31, 23, 59, 59)


def test_json_lines_without_a_record_are_refused_in_words(store: Store) -> None:
    entry = store.load("no record\n3\n", "reviews", "reviews-2025-03-31.jsonl")
    assert (entry.status, entry.message) == (
        "refused",
        "reviews-2025-03-31.jsonl has no line that is a record; export it again",
    )


@pytest.mark.parametrize("data", [{}, None])
@pytest.mark.parametrize("good", [[], [{"code": 0, "data": {"reviews": [review(1)] * 50}}]])
def test_an_answer_that_reports_an_error_refuses_the_file_for_its_records_are_missing(
    store: Store, good: list[object], data: object
) -> None:
    error = {"code": 105002, "message": "Expired credentials", "data": data}
    entry = store.load(_json_lines(*good, error), "reviews", "reviews-2025-03-31.jsonl")
    assert (entry.status, entry.message) == (
        "refused",
        "reviews-2025-03-31.jsonl holds an answer that reports an error; fetch the records again",
    )


def test_json_lines_in_the_contracts_own_names_are_read_too(store: Store) -> None:
    load_whole(store, _json_lines(review(), review(2)), "reviews", "reviews-2025-03-31.jsonl")
    assert store.rows("reviews", "review_id", "created_at") == [
        (f"740000000000000000{n}", datetime(2025, 3, 20, 9)) for n in (1, 2)
    ]


# --- several shops as sheets of one workbook ------------------------------------------------------


def _sheets(**sheets: Sequence[Row]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name.replace("_", " "))
            for number, cells in enumerate(table(rows)):
                sheet.write_row(number, 0, cells)
    return out.getvalue()


def test_sheets_named_after_shops_are_theirs_each_by_the_rules_of_its_country(
    store: Store,
) -> None:
    date_and_month = {"Created Time": "03/02/2025 10:00:00", "Delivered Time": ""}
    rows = [order(number) | date_and_month for number in range(3)]
    book = _sheets(thai=rows[:2], american=rows[2:], Read_me=[{"Export of": "March"}])
    store.drop(book, "orders", BOOK)
    entries = store.ingest()
    assert {(e.shop_id, e.sheet, e.status, e.rows_loaded) for e in entries} == {
        ("thai", "thai", "loaded", 2),
        ("american", "american", "loaded", 1),
    }
    assert len({e.file_id for e in entries}) == 1
    assert store.rows("orders", "shop_id", "order_id", "created_time") == [
        ("american", "576461413000000002", datetime(2025, 3, 2, 10)),
        ("thai", "576461413000000000", datetime(2025, 2, 3, 10)),
        ("thai", "576461413000000001", datetime(2025, 2, 3, 10)),
    ]
    assert store.ingest() == []


@pytest.mark.parametrize("is_one_run", [True, False])
def test_a_workbook_of_several_shops_under_each_of_them_counts_once(
    store: Store, is_one_run: bool
) -> None:
    book = _sheets(thai=[order()], american=[order(2, Created_Time="03/14/2025")])
    for shop in ("thai", "american"):
        store.drop(book, "orders", BOOK, shop)
        if not is_one_run:
            store.ingest()
    store.ingest()
    assert store.rows("orders", "shop_id") == ["american", "thai"]
    assert sorted(e.shop_id for e in store.current()) == ["american", "thai"]
    assert store.ingest() == []


@pytest.mark.parametrize(
    "sheets",
    [
        {"thai": [order()], "Sheet2": [order(2)]},
        {"thai": [order()], "thai_2": [order(2)]},
        {"Sheet1": [order()], "Sheet2": [order(2)]},
    ],
)
def test_sheets_of_which_one_is_named_after_no_shop_are_refused_together(
    store: Store, sheets: dict[str, list[Row]]
) -> None:
    entry = store.load(_sheets(**sheets), "orders", BOOK)
    shown = ", ".join(sorted(name.replace("_", " ") for name in sheets))
    assert entry.status == "refused"
    assert entry.message == (
        f"{BOOK} has orders on several sheets ({shown}); name each sheet after the shop_id it "
        "belongs to, or save each as a file of its own"
    )
    assert store.rows("orders", "order_id") == []
    assert store.ingest() == []


def test_a_sheet_named_after_a_shop_that_cannot_be_read_is_not_passed_over(store: Store) -> None:
    lacking = [{k: v for k, v in order(2).items() if k != "Delivered Time"}]
    entry = store.load(_sheets(thai=[order()], american=lacking), "orders", "a-2025-03-31.xlsx")
    assert entry.message == (
        "a-2025-03-31.xlsx has a sheet 'american' that lacks the column 'Delivered Time'; "
        "is it really an export of orders?"
    )
    assert store.rows("orders", "order_id") == []


def test_a_workbook_of_which_one_sheet_was_refused_is_not_read_again(store: Store) -> None:
    bad = [order(n, Created_Time="?") for n in range(2, 9)]
    store.drop(_sheets(thai=[order()], american=bad), "orders", "a-2025-03-31.xlsx")
    assert sorted(e.status for e in store.ingest()) == ["loaded", "refused"]
    assert store.ingest() == []


def test_a_lone_sheet_named_after_another_shop_is_refused(store: Store) -> None:
    entry = store.load(_sheets(american=[order()]), "orders", BOOK)
    assert entry.status == "refused"
    assert "lies under thai, but its sheet is called after the shop american" in entry.message


def test_a_later_name_of_a_workbook_of_several_shops_moves_the_time_of_export_of_all(
    store: Store,
) -> None:
    book = _sheets(thai=[order()], american=[order(2, Created_Time="03/14/2025")])
    for name in (BOOK, "orders-2025-04-30 (1).xlsx"):
        store.drop(book, "orders", name)
        store.ingest()
    stamps = {(e.shop_id, e.exported_at) for e in store.current()}
    assert stamps == {(shop, datetime(2025, 4, 30, 23, 59, 59)) for shop in ("thai", "american")}
    assert store.ingest() == []


# --- what is refused whole ------------------------------------------------------------------------


def test_a_file_without_a_required_column_is_refused_by_its_name_and_the_others_go_on(
    store: Store,
) -> None:
    lacking = [{k: v for k, v in order(n).items() if k != "Delivered Time"} for n in range(3)]
    store.drop(lacking, "orders", "a-2025-03-31.csv")
    store.drop([order()], "orders", "b-2025-03-31.csv")
    entries = {e.file_name[0]: e for e in store.ingest()}
    assert [(e.status, e.message) for _, e in sorted(entries.items())] == [
        (
            "refused",
            "a-2025-03-31.csv lacks the column 'Delivered Time'; is it really an export of orders?",
        ),
        ("loaded", ""),
    ]
    assert len(store.rows("orders", "order_id")) == 1


# --- versions, statuses and reasons: what the models make of them ---------------------------------

SAME_RECORDS = ("forward", "backward", "shuffled", "at_once")
"""Shops of the same files: as exported, from the last to the first, at random, all in one run."""


def _day(day: int) -> str:
    return f"{day:02}/03/2025 12:00:00"


def _delivered(number: int, day: int | None, **cells: Any) -> Row:
    return order(number, Delivered_Time=_day(day) if day else "", **cells)


def _review(number: int, rating: int, updated: int | None = None) -> Row:
    stamp = f"2025-03-{updated}T10:00:00" if updated else ""
    return review(number, rating=f"{rating}", created_at="2025-03-21T10:00:00", updated_at=stamp)


TWO_LINES = [
    _delivered(4, 18, Order_Amount="฿500.00"),
    _delivered(4, 18, Order_Amount="฿500.00", SKU_ID="77"),
]
EXPORTS: list[tuple[str, str, list[Row]]] = [
    ("orders", "All order-2025-03-19.csv", [_delivered(1, None), _delivered(2, 17),
                                            _delivered(3, 17), *TWO_LINES]),
    # overlaps the one before; order 3 has vanished
    ("orders", "All order-2025-03-25.csv", [_delivered(1, 20), _delivered(2, 17), *TWO_LINES,
                                            _delivered(5, 22)]),
    ("orders", "All order-2025-03-25 (1).csv", [_delivered(1, 20), _delivered(2, 17), *TWO_LINES,
                                                _delivered(5, 22)]),
    ("returns", "Return order-2025-03-22.csv", [
        request(1, Return_Status="In process", Time_Requested=_day(21)),
        request(2, Return_Status="To process", Time_Requested=_day(21)),
        request(3, Return_Status="Completed", Time_Requested=_day(21)),
    ]),
    # request 1 is amended and rejected, 2 goes on, 3 has vanished
    ("returns", "Return order-2025-03-28.csv", [
        request(1, Return_Status="Refund rejected", Time_Requested=_day(21)),
        request(2, Return_Status="Completed", Time_Requested=_day(21)),
        request(4, Return_Status="Completed", Time_Requested=_day(26)),
        request(5, Return_Status="Completed", Time_Requested=_day(26))
        | {"Order ID": TWO_LINES[1]["Order ID"], "SKU ID": "77"},
    ]),
    ("reviews", "reviews-2025-03-24.csv", [_review(1, 5), _review(2, 1), _review(3, 1)]),
    # reviews 1 and 2 are edited, 3 has vanished
    ("reviews", "reviews-2025-03-30.csv", [_review(1, 2, 26), _review(2, 4, 27)]),
    ("complaints", "complaints-2025-03-24.csv", [
        complaint(1, created_at="2025-03-21T10:00:00", complaint_type="Payments"),
        complaint(2, created_at="2025-03-21T10:00:00"),
    ]),
    # complaint 1 is about something else, 2 has vanished
    ("complaints", "complaints-2025-03-30.csv", [
        complaint(1, created_at="2025-03-21T10:00:00", complaint_subtype="Missing item"),
        complaint(3, created_at="2025-03-26T10:00:00", complaint_type="Fulfillment & Delivery"),
    ]),
    ("chats", "chats-2025-03-24-12_00.csv", [
        chat(1, started_at="2025-03-20T08:00:00", first_reply_at=""), chat(2),
        chat(3, started_at="2025-03-24T08:00:00", first_reply_at=""),
    ]),
    # chat 1 got its reply late, 2 and 3 have vanished
    ("chats", "chats-2025-03-31-12_00.csv", [
        chat(1, started_at="2025-03-20T08:00:00", first_reply_at="2025-03-21T08:00:00"),
        chat(4, started_at="2025-03-31T11:00:00", first_reply_at=""),
    ]),
]  # fmt: skip
DATASETS = ("orders", "returns", "reviews")
HEADERS_ONLY = {"orders": order, "returns": request, "reviews": review}

# Status texts of each language; the last element says whether the request is void.
STATUSES = [
    ("To process", False), ("In process", False), ("Completed", False), ("", False),
    ("Refund rejected", True), ("Rejected", True), ("Canceled", True), ("Cancelled", True),
    ("เสร็จสมบูรณ์", False), ("ปฏิเสธการคืนเงิน", True), ("ยกเลิกแล้ว", True),
    ("Selesai", False), ("Pengembalian dana ditolak", True), ("Dibatalkan", True),
    ("Đã hoàn tất", False), ("Đã từ chối hoàn tiền", True), ("Đã hủy", True),
    ("已完成", False), ("退款被拒绝", True), ("已取消", True),
    (" refund  REJECTED ", True),
]  # fmt: skip
REASONS = {
    "not_as_described": "Product doesn't match description|สินค้าไม่ตรงกับคำอธิบาย"
    "|Produk tidak sesuai deskripsi",
    "wrong_item": "Wrong product sent|Wrong product was sent|Wrong item was sent"
    "|สินค้าไม่ถูกต้อง/ส่งสินค้าผิด",
    "poor_quality": "Poor quality",
    "damaged": "Package or product is damaged|Damaged item or packaging|พัสดุหรือสินค้าเสียหาย"
    "|บรรจุภัณฑ์เสียหาย|Kemasan atau produk rusak",
    "defective": "Product is defective or doesn't work|Defective item|สินค้ามีตำหนิหรือใช้งานไม่ได้",
    "missing_item": "Received parcel, but some items were missing"
    "|Received parcel but items missing|Missing product or accessories|Missing accessories"
    "|Missing items|Missing parts|Missing or broken parts|Package received but missing item"
    "|ได้รับพัสดุแต่มีสินค้าขาดหาย|Paket sudah diterima, tetapi isinya tidak lengkap",
    "suspected_counterfeit": "Suspected counterfeit|สงสัยว่าเป็นของปลอม",
    "empty_parcel": "Empty parcel",
    "expired": "Product is expired/spoiled|สินค้าหมดอายุ",
    "not_received": "Did not receive parcel|Package wasn't received|Missing package|ไม่ได้รับพัสดุ",
    "late_delivery": "Missed estimated delivery date|Package didn't arrive on time",
    "no_longer_needed": "No longer needed"
    "|No longer needed (Item must be in sealed/original condition)|ไม่ต้องการอีกต่อไป",
    "change_of_mind": "Change of mind|Does not suit me|Multiple sizes ordered",
    "size_unsuitable": "Item too big or too small|Item is too big/long|Item is too small/short"
    "|Ordered incorrect size",
    "free_sample_refund": "Congrats on meeting your refundable sample criteria!",
    "cancel_before_shipment": "สินค้ามาถึงไม่ตรงเวลา|ต้องการเปลี่ยนวิธีการชำระเงิน"
    "|จำเป็นต้องเปลี่ยนที่อยู่จัดส่ง|มีราคาที่ดีกว่า",
    "unmapped": "It smells of fish",
}
NOT_THE_SELLERS = {"not_received", "late_delivery", "no_longer_needed", "change_of_mind",
                   "size_unsuitable", "free_sample_refund", "cancel_before_shipment"}  # fmt: skip
REASON_TEXTS = {text: code for code, texts in REASONS.items() for text in texts.split("|")}


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """One published run over shops that each show something."""
    shops = (*SAME_RECORDS, "statuses", "reasons", "quiet", "sheet_a", "sheet_b", "undone")
    lines = [f"{shop},{shop},TH,Asia/Bangkok,THB" for shop in shops]
    store = Store(tmp_path_factory.mktemp("quirks"), "\n".join([SHOPS.split("\n")[0], *lines, ""]))
    _load_versions(store)
    _load_statuses_and_reasons(store)
    _load_covered_shops(store)
    _load_sheets(store)
    with duckdb.connect(str(run_pipeline(store.data.root, date(2025, 3, 31))), read_only=True) as c:
        yield c


def _load_versions(store: Store) -> None:
    for shop in SAME_RECORDS:
        exports = EXPORTS[:: -1 if shop == "backward" else 1]
        if shop == "shuffled":
            random.Random(3).shuffle(exports)
        for dataset, name, rows in exports:
            # the bytes of a file must not be those of another shop's
            store.drop([row | {"Warehouse Name": shop} for row in rows], dataset, name, shop)
            if shop != "at_once":
                store.ingest()
    store.ingest()


def _load_statuses_and_reasons(store: Store) -> None:
    def load(shop: str, requests: list[Row]) -> None:
        numbers = range(len(requests))
        store.drop([_delivered(n, 17, Warehouse_Name=shop) for n in numbers], "orders", shop=shop)
        store.drop(requests, "returns", shop=shop)

    load("reasons", [request(n, Return_Reason=text) for n, text in enumerate(REASON_TEXTS)])
    requests = [request(n, Return_Status=text) for n, (text, _) in enumerate(STATUSES)]
    requests += [
        request(100, Return_Status="Completed", Return_Sub_Status="Request Canceled"),
        request(101, Return_Status="Refund rejected", Refund_Time=_day(25)),
        request(102, Return_Status="", Refund_Time=_day(25)),
    ]
    load("statuses", requests)
    # orders that the numbers above name
    store.drop([_delivered(n, 17) for n in (100, 101, 102)], "orders", "more-2025-03-31.csv",
               "statuses")  # fmt: skip


def _load_covered_shops(store: Store) -> None:
    store.drop([_delivered(1, 17, Warehouse_Name="quiet")], "orders", "o-2025-03-18.csv", "quiet")
    for dataset, make in HEADERS_ONLY.items():
        header = csv_text([[*table([make()])[0], "quiet"]])
        store.drop(header, dataset, f"{dataset}-2025-03-31.csv", "quiet")


def _load_sheets(store: Store) -> None:
    book = _sheets(sheet_a=[_delivered(1, 17)], sheet_b=[_delivered(n, 17) for n in (2, 3)])
    book = _rewritten(book, lambda text: text.replace('name="sheet ', 'name="sheet_'))
    for shop in ("sheet_a", "sheet_b"):
        store.drop(book, "orders", "both-2025-03-31.xlsx", shop)
        header = csv_text([[*table([request()])[0], shop]])
        store.drop(header, "returns", "returns-2025-03-31.csv", shop)
    store.ingest()
    wrong = _sheets(sheet_a=[_delivered(8, 17)], undone=[_delivered(9, 17)])
    wrong = _rewritten(wrong, lambda text: text.replace('name="sheet ', 'name="sheet_'))
    store.drop(wrong, "orders", "wrong-2025-03-31.xlsx", "undone")
    entries = store.ingest()
    assert sorted(e.shop_id for e in entries) == ["sheet_a", "undone"]
    with Ledger.open(store.data.ledger) as ledger:
        assert len(ledger.retract(entries[0].file_id[:12], datetime.now(UTC))) == 2
    assert store.ingest() == []


def _events(marts: duckdb.DuckDBPyConnection, shop: str, *columns: str) -> dict[str, Any]:
    """A shop's events by the number at the end of their id."""
    rows = marts.execute(
        f"select event_id, {', '.join(columns)} from feedback_events where shop_id = ?", [shop]
    ).fetchall()
    return {str(event_id): rest[0] if len(rest) == 1 else rest for event_id, *rest in rows}


def _last_day(marts: duckdb.DuckDBPyConnection, shop: str, *columns: str) -> Any:
    return marts.execute(
        f"select {', '.join(columns)} from shop_metrics_daily "
        "where shop_id = ? and metric_date = date '2025-03-31'",
        [shop],
    ).fetchone()


@pytest.mark.slow
def test_latest_version_of_a_record_counts_and_one_that_vanished_is_kept(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    rules = _events(marts, "forward", "rule", "rating")
    assert {event.split(":")[0] + event.split(":")[1][-2:]: found for event, found in
            rules.items()} == {
        "complaint01": ["counted", None],
        "complaint02": ["counted", None],
        "complaint03": ["reason_not_seller_fault", None],
        "return01": ["voided_by_return_status", None],
        "return02": ["counted", None],
        "return03": ["counted", None],
        "return04": ["counted", None],
        "return05": ["counted", None],
        "review01": ["counted", 2],
        "review02": ["rating_above_2", 4],
        "review03": ["counted", 1],
    }  # fmt: skip


@pytest.mark.slow
def test_overlapping_exports_and_repeated_lines_count_every_order_once(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    counts = ("delivered_orders", "negative_review_orders", "seller_fault_return_orders")
    assert _last_day(marts, "forward", *counts) == (5, 2, 3)
    counts = ("complaint_orders", "negative_feedback_orders", "chats", "chats_replied_in_time")
    assert _last_day(marts, "forward", *counts) == (2, 4, 3, 1)


# These have nothing to say of records so few.
SILENT = {"watchlist", "reconciliation"}


@pytest.mark.slow
@pytest.mark.parametrize("mart", [mart for mart in MARTS if mart not in SILENT])
@pytest.mark.parametrize("shop", SAME_RECORDS[1:])
def test_order_of_loading_does_not_matter(
    marts: duckdb.DuckDBPyConnection, shop: str, mart: str
) -> None:
    columns = "* exclude (shop_id, file_id)" if mart == "feedback_events" else "* exclude (shop_id)"
    query = f"select {columns} from {mart} where shop_id = ? order by all"
    expected = marts.execute(query, ["forward"]).fetchall()
    assert expected
    assert marts.execute(query, [shop]).fetchall() == expected


@pytest.mark.slow
def test_the_same_bytes_under_a_name_with_a_number_are_the_same_file(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    found = marts.execute(
        "select shop_id, count(*) from files where dataset = 'orders' and shop_id in "
        "(select unnest(?)) group by all order by all",
        [list(SAME_RECORDS)],
    ).fetchall()
    assert found == [(shop, 2) for shop in sorted(SAME_RECORDS)]


@pytest.mark.slow
def test_statuses_of_every_language_void_a_request_or_not(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    rules = _events(marts, "statuses", "rule", "unknown_status")
    by_number = {int(event.split(":")[1]) - 4035000000000000000: r for event, r in rules.items()}
    expected = {
        number: ["voided_by_return_status" if is_void else "counted", None]
        for number, (_, is_void) in enumerate(STATUSES)
    }
    expected |= {
        100: ["voided_by_return_sub_status", None],
        101: ["voided_by_return_status", None],
        102: ["counted", None],
    }
    assert by_number == expected


@pytest.mark.slow
def test_reason_texts_of_every_language_have_their_code(marts: duckdb.DuckDBPyConnection) -> None:
    codes = _events(marts, "reasons", "text", "reason_code", "rule", "unmapped_reason")
    assert {text: code for text, code, _, _ in codes.values()} == REASON_TEXTS
    for text, code, rule, unmapped in codes.values():
        expected = "reason_not_seller_fault" if code in NOT_THE_SELLERS else "counted"
        assert rule == ("reason_unmapped" if code == "unmapped" else expected), text
        assert unmapped == (text if code == "unmapped" else None)


@pytest.mark.slow
def test_headers_without_rows_move_the_day_until_which_a_shop_is_covered(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    columns = ("delivered_orders", "nrr_state", "sfrr_state", "nrr", "sfrr")
    assert _last_day(marts, "quiet", *columns) == (1, "ok", "ok", 0, 0)


@pytest.mark.slow
def test_orders_of_a_workbook_of_several_shops_count_once_for_each_and_not_once_retracted(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    assert _last_day(marts, "sheet_a", "delivered_orders") == (1,)
    assert _last_day(marts, "sheet_b", "delivered_orders") == (2,)
    assert _last_day(marts, "undone", "delivered_orders") is None
