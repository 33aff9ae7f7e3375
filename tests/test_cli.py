"""The command line, as a user meets it: what it prints, what it leaves behind, how it fails."""

from __future__ import annotations

import csv
import errno
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from dagster_project import cli, runner
from dagster_project.lib import summary
from dagster_project.lib.database import connect, one_run_at_a_time
from dagster_project.lib.errors import BusyError
from dagster_project.lib.increments import begin_models
from dagster_project.lib.landing import sha256
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.metrics import CHAT_RATE, NUMERATORS
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import read_manifest
from tests.exports_helper import Store, order, request
from tests.support import (
    MESSY_SHOP,
    ORDER_HEADER,
    RETURN_HEADER,
    CommandResult,
    Published,
    feedback,
    feedback_here,
    fingerprint,
    held_for_writing,
    write_csv,
)

pytestmark = pytest.mark.slow

HEADER = "shop_id,shop_name,region,timezone,currency\n"
SHOP = "th-siam-snacks"
WRONG_SHOP = "id-batik-house"
LATE_DELIVERY = date(2026, 10, 15)


def read(data: DataDir, query: str) -> list[tuple[object, ...]]:
    with connect(data.published / "marts.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()


# --- a run that publishes ---------------------------------------------------------------------


def shows(output: str, *cells: object) -> bool:
    """Whether a row of a table has these cells side by side, however the table is drawn."""
    gap = r"[\s│]+"
    return bool(
        re.search(gap + gap.join(re.escape(str(c)) for c in cells) + r"(?=[\s│]|$)", output)
    )


def of_shop(output: str, shop: str, others: set[str]) -> str:
    """What stands between a shop's name and the next shop's, in the table of rates."""
    rates = output[: output.index("Top reasons")]
    begin = rates.index(f" {shop} ")
    ends = [rates.index(f" {other} ") for other in others if rates.index(f" {other} ") > begin]
    return rates[begin : min(ends, default=len(rates))]


def test_run_prints_the_rates_of_every_shop_against_its_targets(published: Published) -> None:
    rows = read(
        published.data,
        "select shop_id, metric, rate, orders, delivered_orders, target, status "
        "from metric_status_daily where metric_date = '2026-10-31' "
        "and (metric in ('nrr', 'sfrr') or target is not null)",
    )
    shops = {str(row[0]) for row in rows}
    assert len(shops) == 5
    assert {row[-1] for row in rows} >= {"ok", "breach", "no_target"}
    for shop, metric, rate, orders, delivered, target, status in rows:
        cells = [metric, "–" if rate is None else f"{rate:.2%}", f"{orders} of {delivered}"]
        sign = ">" if metric == CHAT_RATE else "<"
        cells += [f"{sign} {target:.2%}"] if target is not None else []
        cells += [str(status).replace("_", " ")]
        assert shows(of_shop(published.command.output, str(shop), shops), *cells), (shop, cells)


def test_run_says_where_no_rate_can_be_told_because_nothing_was_loaded(
    published: Published,
) -> None:
    cells = (MESSY_SHOP, "nrr", "–", "0 of 58", "no target", "not loaded")
    assert shows(published.command.output, *cells)


def test_run_prints_top_reasons_and_products(published: Published) -> None:
    output = published.command.output
    top = read(
        published.data,
        "select reason_code, orders, share from reason_metrics_daily "
        "where metric_date = '2026-10-31' and rank <= 3",
    )
    assert len(top) > 5
    for reason, orders, share in top:
        assert shows(output, reason, orders, f"{share:.0%}")
    assert shows(output, MESSY_SHOP, "Teh Tarik 1 kg", 58, 0, 1)


def test_run_prints_rejected_rows_by_rule(published: Published) -> None:
    why = "Created Time not a timestamp: 1, Product Name required: 1"
    (read_rows,) = read(published.data, "select sum(rows_read) from files where dataset = 'orders'")
    assert shows(published.command.output, "orders", 29, 0, *read_rows, 2, why)


def test_run_prints_texts_that_no_setting_knows(published: Published) -> None:
    output = published.command.output
    assert shows(output, "It smells of fish", "return reason, not counted", 1)
    assert shows(output, "Under celestial review", "return status, counted", 1)


def test_run_prints_lines_to_paste_for_unknown_return_reasons(
    published: Published, tmp_path: Path
) -> None:
    path = published.data.settings / "return_reason_texts.csv"
    assert f"add the lines to {path} (the first one only" in published.command.output
    header = "reason_text,reason_code,language,valid_from,valid_to"
    lines = re.findall(r"^.+,\?,.*\n", published.command.output, re.MULTILINE)
    pasted = header + "\n" + "".join(lines)
    assert pasted in published.command.output
    assert "It smells of fish,?,,2010-01-01,\n" in lines

    data = published.copy(tmp_path)
    data.settings.mkdir(exist_ok=True)
    own = data.settings / "return_reason_texts.csv"
    own.write_text(pasted.replace("?", "poor_quality"), encoding="utf-8")
    again = feedback("run", "--data-dir", data.root)
    assert again.code == 0
    assert "put the code that fits" not in again.output
    assert read(
        data, "select reason_code from feedback_events where text = 'It smells of fish'"
    ) == [("poor_quality",)]


def test_strict_run_ends_with_1_when_it_sets_a_new_file_aside(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    assert feedback("run", "--strict", "--data-dir", data.root).code == 0
    path = data.landing / SHOP / "reviews" / "reviews-2026-11-01.csv"
    path.write_text("no export", encoding="utf-8")
    strict = feedback("run", "--strict", "--data-dir", data.root)
    assert strict.code == 1
    assert "Nothing new; still published: " in strict.output
    assert "Warning: 1 new file was set aside, see above" in strict.output
    path.write_text("no export at all", encoding="utf-8")
    lenient = feedback("run", "--data-dir", data.root)
    assert lenient.code == 0
    assert "Warning: 1 new file was set aside, see above" in lenient.output


def test_no_other_run_begins_before_the_summary_is_told(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = published.copy(tmp_path)
    last_words = summary.outcome_line
    told = []

    def outcome_line(*arguments: Any) -> str:
        with (
            pytest.raises(BusyError, match="Another run is at work"),
            one_run_at_a_time(data.lock, wait=False),
        ):
            pass
        told.append(last_words(*arguments))
        return told[0]

    monkeypatch.setattr(summary, "outcome_line", outcome_line)
    done = feedback_here("run", "--data-dir", data.root)
    assert_tells(done, 0, "Nothing new; still published: ")
    assert told
    with one_run_at_a_time(data.lock, wait=False):
        pass


def test_folder_of_no_shop_is_warned_of_until_it_is_right_and_the_shops_go_on(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = published.copy(tmp_path)
    shutil.move(data.landing / SHOP / "chats", data.landing / "siam" / "chats")
    warning = "Warning: landing/siam is no shop of shops.csv. Add a line `siam,<name>,"
    strict = feedback("run", "--strict", "--data-dir", data.root)
    assert_tells(strict, 1, warning, "Nothing new; still published: ")
    assert strict.output.count("landing/siam is no shop") == 1
    assert_tells(feedback_here("status", "--data-dir", data.root), 0, warning)
    failed = runner.RunOutcome("this-run", succeeded=False)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_job", lambda *_, **__: failed)
        done = feedback_here("run", "--data-dir", data.root)
    assert_tells(done, 1, warning, "Nothing was published; readers still see ")
    shutil.move(data.landing / "siam", data.landing / SHOP / "again")
    good = feedback_here("status", "--data-dir", data.root)
    assert_tells(good, 0, SHOP)
    assert "Warning" not in good.output


def test_run_stops_where_a_loaded_shop_lost_its_line_until_its_files_are_taken_out(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    lines = data.shops_csv.read_text(encoding="utf-8").splitlines(keepends=True)
    data.shops_csv.write_text("".join(li for li in lines if not li.startswith(f"{SHOP},")))
    done = feedback_here("run", "--data-dir", data.root)
    assert_tells(done, 2, f"shops.csv lacks the line of {SHOP}, whose exports are loaded. Put it")
    done = feedback_here("retract", "--shop", SHOP, "--data-dir", data.root)
    assert_tells(done, 0, f"Retracted {SHOP}/orders/", "publishes without them.")
    assert f"Retracted {MESSY_SHOP}" not in done.output
    done = feedback_here("run", "--data-dir", data.root)
    assert_tells(done, 0, "Published: ", f"landing/{SHOP} is no shop of shops.csv")
    with connect(data.published / "marts.duckdb", read_only=True) as marts:
        shops = marts.sql("select distinct shop_id from shop_metrics_daily order by 1").fetchall()
    ids = [line.partition(",")[0] for line in lines[1:]]
    assert [shop for (shop,) in shops] == sorted(set(ids) - {SHOP})


def test_run_prints_refused_files_and_publishes_the_rest(published: Published) -> None:
    output = published.command.output
    assert "reviews-2026-10-31.csv lacks the column 'rating'" in output
    assert "invoices.csv lies in no known dataset folder" in output
    assert published.command.code == 0


def test_run_prints_warnings_with_file_and_row_and_publishes_all_the_same(
    published: Published,
) -> None:
    flat = re.sub(r"[\s│]+", " ", published.command.output)
    assert "warning files files_have_few_rejected_rows 1 of" in flat
    assert "All order-2026-10-31-20_00.csv (id " in flat
    assert re.search(r"order-2026-10-31-20_00\.csv \(id \w{12}\), row 2", flat)


def test_run_prints_where_the_outputs_lie_and_the_time_of_each_step(published: Published) -> None:
    output, folder = published.command.output, published.data.published
    for name in ("marts.duckdb", "parquet", "manifest.json"):
        assert str(folder / name) in output
    for step in ("ingest", "raw_gate__orders", "dbt_models", "publish", "total"):
        assert re.search(rf"{step}[\s│]+\d+\.\d", output)
    manifest = read_manifest(published.data) or {}
    assert f"Published: {manifest['publication_id']}, as of 2026-10-31." in output


def test_run_tells_each_step_as_it_begins(published: Published) -> None:
    steps = re.findall(r"^… (\w+)", published.command.output, re.M)
    assert steps[0] == "ingest"
    assert steps.index("dbt_models") > steps.index("raw_gate__orders")
    assert steps[-1] == "publish"


def test_run_leaves_nothing_in_the_systems_temp_folder(published: Published) -> None:
    assert list(published.system_temp.iterdir()) == []


def test_run_with_nothing_new_says_so_and_changes_nothing(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    orders = next((data.landing / SHOP / "orders").iterdir())
    shutil.copy(orders, orders.with_name(f"{orders.stem} (1){orders.suffix}"))  # the same again
    before = fingerprint(data.published)
    with connect(data.warehouse, read_only=True):  # an analyst looks into it
        again = feedback("run", FEEDBACK_DATA_DIR=str(data.root))
    assert again.code == 0
    assert "Nothing new; still published: " in again.output
    assert "dbt_models" not in again.output
    assert fingerprint(data.published) == before


def test_full_refresh_builds_and_publishes_though_nothing_is_new(
    published: Published, tmp_path: Path
) -> None:
    data = published.copy(tmp_path)
    again = feedback("run", "--full-refresh", FEEDBACK_DATA_DIR=str(data.root))
    assert again.code == 0
    assert "Published: " in again.output
    with connect(data.warehouse, read_only=True) as con:
        assert con.execute("select absorbed_as_of from raw.run").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("warehouse", "command"), [("lost", "run"), ("unfinished", "run"), ("whole", "rebuild")]
)
def test_warehouse_is_made_anew_though_nothing_is_new(
    published: Published, tmp_path: Path, warehouse: str, command: str
) -> None:
    data = published.copy(tmp_path)
    if warehouse == "lost":
        data.warehouse.unlink()
    elif warehouse == "unfinished":
        with connect(data.warehouse) as con:
            begin_models(con)
    again = feedback(command, "--data-dir", data.root)
    assert again.code == 0
    assert "Published: " in again.output
    figure = ("--shop", SHOP, "--metric", "nrr", "--date", "2026-10-20")
    assert feedback("explain", *figure, "--data-dir", data.root).code == 0


# --- a closed gate, and the way out -----------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A file in a wrong shop's folder closes the gate; taken back, a late file still goes in."""

    data: DataDir
    wrong_file: Path
    before: dict[str, str]
    after_closed: dict[str, str]
    closed: CommandResult
    retracted: CommandResult
    again: CommandResult


@pytest.fixture(scope="module")
def story(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Story:
    data = published.copy(tmp_path_factory.mktemp("story"))
    wrong_file = write_csv(
        data.landing / WRONG_SHOP / "returns" / "Return_order-2026-11-01-08_00.csv",
        RETURN_HEADER,
        [
            [f"40359{n:014}", f"57799{n:013}", "", "15/10/2026 10:00:00", "Poor quality",
             "Completed", "", ""]
            for n in range(60)
        ],
    )  # fmt: skip
    write_csv(
        data.landing / SHOP / "orders" / "All order-2026-11-01-08_00.csv",
        ORDER_HEADER,
        [["577999999999999999", "1729999999999999999", "Late Snack", "", "13/10/2026 09:00:00",
          f"{LATE_DELIVERY:%d/%m/%Y} 09:00:00", "", "", ""]],
    )  # fmt: skip
    # so that what is wrong can be laid at no file
    (data.settings).mkdir(exist_ok=True)
    (data.settings / "quality_rules.csv").write_text(
        "rule,shop_id,severity,limit_value\n"
        "returns_mostly_of_known_orders,,off,\nreturns_of_known_orders,,critical,\n"
    )
    before = fingerprint(data.published)
    closed = feedback("run", "--data-dir", data.root)
    after_closed = fingerprint(data.published)
    retracted = feedback("retract", sha256(wrong_file)[:12], "--data-dir", data.root)
    again = feedback("run", "--data-dir", data.root)
    return Story(data, wrong_file, before, after_closed, closed, retracted, again)


def test_closed_gate_ends_the_run_with_1_and_names_the_rule(story: Story) -> None:
    assert story.closed.code == 1
    flat = re.sub(r"[\s│]+", " ", story.closed.output)
    assert "critical returns returns_of_known_orders 60 of 60 Not so: At most one request" in flat
    assert "Error: A quality gate is closed." in story.closed.output
    assert "Traceback" not in story.closed.output


def test_closed_gate_names_the_file_and_the_way_out(story: Story) -> None:
    flat = re.sub(r"[\s│]+", " ", story.closed.output)
    file_id = sha256(story.wrong_file)
    assert f"in {WRONG_SHOP}/returns/{story.wrong_file.name} (id {file_id[:12]})" in flat
    assert "`feedback retract <id>`; then run again" in flat


def test_closed_gate_leaves_what_readers_see_as_it_was_to_the_byte(story: Story) -> None:
    assert story.after_closed == story.before
    publication_id = story.before["current"].rpartition("/")[2]
    assert f"Nothing was published; readers still see {publication_id}." in story.closed.output


def test_closed_gate_stops_the_run_before_dbt(story: Story) -> None:
    assert "dbt_models" not in story.closed.output


def test_taking_the_wrong_file_back_out_lets_the_next_run_publish(story: Story) -> None:
    assert story.retracted.code == 0
    assert f"Retracted {WRONG_SHOP}/returns/{story.wrong_file.name}" in story.retracted.output
    assert story.again.code == 0
    assert "Published: " in story.again.output
    files = read(
        story.data, f"select status from files where file_name = '{story.wrong_file.name}'"
    )
    assert files == [("retracted",)]
    assert read(story.data, "select count(*) from feedback_events where event_id like '%:57799%'") \
        == [(0,)]  # fmt: skip


def test_late_file_is_told_as_a_restatement_of_the_days_it_changes(story: Story) -> None:
    days = [LATE_DELIVERY + timedelta(days=n) for n in range(17)]  # until 31 October
    with Ledger.open(story.data.ledger) as ledger:
        rows = ledger.con.execute(
            "select shop_id, metric_date, metric, new_denominator - old_denominator, "
            "new_numerator - old_numerator from restatements order by all"
        ).fetchall()
    assert rows == [(SHOP, day, metric, 1, 0) for day in days for metric in sorted(NUMERATORS)]


def test_history_of_the_closed_gate_stays_in_the_published_quality_results(story: Story) -> None:
    found = read(
        story.data,
        "select passed, count(*) from quality_results "
        "where rule = 'returns_of_known_orders' group by all order by all",
    )
    assert found == [(False, 1), (True, 2)]


def test_closed_rule_may_pass_once_on_the_record(published: Published, tmp_path: Path) -> None:
    data = published.copy(tmp_path)
    write_csv(
        data.landing / WRONG_SHOP / "returns" / "Return_order-2026-11-01-08_00.csv",
        RETURN_HEADER,
        [
            [f"40359{n:014}", f"57799{n:013}", "", "15/10/2026 10:00:00", "Poor quality",
             "Completed", "", ""]
            for n in range(60)
        ],
    )  # fmt: skip
    rule = "returns_mostly_of_known_orders"
    done = feedback("run", "--data-dir", data.root, "--accept", rule, "--reason", "a new shop")
    assert done.code == 0, done.output
    assert "Let pass once: a new shop" in re.sub(r"[\s│]+", " ", done.output)
    assert read(
        data,
        "select rule, accepted_reason from quality_results where accepted_reason is not null",
    ) == [(rule, "a new shop")]


def test_closed_rule_on_return_reasons_prints_them_and_lines_to_paste_on_the_first_run(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "d", HEADER + "thai,Thai Shop,TH,Asia/Bangkok,THB\n")
    store.drop([order(n) for n in range(12)], "orders")
    reason = "It hums, at night\x1b[31m"
    store.drop([request(n, Return_Reason=reason) for n in range(12)], "returns")
    done = feedback("run", "--data-dir", store.data.root)
    assert done.code == 1, done.output
    assert "Nothing was published." in done.output
    assert shows(done.output, "It hums, at night\\x1b[31m", "return reason, not counted", 12)
    assert f"add the lines to {store.data.settings / 'return_reason_texts.csv'}" in done.output
    assert '"It hums, at night\\x1b[31m",?,,2010-01-01,\n' in done.output
    assert "\x1b" not in done.output


def test_run_of_which_every_file_was_set_aside_prints_no_rates(tmp_path: Path) -> None:
    store = Store(tmp_path / "d", HEADER + "thai,Thai Shop,TH,Asia/Bangkok,THB\n")
    store.drop("no export", "orders")
    done = feedback("run", "--data-dir", store.data.root)
    assert done.code == 0, done.output
    assert "Rates of the window" not in done.output
    assert "as of no day yet." in done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--accept", "no_such_rule", "--reason", "x"),
            "No rule is called no_such_rule; these",
        ),
        (("--accept", "orders_bring_rows"), "--accept RULE and --reason TEXT go together"),
        (("--accept", "orders_bring_rows", "--reason", " "), "go together"),
        (("--reason", "x"), "go together"),
    ],
)
def test_accepting_needs_a_known_rule_and_a_reason(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert_tells(feedback_here("run", "--data-dir", data_dir(tmp_path / "d"), *options), 2, words)


# --- mistakes ---------------------------------------------------------------------------------


def data_dir(root: Path, shops: str = HEADER + "a,A,TH,Asia/Bangkok,THB\n") -> Path:
    root.mkdir(exist_ok=True)
    (root / "shops.csv").write_text(shops)
    return root


def assert_tells(result: CommandResult, code: int, *words: str) -> None:
    assert result.code == code, result.output
    assert "Traceback" not in result.output
    flat = " ".join(result.output.split())
    for word in words:
        assert word in flat


def test_missing_shops_csv_is_told_with_an_example(tmp_path: Path) -> None:
    result = feedback("run", "--data-dir", tmp_path)
    assert_tells(result, 2, "shops.csv does not exist", "my-shop,My Shop,TH,Asia/Bangkok,THB")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,A,TH,Asia/Krungthep,THB", "line 2: 'Asia/Krungthep' is no time zone"),
        ("a,A,Thailand,Asia/Bangkok,THB", "line 2: region 'Thailand' is no two-letter"),
    ],
)
def test_wrong_line_of_shops_csv_is_told_by_line(tmp_path: Path, line: str, words: str) -> None:
    result = feedback("run", "--data-dir", data_dir(tmp_path / "d", f"{HEADER}{line}\n"))
    assert_tells(result, 2, "shops.csv", words)


@pytest.mark.parametrize("as_of", ["yesterday", "31/10/2026", "2026-02-30"])
def test_as_of_that_is_no_date_is_a_usage_error(tmp_path: Path, as_of: str) -> None:
    assert_tells(feedback("run", "--data-dir", tmp_path, "--as-of", as_of), 2, as_of)


def test_unknown_command_and_option_are_usage_errors() -> None:
    assert_tells(feedback("rnu"), 2, "rnu")
    assert_tells(feedback("run", "--asof", "2026-01-01"), 2, "--asof")


@pytest.mark.slow
def test_folder_of_no_known_shop_is_told_with_the_way_out(tmp_path: Path) -> None:
    root = data_dir(tmp_path / "d")
    (root / "landing" / "b" / "orders").mkdir(parents=True)
    result = feedback_here("run", "--data-dir", root)
    assert_tells(result, 2, "landing/b is no shop of shops.csv", "or rename the folder")
    assert "Nothing was published" not in result.output


@pytest.mark.slow
def test_settings_file_that_is_wrong_is_told_by_file_row_and_column(tmp_path: Path) -> None:
    root = data_dir(tmp_path / "d")
    (root / "settings").mkdir()
    (root / "settings" / "metric_settings.csv").write_text(
        "setting,value,valid_from,valid_to\nwindow_days,30,soon,\n"
    )
    result = feedback_here("run", "--data-dir", root)
    assert_tells(result, 2, "metric_settings.csv, row 2", "valid_from", "First day on which")


def test_wrong_shops_csv_is_told_also_while_another_program_holds_the_ledger(
    tmp_path: Path,
) -> None:
    root = data_dir(tmp_path / "d")
    (root / "shops.csv").write_text("nonsense\n")
    with held_for_writing(root / "ledger.duckdb"):
        result = feedback_here("run", "--data-dir", root)
    assert_tells(result, 2, "shops.csv: the header lacks shop_id")


def test_second_run_at_once_is_told_to_wait(tmp_path: Path) -> None:
    root = data_dir(tmp_path / "d")
    with one_run_at_a_time(root / "run.lock"):
        result = feedback("run", "--data-dir", root)
    assert_tells(result, 1, f"Another run is at work in {root}; wait for it to end")


@pytest.mark.slow
def test_ledger_that_another_program_holds_is_told_and_nothing_is_published(
    tmp_path: Path,
) -> None:
    root = data_dir(tmp_path / "d")
    with held_for_writing(root / "ledger.duckdb"):
        result = feedback_here("run", "--data-dir", root)
    assert_tells(result, 1, "ledger.duckdb is in use by another run or program")


# --- retract, sample, dev ---------------------------------------------------------------------


def test_retracting_tells_what_is_wrong_with_the_id(published: Published, tmp_path: Path) -> None:
    data = published.copy(tmp_path)
    assert_tells(feedback("retract", "abc", "--data-dir", data.root), 2, "at least the first 8")
    result = feedback("retract", "0123456789", "--data-dir", data.root)
    assert_tells(result, 2, "0123456789 names 0 loaded files", "select file_id, file_name")
    result = feedback_here("retract", "--shop", "no[b]body", "--data-dir", data.root)
    assert_tells(result, 2, "No file of no[b]body is loaded.")
    result = feedback_here("retract", "0123456789", "--shop", SHOP, "--data-dir", data.root)
    assert_tells(result, 2, "Give the id of a file or --shop, not both.")


def test_retracting_where_nothing_was_loaded_makes_no_directory(tmp_path: Path) -> None:
    result = feedback("retract", "0123456789", "--data-dir", tmp_path / "typo")
    assert_tells(result, 2, "Nothing was ever loaded into")
    assert not (tmp_path / "typo").exists()


def test_sample_lays_out_a_directory_and_spares_one_with_exports(tmp_path: Path) -> None:
    arguments = ("sample", tmp_path / "d", "--shops", 1, "--days", 3, "--orders-per-day", 2)
    assert_tells(feedback(*arguments), 0, "Wrote sample exports to")
    before = fingerprint(tmp_path)
    with (tmp_path / "d" / "shops.csv").open() as file:
        (shop,) = csv.DictReader(file)
    assert (tmp_path / "d" / "landing" / shop["shop_id"] / "orders").is_dir()
    assert_tells(feedback(*arguments), 2, "already has exports; name an empty directory")
    assert fingerprint(tmp_path) == before
    assert_tells(feedback("sample", tmp_path / "e", "--shops", 0), 2, "--shops")


def test_dev_opens_dagster_on_localhost_with_the_instance_of_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: None
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: called.append(arguments))
    cli.dev(tmp_path)
    ((program, *arguments),) = called
    assert Path(program) == Path(sys.executable).with_name("dagster")
    assert arguments[0] == "dev"
    assert Path(arguments[arguments.index("-w") + 1]).name == "workspace.yaml"
    assert arguments[arguments.index("-h") + 1] == "127.0.0.1"
    assert (tmp_path / "dagster" / "dagster.yaml").is_file()


# --- the machine ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "The disk is full; make room"),
        (RuntimeError("database or disk is full"), "The disk is full; make room"),
        (OSError(errno.EROFS, "Read-only file system", "d/run.lock"),
         "d/run.lock may not be written to (Read-only file system)"),
        (PermissionError(errno.EACCES, "Permission denied", "d/run.lock"), "may not be written to"),
        (duckdb.IOException('IO Error: Cannot open file "d/x.duckdb": Read-only file system'),
         "d/x.duckdb may not be written to (Read-only file system); change that first."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_cause", [False, True])
def test_trouble_of_the_machine_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, is_cause: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        if is_cause:
            raise RuntimeError("something") from error
        raise error

    monkeypatch.setattr(Ledger, "open", fail)
    data = DataDir(data_dir(tmp_path / "d"))
    data.ledger.touch()
    assert_tells(feedback_here("status", "--data-dir", data.root), 1, "Error:", words)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing/x.csv", "The folder {} does not exist."),
        ("file/x.csv", "The folder {} does not exist."),
        ("folder.csv", "folder.csv cannot be written (Is a directory); name another place."),
    ],
)
def test_place_that_cannot_be_written_to_is_told_as_it_was_named(
    published: Published, tmp_path: Path, place: str, words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv" / "full").mkdir(parents=True)
    out = tmp_path / place
    asked = ("explain", "--shop", SHOP, "--metric", "nrr", "--date", "2026-10-31")
    for command in (("download", "watchlist"), asked):
        done = feedback_here(*command, "--out", out, "--data-dir", published.data.root)
        assert_tells(done, 2, "Error: ", words.format(out.parent))


def test_digest_that_cannot_be_written_is_told_as_it_was_named(
    published: Published, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "digest"
    done = feedback_here("digest", "--out", out, "--data-dir", published.data.root)
    assert_tells(done, 2, f"Error: The folder {out.parent} does not exist.")


def test_what_nobody_foresaw_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "open", fail)
    data = DataDir(data_dir(tmp_path / "d"))
    data.ledger.touch()
    done = CliRunner().invoke(cli.app, ["status", "--data-dir", str(data.root)])
    assert isinstance(done.exception, ZeroDivisionError)
