"""What the documents say of exports and commands agrees with contracts and code."""

from __future__ import annotations

import re

import apprise
import pytest

from dagster_project import cli
from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.paths import PROJECT_ROOT

GUIDE = (PROJECT_ROOT / "docs" / "exports-guide.md").read_text(encoding="utf-8")
README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")


def rows(text: str, dataset: str) -> list[str]:
    """The lines of tables that have a dataset in a cell of its own."""
    tables = [line for line in text.splitlines() if line.lstrip().startswith("|")]
    return [line for line in tables if f"| `{dataset}` |" in line]


@pytest.mark.parametrize("dataset", load_datasets())
def test_the_guide_names_each_datasets_required_columns_and_where_it_comes_from(
    dataset: str,
) -> None:
    contract = load_datasets()[dataset]
    about = rows(GUIDE, contract.name)
    (columns,) = [line for line in about if f"`{contract.columns[0].headers[0]}`" in line]
    needed = {c.headers[0] for c in contract.columns if c.required_header}
    falls_back = {
        contract.column(c.fallback).headers[0]
        for c in contract.columns
        if c.required_header and c.fallback
    }
    named = set(re.findall(r"`([^`]+)`", columns)) - {contract.name}
    assert named == needed | falls_back
    assert contract.export_from
    assert any(contract.export_from in line for line in about)
    if contract.needed_for:
        assert any(line.startswith(f"| {contract.needed_for} |") for line in about)
        assert f"{contract.revisit_days} days" in " ".join(about)


def test_the_addresses_of_the_guide_to_alerts_are_such_that_apprise_knows() -> None:
    guide = (PROJECT_ROOT / "docs" / "digest-and-alerts.md").read_text(encoding="utf-8")
    addresses = re.findall(r"(?:`|^url,)([a-z]+://[^`\n]+)", guide, flags=re.MULTILINE)
    assert len(addresses) >= 9
    assert [a for a in addresses if apprise.Apprise.instantiate(a) is None] == []


def test_the_readme_names_every_dataset_and_command() -> None:
    for name in load_datasets():
        assert rows(README, name), name
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert f"`feedback {command.callback.__name__}" in README
