"""`feedback download`: a published table as a file that a spreadsheet opens as it is."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from dagster_project.lib import downloads
from dagster_project.lib.database import connect
from dagster_project.lib.downloads import as_csv, as_workbook, write_table
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.publications import current
from tests.support import Published, feedback_here

SHOP = "th-siam-snacks"


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_and_workbook_hold_the_published_rows_of_a_shop(
    published: Published, tmp_path: Path
) -> None:
    for name in ("worst.csv", "worst.xlsx"):
        done = feedback_here(
            *("download", "watchlist", "--shop", SHOP, "--out", tmp_path / name),
            *("--data-dir", published.data.root),
        )
        assert done.code == 0, done.output
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        expected = con.execute(
            "select product_key, metric, orders from watchlist where shop_id = ? order by rank",
            [SHOP],
        ).fetchall()
    assert expected
    rows = csv_rows(tmp_path / "worst.csv")
    assert [(r["product_key"], r["metric"], int(r["orders"])) for r in rows] == expected
    header, *cells = (
        CalamineWorkbook.from_path(tmp_path / "worst.xlsx").get_sheet_by_index(0).to_python()
    )
    at = [header.index(name) for name in ("product_key", "metric", "orders")]
    assert [tuple(row[n] for n in at) for row in cells] == expected


def test_all_shops_are_written_without_a_shop(published: Published, tmp_path: Path) -> None:
    version = current(published.data)
    assert version is not None
    count = write_table(version, "frozen_shops", None, tmp_path / "x.csv")
    assert count == len(csv_rows(tmp_path / "x.csv")) == 0
    assert write_table(version, "watchlist", None, tmp_path / "y.csv") > 1
    assert len({row["shop_id"] for row in csv_rows(tmp_path / "y.csv")}) > 1


def test_cells_that_look_like_formulas_stay_text(tmp_path: Path) -> None:
    rows = [{"name": "=1+1", "change": -0.5}]
    assert as_csv(["name", "change"], rows).decode("utf-8-sig") == (
        '"name","change"\r\n"\'=1+1",-0.5\r\n'
    )
    path = tmp_path / "x.xlsx"
    path.write_bytes(as_workbook(["name", "change"], rows))
    assert CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()[1] == ["=1+1", -0.5]


def test_a_full_disk_leaves_what_was_there(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    version = current(published.data)
    assert version is not None
    write_table(version, "watchlist", None, tmp_path / "x.csv")
    before = (tmp_path / "x.csv").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", until_full)
    with pytest.raises(OSError, match="No space"):
        write_table(version, "files", None, tmp_path / "x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("table", "shop", "name", "words"),
    [
        ("marts", None, "x.csv", "The tables are .*watchlist"),
        ("watchlist; drop table x", None, "x.csv", "The tables are"),
        ("quality_results", SHOP, "x.csv", "not by shop"),
        ("watchlist", None, "x.pdf", "must end in"),
        ("watchlist", "nope", "x.csv", f"nope is no shop of .*{SHOP}"),
    ],
)
def test_what_cannot_be_written_is_told_in_words(
    published: Published, tmp_path: Path, table: str, shop: str | None, name: str, words: str
) -> None:
    version = current(published.data)
    assert version is not None
    with pytest.raises(ConfigurationError, match=words):
        write_table(version, table, shop, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_more_rows_than_a_sheet_holds_are_refused(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_MOST_ROWS", 1)
    version = current(published.data)
    assert version is not None
    with pytest.raises(ConfigurationError, match="more rows than a sheet"):
        write_table(version, "watchlist", None, tmp_path / "x.csv")
