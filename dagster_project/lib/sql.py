"""Quoting for the few places where SQL is put together; values go by bind parameter."""

from __future__ import annotations


def identifier(name: str) -> str:
    """A name quoted as an SQL identifier; `schema.table` is quoted part by part."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def literal(text: str) -> str:
    """A text quoted as an SQL string, for constants of this code where no parameter can stand."""
    return "'" + text.replace("'", "''") + "'"
