"""The command line: `feedback run` and what goes with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dagster_project.lib.errors import (
    BusyError,
    ConfigurationError,
    FeedbackError,
    trouble_of_machine,
    writing_to,
)
from dagster_project.lib.paths import DataDir
from dagster_project.lib.text import printable

if TYPE_CHECKING:
    from dagster_project.lib.shops import Shop

app = typer.Typer(
    help="Daily rolling NRR and SFRR for TikTok Shop sellers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_GATE_CLOSED = (
    "A quality gate is closed. Put right what the critical rules above name, or take a wrong file "
    "back out with `feedback retract <id>`; then run again. What is right as it is may pass once: "
    "`feedback run --accept <rule> --reason <why>`."
)

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data directory; default $FEEDBACK_DATA_DIR, else data."),
]


@app.callback()
def _commands() -> None:
    """Keep `run` a command of its own."""


@app.command()
def run(
    data_dir: DataDirOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last metric day; default the latest event's."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 when a file, folder or shop was set aside.")
    ] = False,
    full_refresh: Annotated[
        bool,
        typer.Option(
            "--full-refresh", help="Build all models anew, not only what new files touch."
        ),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A closed rule to let pass this once; may be given several times."),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why; kept beside what the rule found, and published.")
    ] = "",
) -> None:
    """Ingest what is new, check it, compute the rates and publish them."""
    from dagster_project.quality.gates import check_acceptance

    with _errors_for_people(Console(stderr=True)):
        check_acceptance(accept or (), reason)
    _run(
        _data(data_dir),
        as_of,
        strict=strict,
        full_refresh=full_refresh,
        accept=accept or (),
        reason=reason.strip(),
    )


@app.command()
def rebuild(data_dir: DataDirOption = None) -> None:
    """Throw the warehouse away and make it anew from what was ever loaded; a rollback holds."""
    from dagster_project.lib.database import one_run_at_a_time

    data = _data(data_dir)
    with (
        _errors_for_people(Console(stderr=True)),
        one_run_at_a_time(data.lock, wait=False),
    ):
        for path in (data.warehouse, data.warehouse.with_name(f"{data.warehouse.name}.wal")):
            path.unlink(missing_ok=True)
    _run(data)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Exports, anywhere on this machine.")],
    data_dir: DataDirOption = None,
    shop: Annotated[
        str, typer.Option(help="The shop_id; default the folder's, or the only shop.")
    ] = "",
    dataset: Annotated[
        str, typer.Option(help="The dataset; default the folder's, or told by the header.")
    ] = "",
) -> None:
    """Say what files are and what a run would reject, without loading them."""
    from dagster_project.lib.check import NO_SHOP, check_file, place_in_landing, show_checked
    from dagster_project.lib.shops import read_shops

    data = _data(data_dir)
    out = _out()
    is_good = True
    with _errors_for_people(Console(stderr=True)):
        shops = read_shops(data.shops_csv) if data.shops_csv.exists() else {}
        if shop and shop not in shops:
            raise ConfigurationError(f"{printable(shop)} is no shop of {data.shops_csv}.")
        only = next(iter(shops)) if len(shops) == 1 else ""
        for path in files:
            folder_shop, folder_dataset = place_in_landing(path, data.landing)
            its_shop = shops.get(shop or folder_shop or only, NO_SHOP)
            checked = check_file(path, shops, its_shop, dataset or folder_dataset)
            out.print(f"[bold]{_plain(printable(str(path)))}[/]", soft_wrap=True)
            out.print(show_checked(checked))
            is_good = is_good and not checked.refusals
    if not is_good:
        raise typer.Exit(1)


@app.command()
def status(data_dir: DataDirOption = None) -> None:
    """Say until when each shop is covered, and which exports to download now."""
    from dagster_project.lib.landing import stray_words
    from dagster_project.lib.ledger import Ledger
    from dagster_project.lib.shops import read_shops
    from dagster_project.lib.status import coverage, show_status

    data = _data(data_dir)
    err = Console(stderr=True)
    with _errors_for_people(err):
        shops = read_shops(data.shops_csv)
        entries = []
        if data.ledger.exists():
            is_writable = all(os.access(path, os.W_OK) for path in (data.root, data.ledger))
            with Ledger.open(data.ledger, read_only=not is_writable) as ledger:
                entries = ledger.current_files()
        _out().print(show_status(coverage(shops, entries, datetime.now(UTC))))
        for warning in stray_words(data.landing, shops):
            _warn(err, warning)


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(help="The data directory to lay out.")],
    shops: Annotated[int, typer.Option(min=1, help="How many shops.")] = 4,
    days: Annotated[int, typer.Option(min=1, help="How many days of orders.")] = 84,
    orders_per_day: Annotated[int, typer.Option(min=1, help="Orders per shop and day.")] = 30,
    seed: Annotated[int, typer.Option(help="Another seed gives other shops.")] = 7,
) -> None:
    """Write sample exports of invented shops; the same options give the same files."""
    from dagster_project.lib.sample import write_sample

    err = Console(stderr=True)
    with _errors_for_people(err):
        if (out / "shops.csv").exists() or (out / "landing").exists():
            raise ConfigurationError(f"{out} already has exports; name an empty directory.")
        with writing_to(out):
            write_sample(out, shops=shops, days=days, orders_per_day=orders_per_day, seed=seed)
        err.print(f"Wrote sample exports to {out}", soft_wrap=True)


@app.command()
def retract(
    file_id: Annotated[
        str, typer.Argument(help="The file's id, or its first 8 digits or more.")
    ] = "",
    shop: Annotated[str, typer.Option(help="All files of this shop_id in place of one.")] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Take a wrongly loaded file, or a shop that is to go, back out of every figure, for good."""
    from dagster_project.lib.database import one_run_at_a_time
    from dagster_project.lib.ledger import Ledger

    data = _data(data_dir)
    out, err = _out(), Console(stderr=True)
    with _errors_for_people(err):
        if file_id and shop:
            raise ConfigurationError("Give the id of a file or --shop, not both.")
        if not shop and len(file_id) < 8:
            raise ConfigurationError("Give at least the first 8 digits of the file's id.")
        if not data.ledger.exists():
            raise ConfigurationError(f"Nothing was ever loaded into {data.root}.")
        with one_run_at_a_time(data.lock, wait=False), Ledger.open(data.ledger) as ledger:
            now = ledger.next_moment()
            found = ledger.retract_shop(shop, now) if shop else ledger.retract(file_id, now)
        if shop and not found:
            raise ConfigurationError(f"No file of {printable(shop)} is loaded.")
        if not shop and len({entry.file_id for entry in found}) != 1:
            raise ConfigurationError(
                f"{printable(file_id)} names {len(found)} loaded files; "
                "`select file_id, file_name from files` in the publication lists them."
            )
        for entry in found:
            out.print(f"Retracted {_plain(f'{entry.shop_id}/{entry.dataset}/{entry.file_name}')}")
        out.print(f"The next `feedback run` publishes without {'them' if shop else 'it'}.")


