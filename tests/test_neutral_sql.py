"""The models' SQL means the same on DuckDB and on Spark.

Every model, in its full and in its incremental form, is compiled for the Spark adapter and read in
Spark's dialect, with what `macros/engine.sql` writes for Spark. The bans then look at the same SQL
with the engine file's macros left unexpanded, so that what a model, another macro or an argument
of an engine macro says is judged, and only what the engine file says is not. Of the macros that no
model uses only those of the incremental strategy, which is DuckDB's own, are unseen.

What no ban can decide, because it depends on types or on values that the text does not show:

* a fractional column cast to an integer (DuckDB rounds, Spark cuts) or a boolean column summed,
  where neither the expression nor the column's name (`is_`, `has_`) says so; likewise date
  arithmetic on a column not named `_date`, `_until` or `_at`;
* casts of text ('29.5' as integer is 30 or 29), implicit casts in comparisons;
* whether a sort key can be null: all ascending keys must say where nulls go, descending ones mean
  the same on both;
* `lower` of the few letters that change their length (İ) or depend on their place (final Σ);
* types of results (row_number() is a bigint or an integer, a quotient of decimals a double or a
  decimal), time stamps in a session that is not in UTC, an alias that hides a column;
* whether Spark resolves the names and types: sqlglot reads, it does not analyse, and it is more
  lenient than Spark.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from sqlglot import ErrorLevel, Token, TokenType, exp, parse_one, tokenize

from dagster_project.lib.paths import DBT_DIR, PROJECT_ROOT

MODELS = {path.stem for path in (DBT_DIR / "models").rglob("*.sql")}
ENGINE_FILE = Path("macros/engine.sql")
# How tests/spark_compile.py writes a call of one of its macros in the neutral forms.
ENGINE_CALL = "engine__"
# Where else an engine may be named: the two sides of the incremental strategy.
ENGINE_MACROS = {"default__replace_touched", "duckdb__replace_touched"}


@dataclass(frozen=True)
class Sql:
    """A statement, as the two engines read it."""

    text: str

    @cached_property
    def duckdb(self) -> exp.Expr:
        return parse_one(self.text, dialect="duckdb", error_level=ErrorLevel.RAISE)

    @cached_property
    def spark(self) -> exp.Expr:
        return parse_one(self.text, dialect="spark", error_level=ErrorLevel.RAISE)

    @cached_property
    def tokens(self) -> list[Token]:
        return tokenize(self.text, dialect="duckdb")

    def all(self, *kinds: type[exp.Expr]) -> Iterator[Any]:
        return self.duckdb.find_all(*kinds)


Finder = Callable[[Sql], Iterable[object]]

# The parts of SQL that mean the same on both engines. Before one is added here, its results on
# both are compared, with nulls, zero and blank text; one that differs gets a macro in engine.sql.
_SHARED_CLAUSES = (
    *(exp.Select, exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group, exp.Having),
    *(exp.Order, exp.Ordered, exp.Qualify, exp.Union, exp.Except, exp.Intersect, exp.Subquery),
    *(exp.Distinct, exp.Star, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier),
    *(exp.Window, exp.WindowSpec, exp.Filter, exp.Paren, exp.Literal, exp.Boolean, exp.Null),
    *(exp.DataType, exp.DataTypeParam, exp.Cast, exp.Case, exp.If),
)
_SHARED_OPERATORS = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is),
    *(exp.In, exp.Exists, exp.Between, exp.Like, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.DPipe),
)
_SHARED_FUNCTIONS = (
    *(exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Lower, exp.Translate, exp.ConcatWs),
    *(exp.Count, exp.CountIf, exp.Sum, exp.Min, exp.Max, exp.LogicalOr),
    *(exp.RowNumber, exp.FirstValue, exp.Lead, exp.Sqrt),
)
SHARED = frozenset((*_SHARED_CLAUSES, *_SHARED_OPERATORS, *_SHARED_FUNCTIONS))
# Spark refuses `varchar` without a length and `text` at all; a decimal's own scale is 3 or 0.
SHARED_TYPES = frozenset(
    {"bigint", "boolean", "date", "decimal(", "double", "int", "integer", "string", "timestamp"}
)


def is_engine_call(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.startswith(ENGINE_CALL)


def unshared_parts(sql: Sql) -> Iterator[object]:
    return (n for n in sql.duckdb.walk() if type(n) not in SHARED and not is_engine_call(n))


def unshared_variants(sql: Sql) -> Iterator[object]:
    """DuckDB's own variants of clauses that otherwise are shared."""
    yield from (n for n in sql.all(exp.Star) if n.args.get("except_") or n.args.get("replace"))
    yield from (n for n in sql.all(exp.Distinct) if n.args.get("on"))
    yield from (n for n in sql.all(exp.Union, exp.Except, exp.Intersect) if n.args.get("by_name"))
    yield from (n for n in sql.all(exp.Join) if n.args.get("method"))
    yield from (n for n in sql.all(exp.CTE) if n.args.get("materialized") is not None)


