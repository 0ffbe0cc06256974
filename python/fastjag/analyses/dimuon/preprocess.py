"""preprocess: features to numbers of order one for flow and classifiers, with an exact inverse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.arrays import as_float, check_length, near_misses

Floats = NDArray[np.float64]

CUSHION = 0.02  # of the range, at either end: values of the other charge class may lie beyond
EPSILON = 1e-4
HEADROOM = 1.2  # factor on positive maxima, for the same reason


@dataclass(frozen=True)
class Scale:
    """Of one feature: logit of its place in the range, then standardised."""

    low: float
    high: float
    mean: float
    std: float

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
        return np.asarray((place - CUSHION) / (1 - 2 * CUSHION) * (self.high - self.low) + self.low)


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
    sidebands.
    """

    scales: dict[str, Scale]
    mass_mean: float
    mass_std: float

    @staticmethod
    def fit(
        features: Mapping[str, ArrayLike], mass: ArrayLike, sideband: NDArray[np.bool_]
    ) -> Preprocessing:
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
            raw = Scale(low, HEADROOM * high if high >= 0 else high, 0.0, 1.0)
            z = raw.forward(x[sideband])
            z = z[np.isfinite(z)]
            if len(z) < 2 or z.std() == 0:
                raise ValueError(
                    f"feature {name!r} does not vary in the sidebands ({len(z)} numbers)"
                )
            scales[name] = Scale(raw.low, raw.high, float(z.mean()), float(z.std()))
        in_sideband = m[sideband]
        if not np.isfinite(in_sideband).all() or in_sideband.std() == 0:
            raise ValueError("the mass must be finite, and not the same in all of the sidebands")
        return Preprocessing(scales, float(in_sideband.mean()), float(in_sideband.std()))

    def transform(self, features: Mapping[str, ArrayLike], mass: ArrayLike) -> Preprocessed:
        """Events of any sample; those that are out of range or not numbers are dropped, counted."""
        for name in self.scales:
            if name not in features:
                raise KeyError(f"no feature {name!r}: {near_misses(name, features)}")
        columns, m = _checked({name: features[name] for name in self.scales}, mass)
        scaled = {name: self.scales[name].forward(x) for name, x in columns.items()}
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

    def scale_mass(self, mass: ArrayLike) -> Floats:
        """Masses [GeV] to standard deviations of the sidebands."""
        return (np.asarray(mass, np.float64) - self.mass_mean) / self.mass_std

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Preprocessing:
        scales = {name: Scale(**scale) for name, scale in content["scales"].items()}
        return Preprocessing(scales, content["mass_mean"], content["mass_std"])


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
