"""Publications as versions: kept, checked, rolled back, handed to a shop's owner."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.database import connect
from dagster_project.lib.errors import ConfigurationError, DamagedError, FeedbackError
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, current, find, read_manifest, versions
from dagster_project.lib.publish import catch_up, publish, roll_back
from dagster_project.lib.published_version import MARTS
from dagster_project.lib.shop_publication import _mask, write_shop_publication
from dagster_project.lib.shops import read_shops
from dagster_project.lib.warehouse import _published_shops
from tests.support import (
    RETURN_HEADER,
    Published,
    feedback,
    fingerprint,
    held_for_writing,
    write_csv,
)


@pytest.fixture
def data(published: Published, tmp_path: Path) -> DataDir:
    """A copy of a data directory that was published once."""
    return published.copy(tmp_path)


def publish_again(data: DataDir, *, inputs: str | None = None) -> str:
    """Publish what the warehouse holds once more, as if from other inputs; returns the id."""
    run_id = (read_manifest(data) or {})["run_id"]
    if inputs:
        with connect(data.warehouse) as con:
            con.execute("update raw.run set inputs = ?", [inputs])
    with Ledger.open(data.ledger) as ledger:
        return str(publish(data, ledger, run_id)["publication_id"])


def in_ledger(data: DataDir, query: str) -> list[tuple[object, ...]]:
    with Ledger.open(data.ledger) as ledger:
        return ledger.con.execute(query).fetchall()


# --- kept -------------------------------------------------------------------------------------


def test_as_many_versions_are_kept_as_asked_for(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDBACK_KEPT_PUBLICATIONS", "2")
    ids = [publish_again(data) for _ in range(3)]
    assert [v.publication_id for v in versions(data)] == [ids[2], ids[1]]
    assert current(data) == versions(data)[0]


@pytest.mark.parametrize("text", ["0", "-1", "many", "²"])
def test_number_of_kept_versions_must_be_one(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FEEDBACK_KEPT_PUBLICATIONS", text)
    with pytest.raises(ConfigurationError, match="FEEDBACK_KEPT_PUBLICATIONS"):
        publish_again(data)


def test_version_that_readers_see_is_kept_however_old(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDBACK_KEPT_PUBLICATIONS", "2")
    first = (read_manifest(data) or {})["publication_id"]
    publish_again(data)
    with Ledger.open(data.ledger) as ledger:
        roll_back(data, ledger, first)
    assert (read_manifest(data) or {})["publication_id"] == first
    latest = publish_again(data)
    assert versions(data)[0].publication_id == latest
    assert len(versions(data)) == 2


def test_publication_is_found_by_the_beginning_of_its_id(data: DataDir) -> None:
    publication_id = (read_manifest(data) or {})["publication_id"]
    assert find(data, publication_id[:-4]).publication_id == publication_id
    publish_again(data)
    with pytest.raises(ConfigurationError, match="names 2 publications"):
        find(data, publication_id[:2])
    with pytest.raises(ConfigurationError, match="names 0 publications"):
        find(data, "1999")
    with pytest.raises(ConfigurationError, match="names 2 publications"):
        find(data, "")


# --- checked ----------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda v: flip(v / "marts.duckdb"), "marts.duckdb is not as it was written"),
        (lambda v: (v / "parquet" / "files.parquet").unlink(), "parquet/files.parquet is missing"),
        (lambda v: (v / "more.txt").write_text("x"), "more.txt does not belong to it"),
        (lambda v: (v / "manifest.json").unlink(), "manifest.json is missing or damaged"),
        (lambda v: (v / "manifest.json").write_text("{"), "manifest.json is missing or damaged"),
        (lambda v: (v / "manifest.json").write_text("[]"), "manifest.json is missing or damaged"),
    ],
)
def test_damage_is_found(data: DataDir, damage: object, fault: str) -> None:
    version = current(data)
    assert version is not None
    assert version.faults() == []
    assert callable(damage)
    damage(version.folder)
    assert version.faults() == [fault]


def test_verify_tells_of_each_version_and_fails_on_damage(data: DataDir) -> None:
    first = (read_manifest(data) or {})["publication_id"]
    second = publish_again(data)
    done = feedback("verify", "--data-dir", str(data.root))
    assert done.code == 0
    assert f"{first}: intact" in done.output
    assert f"{second}: intact" in done.output
    flip(data.published / "versions" / first / "marts.duckdb")
    done = feedback("verify", "--data-dir", str(data.root))
    assert done.code == 1
    assert f"{first}: marts.duckdb is not as it was written" in done.output
    assert feedback("verify", second, "--data-dir", str(data.root)).code == 0


# --- rolled back ------------------------------------------------------------------------------


def test_rollback_shows_an_earlier_version_and_stays_until_something_changes(
    data: DataDir,
) -> None:
    first = (read_manifest(data) or {})["publication_id"]
    second = publish_again(data, inputs="the bad ones")
    done = feedback("rollback", first, "--data-dir", str(data.root))
    assert done.code == 0, done.output
    assert f"Readers see {first} again" in done.output
    assert (read_manifest(data) or {})["publication_id"] == first
    listed = feedback("publications", "--data-dir", str(data.root)).output
    (seen,) = [line for line in listed.splitlines() if "readers see this one" in line]
    assert first in seen
    assert second in listed
    with Ledger.open(data.ledger) as ledger:
        assert ledger.rolled_back_inputs() == {"the bad ones"}
        roll_back(data, ledger, second)
        assert ledger.rolled_back_inputs() == set()


def rolled_back(data: DataDir) -> str:
    """Publish what there is after something older, and roll it back; returns what readers see."""
    inputs = (read_manifest(data) or {})["inputs"]
    with connect(data.warehouse) as con:
        con.execute("update raw.run set inputs = 'older ones'")
    publish_again(data)
    good = (read_manifest(data) or {})["publication_id"]
    with connect(data.warehouse) as con:
        con.execute("update raw.run set inputs = ?", [inputs])
    publish_again(data)
    with Ledger.open(data.ledger) as ledger:
        roll_back(data, ledger, good)
    return str(good)


@pytest.mark.parametrize("command", ["run", "rebuild"])
def test_what_was_rolled_back_is_not_published_again_by_the_next_run(
    data: DataDir, command: str
) -> None:
    good = rolled_back(data)
    done = feedback(command, "--data-dir", str(data.root))
    assert done.code == 0, done.output
    assert "Nothing new since the publication that was rolled back" in done.output
    assert f"still published: {good}" in done.output
    assert (read_manifest(data) or {})["publication_id"] == good


def test_what_was_rolled_back_stays_so_when_the_new_file_is_withdrawn_and_all_is_built_anew(
    data: DataDir,
) -> None:
    good = rolled_back(data)
    write_csv(
        data.landing / "my-messy-market" / "returns" / "Return_order-2026-11-01-08_00.csv",
        RETURN_HEADER,
        [[f"4036{n:015}", f"57799{n:013}", "", "15/10/2026 10:00:00", "Poor quality", "Completed",
          "", ""] for n in range(60)],
    )  # fmt: skip
    done = feedback("rebuild", "--data-dir", str(data.root))
    assert done.code == 1
    assert "Nothing is left but the publication that was rolled back" in done.output
    assert (read_manifest(data) or {})["publication_id"] == good
    done = feedback("run", "--full-refresh", "--data-dir", str(data.root))
    assert done.code == 0, done.output
    assert (read_manifest(data) or {})["publication_id"] > good


def test_damaged_version_is_not_rolled_back_to(data: DataDir) -> None:
    first = (read_manifest(data) or {})["publication_id"]
    second = publish_again(data)
    flip(data.published / "versions" / first / "marts.duckdb")
    with (
        Ledger.open(data.ledger) as ledger,
        pytest.raises(FeedbackError, match=r"is damaged: marts\.duckdb is not as it was written"),
    ):
        roll_back(data, ledger, first)
    assert (read_manifest(data) or {})["publication_id"] == second


def test_what_was_rolled_back_is_judged_and_may_be_published_once_something_stands_after_it(
    data: DataDir,
) -> None:
    first = (read_manifest(data) or {})["publication_id"]
    with Ledger.open(data.ledger) as ledger:
        before = ledger.published_files()
        ledger.con.execute("delete from published_files where dataset = 'orders'")
    publish_again(data, inputs="the bad ones")
    with Ledger.open(data.ledger) as ledger:
        assert ledger.published_files() == before
        roll_back(data, ledger, first)
        assert {dataset for (_, dataset, _), _ in before - ledger.published_files()} == {"orders"}
    publish_again(data, inputs="good ones")
    with Ledger.open(data.ledger) as ledger:
        assert ledger.published_files() == before
        assert ledger.rolled_back_inputs() == set()


def test_version_that_no_reader_saw_is_removed(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr("dagster_project.lib.publish.switch", die)
        with pytest.raises(OSError, match="no power"):
            publish_again(data)
    assert len(versions(data)) == 2
    publish_again(data)
    assert len(versions(data)) == 2


# --- on the record ----------------------------------------------------------------------------


def test_publication_whose_run_died_before_the_ledger_knew_is_caught_up(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(data.warehouse) as con:
        con.execute("update marts.shop_metrics_daily set delivered_orders = delivered_orders + 1")
        con.execute("delete from unpublished.since")

    def die(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add_publication", die)
        with pytest.raises(OSError, match="no power"):
            publish_again(data)
    version = current(data)
    assert version is not None
    query = f"select count(*) from publications where publication_id = '{version.publication_id}'"
    assert in_ledger(data, query) == [(0,)]
    for _ in range(2):
        with Ledger.open(data.ledger) as ledger:
            catch_up(data, ledger)
        assert in_ledger(data, query) == [(1,)]
    days = in_ledger(
        data, "select count(distinct (shop_id, metric_date)), max(metric) from restatements"
    )
    with connect(version.folder / "marts.duckdb", read_only=True) as con:
        assert days == [(len(con.execute("from shop_metrics_daily").fetchall()), "sfrr")]


def test_lost_or_older_ledger_is_told_before_anything_is_cleared(data: DataDir) -> None:
    before = fingerprint(data.raw) | fingerprint(data.published)
    older = data.ledger.read_bytes()
    data.ledger.unlink()
    done = feedback("run", "--data-dir", str(data.root))
    assert done.code == 1
    assert "ledger.duckdb is lost or older than publication" in done.output
    assert "from one backup" in done.output
    assert fingerprint(data.raw) | fingerprint(data.published) == before
    data.ledger.write_bytes(older)
    first = (read_manifest(data) or {})["publication_id"]
    second = publish_again(data)
    with Ledger.open(data.ledger) as ledger:  # also one that readers see no more
        roll_back(data, ledger, first)
        ledger.con.execute("delete from publications where publication_id = ?", [second])
        catch_up(data, ledger)
        manifest = data.published / "versions" / second / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"run_id": "', '"run_id": "of another'))
        with pytest.raises(DamagedError, match=f"older than publication {second}"):
            catch_up(data, ledger)


def test_publication_that_a_retried_step_builds_on_is_on_record_first(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dagster_project.lib.publish._record", lambda *_: None)
        first = publish_again(data)
    publish_again(data)
    assert (first,) in in_ledger(data, "select publication_id from publications")


def test_damaged_version_is_no_ground_for_restatements_nor_for_what_vanished(
    data: DataDir,
) -> None:
    version = current(data)
    assert version is not None
    flip(version.folder / "parquet" / "shop_metrics_daily.parquet")
    flip(version.folder / "marts.duckdb")
    with Ledger.open(data.ledger) as ledger:
        assert _published_shops(data, ledger) == []
    later = publish_again(data)
    assert Version(data.published / "versions" / later).faults() == []
    assert in_ledger(data, "select count(*) from restatements") == [(0,)]


def test_readers_that_hold_the_database_for_writing_stop_no_run(data: DataDir) -> None:
    """ADBC opens for writing unless it is told not to."""
    version = current(data)
    assert version is not None
    with held_for_writing(version.folder / "marts.duckdb"):
        with Ledger.open(data.ledger) as ledger:
            assert _published_shops(data, ledger)
        publish_again(data)


def test_shop_may_lose_days_when_its_orders_were_taken_back_after_they_were_published(
    data: DataDir,
) -> None:
    def had_orders_taken_back() -> dict[object, object]:
        with Ledger.open(data.ledger) as ledger:
            rows = _published_shops(data, ledger)
        return {row["shop_id"]: row["had_orders_taken_back"] for row in rows}

    assert not any(had_orders_taken_back().values())
    with Ledger.open(data.ledger) as ledger:
        file = next(
            e for e in ledger.current_files() if (e.dataset, e.status) == ("orders", "loaded")
        )
        ledger.retract(file.file_id, ledger.next_moment())
    assert {shop for shop, taken in had_orders_taken_back().items() if taken} == {file.shop_id}
    # published since, but the shop's own figures are older than that
    run_id = (read_manifest(data) or {})["run_id"]
    first = (read_manifest(data) or {})["publication_id"]
    with Ledger.open(data.ledger) as ledger:
        ledger.freeze({file.shop_id: first}, "a_rule", run_id)
    publish_again(data)
    assert had_orders_taken_back()[file.shop_id]
    with Ledger.open(data.ledger) as ledger:
        ledger.con.execute("delete from frozen_shops")
    publish_again(data)
    assert not any(had_orders_taken_back().values())


# --- for a shop's owner -----------------------------------------------------------------------


def test_owner_gets_all_of_the_shop_and_nothing_of_the_others(
    data: DataDir, tmp_path: Path
) -> None:
    shops = read_shops(data.shops_csv)
    version = current(data)
    assert version is not None
    *known, _ = shops.values()  # the last one loses its line
    lines = data.shops_csv.read_text().splitlines(keepends=True)
    data.shops_csv.write_text("".join(lines[:-1]))
    for shop_id, shop in shops.items():
        names_of_all = shops.keys() | {s.shop_name for s in known}
        hidden = names_of_all - {shop_id, shop.shop_name}
        plant(hidden, shop_id, version.folder / "marts.duckdb")
        out = tmp_path / "owner" / shop_id
        done = feedback(
            "publish", "--shop", shop_id, "--out", str(out), "--data-dir", str(data.root)
        )
        assert done.code == 0, done.output
        assert Version(out).faults() == []
        with duckdb.connect() as con:
            con.execute(f"attach '{version.folder / 'marts.duckdb'}' as everyone (read_only)")
            con.execute(f"attach '{out / 'marts.duckdb'}' as own (read_only)")
            tables = con.execute(
                "select table_name from duckdb_tables() where database_name = 'own'"
            ).fetchall()
            more = {"metric_restatements", "frozen_shops", "files", "rejected_rows"}
            assert {t for (t,) in tables} == {*MARTS, *more}
            for (table,) in tables:
                theirs = f"select count(*) from everyone.main.{table} where shop_id = '{shop_id}'"
                for own in (f"own.main.{table}", f"'{out}/parquet/{table}.parquet'"):
                    assert (
                        con.execute(f"select count(*) from {own}").fetchall()
                        == con.execute(theirs).fetchall()
                    )
                    cells = con.execute(f"from {own}").fetchall()
                    assert all(row[names(con, own).index("shop_id")] == shop_id for row in cells)
                    shown = str(cells).casefold()
                    assert not [name for name in hidden if name.casefold() in shown], own
        content = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
        assert shop_id.encode() in content
        assert not [name for name in hidden if name.encode() in content]


def plant(names: Iterable[str], shop_id: str, marts: Path) -> None:
    """Put names into the texts of a shop's files, as people call files and folders."""
    text = " ".join(
        f"{name}-returns-2026-03-02.csv returns_{name}_20260302.csv orders-{name.upper()}.csv"
        for name in names
    )
    with connect(marts) as con:
        for table, columns in {
            "files": ("dataset", "file_name", "message"),
            "rejected_rows": ("source_file", "message"),
        }.items():
            planted = ", ".join(f"{column} = $text" for column in columns)
            con.execute(
                f"update {table} set {planted} where shop_id = $shop_id",
                {"text": text, "shop_id": shop_id},
            )


