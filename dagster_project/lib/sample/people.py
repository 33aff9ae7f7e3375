"""Made-up buyers. Each carries an invented word of its own, so that a leak can be searched for."""

import random
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dagster_project.lib.sample.regions import Region

_SYLLABLES: Final = tuple(c + v for c in "bdfghjklmpqrvxz" for v in "aiou")
_WORDS: Final = len(_SYLLABLES) ** 6
_STEP: Final = 28_834_101_331  # coprime to _WORDS: neighbours get unlike words, none twice

_UNIQUE_COLUMNS: Final = (
    "Buyer Nickname",
    "Buyer Username",
    "Recipient",
    "Phone #",
    "Detail Address",
    "Additional address information",
    "Address Line 1",
    "Address Line 2",
    "Delivery Instruction",
    "Shipping Information",
)
_REPEAT_SHARE: Final = 0.35
_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True)
class Buyer:
    """A buyer as the exports show one: cells by column, and the strings that give one away."""

    word: str
    cells: dict[str, str]
    personal: tuple[str, ...]


def invented_word(number: int) -> str:
    """Two capitalised nonsense words, different for every number below 60 ** 6."""
    rest = number * _STEP % _WORDS
    syllables = []
    for _ in range(6):
        rest, index = divmod(rest, len(_SYLLABLES))
        syllables.append(_SYLLABLES[index])
    return f"{''.join(syllables[:3]).title()} {''.join(syllables[3:]).title()}"


class People:
    """The buyers of one shop; some come back."""

    def __init__(
        self, region: Region, shop_number: int, columns: Collection[str], rng: random.Random
    ) -> None:
        self._region = region
        self._shop_number = shop_number
        self._columns = frozenset(columns)
        self._rng = rng
        self._count = 0
        self._recent: deque[Buyer] = deque(maxlen=_REMEMBERED)

    def someone(self) -> Buyer:
        """A new buyer, or one of the recent ones."""
        if self._recent and self._rng.random() < _REPEAT_SHARE:
            return self._rng.choice(self._recent)
        self._count += 1
        buyer = self._new(self._count)
        self._recent.append(buyer)
        return buyer

    def _new(self, number: int) -> Buyer:
        region, rng = self._region, self._rng
        word = invented_word(self._shop_number * 10_000_000 + number)
        name = rng.choice(region.given_names)
        street = region.street.format(number=rng.randint(1, 250), token=word)
        extra = region.extra_address.format(token=word)
        place = rng.choice(region.places)
        cells = {
            "Buyer Username": word.replace(" ", "").lower(),
            "Buyer Nickname": f"{name}.{word.split()[0]}",
            "Recipient": f"{name} {word}",
            "Phone #": phone_number(region, self._shop_number, number),
            "Country": region.country,
            "Detail Address": street,
            "Additional address information": extra,
            "Address Line 1": street,
            "Address Line 2": extra,
            "Delivery Instruction": f"Ring twice for {word}",
            "Shipping Information": f"{name} {word}, {street}, {extra}",
            **dict(zip(region.place_columns, place, strict=True)),
        }
        columns = [c for c in _UNIQUE_COLUMNS if c in self._columns]
        if region.code == "US":
            cells["Zipcode"] += f"-{number % 10_000:04d}"
            columns.append("Zipcode")
        return Buyer(word, cells, tuple(cells[column] for column in columns))


def phone_number(region: Region, shop_number: int, number: int) -> str:
    """A phone number with separators, so that no row of digits elsewhere can contain it."""
    high, low = divmod(number, 10_000)
    return region.phone.format(shop=shop_number, high=high, low=low)
