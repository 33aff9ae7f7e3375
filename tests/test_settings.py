"""Settings of a data directory: rows that add to the bundled ones, checked by their contract."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.lib.contracts import load_settings
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.settings import load_own_settings

BUNDLED = [setting.name for setting in load_settings().values() if setting.is_bundled]
SETTINGS = "setting,value,valid_from,valid_to\n"
RULES = "rule,shop_id,severity,limit_value\n"
TARGETS = "region,metric,target,valid_from,valid_to,confidence,source\n"


class Warehouse:
    def __init__(self, root: Path) -> None:
        self.data = DataDir(root)
        self.con = duckdb.connect()

    def load(self, name: str, content: str | bytes) -> None:
        self.data.settings.mkdir(exist_ok=True)
        raw = content.encode() if isinstance(content, str) else content
        (self.data.settings / name).write_bytes(raw)
        load_own_settings(self.con, self.data)

    def rows(self, setting: str) -> list[tuple[object, ...]]:
        return self.con.sql(f"from own_settings.{setting}").fetchall()


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path)
    yield warehouse
    warehouse.con.close()


def test_without_own_settings_their_tables_are_empty_and_typed(warehouse: Warehouse) -> None:
    load_own_settings(warehouse.con, warehouse.data)
    for name, setting in load_settings().items():
        described = warehouse.con.sql(f"describe own_settings.{name}").fetchall()
        assert {column: kind for column, kind, *_ in described} == {
            c.name: c.type for c in setting.columns
        }
        assert warehouse.rows(name) == []


def test_own_rows_are_loaded_typed(warehouse: Warehouse) -> None:
    warehouse.load(
        "metric_targets.csv",
        TARGETS + 'VN,nrr,0.004,2025-01-01,,own,"agreed, in writing"\n\n,,,,,,\n'
        "VN,sfrr,0.02,2025-01-01,2025-12-31,,\n",
    )
    assert warehouse.rows("metric_targets") == [
        ("VN", "nrr", None, 0.004, date(2025, 1, 1), None, "own", "agreed, in writing"),
        ("VN", "sfrr", None, 0.02, date(2025, 1, 1), date(2025, 12, 31), None, None),
    ]


def test_columns_may_stand_in_any_order_and_others_beside_them(warehouse: Warehouse) -> None:
    warehouse.load(
        "outcome_policy.csv",
        "\ufeffStatus_Text;IS_VOIDED;note;valid_to;valid_from;status_column\n"
        "Lost;TRUE;mine;;2025-01-01;return_status\n",
    )
    assert warehouse.rows("outcome_policy") == [
        ("return_status", "Lost", True, date(2025, 1, 1), None, None, None, None)
    ]


def test_loading_again_replaces_what_was_there(warehouse: Warehouse) -> None:
    warehouse.load("metric_settings.csv", SETTINGS + "window_days,1,2025-01-01,\n")
    warehouse.load("metric_settings.csv", SETTINGS + "window_days,2,2025-01-01,\n")
    assert [row[1] for row in warehouse.rows("metric_settings")] == ["2"]


def test_return_reason_texts_may_have_codes_of_own_reasons(warehouse: Warehouse) -> None:
    warehouse.data.settings.mkdir()
    (warehouse.data.settings / "reasons.csv").write_text(
        "reason_code,category,fault,is_review_reason,is_return_reason,valid_from,valid_to\n"
        "smelly,product,seller,false,true,2025-01-01,\n"
    )
    texts = "reason_text,reason_code,language,valid_from,valid_to\n"
    warehouse.load("return_reason_texts.csv", texts + "It smells,smelly,en,2025-01-01,\n")
    assert [row[1] for row in warehouse.rows("return_reason_texts")] == ["smelly"]


@pytest.mark.parametrize("code", ["?", "smelly", "slow_chat_reply"])
def test_a_code_that_is_no_reason_of_returns_is_an_error_naming_those_that_are(
    warehouse: Warehouse, code: str
) -> None:
    texts = "reason_text,reason_code,language,valid_from,valid_to\n"
    with pytest.raises(ConfigurationError, match=r"of 'It smells' is none of .*poor_quality"):
        warehouse.load("return_reason_texts.csv", texts + f"It smells,{code},en,2025-01-01,\n")


@pytest.mark.parametrize("name", [".DS_Store", ".~lock.reasons.csv#", ".reasons.csv.swp"])
def test_hidden_files_are_passed_over(warehouse: Warehouse, name: str) -> None:
    warehouse.load(name, "x")


@pytest.mark.parametrize("name", ["reason.csv", "reasons.xlsx", "reasons.CSV", "shops.csv"])
def test_a_file_that_is_no_setting_is_an_error_naming_those_that_are(
    warehouse: Warehouse, name: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is no setting; these are .*reasons\.csv"
    ) as error:
        warehouse.load(name, "x")
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("region,metric,valid_from\n", "lacks the column 'target', 'valid_to'"),
        (TARGETS.replace("target", "goal"), "lacks the column 'target'"),
        (TARGETS.replace("source", "region"), "lacks the column 'source'"),
        (TARGETS.strip() + ",Region\n", "has the column 'region' twice"),
        ("", "is empty; export it again"),
        (TARGETS + "VN,nrr,,2025-01-01,,,\n", "row 2, target: the value is missing. The rate to"),
        (TARGETS + "VN,nrr,half,2025-01-01,,,\n", "row 2, target: the value is no amount"),
        (TARGETS + "VN,nrr,nan,2025-01-01,,,\n", "row 2, target: the value is no amount"),
        (TARGETS + "\n,,,,,,\nVN,nrr,1,soon,,,\n", "row 4, valid_from: the value is no date"),
        (TARGETS + "VN,nrr,1,31/02/2025,,,\n", "row 2, valid_from: the value is no date"),
        (TARGETS + "VN,nrr,1,01/02/25,,,\n", "row 2, valid_from: the value is no date"),
        (
            TARGETS + "VN,nrr,1,2025-01-01,,own,agreed, in writing\n",
            "row 2: the row has more",
        ),
        (TARGETS + "VN,nrr,1,2025-01-01\n", "row 2: the row ends before the last column"),
        (TARGETS + 'VN,nrr,1,2025-01-01,,,"a\nb\n', "a quote in row 2 that is not closed"),
    ],
)
def test_errors_name_file_row_column_and_rule(
    warehouse: Warehouse, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        warehouse.load("metric_targets.csv", content)
    assert message in str(error.value)
    assert str(warehouse.data.settings / "metric_targets.csv") in str(error.value)


def test_a_boolean_that_is_none_is_named(warehouse: Warehouse) -> None:
    header = "status_column,status_text,is_voided,valid_from,valid_to\n"
    with pytest.raises(ConfigurationError, match="row 2, is_voided: the value is neither true nor"):
        warehouse.load("outcome_policy.csv", f"{header}return_status,Lost,maybe,2025-01-01,\n")


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_settings_satisfy_their_contract(warehouse: Warehouse, name: str) -> None:
    bundled = DBT_DIR / "seeds" / f"{name}.csv"
    warehouse.load(f"{name}.csv", bundled.read_bytes())
    with bundled.open(encoding="utf-8", newline="") as file:
        assert len(warehouse.rows(name)) == len(list(csv.DictReader(file)))
    setting = load_settings()[name]
    key = ", ".join(setting.key)
    twice = warehouse.con.sql(
        f"select {key} from own_settings.{name} as a group by {key}, valid_from having count(*) > 1"
    ).fetchall()
    assert twice == []


def test_every_bundled_setting_has_a_contract() -> None:
    assert {path.stem for path in (DBT_DIR / "seeds").glob("*.csv")} == set(BUNDLED)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "metric_settings",
            "window_days,abc,2025-01-01,\n",
            "row 2, value: window_days is a number",
        ),
        ("metric_settings", "window_days,0,2025-01-01,\n", "row 2, value: window_days is"),
        ("metric_settings", "rating_basis,best,2025-01-01,\n", "rating_basis is latest or initial"),
        (
            "metric_settings",
            "platform_rounding,0.0005,2025-01-01,\n",
            "row 2, value: platform_rounding is a decimal place",
        ),
        (
            "metric_settings",
            "window,30,2025-01-01,\n",
            "setting: there are window_days,",
        ),
        (
            "metric_settings",
            "window_days,30,2025-01-01,\nrating_basis,initial,2025-01-01,\n"
            "window_days,60,2025-06-01,\n",
            "rows 2 and 4: both are in force on the same day; give the earlier one a valid_to",
        ),
        (
            "metric_settings",
            "window_days,60,2025-06-01,\nwindow_days,30,2025-01-01,2025-06-01\n",
            "rows 2 and 3: both are in force",
        ),
    ],
)
def test_settings_that_nothing_can_compute_with_are_named(
    warehouse: Warehouse, name: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        warehouse.load(f"{name}.csv", SETTINGS + text)


def test_a_target_may_be_one_shops_own(warehouse: Warehouse) -> None:
    warehouse.data.shops_csv.write_text(
        "shop_id,shop_name,region,timezone,currency\na,A,TH,Asia/Bangkok,THB\n"
    )
    columns = "region,metric,shop_id,target,valid_from,valid_to,confidence,source\n"
    both = "TH,sfrr,,0.02,2025-01-01,,,\nTH,sfrr,a,0.01,2025-01-01,,,\n"
    warehouse.load("metric_targets.csv", columns + both)
    assert [row[2:4] for row in warehouse.rows("metric_targets")] == [(None, 0.02), ("a", 0.01)]
    for row, message in (
        ("TH,sfrr,b,0.02,2025-01-01,,,\n", "row 2, shop_id: no shop of shops.csv"),
        ("TH,mood,a,0.02,2025-01-01,,,\n", "row 2, metric"),
        ("TH,sfrr,a,0,2025-01-01,,,\n", "row 2, target: the value lies outside 0.0001 … 1"),
        ("TH,sfrr,a,1.5,2025-01-01,,,\n", "row 2, target: the value lies outside 0.0001 … 1"),
        ("TH,sfrr,a,0.02,2025-01-01,,,\n" * 2, "both are in force on the same day"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            warehouse.load("metric_targets.csv", columns + row)


VARIANTS = (
    "variant,metric,window_days,denominator,anchor,rating,rejected,empty_comments,"
    "valid_from,valid_to\n"
)


def test_a_variant_of_ones_own_is_loaded_and_a_blank_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.load("metric_variants.csv", VARIANTS + "mine,sfrr,45,,period,,in,,2025-01-01,\n")
    nothing = (None, None)
    assert warehouse.rows("metric_variants") == [
        ("mine", "sfrr", 45, None, "period", None, "in", None, *nothing, date(2025, 1, 1), None)
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("mine,gmv,,,,,,,2025-01-01,", "row 2, metric: one of nrr, nrr_seller,"),
        ("mine,nrr,,paid,,,,,2025-01-01,", "row 2, denominator: one of delivered, created."),
        ("mine,nrr,,,day,,,,2025-01-01,", "row 2, anchor: one of cohort, period."),
        ("mine,nrr,,,,best,,,2025-01-01,", "row 2, rating: one of latest, initial."),
        ("mine,sfrr,,,,,yes,,2025-01-01,", "row 2, rejected: one of in, out."),
        ("mine,nrr,,,,,,no,2025-01-01,", "row 2, empty_comments: one of in, out."),
        ("mine,nrr,0,,,,,,2025-01-01,", "row 2, window_days"),
        ("nrr,nrr,60,,,,,,2025-01-01,", "row 2, variant: nrr, nrr_seller,"),
    ],
)
def test_a_variant_that_nothing_can_compute_with_is_named(
    warehouse: Warehouse, row: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        warehouse.load("metric_variants.csv", f"{VARIANTS}{row}\n")


def test_an_outcome_is_one_that_variants_know(warehouse: Warehouse) -> None:
    policy = "status_column,status_text,is_voided,valid_from,valid_to,outcome\n"
    warehouse.load("outcome_policy.csv", f"{policy}return_status,Lost,true,2025-01-01,,rejected\n")
    with pytest.raises(ConfigurationError, match="row 2, outcome: one of open, completed,"):
        warehouse.load("outcome_policy.csv", f"{policy}return_status,Lost,true,2025-01-01,,gone\n")


def test_the_same_text_written_otherwise_is_the_same_key(warehouse: Warehouse) -> None:
    columns = [c.name for c in load_settings()["return_reason_texts"].columns]
    row = {"reason_code": "wrong_item", "valid_from": "2025-01-01"}
    rows = [row | {"reason_text": reason} for reason in ("Wrong  Colour", "wrong colour")]
    text = "\n".join([",".join(columns), *(",".join(r.get(c, "") for c in columns) for r in rows)])
    with pytest.raises(ConfigurationError, match="rows 2 and 3: both are in force"):
        warehouse.load("return_reason_texts.csv", text)


def test_one_period_after_the_other_is_fine(warehouse: Warehouse) -> None:
    warehouse.load(
        "metric_settings.csv",
        SETTINGS + "window_days,60,2025-06-01,\nwindow_days,30,2025-01-01,2025-05-31\n",
    )
    assert len(warehouse.rows("metric_settings")) == 2


# --- the rules of the gates -----------------------------------------------------------------------


def with_shop(warehouse: Warehouse) -> Warehouse:
    warehouse.data.shops_csv.write_text(
        "shop_id,shop_name,region,timezone,currency\na,A,TH,Asia/Bangkok,THB\n"
    )
    return warehouse


def test_severity_and_limit_of_a_rule_may_be_set_for_all_shops_and_for_one(
    warehouse: Warehouse,
) -> None:
    with_shop(warehouse).load(
        "quality_rules.csv",
        RULES + "shop_orders_leave_no_hole,,critical,4\nshop_orders_leave_no_hole,a,off,\n",
    )
    assert warehouse.rows("quality_rules") == [
        ("shop_orders_leave_no_hole", None, "critical", 4.0),
        ("shop_orders_leave_no_hole", "a", "off", None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_such_rule,,critical,\n", "row 2, rule: docs/quality-rules.md lists the rules"),
        ("shop_orders_leave_no_hole,b,critical,\n", "row 2, shop_id: no shop of shops.csv"),
        ("shop_orders_leave_no_hole,,loud,\n", "row 2, severity: critical, warning or off"),
        ("shop_orders_leave_no_hole,,,many\n", "row 2, limit_value: the value is no"),
        ("shop_days_are_complete,,,4\n", "limit_value: shop_days_are_complete has no limit"),
        ("returns_of_known_orders,a,,4\n", "judges all shops together; leave shop_id blank"),
        (
            "returns_of_known_orders,,,4\nreturns_of_known_orders,,off,\n",
            "rows 2 and 3: both say the same",
        ),
    ],
)
def test_settings_of_rules_that_nothing_can_follow_are_named(
    warehouse: Warehouse, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        with_shop(warehouse).load("quality_rules.csv", RULES + text)


TYPES = "complaint_type,complaint_subtype,reason_code,valid_from,valid_to\n"


def test_a_type_of_complaint_may_stand_for_any_reason_and_have_subtypes(
    warehouse: Warehouse,
) -> None:
    warehouse.load(
        "complaint_types.csv",
        TYPES + "Order,,change_of_mind,2025-01-01,\nOrder,Paid twice,platform_issue,2025-01-01,\n",
    )
    assert [row[1:3] for row in warehouse.rows("complaint_types")] == [
        (None, "change_of_mind"),
        ("Paid twice", "platform_issue"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "Order,,smelly,2025-01-01,\n",
            "the reason_code of 'Order' is none of cancel_before_shipment,",
        ),
        (
            "Order,,unmapped,2025-01-01,\norder ,,unmapped,2025-02-01,\n",
            "rows 2 and 3: both are in",
        ),
        (",Paid twice,unmapped,2025-01-01,\n", "row 2, complaint_type: the value is missing"),
    ],
)
def test_types_of_complaints_that_nothing_can_follow_are_named(
    warehouse: Warehouse, rows: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        warehouse.load("complaint_types.csv", TYPES + rows)


def test_hours_for_a_reply_are_a_whole_number(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="chat_reply_hours is a number of hours from 1"):
        warehouse.load("metric_settings.csv", SETTINGS + "chat_reply_hours,12.5,2025-01-01,\n")
