"""Settings of the trigger rates: windows of luminosity sections, and what rates are predicted for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from fastjag.core.settings import File, setting, settings


@dataclass(frozen=True)
class SectionWindow:
    """Luminosity sections ``first`` to ``last`` of a run, or all of it, and their conditions."""

    run: int
    first: int | None = None
    last: int | None = None
    pileup: float | None = None
    prescale: float = 1.0  #: of HLT and L1 together
    bunches: float | None = None  #: colliding
    trigger: str | None = None  #: that it is for; default: all

    def __post_init__(self) -> None:
        if (self.first is None) != (self.last is None):
            raise ValueError(f"run {self.run}: give first and last section, or neither")
        first, last = self.sections
        if not 0 <= first <= last < 2**32 or self.first == 0:
            raise ValueError(f"run {self.run}: sections {self.first}-{self.last} are no range")
        if not 0 <= self.run < 2**31:
            raise ValueError(f"run {self.run} is no run: numbers of runs have 31 bits")
        for name in ("pileup", "prescale", "bunches"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"run {self.run}: {name} must be positive, got {value!r}")

    @property
    def sections(self) -> tuple[int, int]:
        """First and last section; of a whole run, what no section is outside of."""
        if self.first is None or self.last is None:
            return 0, 2**32 - 1
        return self.first, self.last

    @staticmethod
    def parse(text: str) -> SectionWindow:
        """``355892:16-100``, or ``355892`` for a whole run."""
        match = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10})-([0-9]{1,10}))?", text)
        if not match:
            raise ValueError(f"a window is RUN:FIRST-LAST or RUN, got {text!r}")
        run, first, last = (None if x is None else int(x) for x in match.groups())
        assert run is not None
        return SectionWindow(run, first, last)

    def __str__(self) -> str:
        return f"{self.run}" + (f":{self.first}-{self.last}" if self.first is not None else "")


@settings
class Target:
    """Conditions for which rates are predicted."""

    pileup: float | None = setting("Pileup for which rates are predicted.", default=None, above=0)
    bunches: float | None = setting(
        "Colliding bunches to which rates are scaled.", default=None, above=0
    )
    factor: float = setting("Another factor of the prediction.", default=1.0, above=0)


@settings
class RatesConfig:
    """What is counted, and how counts become rates and predictions."""

    trigger: tuple[str, ...] = setting(
        "Trigger branches or patterns ('HLT_Mu*').", default=(), empty=True
    )
    golden: File | None = setting("Golden JSON of certified sections.", default=None, none=False)
    dead_time: float = setting("Share of the time without trigger.", default=0.0)
    target: Target = setting("Conditions for which rates are predicted.", default=Target())
