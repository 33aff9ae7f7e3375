"""shops.csv: what is accepted, and errors that name the line and the way out."""

from __future__ import annotations

import zoneinfo
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.shops import Shop, read_shops

HEADER = "shop_id,shop_name,region,timezone,currency\n"


def read(tmp_path: Path, content: str | bytes) -> dict[str, Shop]:
    path = tmp_path / "shops.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_shops(path)


def test_shops_are_read_by_id(tmp_path: Path) -> None:
    shops = read(tmp_path, HEADER + "thai,Thai Shop,TH,Asia/Bangkok,THB\n")
    assert shops == {"thai": Shop("thai", "Thai Shop", "TH", "Asia/Bangkok", "THB")}


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    text = "\ufeffCurrency,note, Shop_ID ,TIMEZONE,region,shop_name\r\n"
    shops = read(tmp_path, text + 'THB,x, thai ,Asia/Bangkok,TH,"Thai, Shop"\r\n\r\n,,,,,\r\n')
    assert shops == {"thai": Shop("thai", "Thai, Shop", "TH", "Asia/Bangkok", "THB")}


def test_cells_beyond_the_header_are_passed_over(tmp_path: Path) -> None:
    assert list(read(tmp_path, HEADER + "thai,Thai Shop,TH,Asia/Bangkok,THB,,my note\n")) == [
        "thai"
    ]


def test_a_header_alone_names_no_shop(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == {}


def test_a_missing_file_is_an_error_that_shows_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"shops\.csv does not exist\. Write it .* for ex"):
        read_shops(tmp_path / "shops.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the header lacks shop_id, shop_name, region, timezone, currency"),
        (
            "shop_id,shop_name,region\n",
            "the header lacks timezone, currency; "
            "it must have shop_id,shop_name,region,timezone,currency.",
        ),
        (HEADER.replace(",", ";"), "the header lacks shop_id"),
        (HEADER + "thai,Thai,TH\n", "line 2: 3 cells instead of 5"),
        (HEADER + "\nthai,Thai,Thailand,Asia/Bangkok,THB\n", "line 3: region 'Thailand'"),
        (HEADER + "thai,Thai,th,Asia/Bangkok,THB\n", "line 2: region 'th' is no two-letter"),
        (HEADER + "thai,Thai,TH,Asia/Bangkok,baht\n", "line 2: currency 'baht' is no three-letter"),
        (HEADER + 2 * "thai,T,TH,Asia/Bangkok,THB\n", "line 3: thai stands there twice"),
        (HEADER.encode() + b"caf\xe9,C,ES,Europe/Madrid,EUR\n", "not a UTF-8 CSV file"),
        (HEADER + f'"{"x" * (1 << 21)}"', "not a UTF-8 CSV file"),
    ],
)
def test_errors_name_the_line_and_what_is_wrong(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, content)
    assert message in str(error.value)
    assert str(tmp_path / "shops.csv") in str(error.value)


@pytest.mark.parametrize(
    "shop_id",
    ["", ".hidden", "..", ".", "../up", "a/b", "a\\b", "two\nlines", "bell\x07", "x" * 101],
)
def test_a_shop_id_that_could_be_no_folder_is_refused(tmp_path: Path, shop_id: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is no shop_id: 1 to .* no slash, no leading dot\."
    ) as error:
        read(tmp_path, HEADER + f'"{shop_id}",Shop,TH,Asia/Bangkok,THB\n')
    assert "\n" not in str(error.value)
    assert "\x07" not in str(error.value)


@pytest.mark.parametrize("shop_id", ["it's; drop", 'say ""hi""', "ร้านค้า", "a,b", "x" * 100, "%s"])
def test_any_other_printable_shop_id_is_accepted(tmp_path: Path, shop_id: str) -> None:
    shops = read(tmp_path, HEADER + f'"{shop_id}",Shop,TH,Asia/Bangkok,THB\n')
    assert list(shops) == [shop_id.replace('""', '"')]


@pytest.mark.parametrize(
    "timezone",
    ["", "Bangkok", "Asia", "asia/bangkok", "UTC+7", "../UTC", "/etc", "localtime"],
)
def test_a_time_zone_that_does_not_exist_is_refused(tmp_path: Path, timezone: str) -> None:
    with pytest.raises(ConfigurationError, match="is no time zone such as Asia/Bangkok"):
        read(tmp_path, HEADER + f"thai,Thai,TH,{timezone},THB\n")


def test_every_time_zone_that_is_accepted_can_be_converted_to(tmp_path: Path) -> None:
    zones = sorted(zoneinfo.available_timezones() - {"localtime"})
    rows = "".join(f"shop{number},S,TH,{zone},THB\n" for number, zone in enumerate(zones))
    shops = read(tmp_path, HEADER + rows)
    with duckdb.connect() as con:
        for shop in shops.values():
            con.execute("select timezone(?, timestamptz '2025-01-01 00:00:00Z')", [shop.timezone])
