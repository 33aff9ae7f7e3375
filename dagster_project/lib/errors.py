"""What can go wrong by a user's hand, told apart from what goes wrong by ours."""

from __future__ import annotations


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
