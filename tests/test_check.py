"""`feedback check`: what a file is and what a run would make of it, without loading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_project.lib import check as check_module
from dagster_project.lib.contracts import load_datasets
from tests.exports_helper import (
    MAKERS,
    SHOPS,
    Row,
    Store,
    csv_text,
    order,
    review,
    table,
    xlsx_bytes,
)
from tests.support import CommandResult, feedback_here, fingerprint

BUYER = "Somchai 0812345678"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def check(store: Store, *arguments: object) -> CommandResult:
    return feedback_here("check", "--data-dir", store.data.root, *arguments)


def tells(result: CommandResult, what: str) -> list[str]:
    """The texts beside a word of the first column."""
    lines = (line.split(maxsplit=1) for line in result.output.splitlines() if line.startswith(what))
    return [" ".join(words[1].split()) for words in lines]


@pytest.mark.parametrize("dataset", MAKERS)
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_the_dataset_of_a_file_from_anywhere_is_told_by_its_header(
    store: Store, tmp_path: Path, dataset: str, suffix: str
) -> None:
    cells = table([MAKERS[dataset](n) for n in (1, 2)])
    path = tmp_path / f"download-2025-03-31.{suffix}"
    path.write_bytes(xlsx_bytes(cells) if suffix == "xlsx" else csv_text(cells).encode())
    result = check(store, path)
    assert result.code == 0
    assert tells(result, "Dataset") == [dataset]
    assert tells(result, "Rows") == ["2 read, 0 rejected"]
    assert tells(result, "Exported") == ["2025-03-31 23:59:59 (by its name)"]


def test_a_file_in_the_landing_folder_has_the_shop_and_dataset_of_its_folders(
    store: Store,
) -> None:
    cells = [["1 to 31 March"], *table([order(Created_Time="03/25/2025 10:00:00 AM")])]
    result = check(store, store.drop(csv_text(cells), "orders", "latest.csv", "american"))
    assert result.code == 0
    assert tells(result, "Dataset") == ["orders"]
    assert tells(result, "Shop") == ["american (US, America/New_York)"]
    assert tells(result, "Form") == ["CSV, comma, utf-8"]
    assert tells(result, "Layout")[0].startswith(
        "5 of the 14 columns that are read; header in row 2"
    )
    assert tells(result, "Exported") == [
        "2025-03-25 10:00:00 (by its latest event; its name has no time stamp)"
    ]
    assert tells(result, "Dates") == [
        "month/day/year (Created Time)",
        "day/month/year (Delivered Time)",
    ]


def test_the_only_shop_is_taken_for_files_from_elsewhere_and_else_none(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(csv_text(table([order()])))
    only = Store(tmp_path / "only", "".join(SHOPS.splitlines(keepends=True)[:2]))
    assert tells(check(only, path), "Shop") == ["thai (TH, Asia/Bangkok)"]
    both = Store(tmp_path / "both")
    assert tells(check(both, path), "Shop")[0].startswith("not known; --shop names it")
    assert tells(check(both, path, "--shop", "thai"), "Shop") == ["thai (TH, Asia/Bangkok)"]


def test_rejects_are_told_by_rule_with_rows_and_without_their_cells(store: Store) -> None:
    bad: list[Row] = [order(n, Created_Time=BUYER) for n in range(1, 5)]
    bad.append(order(5, Product_Name=""))
    good = [order(n) for n in range(100, 200)]
    result = check(store, store.drop([*bad, *good], "orders"))
    assert result.code == 0
    assert tells(result, "Rows") == ["105 read, 5 rejected"]
    assert tells(result, "Rejected") == [
        "4 × Created Time: the value is no date and time of the form day/month/year "
        "(row 2, 3, 4, …)",
        "1 × Product Name: the value is missing (row 6)",
    ]
    assert BUYER not in result.output


def test_a_file_that_would_be_set_aside_ends_the_command_with_1(store: Store) -> None:
    bad = store.drop([order(Created_Time=BUYER)], "orders", "bad-2025-03-31.csv")
    good = store.drop([order()], "orders")
    result = check(store, good, bad)
    assert result.code == 1
    assert tells(result, "Set")[0].startswith(
        "aside bad-2025-03-31.csv has 1 of 1 rows rejected, more than 5 %"
    )
    assert tells(result, "Rejected") != []
    assert BUYER not in result.output


def test_a_file_like_no_export_is_told_what_it_lacks_for_a_dataset(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "invoice.csv"
    path.write_text("Order ID,Total\n1,2\n")
    assert tells(check(store, path), "Set")[0].startswith(
        "aside invoice.csv has the header of no dataset; name one with --dataset"
    )
    lacking = check(store, path, "--dataset", "orders")
    assert lacking.code == 1
    assert "lacks the column 'SKU ID', 'Product Name'" in tells(lacking, "Set")[0]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_file_in_another_datasets_folder_is_told_where_it_belongs(
    store: Store, suffix: str
) -> None:
    cells = table([order()])
    content = xlsx_bytes(cells) if suffix == "xlsx" else csv_text(cells)
    result = check(store, store.drop(content, "returns", f"all-2025-03-31.{suffix}"))
    assert result.code == 1
    assert (
        "has the header of orders, not of returns; move it to landing/<shop_id>/orders/"
        in " ".join(tells(result, "Set")[0].split())
    )


def test_a_column_that_is_missing_makes_no_other_dataset_of_a_file(store: Store) -> None:
    cells = review(product_id="1", sku_id="2")
    del cells["rating"]
    assert (
        "lacks the column 'rating'" in tells(check(store, store.drop([cells], "reviews")), "Set")[0]
    )


def test_sheets_of_several_shops_are_told_each(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "both-2025-03-31.xlsx"
    sheets = {"thai": [order()], "american": [order(2), order(3)]}
    path.write_bytes(xlsx_bytes(*map(table, sheets.values()), names=tuple(sheets)))
    result = check(store, path)
    assert tells(result, "Shop") == ["thai (TH, Asia/Bangkok)", "american (US, America/New_York)"]
    assert tells(result, "Rows") == ["1 read, 0 rejected", "2 read, 0 rejected"]


def test_nothing_is_loaded_or_written(store: Store) -> None:
    path = store.drop([review()], "reviews")
    before = fingerprint(store.data.root)
    assert check(store, path).code == 0
    assert fingerprint(store.data.root) == before


def test_a_file_that_may_not_be_read_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.drop([review()], "reviews")

    def locked(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(check_module, "sha256", locked)
    result = check(store, path)
    assert result.code == 2
    assert "cannot be read (PermissionError); give the user" in " ".join(result.output.split())


@pytest.mark.parametrize(("folder", "words"), [("reviews/2025", "reviews/2025"), ("", ".")])
def test_a_folder_that_a_run_would_not_know_is_told(store: Store, folder: str, words: str) -> None:
    result = check(store, store.drop([review()], folder))
    assert result.code == 2
    assert f"{words} is no dataset; these are" in " ".join(result.output.split())


def test_wrong_options_are_told(store: Store, tmp_path: Path) -> None:
    path = store.drop([review()], "reviews")
    for arguments, words in [
        ((tmp_path / "none.csv",), "none.csv is no file"),
        ((path, "--dataset", "invoices"), f"these are {', '.join(load_datasets())}"),
        ((path, "--shop", "nobody"), "nobody is no shop of"),
    ]:
        result = check(store, *arguments)
        assert result.code == 2
        assert words in " ".join(result.output.split())