def cast_types(tokens: list[Token]) -> Iterator[str]:
    """The types that values are cast to, as they are written, up to their first bracket."""
    is_cast: list[bool] = []
    for token, kind, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if kind.token_type == TokenType.L_PAREN:
            is_cast.append(token.text.lower() in ("cast", "try_cast"))
        elif kind.token_type == TokenType.R_PAREN:
            is_cast.pop()
        elif token.token_type == TokenType.ALIAS and is_cast and is_cast[-1]:
            yield kind.text.lower() + after.text.removesuffix(")")


def unshared_types(sql: Sql) -> Iterator[object]:
    return (kind for kind in cast_types(sql.tokens) if kind not in SHARED_TYPES)


def double_colons(sql: Sql) -> Iterator[object]:
    return (t.text for t in sql.tokens if t.token_type == TokenType.DCOLON)


def backslashes(sql: Sql) -> Iterator[object]:
    return iter(re.findall(r"\S*\\\S*", sql.text))


def offsets(sql: Sql) -> Iterator[object]:
    with_offset = re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)? ?([+-]\d\d|Z\b)")
    return (n for n in sql.all(exp.Literal) if n.is_string and with_offset.search(n.name))


def quoted_names(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Identifier) if n.args.get("quoted"))


def row_ids(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Column) if n.name.lower() == "rowid")


def moving_nulls(sql: Sql) -> Iterator[object]:
    """Sort keys whose nulls come last on DuckDB and first on Spark."""
    read = zip(sql.all(exp.Ordered), sql.spark.find_all(exp.Ordered), strict=True)
    return (n for n, on_spark in read if n.args["nulls_first"] != on_spark.args["nulls_first"])


def distinct_in_windows(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Window) if n.this.find(exp.Distinct))


def unguarded_quotients(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Div) if not (_is_never_zero(n.expression) or _is_guarded(n)))


def _is_never_zero(divisor: exp.Expr) -> bool:
    divisor = divisor.unnest()
    if isinstance(divisor, exp.Nullif):
        return bool(divisor.expression == exp.Literal.number(0))
    return isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.name) != 0


def _is_guarded(quotient: exp.Div) -> bool:
    """Whether it stands in the branch of a case that asks for its divisor to be above zero."""
    above_zero = exp.GT(this=quotient.expression.copy(), expression=exp.Literal.number(0))
    branch: exp.Expr = quotient
    while branch.parent and not isinstance(branch, exp.Select):
        if isinstance(branch.parent, exp.If) and branch.arg_key == "true":
            asked = branch.parent.this.unnest()
            if above_zero in (asked.flatten() if isinstance(asked, exp.And) else [asked]):
                return True
        branch = branch.parent
    return False


def summed_truths(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Sum) if _is_truth(n.this))


