"""Alerts: what happened that people must know at once, each event once.

Conditions (a breach, exports that stopped) are read from the publication and the ledger as they
are, and are new when they began after the day of which they were last told: so a rerun or a
rollback tells nothing twice, and a shop that recovers and falls again is told of again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

import duckdb

from dagster_project.lib.attention import LAST_DAYS, concerns
from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.database import connect
from dagster_project.lib.digest.words import METRICS, concern_line, share
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.landing import is_there, strays
from dagster_project.lib.ledger import Event, FileEntry, Ledger
from dagster_project.lib.metrics import UNMAPPED
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version
from dagster_project.lib.shops import Shop, read_shops
from dagster_project.lib.text import day_words, printable, without_markup

RECOVERED = "run_succeeded"
_FAILURES = ("gate_closed", "run_failed")
# Days beyond a shop's usual time between exports: as many as files_of_orders_are_up_to_date allows.
_PATIENCE_DAYS = 3
# How often a shop exports whose exports are too few to tell; the guide says to look weekly.
_USUAL_DAYS = 7
_REMEMBERED_GAPS = 5
_MOST_LINES = 30

_HEADINGS = {
    "run_failed": "Run failed",
    "gate_closed": "Quality gate closed: nothing was published",
    "shop_frozen": "Shops held back",
    "breach": "Over a target",
    "at_risk": "Close to a target",
    "silent": "Exports have stopped",
    "file_refused": "Files set aside",
    "unmapped_reason": "Reasons that no setting knows",
}


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    `failures` are why it failed, in words that quote no data, blank for closed rules; none when it
    did not. `killed` are earlier runs that were ended from outside and could not tell.
    """

    run_id: str
    failures: Sequence[str] = ()
    killed: Sequence[str] = ()


@dataclass(frozen=True)
class Alert:
    """An event with its words; `since` is the day on which a condition began."""

    event: Event
    text: str
    since: date | None = None

    @property
    def kind(self) -> str:
        """The event's."""
        return self.event.kind


def find_alerts(
    data: DataDir,
    ledger: Ledger,
    run: RunEnd,
    version: Version | None,
    now: datetime,
) -> list[Alert]:
    """All that is to be told after a run and was not told before, in the order of a message.

    `version` is what readers see, `now` has a time zone.
    """
    found = [
        *failed_runs(run),
        *_closed_rules(ledger, run.run_id),
        *_frozen_shops(ledger),
        *_refused_files(data, ledger, now),
        *_strays(data),
        *_silent_shops(ledger, _shops(data), now),
    ]
    if version is not None:
        with connect(version.folder / "marts.duckdb", read_only=True) as marts:
            found += [*_shops_in_danger(marts, _shops(data)), *_unmapped_reasons(marts)]
    order = list(_HEADINGS)
    new = [alert for alert in found if _is_new(ledger, alert)]
    return sorted(new, key=lambda a: (order.index(a.kind), a.event.shop_id, a.event.subject))


def failed_runs(run: RunEnd) -> list[Alert]:
    """That the run failed, and that earlier ones were killed."""
    killed = [
        Alert(
            Event("run_failed", "", f"killed {run_id}"),
            f"Run {run_id[:8]} was ended from outside; the next run took up its work.",
        )
        for run_id in run.killed
    ]
    return killed + [Alert(Event("run_failed", "", f[:200]), f) for f in run.failures if f]


def is_failing(ledger: Ledger) -> bool:
    """Whether failures were told of that no success has followed yet."""
    failed = ledger.last_told(_FAILURES)
    recovered = ledger.last_told([RECOVERED])
    return failed is not None and (recovered is None or recovered < failed)


