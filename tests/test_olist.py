"""Two years of a real marketplace give the figures that a plain loop found, on every day."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.support import feedback

REAL = Path(__file__).parents[1].parent / "shared" / "real" / "olist"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REAL.is_dir(), reason="the Olist files are licensed otherwise and not part of this"
    ),
]


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("olist")
    shutil.copytree(REAL / "olist-br", root / "landing" / "olist-br")
    (root / "shops.csv").write_text(
        "shop_id,shop_name,region,timezone,currency\nolist-br,Olist,BR,America/Sao_Paulo,BRL\n"
    )
    result = feedback("run", "--data-dir", root, "--as-of", "2018-10-31")
    assert result.code == 0, result.output
    return root / "published" / "marts.duckdb"


def expected(name: str, key: str) -> dict[str, tuple[int, int, float | None]]:
    with (REAL / "expected" / name).open(newline="") as file:
        return {
            row[key]: (
                int(row["delivered_orders"]),
                int(row["negative_review_orders"]),
                pytest.approx(float(row["nrr"])) if row["nrr"] else None,
            )
            for row in csv.DictReader(file)
        }


def found(marts: Path, query: str) -> dict[str, tuple[int, int, float | None]]:
    with duckdb.connect(str(marts), read_only=True) as con:
        return {str(row[0]): row[1:] for row in con.execute(query).fetchall()}


def test_every_shop_day_equals_the_plain_count(marts: Path) -> None:
    days = found(
        marts,
        "select metric_date, delivered_orders, negative_review_orders, nrr "
        "from shop_metrics_daily where shop_id = 'olist-br'",
    )
    assert len(days) == 751
    assert days == expected("shop_metrics_daily.csv", "metric_date")


def test_every_product_of_a_day_equals_the_plain_count(marts: Path) -> None:
    products = found(
        marts,
        "select product_key, delivered_orders, negative_review_orders, nrr "
        "from product_metrics_daily where metric_date = '2018-05-31'",
    )
    assert len(products) == 889
    assert products == expected("product_metrics_2018-05-31.csv", "product_key")


def test_sfrr_is_unknown_because_no_returns_were_loaded(marts: Path) -> None:
    states = found(marts, "select distinct sfrr_state, sfrr from shop_metrics_daily")
    assert states == {"not_loaded": (None,)}
