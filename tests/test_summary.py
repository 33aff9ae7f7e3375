"""The summary of a run, where a whole run would show too little of it."""

from __future__ import annotations

import duckdb
from rich.console import Console

from dagster_project.lib import summary
from dagster_project.lib.paths import DataDir


def test_unknown_reasons_and_statuses_are_listed_each_also_those_of_one_request() -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table feedback_events (source text, unmapped_reason text, unknown_status text)"
        )
        con.execute(
            "insert into feedback_events values ('return', 'Fishy', 'Lost'), "
            "('return', 'Fishy', null), ('return', null, 'Lost'), ('return', null, null), "
            "('review', 'fishy_code', null)"
        )
        console = Console(width=120)
        with console.capture() as shown:
            console.print(summary._unknown_values(con))
        lines = summary.settings_lines(con, DataDir.default())
    found = [" ".join(line.split()) for line in shown.get().splitlines()]
    assert found[-4:-1] == [
        "Fishy return reason, not counted 2",
        "Lost return status, counted 2",
        "fishy_code reason of an override, passed over 1",
    ]
    assert lines is not None
    assert lines.endswith(
        "reason_text,reason_code,language,valid_from,valid_to\nFishy,?,,2010-01-01,\n"
    )
