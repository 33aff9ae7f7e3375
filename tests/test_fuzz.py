"""A short form of `make fuzz`: damaged files end loaded or refused, and no sound row is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.fuzz_files import MOST_SECONDS, MUTATORS, case, run

pytestmark = pytest.mark.slow


def test_damaged_files_end_loaded_or_refused_and_no_sound_row_is_lost() -> None:
    outcomes = list(run(seed=2026, files=400))
    assert sorted(outcome.number for outcome in outcomes) == list(range(400))
    wrong = [
        outcome
        for outcome in outcomes
        if outcome.lost
        or not outcome.is_consistent
        or outcome.status not in ("loaded", "refused")
        or outcome.seconds > MOST_SECONDS
    ]
    assert wrong == []
    statuses = Counter(outcome.status for outcome in outcomes)
    assert min(statuses["loaded"], statuses["refused"]) > 50


def test_every_kind_of_damage_is_among_them() -> None:
    used = {case(2026, number).mutator for number in range(400)}
    assert used == {mutate.__name__ for mutators in MUTATORS.values() for mutate in mutators}


def test_the_same_seed_damages_alike() -> None:
    assert case(7, 3).content == case(7, 3).content
