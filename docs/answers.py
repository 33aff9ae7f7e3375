"""Write a publication's answers into twenty-questions.md: `python docs/answers.py DATA_DIR`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import duckdb

PAGE = Path(__file__).parent / "twenty-questions.md"
# A query, and the table that stands right under it once it was written.
_QUERY = re.compile(r"(```sql\n(.*?)```\n)(?:\n(?:\|[^\n]*\n)+)?", re.DOTALL)


def answered(page: str, marts: duckdb.DuckDBPyConnection) -> str:
    """The page with the answer of each of its queries under it, as a Markdown table."""
    return _QUERY.sub(lambda query: f"{query[1]}\n{_answer(marts, query[2])}", page)


def _answer(marts: duckdb.DuckDBPyConnection, query: str) -> str:
    found = marts.execute(query)
    rows = [[name for name, *_ in found.description], *found.fetchall()]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.15g}" if isinstance(value, float) else " ".join(str(value).split())
    return re.sub(r"([\\|*\[\]`<&])", r"\\\1", text)


if __name__ == "__main__":
    published = Path(sys.argv[1]) / "published" / "marts.duckdb"
    with duckdb.connect(str(published), read_only=True) as marts:
        PAGE.write_text(answered(PAGE.read_text(encoding="utf-8"), marts), encoding="utf-8")
