"""Text into values: dates by the evidence of their column, money of all countries, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from dagster_project.lib.casts import cast_sql, find_date_formats
from dagster_project.lib.contracts import Dataset, load_datasets, load_settings
from dagster_project.lib.shops import Shop

THAI = Shop("thai", "Thai Shop", "TH", "Asia/Bangkok", "THB")
AMERICAN = Shop("american", "American Shop", "US", "America/New_York", "USD")
ORDERS = load_datasets()["orders"]
RETURNS = load_datasets()["returns"]
CON = duckdb.connect()
CON.execute("set timezone = 'UTC'")


def cast(
    values: Sequence[str | None], column: str, dataset: Dataset = ORDERS, shop: Shop = THAI
) -> list[Any]:
    """The values of one column of a file, typed."""
    cells = ", ".join(
        f"{'cell' if c.name == column else 'cast(null as varchar)'} as {c.name}"
        for c in dataset.columns
    )
    CON.execute(
        f"create or replace table cells as select 0 as _table, {cells} "
        "from (select unnest(cast(? as varchar[])) as cell)",
        [list(values)],
    )
    formats = find_date_formats(CON, "cells", dataset, {0: shop.region})[0]
    typed = cast_sql(dataset.column(column), formats, shop.timezone)
    rows = CON.execute(f"select {typed} from cells order by rowid").fetchall()
    return [value for (value,) in rows]


def stamps(*values: str | None, dataset: Dataset = ORDERS, shop: Shop = THAI) -> list[Any]:
    """The values of the file's main time column."""
    return cast(values, "created_time" if dataset is ORDERS else "time_requested", dataset, shop)


# --- which order a column's dates have ------------------------------------------------------------

THIRD_OF_APRIL, FOURTH_OF_MARCH = datetime(2025, 4, 3), datetime(2025, 3, 4)


@pytest.mark.parametrize(
    ("dataset", "shop", "expected"),
    [
        (ORDERS, THAI, THIRD_OF_APRIL),
        (RETURNS, THAI, THIRD_OF_APRIL),
        (ORDERS, AMERICAN, FOURTH_OF_MARCH),
        (RETURNS, AMERICAN, THIRD_OF_APRIL),
    ],
)
def test_dates_that_fit_both_orders_are_month_first_in_american_orders_only(
    dataset: Dataset, shop: Shop, expected: datetime
) -> None:
    assert stamps("03/04/2025", dataset=dataset, shop=shop) == [expected]


@pytest.mark.parametrize("shop", [THAI, AMERICAN])
def test_one_date_that_fits_one_order_only_decides_for_its_column(shop: Shop) -> None:
    assert stamps("03/04/2025", "13/04/2025", shop=shop)[0] == THIRD_OF_APRIL
    assert stamps("03/04/2025", "04/13/2025", shop=shop)[0] == FOURTH_OF_MARCH


def test_a_column_does_not_decide_for_another() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table cells as select 0 as _table, '13/04/2025' as created_time,"
            " '04/13/2025' as delivered_time, '2025-04-13' as cancelled_time"
        )
        formats = find_date_formats(con, "cells", ORDERS, {0: "TH"})[0]
    assert formats.orders == {
        "created_time": "day/month/year",
        "delivered_time": "month/day/year",
        "cancelled_time": "year-month-day",
    }


def test_of_mixed_orders_the_one_that_fits_most_values_is_taken_and_the_others_do_not_fit() -> None:
    assert stamps("13/04/2025", "14/04/2025", "04/15/2025") == [
        datetime(2025, 4, 13),
        datetime(2025, 4, 14),
        None,
    ]
    assert stamps("2025-04-13", "2025-04-14", "15/04/2025")[2] is None


def test_a_column_without_any_date_has_the_order_of_its_region() -> None:
    assert stamps(None, "soon", "10:00:00") == [None, None, None]


@pytest.mark.parametrize(
    "value",
    ["31/02/2025 10:00:00", "29/02/2025", "00/01/2025", "32/01/2025", "10/13/2025 10:00:00"],
)
def test_impossible_dates_do_not_fit(value: str) -> None:
    assert stamps("13/04/2025", "14/04/2025", value)[2] is None


def test_a_day_that_only_leap_years_have_fits_in_those() -> None:
    assert stamps("29/02/2024") == [datetime(2024, 2, 29)]


