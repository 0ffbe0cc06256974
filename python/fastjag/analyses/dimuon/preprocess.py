"""preprocess: features to numbers of order one for flow and classifiers, with an exact inverse.

Integers (n_jets, triggers, charges) are dequantised: a flow is a density, and a classifier would
tell its numbers from integers at once. Uniform noise as wide as their step makes numbers of them
before anything is learned, in data and in samples alike, and the inverse takes it off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_float, check_length
from fastjag.core.checks import near_misses

Floats = NDArray[np.float64]

CUSHION = 0.02  # of the range, at either end: values of the other charge class may lie beyond
EPSILON = 1e-4
HEADROOM = 1.2  # factor on positive maxima, for the same reason
_NOISE = 1 << 20  # different values of the noise, none so near to its ends that rounding matters
_REPEATED = 10  # values that are no integers, but repeat as often as this, are discrete, too


@dataclass(frozen=True)
class Scale:
    """Of one feature: logit of its place in the range, then standardised.

    Discrete features are ``start`` + k ``step`` with integers k from 0 to ``last``.
    """

    low: float
    high: float
    mean: float
    std: float
    step: float = 0.0  #: 0: not discrete
    start: float = 0.0
    last: int = 0

    def smear(self, x: Floats, noise: Floats) -> Floats:
        """Discrete values with noise, uniform from 0 to 1, spread over the cells around them."""
        return x + self.step * (noise - 0.5) if self.step else x

    def round(self, x: Floats) -> Floats:
        """The nearest of the discrete values; x itself where the feature is not discrete."""
        if not self.step:
            return x
        k = np.clip(np.rint((x - self.start) / self.step), 0, self.last)
        return np.asarray(self.start + self.step * k)

    def forward(self, x: Floats) -> Floats:
        """NaN where ``x`` is so far out of the range that it has no logit."""
        place = (1 - 2 * CUSHION) * (x - self.low) / (self.high - self.low) + CUSHION
        with np.errstate(all="ignore"):
            z = np.log(place / (1 - place + EPSILON))
        return np.asarray((z - self.mean) / self.std)

    def inverse(self, z: Floats) -> Floats:
        # The published inverse leaves out 1 + EPSILON, which shifts values by 1e-4 of the range.
        odds = np.exp(-np.abs(z * self.std + self.mean))  # never overflows
        share = np.where(z * self.std + self.mean < 0, odds, 1) / (1 + odds)
        place = (1 + EPSILON) * share
        x = (place - CUSHION) / (1 - 2 * CUSHION) * (self.high - self.low) + self.low
        return self.round(np.asarray(x))


class Preprocessed(NamedTuple):
    """Rows that are numbers in every column, and what became of the others."""

    values: Floats  #: (n_kept, n_features)
    mass: Floats  #: (n_kept,) standardised
    kept: NDArray[np.bool_]  #: (n_events,)
    dropped: dict[str, int]  #: events dropped for each column; an event may count for several


@dataclass(frozen=True)
class Preprocessing:
    """What :meth:`fit` learned; the same for every sample that is compared with the first.

    Each feature: range from all events (a positive maximum times 1.2), shrunk by 2 % at either end,
    logit, then zero mean and unit variance in the sidebands. The mass is standardised in the
    sidebands. Discrete features (integers, truth values, and what lies on a grid of few values) are
    dequantised first, with noise that depends on ``seed``, the feature, the number of events and
    the place among them: the same table has the same noise whenever it is read.
    """

    scales: dict[str, Scale]
    mass_mean: float
    mass_std: float
    seed: int = 0

    @staticmethod
    def fit(
        features: Mapping[str, ArrayLike], mass: ArrayLike, sideband: NDArray[np.bool_],
        seed: int = 0,
    ) -> Preprocessing:  # fmt: skip
        """From columns of equal length; ``sideband`` (n_events,) marks the events outside the peak.

        Raises ValueError naming the feature that is constant or never a number, and where the
        sidebands are empty.
        """
        columns, m = _checked(features, mass)
        check_length(sideband, "sideband", len(m), "events")
        if not sideband.any():
            raise ValueError(f"none of the {len(m)} events is in the sidebands")
        scales = {}
        for name, x in columns.items():
            numbers = x[np.isfinite(x)]
            if len(numbers) == 0:
                raise ValueError(
                    f"feature {name!r} is not a finite number in any of {len(x)} events"
                )
            low, high = float(numbers.min()), float(numbers.max())
            if low == high:
                raise ValueError(f"feature {name!r} has the same value {low:g} in all events")
            step, last = _grid(numbers)
            high += step / 2
            raw = Scale(
                low - step / 2, HEADROOM * high if high >= 0 else high, 0.0, 1.0, step, low, last
            )
            z = raw.forward(raw.smear(x, _noise(seed, name, len(x)))[sideband])
            z = z[np.isfinite(z)]
            if len(z) < 2 or z.std() == 0:
                raise ValueError(
                    f"feature {name!r} does not vary in the sidebands ({len(z)} numbers)"
                )
            scales[name] = replace(raw, mean=float(z.mean()), std=float(z.std()))
        in_sideband = m[sideband]
        if not np.isfinite(in_sideband).all() or in_sideband.std() == 0:
            raise ValueError("the mass must be finite, and not the same in all of the sidebands")
        return Preprocessing(scales, float(in_sideband.mean()), float(in_sideband.std()), seed)

    def transform(self, features: Mapping[str, ArrayLike], mass: ArrayLike) -> Preprocessed:
        """Events of any sample; those that are out of range or not numbers are dropped, counted."""
        for name in self.scales:
            if name not in features:
                raise KeyError(f"no feature {name!r}: {near_misses(name, features)}")
        columns, m = _checked({name: features[name] for name in self.scales}, mass)
        scaled = {
            name: scale.forward(scale.smear(columns[name], _noise(self.seed, name, len(m))))
            for name, scale in self.scales.items()
        }
        scaled["mass"] = self.scale_mass(m)
        good = {name: np.isfinite(x) for name, x in scaled.items()}
        kept = np.logical_and.reduce(list(good.values()))
        dropped = {name: int((~g).sum()) for name, g in good.items() if not g.all()}
        values = np.stack([scaled[name][kept] for name in self.scales], axis=1)
        return Preprocessed(values, scaled["mass"][kept], kept, dropped)

    def inverse(self, values: ArrayLike) -> dict[str, Floats]:
        """Features as they were, from (n, n_features)."""
        z = np.asarray(values, np.float64)
        if z.ndim != 2 or z.shape[1] != len(self.scales):
            raise ValueError(f"values must have shape (n, {len(self.scales)}), got {z.shape}")
        return {name: s.inverse(z[:, i]) for i, (name, s) in enumerate(self.scales.items())}

    def without_noise(self, values: ArrayLike) -> Floats:
        """Preprocessed values (n, n_features) with discrete features at the middle of their cells."""
        z = np.array(values, np.float64)
        for i, scale in enumerate(self.scales.values()):
            if scale.step:
                z[:, i] = scale.forward(scale.inverse(z[:, i]))
        return z

    def with_noise(self, values: ArrayLike, draw: str = "") -> Floats:
        """Draws of a flow (n, n_features) with discrete features spread over their cells as in data.

        A flow's own draws are not uniform in a cell, by which a classifier would know them. Draws of
        as many events share their noise unless ``draw`` names them apart.
        """
        z = np.array(values, np.float64)
        for i, (name, scale) in enumerate(self.scales.items()):
            if scale.step:
                noise = _noise(self.seed, name + draw, len(z))
                z[:, i] = scale.forward(scale.smear(scale.inverse(z[:, i]), noise))
        return z

    @property
    def discrete(self) -> tuple[str, ...]:
        """Names of the features that are dequantised."""
        return tuple(name for name, scale in self.scales.items() if scale.step)

    def scale_mass(self, mass: ArrayLike) -> Floats:
        """Masses [GeV] to standard deviations of the sidebands."""
        return (np.asarray(mass, np.float64) - self.mass_mean) / self.mass_std

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Preprocessing:
        scales = {name: Scale(**scale) for name, scale in content["scales"].items()}
        return Preprocessing(
            scales, content["mass_mean"], content["mass_std"], content.get("seed", 0)
        )


def _grid(numbers: Floats) -> tuple[float, int]:
    """Step and number of steps of discrete values, (0, 0) of others."""
    values = np.unique(numbers)
    apart = np.diff(values)
    if (values == np.rint(values)).all() and np.abs(values).max() < 2**53:
        step = float(np.gcd.reduce(apart.astype(np.int64)))
    else:
        step = float(apart.min())
        away = apart / step - np.rint(apart / step)
        if len(values) * _REPEATED > len(numbers) or np.abs(away).max() > 1e-3:
            return 0.0, 0
    return step, int(np.rint((values[-1] - values[0]) / step))


def _noise(seed: int, name: str, n: int) -> Floats:
    """Uniform between 0 and 1, (n,)."""
    rng = np.random.default_rng([seed, crc32(name.encode()), n])
    return (rng.integers(_NOISE, size=n) + 0.5) / _NOISE


def _checked(
    features: Mapping[str, ArrayLike], mass: ArrayLike
) -> tuple[dict[str, Floats], Floats]:
    m = as_float(mass, "mass").astype(np.float64, copy=False)
    columns = {}
    for name, values in features.items():
        columns[name] = as_float(values, f"feature {name!r}").astype(np.float64, copy=False)
        check_length(columns[name], f"feature {name!r}", len(m), "masses")
    if not columns:
        raise ValueError("there must be at least one feature")
    return columns, m
