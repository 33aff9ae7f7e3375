"""The landing folder: which files are taken, what their names say, what is left alone."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from dagster_project.lib.landing import (
    MOST_STRAYS,
    LandingFile,
    await_quiet,
    exported_at,
    find_files,
    is_there,
    sha256,
    stray_words,
    strays,
)
from dagster_project.lib.shops import Shop
from dagster_project.lib.text import printable

SHOPS = {name: Shop(name, name, "TH", "Asia/Bangkok", "THB") for name in ("a-shop", "b'; shop")}


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(landing: Path) -> list[tuple[str, str, str]]:
    return [(f.shop_id, f.dataset, f.name) for f in find_files(landing, SHOPS)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("All order-2025-03-02-17_00.csv", datetime(2025, 3, 2, 17, 0)),
        ("All order-2025-03-02-17_00 (1).csv", datetime(2025, 3, 2, 17, 0)),
        ("All order-2025-03-02-17_00[1].csv", datetime(2025, 3, 2, 17, 0)),
        ("orders_20250302_1700.csv", datetime(2025, 3, 2, 17, 0)),
        ("orders_20250302_170059.xlsx", datetime(2025, 3, 2, 17, 0, 59)),
        ("orders20250302170059.csv", datetime(2025, 3, 2, 17, 0, 59)),
        ("2025-03-02T17:00:59.csv", datetime(2025, 3, 2, 17, 0, 59)),
        ("2025.03.02 17.00.csv", datetime(2025, 3, 2, 17, 0)),
        ("reviews-2025-03-02.csv", datetime(2025, 3, 2, 23, 59, 59)),
        ("reviews_20250302.csv", datetime(2025, 3, 2, 23, 59, 59)),
        ("reviews_20250302_9999.csv", datetime(2025, 3, 2, 23, 59, 59)),
        ("orders_2025-03-01_2025-03-31.csv", datetime(2025, 3, 31, 23, 59, 59)),
        ("orders_20250301-20250331.csv", datetime(2025, 3, 31, 23, 59, 59)),
        ("orders_2025-03-31_2025-03-01.csv", datetime(2025, 3, 31, 23, 59, 59)),
        ("orders.csv", None),
        ("orders-2025-02-31.csv", None),
        ("orders-2025-13-01.csv", None),
        ("orders-2025-03.csv", None),
        ("orders-02-03-2025.csv", None),
        ("orders-576461413220250302.csv", None),
        ("orders-2025030211111111111.csv", None),
        ("orders-1740906000.csv", None),
    ],
)
def test_the_time_of_export_is_read_from_the_name(name: str, expected: datetime | None) -> None:
    assert exported_at(name) == expected


def test_files_are_found_by_shop_and_dataset_in_order(tmp_path: Path) -> None:
    put(tmp_path / "b'; shop" / "orders" / "2.csv")
    put(tmp_path / "a-shop" / "returns" / "1.csv")
    put(tmp_path / "a-shop" / "orders" / "3.xlsx")
    put(tmp_path / "a-shop" / "orders" / "1.csv", b"bytes")
    files = list(find_files(tmp_path, SHOPS))
    assert [(f.shop_id, f.dataset, f.name) for f in files] == [
        ("a-shop", "orders", "1.csv"),
        ("a-shop", "orders", "3.xlsx"),
        ("a-shop", "returns", "1.csv"),
        ("b'; shop", "orders", "2.csv"),
    ]
    assert files[0].file_id == hashlib.sha256(b"bytes").hexdigest() == sha256(files[0].path)


def test_no_landing_folder_is_no_file(tmp_path: Path) -> None:
    assert found(tmp_path / "landing") == []


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.csv", "..csv", "~$open.xlsx", "x.csv.part", "x.csv.crdownload", "x.tmp",
        "x.CSV.PARTIAL", "x.download", "x.csv.filepart",
    ],
)  # fmt: skip
def test_hidden_and_unfinished_files_are_passed_over(tmp_path: Path, name: str) -> None:
    put(tmp_path / "a-shop" / "orders" / name)
    assert found(tmp_path) == []


def test_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / ".Trash" / "orders" / "1.csv")
    put(tmp_path / "a-shop" / ".orders" / "1.csv")
    assert found(tmp_path) == []


def test_symbolic_links_are_passed_over(tmp_path: Path) -> None:
    secret = put(tmp_path / "elsewhere" / "orders" / "secret.csv")
    landing = tmp_path / "landing"
    folder = put(landing / "a-shop" / "orders" / "1.csv").parent
    (folder / "link.csv").symlink_to(secret)
    (folder / "dangling.csv").symlink_to(tmp_path / "nothing")
    (folder / "folder").symlink_to(secret.parent)
    (landing / "a-shop" / "returns").symlink_to(secret.parent)
    (landing / "stranger").symlink_to(tmp_path / "elsewhere")
    assert found(landing) == [("a-shop", "orders", "1.csv")]


def test_a_file_in_the_wrong_depth_is_found_in_a_dataset_of_that_name(tmp_path: Path) -> None:
    put(tmp_path / "a-shop" / "1.csv")
    put(tmp_path / "a-shop" / "orders" / "2025" / "2.csv")
    assert found(tmp_path) == [("a-shop", ".", "1.csv"), ("a-shop", "orders/2025", "2.csv")]


LINE_TO_ADD = "is no shop of shops.csv. Add a line `{},<name>,<region>,<timezone>,<currency>` to"


@pytest.mark.parametrize("name", ["my shop", "A-SHOP", "a-shop ", "a-shopx", "evil\nx"])
def test_a_folder_of_no_shop_is_named_with_the_line_to_add(tmp_path: Path, name: str) -> None:
    put(tmp_path / name / "orders" / "1.csv")
    put(tmp_path / "a-shop" / "orders" / "1.csv")
    assert found(tmp_path) == [("a-shop", "orders", "1.csv")]
    (stray,) = strays(tmp_path, SHOPS)
    assert stray.name == printable(name)
    assert stray.words.startswith(f"landing/{printable(name)} {LINE_TO_ADD.format(stray.name)}")


@pytest.mark.parametrize("name", ["1.csv", "orders\n1.csv", "a-shop"])
def test_a_file_in_no_shops_folder_is_named_with_where_to_put_it(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    (stray,) = strays(tmp_path, SHOPS)
    assert stray.words == (
        f"landing/{printable(name)} lies in no shop's folder. "
        "Move it to landing/<shop_id>/<dataset>/."
    )


def test_shops_litter_and_links_are_no_strays(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    for name in ("a-shop/orders/1.csv", "desktop.ini", "orders.csv.part", ".hidden/1.csv"):
        put(landing / name)
    (landing / "link").symlink_to(tmp_path)
    assert strays(landing, SHOPS) == []


def test_of_many_strays_folders_and_then_files_are_named_and_the_rest_counted(
    tmp_path: Path,
) -> None:
    put(tmp_path / "z-shop" / "1.csv")
    for number in range(1, MOST_STRAYS):
        put(tmp_path / f"{number:02}.csv")
    assert len(stray_words(tmp_path, SHOPS)) == MOST_STRAYS
    assert "more" not in "".join(stray_words(tmp_path, SHOPS))
    put(tmp_path / "00.csv")
    put(tmp_path / "99.csv")
    first, *files, more = stray_words(tmp_path, SHOPS)
    assert first.startswith("landing/z-shop is no shop")
    assert [w.split()[0] for w in files] == [f"landing/{n:02}.csv" for n in range(MOST_STRAYS - 1)]
    assert more == "2 more files or folders of landing/ are passed over."
    assert len(strays(tmp_path, SHOPS)) == MOST_STRAYS + 2


@pytest.mark.parametrize("look", ["iterdir", "lstat"])
@pytest.mark.parametrize("folder", ["a-shop", "a-shop/orders", "a-shop/orders/2\n5"])
def test_a_shops_folder_that_cannot_be_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, look: str
) -> None:
    """Without the right to list it, or with that alone."""
    put(tmp_path / folder / "1.csv")
    put(tmp_path / "a-shop" / ".Trash" / "1.csv")
    put(tmp_path / "b'; shop" / "orders" / "1.csv")
    put(tmp_path / "no-shop" / "1.csv")
    usual = getattr(Path, look)

    def deny(path: Path) -> object:
        shut = tmp_path / folder
        if path.name == ".Trash" or (path if look == "iterdir" else path.parent) == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(Path, look, deny)
    assert found(tmp_path) == [("b'; shop", "orders", "1.csv")]
    shut, stray = strays(tmp_path, SHOPS)
    assert (shut.name, stray.name) == (printable(folder), "no-shop")
    assert shut.words == (
        f"landing/{printable(folder)} cannot be looked into, so no file of it is loaded; "
        "give the user who runs this the right to list and enter it."
    )


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_a_landing_folder_that_cannot_be_listed_has_no_strays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    put(tmp_path / "1.csv")

    def iterdir(_: Path) -> None:
        raise error

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert strays(tmp_path, SHOPS) == []


def test_what_nobody_may_look_at_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_there(put(tmp_path / "1.csv"))
    assert not is_there(tmp_path / "2.csv")

    def lstat(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "lstat", lstat)
    assert not is_there(tmp_path / "1.csv")


def test_names_are_shown_in_one_printable_line(tmp_path: Path) -> None:
    put(tmp_path / "a-shop" / "or\x1bders" / "two\nlines;'\".csv")
    put(tmp_path / "a-shop" / "or\x1bders" / "x-\udcff.csv")
    assert found(tmp_path) == [
        ("a-shop", "or\\x1bders", "two\\x0alines;'\".csv"),
        ("a-shop", "or\\x1bders", "x-\\xdcff.csv"),
    ]
    long = LandingFile(Path("x" * 300), "a-shop", "orders", "")
    assert len(long.name) == 200


def test_a_name_that_climbs_stays_a_name(tmp_path: Path) -> None:
    put(tmp_path / "a-shop" / "orders" / "..%2f..%2fetc.csv")
    put(tmp_path / "a-shop" / "orders" / "x..csv")
    assert [name for _, _, name in found(tmp_path)] == ["x..csv"]


def age(path: Path, seconds: float) -> Path:
    written_at = time.time() - seconds
    os.utime(path, (written_at, written_at))
    return path


def test_nobody_waits_for_files_that_were_written_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    age(put(tmp_path / "a-shop" / "orders" / "1.csv"), 60)
    assert await_quiet(tmp_path, 2, 10) == set()
    assert await_quiet(tmp_path / "gone", 2, 10) == set()


def test_a_file_is_waited_for_until_it_is_quiet(tmp_path: Path) -> None:
    put(tmp_path / "a-shop" / "orders" / "1.csv")
    assert await_quiet(tmp_path, 0.2, 10) == set()


def test_a_file_that_does_not_become_quiet_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = put(tmp_path / "a-shop" / "orders" / "1.csv")
    monkeypatch.setattr(time, "sleep", lambda _: growing.write_bytes(b"more"))
    age(put(tmp_path / "a-shop" / "orders" / "2.csv"), 60)
    assert await_quiet(tmp_path, 0.2, 0.4) == {growing}


def test_a_file_with_a_time_in_the_future_is_watched_until_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = age(put(tmp_path / "a-shop" / "orders" / "1.csv"), -600)
    waits: list[float] = []
    sleep = time.sleep

    def write_twice(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)
        if len(waits) in (3, 6):
            path.write_bytes(b"x" * len(waits))
            age(path, -600)

    monkeypatch.setattr(time, "sleep", write_twice)
    assert await_quiet(tmp_path, 0.2, 10) == set()
    assert len(waits) > 6
    assert await_quiet(tmp_path, 0.2, 0.1) == {path}


def test_files_that_nobody_may_look_at_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a-shop" / "orders" / "1.csv")

    def lstat(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "lstat", lstat)
    assert await_quiet(tmp_path, 2, 10) == set()


def test_a_file_that_was_written_to_or_taken_away_has_changed(tmp_path: Path) -> None:
    path = put(tmp_path / "a-shop" / "orders" / "1.csv")
    (file,) = find_files(tmp_path, SHOPS)
    assert not file.has_changed()
    path.write_bytes(b"xy")
    assert file.has_changed()
    (file,) = find_files(tmp_path, SHOPS)
    path.unlink()
    assert file.has_changed()
