"""A signal region between two sidebands, its bins, and the counts in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.arrays import as_float, at_least, check_length

Floats: TypeAlias = NDArray[np.float64]


class Counts(NamedTuple):
    """Sums of weights in the bins of a window, and sums of squared weights (None: unweighted)."""

    left: Floats
    signal: Floats
    right: Floats
    variances: tuple[Floats, Floats, Floats] | None


@dataclass(frozen=True)
class Window:
    """A signal region between two sidebands [GeV], and the bins of all three.

    ``sr_edges`` is the number of bin edges in the signal region, both ends included. Sidebands have
    bins of the same width, going outwards; a partial bin at their far end is left out. With
    ``logarithmic`` bins have equal ratios instead of equal widths.
    """

    sb_left: float
    sr_left: float
    sr_right: float
    sb_right: float
    sr_edges: int = 12
    logarithmic: bool = False

    def __post_init__(self) -> None:
        at_least("sr_edges", self.sr_edges, 2)
        bounds = (self.sb_left, self.sr_left, self.sr_right, self.sb_right)
        if not (np.isfinite(bounds).all() and (np.diff(bounds) > 0).all()):
            raise ValueError(
                "a window needs sb_left < sr_left < sr_right < sb_right, got "
                + ", ".join(f"{x:g}" for x in bounds)
            )
        if self.logarithmic and self.sb_left <= 0:
            raise ValueError(f"logarithmic bins need sb_left > 0, got {self.sb_left:g}")
        for side, edges in (("left", self.left), ("right", self.right)):
            if len(edges) < 2:
                raise ValueError(
                    f"the {side} sideband is narrower than a bin of the signal region; "
                    f"sr_edges={self.sr_edges} are too few"
                )

    @property
    def signal(self) -> Floats:
        """Bin edges of the signal region, shape (sr_edges,)."""
        space = np.geomspace if self.logarithmic else np.linspace
        return space(self.sr_left, self.sr_right, self.sr_edges)

    @property
    def left(self) -> Floats:
        """Bin edges of the left sideband, ascending, the last one ``sr_left``."""
        return self._outwards(self.sr_left, self.sb_left)[::-1]

    @property
    def right(self) -> Floats:
        """Bin edges of the right sideband, the first one ``sr_right``."""
        return self._outwards(self.sr_right, self.sb_right)

    def _outwards(self, start: float, stop: float) -> Floats:
        first, second = self.signal[:2]
        edges, down = [start], stop < start
        while True:
            last = edges[-1]
            if self.logarithmic:
                ratio = second / first
                following = last / ratio if down else last * ratio
            else:
                following = last - (second - first) if down else last + (second - first)
            if following < stop if down else following > stop:
                return np.array(edges)
            edges.append(following)

    @property
    def centers(self) -> Floats:
        """Centres of the bins of both sidebands, left then right; geometric if logarithmic."""
        sides = []
        for edges in (self.left, self.right):
            low, high = edges[:-1], edges[1:]
            sides.append(np.sqrt(low * high) if self.logarithmic else (low + high) / 2)
        return np.concatenate(sides)

    def count(self, masses: ArrayLike, weights: ArrayLike | None = None) -> Counts:
        """Histogram masses [GeV]: sidebands bin by bin, the signal region as one number.

        Masses on the border of the signal region are in no bin, as in the published analysis.
        """
        mass = as_float(masses, "masses").astype(np.float64, copy=False)
        weight = None if weights is None else as_float(weights, "weights")
        if weight is not None:
            check_length(weight, "weights", len(mass), "masses")
        # The next number up starts the bins to the right of a border: the border itself is out.
        above_left, above_right = np.nextafter((self.sr_left, self.sr_right), np.inf)
        edges = np.concatenate(
            [self.left, [above_left, self.sr_right], [above_right], self.right[1:]]
        )
        sums, squares = kernels.histogram([mass], [edges], weights=weight)
        parts = np.split(sums[1:-2].astype(np.float64), [len(self.left) - 1])
        left, rest = parts
        variances = None
        if squares is not None:
            v_left, v_rest = np.split(squares[1:-2], [len(self.left) - 1])
            variances = (v_left, np.asarray(v_rest[1]), v_rest[3:])
        return Counts(left, np.asarray(rest[1]), rest[3:], variances)