def message_of(alerts: Sequence[Alert]) -> tuple[str, str]:
    """Title and text of the one message for all alerts of a run; no name in it is markup."""
    lines: list[str] = []
    for kind, heading in _HEADINGS.items():
        told = _lines([alert for alert in alerts if alert.kind == kind])
        if told:
            shown = told[:_MOST_LINES]
            lines += [*([""] if lines else []), f"{heading}:", *(f"- {line}" for line in shown)]
            if len(told) > len(shown):
                lines.append(f"- and {len(told) - len(shown)} more")
    kinds = list(dict.fromkeys(_HEADINGS[alert.kind].partition(":")[0] for alert in alerts))
    return f"Feedback: {', '.join(kinds).lower()}", "\n".join(lines)


def _lines(alerts: Sequence[Alert]) -> list[str]:
    """One for each alert; what has stopped of one shop is one line."""
    texts: dict[tuple[str, str], list[str]] = {}
    for alert in alerts:
        subject = "" if alert.kind == "silent" else alert.event.subject
        texts.setdefault((alert.event.shop_id, subject), []).append(alert.text)
    lines = [
        f"{shop_id}: {'; '.join(parts)}" if alerts[0].kind == "silent" else "; ".join(parts)
        for (shop_id, _), parts in texts.items()
    ]
    return [without_markup(printable(line, 600)) for line in lines]


def _is_new(ledger: Ledger, alert: Alert) -> bool:
    event = alert.event
    # who is over the target is not newly close to it when the rate falls
    kinds = ("breach", "at_risk") if event.kind == "at_risk" else (event.kind,)
    told = ledger.told(kinds, event.shop_id, event.subject)
    if told is None:
        return True
    told_at, told_of = told
    if event.kind in _FAILURES:
        recovered = ledger.last_told([RECOVERED])
        return recovered is not None and recovered > told_at
    return alert.since is not None and told_of < alert.since


def _closed_rules(ledger: Ledger, run_id: str) -> Iterator[Alert]:
    closed = [rule for rule, is_closed in ledger.closed_rules(run_id).items() if is_closed]
    rows = ledger.con.execute(
        "select rule, max(message), max(failed_rows) from quality_results "
        "where run_id = ? and rule in (select unnest(?)) group by rule order by rule",
        [run_id, closed],
    ).fetchall()
    for rule, message, failed in rows:
        yield Alert(
            Event("gate_closed", "", rule), f"{rule}, {failed or 0} rows: {message or 'broken'}"
        )


def _frozen_shops(ledger: Ledger) -> Iterator[Alert]:
    rows = ledger.con.execute(
        "select f.shop_id, f.rules, coalesce(f.publication_id, ''), p.as_of "
        "from current_frozen_shops as f left join publications as p using (publication_id) "
        "order by f.shop_id"
    ).fetchall()
    for shop_id, rules, publication_id, as_of in rows:
        stays = f"stays as of {day_words(as_of)}" if as_of else "is not published"
        yield Alert(
            Event("shop_frozen", shop_id, f"{rules} {publication_id}"),
            f"{shop_id} {stays}, because it breaks {rules}",
        )


def _refused_files(data: DataDir, ledger: Ledger, now: datetime) -> Iterator[Alert]:
    """Files of this day, and earlier ones that still lie there."""
    for entry in ledger.current_files():
        if entry.status not in ("refused", "withdrawn"):
            continue
        path = data.landing / entry.shop_id / entry.dataset / entry.file_name
        if is_there(path) or entry.ingested_at > now - timedelta(days=1):
            yield Alert(
                Event("file_refused", entry.shop_id, f"{entry.dataset} {entry.file_id}"),
                f"{entry.shop_id}/{entry.dataset}/{entry.file_name}: {entry.message}",
            )


def _strays(data: DataDir) -> list[Alert]:
    """What lies in the landing folder and is passed over."""
    shops = _shops(data)
    found = strays(data.landing, shops) if shops else []
    return [Alert(Event("file_refused", "", stray.name), stray.words) for stray in found]


