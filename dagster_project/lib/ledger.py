"""The ledger: append-only history of files, rejects, quality results and publications.

A batch exists when its files stand in the ledger; Parquet without a ledger row does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.lib.database import connect

_TABLES = """
create table if not exists files (
    file_id varchar, shop_id varchar, dataset varchar, file_name varchar, sheet varchar,
    exported_at timestamp,
    rows_read bigint, rows_loaded bigint, rows_rejected bigint, status varchar, message varchar,
    layout varchar, batch_id varchar, reader varchar, ingested_at timestamptz
);
create table if not exists rejected_rows (
    dataset varchar, shop_id varchar, file_id varchar, source_file varchar, row_number bigint,
    column_name varchar, rule varchar, message varchar, batch_id varchar
);
create table if not exists retractions (
    file_id varchar, shop_id varchar, dataset varchar, retracted_at timestamptz
);
create table if not exists withdrawals (
    file_id varchar, shop_id varchar, dataset varchar, rule varchar, run_id varchar,
    withdrawn_at timestamptz
);
create table if not exists reconsiderations (run_id varchar, reconsidered_at timestamptz);
create table if not exists frozen_shops (
    run_id varchar, shop_id varchar, rule varchar, publication_id varchar, frozen_at timestamptz
);
create table if not exists quality_results (
    run_id varchar, checked_at timestamptz, stage varchar, dataset varchar, rule varchar,
    severity varchar, passed boolean, checked_rows bigint, failed_rows bigint, examples varchar,
    message varchar
);
alter table quality_results add column if not exists accepted_reason varchar;
alter table quality_results add column if not exists contained varchar;
create table if not exists accepted_rules (
    run_id varchar, rule varchar, reason varchar, accepted_at timestamptz
);
create table if not exists publications (
    publication_id varchar, run_id varchar, published_at timestamptz, as_of date,
    inputs varchar, code_version varchar
);
create table if not exists rollbacks (publication_id varchar, rolled_back_at timestamptz);
create table if not exists published_files (
    publication_id varchar, shop_id varchar, dataset varchar, file_id varchar
);
alter table published_files add column if not exists status varchar;
create table if not exists restatements (
    publication_id varchar, shop_id varchar, metric_date date, metric varchar,
    old_numerator bigint, old_denominator bigint, new_numerator bigint, new_denominator bigint
);
alter table restatements add column if not exists cause varchar;
create table if not exists told_events (
    kind varchar, shop_id varchar, subject varchar, event_date date, run_id varchar,
    told_at timestamptz
);
create table if not exists notifications (
    notification_id varchar, run_id varchar, title varchar, body varchar, page varchar,
    noted_at timestamptz
);
create table if not exists deliveries (
    notification_id varchar, run_id varchar, channel varchar, problem varchar, tried_at timestamptz
);
create table if not exists run_notes (
    run_id varchar, is_problem boolean, note varchar, noted_at timestamptz
);
create or replace view current_files as
select
    f.* replace (
        case
            when r.file_id is not null then 'retracted'
            when w.file_id is not null and f.status = 'loaded' then 'withdrawn'
            else f.status
        end as status,
        case
            when r.file_id is null and w.file_id is not null and f.status = 'loaded' then w.message
            else f.message
        end as message
    )
from files as f
left join (select distinct file_id, shop_id, dataset from retractions) as r
    using (file_id, shop_id, dataset)
left join (
    select
        w.file_id, w.shop_id, w.dataset, 'breaks the rule ' || min(w.rule) as message,
        max(w.withdrawn_at) as withdrawn_at
    from withdrawals as w
    where w.withdrawn_at > coalesce(
        (select max(reconsidered_at) from reconsiderations), timestamptz '1970-01-01 00:00:00+00'
    )
        -- or since then put into the folder of the shop that it is of, and right there
        or exists (
            select 1 from files as m
            where m.file_id = w.file_id and m.dataset = w.dataset and m.shop_id <> w.shop_id
                and m.status = 'loaded' and m.sheet = '' and m.rows_read > 0
                and m.ingested_at > w.withdrawn_at
                and not exists (
                    select 1 from (
                        select file_id, shop_id, dataset from retractions
                        union all
                        select file_id, shop_id, dataset from withdrawals
                    ) as t
                    where t.file_id = m.file_id and t.shop_id = m.shop_id and t.dataset = m.dataset
                )
        )
    group by w.file_id, w.shop_id, w.dataset
) as w
    on w.file_id = f.file_id and w.shop_id = f.shop_id and w.dataset = f.dataset
    and w.withdrawn_at > f.ingested_at  -- not of what was read again since
