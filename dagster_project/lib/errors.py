"""What can go wrong by a user's hand, told apart from what goes wrong by ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What DuckDB says of a file that the system does not let be written to.
_NOT_WRITABLE = re.compile(r'file "([^"]+)".*(Read-only file system|Permission denied)')
_WRONG_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_NO_RIGHT = (errno.EROFS, errno.EACCES, errno.EPERM)


class FeedbackError(Exception):
    """A failure that the user can mend; the message names the place and the way out."""


class ConfigurationError(FeedbackError):
    """Shops, settings or options are wrong; nothing was done."""


class FileRefusedError(FeedbackError):
    """A landing file cannot be used as a whole; the others go on."""


def unreadable(error: OSError) -> FileRefusedError:
    """The refusal of a file that the system does not let be read."""
    return FileRefusedError(
        f"cannot be read ({type(error).__name__}); give the user who runs this the right to read "
        "it, or copy it here again"
    )


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Have what the system says against a place that a user named told of that place.

    Raises ConfigurationError where nothing can be written there; a full disk is no such case.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*_WRONG_PLACE, *_NO_RIGHT):
            raise
        if not out.parent.is_dir():
            raise ConfigurationError(f"The folder {out.parent} does not exist.") from error
        raise ConfigurationError(
            f"{out} cannot be written ({error.strerror}); name another place."
        ) from error


class GateClosedError(FeedbackError):
    """A quality gate is closed; what was published before stays in place."""


class BusyError(FeedbackError):
    """Another run holds the data directory."""


class DamagedError(FeedbackError):
    """A file of ours is not as it was written."""


def trouble_of_machine(error: BaseException) -> str | None:
    """What the machine refused, in words, where that is what went wrong: room, or a right."""
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        text = str(seen)
        if number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in text or "No space" in text:
            return "The disk is full; make room, then run again. What is published is as it was."
        if isinstance(seen, OSError) and number in _NO_RIGHT:
            return f"{seen.filename} may not be written to ({seen.strerror}); change that first."
        if refused := _NOT_WRITABLE.search(text):
            return f"{refused[1]} may not be written to ({refused[2]}); change that first."
        seen = seen.__cause__ or seen.__context__
    return None
