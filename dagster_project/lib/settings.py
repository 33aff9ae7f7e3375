"""Own settings: `data/settings/<seed>.csv` adds rows to the bundled settings or replaces them."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from dagster_project.lib.casts import find_date_formats
from dagster_project.lib.contracts import Dataset, all_rules, load_settings
from dagster_project.lib.errors import ConfigurationError, FileRefusedError
from dagster_project.lib.metrics import CHAT_RATE, NUMERATORS, REVIEW_AND_RETURN_RATES
from dagster_project.lib.paths import DBT_DIR, DataDir
from dagster_project.lib.readers import read_text
from dagster_project.lib.review_reasons import BREAK, NEGATION, PatternError, check_pattern
from dagster_project.lib.row_rules import explain, typed_rows_sql
from dagster_project.lib.shops import read_shops
from dagster_project.lib.sql import identifier
from dagster_project.lib.text import printable

_METRIC_SETTINGS = {
    "window_days": (r"[1-9][0-9]{0,2}", "a number of days from 1 to 999"),
    "rating_basis": (r"latest|initial", "latest or initial"),
    "no_comment_counts_in_nrr_seller": (r"true|false", "true or false"),
    "min_delivered_orders": (r"[0-9]{1,9}", "a number of orders"),
    "watchlist_min_orders": (r"[1-9][0-9]{0,8}", "a number of orders, 1 or more"),
    "at_risk_share_of_target": (r"0([.][0-9]+)?|1([.]0+)?", "a share from 0 to 1"),
    "chat_reply_hours": (r"[1-9][0-9]{0,2}", "a number of hours from 1 to 999"),
    "platform_rounding": (r"0[.]0*1", "a decimal place, such as 0.0001"),
}
# What the models can compute with, where a column has a few words to choose from.
_METRICS = tuple(REVIEW_AND_RETURN_RATES)
_IN_OR_OUT = ("in", "out")
_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "metric_variants": {
        "metric": _METRICS,
        "denominator": ("delivered", "created"),
        "anchor": ("cohort", "period"),
        "rating": ("latest", "initial"),
        "rejected": _IN_OR_OUT,
        "empty_comments": _IN_OR_OUT,
    },
    "metric_targets": {"metric": (*NUMERATORS, CHAT_RATE)},
    "outcome_policy": {
        "outcome": ("open", "completed", "cancelled", "rejected", "not_sent_back", "seller_won"),
    },
}


def load_own_settings(con: duckdb.DuckDBPyConnection, data: DataDir) -> None:
    """Fill `own_settings.<seed>` of the warehouse from the data directory.

    Raises ConfigurationError naming file, row and column, also for a file that is no setting.
    """
    settings = load_settings()
    con.execute("create schema if not exists own_settings")
    if data.settings.is_dir():
        for path in sorted(data.settings.iterdir()):
            if path.name.startswith(".") or path == data.notifications:
                continue  # what file managers and open spreadsheets leave; no setting of figures
            if path.suffix != ".csv" or path.stem not in settings:
                raise ConfigurationError(
                    f"{path} is no setting; these are "
                    f"{', '.join(f'{name}.csv' for name in settings)}."
                )
    for setting in settings.values():
        columns = ", ".join(f"{identifier(c.name)} {c.type}" for c in setting.columns)
        table = f"own_settings.{identifier(setting.name)}"
        con.execute(f"create or replace table {table} ({columns})")
        path = data.settings / f"{setting.name}.csv"
        if path.is_file():
            _load(con, path, setting, table)
    _check_reasons(con, data)


def _load(con: duckdb.DuckDBPyConnection, path: Path, setting: Dataset, table: str) -> None:
    try:
        read_text(con, path, setting, "setting_rows")
    except FileRefusedError as refusal:
        raise ConfigurationError(f"{path} {refusal}.") from refusal
    formats = find_date_formats(con, "setting_rows", setting, {0: ""})[0]
    con.execute(
        "create or replace temp table typed_settings as "
        + typed_rows_sql(setting, formats, "UTC", "setting_rows")
    )
    first_broken = con.execute(
        "select _row_number, _broken from typed_settings where _broken is not null "
        "order by _row_number limit 1"
    ).fetchone()
    if first_broken:
        row_number, broken = first_broken
        column, _, message = explain(broken, setting, formats)
        place, help_text = (f", {column.name}", f" {column.description}") if column else ("", "")
        raise ConfigurationError(f"{path}, row {row_number}{place}: {message}.{help_text}")
    _check_periods(con, path, setting)
    _check_choices(con, path, _CHOICES.get(setting.name, {}))
    _CHECKS.get(setting.name, _no_check)(con, path)
    values = ", ".join(identifier(f"typed_{c.name}") for c in setting.columns)
    con.execute(f"insert into {table} select {values} from typed_settings")
    con.execute("drop table setting_rows")
    con.execute("drop table typed_settings")


def _check_periods(con: duckdb.DuckDBPyConnection, path: Path, setting: Dataset) -> None:
    """On no day two rows of the same key are in force."""
    key = ", ".join(
        f"lower(regexp_replace(cast({identifier(f'typed_{name}')} as varchar), '\\s+', ' ', 'g'))"
        for name in setting.key
    )
    if not any(column.name == "valid_from" for column in setting.columns):
        _check_once(con, path, key)
        return
    clash = con.execute(
        f"""
        select _row_number, following
        from (
            select *, lead(_row_number) over same_key as following,
                lead(typed_valid_from) over same_key as following_from
            from typed_settings
            window same_key as (partition by {key} order by typed_valid_from, _row_number)
        )
        where following_from <= coalesce(typed_valid_to, following_from)
        order by _row_number
        limit 1
        """
    ).fetchone()
    if clash:
        raise ConfigurationError(
            f"{path}, rows {min(clash)} and {max(clash)}: both are in force on the same day; give "
            "the earlier one a valid_to before the other's valid_from."
        )


def _check_reasons(con: duckdb.DuckDBPyConnection, data: DataDir) -> None:
    """The codes of texts, types and rules are reasons, of returns or of reviews as they have to."""
    marks = ("is_return_reason", "is_review_reason")
    marked = ", ".join(f"{mark} = 'true' as {mark}" for mark in marks)
    bundled = (DBT_DIR / "seeds" / "reasons.csv").as_posix()
    con.execute(
        "create or replace temp table known_reasons as "
        f"select reason_code, {marked} "
        "from read_csv(?, all_varchar = true) "
        f"union all select reason_code, {', '.join(marks)} from own_settings.reasons",
        [bundled],
    )
    for setting, name, which, others in (
        ("return_reason_texts", "reason_text", "is_return_reason", []),
        ("complaint_types", "complaint_type", "true", []),
        ("classification_rules", "rule_id", "is_review_reason", [NEGATION, BREAK]),
    ):
        rows = con.execute(
            f"select distinct reason_code from known_reasons where {which} order by 1"
        ).fetchall()
        codes = [code for (code,) in rows] + others
        wrong = con.execute(
            f"select {name} from own_settings.{setting} "
            "where reason_code not in (select unnest(?)) order by 1 limit 1",
            [codes],
        ).fetchone()
        if wrong:
            raise ConfigurationError(
                f"{data.settings / setting}.csv: the reason_code of {printable(wrong[0])!r} is "
                f"none of {', '.join(codes)}."
            )
    con.execute("drop table known_reasons")


def _check_once(con: duckdb.DuckDBPyConnection, path: Path, key: str) -> None:
    """No two rows have the same key."""
    clash = con.execute(
        "select min(_row_number), max(_row_number) from typed_settings "
        f"group by {key} having count(*) > 1 order by 1 limit 1"
    ).fetchone()
    if clash:
        raise ConfigurationError(
            f"{path}, rows {clash[0]} and {clash[1]}: both say the same; keep one."
        )


def _check_choices(
    con: duckdb.DuckDBPyConnection, path: Path, choices: dict[str, tuple[str, ...]]
) -> None:
    """Each cell is blank or one of the column's words."""
    for name, words in choices.items():
        wrong = con.execute(
            f"select min(_row_number) from typed_settings "
            f"where {identifier(f'typed_{name}')} not in (select unnest(?))",
            [list(words)],
        ).fetchall()[0][0]
        if wrong is not None:
            raise ConfigurationError(f"{path}, row {wrong}, {name}: one of {', '.join(words)}.")