@app.command()
def publications(data_dir: DataDirOption = None) -> None:
    """List the publications that are kept."""
    from dagster_project.lib import summary
    from dagster_project.lib.publications import current, versions

    data = _data(data_dir)
    _out().print(summary.show_publications(versions(data), current(data)))


@app.command()
def verify(
    publication_id: Annotated[
        str, typer.Argument(help="Its id, or the beginning; default all that are kept.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Compare the files of publications with their manifests."""
    from dagster_project.lib.publications import find, versions

    data = _data(data_dir)
    out = _out()
    is_good = True
    with _errors_for_people(Console(stderr=True)):
        found = [find(data, publication_id)] if publication_id else versions(data)
        if not found:
            raise ConfigurationError(f"Nothing was published in {data.root} yet.")
        for version in found:
            faults = version.faults()
            is_good = is_good and not faults
            out.print(f"{version.publication_id}: {_plain('; '.join(faults)) or 'intact'}")
    if not is_good:
        raise typer.Exit(1)


@app.command()
def rollback(
    publication_id: Annotated[str, typer.Argument(help="Its id, or the beginning.")],
    data_dir: DataDirOption = None,
) -> None:
    """Let readers see an earlier publication again; runs add nothing until something changes."""
    from dagster_project.lib.database import one_run_at_a_time
    from dagster_project.lib.ledger import Ledger
    from dagster_project.lib.publish import roll_back

    data = _data(data_dir)
    out = _out()
    with (
        _errors_for_people(Console(stderr=True)),
        one_run_at_a_time(data.lock, wait=False),
        Ledger.open(data.ledger) as ledger,
    ):
        version = roll_back(data, ledger, publication_id)
        out.print(f"Readers see {version.publication_id} again.")
        out.print(
            "The next run with other files, settings or as-of date publishes anew; take what was "
            "wrong back out first, with `feedback retract <id>`."
        )


@app.command()
def publish(
    shop: Annotated[str, typer.Option(help="The shop_id.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    data_dir: DataDirOption = None,
) -> None:
    """Write what is published of one shop, and nothing of the others, for its owner."""
    from dagster_project.lib.publications import require_current
    from dagster_project.lib.shop_publication import write_shop_publication
    from dagster_project.lib.shops import read_shops

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        version = require_current(data)
        shops = read_shops(data.shops_csv)
        with writing_to(out):
            counts = write_shop_publication(version, shop, shops, out)
        _out().print(f"Wrote {sum(counts.values()):,} rows of {_plain(shop)} to {out}")


@app.command()
def digest(
    out: Annotated[
        Path | None, typer.Option(help="A new folder; default digests/<today> of the data.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write what changed in a week, why, and what to do, one page per shop and one for all."""
    from dagster_project.lib.digest.files import write_digest
    from dagster_project.lib.notify_settings import run_day
    from dagster_project.lib.publications import require_current
    from dagster_project.lib.shops import read_shops

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        version = require_current(data)
        now = datetime.now(UTC)
        folder = out or data.digests / str(run_day(now))
        shops = read_shops(data.shops_csv)
        with writing_to(folder):
            files = write_digest(version, shops, now, run_day(now), folder)
        _out().print(f"Wrote {len(files)} files; begin with {files[0]}", soft_wrap=True)


@app.command()
def notify(
    data_dir: DataDirOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to each of them now.")
    ] = False,
) -> None:
    """Show whom digests and alerts go to; the addresses themselves are not shown."""
    from dagster_project.lib.notify import Message, send
    from dagster_project.lib.notify_settings import read_notify_settings

    data = _data(data_dir)
    out, err = _out(), Console(stderr=True)
    is_good = True
    with _errors_for_people(err):
        settings = read_notify_settings(data)
        for warning in settings.warnings:
            _warn(err, warning)
        if not settings.channels:
            raise ConfigurationError(
                f"Nobody is named in {data.notifications} or $FEEDBACK_NOTIFY_URLS; "
                "docs/digest-and-alerts.md says how."
            )
        message = Message("Feedback: a test", "Digests and alerts of your shops will come here.")
        outcome = (
            send({"test": message}, [("test", channel) for channel in settings.channels])
            if test
            else {}
        )
        for channel in settings.channels:
            problem = outcome.get(("test", channel.label))
            is_good = is_good and problem is None
            told = (problem or "took the message") if test else ""
            out.print(_plain(f"Channel {channel.label} {told}".rstrip()), soft_wrap=True)
    if not is_good:
        raise typer.Exit(1)


@app.command()
def download(
    table: Annotated[str, typer.Argument(help="A published table, such as watchlist.")],
    out: Annotated[Path, typer.Option(help="A .csv or .xlsx file.")],
    shop: Annotated[str | None, typer.Option(help="A shop_id; default all shops.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a published table as CSV or XLSX, safe to open in a spreadsheet."""
    from dagster_project.lib.downloads import write_table
    from dagster_project.lib.publications import require_current

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        version = require_current(data)
        count = write_table(version, table, shop, out)
        _out().print(f"Wrote {count:,} rows to {_plain(printable(str(out)))}", soft_wrap=True)


@app.command()
def explain(
    shop: Annotated[str, typer.Option(help="The shop_id.")],
    metric: Annotated[
        str, typer.Option(help="nrr, sfrr, complaint_rate or another rate of orders.")
    ],
    date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The metric day.")],
    product: Annotated[str, typer.Option(help="A product_key or product name.")] = "",
    reason: Annotated[str, typer.Option(help="A reason_code.")] = "",
    out: Annotated[Path | None, typer.Option(help="A CSV file for all orders and events.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the orders behind a published figure, with the file rows and rules that decide."""
    from dagster_project.lib import explain as explain_

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        key = explain_.product_key(data, shop, product) if product else None
        question = explain_.Question(shop, metric, date.date(), key, reason or None)
        explanation = explain_.explain(data, question)
        _out().print(explain_.show(explanation))
        if out is not None:
            explain_.write_lines(explanation.lines, out)
            _out().print(f"Wrote {len(explanation.lines):,} rows to {out}", soft_wrap=True)
        if not explanation.adds_up:
            raise FeedbackError(
                f"Published are {explanation.published_orders} of "
                f"{explanation.published_delivered_orders}: `feedback rebuild`, and report this."
            )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def mf(context: typer.Context, data_dir: DataDirOption = None) -> None:
    """Ask MetricFlow for the published metrics: what follows is given to its own command, `mf`."""
    from dagster_project.lib.dbt_manifest import ensure_manifest
    from dagster_project.lib.publications import require_current
    from dagster_project.lib.semantics import run_metricflow

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        version = require_current(data)
        ensure_manifest()
        code = run_metricflow(version, context.args)
    raise typer.Exit(code)


@app.command()
def dashboard(
    data_dir: DataDirOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 8501,
) -> None:
    """Look at what is published, in the browser; on localhost."""
    from dagster_project.dashboard.server import command, require_startable

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        require_startable(data, port)
    os.environ["FEEDBACK_DATA_DIR"] = str(data.root)
    arguments = command(port)
    os.execv(arguments[0], arguments)  # noqa: S606 - our own environment's program


@app.command()
def dev(data_dir: DataDirOption = None) -> None:
    """Open the Dagster UI on localhost, with the schedule and the sensor."""
    from dagster_project.lib.dbt_manifest import ensure_manifest
    from dagster_project.lib.paths import PROJECT_ROOT
    from dagster_project.runner import prepare_instance

    with _errors_for_people(Console(stderr=True)):
        prepare_instance(_data(data_dir))
        ensure_manifest()
        program = str(Path(sys.executable).with_name("dagster"))
        workspace = str(PROJECT_ROOT / "workspace.yaml")
        arguments = [program, "dev", "-w", workspace, "-h", "127.0.0.1"]
        os.execv(program, arguments)  # noqa: S606 - our own environment's program


@app.command()
def superset(
    data_dir: DataDirOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 8088,
) -> None:
    """Open Apache Superset on localhost over what is published; `make superset` installs it."""
    from dagster_project.lib.database import connect
    from dagster_project.lib.publications import require_current
    from dagster_project.superset.api import import_bundle
    from dagster_project.superset.content import DASHBOARD, bundle
    from dagster_project.superset.server import prepare, serving, wait

    data = _data(data_dir)
    with _errors_for_people(Console(stderr=True)):
        version = require_current(data)
        with connect(version.folder / "marts.duckdb", read_only=True) as marts:
            content = bundle(marts, data.published / "marts.duckdb")
        prepare(data.superset)
        address = f"http://127.0.0.1:{port}"
        with serving(data.superset, port) as server:
            import_bundle(address, data.superset, content)
            _out().print(
                f"Superset: {address}/superset/dashboard/{DASHBOARD}/\n"
                f"User admin, password in {data.superset / 'admin_password'}; Ctrl-C ends it.",
                soft_wrap=True,
                highlight=False,
            )
            wait(server)


def _run(
    data: DataDir,
    as_of: datetime | None = None,
    *,
    strict: bool = False,
    full_refresh: bool = False,
    accept: Sequence[str] = (),
    reason: str = "",
) -> None:
    """Run the job and tell people what came of it; exits with 0, 1 or 2."""
    from dagster_project.lib import summary
    from dagster_project.lib.database import connect
    from dagster_project.lib.landing import stray_words
    from dagster_project.lib.ledger import Ledger
    from dagster_project.lib.publications import read_manifest
    from dagster_project.runner import run_job

    out, err = _out(), Console(file=sys.stderr)  # the job's own stderr goes to its log
    with _errors_for_people(err), _alone_with_shops(data) as shops:
        with _progress(err) as say:
            last_day = as_of.date() if as_of else None
            outcome = run_job(
                data, last_day, say, full_refresh=full_refresh, accept=accept, reason=reason
            )
        unknown = lines = None
        if outcome.published:
            with connect(data.published / "marts.duckdb", read_only=True) as marts:
                out.print(summary.summarise(marts))
                lines = summary.settings_lines(marts, data)
        with Ledger.open(data.ledger) as ledger:
            refused = [e for e in ledger.current_files() if e.status == "refused"]
            set_aside = [e for e in refused if e.ingested_at >= outcome.started_at]
            earlier = [e for e in refused if e.ingested_at < outcome.started_at]
            contained = ledger.contained(outcome.run_id)
            notes = ledger.notes(outcome.run_id)
            if contained or not outcome.published:  # then the publication lacks some texts
                unknown, more_lines = summary.unknown_reasons(data, ledger, outcome.run_id)
                lines = more_lines or lines
            for part in (
                summary.show_refused(set_aside, earlier, data.landing),
                summary.show_gates(ledger, outcome.run_id),
                unknown,
            ):
                if part is not None:
                    out.print(part)
        if lines:
            out.print(lines, markup=False, highlight=False, soft_wrap=True)
        out.print(summary.show_steps(outcome.steps))
        for is_problem, note in notes:
            if is_problem:
                _warn(err, note)
            else:
                out.print(_plain(note), soft_wrap=True)
        manifest = read_manifest(data)
        if outcome.succeeded:
            out.print(summary.show_outputs(data))
            out.print(summary.outcome_line(outcome.published, manifest))
            warnings = stray_words(data.landing, shops) + contained
            if set_aside:
                warnings.insert(0, _words_of_set_aside(len(set_aside)))
            for warning in warnings:
                _warn(err, warning)
            if strict and warnings:
                raise typer.Exit(1)
            return
        if not outcome.misconfigured:  # else a stray may be the error
            for warning in stray_words(data.landing, shops):
                _warn(err, warning)
        for error in outcome.errors or [_GATE_CLOSED]:
            err.print(f"[bold red]Error:[/] {_plain(error)}", soft_wrap=True)
        if not outcome.misconfigured:
            kept = manifest["publication_id"] if manifest else None
            err.print(
                f"Nothing was published; readers still see {kept}."
                if kept
                else "Nothing was published.",
                soft_wrap=True,
            )
            err.print(f"The log is {data.logs / outcome.run_id}.log", soft_wrap=True)
    raise typer.Exit(2 if outcome.misconfigured else 1)


@contextmanager
def _alone_with_shops(data: DataDir) -> Iterator[dict[str, Shop]]:
    """The lock of a run until its summary is told, and what `shops.csv` says.

    Raises BusyError when another run is at work, ConfigurationError when `shops.csv` is wrong; who
    is to be alerted hears of that too.
    """
    from dagster_project.lib.database import one_run_at_a_time
    from dagster_project.lib.shops import read_shops

    if not data.ledger.exists():
        read_shops(data.shops_csv)  # what is no data directory yet gets no lock
    with one_run_at_a_time(data.lock, wait=False):
        try:
            shops = read_shops(data.shops_csv)
        except ConfigurationError as error:
            import duckdb

            from dagster_project.lib.after_run import follow_up
            from dagster_project.lib.alerts import RunEnd

            with suppress(BusyError, duckdb.Error):  # follow_up tells of the run all the same
                follow_up(data, RunEnd("not begun", [str(error)]))
            raise
        yield shops


def _warn(err: Console, words: str) -> None:
    err.print(f"[bold yellow]Warning:[/] {_plain(words)}", soft_wrap=True)


def _words_of_set_aside(files: int) -> str:
    if files == 1:
        return "1 new file was set aside, see above; nothing in it is counted."
    return f"{files} new files were set aside, see above; nothing in them is counted."


def _data(data_dir: Path | None) -> DataDir:
    return DataDir(data_dir.resolve()) if data_dir else DataDir.default()


def _out() -> Console:
    """Standard output; wide enough for the tables where no terminal says otherwise."""
    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console() if is_told else Console(width=120)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


@contextmanager
def _errors_for_people(console: Console) -> Iterator[None]:
    """A mistake of the user's is told in words, not in a traceback."""
    try:
        yield
    except FeedbackError as error:
        console.print(f"[bold red]Error:[/] {_plain(str(error))}", soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from error
    except typer.Exit:
        raise
    except Exception as error:
        words = trouble_of_machine(error)
        if words is None:
            raise
        console.print(f"[bold red]Error:[/] {_plain(words)}", soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """The current step and the time so far on a terminal, a line per step otherwise."""
    if not console.is_terminal:
        yield lambda step: console.print(f"… {step}", markup=False, soft_wrap=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting")
        yield lambda step: progress.update(task, description=escape(step))


def main() -> None:
    """The console script."""
    code = 0
    try:
        app()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # DuckDB's binding would print pages about objects that Great Expectations keeps alive
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