def _silent_shops(ledger: Ledger, shops: Mapping[str, Shop], now: datetime) -> Iterator[Alert]:
    """Shops whose next export of what a rate needs is overdue."""
    exported = _days_of_export(ledger.current_files())
    for shop in shops.values():
        today = now.astimezone(ZoneInfo(shop.timezone)).date()
        for dataset in load_datasets().values():
            days = exported.get((shop.shop_id, dataset.name), [])
            if not dataset.needed_for or not days:
                continue
            gaps = [(b - a).days for a, b in pairwise(days)]
            usual = median(gaps[-_REMEMBERED_GAPS:]) if gaps else _USUAL_DAYS
            silent = (today - days[-1]).days
            if silent > usual + _PATIENCE_DAYS:
                yield Alert(
                    Event("silent", shop.shop_id, dataset.name, days[-1]),
                    f"no {dataset.name} after {day_words(days[-1])}, {silent} days ago, where they "
                    f"use to come every {_days(usual)}",
                    since=days[-1],
                )


def _days(count: float) -> str:
    return "day" if count == 1 else f"{count:.0f} days"


def _days_of_export(entries: Iterable[FileEntry]) -> dict[tuple[str, str], list[date]]:
    days: dict[tuple[str, str], set[date]] = {}
    for entry in entries:
        if entry.status == "loaded" and entry.exported_at:
            days.setdefault((entry.shop_id, entry.dataset), set()).add(entry.exported_at.date())
    return {key: sorted(found) for key, found in days.items()}


def _shops_in_danger(
    marts: duckdb.DuckDBPyConnection, shops: Mapping[str, Shop]
) -> Iterator[Alert]:
    """Each metric of a shop that is over its target or close to it, since when, and why."""
    why = {(it.shop_id, it.metric): it for it in concerns(marts)}
    rows = marts.execute(
        f"""
        with days as (
            select
                *,
                max(metric_date) filter (where status not in ('breach', 'at_risk')) over (
                    partition by shop_id, metric
                ) as calm_until,
                min(metric_date) over (partition by shop_id, metric) as first_day
            from metric_status_daily
        )

        select
            shop_id, metric, status, metric_date,
            case status
                when 'breach' then breach_since
                else coalesce(calm_until + 1, first_day)
            end,
            orders, delivered_orders, rate, target, is_reliable
        from days
        where (shop_id, metric_date) in {LAST_DAYS} and status in ('breach', 'at_risk')
            and not higher_is_better
        order by shop_id, metric
        """
    ).fetchall()
    for shop_id, metric, status, day, since, orders, delivered, rate, target, is_reliable in rows:
        name = f"{shops[shop_id].shop_name} ({shop_id})" if shop_id in shops else shop_id
        concern = why.get((shop_id, metric))
        text = (
            concern_line(concern, name)
            if concern
            else f"{name}: {METRICS[metric].lower()} in {share(orders, delivered, rate)}, "
            f"target below {target:.2%}."
        )
        few = "" if is_reliable else " Few orders: take it as a hint."
        yield Alert(Event(status, shop_id, metric, day), text + few, since)


def _unmapped_reasons(marts: duckdb.DuckDBPyConnection) -> Iterator[Alert]:
    rows = marts.execute(
        "select source, unmapped_reason, count(*), count(distinct shop_id) from feedback_events "
        "where unmapped_reason is not null group by all order by all"
    ).fetchall()
    for source, reason, lines, shops in rows:
        what, fate = UNMAPPED[source]
        yield Alert(
            Event("unmapped_reason", "", f"{source}: {reason}"),
            f"{what} “{printable(reason)}”: {lines} {'line' if lines == 1 else 'lines'} in {shops} "
            f"{'shop' if shops == 1 else 'shops'}, {fate} until a setting names it",
        )


def _shops(data: DataDir) -> dict[str, Shop]:
    try:
        return read_shops(data.shops_csv)
    except ConfigurationError:  # which is what the run failed of, and is told
        return {}