def _is_truth(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Column):
        return node.name.startswith(("is_", "has_"))
    if isinstance(node, exp.Cast):
        return node.to.is_type(exp.DType.BOOLEAN)
    if isinstance(node, exp.Case):
        return any(_is_truth(branch.args["true"]) for branch in node.args["ifs"])
    if isinstance(node, exp.Distinct | exp.Coalesce):
        return any(map(_is_truth, node.iter_expressions()))
    return isinstance(node, exp.Predicate | exp.And | exp.Or | exp.Not | exp.Boolean)


def cut_fractions(sql: Sql) -> Iterator[object]:
    whole = (exp.DType.INT, exp.DType.BIGINT)
    return (n for n in sql.all(exp.Cast) if n.to.is_type(*whole) and _has_fraction(n.this))


def _has_fraction(node: exp.Expr) -> bool:
    fractional = (exp.DType.DOUBLE, exp.DType.FLOAT, exp.DType.DECIMAL)
    return any(
        isinstance(n, exp.Div)
        or (isinstance(n, exp.Cast) and n.to.is_type(*fractional))
        or (isinstance(n, exp.Literal) and not n.is_string and not n.is_int)
        for n in node.walk(prune=lambda n: isinstance(n, exp.Count | exp.Query))
    )


def moved_dates(sql: Sql) -> Iterator[object]:
    return (n for n in sql.all(exp.Add, exp.Sub) if _is_date(n.this) or _is_date(n.expression))


def _is_date(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Column):
        return node.name.endswith(("_date", "_until", "_at"))
    if isinstance(node, exp.Cast):
        return node.to.is_type(exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ)
    if isinstance(node, exp.Min | exp.Max | exp.Greatest | exp.Least | exp.Coalesce):
        return any(map(_is_date, node.iter_expressions()))
    return is_engine_call(node) and node.name == f"{ENGINE_CALL}add_days"


@dataclass(frozen=True)
class Ban:
    """What may not stand outside the engine file, why, and what must and must not be found."""

    why: str
    find: Finder
    faults: tuple[str, ...]
    fine: str


