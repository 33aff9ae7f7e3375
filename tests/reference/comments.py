"""How a rule reads a comment, as docs/review-reasons.md says it: plain, slow, Python's `re`."""

import functools
import re
import unicodedata
from collections.abc import Iterable

from tests.reference.model import ClassificationRule

WITHOUT_SPACES = ("th", "zh", "ja", "lo", "km", "my")
APOSTROPHES = "'`´‘’‛ʼ′＇"
ENDS_A_PART = ".,!?;:…()[]{}<>|\n\r\v\f\u2028\u2029。，、！？；：।"
OTHER_BARE_LETTERS = {"đ": "d", "ı": "i", "ł": "l", "ø": "o"}

Span = tuple[int, int]


def matching_rule(text: str, rules: Iterable[ClassificationRule]) -> ClassificationRule | None:
    """Give the rule that decides on a comment, of the rules in force on its day, if any fits."""
    rules = list(rules)
    fits = []
    for folded in folded_texts(text):
        for rule in rules:
            if not rule.reason_code.startswith("("):
                start = first_place(rule, folded, rules)
                if start is not None:
                    fits.append((-rule.priority, start, rule.rule_id, rule))
    return min(fits, key=lambda fit: fit[:3])[3] if fits else None


def folded_texts(text: str) -> list[str]:
    """Give the comment as words, with stretched letters once, and if there are any also twice."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("เเ", "แ")
    folded = ""
    for character in plain:
        kind = unicodedata.category(character)
        if character in ENDS_A_PART:
            folded += " | "
        elif character in APOSTROPHES or kind in ("Cf", "Sk") or "\ufe00" <= character <= "\ufe0f":
            continue
        elif kind[0] in "LMN":
            folded += character
        elif kind == "So":
            folded += " " + character + " "
        else:
            folded += " "
    folded = " ".join(folded.split())
    once, twice = shortened(folded, 1), shortened(folded, 2)
    return [f" {once} "] if once == folded else [f" {once} ", f" {twice} "]


def shortened(text: str, kept: int) -> str:
    """Cut each run of three or more of the same letter down."""
    short = ""
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] == text[at]:
            end += 1
        is_letter = text[at].isalnum() and not text[at].isdecimal()
        short += text[at] * (kept if is_letter and end - at >= 3 else end - at)
        at = end
    return short


@functools.cache
def compiled(pattern: str, language: str) -> re.Pattern[str]:
    """Compile a pattern: apostrophes out, letters with a mark also bare, whole words."""
    pattern = unicodedata.normalize("NFKC", pattern)
    for apostrophe in APOSTROPHES:
        pattern = pattern.replace(apostrophe, "")
    pattern = pattern.replace(r"\d", "[0-9]").replace(r"\w", "[0-9A-Za-z_]")
    written = ""
    for part in re.findall(r"\[(?:\\.|[^\]])*\]|\\.|.", pattern):
        bare = "".join(bare_letter(letter) for letter in part)
        if bare == part or part[0] == "\\":
            written += part
        elif part[0] == "[":
            written += part[:-1] + bare.strip("[]^") + "]"
        else:
            written += f"[{part}{bare}]"
    words = f"({written})" if language in WITHOUT_SPACES else f" ({written}) "
    return re.compile(words, re.IGNORECASE)


def bare_letter(letter: str) -> str:
    """Give a Latin letter without its marks; others as they are."""
    bare = OTHER_BARE_LETTERS.get(letter) or unicodedata.normalize("NFD", letter)[0]
    return bare if bare.isascii() else letter


def places(rule: ClassificationRule, folded: str) -> list[Span]:
    """Give where a rule's pattern stands, places that its exception touches left out."""
    found = [match.span(1) for match in compiled(rule.pattern, rule.language).finditer(folded)]
    if rule.unless:
        voided = compiled(rule.unless, rule.language).finditer(folded)
        spans = [match.span(1) for match in voided]
        found = [place for place in found if not any(touch(place, span) for span in spans)]
    return found


def touch(one: Span, other: Span) -> bool:
    """Tell whether two places have a character in common."""
    return one[0] < other[1] and other[0] < one[1]


def first_place(
    rule: ClassificationRule, folded: str, rules: list[ClassificationRule]
) -> int | None:
    """Give where a rule first fits without being turned round."""
    for place in places(rule, folded):
        if not is_turned_round(place, rule.language, folded, rules):
            return place[0]
    return None


def is_turned_round(
    place: Span, language: str, folded: str, rules: list[ClassificationRule]
) -> bool:
    """Tell whether a negation that is not part of what some rule asks for reaches a place.

    A place with a negation of its own is not reached.
    """
    negations = []
    for rule in rules:
        if rule.reason_code == "(negation)" and rule.language == language:
            negations += places(rule, folded)
    if any(touch(place, negation) for negation in negations):
        return False
    for negation in negations:
        if negation[1] > place[0] or is_spent(negation, folded, rules):
            continue
        if reaches(folded[negation[1] : place[0]], language, rules):
            return True
    return False


def is_spent(place: Span, folded: str, rules: list[ClassificationRule]) -> bool:
    """Tell whether a negation has words in common with a place that a rule fits."""
    for rule in rules:
        if rule.reason_code.startswith("("):
            continue
        if any(touch(place, other) for other in places(rule, folded)):
            return True
    return False


def reaches(between: str, language: str, rules: list[ClassificationRule]) -> bool:
    """Tell whether a negation reaches over what stands between it and a place."""
    if language in WITHOUT_SPACES:
        return between.strip() == ""
    if len(between.split()) > 2 or len(between) > 60 or "|" in between:
        return False
    breaks = [r for r in rules if r.reason_code == "(break)" and r.language == language]
    return not any(places(rule, f" {between.strip()} ") for rule in breaks)
