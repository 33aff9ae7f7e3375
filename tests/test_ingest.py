"""Ingest from landing folder to raw store: what is accepted, what is named, what is never kept."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import random
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_project.lib import ingest as ingest_module
from dagster_project.lib import loader as loader_module
from dagster_project.lib.contracts import load_dataset, load_datasets
from dagster_project.lib.errors import ConfigurationError, DamagedError
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import CONTRACTS_DIR
from dagster_project.lib.raw_store import LINEAGE
from dagster_project.lib.text import BLANKS
from dagster_project.lib.warehouse import open_warehouse, prepare_warehouse
from tests.exports_helper import (
    MAKERS,
    SHOPS,
    Row,
    Store,
    csv_text,
    order,
    product,
    request,
    review,
    table,
    xlsx_bytes,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


# --- what a row becomes ---------------------------------------------------------------------------


def test_an_order_line_is_stored_typed_with_its_origin(store: Store) -> None:
    row = order(
        Seller_SKU="MY-1\t", Quantity="2", Order_Amount="฿1,249.00", Variation="\t",
        Order_Status="เสร็จสมบูรณ์", Recipient="Somchai",
    )  # fmt: skip
    path = store.drop([row], "orders", "All order-2025-03-31-17_00.csv")
    (entry,) = store.ingest()
    assert (entry.status, entry.rows_read, entry.rows_loaded, entry.rows_rejected) == (
        "loaded", 1, 1, 0,
    )  # fmt: skip
    assert entry.file_id == hashlib.sha256(path.read_bytes()).hexdigest()
    (batch,) = (store.data.raw / "orders").iterdir()
    assert batch.stem == entry.batch_id
    (stored,) = duckdb.sql(f"from '{batch}'").fetchall()
    columns = [name for name, *_ in duckdb.sql(f"describe from '{batch}'").fetchall()]
    assert dict(zip(columns, stored, strict=True)) == {
        "shop_id": "thai",
        "order_id": "576461413000000001",
        "sku_id": "1729384756000000001",
        "seller_sku": "MY-1",
        "product_name": "Serum",
        "variation": None,
        "order_status": "เสร็จสมบูรณ์",
        "order_substatus": None,
        "quantity": 2,
        "sku_subtotal_after_discount": None,
        "order_amount": Decimal("1249.00"),
        "created_time": datetime(2025, 3, 14, 10),
        "delivered_time": datetime(2025, 3, 16, 17, 30),
        "cancelled_time": None,
        "product_category": None,
        "_file_id": entry.file_id,
        "_row_number": 2,
        "_exported_at": datetime(2025, 3, 31, 17),
        "_missing_columns": ",order_substatus,sku_subtotal_after_discount,cancelled_time,"
        "product_category,",
    }


@pytest.mark.parametrize("dataset", load_datasets())
def test_raw_columns_have_the_types_of_the_contract(store: Store, dataset: str) -> None:
    store.load([MAKERS[dataset]()], dataset)
    described = duckdb.sql(f"describe from '{store.data.raw}/{dataset}/*.parquet'").fetchall()
    expected = {c.name: c.type for c in load_datasets()[dataset].columns} | LINEAGE
    assert {name: kind for name, kind, *_ in described} == expected


def test_a_file_with_all_columns_misses_none(store: Store) -> None:
    cells = {c.headers[0]: "" for c in load_datasets()["products"].columns}
    store.load([cells | product()])
    assert store.rows("products", "_missing_columns") == [","]


def test_the_first_columns_of_a_layout_are_noted_in_the_ledger(store: Store) -> None:
    entry = store.load([product()])
    assert entry.layout == "product_id,sku_id,product_name"


@pytest.mark.parametrize("text", ["Platform unique order ID.", "รหัสคำสั่งซื้อ"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_row_of_descriptions_under_the_header_is_no_row(
    store: Store, text: str, kind: str
) -> None:
    header, row = table([order()])
    description = [text, *["Platform SKU ID." for _ in header[1:]]]
    cells = [header, description, row]
    content = csv_text(cells) if kind == "csv" else xlsx_bytes(cells)
    entry = store.load(content, "orders", f"orders-2025-03-31.{kind}")
    assert (entry.rows_read, entry.rows_loaded, entry.rows_rejected) == (1, 1, 0)
    assert store.rows("orders", "_row_number") == [3]


def test_a_row_of_descriptions_of_another_length_is_no_row_either(store: Store) -> None:
    header, row = table([order()])
    entry = store.load(csv_text([header, ["Platform unique order ID."], row]), "orders")
    assert (entry.rows_read, entry.rows_loaded) == (1, 1)


def test_descriptions_further_down_are_rejected_not_dropped(store: Store) -> None:
    rows = [order(number) for number in range(30)]
    store.load([*rows, order(Order_ID="Platform unique order ID.", Created_Time="-")], "orders")
    assert store.rejects() == [(32, "Created Time", "not_a_timestamp")]


def test_a_line_without_sku_takes_the_sellers_code(store: Store) -> None:
    store.load([order(SKU_ID="", Seller_SKU="MY-1"), order(2, Seller_SKU="MY-2")], "orders")
    assert store.rows("orders", "sku_id") == ["seller_sku:MY-1", "1729384756000000002"]


def test_older_returns_without_later_columns_are_accepted(store: Store) -> None:
    entry = store.load([request()], "returns")
    assert entry.status == "loaded"
    assert store.rows("returns", "return_sub_status", "refund_time") == [(None, None)]


def test_a_workbook_with_dates_and_numbers_as_such_is_accepted(store: Store) -> None:
    row = order(
        Created_Time=datetime(2025, 3, 14, 10), Delivered_Time=datetime(2025, 3, 16), Quantity=2,
        Order_Amount=1249.5,
    )  # fmt: skip
    store.load(xlsx_bytes(table([row])), "orders", "orders-2025-03-31.xlsx")
    assert store.rows(
        "orders", "order_id", "created_time", "delivered_time", "quantity", "order_amount"
    ) == [
        (
            "576461413000000001",
            datetime(2025, 3, 14, 10),
            datetime(2025, 3, 16),
            2,
            Decimal("1249.50"),
        )
    ]


def test_american_orders_are_month_first_while_american_returns_are_day_first(
    store: Store,
) -> None:
    store.drop(
        [order(Created_Time="03/04/2025 10:00:00 PM", Delivered_Time="")],
        "orders", shop="american", name="orders-2025-04-30.csv",
    )  # fmt: skip
    store.drop(
        [request(Time_Requested="03/04/2025 10:00:00")],
        "returns", shop="american", name="returns-2025-04-30.csv",
    )  # fmt: skip
    store.ingest()
    assert store.rows("orders", "created_time") == [datetime(2025, 3, 4, 22)]
    assert store.rows("returns", "time_requested") == [datetime(2025, 4, 3, 10)]


def test_times_with_an_offset_are_stored_in_shop_time(store: Store) -> None:
    rows = [review(created_at="2025-03-20T03:30:00Z")]
    store.drop(rows, "reviews", shop="american")
    store.drop([*rows, review(2)], "reviews", shop="thai")
    store.ingest()
    assert store.rows("reviews", "shop_id", "created_at")[:2] == [
        ("american", datetime(2025, 3, 19, 23, 30)),
        ("thai", datetime(2025, 3, 20, 10, 30)),
    ]


# --- what is rejected, by name --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "bad", "column", "rule"),
    [
        ("orders", order(Order_ID=""), "Order ID", "required"),
        ("orders", order(SKU_ID="\t"), "SKU ID", "required"),
        ("orders", order(Order_ID="5.76461E+17"), "Order ID", "digits_lost"),
        ("orders", order(Order_ID="5,76461E+17"), "Order ID", "digits_lost"),
        ("orders", order(SKU_ID="5e+17"), "SKU ID", "digits_lost"),
        ("orders", order(SKU_ID="576461413211900000.0"), "SKU ID", "digits_lost"),
        ("orders", order(Order_ID="5" * 65), "Order ID", "too_long"),
        ("orders", order(Created_Time=""), "Created Time", "required"),
        ("orders", order(Created_Time="31/02/2025 10:00:00"), "Created Time", "not_a_timestamp"),
        ("orders", order(Delivered_Time="03/16/2025"), "Delivered Time", "not_a_timestamp"),
        ("orders", order(Created_Time="14/03/2009"), "Created Time", "out_of_range"),
        ("orders", order(Delivered_Time="14/03/2099"), "Delivered Time", "event_after_export"),
        ("orders", order(Quantity="2.5"), "Quantity", "not_an_integer"),
        ("orders", order(Quantity="-1"), "Quantity", "out_of_range"),
        ("orders", order(Order_Amount="gratis"), "Order Amount", "not_a_number"),
        ("orders", order(Product_Name=""), "Product Name", "required"),
        ("returns", request(Time_Requested="soon"), "Time Requested", "not_a_timestamp"),
        ("reviews", review(rating="0"), "rating", "out_of_range"),
        ("reviews", review(rating="6"), "rating", "out_of_range"),
        ("reviews", review(rating="2.5"), "rating", "not_an_integer"),
        ("reviews", review(rating=""), "rating", "required"),
        ("products", product(product_id="1.72938E+18"), "product_id", "digits_lost"),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_by_name(
    store: Store, dataset: str, bad: Row, column: str, rule: str
) -> None:
    entry = store.load_among_good(dataset, bad)
    assert store.rejects() == [(2, column, rule)]
    assert (entry.status, entry.rows_rejected, entry.rows_loaded) == ("loaded", 1, 20)
    assert 2 not in store.rows(dataset, "_row_number")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (order(Created_Time="x"), "the value is no date and time of the form day/month/year"),
        (order(Quantity="-1"), "the value lies outside 0 …"),
        (order(Created_Time="14/03/2009"), "the value lies outside 2010-01-01 …"),
        (order(SKU_ID="5e+17"), "a spreadsheet has cut the number's digits; export the file again"),
    ],
)
def test_the_message_says_what_is_wrong_without_the_value(
    store: Store, bad: Row, message: str
) -> None:
    store.load_among_good("orders", bad)
    assert store.ledger_rows("select message from rejected_rows") == [(message,)]


def test_a_range_with_two_ends_is_named_with_both(store: Store) -> None:
    store.load_among_good("reviews", review(rating="7"))
    assert store.ledger_rows("select message from rejected_rows") == [
        ("the value lies outside 1 … 5",)
    ]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("1,2,a,b", "too_many_cells"),
        ("1,2,a,,,b", "too_many_cells"),
        ("1,2", "too_few_cells"),
    ],
)
def test_a_row_of_another_length_than_the_header_is_rejected_by_name(
    store: Store, row: str, rule: str
) -> None:
    good = csv_text(table([product(number) for number in range(20)]))
    entry = store.load(f"{good}{row}\n")
    assert store.rejects() == [(22, "", rule)]
    assert entry.rows_read == 21


def test_a_numeric_id_of_a_workbook_is_rejected_because_its_digits_are_lost(store: Store) -> None:
    rows = [order(number) for number in range(20)]
    cells = table([*rows, order(Order_ID=576461413000000001)])
    store.load(xlsx_bytes(cells), "orders", "orders-2025-03-31.xlsx")
    assert store.rejects() == [(22, "Order ID", "digits_lost")]


def test_each_row_is_rejected_once_by_the_first_rule_it_breaks(store: Store) -> None:
    store.load_among_good("orders", order(Order_ID="", Created_Time="x", Quantity="y"))
    assert store.rejects() == [(2, "Order ID", "required")]


def test_an_event_up_to_a_day_after_the_export_is_believed(store: Store) -> None:
    rows = [order(number) for number in range(40)]
    rows += [
        order(50, Delivered_Time="01/04/2025 17:00:00"),
        order(51, Delivered_Time="01/04/2025 17:00:01"),
    ]
    store.load(rows, "orders", "All order-2025-03-31-17_00.csv")
    assert store.rejects() == [(43, "Delivered Time", "event_after_export")]


def test_row_numbers_of_rejects_are_those_of_the_spreadsheet(store: Store) -> None:
    rows = [product(number, product_name="two\nlines") for number in range(25)]
    text = csv_text([["March"], [], *table(rows), [], ["", "1", "x"]])
    store.load(text)
    assert store.rejects() == [(30, "product_id", "required")]
    store = Store(store.data.root / "book")
    store.load(
        xlsx_bytes([["March"], [], *table(rows), [], ["", "1", "x"]], first_row=3),
        name="products-2025-03-31.xlsx",
    )
    assert store.rejects() == [(33, "product_id", "required")]


def test_up_to_one_row_in_twenty_may_be_rejected(store: Store) -> None:
    rows = [product(number) for number in range(19)]
    assert store.load([*rows, product(product_id="")]).status == "loaded"


def test_more_than_one_row_in_twenty_refuses_the_file_and_names_the_commonest_fault(
    store: Store,
) -> None:
    rows = [product(number) for number in range(30)]
    rows += [product(product_id=""), product(sku_id=""), product(sku_id="")]
    entry = store.load(rows, name="products-2025-03-31.csv")
    assert entry.status == "refused"
    assert entry.message == (
        "products-2025-03-31.csv has 3 of 33 rows rejected, more than 5 %; "
        "most often sku_id: the value is missing (row 33)"
    )
    assert (entry.rows_read, entry.rows_loaded, entry.rows_rejected) == (33, 0, 3)
    assert store.rows("products", "sku_id") == []
    assert len(store.rejects()) == 3


def test_naming_the_commonest_fault_of_many_rejects_is_quick(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "commit_batch", lambda *_: None)
    started = datetime.now(UTC)
    entry = store.load([product(number, product_id="") for number in range(20_000)])
    assert entry.rows_rejected == 20_000
    assert datetime.now(UTC) - started < timedelta(seconds=5)


# --- which files are taken ------------------------------------------------------------------------


def test_a_header_without_rows_is_a_valid_file(store: Store) -> None:
    entry = store.load(csv_text([table([order()])[0]]), "orders", "orders-2025-03-31.csv")
    assert (entry.status, entry.rows_read) == ("loaded", 0)
    assert entry.exported_at == datetime(2025, 3, 31, 23, 59, 59)


def test_a_header_without_rows_and_without_time_of_export_is_refused_with_the_way_out(
    store: Store,
) -> None:
    entry = store.load(csv_text([table([order()])[0]]), "orders", "orders.csv")
    assert entry.status == "refused"
    assert "give it a name such as 'orders-2026-01-31-17_00.csv'" in entry.message


def test_without_time_in_the_name_the_latest_event_is_the_time_of_export(store: Store) -> None:
    rows = [order(), order(2, Delivered_Time="17/03/2025 08:00:00")]
    entry = store.load(rows, "orders", "orders.csv")
    assert entry.exported_at == datetime(2025, 3, 17, 8)


def test_products_have_no_events_so_their_file_needs_a_time_in_its_name(store: Store) -> None:
    assert "has no time stamp in its name" in store.load([product()], name="p.csv").message


@pytest.mark.parametrize("folder", ["complaint", "ORDERS", "orders/2025", "."])
def test_a_folder_that_is_no_dataset_is_refused_naming_those_that_are(
    store: Store, folder: str
) -> None:
    entry = store.load([order()], folder, "orders-2025-03-31.csv")
    assert entry.status == "refused"
    assert f"no known dataset folder; these are {', '.join(load_datasets())}" in entry.message


def test_one_bad_file_does_not_stop_the_others(store: Store) -> None:
    store.drop(b"\xff\xfe\x00", "orders", "a-2025-03-31.csv")
    store.drop(b"PK", "orders", "b-2025-03-31.xlsx")
    store.drop("", "orders", "c-2025-03-31.csv")
    store.drop([order()], "orders", "d-2025-03-31.csv")
    assert [e.status for e in store.ingest()] == ["refused", "refused", "refused", "loaded"]
    for entry in store.current():
        assert entry.status == "loaded" or entry.message.startswith(entry.file_name)


def test_a_fault_of_the_database_refuses_the_file_without_its_content(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise duckdb.ConversionException("secret cell")

    monkeypatch.setattr(loader_module, "find_date_formats", fail)
    entry = store.load([product()], name="p-2025-03-31.csv")
    assert entry.message == "p-2025-03-31.csv cannot be read (ConversionException)"


def test_folders_of_unknown_shops_stop_the_ingest_where_nothing_else_is_there(store: Store) -> None:
    store.drop([order()], "orders", shop="stranger")
    with pytest.raises(ConfigurationError, match="stranger is no shop"):
        store.ingest()
    store.drop([order()], "orders")
    assert [entry.shop_id for entry in store.ingest()] == ["thai"]


def test_progress_names_the_files(store: Store) -> None:
    store.drop([product()])
    said: list[str] = []
    with Ledger.open(store.data.ledger) as ledger:
        ingest_module.ingest(store.data, ledger, said.append)
    assert said == ["reading file 1 of 1: thai/products/export-2025-03-31.csv"]


# --- again, later, elsewhere ----------------------------------------------------------------------


def test_the_same_file_twice_changes_nothing(store: Store) -> None:
    store.load([order()], "orders")
    before = store.rows("orders", "*"), store.current()
    assert store.ingest() == []
    store.drop([order()], "orders", "copy of export-2025-03-31.csv")
    assert store.ingest() == []
    assert (store.rows("orders", "*"), store.current()) == before


def test_a_name_with_new_content_is_a_new_file(store: Store) -> None:
    store.load([product()])
    store.load([product(product_name="Serum 2")])
    assert sorted(store.rows("products", "product_name")) == ["Serum", "Serum 2"]


def test_deleting_a_file_does_not_undo_it(store: Store) -> None:
    store.drop([product()]).unlink(store.ingest() == [])
    assert store.ingest() == []
    assert len(store.rows("products", "*")) == 1


@pytest.mark.parametrize("order_of_arrival", [1, -1])
def test_every_version_is_kept_whatever_the_order_of_arrival(
    store: Store, order_of_arrival: int
) -> None:
    exports = [
        ("orders-2025-03-20.csv", order(Delivered_Time="")),
        ("orders-2025-03-31.csv", order()),
    ]
    for name, row in exports[::order_of_arrival]:
        store.load([row], "orders", name)
    assert store.rows("orders", "_exported_at", "delivered_time") == [
        (datetime(2025, 3, 20, 23, 59, 59), None),
        (datetime(2025, 3, 31, 23, 59, 59), datetime(2025, 3, 16, 17, 30)),
    ]


@pytest.mark.parametrize("is_one_run", [True, False])
def test_known_bytes_under_a_later_name_move_the_time_of_export(
    store: Store, is_one_run: bool
) -> None:
    names = ["orders-2025-03-20.csv", "orders-2025-03-31.csv", "orders-2025-03-25.csv"]
    for name in names:
        store.drop([order()], "orders", name)
        if not is_one_run:
            store.ingest()
    store.ingest()
    (entry,) = store.current()
    assert entry.exported_at == datetime(2025, 3, 31, 23, 59, 59)
    assert store.rows("orders", "_exported_at") == [entry.exported_at]
    assert store.ingest() == []


def test_known_bytes_take_no_time_of_the_future_and_give_theirs_up_for_any_other(
    store: Store,
) -> None:
    right = datetime(2025, 3, 20, 23, 59, 59)
    store.drop([order()], "orders", "orders-2099-03-31.csv")
    assert [e.exported_at for e in store.ingest()] == [datetime(2099, 3, 31, 23, 59, 59)]
    store.drop([order()], "orders", "orders-2025-03-20.csv")  # beside the other
    assert [e.exported_at for e in store.ingest()] == [right]
    store.drop([order()], "orders", "orders-2098-03-31.csv")
    assert store.ingest() == []
    assert [e.exported_at for e in store.current()] == [right]
    assert store.rows("orders", "_exported_at") == [right]


def test_a_withdrawn_file_under_two_names_is_not_read_again_and_again(store: Store) -> None:
    for name in ("orders-2025-03-31.csv", "orders-2025-03-20.csv"):
        store.drop([order()], "orders", name)
    (entry,) = store.ingest()
    with Ledger.open(store.data.ledger) as ledger:
        ledger.withdraw([("thai", "orders", entry.file_id)], "a_rule", "r1")
    assert store.ingest() == []
    (store.data.landing / "thai" / "orders" / "orders-2025-03-31.csv").unlink()
    assert store.ingest() == []


def test_the_same_rows_under_two_shops_are_refused_naming_both(store: Store) -> None:
    first = store.load([product()])
    second = store.load([product()], shop="american")
    assert second.status == "refused"
    assert "very bytes of a file of thai; it lies under american by mistake" in second.message
    assert f"retract {first.file_id[:12]}" in second.message
    assert store.rows("products", "shop_id") == ["thai"]
    assert store.ingest() == []


def test_the_same_rows_under_two_shops_in_one_run_are_refused_too(store: Store) -> None:
    store.drop([product()], shop="thai")
    store.drop([product()], shop="american")
    assert [(e.shop_id, e.status) for e in store.ingest()] == [
        ("american", "loaded"),
        ("thai", "refused"),
    ]
    assert store.ingest() == []


def test_a_header_without_rows_may_lie_under_several_shops(store: Store) -> None:
    header = csv_text([table([product()])[0]])
    store.drop(header, shop="thai")
    store.drop(header, shop="american")
    assert [e.status for e in store.ingest()] == ["loaded", "loaded"]


def test_a_file_refused_as_another_shops_is_taken_once_that_is_retracted(store: Store) -> None:
    first = store.load([product()])
    store.load([product()], shop="american")
    with Ledger.open(store.data.ledger) as ledger:
        ledger.retract(first.file_id[:12], datetime.now(UTC))
    assert [(e.shop_id, e.status) for e in store.ingest()] == [("american", "loaded")]
    assert store.ingest() == []


def test_a_refused_file_is_not_tried_again_without_cause(store: Store) -> None:
    store.load("no,header\n", name="a-2025-03-31.csv")
    store.drop("no,header\n", name="b-2025-03-31.csv")
    assert store.ingest() == []


def test_a_file_refused_for_its_name_is_taken_under_a_better_one(store: Store) -> None:
    path = store.drop([product()], name="products.txt")
    for name, status in [
        ("products.csv", "refused"),
        ("products-2025-03-31.csv", "loaded"),
    ]:
        store.ingest()
        path = path.rename(path.with_name(name))
        assert [e.status for e in store.ingest()] == [status]
    assert store.ingest() == []


def test_of_two_names_for_the_same_bytes_the_better_one_counts(store: Store) -> None:
    for name in ("products-2025-03-31.csv.txt", "products.csv", "products-2025-03-31.csv"):
        store.drop([product()], name=name)
    assert [(e.file_name, e.status) for e in store.ingest()] == [
        ("products-2025-03-31.csv", "loaded")
    ]
    assert store.ingest() == []


def test_a_loaded_shop_without_its_line_stops_the_load_until_its_files_are_retracted(
    store: Store,
) -> None:
    entry = store.load([product()], shop="american")
    without = "".join(li for li in SHOPS.splitlines(keepends=True) if "american" not in li)
    store.data.shops_csv.write_text(without)
    store.drop([product()], shop="thai")
    with pytest.raises(ConfigurationError, match=r"^shops\.csv lacks the line of american, whose"):
        store.ingest()
    with Ledger.open(store.data.ledger) as ledger:
        ledger.withdraw([("american", "products", entry.file_id)], "a_rule", "r1")
    with pytest.raises(ConfigurationError, match="lacks the line of american, whose"):
        store.ingest()
    with Ledger.open(store.data.ledger) as ledger:
        assert [e.file_id for e in ledger.retract_shop("american", ledger.next_moment())] == [
            entry.file_id
        ]
        assert ledger.retract_shop("american", ledger.next_moment()) == []
    assert [e.shop_id for e in store.ingest()] == ["thai"]


def test_nothing_but_what_belongs_to_no_shop_is_an_error_until_something_was_found(
    store: Store,
) -> None:
    stray = store.drop([product()], "products", shop="no-shop")
    (store.data.landing / "thai").mkdir()
    with pytest.raises(ConfigurationError, match=r"^landing/no-shop is no shop of shops\.csv"):
        store.ingest()
    loaded = store.drop([product()], shop="thai")
    with Ledger.open(store.data.ledger) as ledger:
        assert ingest_module.ingest(store.data, ledger, growing={loaded}).files == ()
    assert [e.shop_id for e in store.ingest()] == ["thai"]
    loaded.unlink()
    assert store.ingest() == []
    assert stray.exists()


def test_a_refused_file_is_tried_again_when_its_shop_changes(store: Store) -> None:
    rows = [
        order(number, Created_Time=f"{number:02}/04/2025", Delivered_Time="")
        for number in range(1, 13)
    ]
    store.load(rows, "orders", "orders-2025-04-20.csv", "american")
    assert store.current()[0].status == "refused"  # month first, most lie in the future
    store.data.shops_csv.write_text(SHOPS.replace("American Shop,US", "American Shop,CA"))
    assert [e.status for e in store.ingest()] == ["loaded"]
    assert store.ingest() == []


def test_a_refused_file_is_tried_again_when_its_contract_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {name: cell for name, cell in order().items() if name != "Delivered Time"}
    assert store.load([row], "orders").status == "refused"
    contract = (CONTRACTS_DIR / "orders.yaml").read_text(encoding="utf-8")
    (tmp_path / "orders.yaml").write_text(
        contract.replace(", {property: requiredHeader, value: true}", ""), encoding="utf-8"
    )
    changed = {"orders": load_dataset(tmp_path / "orders.yaml")}
    monkeypatch.setattr(loader_module, "load_datasets", lambda: changed)
    assert [e.status for e in store.ingest()] == ["loaded"]
    assert store.ingest() == []


def test_a_file_that_was_loaded_is_not_read_again_when_its_contract_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.load([order()], "orders")
    orders = dataclasses.replace(load_datasets()["orders"], fingerprint="another")
    monkeypatch.setattr(loader_module, "load_datasets", lambda: {"orders": orders})
    assert store.ingest() == []


def test_a_retracted_file_leaves_the_warehouse_and_does_not_come_back(store: Store) -> None:
    store.drop([order()], "orders", "orders-2025-03-20.csv")
    store.drop([order(2)], "orders", "orders-2025-03-31.csv")
    first, _ = store.ingest()
    with Ledger.open(store.data.ledger) as ledger:
        assert ledger.retract(first.file_id[:12], datetime.now(UTC)) == [first]
        prepare_warehouse(store.data, ledger, "run", None, "inputs")
    with open_warehouse(store.data.warehouse, read_only=True) as con:
        assert con.sql("select order_id from raw.orders").fetchall() == [("576461413000000002",)]
    store.drop([order()], "orders", "orders-2025-04-30.csv")
    assert store.ingest() == []


# --- the raw store --------------------------------------------------------------------------------


def test_a_batch_has_one_parquet_file_per_dataset(store: Store) -> None:
    store.drop([order()], "orders", "orders-2025-03-20.csv")
    store.drop([order(2)], "orders", "orders-2025-03-31.csv")
    store.drop([product()], "products")
    (batch_id,) = {e.batch_id for e in store.ingest()}
    assert sorted(p.relative_to(store.data.raw).as_posix() for p in store.data.raw.glob("*/*")) == [
        f"orders/{batch_id}.parquet",
        f"products/{batch_id}.parquet",
    ]


def test_nothing_new_writes_nothing(store: Store) -> None:
    assert store.ingest() == []
    assert not store.data.raw.exists()
    assert store.current() == []


def test_litter_of_a_dead_run_is_cleared(store: Store) -> None:
    store.load([product()])
    litter = [
        store.data.raw / "products" / "20250101T000000-abcdef.parquet",
        store.data.raw / "orders" / "20250101T000000-abcdef.parquet",
        store.data.tmp / "duckdb_temp_storage.tmp",
        store.data.spill / "duckdb_temp_1_0_storage_DEFAULT-0.tmp",
    ]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a file")
    store.ingest()
    assert not any(path.exists() for path in litter)
    assert len(store.rows("products", "*")) == 1


def test_what_a_killed_run_spilled_is_cleared(store: Store) -> None:
    """DuckDB leaves it where it is when the warehouse is opened again."""
    spill = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1], config={'memory_limit': '100MB'}); "
        "c.execute('create table t as select hash(range) as a, repeat(range::varchar, 9) as b '"
        "'from range(3000000) order by a')"
    )
    with subprocess.Popen([sys.executable, "-c", spill, str(store.data.warehouse)]) as program:
        deadline = time.monotonic() + 60
        while not list(store.data.spill.glob("*storage*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        program.kill()
    with open_warehouse(store.data.warehouse):
        assert list(store.data.spill.glob("*storage*"))
    store.ingest()
    assert not store.data.spill.exists()


def test_what_an_older_ledger_lost_is_no_litter_unless_it_can_be_read_again(store: Store) -> None:
    store.load([order(3)], "orders", "orders-2025-04-10.csv")
    older = store.data.ledger.read_bytes()
    first = store.drop([order()], "orders", "orders-2025-03-20.csv")
    second = store.drop([order(2)], "orders", "orders-2025-03-31.csv")
    store.ingest()
    store.data.ledger.write_bytes(older)
    content = second.read_bytes()
    for path in (first, second):
        path.unlink()
    half = store.data.raw / "orders" / "half.parquet"
    half.write_bytes(b"half a file")
    begun = store.data.raw / "orders" / "begun.part"
    begun.write_bytes(next(store.data.raw.glob("orders/*.parquet")).read_bytes())
    before = sorted(store.data.raw.rglob("*"))
    for _ in range(2):  # the one export that is back is not all of the batch
        with pytest.raises(DamagedError, match=r"may be all there is of exports that neither"):
            store.ingest()
        assert sorted(store.data.raw.rglob("*")) == before
        store.drop(content, "orders", "orders-2025-03-31.csv")
    store.drop([order()], "orders", "orders-2025-03-20.csv")
    assert [entry.status for entry in store.ingest()] == ["loaded", "loaded"]
    assert len(store.rows("orders", "*")) == 3
    assert not half.exists()
    assert not begun.exists()


def test_a_batch_that_was_not_written_to_its_end_is_litter_by_its_names(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = store.drop([order()], "orders", "orders-2025-03-20.csv")
    store.drop([product()])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _die)
        with pytest.raises(KeyboardInterrupt):
            store.ingest()
    assert len(list(store.data.raw.glob("*/*"))) == 2
    store.drop([order(2)], "orders", orders.name)  # written over
    assert {e.status for e in store.ingest()} == {"loaded"}
    assert len(list(store.data.raw.glob("*/*"))) == 2


def test_an_export_that_was_refused_is_not_what_the_ledger_has(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit_batch", _die)
        path = store.drop([product()])
        with pytest.raises(KeyboardInterrupt):
            store.ingest()
    (written,) = store.data.raw.glob("*/*")
    lost = written.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(loader_module, "read_tables", _fail)
        assert [e.status for e in store.ingest()] == ["refused"]
    path.unlink()
    written.write_bytes(lost)
    with pytest.raises(DamagedError):
        store.ingest()
    with Ledger.open(store.data.ledger) as ledger:
        ledger.con.execute("update files set status = 'loaded'")
    store.ingest()
    assert not written.exists()


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(*_: object) -> None:
    raise duckdb.Error("no such table")


def test_a_batch_that_the_ledger_does_not_have_does_not_exist(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit_batch", _die)
        store.drop([product()])
        with pytest.raises(KeyboardInterrupt):
            store.ingest()
    assert len(list(store.data.raw.glob("*/*"))) == 1
    assert [e.status for e in store.ingest()] == ["loaded"]
    assert len(store.rows("products", "*")) == 1


# --- what is never kept, never touched ------------------------------------------------------------


def _written(store: Store) -> Iterator[tuple[str, bytes]]:
    """All that was written: the bytes of each file, and what Parquet and ledger hold, decoded."""
    for path in store.data.root.rglob("*"):
        if path.is_file() and not path.is_relative_to(store.data.landing):
            yield path.name, path.read_bytes()
            if path.suffix == ".parquet":
                yield f"decoded {path.name}", str(duckdb.sql(f"from '{path}'").fetchall()).encode()
    with Ledger.open(store.data.ledger) as ledger:
        for (name,) in ledger.con.sql("select table_name from duckdb_tables()").fetchall():
            yield f"ledger {name}", str(ledger.con.sql(f"from {name}").fetchall()).encode()


def test_no_personal_string_is_written_anywhere_rejects_included(store: Store) -> None:
    personal: list[str] = []

    def add_personal(row: Row, dataset: str) -> Row:
        for header in load_datasets()[dataset].personal_headers:
            personal.append(f"Xq{len(personal):05}Zv")
            row[header] = f"เจ้า {personal[-1]} ของ"
        return row

    makers = {"orders": order, "returns": request}
    for dataset, maker in makers.items():
        rows = [add_personal(maker(number), dataset) for number in range(60)]
        rows[3]["Order ID"] = ""
        header, *cells = table(rows)
        moved = add_personal(maker(99), dataset)  # a lost quote moves every cell to the right
        cells.append(["Xq99999Zv", *moved.values()])
        store.drop(csv_text([header, *cells]), dataset)
        store.drop(xlsx_bytes([header, *cells[:40]]), dataset, "book-2025-03-31.xlsx")
        bad = [maker(n, Order_ID="") | {"Buyer Username": f"Xq{n:05}Zv"} for n in range(40)]
        store.drop(bad, dataset, "refused-2025-03-31.csv")
    text = "พบ Xq88888Zv@mail.com หรือ 081-234-5678, www.xq88888zv.com line.me/ti/xq88888zv"
    store.drop([review(review_text=text)], "reviews")
    entries = store.ingest()

    assert sorted(e.status for e in entries) == ["loaded"] * 5 + ["refused"] * 2
    assert len(personal) > 1000
    assert len(store.rejects()) > 80
    for name, content in _written(store):
        for secret in (b"Xq", b"xq8", b"081-234"):
            assert secret not in content, (name, secret)
    assert store.rows("reviews", "review_text") == ["พบ [e-mail] หรือ [number], [link] [link]"]


def test_a_refusal_never_quotes_the_file(store: Store) -> None:
    store.drop("Somchai 0812345678,x\n", name="a-2025-03-31.csv")
    store.drop('product_id,sku_id\n1,2\n3,"Somchai\n5,6\n', name="b-2025-03-31.csv")
    store.drop(xlsx_bytes([["Somchai"]]), name="c-2025-03-31.xlsx")
    assert [e.status for e in store.ingest()] == ["refused"] * 3
    assert not any("Somchai" in e.message or "0812" in e.message for e in store.current())


def test_landing_is_never_changed(store: Store) -> None:
    store.drop([order()], "orders")
    store.drop("rubbish", "orders", "rubbish.csv")
    store.drop([product()], "unheard of")
    store.drop(b"", "orders", "x.part")

    def seen() -> list[tuple[str, int, bytes]]:
        return [
            (str(path), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in sorted(store.data.landing.rglob("*"))
        ]

    before = seen()
    store.ingest()
    assert seen() == before


def test_hostile_names_of_shops_and_files_are_only_names(tmp_path: Path) -> None:
    shop = 'it\'s; drop table "files"; --'
    shops = csv_text([SHOPS.split("\n")[0].split(","), [shop, "S", "TH", "Asia/Bangkok", "THB"]])
    store = Store(tmp_path / "it's [my] data", shops)
    names = [
        "'; drop table files; -- 2025-03-31.csv",
        '"quoted" 2025-03-31.csv',
        "two\nlines 2025-03-31.csv",
        "*.csv",
        "orders-2025-03-31[1].csv",
        "..%2f..%2f2025-03-31.csv"[2:],
        "\udcff-2025-03-31.csv",
    ]
    for number, name in enumerate(names):
        store.drop([order(number)], "orders", name, shop)
    store.drop([order(90)], "orders'; drop", "orders-2025-03-31.csv", shop)
    entries = store.ingest()
    assert sorted(e.status for e in entries) == ["loaded"] * len(names) + ["refused"]
    assert all(e.file_name.isprintable() for e in entries)
    (batch,) = (store.data.raw / "orders").iterdir()
    found = duckdb.read_parquet(glob.escape(str(batch))).fetchall()
    assert {row[0] for row in found} == {shop}
    assert len(found) == len(names)
    assert len(store.current()) == len(names) + 1


# --- any rows in any style ------------------------------------------------------------------------

_NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\n\t"),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip(BLANKS))
_STAMPS = st.datetimes(datetime(2020, 1, 1), datetime(2025, 3, 30)).map(
    lambda stamp: stamp.replace(microsecond=0)
)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "order_id": st.integers(10**17, 10**19 - 1).map(str),
            "sku_id": st.integers(10**17, 10**19 - 1).map(str),
            "product_name": _NAMES,
            "seller_sku": st.none() | _NAMES,
            "quantity": st.none() | st.integers(0, 2**31 - 1),
            "order_amount": st.none() | st.integers(0, 10**9).map(lambda n: Decimal(n) / 100),
            "created_time": _STAMPS,
            "delivered_time": st.none() | _STAMPS,
        }
    ),
    max_size=5,
)
_MONEY = {
    "thai": ["{:.2f}", "฿{:,.2f}", "{:,.2f} บาท"],
    "american": ["{:.2f}", "${:,.2f}", "USD {:.2f}"],
}
_DATES = {
    "thai": ["%d/%m/%Y %H:%M:%S", "%d-%m-%Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"],
    "american": ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S"],
}


def _in_style(rows: list[dict[str, Any]], shop: str, style: random.Random) -> tuple[str, bytes]:
    """The rows as a file of a random style; its kind and its bytes."""
    orders = load_datasets()["orders"]
    date_format = {name: style.choice(_DATES[shop]) for name in ("created_time", "delivered_time")}
    money = style.choice(_MONEY[shop])
    tab = style.choice(["", "\t"])

    def cell(name: str, value: object) -> str:
        if value is None:
            return tab
        if isinstance(value, datetime):
            return f"{value:{date_format[name]}}{tab}"
        if isinstance(value, Decimal):
            return money.format(value)
        return f"{value}{tab}"

    names = [
        "order_id", "sku_id", "product_name", "seller_sku", "quantity", "order_amount",
        "created_time", "delivered_time", "Shipping Fee", "Recipient",
    ]  # fmt: skip
    style.shuffle(names)
    headers = [
        style.choice([str.upper, str.lower, " {} ".format])(orders.column(name).headers[0])
        if name.islower()
        else name
        for name in names
    ]
    body = [[cell(name, row.get(name, "x")) for name in names] for row in rows]
    if style.random() < 0.3:
        body.insert(0, ["Platform unique order ID." if n == "order_id" else "?" for n in names])
    above = [["", "1 - 31 March"]] if style.random() < 0.3 else []
    cells = [*above, headers, *body]
    if style.random() < 0.4:
        return "xlsx", xlsx_bytes(cells, first_row=style.choice([0, 2]))
    text = csv_text(cells, style.choice(",;\t"), style.choice(["\n", "\r\n"]))
    return "csv", text.encode(style.choice(["utf-8", "utf-8-sig", "utf-16"]))


@given(rows=_ROWS, shop=st.sampled_from(["thai", "american"]), style=st.randoms())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_rows_in_any_style_are_read_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    shop: str,
    style: random.Random,
) -> None:
    store = Store(tmp_path_factory.mktemp("style"))
    kind, content = _in_style(rows, shop, style)
    entry = store.load(content, "orders", f"orders-2025-03-31.{kind}", shop)
    assert (entry.status, entry.rows_loaded) == ("loaded", len(rows)), store.rejects()

    def kept(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize("NFC", text.strip(BLANKS))

    expected = [
        row | {name: kept(row[name]) for name in ("product_name", "seller_sku")} for row in rows
    ]
    names = list(expected[0]) if expected else ["order_id"]
    found = store.rows("orders", *names, "_row_number")
    assert [dict(zip(names, row[:-1], strict=True)) for row in found] == expected


def test_a_batch_older_than_a_column_has_nulls_in_it(store: Store) -> None:
    """A contract may gain a column; Parquet written before lacks it."""
    store.load([request(1)], "returns", name="a-2025-03-30.csv")
    (old,) = store.data.raw.glob("returns/*.parquet")
    new = f"{old}.new"
    rows = f"select * exclude (arbitration_status) from '{old}'"
    duckdb.execute(f"copy ({rows}) to '{new}' (format parquet)")
    Path(new).replace(old)
    store.load([request(2)], "returns", name="b-2025-03-31.csv")
    with Ledger.open(store.data.ledger) as ledger:
        prepare_warehouse(store.data, ledger, "run", None, "inputs")
    with open_warehouse(store.data.warehouse, read_only=True) as con:
        found = con.execute(
            "select return_order_id, arbitration_status from raw.returns order by 1"
        ).fetchall()
    assert found == [("4035000000000000001", None), ("4035000000000000002", None)]


# --- files that are still being written -------------------------------------------------------


def test_a_growing_file_is_left_for_the_next_run(store: Store) -> None:
    path = store.drop([order()], "orders", "All order-2025-03-31-17_00.csv")
    with Ledger.open(store.data.ledger) as ledger:
        assert ingest_module.ingest(store.data, ledger, growing={path}).files == ()
        assert ledger.current_files() == []
    (entry,) = store.ingest()
    assert entry.status == "loaded"


@pytest.mark.parametrize("change", ["written to", "taken away"])
def test_a_file_that_changes_while_it_is_read_leaves_no_trace(
    store: Store, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    broken = order(Delivered_Time="nonsense")
    path = store.drop([order(), broken] + [order()] * 8, "orders", "All order-2025-03-31-17_00.csv")
    store.drop([review()], "reviews", "reviews-2025-03-31.csv")
    load = loader_module.Loader.load

    def load_and_change(loader: loader_module.Loader, files: list[Any]) -> None:
        load(loader, files)
        if change == "taken away":
            path.unlink(missing_ok=True)
        else:
            path.write_text(path.read_text() + "half a row")

    with monkeypatch.context() as patch:
        patch.setattr(loader_module.Loader, "load", load_and_change)
        (entry,) = store.ingest()
    assert entry.dataset == "reviews"
    assert not (store.data.raw / "orders").exists()
    with Ledger.open(store.data.ledger) as ledger:
        assert ledger.con.execute("from rejected_rows").fetchall() == []
