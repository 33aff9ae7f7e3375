"""Row rules: text rows typed, and the first rule of the contract that each of them breaks."""

from __future__ import annotations

from dagster_project.lib.casts import DateFormats, cast_sql
from dagster_project.lib.contracts import Column, Dataset
from dagster_project.lib.sql import identifier, literal

_MESSAGES = {
    "too_many_cells": "the row has more cells than the header",
    "too_few_cells": "the row ends before the last column that is needed",
    "not_text": "the row is damaged: it holds bytes that are no text; export the file again",
    "required": "the value is missing",
    "digits_lost": "a spreadsheet has cut the number's digits; export the file again",
    "too_long": "the value is longer than any real one",
    "not_a_timestamp": "the value is no date and time of the form {format}",
    "not_an_integer": "the value is no whole number",
    "not_a_number": "the value is no amount of money",
    "not_a_boolean": "the value is neither true nor false",
    "out_of_range": "the value lies outside {span}",
    "event_after_export": "the event is dated more than a day after the file was exported",
}


def typed_rows_sql(dataset: Dataset, formats: DateFormats, timezone: str, rows: str) -> str:
    """SQL of the text rows of the relation `rows` with `typed_<column>` for each, and `_broken`.

    `_broken` is null or the first rule that the row breaks, for `explain`. Event times of the
    contract are believed up to the column `_not_after` of `rows`.
    """
    typed = ", ".join(
        f"{cast_sql(c, formats, timezone)} as {identifier('typed_' + c.name)}"
        for c in dataset.columns
    )
    return (
        f"with typed as (select *, {typed} from ({_with_fallbacks(dataset, rows)})) "
        f"select *, {_first_broken_rule(dataset)} as _broken from typed"
    )


def explain(broken: str, dataset: Dataset, formats: DateFormats) -> tuple[Column | None, str, str]:
    """The column, the rule and the words for a value of `_broken`."""
    name, rule = broken.split(":")
    if not name:
        return None, rule, _MESSAGES[rule]
    column = dataset.column(name)
    ends = ("" if end is None else str(end) for end in (column.minimum, column.maximum))
    message = _MESSAGES[rule].format(
        format=formats.orders.get(name, ""), span=" … ".join(ends).strip()
    )
    return column, rule, message


def _with_fallbacks(dataset: Dataset, rows: str) -> str:
    replaced = ", ".join(
        f"coalesce({identifier(c.name)}, {literal(c.fallback + ':')} || {identifier(c.fallback)}) "
        f"as {identifier(c.name)}"
        for c in dataset.columns
        if c.fallback
    )
    return f"select * {f'replace ({replaced})' if replaced else ''} from {rows}"


def _first_broken_rule(dataset: Dataset) -> str:
    """SQL of `<column>:<rule>` for the first rule that a typed row breaks, else null."""
    cases = ["when _problem is not null then ':' || _problem"]
    for column in dataset.columns:
        cases += [
            f"when {condition} then {literal(f'{column.name}:{rule}')}"
            for condition, rule in _column_rules(column)
        ]
    return f"case {' '.join(cases)} end"


def _column_rules(column: Column) -> list[tuple[str, str]]:
    text, typed = identifier(column.name), identifier(f"typed_{column.name}")
    rules = []
    if column.required:
        rules.append((f"{text} is null", "required"))
    if column.is_identifier:
        # also behind the name of the column that it fell back on
        digits_lost = literal(r"^(\w+:)?([0-9]([.,][0-9]+)?[eE]\+[0-9]+|[0-9]+[.,]0+)$")
        rules.append((f"regexp_matches({text}, {digits_lost})", "digits_lost"))
    if column.max_length is not None:
        rules.append((f"length({text}) > {column.max_length}", "too_long"))
    not_cast = {
        "integer": "not_an_integer",
        "number": "not_a_number",
        "timestamp": "not_a_timestamp",
        "date": "not_a_timestamp",
        "boolean": "not_a_boolean",
    }.get(column.kind)
    if not_cast:
        rules.append((f"{text} is not null and {typed} is null", not_cast))
    if column.minimum is not None:
        rules.append((f"{typed} < {literal(str(column.minimum))}::{column.type}", "out_of_range"))
    if column.maximum is not None:
        rules.append((f"{typed} > {column.maximum}", "out_of_range"))
    if column.is_event_time:
        rules.append((f"{typed} > _not_after", "event_after_export"))
    return rules
