"""Toy files of trigger bits whose rates are known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.checks import at_least
from fastjag.io.writer import write_trees

SECONDS = 2**18 / 11245.5  # of a luminosity section


def write_triggers(
    path: str | os.PathLike[str],
    run: int,
    pileup: ArrayLike,
    rates_per_pileup: Mapping[str, float],
    *,
    seed: int = 0,
    first: int = 1,
) -> Path:
    """Write a NanoAOD-format file of one run.

    Parameters
    ----------
    pileup
        Of each luminosity section, the first being number ``first``.
    rates_per_pileup
        Trigger name to its rate [Hz] per unit of pileup, as recorded (after prescales). Counts are
        Poisson with mean rate x pileup x 23.311 s; triggers fire independently.
    seed
        Of the counts; with ``run``, so that runs differ.

    The file has ``Events`` (run, luminosityBlock, event and the bits) and ``LuminosityBlocks`` with
    all sections, those without events too.
    """
    at_least("run", run, 1)
    mu = np.asarray(pileup, np.float64)
    sections = np.arange(first, first + len(mu), dtype=np.uint32)
    rng = np.random.default_rng((seed, run))
    lumi: list[Any] = []
    fired: dict[str, list[Any]] = {name: [] for name in rates_per_pileup}
    for name, rate in rates_per_pileup.items():
        n = rng.poisson(rate * mu * SECONDS)
        lumi.append(np.repeat(sections, n))
        for other, bits in fired.items():
            bits.append(np.full(int(n.sum()), other == name))
    order = np.argsort(np.concatenate(lumi), kind="stable")
    columns = {
        "run": np.full(len(order), run, np.uint32),
        "luminosityBlock": np.concatenate(lumi)[order],
        "event": np.arange(1, len(order) + 1, dtype=np.uint64),
        **{name: np.concatenate(bits)[order] for name, bits in fired.items()},
    }
    blocks = {"run": np.full(len(sections), run, np.uint32), "luminosityBlock": sections}
    return write_trees(path, {"Events": [columns], "LuminosityBlocks": [blocks]})
