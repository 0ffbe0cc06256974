"""Pairs of one charge class inside the mass window: what flows learn and significances count."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.tables import parquet_columns, read_parquet
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.core.checks import near_misses
from fastjag.statistics import Window


@dataclass(frozen=True)
class WindowPairs:
    """Pairs of one charge class inside the window."""

    mass: Floats  #: (n,) GeV
    features: dict[str, Floats]
    sideband: NDArray[np.bool_]  #: (n,) outside the signal region

    @staticmethod
    def select(mass: Floats, features: Mapping[str, Floats], window: Window) -> WindowPairs:
        """Those with sb_left <= mass < sb_right; the signal region is sr_left <= mass < sr_right."""
        inside = between(mass, window.sb_left, window.sb_right)
        mass = mass[inside]
        sideband = ~between(mass, window.sr_left, window.sr_right)
        return WindowPairs(mass, {name: x[inside] for name, x in features.items()}, sideband)

    @staticmethod
    def read(path: str | os.PathLike[str], config: DimuonConfig) -> WindowPairs:
        """The features of a configuration from a table of ``prepare``, in float64."""
        known = parquet_columns(path)
        for name in config.features:
            if name not in known:
                raise ValueError(f"{path}: no column {name!r}: {near_misses(name, known)}")
        table = read_parquet(path, ["dimu_mass", *config.features])
        columns = {name: values.astype(np.float64) for name, values in table.items()}
        mass = columns["dimu_mass"]
        pairs = WindowPairs.select(mass, {f: columns[f] for f in config.features}, config.window)
        if len(pairs) == 0:
            raise ValueError(
                f"{path}: none of {len(mass)} pairs has a mass between {config.window.sb_left:g} and "
                f"{config.window.sb_right:g} GeV"
            )
        return pairs

    @staticmethod
    def concatenate(parts: Sequence[WindowPairs]) -> WindowPairs:
        return WindowPairs(
            np.concatenate([p.mass for p in parts]),
            {f: np.concatenate([p.features[f] for p in parts]) for f in parts[0].features},
            np.concatenate([p.sideband for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.mass)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> WindowPairs:
        features = {name: x[chosen] for name, x in self.features.items()}
        return WindowPairs(self.mass[chosen], features, self.sideband[chosen])


def between(mass: Floats, low: float, high: float) -> NDArray[np.bool_]:
    """low <= mass < high."""
    return np.asarray((mass >= low) & (mass < high))


def check_bands(pairs: WindowPairs, window: Window, what: str, *, trained: bool = True) -> None:
    """ValueError where signal region or a sideband is empty: there is nothing to learn or fit.

    Where nothing is learned (``trained=False``) one bin of any sideband is enough for a fit.
    """
    if len(pairs) == 0:
        raise ValueError(f"{what}: none in the window has numbers in range in every feature")
    if not trained:
        left, _, right, _ = window.count(pairs.mass)
        if left.sum() + right.sum() == 0:
            raise ValueError(
                f"{what}: no pair has a mass in the sidebands, {window.left[0]:g} to "
                f"{window.sr_left:g} and {window.sr_right:g} to {window.right[-1]:g} GeV"
            )
        return
    for band, low, high in (
        ("the left sideband", window.sb_left, window.sr_left),
        ("the signal region", window.sr_left, window.sr_right),
        ("the right sideband", window.sr_right, window.sb_right),
    ):
        if not between(pairs.mass, low, high).any():
            raise ValueError(
                f"{what}: no pair has a mass in {band}, {low:g} to {high:g} GeV; the masses in the "
                f"window run from {pairs.mass.min():.4g} to {pairs.mass.max():.4g} GeV"
            )
