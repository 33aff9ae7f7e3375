"""How long the steps of a run take."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A step of a run: wall seconds, and CPU seconds of this process and its ended children."""

    name: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Moment:
    """A point in time, by the wall's clock and by the CPU's, in seconds."""

    seconds: float
    cpu_seconds: float

    @classmethod
    def now(cls) -> Moment:
        """This one."""
        return cls(time.monotonic(), sum(os.times()[:4]))

    def step(self, name: str) -> Step:
        """The step that began at this moment and ends now."""
        now = Moment.now()
        return Step(name, now.seconds - self.seconds, now.cpu_seconds - self.cpu_seconds)
