"""What can go wrong by a user's hand, told apart from what goes wrong by ours."""

from __future__ import annotations

import errno


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
        if isinstance(seen, OSError) and number in (errno.EROFS, errno.EACCES, errno.EPERM):
            return f"{seen.filename} may not be written to ({seen.strerror}); change that first."
        seen = seen.__cause__ or seen.__context__
    return None
