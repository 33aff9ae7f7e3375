"""Contracts: what they say is enforced, and what nothing enforces is an error."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_project.lib import contracts
from dagster_project.lib.contracts import (
    ContractError,
    load_dataset,
    load_datasets,
    load_gate_suites,
    load_settings,
)
from dagster_project.lib.paths import CONTRACTS_DIR, GATES_DIR, PROJECT_ROOT
from dagster_project.lib.text import normalise_header

CONTRACT: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "things",
    "name": "things",
    "version": "1.0.0",
    "status": "active",
    "description": {"purpose": "For tests."},
    "schema": [
        {
            "name": "things",
            "physicalType": "table",
            "description": "Things.",
            "dataGranularityDescription": "One row per thing.",
            "customProperties": [
                {"property": "descriptionRow", "value": ["Thing Number."]},
                {"property": "monthFirstRegions", "value": ["US"]},
                {"property": "rejectLimitPercent", "value": 7},
                {"property": "revisitDays", "value": 60},
                {"property": "neededFor", "value": "NRR"},
                {"property": "exportFrom", "value": "Somewhere"},
            ],
            "properties": [
                {
                    "name": "thing_id",
                    "businessName": "Thing ID",
                    "synonyms": [{"synonym": "No."}],
                    "description": "Its number.",
                    "logicalType": "string",
                    "logicalTypeOptions": {"format": "identifier", "maxLength": 64},
                    "physicalType": "VARCHAR",
                    "classification": "internal",
                    "required": True,
                    "primaryKey": True,
                    "primaryKeyPosition": 1,
                    "customProperties": [{"property": "fallbackColumn", "value": "note"}],
                },
                {
                    "name": "made_at",
                    "description": "When it was made.",
                    "logicalType": "timestamp",
                    "logicalTypeOptions": {"minimum": "2010-01-01"},
                    "physicalType": "TIMESTAMP",
                    "classification": "internal",
                    "customProperties": [
                        {"property": "eventTime", "value": True},
                        {"property": "requiredHeader", "value": True},
                    ],
                },
                {
                    "name": "pieces",
                    "description": "How many.",
                    "logicalType": "integer",
                    "logicalTypeOptions": {"minimum": 1, "maximum": 5},
                    "physicalType": "INTEGER",
                    "classification": "internal",
                },
                {
                    "name": "note",
                    "description": "What was said.",
                    "logicalType": "string",
                    "physicalType": "VARCHAR",
                    "classification": "masked",
                },
                {
                    "name": "owner",
                    "businessName": "Owner",
                    "synonyms": [{"synonym": "Holder"}],
                    "logicalType": "string",
                    "classification": "personal",
                },
            ],
            "quality": [
                {
                    "id": "all_are_fine",
                    "description": "No thing is broken.",
                    "type": "sql",
                    "query": "select * from {batch} where false",
                    "mustBe": 0,
                    "severity": "critical",
                },
                {
                    "id": "most_are_fine",
                    "description": "Few things are broken.",
                    "type": "sql",
                    "query": "select * from {batch} where false",
                    "mustBeLessOrEqualTo": 10,
                    "unit": "percent",
                    "severity": "warning",
                },
                {
                    "id": "there_are_some",
                    "description": "There are things.",
                    "type": "library",
                    "metric": "rowCount",
                    "mustBeGreaterThan": 0,
                    "severity": "warning",
                },
            ],
        }
    ],
}
Change = Callable[[dict[str, Any]], object]


def write(folder: Path, *changes: Change, name: str = "things.yaml") -> Path:
    contract = copy.deepcopy(CONTRACT)
    for change in changes:
        change(contract)
    path = folder / name
    path.write_text(yaml.safe_dump(contract), encoding="utf-8")
    return path


def schema(**keys: Any) -> Change:
    return lambda contract: contract["schema"][0].update(keys)


def column(number: int, **keys: Any) -> Change:
    return lambda contract: contract["schema"][0]["properties"][number].update(keys)


def without(number: int, key: str) -> Change:
    return lambda contract: contract["schema"][0]["properties"][number].pop(key)


def rule(number: int, **keys: Any) -> Change:
    return lambda contract: contract["schema"][0]["quality"][number].update(keys)


def without_of_rule(number: int, key: str) -> Change:
    return lambda contract: contract["schema"][0]["quality"][number].pop(key)


def custom(name: str, value: object) -> dict[str, Any]:
    return {"customProperties": [{"property": name, "value": value}]}


def test_a_contract_becomes_plain_facts(tmp_path: Path) -> None:
    things = load_dataset(write(tmp_path))
    assert (things.name, things.description, things.grain) == (
        "things",
        "Things.",
        "One row per thing.",
    )
    assert things.key == ("thing_id",)
    assert things.personal_headers == ("Owner", "Holder")
    assert things.description_row == ("thing number.",)
    assert things.month_first_regions == ("US",)
    assert things.reject_limit_percent == 7
    assert (things.revisit_days, things.needed_for) == (60, "NRR")
    assert things.export_from == "Somewhere"
    thing_id, made_at, pieces, note = things.columns
    assert thing_id.headers == ("Thing ID", "No.")
    assert (thing_id.required, thing_id.is_identifier, thing_id.max_length) == (True, True, 64)
    assert thing_id.fallback == "note"
    assert made_at.headers == ("made_at",)
    assert (made_at.required, made_at.required_header, made_at.is_event_time) == (False, True, True)
    assert made_at.minimum == "2010-01-01"
    assert (pieces.kind, pieces.type, pieces.minimum, pieces.maximum) == (
        "integer",
        "INTEGER",
        1,
        5,
    )
    assert note.classification == "masked"
    fine, most, some = things.rules
    assert (fine.severity, fine.asks, fine.limit) == ("critical", "rows", 0)
    assert (most.severity, most.asks, most.limit, most.unit) == ("warning", "share", 10, "percent")
    assert (some.query, some.asks, some.limit) == (None, "count", 1)


def test_a_contract_need_not_describe_itself(tmp_path: Path) -> None:
    path = write(tmp_path, lambda contract: contract.pop("description"))
    assert load_dataset(path).columns == load_dataset(write(tmp_path)).columns


def test_a_limit_in_another_unit_is_one_of_each_row(tmp_path: Path) -> None:
    days = load_dataset(write(tmp_path, rule(1, unit="days"))).rules[1]
    assert (days.asks, days.limit, days.unit) == ("value", 10, "days")


@pytest.mark.parametrize(
    "change",
    [
        # keys that nothing enforces, at every level
        lambda contract: contract.update(slaProperties=[]),
        lambda contract: contract.update(nonsense=1),
        lambda contract: contract["description"].update(authoritativeDefinitions=[]),
        schema(relationships=[]),
        schema(nonsense=1),
        schema(physicalName="another"),
        column(0, unique=True),
        column(0, enum=["a"]),
        column(0, quality=[]),
        column(0, nonsense=1),
        column(0, synonyms=[{"synonym": "No.", "vendor": "x"}]),
        column(0, customProperties=[{"property": "eventTime", "value": True, "vendor": "x"}]),
        column(4, required=True),
        column(4, logicalTypeOptions={"maxLength": 5}),
        column(4, **custom("requiredHeader", True)),
        rule(0, mustBeGreaterThan=3),
        rule(0, mustBeLessOrEqualTo=3),
        rule(0, dimension="accuracy"),
        rule(1, mustBe=0),
        rule(1, metric="rowCount"),
        rule(2, query="select 1"),
        rule(2, mustBe=5),
        rule(2, unit="percent"),
        # custom properties that nobody knows
        schema(**custom("encoding", "utf-8")),
        column(0, **custom("encoding", "utf-8")),
        # options that nothing enforces, or that make no sense
        column(0, logicalTypeOptions={"pattern": "[0-9]+"}),
        column(0, logicalTypeOptions={"minLength": 1}),
        column(0, logicalTypeOptions={"format": "uuid"}),
        column(0, logicalTypeOptions={"maxLength": "64"}),
        column(1, logicalTypeOptions={"maximum": "2030-01-01"}),
        column(1, logicalTypeOptions={"minimum": "first of May"}),
        column(1, logicalTypeOptions={"minimum": 2010}),
        column(2, logicalTypeOptions={"exclusiveMinimum": 1}),
        column(2, logicalTypeOptions={"minimum": "one"}),
        # values of the wrong kind
        schema(**custom("descriptionRow", "text")),
        schema(**custom("rejectLimitPercent", "5 %")),
        column(1, **custom("eventTime", "no")),
        column(0, required="sometimes"),
        lambda contract: contract.update(apiVersion="v3.0.0"),
        # contradictions and gaps
        column(0, logicalType="text"),
        column(0, physicalType="INTEGER"),
        column(0, classification="secret"),
        without(0, "classification"),
        without(0, "description"),
        column(0, **custom("fallbackColumn", "nowhere")),
        column(2, **custom("eventTime", True)),
        column(2, name="thing_id"),
        column(2, businessName="THING  id"),
        column(4, businessName="No."),
        schema(name="others"),
        schema(description=""),
        schema(dataGranularityDescription=None),
        lambda contract: contract.update(schema=contract["schema"] * 2),
        lambda contract: contract.pop("schema"),
        rule(0, severity="info"),
        rule(0, mustBe=1),
        rule(0, type="text"),
        rule(0, query=""),
        rule(0, id=None),
        rule(0, description=None),
        rule(2, metric="nullValues"),
        without_of_rule(0, "mustBe"),
        without_of_rule(1, "mustBeLessOrEqualTo"),
        without_of_rule(2, "mustBeGreaterThan"),
    ],
)
def test_what_nothing_enforces_or_what_contradicts_itself_is_an_error(
    tmp_path: Path, change: Change
) -> None:
    with pytest.raises(ContractError, match=r"things(\.yaml)?"):
        load_dataset(write(tmp_path, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda contract: None,
        lambda contract: contract["schema"][0].update(properties=[], customProperties=[]),
        lambda contract: contract["schema"][0].update(properties=[]),
    ],
)
def test_a_gate_declares_no_columns_and_no_custom_properties(
    tmp_path: Path, change: Change
) -> None:
    with pytest.raises(ContractError, match="nothing enforces"):
        load_gate_suites(write(tmp_path, change))


def test_a_gate_has_a_suite_for_each_table(tmp_path: Path) -> None:
    def as_gate(contract: dict[str, Any]) -> None:
        del contract["schema"][0]["properties"], contract["schema"][0]["customProperties"]
        contract["schema"].append(contract["schema"][0] | {"physicalName": "marts.things"})

    named, physical = load_gate_suites(write(tmp_path, as_gate))
    assert (named.table, physical.table) == ("things", "marts.things")
    assert [r.id for r in named.rules] == ["all_are_fine", "most_are_fine", "there_are_some"]


def test_a_setting_has_no_gate_and_no_event_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "SETTINGS_CONTRACTS_DIR", tmp_path)
    write(tmp_path)
    with pytest.raises(ContractError, match="things: nothing enforces"):
        load_settings()


def test_the_fingerprint_follows_the_contract(tmp_path: Path) -> None:
    before = load_dataset(write(tmp_path)).fingerprint
    assert load_dataset(write(tmp_path)).fingerprint == before
    assert load_dataset(write(tmp_path, column(2, description="?"))).fingerprint != before


def test_an_unknown_column_is_a_key_error() -> None:
    with pytest.raises((KeyError, StopIteration)):
        load_datasets()["orders"].column("nonsense")


# --- the contracts of this project ----------------------------------------------------------------


def test_all_contracts_can_be_enforced() -> None:
    assert list(load_datasets()) == [
        "chats", "complaints", "orders", "platform_metrics", "products", "returns",
        "review_overrides", "reviews",
    ]  # fmt: skip
    assert load_settings()
    rules = [r for d in load_datasets().values() for r in d.rules]
    rules += [r for p in GATES_DIR.glob("*.yaml") for s in load_gate_suites(p) for r in s.rules]
    assert len({r.id for r in rules}) == len(rules)


@pytest.mark.parametrize("dataset", ["orders", "returns"])
def test_no_personal_column_is_kept(dataset: str) -> None:
    personal = {
        "buyer username", "buyer nickname", "recipient", "phone #", "email", "zipcode",
        "buyer message", "buyer note", "tracking id", "return logistics tracking id", "country",
        "region", "state", "province", "city", "municipality", "barangay", "autonomous community",
        "regency and city", "district", "districts", "commune", "villages", "detail address",
        "additional address information", "street name", "address line 1", "address line 2",
        "delivery instruction", "shipping information",
    }  # fmt: skip
    contract = load_datasets()[dataset]
    kept = {normalise_header(h) for c in contract.columns for h in c.headers}
    declared = {normalise_header(h) for h in contract.personal_headers}
    assert not kept & personal
    assert declared <= personal
    if dataset == "orders":
        assert declared == personal - {"buyer note", "return logistics tracking id"}


def test_free_text_of_buyers_is_masked() -> None:
    masked = {
        (d.name, c.name)
        for d in load_datasets().values()
        for c in d.columns
        if c.classification == "masked"
    }
    assert masked == {
        ("complaints", "complaint_detail"),
        ("returns", "return_reason"),
        ("returns", "return_reason_code"),
        ("review_overrides", "why"),
        ("reviews", "review_text"),
    }


def test_who_decided_on_a_review_is_not_kept() -> None:
    assert load_datasets()["review_overrides"].personal_headers == ("decided_by",)


def test_the_required_headers_are_those_of_the_platform() -> None:
    required = {
        d.name: {c.headers[0] for c in d.columns if c.required_header}
        for d in load_datasets().values()
    }
    assert required["orders"] == {
        "Order ID", "SKU ID", "Product Name", "Created Time", "Delivered Time",
    }  # fmt: skip
    assert required["returns"] == {
        "Return Order ID", "Order ID", "Time Requested", "Return Reason", "Return Status",
    }  # fmt: skip
    assert required["reviews"] == {"review_id", "order_id", "rating", "created_at"}


API_RETURN = {
    "return_id": "return_order_id",
    "order_id": "order_id",
    "return_line_items.sku_id": "sku_id",
    "return_line_items.seller_sku": "seller_sku",
    "return_type": "return_type",
    "create_time": "time_requested",
    "return_reason": "return_reason_code",
    "return_reason_text": "return_reason",
    "return_line_items.refund_amount.refund_total": "return_unit_price",
    "return_status": "return_status",
    "arbitration_status": "arbitration_status",
}
API_REVIEW = {
    "id": "review_id",
    "order_id": "order_id",
    "product.id": "product_id",
    "sku.id": "sku_id",
    "rating": "rating",
    "content": "review_text",
    "create_time": "created_at",
}


@pytest.mark.parametrize(("dataset", "fields"), [("returns", API_RETURN), ("reviews", API_REVIEW)])
def test_api_answers_name_the_columns_of_the_exports(dataset: str, fields: dict[str, str]) -> None:
    columns = {
        normalise_header(header): column
        for column in load_datasets()[dataset].columns
        for header in column.headers
    }
    assert {field: columns[field].name for field in fields} == fields
    required = {column.name for column in columns.values() if column.required_header}
    assert required <= set(fields.values())


def test_no_contract_lies_about() -> None:
    known = {p.stem for p in CONTRACTS_DIR.rglob("*.yaml")}
    assert known == {*load_datasets(), *load_settings(), "files", "publication"}


# --- the house ------------------------------------------------------------------------------------


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return names | {n.module or "." for n in nodes if isinstance(n, ast.ImportFrom)}


@pytest.mark.parametrize(
    "path",
    sorted((PROJECT_ROOT / "dagster_project" / "lib").rglob("*.py")),
    ids=lambda path: path.stem,
)
def test_lib_knows_nothing_of_the_frameworks_around_it(path: Path) -> None:
    packages = {name.split(".")[0] for name in _imports(path)}
    assert not packages & {
        "dagster", "dagster_dbt", "great_expectations", "dbt", "sqlalchemy", "duckdb_engine",
        "typer",
    }  # fmt: skip
    inside = {name for name in _imports(path) if name.startswith("dagster_project")}
    assert all(name.startswith("dagster_project.lib") for name in inside)
