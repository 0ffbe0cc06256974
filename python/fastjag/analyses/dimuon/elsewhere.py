"""The look-elsewhere effect over all that a search tried, by null experiments that train again.

A search takes the largest of many local significances: of features, cuts, reweighting and windows. How large it is
without a signal, whole searches of data without one say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastjag import batch
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.cuts import RANDOM
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.toys import search_pairs, toy_events
from fastjag.core.checks import at_least
from fastjag.reporting.output import results_directory, write_json
from fastjag.statistics import ToyP, Window, Z_of_log_p
from fastjag.statistics.pvalues import shares_above

#: Makes the pairs of a null experiment: of its number, and a configuration with one of the windows.
Nulls = Callable[[int, DimuonConfig], Mapping[str, WindowPairs]]


def toy_nulls(n_events: int, seed: int = 0) -> Nulls:
    """Toys without a signal, another seed for each number; the windows of one have the same events."""

    def pairs(number: int, config: DimuonConfig) -> Mapping[str, WindowPairs]:
        return toy_events(n_events, signal=0, seed=seed + number, config=config)

    return pairs


def largest_Z(record: Mapping[str, Any], charge_class: str) -> float:
    """The largest local significance of all features, cuts and the reweighting of one search."""
    own = record[charge_class]
    rows = [row for row in record["table"] if row["pairs"] == charge_class]
    best = [row["Z"] for row in rows if row["selection"] in ("best cut", "likelihood reweighting")]
    inclusive = [curve["Z"][0] for name, curve in own["curves"].items() if name != RANDOM]
    return float(max([*best, *inclusive, own["reweighted"]["Z"]]))


def look_elsewhere(
    results: Sequence[DimuonResults], nulls: Nulls, experiments: int, *, keep: Any = None,
    executor: Any = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Global significance of the largest of several searches, by null experiments that are searched as they were.

    Parameters
    ----------
    results
        One search for each window that was tried, of the same data. The first gets the answer, in its folder
        ``elsewhere``; its report shows it when it is made again.
    nulls
        What makes data without a signal, such as :func:`toy_nulls`. Flows and classifiers are trained anew on each.
    experiments
        200 or more, for a p-value: each takes as long as a search without its toys.
    keep, executor
        Of :func:`fastjag.batch.run`: a folder of finished experiments, so that the same call goes on after an interrupt, and
        who works on them.
    seed
        Of the experiments' flows and classifiers.

    Returns ``Z`` (the largest local one of the data), ``maxima`` (experiments,), and ``p_global`` with its central
    68 % interval, of k + 1 of n + 1.
    """
    at_least("experiments", experiments, 1)
    configs = [_plain(r.config) for r in results]
    if not configs:
        raise ValueError("results must have at least one search")
    train_on = configs[0].train_on

    def search(piece: Any) -> dict[str, list[tuple[int, float]]]:
        found = []
        for number in range(piece.start, piece.stop):
            highest = 0.0
            for config in configs:
                with tempfile.TemporaryDirectory() as folder:
                    own = replace(config, seed=seed + number)
                    done = search_pairs(nulls(number, own), own, Path(folder) / "search")
                    highest = max(highest, largest_Z(done.significance, train_on))
            found.append((number, highest))
        return {"maxima": found}

    pieces = batch.simulated(experiments, size=1)
    outcome = batch.run(search, pieces, batch.RANGE, keep=keep, executor=executor)
    maxima = np.array([Z for _, Z in sorted(outcome.value["maxima"])])
    Z = max(largest_Z(r.significance, train_on) for r in results)
    p: ToyP = shares_above(maxima, np.array(Z), seed)
    record = {
        "Z": Z, "maxima": maxima, "experiments": experiments, "above": int(p.above),
        "p_global": float(p.p), "p_low": float(p.low), "p_high": float(p.high),
        "Z_global": float(Z_of_log_p(np.log(p.p))), "seed": seed,
        "windows": [_window(c.window) for c in configs],
    }  # fmt: skip
    with results_directory(results[0].folder("elsewhere")) as directory:
        write_json(directory / "elsewhere.json", record)
    return record


def _plain(config: DimuonConfig) -> DimuonConfig:
    """One fit of each cut."""
    asked = config.significance
    fits = replace(
        asked, degrees=(asked.degree,), edges=(config.window.sr_edges,), toys=0, limits=False
    )
    quiet = replace(config.classifier, pseudo_experiments=0, null_experiments=0)
    return replace(config, significance=fits, classifier=quiet)


def _window(w: Window) -> tuple[float, float, float, float]:
    return w.sb_left, w.sr_left, w.sr_right, w.sb_right
