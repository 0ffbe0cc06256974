"""A signal region between two sidebands, its bins, and the counts in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import as_float, check_length
from fastjag.core.checks import at_least
from fastjag.core.devices import to_host

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
        down = stop < start
        if self.logarithmic:
            step, fitting = second / first, abs(np.log(stop / start)) / np.log(second / first)
            following: np.ufunc = np.divide if down else np.multiply
        else:
            step, fitting = second - first, abs(stop - start) / (second - first)
            following = np.subtract if down else np.add
        n = int(fitting + 1e-9)  # rounding loses no bin that ends at ``stop``
        edges: Floats = following.accumulate(np.r_[start, np.full(n, step)])
        if abs(fitting - n) <= 1e-9:
            edges[-1] = stop
        return edges

    @property
    def bin_width(self) -> float:
        """Of the bins in the signal region [GeV]; their mean width if logarithmic."""
        return (self.sr_right - self.sr_left) / (self.sr_edges - 1)

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
        mass = as_float(masses, "masses")
        left, signal, right, variances = self.count_cuts(mass, mass, [-np.inf], weights)
        squares = None if variances is None else tuple(v[0] for v in variances)
        return Counts(left[0], signal[0], right[0], squares)

    def count_cuts(
        self, masses: ArrayLike, scores: ArrayLike, cuts: ArrayLike,
        weights: ArrayLike | None = None,
    ) -> Counts:  # fmt: skip
        """:meth:`count` for the events with ``score >= cut``, for each of ``cuts`` (n_cuts,).

        All cuts in one pass over the events; the counts have shapes (n_cuts, n_bins) and (n_cuts,).
        Masses, scores and weights may be on a GPU, and are then counted there; the counts are the host's.
        """
        mass, score = as_float(masses, "masses"), as_float(scores, "scores")
        check_length(score, "scores", len(mass), "masses")
        given = [] if weights is None else [as_float(weights, "weights")]
        for weight in given:
            check_length(weight, "weights", len(mass), "masses")
        bounds = np.atleast_1d(np.asarray(to_host(cuts), np.float64))
        if bounds.ndim != 1 or np.isnan(bounds).any():
            raise ValueError("cuts must be numbers, one-dimensional")
        slots = kernels.histogram_cuts(
            [mass.astype(np.float64, copy=False)], [self._fill_edges], score, bounds, weights=given
        )
        counts, sumw, sumw2 = (to_host(sums) for sums in slots)
        if weights is None:
            return self._parts(counts[:, 0, 1:-2], None)
        return self._parts(sumw[0, :, 0, 1:-2], sumw2[0, :, 0, 1:-2])

    @property
    def _fill_edges(self) -> Floats:
        # The next number up starts the bins to the right of a border: the border itself is out.
        above = np.nextafter((self.sr_left, self.sr_right), np.inf)
        return np.concatenate([self.left, [above[0], self.sr_right], [above[1]], self.right[1:]])

    def _parts(self, sums: NDArray[Any], squares: NDArray[Any] | None) -> Counts:
        """Bins of ``_fill_edges`` to sidebands and signal region."""
        n = len(self.left) - 1

        def split(bins: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
            values = bins.astype(np.float64)
            return values[..., :n], np.asarray(values[..., n + 1]), values[..., n + 3 :]

        return Counts(*split(sums), None if squares is None else split(squares))
