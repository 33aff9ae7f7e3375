"""The pipeline: exports in, guarded NRR and SFRR out."""

import functools
import importlib.metadata


@functools.cache
def version() -> str:
    """The installed package's version; read once, since every file is asked about it."""
    return importlib.metadata.version("feedback-warehouse")
