"""The ledger: append-only, read as it counts now."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from dagster_project.lib.errors import BusyError
from dagster_project.lib.ledger import FileEntry, Ledger, Publication, QualityResult, Reject

NOW = datetime(2025, 4, 1, 6, tzinfo=UTC)
ENTRY = FileEntry(
    file_id="abc123",
    shop_id="thai",
    dataset="orders",
    file_name="orders-2025-03-31.csv",
    sheet="",
    exported_at=datetime(2025, 3, 31, 23, 59, 59),
    rows_read=10,
    rows_loaded=9,
    rows_rejected=1,
    status="loaded",
    message="",
    layout="order_id",
    batch_id="b1",
    reader="1",
    ingested_at=NOW,
)
REJECT = Reject("orders", "thai", "abc123", "f.csv", 7, "Order ID", "required", "missing", "b1")
PUBLICATION = Publication("p1", "r1", NOW, date(2025, 3, 31), "inputs", "0.1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "new folder" / "ledger.duckdb") as ledger:
        yield ledger


def later(entry: FileEntry, **changes: object) -> FileEntry:
    changes = {"ingested_at": entry.ingested_at + timedelta(days=1), "batch_id": "b2"} | changes
    return dataclasses.replace(entry, **changes)  # type: ignore[arg-type]


def rejects(ledger: Ledger) -> list[tuple[str, int]]:
    return ledger.con.sql(
        "select batch_id, row_number from current_rejected_rows order by all"
    ).fetchall()


def test_what_is_committed_is_read_back(ledger: Ledger) -> None:
    ledger.commit_batch([ENTRY], [REJECT])
    assert ledger.current_files() == [ENTRY]
    assert rejects(ledger) == [("b1", 7)]


def test_it_lasts(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.duckdb") as ledger:
        ledger.commit_batch([ENTRY], [])
    with Ledger.open(tmp_path / "ledger.duckdb") as ledger:
        assert ledger.current_files() == [ENTRY]


def test_the_latest_reading_of_a_file_counts_and_the_earlier_ones_stay(ledger: Ledger) -> None:
    refused = dataclasses.replace(ENTRY, status="refused", exported_at=None)
    ledger.commit_batch([refused], [REJECT])
    loaded = later(ENTRY)
    ledger.commit_batch([loaded], [dataclasses.replace(REJECT, row_number=8, batch_id="b2")])
    assert ledger.current_files() == [loaded]
    assert rejects(ledger) == [("b2", 8)]
    assert ledger.con.sql("select count(*) from files").fetchall() == [(2,)]


def test_a_file_is_known_by_shop_dataset_and_bytes(ledger: Ledger) -> None:
    entries = [
        ENTRY,
        dataclasses.replace(ENTRY, shop_id="american"),
        dataclasses.replace(ENTRY, dataset="returns"),
        dataclasses.replace(ENTRY, file_id="abd"),
    ]
    ledger.commit_batch(entries, [])
    assert len(ledger.current_files()) == 4


def test_a_batch_is_committed_whole_or_not_at_all(tmp_path: Path) -> None:
    broken = dataclasses.replace(REJECT, row_number="seven")  # type: ignore[arg-type]
    with (
        pytest.raises(pa.ArrowInvalid),
        Ledger.open(tmp_path / "ledger.duckdb") as ledger,
    ):
        ledger.commit_batch([ENTRY], [REJECT, broken])
    with Ledger.open(tmp_path / "ledger.duckdb") as ledger:
        assert ledger.current_files() == []
        assert rejects(ledger) == []


def test_a_retracted_file_counts_no_longer_whatever_comes_later(ledger: Ledger) -> None:
    ledger.commit_batch([ENTRY], [REJECT])
    assert ledger.retract("abc", NOW) == [ENTRY]
    ledger.commit_batch([later(ENTRY)], [dataclasses.replace(REJECT, batch_id="b2")])
    assert [e.status for e in ledger.current_files()] == ["retracted"]
    assert rejects(ledger) == []
    assert ledger.retract("abc", NOW) == []


def test_a_prefix_of_several_files_retracts_none(ledger: Ledger) -> None:
    ledger.commit_batch([ENTRY, dataclasses.replace(ENTRY, file_id="abd")], [])
    assert len(ledger.retract("ab", NOW)) == 2
    assert [e.status for e in ledger.current_files()] == ["loaded", "loaded"]


def test_a_file_without_rows_is_retracted_under_all_its_shops(ledger: Ledger) -> None:
    ledger.commit_batch([ENTRY, dataclasses.replace(ENTRY, shop_id="american")], [])
    assert len(ledger.retract("abc", NOW)) == 2
    assert {e.status for e in ledger.current_files()} == {"retracted"}


def test_all_files_of_a_shop_are_retracted_and_the_same_bytes_of_others_stay(
    ledger: Ledger,
) -> None:
    theirs = dataclasses.replace(ENTRY, shop_id="american")
    more = dataclasses.replace(theirs, file_id="abd")
    ledger.commit_batch([ENTRY, theirs, more], [])
    ledger.withdraw([("american", more.dataset, more.file_id)], "a_rule", "r1")
    assert [e.file_id for e in ledger.retract_shop("american", NOW)] == [ENTRY.file_id, "abd"]
    assert ledger.retract_shop("american", NOW) == []
    assert {(e.shop_id, e.status) for e in ledger.current_files()} == {
        (ENTRY.shop_id, "loaded"), ("american", "retracted"),
    }  # fmt: skip


def test_a_refused_file_cannot_be_retracted(ledger: Ledger) -> None:
    ledger.commit_batch([dataclasses.replace(ENTRY, status="refused")], [])
    assert ledger.retract("abc", NOW) == []


def test_a_publication_notes_which_files_it_used_first(ledger: Ledger) -> None:
    assert not ledger.knows_publication("p1")
    ledger.commit_batch([ENTRY, dataclasses.replace(ENTRY, file_id="gone")], [])
    ledger.retract("gone", NOW)
    ledger.add_publication(PUBLICATION, None)
    ledger.commit_batch([dataclasses.replace(ENTRY, file_id="new")], [])
    second = dataclasses.replace(
        PUBLICATION, publication_id="p2", published_at=NOW + timedelta(hours=1), as_of=None
    )
    names = [
        "publication_id",
        "shop_id",
        "metric_date",
        "metric",
        "old_numerator",
        "old_denominator",
    ]
    row = ["p2", "thai", date(2025, 3, 1), "nrr", 1, 10, 2, 10]
    columns = dict(
        zip([*names, "new_numerator", "new_denominator"], ([v] for v in row), strict=True)
    )
    ledger.add_publication(second, pa.table(columns))
    assert ledger.knows_publication("p1")
    assert ledger.knows_publication("p2")
    assert ledger.published_files() == {
        (("thai", "orders", "abc123"), "loaded"),
        (("thai", "orders", "new"), "loaded"),
    }
    assert ledger.con.sql(
        "select publication_id, file_id from published_files order by all"
    ).fetchall() == [("p1", "abc123"), ("p2", "new")]
    assert ledger.con.sql("select publication_id, new_numerator from restatements").fetchall() == [
        ("p2", 2)
    ]


def test_quality_results_keep_their_examples_as_json(ledger: Ledger) -> None:
    result = QualityResult(
        "r1", NOW, "raw", "orders", "rule", "warning", False, 10, 1,
        [{"_file_id": "abc", "metric_date": date(2025, 3, 1)}], "One row.",
    )  # fmt: skip
    ledger.add_quality_results([result])
    ledger.add_quality_results([])
    ((examples,),) = ledger.con.sql("select examples from quality_results").fetchall()
    assert json.loads(examples) == [{"_file_id": "abc", "metric_date": "2025-03-01"}]


def test_hostile_text_is_only_text(ledger: Ledger) -> None:
    hostile = dataclasses.replace(ENTRY, shop_id="'; drop table files; --", file_name='"\\x0a?;')
    ledger.commit_batch([hostile], [])
    assert ledger.current_files() == [hostile]


def test_a_ledger_that_another_process_holds_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object, **__: object) -> None:
        raise duckdb.IOException("Could not set lock on file")

    monkeypatch.setattr(duckdb, "connect", held)
    with pytest.raises(BusyError, match="in use by another"), Ledger.open(tmp_path / "l.duckdb"):
        pass


def test_moments_go_forward_when_the_clock_is_set_back(ledger: Ledger) -> None:
    assert abs(ledger.next_moment() - datetime.now(UTC)) < timedelta(minutes=1)
    late = datetime.now(UTC) + timedelta(days=400)
    ledger.commit_batch([dataclasses.replace(ENTRY, ingested_at=late)], [])
    assert ledger.next_moment() == late + timedelta(microseconds=1)
    later = late + timedelta(days=1)
    ledger.add_publication(dataclasses.replace(PUBLICATION, published_at=later), None)
    assert ledger.next_moment() == later + timedelta(microseconds=1)
    latest = later + timedelta(days=1)
    ledger.add_rollback("p1", latest)
    assert ledger.next_moment() == latest + timedelta(microseconds=1)


def test_reading_after_the_clock_was_set_back_is_the_later_one(ledger: Ledger) -> None:
    late = datetime.now(UTC) + timedelta(days=400)
    refused = dataclasses.replace(ENTRY, status="refused", ingested_at=late, batch_id="a")
    ledger.commit_batch([refused], [])
    again = dataclasses.replace(ENTRY, ingested_at=ledger.next_moment(), batch_id="b")
    ledger.commit_batch([again], [])
    assert [e.status for e in ledger.current_files()] == ["loaded"]
