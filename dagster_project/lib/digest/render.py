"""A page of the digest as one HTML file that asks nothing of the network, and as plain text."""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path

import jinja2

from dagster_project.lib.digest.words import Page, Section
from dagster_project.lib.text import printable

_WIDTH = 78
_LONGEST = 5_000  # characters of a sentence, whatever is in it


def as_html(page: Page) -> str:
    """The page as HTML; all text is escaped, only charts are markup already."""
    return _template().render(page=page)


def as_text(page: Page) -> str:
    """The page as plain text, wrapped for a mail."""
    parts = [page.title, "=" * min(len(page.title), _WIDTH), _wrapped(page.subtitle)]
    for section in page.sections:
        if section.lead or section.rows or section.lines:  # pictures alone say nothing here
            parts += ["", section.title, "-" * len(section.title), *_body(section)]
    for note in page.notes:
        parts += ["", _wrapped(note)]
    return "\n".join(parts) + "\n"


def _body(section: Section) -> list[str]:
    lines = [_wrapped(section.lead)] if section.lead else []
    for row in section.rows:
        first, *others = row.cells
        labels = section.columns[1:]
        told = "; ".join(
            f"{label.lower()} {cell}" for label, cell in zip(labels, others, strict=True) if cell
        )
        lines.append(_wrapped(f"{first}: {told}", "- "))
    return [*lines, *(_wrapped(line, "- ") for line in section.lines)]


def _wrapped(text: str, lead: str = "") -> str:
    return textwrap.fill(
        printable(text, _LONGEST),
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        finalize=lambda value: printable(value, _LONGEST) if type(value) is str else value,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
