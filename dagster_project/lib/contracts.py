"""Data contracts: ODCS 3.1 YAML read into the few plain facts the pipeline needs.

A raw column is declared in `data_contracts/<dataset>.yaml` and nowhere else. What ingest, the
quality gates and the dbt sources know of it, they take from here. A constraint that nothing here
enforces raises `ContractError`: a rule that is silently skipped is worse than none.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from open_data_contract_standard.model import (
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)
from pydantic import ValidationError

from dagster_project.lib.paths import CONTRACTS_DIR, GATES_DIR, SETTINGS_CONTRACTS_DIR
from dagster_project.lib.text import normalise_header

Kind = Literal["string", "integer", "number", "timestamp", "date", "boolean"]
Severity = Literal["critical", "warning"]

# a safe loader too, ten times as fast where the library was built with it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_API_VERSION = "v3.1.0"
_KEYS = {
    "contract": "apiVersion kind id name version status description schema",
    "contract's description": "purpose usage limitations",
    "dataset": "name physicalType description dataGranularityDescription customProperties"
    " properties quality",
    "gated table": "name physicalType physicalName description dataGranularityDescription quality",
    "column": "name businessName synonyms description logicalType logicalTypeOptions physicalType"
    " classification required primaryKey primaryKeyPosition customProperties",
    "personal column": "name businessName synonyms description logicalType classification",
    "synonym": "synonym",
    "custom property": "property value",
    "rule on rows": "id description type query mustBe severity",
    "rule on a limit": "id description type query mustBeLessOrEqualTo unit severity",
    "rule on the number of rows": "id description type metric mustBeGreaterThan severity",
}
_CUSTOM_DATASET = {
    "descriptionRow": list,
    "monthFirstRegions": list,
    "rejectLimitPercent": int,
    "exportFrom": str,
    "revisitDays": int,
    "neededFor": str,
    "isBundled": bool,
}
_CUSTOM_COLUMN = {"eventTime": bool, "requiredHeader": bool, "fallbackColumn": str}
_OPTIONS: dict[str, set[str]] = {
    "string": {"format", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "timestamp": {"minimum"},
    "date": {"minimum"},
    "boolean": set(),
}
_PHYSICAL = {
    "string": {"VARCHAR"},
    "integer": {"INTEGER"},
    "number": {"DECIMAL(18,2)", "DOUBLE"},
    "timestamp": {"TIMESTAMP"},
    "date": {"DATE"},
    "boolean": {"BOOLEAN"},
}


class ContractError(ValueError):
    """A contract says something that nothing enforces, or contradicts itself."""


@dataclass(frozen=True)
class Column:
    """One raw column.

    `headers` are the names it may have in a file, as the platform spells them. Where its cell is
    blank, the value is `<fallback>:` and the cell of the column called `fallback`.
    """

    name: str
    headers: tuple[str, ...]
    kind: Kind
    type: str
    description: str
    classification: Literal["internal", "masked"]
    required: bool
    required_header: bool
    is_identifier: bool
    is_event_time: bool
    fallback: str | None
    max_length: int | None
    minimum: str | float | None
    maximum: float | None


@dataclass(frozen=True)
class Rule:
    """One rule of a quality gate.

    `query` selects rows, with `{batch}` for the relation under test and `{table}` for all rows
    known. What is asked of them says `asks`: of "rows" that there are none; of a "share" that they
    are at most `limit` % of the batch; of a "value" that the column of that name, in `unit`, is at
    most `limit` in each. A rule without query asks for a "count" of at least `limit` rows.
    """

    id: str
    description: str
    severity: Severity
    query: str | None
    asks: Literal["rows", "share", "value", "count"]
    limit: float
    unit: str


@dataclass(frozen=True)
class Dataset:
    """One landing dataset: what its files hold and what is asked of them.

    Sellers get it at `export_from`; its records may still change when they are `revisit_days` old.
    `needed_for` names the rates that cannot do without it, and is blank when none does. Settings
    that are `is_bundled` have rows of the project's own, as a seed.
    """

    name: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    personal_headers: tuple[str, ...]
    description_row: tuple[str, ...]
    month_first_regions: tuple[str, ...]
    reject_limit_percent: float
    export_from: str
    revisit_days: int
    needed_for: str
    is_bundled: bool
    rules: tuple[Rule, ...]
    fingerprint: str

    def column(self, name: str) -> Column:
        """The column called `name`; raises KeyError when the contract has none."""
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True)
class GateSuite:
    """The rules that one published or ledger table is held to."""

    table: str
    rules: tuple[Rule, ...]


def load_settings() -> dict[str, Dataset]:
    """The settings that a data directory may add to, by name; raises ContractError."""
    settings = load_datasets(SETTINGS_CONTRACTS_DIR)
    for setting in settings.values():
        if setting.rules or any(c.is_event_time for c in setting.columns):
            raise ContractError(
                f"{setting.name}: nothing enforces gates or event times on settings"
            )
    return settings


@functools.cache
def load_datasets(folder: Path = CONTRACTS_DIR) -> dict[str, Dataset]:
    """All landing datasets by name, in the order of their file names; raises ContractError."""
    datasets = [load_dataset(path) for path in sorted(folder.glob("*.yaml"))]
    return {dataset.name: dataset for dataset in datasets}


def load_dataset(path: Path) -> Dataset:
    """Read the contract of one landing dataset; raises ContractError."""
    contract = _read(path, "dataset")
    if len(contract.schema_ or []) != 1:
        raise ContractError(f"{path.name}: a dataset's contract has exactly one schema")
    schema = (contract.schema_ or [])[0]
    if schema.name != path.stem:
        raise ContractError(f"{path.name}: the dataset {schema.name} is not called as its file")
    custom = _custom(schema, _CUSTOM_DATASET, f"{path.name}: {schema.name}")
    properties = schema.properties or []
    columns = tuple(_column(p, path.name) for p in properties if p.classification != "personal")
    _check_names(properties, path.name)
    keyed = sorted((p for p in properties if p.primaryKey), key=lambda p: p.primaryKeyPosition or 0)
    for column in columns:
        if column.fallback and column.fallback not in {c.name for c in columns}:
            raise ContractError(f"{path.name}: {column.name} falls back on an unknown column")
    return Dataset(
        name=schema.name,
        description=_need(schema.description, f"{path.name}: description"),
        grain=_need(schema.dataGranularityDescription, f"{path.name}: granularity"),
        columns=columns,
        key=tuple(str(p.name) for p in keyed),
        personal_headers=tuple(
            header for p in properties if p.classification == "personal" for header in _headers(p)
        ),
        description_row=tuple(str(text).lower() for text in custom.get("descriptionRow", [])),
        month_first_regions=tuple(custom.get("monthFirstRegions", [])),
        reject_limit_percent=float(custom.get("rejectLimitPercent", 5)),
        export_from=custom.get("exportFrom", ""),
        revisit_days=custom.get("revisitDays", 0),
        needed_for=custom.get("neededFor", ""),
        is_bundled=custom.get("isBundled", True),
        rules=tuple(_rule(q, path.name) for q in schema.quality or []),
        fingerprint=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
    )


def load_gate_suites(path: Path) -> tuple[GateSuite, ...]:
    """The suites of a gate contract (`data_contracts/gates/*.yaml`); raises ContractError."""
    contract = _read(path, "gated table")
    return tuple(
        GateSuite(
            table=_need(schema.physicalName or schema.name, f"{path.name}: schema name"),
            rules=tuple(_rule(q, path.name) for q in schema.quality or []),
        )
        for schema in contract.schema_ or []
    )


@functools.cache
def all_rules() -> dict[str, Rule]:
    """All rules by id, of the datasets' contracts and of the gates'."""
    rules = [rule for dataset in load_datasets().values() for rule in dataset.rules]
    for path in GATES_DIR.glob("*.yaml"):
        rules += [rule for suite in load_gate_suites(path) for rule in suite.rules]
    return {rule.id: rule for rule in rules}


def _read(path: Path, schema_level: str) -> OpenDataContractStandard:
    raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    _only_known_keys(raw, "contract", path.name)
    if raw.get("apiVersion") != _API_VERSION:
        raise ContractError(f"{path.name}: apiVersion is {_API_VERSION}")
    _only_known_keys(raw.get("description", {}), "contract's description", path.name)
    for schema in raw.get("schema", []):
        _only_known_keys(schema, schema_level, f"{path.name}: {schema.get('name')}")
        for prop in schema.get("properties", []):
            is_personal = prop.get("classification") == "personal"
            where = f"{path.name}: {prop.get('name')}"
            _only_known_keys(prop, "personal column" if is_personal else "column", where)
            for synonym in prop.get("synonyms", []):
                _only_known_keys(synonym, "synonym", where)
        for node in (schema, *schema.get("properties", [])):
            for custom in node.get("customProperties", []):
                _only_known_keys(custom, "custom property", f"{path.name}: {node.get('name')}")
        for quality in schema.get("quality", []):
            where = f"{path.name}: {quality.get('id')}"
            _only_known_keys(quality, _rule_level(quality), where)
    try:
        return OpenDataContractStandard.model_validate(raw)
    except ValidationError as error:
        raise ContractError(f"{path.name}: {error}") from error


def _rule_level(quality: dict[str, Any]) -> str:
    if quality.get("type") != "sql":
        return "rule on the number of rows"
    return "rule on a limit" if "unit" in quality else "rule on rows"


def _only_known_keys(node: dict[str, Any], level: str, where: str) -> None:
    unknown = sorted(set(node) - set(_KEYS[level].split()))
    if unknown:
        raise ContractError(f"{where}: nothing enforces {', '.join(unknown)} of a {level}")


def _check_names(properties: list[SchemaProperty], file: str) -> None:
    """Names and headers are given once, so that a cell belongs to one column."""
    headers = [header for p in properties for header in {normalise_header(h) for h in _headers(p)}]
    for names in ([str(p.name) for p in properties], headers):
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        if twice:
            raise ContractError(f"{file}: several columns are called {', '.join(twice)}")


def _need(value: str | None, where: str) -> str:
    if not value:
        raise ContractError(f"{where} is missing")
    return value


def _custom(
    node: SchemaObject | SchemaProperty, known: dict[str, type], where: str
) -> dict[str, Any]:
    found = {str(c.property): c.value for c in node.customProperties or []}
    for name, value in found.items():
        if name not in known:
            raise ContractError(f"{where}: nothing enforces {name}")
        if type(value) is not known[name]:
            raise ContractError(f"{where}: {name} is a {known[name].__name__}, not {value!r}")
    return found


def _headers(prop: SchemaProperty) -> tuple[str, ...]:
    synonyms = (_need(s.synonym, f"{prop.name}: synonym") for s in prop.synonyms or [])
    return (prop.businessName or str(prop.name), *synonyms)


def _column(prop: SchemaProperty, file: str) -> Column:
    where = f"{file}: {prop.name}"
    kind = prop.logicalType
    if kind not in _OPTIONS:
        raise ContractError(f"{where}: logicalType {kind} is none of {', '.join(_OPTIONS)}")
    if prop.physicalType not in _PHYSICAL[kind]:
        raise ContractError(f"{where}: a {kind} is stored as {' or '.join(_PHYSICAL[kind])}")
    if prop.classification not in ("internal", "masked"):
        raise ContractError(f"{where}: classification is internal, masked or personal")
    options = prop.logicalTypeOptions or {}
    for name, value in options.items():
        if name not in _OPTIONS[kind]:
            raise ContractError(f"{where}: nothing enforces {name} on a {kind}")
        if not _is_option(kind, name, value):
            raise ContractError(f"{where}: {name} of a {kind} cannot be {value!r}")
    custom = _custom(prop, _CUSTOM_COLUMN, where)
    if custom.get("eventTime") and kind != "timestamp":
        raise ContractError(f"{where}: only a timestamp is an event time")
    return Column(
        name=str(prop.name),
        headers=_headers(prop),
        kind=kind,  # type: ignore[arg-type]
        type=str(prop.physicalType),
        description=_need(prop.description, f"{where}: description"),
        classification=prop.classification,  # type: ignore[arg-type]
        required=bool(prop.required),
        required_header=bool(prop.required or custom.get("requiredHeader")),
        is_identifier=options.get("format") == "identifier",
        is_event_time=bool(custom.get("eventTime")),
        fallback=custom.get("fallbackColumn"),
        max_length=options.get("maxLength"),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
    )


def _is_option(kind: str, name: str, value: object) -> bool:
    if name == "format":
        return value == "identifier"
    if kind == "number":
        return type(value) in (int, float)
    if kind not in ("timestamp", "date"):
        return type(value) is int
    try:
        return bool(date.fromisoformat(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _rule(quality: DataQuality, file: str) -> Rule:
    where = f"{file}: {quality.id}"
    if quality.severity not in ("critical", "warning"):
        raise ContractError(f"{where}: severity is critical or warning")
    query, asks, limit, unit = None, "rows", 0.0, ""
    if quality.type == "sql":
        query = _need(quality.query, f"{where}: query")
        if quality.unit is not None and quality.mustBeLessOrEqualTo is not None:
            asks = "share" if quality.unit == "percent" else "value"
            limit, unit = float(quality.mustBeLessOrEqualTo), quality.unit
        elif quality.unit is not None or quality.mustBe != 0:
            raise ContractError(
                f"{where}: a sql rule says `mustBe: 0`, "
                "or `mustBeLessOrEqualTo` with `unit: percent` or the unit of its column `value`"
            )
    elif quality.type == "library" and quality.metric == "rowCount":
        if quality.mustBeGreaterThan is None:
            raise ContractError(f"{where}: rowCount says `mustBeGreaterThan`")
        asks, limit = "count", float(quality.mustBeGreaterThan) + 1
    else:
        raise ContractError(f"{where}: nothing enforces {quality.type}/{quality.metric}")
    return Rule(
        id=_need(quality.id, f"{file}: rule id"),
        description=_need(quality.description, f"{where}: description"),
        severity=quality.severity,  # type: ignore[arg-type]
        query=query,
        asks=asks,  # type: ignore[arg-type]
        limit=limit,
        unit=unit,
    )
