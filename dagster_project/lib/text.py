"""Text that came from outside: header names, free text, names to show."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

# A name in a messenger: behind the messenger's when it is no plain word, or behind an @.
_HANDLE = (
    r"(?i)(?:\b(?:line|whats\s?app|wa|zalo|telegram|instagram|ig|facebook|fb|wechat|viber|kakao)"
    r"|ไลน์)\s*(?:(?:id|ไอดี)\s*[:=]\s*@?[\w.-]{2,}"
    r"|(?:id|ไอดี)?(?:\s|[:=@]|is|คือ)*(?:[\w.-]{3,}[0-9_][\w.-]*|[0-9_][\w.-]{3,}))"
    r"|@[a-z0-9_.]{3,}"
)
# SQL patterns (RE2) for what is masked in free text, in the order in which they are applied.
MASKS: tuple[tuple[str, str], ...] = (
    (r"(?i)(?:https?://|www\.)\S+|(?:[a-z0-9-]+\.)+[a-z]{2,}/\S+", "[link]"),
    (r"[^\s@,;:<>()\[\]]+@[^\s@,;:<>()\[\]]+\.[^\s@,;:<>()\[\].]{2,}", "[e-mail]"),
    (r"\+?\(?\p{Nd}(?:[\s\x{a0}().\-–_/·•]{0,3}\p{Nd}){7,}", "[number]"),
    (_HANDLE, "[handle]"),
)

# What is trimmed off a cell: all that Unicode calls white space, zero width, byte order mark.
BLANKS = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
# The same as an SQL pattern; DuckDB's trim() with as many characters takes four times as long.
BLANK_EDGES = f"^[{BLANKS}]+|[{BLANKS}]+$"


def normalise_header(text: str) -> str:
    """A header as it is matched: no byte order mark, NFC, trimmed, inner space and case folded."""
    folded = unicodedata.normalize("NFC", text.replace("\ufeff", ""))
    return " ".join(folded.split()).casefold()


def printable(text: str, limit: int = 120) -> str:
    """Outside text made safe for a line of a message: control characters shown, cut at `limit`."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def day_words(day: date | None) -> str:
    """A day as people write it: `6 Nov 2026`."""
    return f"{day.day} {day:%b %Y}" if day else "an unknown day"


# What messengers and mail programs read as markup, a mention or a link, and what looks the same.
_MARKUP = str.maketrans("<>[]*`~|@&", "＜＞［］＊｀～｜＠＆") | {ord("\\"): "＼"}


def without_markup(text: str) -> str:
    """Text for a message in which nothing is markup, a mention or a link with a scheme."""
    return text.translate(_MARKUP).replace("://", "：//")


# Where the list separator is a semicolon, quotes behind a comma keep nothing together: there a cell
# begins behind each semicolon and line break of a text, quotes or not.
_BORDER = re.compile(r"([;\t\r\n\"]+)([=+\-@]?)")


def spreadsheet_safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe where one might begin."""
    led = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
    return _BORDER.sub(_guarded, led)


def _guarded(border: re.Match[str]) -> str:
    separators, sign = border.groups()
    return f"{separators}'{sign}" if sign and separators.strip('"') else border[0]