# --- the ways to write a time stamp ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("13/04/2025 17:05:06", datetime(2025, 4, 13, 17, 5, 6)),
        ("13/04/2025 17:05", datetime(2025, 4, 13, 17, 5)),
        ("13/04/2025", datetime(2025, 4, 13)),
        ("13/4/2025 7:05", datetime(2025, 4, 13, 7, 5)),
        ("13-04-2025 17:05:06", datetime(2025, 4, 13, 17, 5, 6)),
        ("13.04.2025 17:05:06", datetime(2025, 4, 13, 17, 5, 6)),
        ("13/04/2025 05:05:06 PM", datetime(2025, 4, 13, 17, 5, 6)),
        ("13/04/2025 05:05 pm", datetime(2025, 4, 13, 17, 5)),
        ("13/04/2025 12:00:00 AM", datetime(2025, 4, 13)),
        ("13/04/2025 12:00:00 PM", datetime(2025, 4, 13, 12)),
        ("2025-04-13 17:05:06", datetime(2025, 4, 13, 17, 5, 6)),
        ("2025-04-13T17:05:06", datetime(2025, 4, 13, 17, 5, 6)),
        ("2025-04-13T17:05", datetime(2025, 4, 13, 17, 5)),
        ("2025-04-13 17:05:06.5", datetime(2025, 4, 13, 17, 5, 6, 500_000)),
        ("2025-04-13 05:05:06 PM", datetime(2025, 4, 13, 17, 5, 6)),
        ("2025-04-13", datetime(2025, 4, 13)),
        ("9999-12-31", datetime(9999, 12, 31)),
        ("2025/04/13 17:05", datetime(2025, 4, 13, 17, 5)),
    ],
)
def test_time_stamps_are_read_in_many_spellings(value: str, expected: datetime) -> None:
    assert stamps(value) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1744567890", datetime(2025, 4, 14, 1, 11, 30)),
        ("1744567890123", datetime(2025, 4, 14, 1, 11, 30, 123_000)),
        ("45760.7125347222", datetime(2025, 4, 13, 17, 6, 3)),
        ("45760", datetime(2025, 4, 13)),
        ("45760,5", datetime(2025, 4, 13, 12)),
    ],
)
def test_time_stamps_may_be_numbers_of_an_api_or_a_spreadsheet(
    value: str, expected: datetime
) -> None:
    assert stamps(value) == [expected]


def test_a_number_among_dates_does_not_fit() -> None:
    assert stamps("13/04/2025", "14/04/2025", "45760")[2] is None


@pytest.mark.parametrize(
    "value",
    [
        "soon", "10:00:00", "20250413", "13/04/25 10:00", "13/04/2025 24:00:00",
        "13/04/2025 13:00:00 PM", "13/04/2025 10:00:00 ICT", "2025-04-13 10:00:00 Asia/Tokyo",
        "2025-04-13 25:00", "2025-04-13 (BC)", "infinity", "2025-04", "13/04/2025 noon",
        "2025-04-13 17", "5.76E+17",
    ],
)  # fmt: skip
def test_what_is_no_time_stamp_does_not_fit(value: str) -> None:
    assert stamps(value) == [None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-04-13T17:05:06Z", datetime(2025, 4, 14, 0, 5, 6)),
        ("2025-04-13T17:05:06.25Z", datetime(2025, 4, 14, 0, 5, 6, 250_000)),
        ("2025-04-13T17:05Z", datetime(2025, 4, 14, 0, 5)),
        ("2025-04-13 17:05:06 +00:00", datetime(2025, 4, 14, 0, 5, 6)),
        ("2025-04-13T17:05:06+07:00", datetime(2025, 4, 13, 17, 5, 6)),
        ("2025-04-13T17:05:06+07", datetime(2025, 4, 13, 17, 5, 6)),
        ("2025-04-13T17:05:06-0330", datetime(2025, 4, 14, 3, 35, 6)),
    ],
)
def test_a_time_stamp_with_an_offset_is_converted_to_shop_time(
    value: str, expected: datetime
) -> None:
    assert stamps(value) == [expected]


def test_shop_time_follows_summer_time() -> None:
    assert stamps(
        "2025-03-09T06:59:59Z",
        "2025-03-09T07:00:00Z",
        "2025-11-02T05:30:00Z",
        "2025-11-02T06:30:00Z",
        "2025-07-04T03:59:59+00:00",
        shop=AMERICAN,
    ) == [
        datetime(2025, 3, 9, 1, 59, 59),
        datetime(2025, 3, 9, 3),
        datetime(2025, 11, 2, 1, 30),
        datetime(2025, 11, 2, 1, 30),
        datetime(2025, 7, 3, 23, 59, 59),
    ]


