"""How well the bundled rules read comments: the tables of benchmarks/README.md.

Precision, recall and F1 per reason and per language over `tests/evaluation/review_reasons.csv`, the
half that the rules were fitted to and the half that they were not, and what was taken for what.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dagster_project.lib.paths import DBT_DIR, PROJECT_ROOT
from dagster_project.lib.review_reasons import ClassificationRule, RuleBook

COMMENTS = PROJECT_ROOT / "tests" / "evaluation" / "review_reasons.csv"
RULES = DBT_DIR / "seeds" / "classification_rules.csv"
DAY = date(2026, 1, 1)


@dataclass(frozen=True)
class Score:
    """Of one reason, or of all together: how many are so, were said to be so, and both."""

    are: int
    said: int
    both: int

    @property
    def precision(self) -> float:
        """Of what was said, the share that is so; 1 when nothing was said."""
        return self.both / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Of what is so, the share that was said; 1 when there is nothing."""
        return self.both / self.are if self.are else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.both / (self.are + self.said) if self.are + self.said else 1.0

    def cells(self) -> str:
        """Three columns of a table."""
        return f"{self.precision:.2f} | {self.recall:.2f} | {self.f1:.2f}"


def bundled_rules(path: Path = RULES) -> RuleBook:
    """The rules that come with the project."""
    with path.open(encoding="utf-8", newline="") as file:
        return RuleBook(
            ClassificationRule(
                rule_id=row["rule_id"],
                language=row["language"],
                pattern=row["pattern"],
                unless=row["unless"] or None,
                reason_code=row["reason_code"],
                priority=int(row["priority"]),
                valid_from=date.fromisoformat(row["valid_from"]),
                valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
            )
            for row in csv.DictReader(file)
        )


def judged(book: RuleBook, split: str) -> list[tuple[str, str, str]]:
    """Language, label and what the rules say of each comment of a half."""
    with COMMENTS.open(encoding="utf-8", newline="") as file:
        return [
            (
                row["language"],
                row["reason_code"],
                (book.reason_of(row["text"], DAY) or ("unclassified",))[0],
            )
            for row in csv.DictReader(file)
            if row["split"] == split
        ]


def scores(pairs: Iterable[tuple[str, str]]) -> dict[str, Score]:
    """The score of each reason that is or was said."""
    pairs = list(pairs)
    are, said = Counter(label for label, _ in pairs), Counter(word for _, word in pairs)
    both = Counter(label for label, word in pairs if label == word)
    return {c: Score(are[c], said[c], both[c]) for c in sorted(are | said)}


def classified(pairs: Iterable[tuple[str, str]]) -> Score:
    """The score of all reasons together, `unclassified` not being one."""
    each = [score for code, score in scores(pairs).items() if code != "unclassified"]
    return Score(sum(s.are for s in each), sum(s.said for s in each), sum(s.both for s in each))


def main() -> None:
    """Print the tables."""
    book = bundled_rules()
    for split in ("seen", "unseen"):
        comments = judged(book, split)
        pairs = [pair for _, *pair in comments]
        right = sum(label == word for label, word in pairs)
        print(f"\n{split}: {len(pairs)} comments, {right / len(pairs):.3f} as labelled\n")
        print("| reason | comments | precision | recall | F1 |\n|---|---|---|---|---|")
        for code, score in scores(pairs).items():
            print(f"| {code} | {score.are} | {score.cells()} |")
        print("\n| language | comments | precision | recall | F1 |\n|---|---|---|---|---|")
        for language in sorted({row[0] for row in comments}):
            of = [pair for name, *pair in comments if name == language]
            print(f"| {language} | {len(of)} | {classified(of).cells()} |")
        print("\n| labelled | taken for | comments |\n|---|---|---|")
        for (label, word), count in sorted(Counter(map(tuple, pairs)).items()):
            if label != word:
                print(f"| {label} | {word} | {count} |")


if __name__ == "__main__":
    main()