def _check_metric_variants(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """A variant that is called like a metric is that metric."""
    wrong = con.execute(
        "select min(_row_number) from typed_settings where typed_variant in (select unnest(?)) and "
        "(typed_variant <> typed_metric or coalesce(typed_denominator, typed_anchor, typed_rating, "
        "typed_rejected, typed_empty_comments, cast(typed_window_days as varchar)) is not null)",
        [list(_METRICS)],
    ).fetchall()[0][0]
    if wrong is not None:
        raise ConfigurationError(
            f"{path}, row {wrong}, variant: {', '.join(_METRICS)} are the metrics themselves; give "
            "what differs from them a code of its own."
        )


def _check_metric_settings(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The values that the models can compute with."""
    rows = con.execute(
        "select _row_number, typed_setting, typed_value from typed_settings order by 1"
    ).fetchall()
    for row_number, name, value in rows:
        if name not in _METRIC_SETTINGS:
            raise ConfigurationError(
                f"{path}, row {row_number}, setting: there are {', '.join(_METRIC_SETTINGS)}."
            )
        pattern, words = _METRIC_SETTINGS[name]
        if not re.fullmatch(pattern, value):
            raise ConfigurationError(f"{path}, row {row_number}, value: {name} is {words}.")


def _check_metric_targets(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """A shop's own target is of a shop that there is."""
    rows = con.execute(
        "select _row_number, typed_shop_id from typed_settings "
        "where typed_shop_id is not null order by 1"
    ).fetchall()
    shops = read_shops(path.parent.parent / "shops.csv") if rows else {}
    for row_number, shop_id in rows:
        if shop_id not in shops:
            raise ConfigurationError(f"{path}, row {row_number}, shop_id: no shop of shops.csv.")


def _check_quality_rules(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Rules and shops that there are, and what can be set of them."""
    rules = all_rules()
    shops = read_shops(path.parent.parent / "shops.csv")
    rows = con.execute(
        "select _row_number, typed_rule, typed_shop_id, typed_severity, typed_limit_value "
        "from typed_settings order by 1"
    ).fetchall()
    for row_number, name, shop_id, severity, limit in rows:
        place = f"{path}, row {row_number}"
        if name not in rules:
            raise ConfigurationError(f"{place}, rule: docs/quality-rules.md lists the rules.")
        if shop_id is not None and shop_id not in shops:
            raise ConfigurationError(f"{place}, shop_id: no shop of shops.csv.")
        if severity not in (None, "critical", "warning", "off"):
            raise ConfigurationError(f"{place}, severity: critical, warning or off.")
        if limit is not None and rules[name].asks not in ("share", "value"):
            raise ConfigurationError(f"{place}, limit_value: {name} has no limit.")
        if limit is not None and shop_id is not None and rules[name].asks == "share":
            raise ConfigurationError(
                f"{place}, limit_value: {name} judges all shops together; leave shop_id blank."
            )


def _check_classification_rules(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Patterns that can be looked for."""
    rows = con.execute(
        "select _row_number, typed_language, typed_pattern, typed_unless from typed_settings "
        "order by 1"
    ).fetchall()
    for row_number, language, *patterns in rows:
        for column, pattern in zip(("pattern", "unless"), patterns, strict=True):
            try:
                if pattern is not None:
                    check_pattern(pattern, language)
            except PatternError as error:
                raise ConfigurationError(
                    f"{path}, row {row_number}, {column}: {error}. docs/review-reasons.md says how "
                    "patterns are written."
                ) from error


def _no_check(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Its contract says all there is to say."""


_CHECKS = {
    "metric_targets": _check_metric_targets,
    "classification_rules": _check_classification_rules,
    "metric_settings": _check_metric_settings,
    "metric_variants": _check_metric_variants,
    "quality_rules": _check_quality_rules,
}