def test_with_and_without_offset_may_stand_in_one_column() -> None:
    assert stamps("2025-04-13T17:05:06Z", "2025-04-13 17:05:06") == [
        datetime(2025, 4, 14, 0, 5, 6),
        datetime(2025, 4, 13, 17, 5, 6),
    ]


def test_a_date_column_has_dates() -> None:
    reasons = load_settings()["reasons"]
    values = ["2025-04-13", "2025/4/14", "15.04.2025", None]
    assert cast(values, "valid_from", reasons) == [date(2025, 4, 13), date(2025, 4, 14), None, None]


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("25000", "25000.00"),
        ("฿249.00", "249.00"),
        ("82.912₫", "82912.00"),
        ("1.082.912 ₫", "1082912.00"),
        ("S$12.3", "12.30"),
        ("Rp25.000", "25000.00"),
        ("Rp. 1.025.000", "1025000.00"),
        ("R$ 62,90", "62.90"),
        ("R$ 1.062,90", "1062.90"),
        ("$23.00", "23.00"),
        ("$1,234,567.89", "1234567.89"),
        ("RM 1,299.90", "1299.90"),
        ("₱1,299", "1299.00"),
        ("1 234,56 €", "1234.56"),
        ("1\u202f234,56\u00a0€", "1234.56"),
        ("VND 1.250.000", "1250000.00"),
        ("25.000 đ.", "25000.00"),
        ("1234.567", "1234.57"),
        ("0.500", "0.50"),
        ("0,500", "0.50"),
        ("12,5", "12.50"),
        ("0", "0.00"),
        ("-$5.00", "-5.00"),
        ("$-5.00", "-5.00"),
    ],
)  # fmt: skip
def test_money_is_read_as_each_country_writes_it(value: str, expected: str) -> None:
    assert cast([value], "order_amount") == [Decimal(expected)]


@pytest.mark.parametrize(
    "value",
    [
        "free",
        "฿",
        "-",
        "1.2.3",
        "1,23,456.00",
        "1.5E+06",
        "12ab34",
        "5-3",
        "(5.00)",
        ".50",
        "5x3",
    ],
)
def test_what_is_no_amount_does_not_fit(value: str) -> None:
    assert cast([value], "order_amount") == [None]


# --- other kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", 5), ("5.0", 5), ("5.", 5), ("-3", -3), ("007", 7), ("2147483647", 2147483647)],
)
def test_whole_numbers(value: str, expected: int) -> None:
    assert cast([value], "quantity") == [expected]


@pytest.mark.parametrize(
    "value", ["2.5", "2.9999", "1,000", "1e3", "1_000", "0x10", "five", "2147483648", "", " 5", "٣"]
)
def test_what_is_no_whole_number_does_not_fit(value: str) -> None:
    assert cast([value], "quantity") == [None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.005", 0.005),
        ("1", 1.0),
        ("0,005", 0.005),
        ("0.45%", 0.0045),
        ("0,45 %", 0.0045),
        ("%", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_a_rate_is_a_finite_number(value: str, expected: float | None) -> None:
    assert cast([value], "target", load_settings()["metric_targets"]) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("Yes", True),
        ("no", False),
        ("1", True),
        ("0", False),
        ("2", None),
        ("maybe", None),
    ],
)
def test_a_boolean_is_true_or_false_or_yes_or_no_or_1_or_0(
    value: str, expected: bool | None
) -> None:
    assert cast([value], "is_voided", load_settings()["outcome_policy"]) == [expected]


def test_text_stays_what_it_is() -> None:
    assert cast(["576461413000000001", "00123"], "order_id") == ["576461413000000001", "00123"]


def test_null_stays_null_in_every_kind() -> None:
    for dataset in (*load_datasets().values(), *load_settings().values()):
        for column in dataset.columns:
            assert cast([None], column.name, dataset) == [None], column.name


def test_every_kind_of_every_contract_yields_its_type() -> None:
    for dataset in (*load_datasets().values(), *load_settings().values()):
        with duckdb.connect() as con:
            names = ", ".join(f'cast(null as varchar) as "{c.name}"' for c in dataset.columns)
            con.execute(f"create table cells as select 0 as _table, {names}")
            formats = find_date_formats(con, "cells", dataset, {0: "TH"})[0]
            for column in dataset.columns:
                (described,) = con.sql(
                    f"select {cast_sql(column, formats, THAI.timezone)} as typed from cells"
                ).types
                assert str(described) == column.type, column.name
