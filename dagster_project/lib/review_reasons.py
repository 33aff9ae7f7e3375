"""What a comment complains of, by the setting `classification_rules`.

`docs/review-reasons.md` says how rules are read. Patterns go to RE2, which never goes back in a
text: neither a buyer's comment nor a seller's pattern can hold a run up.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pyarrow as pa
import re2

NEGATION = "(negation)"
BREAK = "(break)"

# The most that the patterns of a language are joined for, in RE2's instructions, and bytes that
# are enough for it: a joined automaton that runs out of memory finds nothing and does not say so.
_JOINED = 100_000
_MEMORY = 64 << 20
_WITHOUT_SPACES = frozenset({"th", "zh", "ja", "lo", "km", "my"})
_NEGATED_WORDS = 2  # that may stand between a negation and what it turns round
_NEGATED_LENGTH = 60  # letters of the same, so that a text of one word costs nothing
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_BREAKS = frozenset(".,!?;:…()[]{}<>|\n\r\v\f\u2028\u2029。，、！？；：।")
_APOSTROPHES = "'`´‘’‛ʼ′＇"
_BARE_LETTERS = {"đ": "d", "ı": "i", "ł": "l", "ø": "o"}


class PatternError(ValueError):
    """A pattern that cannot be used; says why."""


@dataclass(frozen=True)
class ClassificationRule:
    """One row of the setting; `valid_to` is its last day, None = until further notice."""

    rule_id: str
    language: str
    pattern: str
    unless: str | None
    reason_code: str
    priority: int
    valid_from: date
    valid_to: date | None


def classify(reviews: pa.Table, rules: pa.Table) -> pa.Table:
    """The reviews that a rule fits: shop_id, review_id, reason_code, rule_id.

    `reviews` has shop_id, review_id, review_date and review_text; `rules` the setting's columns.
    """
    book = RuleBook(ClassificationRule(**row) for row in rules.to_pylist())
    asked = (reviews[n].to_pylist() for n in ("shop_id", "review_id", "review_text", "review_date"))
    found = [
        (shop_id, review_id, *reason)
        for shop_id, review_id, text, day in zip(*asked, strict=True)
        if (reason := book.reason_of(text, day))
    ]
    names = ("shop_id", "review_id", "reason_code", "rule_id")
    columns = zip(*found, strict=True) if found else ((),) * len(names)
    return pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})


class RuleBook:
    """The rules of all days.

    Raises PatternError for a pattern that cannot be used.
    """

    def __init__(self, rules: Iterable[ClassificationRule]) -> None:
        self._rules = tuple(sorted(rules, key=lambda rule: (rule.rule_id, rule.valid_from)))
        self._in_force: dict[tuple[ClassificationRule, ...], RulesInForce] = {}
        self._of_day: dict[date, RulesInForce] = {}

    def reason_of(self, text: str, day: date) -> tuple[str, str] | None:
        """Reason and id of the rule that a comment of a day falls under; None when none fits."""
        rules = self._of_day.get(day)
        if rules is None:
            rows = tuple(
                rule
                for rule in self._rules
                if rule.valid_from <= day and (rule.valid_to is None or day <= rule.valid_to)
            )
            rules = self._in_force.setdefault(rows, RulesInForce(rows))
            self._of_day[day] = rules
        return rules.reason_of(text)


class RulesInForce:
    """The rules of one day. Each text is judged once."""

    def __init__(self, rules: Sequence[ClassificationRule]) -> None:
        self._rules = rules
        self._known: dict[str, tuple[str, str] | None] = {}

    def reason_of(self, text: str) -> tuple[str, str] | None:
        """Reason and id of the rule with the highest priority among those that fit the text.

        Of equal ones it is the one that fits first in the text, then the first by rule_id.
        """
        if text not in self._known:
            found = [place for folded in readings(text) for place in self._fits(folded)]
            best = min(found, default=None)
            self._known[text] = (best[3], best[2]) if best else None
        return self._known[text]

    def _fits(self, text: str) -> Iterator[tuple[int, int, str, str]]:
        """The rules that fit a folded text: minus priority, place, rule_id, reason_code."""
        found = [
            (words, pattern, pattern.places(text))
            for words in self._languages
            for pattern in words.candidates(text)
        ]
        spent = _Places(place for *_, places in found for place in places)
        for words, pattern, places in found:
            if not places:
                continue
            negation = _Negation(text, words, spent)
            start = next((p[0] for p in places if not negation.turns_round(*p)), None)
            if start is not None:
                rule = pattern.rule
                yield -rule.priority, start, rule.rule_id, rule.reason_code

    @cached_property
    def _languages(self) -> list[_Language]:
        languages = sorted({rule.language for rule in self._rules})
        return [_Language([r for r in self._rules if r.language == name]) for name in languages]


class _Language:
    """The rules of one language.

    Each language has an automaton of its own: one for all of them would have as many states as
    their states make pairs, and took ten times as long.
    """

    def __init__(self, rules: Sequence[ClassificationRule]) -> None:
        self.is_spaced = rules[0].language not in _WITHOUT_SPACES
        self.negations = [_Pattern(r) for r in rules if r.reason_code == NEGATION]
        self.breaks = [_Pattern(r) for r in rules if r.reason_code == BREAK]
        self._patterns = [_Pattern(r) for r in rules if r.reason_code not in (NEGATION, BREAK)]
        is_joined = 0 < sum(pattern.size for pattern in self._patterns) <= _JOINED
        self._joined = _joined(self._patterns) if is_joined else None

    def candidates(self, text: str) -> list[_Pattern]:
        """The patterns that may stand in a folded text; one that does is among them."""
        if self._joined is None:
            return self._patterns
        return [self._patterns[index] for index in self._joined.Match(text) or ()]


def _joined(patterns: Sequence[_Pattern]) -> re2.Set:
    options = _options()
    options.max_mem = _MEMORY
    joined = re2.Set.SearchSet(options)
    for pattern in patterns:
        joined.Add(pattern.expression)
    joined.Compile()
    return joined


class _Pattern:
    """A rule's pattern, ready to be looked for."""

    def __init__(self, rule: ClassificationRule) -> None:
        self.rule = rule
        self.expression, self._pattern = _compiled(rule.pattern, rule.language)
        self.size: int = self._pattern.programsize
        self._unless = _compiled(rule.unless, rule.language)[1] if rule.unless else None

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where it stands in a folded text, the places left out that `unless` touches."""
        places = [match.span(1) for match in self._pattern.finditer(text)]
        if not places or self._unless is None:
            return places
        voided = _Places(match.span(1) for match in self._unless.finditer(text))
        return [place for place in places if not voided.touch(*place)]


class _Places:
    """Stretches of a text, joined where they overlap."""

    def __init__(self, places: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(places):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        """Whether any of them has a letter in common with this one."""
        at = bisect_right(self._ends, start)
        return at < len(self._starts) and self._starts[at] < end


class _Negation:
    """The negations of a text in one language, and how far they reach.

    A negation that is part of what a rule asks for ("not working") is spent, and no other one turns
    that place round ("I do not know why it is not working").
    """

    def __init__(self, text: str, words: _Language, spent: _Places) -> None:
        self._text = text
        self._words = words
        places = [p for negation in words.negations for p in negation.places(text)]
        self._all = _Places(places)
        self._ends = sorted(end for start, end in places if not spent.touch(start, end))

    def turns_round(self, start: int, end: int) -> bool:
        """Whether what stands there is said not to be so."""
        at = bisect_right(self._ends, start) - 1
        if at < 0 or start - self._ends[at] > _NEGATED_LENGTH or self._all.touch(start, end):
            return False
        between = self._text[self._ends[at] : start]
        if not self._words.is_spaced:
            return not between.strip()
        if "|" in between or len(between.split()) > _NEGATED_WORDS:
            return False
        padded = f" {between.strip()} "
        return not any(pattern.places(padded) for pattern in self._words.breaks)


def check_pattern(pattern: str, language: str) -> None:
    """Raise PatternError when a pattern cannot be used."""
    _, compiled = _compiled(pattern, language)
    if compiled.search("  |  "):
        raise PatternError("it fits every text")


def readings(text: str) -> list[str]:
    """A comment as patterns read it: words with one space between them, and one on either side.

    Letters are folded (NFKC, case, Thai vowels typed as two), signs become spaces, the end of a
    sentence or of a part of one becomes `|`, each emoji is a word. Where a letter is stretched
    ("baaad"), there are two readings: with it once and with it twice.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("เเ", "แ")
    folded = " ".join(folded.translate(_SIGNS).split())
    once = _STRETCHED.sub(r"\1", folded)
    if once == folded:
        return [f" {folded} "]
    twice = _STRETCHED.sub(r"\1\1", folded)
    return [f" {once} ", f" {twice} "]


