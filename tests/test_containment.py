"""What breaks a rule is set apart: a file withdrawn, a shop frozen; the rest is published."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.contracts import Rule
from dagster_project.lib.database import connect
from dagster_project.lib.landing import sha256
from dagster_project.lib.ledger import FileEntry, Ledger, Publication, QualityResult
from dagster_project.lib.paths import SETTINGS_CONTRACTS_DIR, DataDir
from dagster_project.lib.publications import read_manifest
from dagster_project.lib.published_version import MARTS
from dagster_project.lib.sql import literal
from dagster_project.lib.warehouse import method_fingerprint
from dagster_project.quality.containment import Containment
from dagster_project.quality.gates import Offender, Suite
from tests.support import ORDER_HEADER, RETURN_HEADER, CommandResult, Published, feedback, write_csv

SHOP, OTHER = "th-siam-snacks", "my-messy-market"
RAW = Suite("raw", "returns", "raw_new.returns", "raw.returns", ())
MARTS_SUITE = Suite("publish", "feedback_events", "unpublished.x", "marts.x", ())


def rule(asks: str = "rows") -> Rule:
    return Rule("a_rule", "It holds.", "critical", "select 1", asks, 0, "")  # type: ignore[arg-type]


# --- what a gate does -------------------------------------------------------------------------


@dataclass
class Gate:
    """A gate of the run `run-2` on a published data directory."""

    data: DataDir
    ledger: Ledger
    warehouse: duckdb.DuckDBPyConnection

    def contain(self, suite: Suite, offenders: list[Offender], asks: str = "rows") -> str | None:
        done = Containment(self.data, self.ledger, "run-2", self.warehouse)
        return done(suite, rule(asks), offenders)

    @property
    def withdrawn(self) -> list[FileEntry]:
        return [e for e in self.ledger.current_files() if e.status == "withdrawn"]

    @property
    def shops(self) -> list[str]:
        found = self.warehouse.execute(
            "select distinct shop_id from raw.files where dataset = 'orders' order by 1"
        )
        return [shop for (shop,) in found.fetchall()]


@pytest.fixture
def gate(published: Published, tmp_path: Path) -> Iterator[Gate]:
    data = published.copy(tmp_path)
    with connect(data.warehouse) as con:  # as if one file of returns were new
        con.execute("create or replace table raw_new.files as from raw.files limit 0")
        con.execute(
            "insert into raw_new.files from raw.files "
            "where dataset = 'returns' and status = 'loaded' order by shop_id, file_id limit 1"
        )
    with Ledger.open(data.ledger) as ledger, connect(data.warehouse, read_only=True) as warehouse:
        yield Gate(data, ledger, warehouse)


def test_raw_gate_withdraws_the_files_that_break_a_rule(gate: Gate) -> None:
    bad, *_ = (
        e for e in gate.ledger.current_files() if e.dataset == "returns" and e.status == "loaded"
    )
    offender = Offender(bad.shop_id, bad.dataset, bad.file_id)
    told = gate.contain(RAW, [offender])
    assert told == f"Withdrawn: {bad.shop_id}/returns {bad.file_id[:12]}"
    (entry,) = gate.withdrawn
    assert (entry.file_id, entry.message) == (bad.file_id, "breaks the rule a_rule")
    assert gate.ledger.withdrawn_by("run-2") == {(bad.shop_id, bad.dataset, bad.file_id)}
    assert gate.ledger.withdrawn_by("run-1") == set()
    assert gate.ledger.has_untold_withdrawals()


def test_withdrawn_file_counts_again_once_a_later_run_judges_anew(gate: Gate) -> None:
    bad, *_ = gate.ledger.current_files()
    key = (bad.shop_id, bad.dataset, bad.file_id)
    gate.ledger.withdraw([key], "a_rule", "run-2")
    gate.ledger.withdraw([key], "b_rule", "run-2")
    gate.ledger.reconsider_withdrawn("run-3")
    assert gate.withdrawn == []
    gate.ledger.withdraw([key], "b_rule", "run-3")
    assert [e.message for e in gate.withdrawn] == ["breaks the rule b_rule"]


def test_refused_file_is_refused_whatever_rules_it_breaks(gate: Gate) -> None:
    refused, *_ = (e for e in gate.ledger.current_files() if e.status == "refused")
    gate.ledger.withdraw([(refused.shop_id, refused.dataset, refused.file_id)], "a_rule", "run-2")
    assert refused in gate.ledger.current_files()


def test_withdrawn_file_may_be_retracted_for_good(gate: Gate) -> None:
    bad, *_ = (e for e in gate.ledger.current_files() if e.status == "loaded")
    gate.ledger.withdraw([(bad.shop_id, bad.dataset, bad.file_id)], "a_rule", "run-2")
    assert gate.ledger.retract(bad.file_id, datetime.now(UTC))
    gate.ledger.reconsider_withdrawn("run-3")
    found = [e for e in gate.ledger.current_files() if e.file_id == bad.file_id]
    assert {e.status for e in found} == {"retracted"}


def test_withdrawn_file_stays_out_once_it_lies_in_the_right_shops_folder(gate: Gate) -> None:
    bad, *_ = (e for e in gate.ledger.current_files() if e.status == "loaded" and not e.sheet)
    gate.ledger.withdraw([(bad.shop_id, bad.dataset, bad.file_id)], "a_rule", "run-2")
    gate.ledger.con.execute(
        "insert into files by name select * replace (? as shop_id, ? as ingested_at) from files "
        "where file_id = ? and shop_id = ?",
        ["its-own-shop", gate.ledger.next_moment(), bad.file_id, bad.shop_id],
    )
    gate.ledger.reconsider_withdrawn("run-3")

    def found() -> dict[str, str]:
        entries = gate.ledger.current_files()
        return {e.shop_id: e.status for e in entries if e.file_id == bad.file_id}

    assert found() == {bad.shop_id: "withdrawn", "its-own-shop": "loaded"}
    # but not for ever where the other one is not right either
    gate.ledger.withdraw([("its-own-shop", bad.dataset, bad.file_id)], "a_rule", "run-3")
    gate.ledger.reconsider_withdrawn("run-4")
    assert found() == {bad.shop_id: "loaded", "its-own-shop": "loaded"}


def test_retracted_file_stays_retracted_when_it_was_withdrawn(gate: Gate) -> None:
    bad, *_ = (e for e in gate.ledger.current_files() if e.status == "loaded")
    gate.ledger.retract(bad.file_id, datetime.now(UTC))
    gate.ledger.withdraw([(bad.shop_id, bad.dataset, bad.file_id)], "a_rule", "run-2")
    found = [e for e in gate.ledger.current_files() if e.file_id == bad.file_id]
    assert {e.status for e in found} == {"retracted"}


@pytest.mark.parametrize(
    ("suite", "offenders", "asks"),
    [
        (RAW, [Offender(None, "returns", "f")], "rows"),
        (RAW, [Offender(SHOP, "returns", "f"), Offender(None, "returns", None)], "rows"),
        (RAW, [Offender(SHOP, "returns", "f")], "share"),
        (MARTS_SUITE, [Offender(None, "x", None)], "rows"),
        (MARTS_SUITE, [Offender(SHOP, "x", None), Offender(None, "x", None)], "rows"),
        (MARTS_SUITE, [], "count"),
    ],
)
def test_what_can_be_laid_at_neither_file_nor_shop_closes_the_gate(
    gate: Gate, suite: Suite, offenders: list[Offender], asks: str
) -> None:
    assert gate.contain(suite, offenders, asks) is None
    assert (gate.withdrawn, gate.ledger.frozen_shops("run-2")) == ([], set())


@pytest.mark.parametrize(
    ("suite", "file_id"),
    [(MARTS_SUITE, None), (MARTS_SUITE, "f"), (RAW, None), (RAW, "a file published before")],
)
def test_shop_is_frozen_at_the_publication_that_readers_see(
    gate: Gate, suite: Suite, file_id: str | None
) -> None:
    seen = (read_manifest(gate.data) or {})["publication_id"]
    assert gate.contain(suite, [Offender(SHOP, "x", file_id)]) == f"Frozen: {SHOP} as in {seen}"
    assert gate.ledger.frozen_shops("run-2") == {SHOP}
    assert gate.withdrawn == []


def test_shops_are_not_frozen_one_by_one_until_none_is_left(gate: Gate) -> None:
    *most, last = gate.shops
    for shop in most:
        assert gate.contain(MARTS_SUITE, [Offender(shop, "x", None)]) is not None
    assert gate.contain(MARTS_SUITE, [Offender(last, "x", None)]) is None
    assert gate.ledger.frozen_shops("run-2") == set(most)


def test_shop_that_readers_never_saw_is_left_out(gate: Gate) -> None:
    told = gate.contain(MARTS_SUITE, [Offender("new-shop", "x", None)])
    assert told == "Frozen: new-shop, which readers never saw"


def test_nothing_is_frozen_at_a_publication_that_is_damaged_or_of_other_code(gate: Gate) -> None:
    manifest = gate.data.published / "manifest.json"
    sealed = manifest.read_text()
    manifest.write_text(json.dumps(json.loads(sealed) | {"method": "another"}))
    assert gate.contain(MARTS_SUITE, [Offender(SHOP, "x", None)]) is None
    manifest.write_text(sealed)
    (gate.data.published / "parquet" / "files.parquet").unlink()
    assert gate.contain(MARTS_SUITE, [Offender(SHOP, "x", None)]) is None
    assert gate.ledger.frozen_shops("run-2") == set()


def test_settings_saved_during_a_run_are_no_other_method_of_it(gate: Gate) -> None:
    gate.data.settings.mkdir(exist_ok=True)
    (gate.data.settings / "metric_settings.csv").write_text("saved\n")
    assert gate.contain(MARTS_SUITE, [Offender(SHOP, "x", None)]) is not None


def test_method_is_code_and_definitions_but_not_what_texts_mean(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.settings.mkdir()
    moved = set()
    for contract in SETTINGS_CONTRACTS_DIR.glob("*.yaml"):
        before = method_fingerprint(data)
        (data.settings / f"{contract.stem}.csv").write_text("x\n")
        if method_fingerprint(data) != before:
            moved.add(contract.stem)
    assert moved == {"metric_settings", "metric_variants", "outcome_policy", "reasons"}


def test_frozen_shops_are_those_of_the_latest_run_whatever_its_clock_says(gate: Gate) -> None:
    for run_id, year, shop in (("run-2", 2026, SHOP), ("run-3", 2020, OTHER)):
        gate.ledger.freeze({shop: None}, "a_rule", run_id)
        moment = datetime(year, 1, 1, tzinfo=UTC)
        result = QualityResult(
            run_id, moment, "raw", "x", "a_rule", "critical", False, 1, 1, [], ""
        )
        gate.ledger.add_quality_results([result])
    found = gate.ledger.con.execute("select shop_id, rules from current_frozen_shops").fetchall()
    assert found == [(OTHER, "a_rule")]


def test_reviews_and_returns_are_not_settled_before_their_shop_has_orders(gate: Gate) -> None:
    gate.ledger.con.execute("delete from published_files")
    gate.ledger.con.execute("delete from files where shop_id = ? and dataset = 'orders'", [SHOP])
    gate.ledger.add_publication(
        Publication("2", "run-2", gate.ledger.next_moment(), None, "", ""), None
    )
    published = {(shop, dataset) for (shop, dataset, _), _ in gate.ledger.published_files()}
    assert {dataset for shop, dataset in published if shop == SHOP} & {
        "reviews",
        "returns",
    } == set()
    assert (SHOP, "products") in published
    assert (OTHER, "returns") in published


def test_file_that_was_refused_is_judged_when_it_loads_at_last(gate: Gate) -> None:
    refused, *_ = (e for e in gate.ledger.current_files() if e.status == "refused")
    key = (refused.shop_id, refused.dataset, refused.file_id)
    assert (key, "refused") in gate.ledger.published_files()
    assert (key, "loaded") not in gate.ledger.published_files()


def test_shop_is_not_frozen_with_rows_of_a_file_that_was_retracted_since(gate: Gate) -> None:
    file, *_ = (e for e in gate.ledger.current_files() if (e.shop_id, e.status) == (SHOP, "loaded"))
    of_no_publication = (OTHER, "returns", "f" * 64)
    gate.ledger.con.execute(
        "insert into retractions (shop_id, dataset, file_id, retracted_at) values (?, ?, ?, ?)",
        [*of_no_publication, gate.ledger.next_moment()],
    )
    gate.ledger.retract(file.file_id, gate.ledger.next_moment())
    assert gate.contain(MARTS_SUITE, [Offender(SHOP, "x", None)]) is None
    assert gate.contain(MARTS_SUITE, [Offender(OTHER, "x", None)]) is not None


def test_files_that_no_reader_saw_are_not_told_to_be_published(gate: Gate) -> None:
    """Those of frozen shops: the raw gate will look at them again."""
    key = (SHOP, "returns", "f" * 64)
    gate.ledger.con.execute(
        "insert into files by name select * replace (? as file_id, ? as shop_id, ? as dataset) "
        "from files where status = 'loaded' limit 1",
        [key[2], key[0], key[1]],
    )
    gate.ledger.freeze({SHOP: None}, "a_rule", "run-2")
    result = QualityResult(
        "run-2", gate.ledger.next_moment(), "raw", "x", "a_rule", "critical", False, 1, 1, [], ""
    )
    gate.ledger.add_quality_results([result])
    gate.ledger.add_publication(
        Publication("2", "run-2", gate.ledger.next_moment(), None, "", ""), None
    )
    assert key not in {k for k, _ in gate.ledger.published_files()}
    gate.ledger.con.execute("delete from frozen_shops")
    gate.ledger.add_publication(
        Publication("3", "run-2", gate.ledger.next_moment(), None, "", ""), None
    )
    assert key in {k for k, _ in gate.ledger.published_files()}


# --- whole runs -------------------------------------------------------------------------------

_numbers = itertools.count(1)


def drop_returns(data: DataDir, shop: str, reason: str, orders: list[str], day: str) -> Path:
    """A file of return requests for these orders, all with one reason."""
    return write_csv(
        data.landing / shop / "returns" / f"Return_order-2026-11-{next(_numbers):02}-08_00.csv",
        RETURN_HEADER,
        [[f"4036{n:015}", order, "", f"{day} 10:00:00", reason, "Completed", "", ""]
         for n, order in enumerate(orders)],
    )  # fmt: skip


def drop_order(data: DataDir, shop: str, order: str, delivered: str) -> Path:
    return write_csv(
        data.landing / shop / "orders" / f"All order-2026-11-{next(_numbers):02}-08_00.csv",
        ORDER_HEADER,
        [[order, "1729999999999999999", "Late Snack", "", "13/10/2026 09:00:00",
          f"{delivered} 09:00:00", "", "", ""]],
    )  # fmt: skip


def read(data: DataDir, query: str) -> list[tuple[object, ...]]:
    with connect(data.published / "marts.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()


def run(data: DataDir, *options: str) -> CommandResult:
    return feedback("run", "--data-dir", data.root, *options)


def other_shops_are_as_computed(data: DataDir, frozen: str) -> bool:
    """Whether what readers see of all shops but one is what the warehouse has, table by table."""
    with duckdb.connect() as con:
        for name, path in (("p", data.published / "marts.duckdb"), ("w", data.warehouse)):
            con.execute(f"attach {literal(str(path))} as {name} (read_only)")
        for mart in MARTS:
            of_both = [
                f"select * from {table} where shop_id <> {literal(frozen)}"
                for table in (f"p.main.{mart}", f"w.marts.{mart}")
            ]
            for one, other in (of_both, of_both[::-1]):
                if con.execute(f"{one} except all {other}").fetchall():
                    return False
    return True


def test_file_that_breaks_a_rule_is_withdrawn_and_the_rest_published(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    unknown = [f"57799{n:013}" for n in range(60)]
    wrong = drop_returns(data, OTHER, "Poor quality", unknown, "15/10/2026")
    drop_order(data, SHOP, "577999999999999999", "15/10/2026")
    strict = run(data, "--strict")
    assert strict.code == 1
    assert "Published: " in strict.output
    flat = " ".join(strict.output.split())
    withdrawn = f"Withdrawn: {OTHER}/returns {sha256(wrong)[:12]}"
    assert f"Warning: returns_mostly_of_known_orders is broken. {withdrawn}" in flat

    def of_the_file() -> tuple[list[tuple[object, ...]], int]:
        events = "select count(*) from feedback_events where event_id like '%:4036%'"
        files = f"select status from files where file_name = '{wrong.name}'"
        return read(data, files), int(str(read(data, events)[0][0]))

    assert of_the_file() == ([("withdrawn",)], 0)
    with Ledger.open(data.ledger) as ledger:
        assert not ledger.has_untold_withdrawals()
    late = "select count(*) from files where status = 'loaded' and file_name like '%2026-11-%'"
    assert read(data, late) == [(1,)]
    assert "Nothing new" in run(data).output
    # judged anew as soon as anything is, and found wrong again
    drop_order(data, SHOP, "577999999999999998", "16/10/2026")
    assert run(data).code == 0
    assert of_the_file() == ([("withdrawn",)], 0)
    assert read(
        data,
        "select passed, contained is not null, count(*) from quality_results "
        "where rule = 'returns_mostly_of_known_orders' group by all order by all",
    ) == [(False, True, 2), (True, False, 1)]
    let = run(data, "--accept", "returns_mostly_of_known_orders", "--reason", "a new shop")
    assert let.code == 0, let.output
    assert of_the_file() == ([("loaded",)], 60)


def test_file_named_after_a_day_to_come_counts_once_it_has_its_right_name(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    right = drop_order(data, SHOP, "577999999999999999", "15/10/2026")
    wrong = right.rename(right.with_name("All order-2099-11-01-08_00.csv"))
    drop_order(data, OTHER, "577999999999999998", "15/10/2026")
    late = "select file_name, status from files where file_name like '%20__-11-%' order by all"
    done = run(data)
    assert done.code == 0, done.output
    withdrawn = f"Withdrawn: {SHOP}/orders {sha256(wrong)[:12]}"
    flat = " ".join(done.output.split())
    assert f"files_are_not_of_the_future is broken. {withdrawn}" in flat
    assert (wrong.name, "withdrawn") in read(data, late)
    delivered = f"select sum(delivered_orders) from shop_metrics_daily where shop_id = '{SHOP}'"
    without = read(data, delivered)
    wrong.rename(right)
    done = run(data)
    assert done.code == 0, done.output
    assert {status for _, status in read(data, late)} == {"loaded"}, done.output
    assert read(data, delivered) > without


def test_shop_that_breaks_a_rule_stays_as_it_was_until_it_is_right(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    first = (read_manifest(data) or {})["publication_id"]
    figures = f"from shop_metrics_daily where shop_id = '{SHOP}' order by all"
    events = f"from feedback_events where shop_id = '{SHOP}' order by all"
    before = read(data, figures), read(data, events)
    orders = [
        str(order)
        for (order,) in duckdb.connect(str(data.warehouse), read_only=True)
        .execute(
            "select distinct order_id from staging.stg_exports__order_lines "
            f"where shop_id = '{SHOP}' and delivered_date > date '2026-10-10' order by 1 limit 40"
        )
        .fetchall()
    ]
    drop_returns(data, SHOP, "It hums at night", orders, "30/10/2026")
    drop_order(data, OTHER, "577999999999999999", "15/10/2026")
    for late_order in ("577999999999999998", None):
        done = run(data)
        assert done.code == 0, done.output
        assert f"Frozen: {SHOP} as in {first}" in " ".join(done.output.split())
        assert done.output.count("It hums at night,?,,2010-01-01,\n") == 1
        assert (read(data, figures), read(data, events)) == before
        assert other_shops_are_as_computed(data, SHOP)
        assert read(data, "select shop_id, rules, publication_id, as_of from frozen_shops") == [
            (SHOP, "events_mostly_have_known_reasons", first,
             read(data, f"select max(metric_date) from shop_metrics_daily where shop_id = '{SHOP}'"
                  )[0][0])
        ]  # fmt: skip
        if late_order:
            drop_order(data, OTHER, late_order, "16/10/2026")
    assert "Shops that stay as they were" in done.output
    assert feedback("verify", "--data-dir", data.root).code == 0
    (data.settings).mkdir(exist_ok=True)
    (data.settings / "return_reason_texts.csv").write_text(
        "reason_text,reason_code,language,valid_from,valid_to\n"
        "It hums at night,poor_quality,en,2010-01-01,\n"
    )
    done = run(data)
    assert done.code == 0, done.output
    assert read(data, "from frozen_shops") == []
    assert other_shops_are_as_computed(data, "")
    assert read(data, figures) != before[0]


def test_frozen_shop_is_brought_up_to_date_after_a_rollback_too(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    first = (read_manifest(data) or {})["publication_id"]
    drop_order(data, SHOP, "577999999999999999", "15/10/2026")
    assert run(data).code == 0
    assert feedback("rollback", first, "--data-dir", data.root).code == 0
    (data.settings).mkdir(exist_ok=True)
    setting = data.settings / "quality_rules.csv"
    setting.write_text(
        "rule,shop_id,severity,limit_value\n"
        f"files_have_few_rejected_rows,{OTHER},off,\nshop_orders_leave_no_hole,{SHOP},critical,0\n"
    )
    drop_order(data, OTHER, "577999999999999998", "15/10/2026")
    done = run(data)
    assert done.code == 0, done.output
    assert [shop for (shop,) in read(data, "select shop_id from frozen_shops")] == [SHOP]
    setting.unlink()
    done = run(data)
    assert done.code == 0, done.output
    assert other_shops_are_as_computed(data, "")


def test_frozen_shop_is_brought_up_to_date_without_building_anew(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    (data.settings).mkdir(exist_ok=True)
    setting = data.settings / "quality_rules.csv"
    broken = "rule,shop_id,severity,limit_value\nshop_orders_leave_no_hole,{},critical,{}\n"
    setting.write_text(broken.format(SHOP, 0))
    drop_order(data, SHOP, "577999999999999999", "15/10/2026")
    drop_order(data, OTHER, "577999999999999998", "15/10/2026")
    done = run(data)
    assert done.code == 0, done.output
    assert [shop for (shop,) in read(data, "select shop_id from frozen_shops")] == [SHOP]
    setting.unlink()
    done = run(data)
    assert done.code == 0, done.output
    assert read(data, "from frozen_shops") == []
    assert other_shops_are_as_computed(data, "")
