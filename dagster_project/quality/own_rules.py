"""The data directory's own severities and limits of the rules, for all shops or for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import duckdb

from dagster_project.lib.contracts import Rule
from dagster_project.lib.contracts import Severity as DeclaredSeverity
from dagster_project.lib.sql import literal

Severity = DeclaredSeverity | Literal["off"]
_TABLE = "own_settings.quality_rules"


@dataclass(frozen=True)
class OwnRules:
    """Rows of the setting `quality_rules`, by rule and shop; shop None = all shops."""

    severities: dict[tuple[str, str | None], Severity]
    limits: dict[tuple[str, str | None], float]

    def severity(self, rule: Rule, shop_id: str | None = None) -> Severity:
        """How severe the rule is, for a shop or in general."""
        for key in ((rule.id, shop_id), (rule.id, None)):
            if key in self.severities:
                return self.severities[key]
        return rule.severity

    def limit(self, rule: Rule) -> float:
        """The limit that holds in general."""
        return self.limits.get((rule.id, None), rule.limit)

    def offending(self, rule: Rule) -> str:
        """The query of the rows that offend; `{batch}` and `{table}` stay open in it."""
        query = rule.query
        if query is None:
            raise ValueError(f"{rule.id} counts rows")
        conditions = []
        limit = str(rule.limit)
        if any(rule.id == name for name, _ in (*self.severities, *self.limits)):
            # read by the query itself: a shop's id is never part of its text
            conditions.append(f"{_own(rule, 'severity')} is distinct from 'off'")
            limit = f"coalesce({_own(rule, 'limit_value')}, {limit})"
        if rule.asks == "value":
            conditions.append(f"value > {limit}")
        if conditions:
            query = f"select * from ({query}) as judged where {' and '.join(conditions)}"
        if rule.asks == "share":
            query = (
                f"with offending as ({query}) select * from offending "
                "where (select count(*) from offending) * 100.0 "
                f"> {self.limit(rule)} * (select count(*) from {{batch}})"
            )
        return query


def read_own_rules(con: duckdb.DuckDBPyConnection) -> OwnRules:
    """Those of the warehouse; none where it has no such table."""
    known = con.execute(
        "select 1 from duckdb_tables() where schema_name = 'own_settings' "
        "and table_name = 'quality_rules'"
    ).fetchall()
    rows = con.execute(f"from {_TABLE}").fetchall() if known else []
    return OwnRules(
        {(rule, shop): severity for rule, shop, severity, _ in rows if severity},
        {(rule, shop): limit for rule, shop, _, limit in rows if limit is not None},
    )


def _own(rule: Rule, column: str) -> str:
    return (
        f"(select coalesce(max(s.{column}) filter (where s.shop_id = judged.shop_id), "
        f"max(s.{column}) filter (where s.shop_id is null)) from {_TABLE} as s "
        f"where s.rule = {literal(rule.id)})"
    )
