"""What the columns of the marts mean, in the words of the dbt project, rendered for readers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from dagster_project.lib.paths import DBT_DIR

_BLOCK = re.compile(r"{% docs (\w+) %}(.*?){% enddocs %}", re.DOTALL)
_REFERENCE = re.compile(r"{{ doc\('(\w+)'\) }}")
# a safe loader too, ten times as fast where the library was built with it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Described:
    """A table in words: the question it answers, and what each column means, in their order."""

    description: str
    columns: dict[str, str]


def describe_mart(name: str) -> Described:
    """A mart as its yml describes it; raises KeyError for a text that is not there."""
    model = _model(name)
    blocks = _blocks(DBT_DIR / "models" / "columns.md")

    def rendered(text: str) -> str:
        return _REFERENCE.sub(lambda found: blocks[found[1]], text)

    return Described(
        rendered(model["description"]),
        {column["name"]: rendered(column["description"]) for column in model["columns"]},
    )


def mart_types(name: str) -> dict[str, str]:
    """The types of a mart's columns, which dbt enforces, in upper case."""
    return {column["name"]: column["data_type"].upper() for column in _model(name)["columns"]}


def _model(name: str) -> dict[str, Any]:
    path = DBT_DIR / "models" / "marts" / f"{name}.yml"
    (model,) = yaml.load(path.read_bytes(), _LOADER)["models"]  # noqa: S506 - a safe loader
    return cast(dict[str, Any], model)


def _blocks(path: Path) -> dict[str, str]:
    return {name: text.strip() for name, text in _BLOCK.findall(path.read_text(encoding="utf-8"))}
