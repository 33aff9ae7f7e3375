"""Which version of the package is at work."""

from __future__ import annotations

import functools
import importlib.metadata


@functools.cache
def version() -> str:
    """The installed package's version; read once, since every file is asked about it."""
    return importlib.metadata.version("feedback-warehouse")
