"""Increments: which files the models stand for, what has changed, what is not published yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import date, datetime

import duckdb

from dagster_project.lib.ledger import FileEntry

# Marts of days of which a row may change with what is known of any other day.
_CHANGING_AS_A_WHOLE = ("reconciliation",)


@dataclass(frozen=True)
class AbsorbedFile:
    """A file that the models stand for."""

    shop_id: str
    dataset: str
    file_id: str
    exported_at: datetime
    layout: str


@dataclass(frozen=True)
class Absorbed:
    """What the models stand for: files, and the last metric day."""

    files: list[AbsorbedFile]
    as_of: date


@dataclass(frozen=True)
class Changes:
    """Files that came and went since the models were built, and where to read records anew."""

    came: list[FileEntry] = field(default_factory=list)
    went: list[FileEntry] = field(default_factory=list)
    reread: list[tuple[str, str]] = field(default_factory=list)


def read_absorbed(con: duckdb.DuckDBPyConnection, basis: str) -> Absorbed | None:
    """What the models stand for; None when they must be built anew."""
    known = con.execute(
        "select table_name from information_schema.tables where table_schema = 'absorbed'"
    ).fetchall()
    if not known or _has_changing_window(con):
        return None
    state = con.execute("select as_of from absorbed.models where basis = ?", [basis]).fetchall()
    if not state or state[0][0] is None:
        return None
    names = ", ".join(f.name for f in fields(AbsorbedFile))
    rows = con.execute(f"select {names} from absorbed.files").fetchall()
    return Absorbed([AbsorbedFile(*row) for row in rows], state[0][0])


def _has_changing_window(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the window's length depends on the as-of date: it would change every figure."""
    lengths = con.execute(
        "select value from own_settings.metric_settings where setting = 'window_days'"
    ).fetchall()
    return len(lengths) > 1


def find_changes(entries: list[FileEntry], absorbed: list[AbsorbedFile]) -> Changes:
    """What the ledger's files are beside those that the models stand for."""
    before = {(f.shop_id, f.dataset, f.file_id): f for f in absorbed}
    now = {(e.shop_id, e.dataset, e.file_id): e for e in entries}
    came, went = [], []
    reread: set[tuple[str, str]] = set()
    stamps: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    layouts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in absorbed:
        stamps[file.shop_id, file.dataset].append(file.exported_at)
    for key, entry in now.items():
        known = before.get(key)
        place = key[:2]
        if entry.status == "loaded":
            layouts[place].add(entry.layout)
            if known is None or known.exported_at != entry.exported_at:
                came.append(entry)
                if known is not None and entry.rows_loaded:
                    reread.add(place)
        elif known is not None:
            went.append(entry)
            reread.add(place)
    for entry in came:
        place = (entry.shop_id, entry.dataset)
        # of mixed layouts an older version may know a column that the newest lacks
        is_late = entry.exported_at is None or entry.exported_at <= max(
            stamps[place], default=datetime.min
        )
        if len(layouts[place]) > 1 and (is_late or entry.dataset == "reviews"):
            reread.add(place)
    return Changes(came, went, sorted(reread))