def names(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in con.execute(f"describe from {relation}").fetchall()]


def test_texts_that_name_another_shop_are_masked(data: DataDir, tmp_path: Path) -> None:
    version = current(data)
    assert version is not None
    shops = read_shops(data.shops_csv)
    mine, other, *_ = sorted(shops)
    with connect(version.folder / "marts.duckdb") as con:
        con.execute(
            "update files set message = ?, file_name = ? where shop_id = ?",
            [f"has the bytes of a file of {other}; see {mine}", f"{other.upper()} all.csv", mine],
        )
    write_shop_publication(version, mine, shops, tmp_path / "out")
    with connect(tmp_path / "out" / "marts.duckdb", read_only=True) as con:
        found = con.execute("select distinct message, file_name from files").fetchall()
    assert found == [
        (f"has the bytes of a file of [another shop]; see {mine}", "[another shop] all.csv")
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop-b-returns-2026-03-02.csv", "[…]-returns-2026-03-02.csv"),
        ("returns_SHOP-B_20260302.csv", "returns_[…]_20260302.csv"),
        ("shop-b.csv, orders-shop-b.csv", "[…].csv, orders-[…].csv"),
        ("shop-b-2, shop-b-20, shop-b-2-7", "shop-b-2, […]-20, […]"),
        ("workshop-b.csv, shop-bé.csv", "workshop-b.csv, […]é.csv"),
        ("คืนขนมไทย.csv", "คืน[…].csv"),
        ("Snacks_Snacks & Co_2-x-1", "[…]_Snacks & Co_2-[…]"),
    ],
)
def test_names_of_others_are_masked_but_where_they_are_part_of_ones_own(
    text: str, shown: str
) -> None:
    own = {"shop-b-2", "Snacks & Co"}
    others = {"shop-b", "shop-b-2-7", "ขนมไทย", "Snacks", "x-1", ""}
    assert _mask(own, others)(text) == shown.replace("[…]", "[another shop]")
    assert _mask(own, {""})(text) == text
    assert _mask({""}, ())(text) == text


def test_owner_copy_needs_a_known_shop_and_a_new_folder(data: DataDir, tmp_path: Path) -> None:
    version = current(data)
    assert version is not None
    with pytest.raises(ConfigurationError, match="has nothing of nobody"):
        write_shop_publication(version, "nobody", {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(ConfigurationError, match="is not empty"):
        write_shop_publication(version, "nobody", {}, tmp_path / "full")
