"""Which publication is looked at, and its answers, kept for as long as it is the one.

A run of a page looks up once what `published/current` points to, and asks that version only: a swap
in between never mixes two. Answers are kept by version, so a new one is asked anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import streamlit as st

from dagster_project.lib import attention, questions
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version, current, published_at

ICON = Path(__file__).with_name("icon.svg")

# Bounds of the server's memory: what DuckDB may take for each of two versions (the one looked at
# and, around a swap, the one before), and how many answers are kept for how long.
_MEMORY = "512MB"
_VERSIONS = 2
_ANSWERS = 256
_KEPT_FOR = timedelta(minutes=30)

_QUESTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for module in (questions, attention)
    for name, function in vars(module).items()
    if callable(function) and getattr(function, "__module__", "") == module.__name__
}


@dataclass(frozen=True)
class Seen:
    """What a run of a page looks at."""

    version: Version
    last_day: date | None
    published_at: datetime
    is_new: bool

    @property
    def age_days(self) -> int:
        """Days from the newest metric day to today."""
        return (datetime.now(UTC).date() - self.last_day).days if self.last_day else 0


def look() -> Seen | None:
    """Settle which publication this run of the page reads; None while there is none."""
    version = current(DataDir.default())
    if version is None:
        return None
    before = st.session_state.get("_folder")
    st.session_state["_folder"] = str(version.folder)
    return Seen(
        version,
        ask(questions.last_day),
        published_at(version.publication_id),
        is_new=before is not None and before != str(version.folder),
    )


def ask(question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The answer of the publication that this run looks at."""
    return _answer(st.session_state["_folder"], question.__name__, arguments, named)


def ask_now(question: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[[], Any]:
    """What asks the publication of this run when called, also from another thread; not kept."""
    folder = st.session_state["_folder"]
    return lambda: question(_connection(folder).cursor(), *arguments, **named)


@st.cache_data(max_entries=_ANSWERS, ttl=_KEPT_FOR, show_spinner="Reading the publication …")
def _answer(folder: str, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return _QUESTIONS[name](_connection(folder).cursor(), *arguments, **named)


@st.cache_resource(max_entries=_VERSIONS, show_spinner=False)
def _connection(folder: str) -> questions.Connection:
    return questions.publication(Version(Path(folder)), _MEMORY)


def is_gone() -> bool:
    """Whether the publication that this run looked at is no longer the one, or no longer there."""
    version = current(DataDir.default())
    return version is not None and st.session_state.get("_folder") != str(version.folder)
