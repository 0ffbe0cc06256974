"""A signal on a background in bins, with nuisance parameters: the model of intervals and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fastjag.statistics.families import Basis, Family
from fastjag.statistics.likelihood import design_matrix
from fastjag.statistics.windows import Floats, Window


@dataclass(frozen=True)
class Nuisance:
    """An uncertainty of the signal: a parameter alpha, measured elsewhere as 0 with an error of 1.

    Made by :meth:`lognormal`, :meth:`gaussian` or :meth:`shape`.
    """

    name: str
    kappa: float | None = None  #: the signal is kappa^alpha times as large
    up: tuple[float, ...] | None = None  #: change of the signal in every bin at alpha = 1
    down: tuple[float, ...] | None = None  #: and at alpha = -1
    relative: float | None = None  #: the signal is 1 + relative * alpha times as large

    @staticmethod
    def lognormal(name: str, error: float) -> Nuisance:
        """The signal times (1 + ``error``)^alpha: of a luminosity or an efficiency."""
        _above("error", error)
        return Nuisance(name, kappa=1 + float(error))

    @staticmethod
    def gaussian(name: str, error: float) -> Nuisance:
        """The signal times 1 + ``error`` * alpha."""
        _above("error", error)
        return Nuisance(name, relative=float(error))

    @staticmethod
    def shape(name: str, up: ArrayLike, down: ArrayLike) -> Nuisance:
        """The signal as it is at alpha = 1 and -1, in every bin: of a mass scale or a resolution.

        Between and beyond the signal follows HistFactory's code 4p (polynomial of degree 6 between,
        straight lines beyond; K. Cranmer et al., CERN-OPEN-2012-016).
        """
        return Nuisance(name, up=_row(up), down=_row(down))

    def templates(self, signal: Floats) -> tuple[Floats, Floats]:
        """The signal (bins,) at alpha = 1 and -1, of those that are not log-normal."""
        if self.relative is not None:
            return signal * (1 + self.relative), signal * (1 - self.relative)
        return np.asarray(self.up), np.asarray(self.down)


def _above(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be above 0, got {value!r}")


def _row(values: ArrayLike) -> tuple[float, ...]:
    return tuple(np.asarray(values, np.float64).ravel().tolist())


class Expected(NamedTuple):
    """Of models with parameters: what they expect, and its derivatives."""

    counts: Floats  #: (spectra, bins)
    jacobian: Floats  #: (spectra, bins, parameters)


@dataclass(frozen=True, eq=False)
class BinnedModel:
    """A signal of known shape on a background of a :class:`Family`.

    The parameter of interest S counts ``signal``: with a sum of 1 it is a number of events; with a sum
    of luminosity times efficiency it is a cross-section. Parameters are S, alphas, coefficients.

    Made by :meth:`of_window` or :meth:`of_edges`. Raises ValueError for shapes that do not fit.
    """

    low: Floats = field(repr=False)  #: (bins,) edges [GeV]
    high: Floats = field(repr=False)
    signal: Floats = field(repr=False)  #: (bins,) expected events for S = 1
    family: Family
    nuisances: tuple[Nuisance, ...] = ()
    window: Window | None = None  #: that these are the bins of: left, right, signal region

    def __post_init__(self) -> None:
        n = self.bins
        if (
            self.signal.shape != (n,)
            or not np.isfinite(self.signal).all()
            or (self.signal < 0).any()
        ):
            raise ValueError(f"signal must be {n} finite numbers, not negative, one for each bin")
        if self.signal.sum() <= 0:
            raise ValueError("signal must be above 0 in some bin")
        if n <= self.family.parameters:
            raise ValueError(f"{n} bins cannot fix {self.family} and a signal")
        names = [nuisance.name for nuisance in self.nuisances]
        if len(set(names)) < len(names):
            raise ValueError(f"nuisances must have different names, got {names}")
        for nuisance in self.nuisances:
            for part in (nuisance.up, nuisance.down):
                if part is not None and len(part) != n:
                    raise ValueError(
                        f"nuisance {nuisance.name!r} has {len(part)} bins, the model has {n}"
                    )

    @staticmethod
    def of_window(
        window: Window, family: Family, nuisances: Sequence[Nuisance] = (), *, signal: float = 1.0
    ) -> BinnedModel:
        """All of the signal in the signal region, which is one bin, the last.

        The likelihood of ``Family("legendre", degree)`` is that of :func:`significance`: the
        polynomial at the centre of sideband bins, and its integral over the signal region.
        """
        edges = (window.left, window.right, np.array([window.sr_left, window.sr_right]))
        low, high = (
            np.concatenate([e[part] for e in edges]) for part in (slice(-1), slice(1, None))
        )
        only = np.zeros(len(low))
        only[-1] = signal
        return BinnedModel(low, high, only, family, tuple(nuisances), window)

    @staticmethod
    def of_edges(
        edges: ArrayLike, signal: ArrayLike, family: Family, nuisances: Sequence[Nuisance] = ()
    ) -> BinnedModel:
        """Bins in a row: ``edges`` (n + 1,) [GeV], ``signal`` (n,), such as :func:`gaussian_peak`."""
        x = np.asarray(edges, np.float64)
        if x.ndim != 1 or len(x) < 3 or not (np.isfinite(x).all() and (np.diff(x) > 0).all()):
            raise ValueError("edges must be rising numbers, at least three")
        return BinnedModel(x[:-1], x[1:], np.asarray(signal, np.float64), family, tuple(nuisances))

    def with_family(self, family: Family) -> BinnedModel:
        """The same signal on another background."""
        return replace(self, family=family)

    @property
    def bins(self) -> int:
        return len(self.low)

    @property
    def span(self) -> tuple[float, float]:
        """The masses between which x of the families runs from -1 to 1 [GeV]."""
        if self.window is not None:
            return self.window.sb_left, self.window.sb_right
        return float(self.low.min()), float(self.high.max())

    @property
    def width(self) -> float:
        """The width that coefficients are counts of [GeV]."""
        if self.window is not None:
            return self.window.bin_width
        return float(np.median(self.high - self.low))

    @property
    def parameters(self) -> int:
        return 1 + len(self.nuisances) + self.family.parameters

    @cached_property
    def basis(self) -> Basis:
        if self.window is not None and self.family.name == "legendre":
            return Basis(design_matrix(self.window, self.family.order), None, False)
        return self.family.basis(self.low, self.high, self.span, self.width)

    def counts(self, left: ArrayLike, signal: ArrayLike, right: ArrayLike) -> Floats:
        """Counts of a :class:`Window` in the order of the bins of the model: (..., bins)."""
        parts = [np.asarray(x, np.float64) for x in (left, right, np.asarray(signal)[..., None])]
        lead = np.broadcast_shapes(*(p.shape[:-1] for p in parts))
        return np.concatenate([np.broadcast_to(p, (*lead, p.shape[-1])) for p in parts], axis=-1)

    def background(self, coefficients: ArrayLike) -> Floats:
        """Expected background of every bin for coefficients (..., terms): (..., bins)."""
        c = np.asarray(coefficients, np.float64)
        rows, weights, _ = self.basis
        if weights is None:
            return np.asarray(c @ rows.T)
        flat = rows.reshape(-1, rows.shape[-1])
        nodes = np.exp(np.clip(c @ flat.T, -300, 300)).reshape(*c.shape[:-1], *weights.shape)
        return np.asarray((nodes * weights).sum(axis=-1))

    def expected(self, theta: Floats) -> Expected:
        """Of parameters (spectra, parameters)."""
        m = len(self.nuisances)
        S, alpha, c = theta[:, :1], theta[:, 1 : 1 + m], theta[:, 1 + m :]
        J = np.empty((len(theta), self.bins, self.parameters))
        rows, weights, _ = self.basis
        if weights is None:
            background = c @ rows.T
            J[:, :, 1 + m :] = rows
        else:
            flat = rows.reshape(-1, rows.shape[-1])
            nodes = np.exp(np.clip(c @ flat.T, -300, 300)).reshape(len(c), *weights.shape) * weights
            background = nodes.sum(axis=-1)
            J[:, :, 1 + m :] = (nodes.transpose(1, 0, 2) @ rows).transpose(1, 0, 2)
        shape, changes = self._signal(alpha)
        J[:, :, 0] = shape
        J[:, :, 1 : 1 + m] = S[:, :, None] * changes
        return Expected(background + S * shape, J)

    def _signal(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The signal for S = 1, (spectra, bins), and its derivatives (spectra, bins, nuisances)."""
        total = np.broadcast_to(self.signal, (len(alpha), self.bins)).copy()
        changes = np.zeros((len(alpha), self.bins, len(self.nuisances)))
        factor = np.ones((len(alpha), 1))
        for j, nuisance in enumerate(self.nuisances):
            a = alpha[:, j : j + 1]
            if nuisance.kappa is not None:
                factor = factor * nuisance.kappa**a
                continue
            up, down = nuisance.templates(self.signal)
            up, down = up - self.signal, self.signal - down
            S, A = (up + down) / 2, (up - down) / 16
            inside = np.abs(a) <= 1
            t = np.where(inside, a, 0.0)
            change = t * (S + t * A * (15 + t**2 * (-10 + 3 * t**2)))
            slope = S + A * t * (30 + t**2 * (-40 + 18 * t**2))
            beyond = np.where(a > 0, up, down)
            total += np.where(inside, change, a * beyond)
            changes[:, :, j] = np.where(inside, slope, beyond)
        changes *= factor[:, :, None]
        total *= factor
        for j, nuisance in enumerate(self.nuisances):
            if nuisance.kappa is not None:
                changes[:, :, j] = np.log(nuisance.kappa) * total
        return total, changes


def gaussian_peak(edges: ArrayLike, mass: float, width: float, events: float = 1.0) -> Floats:
    """``events`` of a Gaussian peak in the bins between ``edges`` (n + 1,): (n,). Masses in GeV.

    What lies outside of the bins is not counted: efficiency stays honest.

    >>> gaussian_peak([0, 1, 2], 1.0, 10.0).round(3)
    array([0.04, 0.04])
    """
    _above("width", width)
    return np.asarray(
        events * np.diff(special.ndtr((np.asarray(edges, np.float64) - mass) / width))
    )
