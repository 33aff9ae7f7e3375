"""What can go wrong by a user's hand, told apart from what goes wrong by ours."""

from __future__ import annotations


class FeedbackError(Exception):
    """A failure that the user can mend; the message names the place and the way out."""


class ConfigurationError(FeedbackError):
    """Shops, settings or options are wrong; nothing was done."""


class FileRefusedError(FeedbackError):
    """A landing file cannot be used as a whole; the others go on."""


class GateClosedError(FeedbackError):
    """A quality gate is closed; what was published before stays in place."""


class BusyError(FeedbackError):
    """Another run holds the data directory."""