def begin_models(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Say that the models are being built; returns what dbt must be told to build them.

    Until `settle_models` they stand for nothing, so that a run which dies on the way is followed
    by one that builds them anew.
    """
    con.execute("drop schema if exists absorbed cascade")
    if con.execute("select absorbed_as_of from raw.run").fetchall() == [(None,)]:
        return ["--full-refresh"]
    # settings do not change between increments, nor do the models that only show them
    return ["--exclude", "resource_type:seed stg_settings__*"]


def settle_models(con: duckdb.DuckDBPyConnection) -> None:
    """Note what the models, all of them built, stand for, and which days are to be checked."""
    names = ", ".join(f.name for f in fields(AbsorbedFile))
    con.execute("begin")
    _note_unpublished_days(con)
    con.execute("create schema absorbed")
    con.execute(
        f"create table absorbed.files as select {names} from raw.files where status = 'loaded'"
    )
    con.execute(
        "create table absorbed.models as select r.basis, p.as_of_date as as_of "
        "from raw.run as r left join intermediate.int_parameters as p on true"
    )
    con.execute("commit")


def _note_unpublished_days(con: duckdb.DuckDBPyConnection) -> None:
    """Show, as schema `unpublished`, the mart rows that were computed since the last publication.

    `unpublished.shop_days` has from which day on a shop's are, `unpublished.marts` the tables that
    differ, `unpublished.since` that publication, none once all was built anew; what a run computed
    whose gate closed stays until a publication has it. A mart without days is shown whole.
    """
    con.execute("create schema if not exists unpublished")
    con.execute(
        "create table if not exists unpublished.shop_days (shop_id varchar, from_date date)"
    )
    con.execute("create table if not exists unpublished.marts (mart varchar)")
    con.execute("create table if not exists unpublished.since (publication_id varchar)")
    (is_anew,) = con.execute("select absorbed_as_of is null from raw.run").fetchall()[0]
    if is_anew:
        con.execute("delete from unpublished.since")
    computed = (
        "select shop_id, date '1900-01-01' as from_date from raw.shops "
        "union select shop_id, date '1900-01-01' from marts.shop_metrics_daily"
        if is_anew
        else "from intermediate.int_touched__shop_days union all by name "
        "from intermediate.int_touched__variant_days union all by name "
        "select shop_id, from_date from intermediate.int_touched__product_days"
    )
    con.execute(
        "create or replace table unpublished.shop_days as "
        "select shop_id, min(from_date) as from_date "
        f"from (from unpublished.shop_days union all by name {computed}) group by shop_id"
    )
    for mart, is_daily in _marts(con).items():
        if is_anew or con.execute(f"select 1 from changes.{mart} limit 1").fetchall():
            con.execute("insert into unpublished.marts values (?)", [mart])
        days = f" where {is_unpublished_day('m')}" if is_daily else ""
        query = f"select m.* from marts.{mart} as m{days}"
        con.execute(f"create or replace view unpublished.{mart} as {query}")


def is_unpublished_day(alias: str) -> str:
    """The SQL condition that a row of a daily mart is of a day computed since the publication."""
    return (
        f"{alias}.metric_date >= (select min(from_date) from unpublished.shop_days) "
        "and exists (select 1 from unpublished.shop_days as k "
        f"where k.shop_id = {alias}.shop_id and k.from_date <= {alias}.metric_date)"
    )


def unpublished_marts(
    con: duckdb.DuckDBPyConnection, publication_id: str
) -> dict[str, bool] | None:
    """The marts that publication lacks rows of; True where `unpublished.shop_days` has the days.

    None when that is not known: the models were built anew, or another publication came after.
    """
    if not con.execute(
        "select 1 from unpublished.since where publication_id = ?", [publication_id]
    ).fetchall():
        return None
    marts = con.execute("select distinct mart from unpublished.marts").fetchall()
    is_daily = _marts(con)
    return {mart: is_daily.get(mart, False) for (mart,) in marts}


def _marts(con: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """The marts, and whether rows of one change only on days that are computed again."""
    return dict(
        con.execute(
            "select table_name, bool_or(column_name = 'metric_date') "
            "and table_name not in (select unnest(?)) from duckdb_columns() "
            "where schema_name = 'marts' group by table_name",
            [list(_CHANGING_AS_A_WHOLE)],
        ).fetchall()
    )


def forget_published(con: duckdb.DuckDBPyConnection) -> None:
    """Take nothing for published, as after a rollback: all is to be judged and written again."""
    if con.execute("select 1 from duckdb_schemas() where schema_name = 'unpublished'").fetchall():
        shops = con.execute("select distinct shop_id from marts.shop_metrics_daily").fetchall()
        note_published(con, "", [shop_id for (shop_id,) in shops])
        con.execute("delete from unpublished.since")


def note_published(
    con: duckdb.DuckDBPyConnection, publication_id: str, frozen: Collection[str] = ()
) -> None:
    """Forget what was not published: now it is, but nothing of the shops that are `frozen`."""
    con.execute("begin")
    con.execute("delete from unpublished.shop_days")
    con.execute("delete from unpublished.marts")
    con.execute("delete from unpublished.since")
    con.execute("insert into unpublished.since values (?)", [publication_id])
    if frozen:
        con.execute(
            "insert into unpublished.shop_days select unnest(?), date '1900-01-01'", [list(frozen)]
        )
        con.execute(
            "insert into unpublished.marts "
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        )
    con.execute("commit")