BANS = {
    "parts not known to be shared": Ban(
        "only one engine has it, or the two differ; write a macro in engine.sql, or compare the "
        "results on both and add it to SHARED",
        unshared_parts,
        (
            "concat(a, b)",
            "regexp_replace(a, 'x', 'y')",
            "regexp_matches(a, 'x')",
            "a similar to 'x'",
            "a ~ 'x'",
            "a glob 'x'",
            "dayofweek(a)",
            "extract(dow from a)",
            "date_part('dow', a)",
            "substr(a, 0, 2)",
            "substring(a, 0, 2)",
            "a[1:2]",
            "strftime(a, '%Y')",
            "date_diff('day', a, b)",
            "datediff('day', a, b)",
            "date_add(a, interval 1 day)",
            "date_trunc('month', a)",
            "a + interval '1 day'",
            "a at time zone 'UTC'",
            "current_date",
            "now()",
            "epoch(a)",
            "unnest(a)",
            "[a, b]",
            "list_value(a, b)",
            "array_agg(a)",
            "{'a': a}",
            "struct_pack(a := b)",
            "string_agg(a, ',')",
            "any_value(a)",
            "arg_max(a, b)",
            "max_by(a, b)",
            "try_cast(a as integer)",
            "a // b",
            "a % b",
            "a ^ b",
            "hash(a)",
            "xxhash64(a)",
            "md5(a)",
            "trim(a)",
            "length(a)",
            "a from unnest(t.x)",
            "a from range(10)",
            "a from generate_series(1, 10)",
            "a from t using sample 10%",
            "columns('x') from t",
        ),
        "coalesce(lower(a), concat_ws(' / ', b, c), 'x' || d), engine__fold_space(e)",
    ),
    "variants of shared clauses": Ban(
        "DuckDB's own, or not Spark's way to write it",
        unshared_variants,
        (
            "* exclude (a) from t",
            "* replace (1 as a) from t",
            "distinct on (a) a, b from t",
            "a from t union by name select a from u",
            "a from t asof join u on t.a >= u.a",
            "a from (with x as materialized (select 1 as a) select a from x)",
        ),
        "distinct t.* from t union all select * from u",
    ),
    "types": Ban(
        "Spark wants a length or does not know it, or the default scale differs",
        unshared_types,
        (
            "cast(a as varchar)",
            "cast(a as text)",
            "cast(lower(a) as hugeint)",
            "cast(a as timestamptz)",
            "cast(a as decimal)",
        ),
        "cast(a as string) as text, cast(cast(b as decimal(18, 2)) as double) as varchar",
    ),
    "double colon": Ban(
        "older Spark cannot read it, and a cast is written one way",
        double_colons,
        ("a::date",),
        "cast(a as date)",
    ),
    "backslash": Ban(
        "in a literal Spark takes it for an escape, DuckDB for itself",
        backslashes,
        (r"a = 'C:\new'", r"a like '10\%'", r"e'a\nb'"),
        "a = 'C:/new'",
    ),
    "offset in a time stamp": Ban(
        "DuckDB drops it or moves the time to UTC by type, Spark moves it to the session's zone",
        offsets,
        ("a > '2026-01-01 00:00:00+07'", "cast('2026-01-01 00:00Z' as timestamp)"),
        "a > cast('2026-01-01 00:00:00' as timestamp)",
    ),
    "quoted name": Ban("Spark reads it as text", quoted_names, ('"a"',), "'a' as a"),
    "rowid": Ban("only DuckDB has it", row_ids, ("t.rowid from t",), "t.row_id from t"),
    "nulls that move": Ban(
        "ascending, nulls come last on DuckDB and first on Spark; say which",
        moving_nulls,
        (
            "a from t order by a",
            "row_number() over (partition by a order by b desc, c asc)",
            "sum(a) over (order by b nulls first, c rows unbounded preceding)",
        ),
        "row_number() over (order by a desc, b nulls last, c asc nulls first)",
    ),
    "distinct in a window": Ban(
        "an error on Spark",
        distinct_in_windows,
        ("count(distinct a) over (partition by b)",),
        "count(distinct a), count(b) over (partition by c)",
    ),
    "division by what may be zero": Ban(
        "inf, null or an error; divide by nullif(x, 0) or where a case asks for x > 0",
        unguarded_quotients,
        (
            "a / b",
            "a / 0",
            "a / nullif(b, 1)",
            "case when b > 0 then 1 else a / b end",
            "case when b > 0 or c then a / b end",
            "case when c > 0 then a / b end",
        ),
        "a / 100, a / nullif(b, 0), case when c and b > 0 then cast(a as double) / b end",
    ),
    "sum of a truth": Ban(
        "an error on Spark",
        summed_truths,
        (
            "sum(is_late)",
            "sum(t.has_text)",
            "sum(a = b)",
            "sum((a > 1 and b is null))",
            "sum(cast(a as boolean))",
            "sum(case when a then b = c end)",
            "sum(coalesce(is_late, false)) over (partition by a)",
        ),
        "sum(case when is_late then 1 else 0 end), count_if(is_late)",
    ),
    "fraction made whole by a cast": Ban(
        "DuckDB rounds, Spark cuts",
        cut_fractions,
        (
            "cast(a / 2 as integer)",
            "cast(1.5 as bigint)",
            "cast(b * cast(a as double) as int)",
            "cast(sum(cast(a as decimal(18, 2))) as bigint)",
        ),
        "cast(sum(a) as bigint), cast(count(a / 2) as integer), cast(1.5 as double)",
    ),
    "arithmetic on dates": Ban(
        "date - date is an interval on Spark, date + 1 is an error on some; add_days, days_between",
        moved_dates,
        (
            "delivered_date + 1",
            "max(t.delivered_date) - first_date",
            "cast(created_at as date) - 30",
            "date '2026-01-01' + day_number",
            "engine__add_days(a, 1) - b",
        ),
        "day_number + 1, engine__days_between(from_date, to_date) - 1",
    ),
}