qualify row_number() over (
    partition by f.shop_id, f.dataset, f.file_id order by f.ingested_at desc, f.batch_id desc
) = 1;
create or replace view current_rejected_rows as
select r.* from rejected_rows as r
where exists (
    from current_files as f
    where f.shop_id = r.shop_id and f.dataset = r.dataset and f.file_id = r.file_id
        and f.batch_id = r.batch_id and f.status <> 'retracted'
);
create or replace view rolled_back_publications as
with latest as (
    select r.rolled_back_at, p.published_at
    from rollbacks as r
    inner join publications as p using (publication_id)
    order by r.rolled_back_at desc limit 1
)
select p.publication_id, p.inputs
from publications as p
inner join latest as l
    on p.published_at > l.published_at and p.published_at <= l.rolled_back_at;
create or replace view standing_published_files as
select * from published_files
where publication_id not in (select publication_id from rolled_back_publications);
create or replace view current_frozen_shops as
select shop_id, publication_id, string_agg(distinct rule, ', ' order by rule) as rules
from frozen_shops
where run_id = (select run_id from quality_results order by rowid desc limit 1)
group by shop_id, publication_id;
"""


# What names a file: shop_id, dataset, file_id.
FileKey = tuple[str, str, str]


@dataclass(frozen=True)
class FileEntry:
    """One file as ingested or refused; the identity is (shop_id, dataset, file_id).

    `sheet` names the sheet of a workbook whose sheets belong to several shops; else it is blank.
    """

    file_id: str
    shop_id: str
    dataset: str
    file_name: str
    sheet: str
    exported_at: datetime | None
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    status: str
    message: str
    layout: str
    batch_id: str
    reader: str
    ingested_at: datetime

    @property
    def may_count(self) -> bool:
        """Whether its rows count, now or once no rule holds the file back."""
        return self.status in ("loaded", "withdrawn")


@dataclass(frozen=True)
class Reject:
    """One rejected row, named by file and row number; it never carries a cell's content."""

    dataset: str
    shop_id: str
    file_id: str
    source_file: str
    row_number: int
    column_name: str
    rule: str
    message: str
    batch_id: str


@dataclass(frozen=True)
class QualityResult:
    """What one rule of a gate found; examples are file ids, row numbers and keys.

    Where the rule was broken and the run goes on all the same, `accepted_reason` says why somebody
    let it pass, `contained` what was set apart.
    """

    run_id: str
    checked_at: datetime
    stage: str
    dataset: str
    rule: str
    severity: str
    passed: bool
    checked_rows: int
    failed_rows: int
    examples: list[dict[str, Any]]
    message: str
    accepted_reason: str | None = None
    contained: str | None = None

    @property
    def closes_gate(self) -> bool:
        """Whether nothing may be published for it."""
        is_critical = self.severity == "critical" and not self.passed
        return is_critical and self.accepted_reason is None and self.contained is None


@dataclass(frozen=True)
class Publication:
    """One version that readers saw; `inputs` is the fingerprint of all it was computed from."""

    publication_id: str
    run_id: str
    published_at: datetime
    as_of: date | None
    inputs: str
    code_version: str


@dataclass(frozen=True)
class Event:
    """Something to be told once: `kind` and `subject` say what, of a shop or, if blank, of none.

    `event_date` is the day up to which it is known, None where the event has no day.
    """

    kind: str
    shop_id: str
    subject: str
    event_date: date | None = None


@dataclass(frozen=True)
class Notification:
    """A message that is to reach people; `page` is the path of an HTML file to go with it."""

    notification_id: str
    run_id: str
    title: str
    body: str
    page: str | None
    noted_at: datetime


@dataclass(frozen=True)
class Delivery:
    """A try to send a notification by a channel; `problem` says why it failed, None if not."""

    notification_id: str
    run_id: str
    channel: str
    problem: str | None
    tried_at: datetime


