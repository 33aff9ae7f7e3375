"""The published marts equal the slow reference on random shops, at every grain.

REFERENCE_SEED      another stream of random shops (default 0)
REFERENCE_SHOPS     shops of one pipeline run (default 60)
REFERENCE_EXAMPLES  pipeline runs of each kind (default 1)
REFERENCE_ONLY      shop_id: run the same draw, but write and compare this shop alone
"""

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.reference.compare import (
    differences,
    explain,
    latest_time,
    name_differences,
    read_published,
)
from tests.reference.compute import compute, default_as_of
from tests.reference.exports import OWN_SETTINGS, write_case, write_own_settings
from tests.reference.model import ShopCase
from tests.reference.strategies import metric_days, shop_cases
from tests.support import run_pipeline

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("REFERENCE_SEED", "0"))
SHOPS = int(os.environ.get("REFERENCE_SHOPS", "60"))
EXAMPLES = int(os.environ.get("REFERENCE_EXAMPLES", "1"))
ONLY = os.environ.get("REFERENCE_ONLY")

random_runs = settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@seed(SEED)
@random_runs
@given(cases=shop_cases(SHOPS, salt=f"as_of given {SEED}"), as_of=metric_days(SEED))
def test_marts_equal_the_reference_up_to_a_given_as_of(
    cases: list[ShopCase], as_of: date, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every table equals the reference when the last metric day is given."""
    assert_marts_equal_reference(cases, as_of, tmp_path_factory, "given_as_of")


@seed(SEED)
@random_runs
@given(cases=shop_cases(SHOPS, salt=f"as_of left out {SEED}"))
def test_marts_equal_the_reference_up_to_the_latest_event(
    cases: list[ShopCase], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every table equals the reference when the events decide on the last metric day.

    The definitions leave open whether a superseded version may decide it, so a draw in which
    that would matter gets its as_of given.
    """
    as_of = default_as_of(cases)
    latest = max(time.date() for case in cases if (time := latest_time(case)) is not None)
    given_as_of = None if latest == as_of else as_of
    assert_marts_equal_reference(cases, given_as_of, tmp_path_factory, "latest_event")


def assert_marts_equal_reference(
    cases: list[ShopCase],
    as_of: date | None,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
) -> None:
    """Publish the cases and compare each table; a failure tells the shop, day and column."""
    if ONLY:
        as_of = as_of or default_as_of(cases)
        cases = [case for case in cases if case.shop.shop_id == ONLY]
        assert cases, f"REFERENCE_ONLY={ONLY} is none of the {SHOPS} shops that were drawn"
    data_dir = tmp_path_factory.mktemp(name)
    write_case(data_dir, cases)
    write_own_settings(data_dir)
    published = read_published(run_pipeline(data_dir, as_of))
    expected = compute(cases, as_of, OWN_SETTINGS)
    found = differences(expected, published) + name_differences(cases, published)
    assert not found, f"{explain(found, cases)}\n{how_to_replay(found[0].shop_id, data_dir)}"


def how_to_replay(shop_id: str, data_dir: Path) -> str:
    """Tell how to run the same draw again, whole or with one shop alone."""
    again = f"REFERENCE_SEED={SEED} REFERENCE_SHOPS={SHOPS} REFERENCE_EXAMPLES={EXAMPLES}"
    return (
        f"the exports and what was published lie in {data_dir}\n"
        f"again: {again} pytest {__file__}\n"
        f"with one shop alone: the same with REFERENCE_ONLY={shop_id}"
    )
