"""check: can a classifier tell the flows' samples from data where there is no signal?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.models.fold_scores import TreeSettings, fold_scores
from fastjag.models.roc import roc_curve
from fastjag.reporting.output import results_directory, write_json

_SPLITS = 5  # into folds


def check(results: DimuonResults) -> None:
    """Closure in both sidebands together and in each alone."""
    config, preprocessing, drawn = results.config, results.preprocessing, results.samples
    pairs, values = results.trained
    low, high = config.window.sr_left, config.window.sr_right
    record = {}
    for part, sampled, real in (
        ("both sidebands", drawn["sideband_mass"] > 0, pairs.sideband),
        ("left sideband", drawn["sideband_mass"] < low, pairs.mass < low),
        ("right sideband", drawn["sideband_mass"] >= high, pairs.mass >= high),
    ):
        if min(sampled.sum(), real.sum()) < 20:
            continue  # too few to tell anything
        test = closure(
            config.features,
            drawn["sideband"][sampled],
            preprocessing.scale_mass(drawn["sideband_mass"][sampled]),
            values[real],
            preprocessing.scale_mass(pairs.mass[real]),
            seed=config.seed,
            threads=results.threads,
        )
        record[part] = {**asdict(test), "passes": test.passes, "verdict": test.verdict}
    with results_directory(results.folder("check")) as directory:
        write_json(directory / "closure.json", record)


@dataclass(frozen=True)
class Closure:
    """How alike samples and data are in one part of the sidebands; 0.5 is perfect."""

    auc: float  #: of a classifier of the features, out of fold
    auc_error: float  #: if nothing could be told apart
    auc_with_mass: float
    #: Statistic and p-value for each feature and the mass, whose samples follow the data by design.
    ks: dict[str, tuple[float, float]]
    n_data: int
    n_samples: int

    @property
    def passes(self) -> bool:
        """Both areas within 0.02 of 0.5, or within three standard deviations where events are few."""
        allowed = max(0.02, 3 * self.auc_error)
        return abs(self.auc - 0.5) <= allowed and abs(self.auc_with_mass - 0.5) <= allowed

    @property
    def verdict(self) -> str:
        """In words, with the uncertainty."""
        worse = max(self.auc, self.auc_with_mass, key=lambda auc: abs(auc - 0.5))
        pull = (worse - 0.5) / self.auc_error
        said = "samples describe the data" if self.passes else "samples differ from the data"
        return f"{said}: {worse:.4f} +- {self.auc_error:.4f}, {pull:+.1f} sigma from 0.5"


def closure(
    names: tuple[str, ...],
    samples: Floats,
    sample_mass: Floats,
    data: Floats,
    data_mass: Floats,
    *,
    settings: TreeSettings | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Closure:
    """Compare (n, F) samples with (m, F) data, all preprocessed, cross-validated in folds."""
    chosen = settings or TreeSettings.preset("fast", members=1)
    inside = np.ones(len(data), bool)

    is_data = np.arange(len(samples) + len(data)) >= len(samples)

    def auc(x: Floats, y: Floats) -> float:
        """The mean over several ways to draw the folds: one alone moves it by more than its error."""
        areas = []
        for split in range(_SPLITS):
            scores = fold_scores(
                x, y, inside, settings=chosen, seed=_SPLITS * seed + split,
                threads=threads, progress=False,
            )  # fmt: skip
            areas.append(roc_curve(is_data, np.concatenate([scores.background, scores.data])).area)
        return float(np.mean(areas))

    return Closure(
        auc=auc(samples, data),
        auc_error=auc_error(len(samples), len(data)),
        auc_with_mass=auc(
            np.column_stack([samples, sample_mass]), np.column_stack([data, data_mass])
        ),
        ks={
            name: _ks(x, y)
            for name, x, y in zip(
                (*names, "dimu_mass"), (*samples.T, sample_mass), (*data.T, data_mass), strict=True
            )
        },
        n_data=len(data),
        n_samples=len(samples),
    )


def _ks(x: Floats, y: Floats) -> tuple[float, float]:
    test = stats.ks_2samp(x, y)
    return float(test.statistic), float(test.pvalue)


def auc_error(n: int, m: int) -> float:
    """Standard deviation of the area where both have one distribution (Mann and Whitney, 1947)."""
    return float(np.sqrt((n + m + 1) / (12 * n * m)))
