"""Toys of two classes with known differences, and their importances."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.analyses.importance.results import Importances
from fastjag.analyses.importance.run import run
from fastjag.reporting.output import results_directory

TOY_FEATURES = ("shift", "copy of shift", "width", "product a", "product b", "noise a", "noise b")


def toy_table(n: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Two classes whose differences are known; columns of ``TOY_FEATURES``, "label", "weight".

    shift
        normal; its mean is 0.8 higher in class 1.
    copy of shift
        shift and an independent normal of width 0.3.
    width
        normal, twice as wide in class 1: only its square tells.
    product a, product b
        normal; their product is positive in class 1 and negative in class 0, but for 20 % of the
        events. Each alone tells nothing.
    noise a, noise b
        nothing; noise b is exponential with a mean of 50 (GeV, say).
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    shift = rng.normal(size=n) + 0.8 * label
    a, b = np.abs(rng.normal(size=(2, n)))
    sign = rng.choice([-1, 1], size=n)
    right = rng.random(n) < 0.8
    columns: Sequence[NDArray[Any]] = (
        shift,
        shift + rng.normal(scale=0.3, size=n),
        rng.normal(size=n) * (1 + label),
        a * sign,
        b * sign * np.where(right, 2 * label - 1, 1 - 2 * label),
        rng.normal(size=n),
        rng.exponential(50.0, size=n),
    )
    table = dict(zip(TOY_FEATURES, columns, strict=True))
    return {**table, "label": label, "weight": rng.exponential(size=n)}


def demo(
    out: str | os.PathLike[str], *, events: int, seed: int, progress: bool | None = None
) -> Importances:
    """Write ``toys.parquet`` and compare the importances of its columns."""
    path = Path(out) / "toys.parquet"
    with results_directory(out) as directory:
        write_parquet(directory / path.name, toy_table(events, seed))
    config = ImportanceConfig(table=str(path), label="label", weight="weight", seed=seed)
    return run(config, out, progress=progress)
