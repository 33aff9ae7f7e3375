"""What readers see: names and types as promised, one version at a time, never a closed gate."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.lib import publications
from dagster_project.lib.database import connect
from dagster_project.lib.errors import GateClosedError
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.metrics import NUMERATORS
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import current, read_manifest, seal
from dagster_project.lib.publish import publish
from dagster_project.lib.published_version import MARTS
from tests.support import Published, fingerprint

TABLES = {
    "shop_metrics_daily": {
        "shop_id": "VARCHAR",
        "metric_date": "DATE",
        "delivered_orders": "BIGINT",
        "negative_review_orders": "BIGINT",
        "seller_negative_review_orders": "BIGINT",
        "product_negative_review_orders": "BIGINT",
        "service_negative_review_orders": "BIGINT",
        "seller_fault_return_orders": "BIGINT",
        "nrr": "DOUBLE",
        "nrr_seller": "DOUBLE",
        "nrr_product": "DOUBLE",
        "nrr_service": "DOUBLE",
        "sfrr": "DOUBLE",
        "nrr_state": "VARCHAR",
        "sfrr_state": "VARCHAR",
    },
    "product_metrics_daily": {
        "shop_id": "VARCHAR",
        "product_key": "VARCHAR",
        "metric_date": "DATE",
        "delivered_orders": "BIGINT",
        "negative_review_orders": "BIGINT",
        "seller_fault_return_orders": "BIGINT",
        "nrr": "DOUBLE",
        "sfrr": "DOUBLE",
        "product_name": "VARCHAR",
    },
    "reason_metrics_daily": {
        "shop_id": "VARCHAR",
        "metric_date": "DATE",
        "metric": "VARCHAR",
        "reason_code": "VARCHAR",
        "category": "VARCHAR",
        "fault": "VARCHAR",
        "is_counted": "BOOLEAN",
        "orders": "BIGINT",
        "delivered_orders": "BIGINT",
        "rate": "DOUBLE",
        "share": "DOUBLE",
        "rank": "BIGINT",
    },
    "product_reason_metrics_daily": {
        "shop_id": "VARCHAR",
        "product_key": "VARCHAR",
        "metric_date": "DATE",
        "metric": "VARCHAR",
        "reason_code": "VARCHAR",
        "is_counted": "BOOLEAN",
        "orders": "BIGINT",
    },
    "feedback_events": {
        "event_id": "VARCHAR",
        "shop_id": "VARCHAR",
        "source": "VARCHAR",
        "order_id": "VARCHAR",
        "sku_id": "VARCHAR",
        "product_key": "VARCHAR",
        "event_date": "DATE",
        "rating": "INTEGER",
        "reason_code": "VARCHAR",
        "category": "VARCHAR",
        "fault": "VARCHAR",
        "is_negative": "BOOLEAN",
        "is_counted": "BOOLEAN",
        "rule": "VARCHAR",
        "text": "VARCHAR",
        "file_id": "VARCHAR",
        "row_number": "BIGINT",
    },
    "metric_variants_daily": {
        "shop_id": "VARCHAR",
        "metric_date": "DATE",
        "metric": "VARCHAR",
        "variant": "VARCHAR",
        "numerator": "BIGINT",
        "denominator": "BIGINT",
        "rate": "DOUBLE",
    },
    "reconciliation": {
        "shop_id": "VARCHAR",
        "metric_date": "DATE",
        "metric": "VARCHAR",
        "window_days": "INTEGER",
        "platform_value": "DOUBLE",
        "rate": "DOUBLE",
        "difference": "DOUBLE",
        "nearest_variant": "VARCHAR",
        "nearest_rate": "DOUBLE",
        "nearest_difference": "DOUBLE",
        "explained_by": "VARCHAR",
        "explained_by_rate": "DOUBLE",
        "explained_by_mean_difference": "DOUBLE",
        "explained_by_days": "BIGINT",
        "is_explained": "BOOLEAN",
    },
    "quality_results": {
        "run_id": "VARCHAR",
        "checked_at": "TIMESTAMP WITH TIME ZONE",
        "stage": "VARCHAR",
        "dataset": "VARCHAR",
        "rule": "VARCHAR",
        "severity": "VARCHAR",
        "passed": "BOOLEAN",
        "checked_rows": "BIGINT",
        "failed_rows": "BIGINT",
        "examples": "VARCHAR",
        "message": "VARCHAR",
    },
    "rejected_rows": {
        "dataset": "VARCHAR",
        "shop_id": "VARCHAR",
        "source_file": "VARCHAR",
        "row_number": "BIGINT",
        "column_name": "VARCHAR",
        "rule": "VARCHAR",
        "message": "VARCHAR",
    },
    "files": {
        "file_id": "VARCHAR",
        "shop_id": "VARCHAR",
        "dataset": "VARCHAR",
        "file_name": "VARCHAR",
        "exported_at": "TIMESTAMP",
        "rows_read": "BIGINT",
        "rows_loaded": "BIGINT",
        "rows_rejected": "BIGINT",
        "status": "VARCHAR",
    },
}
"""The published tables of the metric definitions, with their types."""


@pytest.fixture
def data(published: Published, tmp_path: Path) -> DataDir:
    """A copy of a data directory that was published once."""
    return published.copy(tmp_path)


def last_run(data: DataDir) -> str:
    run_id: str = (read_manifest(data) or {})["run_id"]
    return run_id


def publish_again(data: DataDir, run_id: str | None = None) -> dict[str, Any]:
    """Publish what the warehouse holds, as the run that was published last."""
    with Ledger.open(data.ledger) as ledger:
        return publish(data, ledger, run_id or last_run(data))


def in_warehouse(data: DataDir, statement: str) -> None:
    with connect(data.warehouse) as con:
        con.execute(statement)


def change_shop_days(data: DataDir, statement: str, since: str = "1900-01-01") -> None:
    """Change `marts.shop_metrics_daily` and note which days, as a run does."""
    in_warehouse(data, statement)
    in_warehouse(data, "insert into unpublished.marts values ('shop_metrics_daily')")
    in_warehouse(
        data,
        f"insert into unpublished.shop_days select distinct shop_id, date '{since}' "
        "from marts.shop_metrics_daily",
    )


def in_ledger(data: DataDir, statement: str) -> list[tuple[Any, ...]]:
    with Ledger.open(data.ledger) as ledger:
        return ledger.con.execute(statement).fetchall()


def ask(path: Path, query: str) -> str:
    """What a reader in a process of its own finds; its handle is gone when this returns."""
    reader = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); " \
             "print(c.execute(sys.argv[2]).fetchall())"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", reader, str(path), query], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def what_readers_see(data: DataDir) -> dict[str, str]:
    current = data.published / "current"
    return fingerprint(current.resolve()) | {"current": str(current.readlink())}


# --- names, types, formats --------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_promised_columns_and_types_in_schema_main(
    published: Published, table: str
) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        columns = dict(
            con.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'main' and table_name = ? order by ordinal_position",
                [table],
            ).fetchall()
        )
    assert {name: columns.get(name) for name in TABLES[table]} == TABLES[table]


def test_every_published_table_is_in_schema_main(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        tables = con.execute("select table_schema, table_name from information_schema.tables")
        assert {schema for schema, _ in tables.fetchall()} == {"main"}


def test_parquet_files_equal_the_tables(published: Published) -> None:
    with connect(published.data.published / "marts.duckdb", read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        tables = {
            name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()
        }
        folder = published.data.published / "parquet"
        assert {path.stem for path in folder.iterdir()} == tables
        assert set(TABLES) <= tables
        for table in tables:
            described = f"select column_name, column_type from (describe {table})"
            of_parquet = (
                f"select column_name, column_type from (describe from '{folder}/{table}.parquet')"
            )
            assert con.execute(described).fetchall() == con.execute(of_parquet).fetchall()
            of_both = (f"from {table}", f"from '{folder}/{table}.parquet'")
            for one, other in (of_both, of_both[::-1]):
                assert con.execute(f"{one} except all {other}").fetchall() == []


def test_manifest_tells_rows_and_checksums_of_what_lies_beside_it(published: Published) -> None:
    manifest = read_manifest(published.data)
    assert manifest
    folder = (published.data.published / "current").resolve()
    assert manifest["as_of"] == "2026-10-31"
    assert manifest["publication_id"] == folder.name
    assert manifest["code_version"].startswith("0.")
    with connect(folder / "marts.duckdb", read_only=True) as con:
        for table, rows in manifest["tables"].items():
            assert con.execute(f"select count(*) from {table}").fetchone() == (rows,)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(files) == {*manifest["files"], "manifest.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest


def test_database_is_in_the_format_that_clients_since_1_4_can_open(published: Published) -> None:
    path = published.data.published / "marts.duckdb"
    with connect(path, read_only=True) as con:
        found = con.execute(
            "select tags['storage_version'] from duckdb_databases() where not internal"
        ).fetchone()
    assert found == ("v1.4.0+",)
    number_in_file_header = int.from_bytes(path.read_bytes()[12:20], "little")
    assert number_in_file_header == 67  # the format of 1.4


def test_fixed_names_lead_through_one_link_and_nothing_else_lies_about(
    published: Published,
) -> None:
    folder = published.data.published
    links = {p.name: str(p.readlink()) for p in folder.iterdir() if p.is_symlink()}
    assert links.pop("current").startswith("versions/")
    assert links == {n: f"current/{n}" for n in ("marts.duckdb", "parquet", "manifest.json")}
    assert {p.name for p in folder.iterdir()} == {*links, "current", "versions"}
    (version,) = (folder / "versions").iterdir()
    assert {p.name for p in version.iterdir()} == {"marts.duckdb", "parquet", "manifest.json"}


def tables_written_anew(data: DataDir) -> set[str]:
    """The marts whose Parquet is no longer the file that lay there before publishing again."""
    before = {path.stem: path.stat().st_ino for path in (data.published / "parquet").iterdir()}
    publish_again(data)
    after = {path.stem: path.stat().st_ino for path in (data.published / "parquet").iterdir()}
    return {name for name in MARTS if after[name] != before[name]}


def test_only_marts_that_changed_are_written_anew(data: DataDir) -> None:
    query = "select count(*), sum(delivered_orders) from {}"
    before = ask(data.published / "marts.duckdb", query.format("product_metrics_daily"))
    assert tables_written_anew(data) == set()
    change_shop_days(data, "update marts.shop_metrics_daily set delivered_orders = 1")
    assert tables_written_anew(data) == {"shop_metrics_daily"}
    path = data.published / "marts.duckdb"
    assert ask(path, query.format("product_metrics_daily")) == before
    assert ask(path, "select max(delivered_orders) from shop_metrics_daily") == "[(1,)]"


def test_of_a_daily_mart_only_the_days_computed_again_are_written(data: DataDir) -> None:
    path = data.published / "marts.duckdb"
    older = "select sum(delivered_orders) from shop_metrics_daily where metric_date < '2026-10-30'"
    newer = older.replace("<", ">=").replace("sum", "max")
    before = ask(path, older)
    change_shop_days(
        data, "update marts.shop_metrics_daily set delivered_orders = 9", since="2026-10-30"
    )
    publish_again(data)
    assert ask(path, older) == before
    assert ask(path, newer) == "[(9,)]"


def test_a_mart_whose_old_days_change_with_a_new_one_is_written_whole(data: DataDir) -> None:
    in_warehouse(data, "update marts.reconciliation set explained_by = 'anew'")
    in_warehouse(data, "insert into unpublished.marts values ('reconciliation')")
    publish_again(data)
    path = data.published / "marts.duckdb"
    assert ask(path, "select distinct explained_by from reconciliation") == "[('anew',)]"


@pytest.mark.parametrize("name", ["marts.duckdb", "parquet/feedback_events.parquet"])
def test_nothing_is_taken_over_from_a_version_that_was_damaged(data: DataDir, name: str) -> None:
    path = data.published / "current" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert tables_written_anew(data) == set(MARTS)


def test_nothing_is_taken_over_when_all_was_built_anew(data: DataDir) -> None:
    in_warehouse(data, "delete from unpublished.since")
    assert tables_written_anew(data) == set(MARTS)


def test_every_mart_is_written_anew_after_an_older_version_was_put_back(data: DataDir) -> None:
    older = (data.published / "current").readlink()
    publish_again(data)
    (data.published / "current").unlink()
    (data.published / "current").symlink_to(older)
    assert tables_written_anew(data) == set(MARTS)


# --- readers ----------------------------------------------------------------------------------


def test_reader_keeps_the_version_it_opened_and_a_new_one_sees_the_next(data: DataDir) -> None:
    path = data.published / "marts.duckdb"
    query = "select sum(delivered_orders), count(*) from shop_metrics_daily"
    with connect(path, read_only=True) as reader:
        orders, days = reader.execute(query).fetchone() or (0, 0)
        change_shop_days(data, "update marts.shop_metrics_daily set delivered_orders = 1")
        publish_again(data)
        assert reader.execute(query).fetchone() == (orders, days)
        assert ask(path, query) == f"[({days}, {days})]"


def test_one_rename_decides_what_readers_see(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (replaced.append(Path(to).name), replace(path, to))[1]
    )
    publish_again(data)
    assert replaced == ["current"]


def test_same_marts_and_history_give_the_same_parquet_files(data: DataDir) -> None:
    first, second = read_manifest(data) or {}, publish_again(data)
    for manifest in (first, second):
        del manifest["files"]["marts.duckdb"]
    assert first["files"] == second["files"]


def test_publishing_leaves_no_log_and_no_litter(data: DataDir) -> None:
    publish_again(data)
    names = [path.name for path in data.published.rglob("*")]
    assert not [
        n for n in names if n.endswith((".wal", ".tmp")) or n.startswith((".new", ".build"))
    ]


def test_seven_versions_are_kept(data: DataDir) -> None:
    published = [publish_again(data)["publication_id"] for _ in range(8)]
    kept = sorted(path.name for path in (data.published / "versions").iterdir())
    assert kept == published[-7:]
    assert (data.published / "current").resolve().name == published[-1]


def test_version_just_published_is_kept_even_when_the_clock_was_set_back(data: DataDir) -> None:
    versions = data.published / "versions"
    for year in range(2091, 2099):
        (versions / f"{year}0101T000000000000").mkdir()
        in_ledger(
            data,
            "insert into publications (publication_id, published_at) "
            f"values ('{year}0101T000000000000', now())",
        )
    manifest = publish_again(data)
    assert (read_manifest(data) or {})["publication_id"] == manifest["publication_id"]
    assert len(list(versions.iterdir())) == 7


# --- failures ---------------------------------------------------------------------------------


def test_publishing_that_fails_half_way_leaves_the_old_version_in_place(data: DataDir) -> None:
    before = what_readers_see(data)
    in_warehouse(data, "insert into unpublished.marts values ('metric_status_daily')")
    in_warehouse(data, "drop table marts.metric_status_daily")
    with pytest.raises(duckdb.CatalogException):
        publish_again(data)
    assert what_readers_see(data) == before
    assert len(in_ledger(data, "from publications")) == 1


@pytest.mark.parametrize("step", ["_link", "_sync"])
def test_publishing_that_dies_late_leaves_the_old_version_and_the_next_one_cleans_up(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = what_readers_see(data)

    def die(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(publications, step, die)
        with pytest.raises(OSError, match="no power"):
            publish_again(data)
    assert what_readers_see(data) == before
    manifest = publish_again(data)
    assert (read_manifest(data) or {})["publication_id"] == manifest["publication_id"]
    assert not list((data.published / "versions").glob(".building-*"))


def test_litter_of_a_run_that_was_killed_is_cleared(data: DataDir) -> None:
    building = data.published / "versions" / ".building-20200101T000000000000"
    (building / "parquet").mkdir(parents=True)
    (building / "marts.duckdb.wal").write_bytes(b"half")
    (data.published / ".new-current").symlink_to("versions/gone")
    publish_again(data)
    assert not building.exists()
    assert not (data.published / ".new-current").is_symlink()


def test_refuses_when_the_gates_did_not_run(data: DataDir) -> None:
    before = fingerprint(data.published)
    with pytest.raises(GateClosedError, match=r"Not checked in this run: .*orders_bring_rows"):
        publish_again(data, "another-run")
    assert fingerprint(data.published) == before


def test_refuses_when_one_rule_was_left_out(data: DataDir) -> None:
    in_ledger(data, "delete from quality_results where rule = 'files_are_readable'")
    with pytest.raises(GateClosedError, match="Not checked in this run: files_are_readable; run"):
        publish_again(data)


def test_refuses_when_a_critical_rule_did_not_pass_and_names_it(data: DataDir) -> None:
    before = fingerprint(data.published)
    in_ledger(
        data,
        "update quality_results set passed = false "
        "where rule in ('shop_returns_reconcile', 'orders_bring_rows')",
    )
    with pytest.raises(GateClosedError, match=r"^Closed: shop_returns_reconcile\.$"):
        publish_again(data)
    assert fingerprint(data.published) == before


def test_publishes_when_the_rule_that_did_not_pass_was_accepted(data: DataDir) -> None:
    in_ledger(
        data,
        "update quality_results set passed = false, accepted_reason = 'it is right' "
        "where rule = 'shop_returns_reconcile'",
    )
    publish_again(data)
    found = ask(
        data.published / "marts.duckdb",
        "select rule, accepted_reason from quality_results where accepted_reason is not null",
    )
    assert found == "[('shop_returns_reconcile', 'it is right')]"


def test_publishes_when_only_a_warning_did_not_pass(data: DataDir) -> None:
    in_ledger(data, "update quality_results set passed = false where severity = 'warning'")
    publish_again(data)


def test_refuses_a_warehouse_that_another_run_made_ready(data: DataDir) -> None:
    before = what_readers_see(data)
    in_warehouse(data, "update raw.run set run_id = 'another-run'")
    with pytest.raises(GateClosedError, match="made ready by another run"):
        publish_again(data)
    assert what_readers_see(data) == before


def test_method_is_that_of_the_settings_that_were_loaded(data: DataDir) -> None:
    """Not of a file that was saved while dbt ran."""
    loaded = (read_manifest(data) or {})["method"]
    data.settings.mkdir(exist_ok=True)
    (data.settings / "metric_settings.csv").write_text("saved\n")
    assert publish_again(data)["method"] == loaded


# --- history ----------------------------------------------------------------------------------

RESTATEMENTS = "select * exclude (publication_id) from restatements order by all"


def test_first_publication_restates_nothing(published: Published, tmp_path: Path) -> None:
    assert in_ledger(published.copy(tmp_path), RESTATEMENTS) == []


def test_publishing_the_same_again_restates_nothing(data: DataDir) -> None:
    publish_again(data)
    assert in_ledger(data, RESTATEMENTS) == []


def test_changed_count_of_a_published_day_is_restated(data: DataDir) -> None:
    where = "where shop_id = 'th-siam-snacks' and metric_date = '2026-10-20'"
    with connect(data.warehouse) as con:
        denominator, old, returns = con.execute(
            "select delivered_orders, negative_review_orders, seller_fault_return_orders "
            f"from marts.shop_metrics_daily {where}"
        ).fetchone() or (0, 0, 0)
    change_shop_days(
        data,
        "update marts.shop_metrics_daily "
        f"set negative_review_orders = negative_review_orders + 1 {where}",
    )
    manifest = publish_again(data)
    day = date(2026, 10, 20)
    assert in_ledger(data, RESTATEMENTS) == [
        ("th-siam-snacks", day, "nrr", old, denominator, old + 1, denominator, "file")
    ]
    assert in_ledger(data, "select distinct publication_id from restatements") == [
        (manifest["publication_id"],)
    ]
    change_shop_days(data, f"update marts.shop_metrics_daily set delivered_orders = 7 {where}")
    again = publish_again(data)["publication_id"]
    later = in_ledger(
        data,
        f"select * exclude (publication_id) from restatements where publication_id = '{again}'",
    )
    assert {row[2] for row in later} == set(NUMERATORS)
    assert ("th-siam-snacks", day, "nrr", old + 1, denominator, old + 1, 7, "file") in later
    assert ("th-siam-snacks", day, "sfrr", returns, denominator, returns, 7, "file") in later


def test_table_that_the_version_before_lacks_is_published_whole(data: DataDir) -> None:
    """As by the first run of code that adds one."""
    version = current(data)
    assert version is not None
    (version.folder / "parquet" / "watchlist.parquet").unlink()
    with connect(version.folder / "marts.duckdb") as con:
        con.execute("drop table watchlist")
    seal(version.folder, {**version.manifest, "files": None})
    with connect(data.warehouse) as con:
        con.execute("delete from unpublished.since")
        rows = con.execute("select count(*) from marts.watchlist").fetchall()
    publish_again(data)
    with connect(data.published / "marts.duckdb", read_only=True) as con:
        assert con.execute("select count(*) from watchlist").fetchall() == rows


def test_version_has_what_it_restates_itself_and_what_those_before_did(data: DataDir) -> None:
    for day in ("2026-10-20", "2026-10-21"):
        change_shop_days(
            data,
            "update marts.shop_metrics_daily set delivered_orders = delivered_orders + 1 "
            f"where shop_id = 'th-siam-snacks' and metric_date = '{day}'",
        )
        publish_again(data)
    with connect(data.published / "marts.duckdb", read_only=True) as con:
        columns = "publication_id, shop_id, metric_date, metric, new_denominator, cause"
        shown = con.execute(f"select {columns} from metric_restatements order by all").fetchall()
    assert len({row[0] for row in shown}) == 2
    assert shown == in_ledger(data, f"select {columns} from restatements order by all")


def test_cause_is_code_before_setting_before_file(data: DataDir) -> None:
    def republish(**manifest: str) -> object:
        version = current(data)
        assert version is not None
        sealed = version.folder / "manifest.json"
        sealed.write_text(json.dumps(version.manifest | manifest))
        change_shop_days(
            data, "update marts.shop_metrics_daily set delivered_orders = delivered_orders + 1"
        )
        last = publish_again(data)["publication_id"]
        causes = f"select distinct cause from restatements where publication_id = '{last}'"
        return in_ledger(data, causes)

    assert republish() == [("file",)]
    assert republish(basis="another") == [("setting",)]
    assert republish(basis="another", code_version="another") == [("code",)]


def test_new_day_is_no_restatement_and_a_vanished_one_is(data: DataDir) -> None:
    change_shop_days(
        data,
        "insert into marts.shop_metrics_daily select * replace (metric_date + 1 as metric_date) "
        "from marts.shop_metrics_daily where metric_date = '2026-10-31'",
    )
    publish_again(data)
    assert in_ledger(data, RESTATEMENTS) == []
    change_shop_days(data, "delete from marts.shop_metrics_daily where metric_date = '2026-11-01'")
    publish_again(data)
    new = in_ledger(data, "select distinct metric_date, new_denominator from restatements")
    assert new == [(date(2026, 11, 1), None)]


def test_ledger_knows_what_readers_see(data: DataDir) -> None:
    manifest = publish_again(data)
    (last,) = in_ledger(
        data,
        "select publication_id, run_id, as_of, published_at from publications "
        "order by published_at desc limit 1",
    )
    assert last[:3] == (manifest["publication_id"], last_run(data), date(2026, 10, 31))
    assert datetime.now(UTC) > last[3]