class _Signs(dict[int, str]):
    """What becomes of a character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _BREAKS:
            kept = " | "
        elif character in _APOSTROPHES or category in ("Cf", "Sk") or 0xFE00 <= code <= 0xFE0F:
            kept = ""
        elif category[0] in "LMN":
            kept = character
        else:
            kept = f" {character} " if category == "So" else " "
        self[code] = kept
        return kept


_SIGNS = _Signs()


def _compiled(pattern: str, language: str) -> tuple[str, re2._Regexp]:
    written = unicodedata.normalize("NFKC", pattern)
    try:
        re2.compile(written, _options())  # by itself, lest its brackets close ours
        expression = _with_bare_letters("".join(c for c in written if c not in _APOSTROPHES))
        expression = f"({expression})" if language in _WITHOUT_SPACES else f" ({expression}) "
        return expression, re2.compile(expression, _options())
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise PatternError(f"RE2 cannot read it: {said}") from error


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = False
    return options


def _with_bare_letters(pattern: str) -> str:
    """The pattern with each marked Latin letter also without its mark, as hasty buyers write."""
    written = []
    in_class = is_escaped = False
    for letter in pattern:
        bare = _BARE_LETTERS.get(letter) or unicodedata.normalize("NFD", letter)[0]
        if is_escaped or bare == letter or not bare.isascii():
            written.append(letter)
        else:
            written.append(letter + bare if in_class else f"[{letter}{bare}]")
        if is_escaped:
            is_escaped = False
        else:
            is_escaped = letter == "\\"
            in_class = letter == "[" or (in_class and letter != "]")
    return "".join(written)
