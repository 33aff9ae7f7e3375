"""Dice and numbers that the parts of one sample shop share."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from dagster_project.lib.sample.events import Line
from dagster_project.lib.sample.regions import Region

_TROUBLED_WARE: Final = 2


class Quota:
    """Says yes once in every stretch of 1/rate questions, at a random place of the stretch.

    Chance draws would scatter a rate of 0.5 % widely over the thousand orders of a window.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._asked = 0.0
        self._stretch = 0
        self._next = rng.random()

    def hit(self, rate: float) -> bool:
        """Whether this one is among the `rate` share."""
        self._asked += rate
        if self._asked < self._next:
            return False
        self._stretch += 1
        self._next = self._stretch + self._rng.random()
        return True


class Chance:
    """The random stream of one shop, its running numbers, and its troubled product."""

    def __init__(self, region: Region, shop_number: int, seed: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - made-up data, not a secret
        self.region = region
        self.shop_number = shop_number
        self._counters: dict[str, int] = {}

    def quota(self) -> Quota:
        """A new quota that draws from the shop's stream."""
        return Quota(self.rng)

    def pick(self, weights: Mapping[str, int]) -> str:
        """One of the names, by weight."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def next(self, kind: str) -> int:
        """The next running number of a kind of thing, from 1."""
        self._counters[kind] = self._counters.get(kind, 0) + 1
        return self._counters[kind]

    def identifier(self, prefix: str, kind: str, digits: int) -> str:
        """A number that no other thing of the kind has, in this shop or another."""
        count_digits = digits - len(prefix) - 4 - 4
        return (
            f"{prefix}{self.shop_number:04d}"
            f"{self.next(kind):0{count_digits}d}{self.rng.randrange(10_000):04d}"
        )

    def tracking_id(self, mark: str = "") -> str:
        """A parcel number; `mark` tells parcels on their way back."""
        number = self.next("tracking")
        return f"{self.region.tracking_prefix}{mark}{self.shop_number:03d}{number:08d}"

    def is_troubled(self, line: Line) -> bool:
        """Whether the line is of the product that buyers complain about most."""
        return line.sku.product.name == self.region.wares[_TROUBLED_WARE].name

    def target(self, lines: Sequence[Line]) -> Line:
        """The line that feedback is about: mostly the troubled product, if it is there."""
        troubled = [line for line in lines if self.is_troubled(line)]
        if troubled and self.rng.random() < 0.8:
            return troubled[0]
        return self.rng.choice(lines)


def whole(at: datetime) -> datetime:
    """The moment without fractions of a second: files have none."""
    return at.replace(microsecond=0)