@dataclass(frozen=True)
class Compiled:
    """The SQL of the models and their data tests by form and name, and dbt's manifest of them."""

    forms: dict[str, dict[str, str]]
    manifest: dict[str, Any]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    work: Path = tmp_path_factory.mktemp("spark")
    done = subprocess.run(
        [sys.executable, "-m", "tests.spark_compile", work],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Compiled(
        json.loads((work / "compiled.json").read_text(encoding="utf-8")),
        json.loads((work / "target" / "manifest.json").read_text(encoding="utf-8")),
    )


def found(ban: Ban, text: str) -> list[str]:
    return [n.sql("duckdb") if isinstance(n, exp.Expr) else str(n) for n in ban.find(Sql(text))]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["full", "increment"])
def test_every_model_compiles_for_spark_and_is_read_in_its_dialect(
    compiled: Compiled, form: str
) -> None:
    assert compiled.forms[form].keys() >= MODELS
    for text in compiled.forms[form].values():
        assert isinstance(Sql(text).spark, exp.Query)


@pytest.mark.slow
def test_the_incremental_form_is_another_one(compiled: Compiled) -> None:
    full, increment = compiled.forms["full"], compiled.forms["increment"]
    incremental = {
        node["name"]
        for node in compiled.manifest["nodes"].values()
        if node["config"]["materialized"] == "incremental" and node["config"]["meta"].get("touched")
        if node["language"] == "sql"
    }
    assert incremental
    assert {name for name in incremental if full[name] == increment[name]} == set()


@pytest.mark.slow
@pytest.mark.parametrize("ban", BANS)
def test_no_model_says_what_the_engines_take_differently(compiled: Compiled, ban: str) -> None:
    broken = {
        name: sorted(set(faults))
        for form in ("full, neutral", "increment, neutral")
        for name, text in compiled.forms[form].items()
        if (faults := found(BANS[ban], text))
    }
    assert broken == {}, BANS[ban].why


@pytest.mark.parametrize(
    ("ban", "fault"), [(name, fault) for name, ban in BANS.items() for fault in ban.faults]
)
def test_a_planted_fault_is_found(ban: str, fault: str) -> None:
    assert found(BANS[ban], f"select {fault}")


@pytest.mark.parametrize("fine", [ban.fine for ban in BANS.values()], ids=list(BANS))
def test_the_shared_way_passes_every_ban(fine: str) -> None:
    assert {
        name: faults for name, ban in BANS.items() if (faults := found(ban, f"select {fine}"))
    } == {}


def test_no_file_but_the_engine_file_names_an_engine() -> None:
    named = re.compile(r"\b(?:default|duckdb|spark)__\w+|\b(?:target|adapter)\.type\b")
    for path in sorted(DBT_DIR.rglob("*.sql")):
        if path.relative_to(DBT_DIR) != ENGINE_FILE and "target" not in path.parts:
            assert set(named.findall(path.read_text(encoding="utf-8"))) <= ENGINE_MACROS, path


@pytest.mark.slow
def test_no_macro_is_hidden_from_the_bans(compiled: Compiled) -> None:
    """A macro that no model or data test reaches belongs to the incremental strategy or to dbt."""
    macros = {
        key: macro
        for key, macro in compiled.manifest["macros"].items()
        if macro["package_name"] == "feedback"
    }
    shown = reached_macros(macros, compiled.manifest["nodes"].values())
    strategy = reached_macros(
        macros, [m for m in macros.values() if m["name"] == "duckdb__replace_touched"]
    )
    outside = {m["name"] for k, m in macros.items() if k not in shown | strategy}
    outside -= {m["name"] for m in macros.values() if m["original_file_path"] == str(ENGINE_FILE)}
    assert outside == {
        *ENGINE_MACROS,
        "get_incremental_replace_touched_sql",
        "generate_schema_name",
    }


def reached_macros(macros: dict[str, Any], starts: Iterable[dict[str, Any]]) -> set[str]:
    reached: set[str] = set()
    ahead = [key for start in starts for key in start["depends_on"].get("macros", ())]
    while ahead:
        key = ahead.pop()
        if key in macros and key not in reached:
            reached.add(key)
            ahead.extend(macros[key]["depends_on"]["macros"])
    return reached