class Ledger:
    """An open ledger; use `Ledger.open`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, read_only: bool = False) -> Iterator[Ledger]:
        """Open the ledger for writing, making it when there is none. One process at a time.

        `read_only` is for where nothing may be written; the ledger must be there.
        """
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        con = connect(path, read_only=read_only)
        try:
            con.execute("set timezone = 'UTC'")
            if not read_only:
                con.execute(_TABLES)
            yield cls(con)
        finally:
            con.close()

    def current_files(self) -> list[FileEntry]:
        """The files as they count now: the latest reading of each, retracted ones marked."""
        names = ", ".join(f.name for f in fields(FileEntry))
        rows = self.con.execute(
            f"select {names} from current_files order by shop_id, dataset, file_id"
        ).fetchall()
        return [FileEntry(*row) for row in rows]

    def batch_sizes(self) -> dict[tuple[str, str], int]:
        """The number of files that were loaded into each batch's Parquet, by batch and dataset."""
        return {
            (batch_id, dataset): files
            for batch_id, dataset, files in self.con.execute(
                "select batch_id, dataset, count(*) from files where status = 'loaded' group by all"
            ).fetchall()
        }

    def commit_batch(self, files: Sequence[FileEntry], rejects: Sequence[Reject]) -> None:
        """Make a batch exist, all of it or nothing."""
        self.con.execute("begin")
        self._insert("files", files)
        self._insert("rejected_rows", rejects)
        self.con.execute("commit")

    def add_quality_results(self, results: Sequence[QualityResult]) -> None:
        """Keep what a gate found."""
        rows = [{**asdict(r), "examples": json.dumps(r.examples, default=str)} for r in results]
        if rows:
            names = ", ".join(rows[0])
            marks = ", ".join("?" for _ in rows[0])
            self.con.executemany(
                f"insert into quality_results ({names}) values ({marks})",
                [list(row.values()) for row in rows],
            )

    def accept_rules(self, run_id: str, rules: Sequence[str], reason: str) -> None:
        """Keep that a run may publish although these rules are broken, and why."""
        moment = self.next_moment()
        for rule in rules:
            self.con.execute(
                "insert into accepted_rules values (?, ?, ?, ?)", [run_id, rule, reason, moment]
            )

    def accepted_rules(self, run_id: str) -> dict[str, str]:
        """The rules that may be broken in a run, and why."""
        return dict(
            self.con.execute(
                "select rule, reason from accepted_rules where run_id = ?", [run_id]
            ).fetchall()
        )

    def withdraw(self, files: Sequence[FileKey], rule: str, run_id: str) -> None:
        """Take files that break a rule out of every figure, until a run judges them anew."""
        moment = self.next_moment()
        self.con.executemany(
            "insert into withdrawals (shop_id, dataset, file_id, rule, run_id, withdrawn_at) "
            "values (?, ?, ?, ?, ?, ?)",
            [[*file, rule, run_id, moment] for file in files],
        )

    def reconsider_withdrawn(self, run_id: str) -> None:
        """Let the files that were withdrawn count again until this run has judged them."""
        self.con.execute("insert into reconsiderations values (?, ?)", [run_id, self.next_moment()])

    def withdrawn_by(self, run_id: str) -> set[FileKey]:
        """The files that a run has withdrawn."""
        rows = self.con.execute(
            "select shop_id, dataset, file_id from withdrawals where run_id = ?", [run_id]
        ).fetchall()
        return {(shop_id, dataset, file_id) for shop_id, dataset, file_id in rows}

    def has_untold_withdrawals(self) -> bool:
        """Whether files were withdrawn by a run that did not live to publish that."""
        found = self.con.execute(
            "select 1 from withdrawals "
            "where withdrawn_at > all (select reconsidered_at from reconsiderations) "
            "and run_id not in (select run_id from publications) limit 1"
        )
        return bool(found.fetchall())

    def freeze(self, shops: Mapping[str, str | None], rule: str, run_id: str) -> None:
        """Keep that a run leaves shops, for breaking a rule, as in the publication named."""
        moment = self.next_moment()
        self.con.executemany(
            "insert into frozen_shops (run_id, shop_id, rule, publication_id, frozen_at) "
            "values (?, ?, ?, ?, ?)",
            [[run_id, shop_id, rule, since, moment] for shop_id, since in shops.items()],
        )

    def frozen_shops(self, run_id: str) -> set[str]:
        """The shops that a run leaves as they were published."""
        rows = self.con.execute("select shop_id from frozen_shops where run_id = ?", [run_id])
        return {shop_id for (shop_id,) in rows.fetchall()}

    def broken_rules(self, run_id: str) -> set[str]:
        """The rules that did not pass in a run so far."""
        rows = self.con.execute(
            "select rule from quality_results where run_id = ? and not passed", [run_id]
        ).fetchall()
        return {rule for (rule,) in rows}

    def closed_rules(self, run_id: str) -> dict[str, bool]:
        """Whether each rule that was checked in a run closes its gate; see QualityResult."""
        rows = self.con.execute(
            "select rule, bool_or(severity = 'critical' and not passed "
            "and accepted_reason is null and contained is null) "
            "from quality_results where run_id = ? group by rule order by rule",
            [run_id],
        )
        return dict(rows.fetchall())

    def contained(self, run_id: str) -> list[str]:
        """What a run has set apart so that the rest could go on, in words."""
        rows = self.con.execute(
            "select rule, contained from quality_results "
            "where run_id = ? and contained is not null order by rule",
            [run_id],
        ).fetchall()
        return [f"{rule} is broken. {contained}" for rule, contained in rows]

    def add_publication(self, publication: Publication, restatements: pa.Table | None) -> None:
        """Keep what was published, and what it changed of days published before.

        `restatements` has the columns of that table.
        """
        self.con.execute("begin")
        self._insert("publications", [publication])
        if restatements is not None:
            self.con.register("_rows", restatements)
            self.con.execute("insert into restatements by name select * from _rows")
            self.con.unregister("_rows")
        self.con.execute(
            "insert into published_files by name "
            "select ? as publication_id, shop_id, dataset, file_id, status from current_files "
            "where status not in ('retracted', 'withdrawn') "
            "and shop_id not in (select shop_id from current_frozen_shops) "
            # whether their orders are known can be judged only once there are orders
            "and (dataset not in ('reviews', 'returns') or shop_id in (select shop_id "
            "from current_files where dataset = 'orders' and status = 'loaded' "
            "and rows_loaded > 0)) "
            "and (shop_id, dataset, file_id, status) not in "
            "(select (shop_id, dataset, file_id, coalesce(status, 'loaded')) "
            "from standing_published_files)",
            [publication.publication_id],
        )
        self.con.execute("commit")

    def knows_publication(self, publication_id: str) -> bool:
        """Whether it stands in the history."""
        found = self.con.execute(
            "select 1 from publications where publication_id = ?", [publication_id]
        )
        return bool(found.fetchall())

    def add_rollback(self, publication_id: str, rolled_back_at: datetime) -> None:
        """Keep that readers see an earlier publication again."""
        self.con.execute("insert into rollbacks values (?, ?)", [publication_id, rolled_back_at])

    def taken_back_at(self, dataset: str | None = None) -> dict[str, datetime]:
        """When the latest published file was retracted, of a dataset or of any, by shop."""
        rows = self.con.execute(
            "select shop_id, max(retracted_at) from retractions "
            "where dataset = coalesce(?, dataset) and (shop_id, dataset, file_id) in "
            "(select (shop_id, dataset, file_id) from published_files) group by shop_id",
            [dataset],
        ).fetchall()
        return dict(rows)

    def rolled_back_inputs(self) -> set[str]:
        """The fingerprints of what the latest rollback took from readers, not to be seen again."""
        rows = self.con.execute(
            """
            with latest as (
                select r.rolled_back_at, p.inputs
                from rollbacks as r
                inner join publications as p using (publication_id)
                order by r.rolled_back_at desc limit 1
            )

            select distinct b.inputs
            from rolled_back_publications as b
            inner join latest as l on b.inputs <> l.inputs
            where (select max(published_at) from publications) <= l.rolled_back_at
            """
        ).fetchall()
        return {inputs for (inputs,) in rows}

    def next_moment(self) -> datetime:
        """Now, or just after the latest moment on record where the clock was set back.

        What is later counts: of two readings of a file, and of publications.
        """
        ((latest,),) = self.con.execute(
            "select max(moment) from (select ingested_at as moment from files "
            "union all select published_at from publications "
            "union all select rolled_back_at from rollbacks "
            "union all select retracted_at from retractions "
            "union all select withdrawn_at from withdrawals "
            "union all select reconsidered_at from reconsiderations "
            "union all select told_at from told_events)"
        ).fetchall()
        now = datetime.now(UTC)
        return now if latest is None or latest < now else latest + timedelta(microseconds=1)

    def told(
        self, kinds: Sequence[str], shop_id: str, subject: str
    ) -> tuple[datetime, date] | None:
        """When an event was told last, by any of the kinds, and the latest day it was told of.

        None when it never was; the year 1 where it has no day.
        """
        row = self.con.execute(
            "select max(told_at), max(coalesce(event_date, date '0001-01-01')) from told_events "
            "where kind in (select unnest(?)) and shop_id = ? and subject = ?",
            [list(kinds), shop_id, subject],
        ).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1])

    def last_told(self, kinds: Sequence[str]) -> datetime | None:
        """When an event of any of the kinds was told last."""
        rows = self.con.execute(
            "select max(told_at) from told_events where kind in (select unnest(?))", [list(kinds)]
        ).fetchall()
        latest: datetime | None = rows[0][0]
        return latest

    def event_days(self, kind: str) -> list[date]:
        """The days of all events of a kind."""
        rows = self.con.execute(
            "select distinct event_date from told_events where kind = ? order by 1", [kind]
        ).fetchall()
        return [day for (day,) in rows]

    def tell(self, run_id: str, events: Sequence[Event], notification: Notification | None) -> None:
        """Keep that events count as told, and what is to be sent of them, both or neither."""
        moment = self.next_moment()
        self.con.execute("begin")
        for event in events:
            self.con.execute(
                "insert into told_events (kind, shop_id, subject, event_date, run_id, told_at) "
                "values (?, ?, ?, ?, ?, ?)",
                [event.kind, event.shop_id, event.subject, event.event_date, run_id, moment],
            )
        if notification is not None:
            self._insert("notifications", [notification])
        self.con.execute("commit")

    def notifications(self) -> list[Notification]:
        """All messages, the oldest first."""
        names = ", ".join(f.name for f in fields(Notification))
        rows = self.con.execute(
            f"select {names} from notifications order by noted_at, notification_id"
        ).fetchall()
        return [Notification(*row) for row in rows]

    def deliveries(self) -> list[Delivery]:
        """All tries to send them, in order."""
        names = ", ".join(f.name for f in fields(Delivery))
        rows = self.con.execute(f"select {names} from deliveries order by tried_at").fetchall()
        return [Delivery(*row) for row in rows]

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Keep what became of tries to send, all at once."""
        self._insert("deliveries", deliveries)

    def add_note(self, run_id: str, note: str, *, is_problem: bool = False) -> None:
        """Keep what a run did after its steps, or could not do, for its summary."""
        self.con.execute(
            "insert into run_notes values (?, ?, ?, ?)",
            [run_id, is_problem, note, datetime.now(UTC)],
        )

    def notes(self, run_id: str) -> list[tuple[bool, str]]:
        """Whether each note of a run is a problem, and its words, in order."""
        rows = self.con.execute(
            "select is_problem, note from run_notes where run_id = ? order by rowid", [run_id]
        ).fetchall()
        return [(is_problem, note) for is_problem, note in rows]

    def published_files(self) -> set[tuple[FileKey, str]]:
        """Every file that a standing publication has used, with its status then."""
        rows = self.con.execute(
            "select shop_id, dataset, file_id, coalesce(status, 'loaded') "
            "from standing_published_files"
        ).fetchall()
        return {((shop_id, dataset, file_id), status) for shop_id, dataset, file_id, status in rows}

    def retract(self, file_id_prefix: str, retracted_at: datetime) -> list[FileEntry]:
        """Take the files whose id begins with the prefix out of every figure, for good."""
        files = self.current_files()
        found = [e for e in files if e.may_count and e.file_id.startswith(file_id_prefix)]
        if len({entry.file_id for entry in found}) == 1:
            self._retract(found, retracted_at)
        return found

    def retract_shop(self, shop_id: str, retracted_at: datetime) -> list[FileEntry]:
        """Take all files of a shop out of every figure, for good; the same bytes of others stay."""
        found = [e for e in self.current_files() if e.may_count and e.shop_id == shop_id]
        self._retract(found, retracted_at)
        return found

    def _retract(self, entries: Sequence[FileEntry], retracted_at: datetime) -> None:
        if entries:
            self.con.executemany(
                "insert into retractions values (?, ?, ?, ?)",
                [[e.file_id, e.shop_id, e.dataset, retracted_at] for e in entries],
            )

    def _insert(self, table: str, rows: Sequence[Any]) -> None:
        if rows:
            names = [f.name for f in fields(rows[0])]
            self.con.register(
                "_rows", pa.table({name: [getattr(row, name) for row in rows] for name in names})
            )
            columns = ", ".join(names)
            self.con.execute(f"insert into {table} ({columns}) select {columns} from _rows")
            self.con.unregister("_rows")
