"""Data quality: what the gates found, which files came, what was set aside, who is covered."""

from __future__ import annotations

from datetime import date

from dagster_project.dashboard import filters, view
from dagster_project.dashboard.downloads import offer
from dagster_project.dashboard.source import ask, ask_now
from dagster_project.dashboard.view import Column, Html, esc
from dagster_project.lib import questions
from dagster_project.lib.charts import words
from dagster_project.lib.text import printable

_ON_PAGE = 25
_MOST = 100_000
_DATASETS = ("orders", "returns", "reviews", "products", "complaints", "chats")
_FILES = (
    "shop_id", "dataset", "file_name", "exported_at", "rows_read", "rows_loaded", "rows_rejected",
    "status", "message", "file_id",
)  # fmt: skip


def show() -> None:
    """Draw the page."""
    coverage = ask(questions.coverage)
    names = list(dict.fromkeys(row["shop_id"] for row in coverage))
    only = filters.choice(
        "Shop", "only", {"": "all"} | {name: printable(name, 60) for name in names}, ""
    )
    coverage = [row for row in coverage if not only or row["shop_id"] == only]
    gates = ask(questions.gates)
    unknown = ask(questions.unknown_values, only)
    _summary(gates, coverage, unknown)
    _frozen(only)
    _gates(gates)
    _coverage(coverage)
    _unknown(unknown)
    _rejects(only)
    _files(only)


def _summary(
    gates: list[questions.Row], coverage: list[questions.Row], unknown: list[questions.Row]
) -> None:
    failed = [row for row in gates if not row["passed"]]
    critical = sum(row["severity"] == "critical" for row in failed)
    read = sum(row["rows_read"] for row in coverage)
    rejected = sum(row["rows_rejected"] for row in coverage)
    others = sum(row["other_files"] for row in coverage)
    view.tiles(
        [
            ("rules broken", f"{len(failed):,}", f"of {len(gates):,}; {critical:,} critical"),
            (
                "rows rejected",
                f"{rejected:,}",
                f"of {read:,} read" + (f", {rejected / read:.2%}" if read else ""),
            ),
            (
                "files loaded",
                f"{sum(row['loaded_files'] for row in coverage):,}",
                f"{others:,} refused, withdrawn or retracted",
            ),
            ("unknown texts", f"{len(unknown):,}", "that no setting knows"),
        ],
        "Data quality in short",
    )


def _frozen(only: str) -> None:
    rows = [row for row in ask(questions.frozen) if not only or row["shop_id"] == only]
    if not rows:
        return
    view.heading("Shops that stay as they were", note="Their newer exports break a critical rule.")
    view.table(
        [Column("Shop"), Column("As of"), Column("Rules broken")],
        [[row["shop_id"], row["as_of"] or "never published", row["rules"]] for row in rows],
        name="Shops that stay as they were",
    )


def _gates(gates: list[questions.Row]) -> None:
    when = gates[0]["checked_at"] if gates else None
    view.heading("Gates", note=f"The run of {when:%Y-%m-%d %H:%M} UTC." if when else "")
    failed = [row for row in gates if not row["passed"]]
    view.table(
        [
            Column("Severity"),
            Column("Data", is_extra=True),
            Column("Rule"),
            Column("Rows", is_number=True),
            Column("What", is_extra=True),
        ],
        [
            [
                Html(_severity(row)),
                row["dataset"],
                words(row["rule"]),
                f"{row['failed_rows']:,} of {row['checked_rows']:,}",
                Html(f'<span class="wrap">{esc(_found(row), 500)}</span>'),
            ]
            for row in failed
        ],
        name="Rules that did not pass",
        empty="All rules passed.",
    )
    view.note(f"{len(gates) - len(failed):,} of {len(gates):,} rules passed.")
    offer("gates", list(gates[0]) if gates else [], lambda: gates)


def _severity(row: questions.Row) -> str:
    kind = "breach" if row["severity"] == "critical" else "at_risk"
    sign = view.STATUSES[kind][0]
    return (
        f'<span class="pill {kind}"><span aria-hidden="true">{sign}</span> '
        f"{esc(row['severity'])}</span>"
    )


def _found(row: questions.Row) -> str:
    said = [row["message"]]
    if row["accepted_reason"] is not None:
        said.append(f"Let pass once: {row['accepted_reason']}")
    if row["contained"] is not None:
        said.append(row["contained"])
    return " ".join(said)


def _coverage(coverage: list[questions.Row]) -> None:
    view.heading("Coverage", note="Until when each shop's exports tell; a dash: never loaded.")
    until: dict[str, dict[str, date | None]] = {}
    for row in coverage:
        until.setdefault(row["shop_id"], {})[row["dataset"]] = row["covered_until"]
    view.table(
        [Column("Shop"), *(Column(name, is_extra=name not in _DATASETS[:3]) for name in _DATASETS)],
        [
            [
                view.link("shop", shop, shop=shop),
                *(view.day_text(datasets.get(name)) for name in _DATASETS),
            ]
            for shop, datasets in until.items()
        ],
        name="Coverage",
        empty="No file was loaded.",
    )


def _unknown(rows: list[questions.Row]) -> None:
    view.heading("Texts that no setting knows")
    view.table(
        [Column("Text"), Column("What becomes of it"), Column("Lines", is_number=True)],
        [[row["value"], row["what"], row["lines"]] for row in rows],
        name="Texts that no setting knows",
        empty="All reasons, states and types are known.",
    )


def _rejects(only: str) -> None:
    view.heading("Rejected rows", note="By column and rule, with one place to look at.")
    rows = ask(questions.rejects, only)
    view.table(
        [
            Column("Shop"),
            Column("Data"),
            Column("Column and rule"),
            Column("Rows", is_number=True),
            Column("For example", is_extra=True),
        ],
        [
            [
                row["shop_id"],
                row["dataset"],
                f"{row['column_name'] or ''} {words(row['rule'])}".strip(),
                row["rejected_rows"],
                f"{row['for_example_in']}, row {row['at_row']}",
            ]
            for row in rows
        ],
        name="Rejected rows",
        empty="No row was rejected.",
    )


def _files(only: str) -> None:
    view.heading("Files", note="Those that were not loaded first, then the newest.")
    rows = filters.paged(
        lambda limit, offset: ask(questions.files, only, limit=limit, offset=offset), _ON_PAGE
    )
    view.table(
        [
            Column("Shop"),
            Column("Data"),
            Column("File"),
            Column("Exported", is_extra=True),
            Column("Rows", is_number=True),
            Column("Rejected", is_number=True, is_extra=True),
            Column("Status"),
            Column("Id", is_extra=True, hint="What feedback retract takes"),
        ],
        [
            [
                row["shop_id"],
                row["dataset"],
                Html(f'<span class="wrap">{esc(row["file_name"])}</span>'),
                row["exported_at"],
                row["rows_read"],
                row["rows_rejected"],
                _outcome(row),
                Html(f'<code title="{esc(row["file_id"])}">{esc(row["file_id"][:12])}</code>'),
            ]
            for row in rows
        ],
        name="Files",
        empty="No file came.",
    )
    offer("files", _FILES, ask_now(questions.files, only, limit=_MOST))


def _outcome(row: questions.Row) -> Html:
    why = f"<small>{esc(row['message'], 300)}</small>" if row["message"] else ""
    return Html(f'<span class="wrap">{esc(row["status"])}{why}</span>')
