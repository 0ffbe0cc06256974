"""classify: scores of data, of bootstrapped data, and of data that the flows made."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.models.flow import ConditionalFlow
from fastjag.models.fold_scores import FoldScores, TreeSettings, fold_scores
from fastjag.reporting.output import new_file
from fastjag.reporting.progress import progress_bar

_BOOTSTRAP, _NULL = 1, 2  # kinds of experiments, for their random numbers
_NULL_SEEDS = 100_000  # classifiers of null runs: seeds from here on


class Sample(NamedTuple):
    """Events as classifiers see them."""

    values: Floats  #: (n, F) preprocessed
    mass: Floats  #: (n,) GeV


class Experiment(NamedTuple):
    """What classifiers say about one data set that stands for the data."""

    number: int
    data: Sample
    rows: NDArray[np.int64]  #: the event of the real data that each is a copy of; -1: of none
    scores: Floats
    folds: NDArray[np.int64]
    other_rows: NDArray[np.int64]  #: the same of the other charge class, which nothing learned from
    other_scores: Floats


@dataclass(frozen=True)
class Classifier:
    """Ensembles that tell data in the signal region from what the flows expect there.

    With ``latent``, events are mapped to the normally distributed variables of a flow, where the
    background is a standard normal whatever the mass (LaCATHODE, arXiv:2210.14924); flows share the
    members, and scores are means over the flows.
    """

    background: Sample  #: what the flows expect in the signal region
    flows: Sequence[ConditionalFlow]
    preprocessing: Preprocessing
    settings: TreeSettings
    latent: bool = False
    device: str = "cpu"
    threads: int | None = None

    def score(
        self,
        data: Sample,
        inside: NDArray[np.bool_],
        others: Mapping[str, Sample],
        *,
        seed: int,
        copies_of: NDArray[np.int64] | None = None,
        progress: bool | None = None,
    ) -> FoldScores:
        """Scores of ``data``, out of fold, of the background and ``others``."""
        if not self.latent:
            return self._fold_scores(
                self.background.values, data.values, inside,
                {name: sample.values for name, sample in others.items()},
                self.settings, seed, copies_of, progress,
            )  # fmt: skip
        members = max(1, round(self.settings.members / len(self.flows)))
        # Real draws of the flows are scored like any events; nothing is learned from them here.
        everything = {**others, "background": self.background}
        found = [
            self._fold_scores(
                np.random.default_rng([seed, i]).normal(size=self.background.values.shape),
                self._latent(flow, data), inside,
                {name: self._latent(flow, sample) for name, sample in everything.items()},
                replace(self.settings, members=members), seed, copies_of, progress,
            )
            for i, flow in enumerate(self.flows)
        ]  # fmt: skip
        mean = {name: np.mean([f.others[name] for f in found], axis=0) for name in everything}
        return FoldScores(
            np.mean([f.data for f in found], axis=0), mean.pop("background"), mean, found[0].folds,
            [rounds for f in found for rounds in f.best_rounds],
            [losses for f in found for losses in f.losses],
        )  # fmt: skip

    def _latent(self, flow: ConditionalFlow, sample: Sample) -> Floats:
        return flow.latent(sample.values, self.preprocessing.scale_mass(sample.mass))

    def _fold_scores(
        self, background: Floats, data: Floats, inside: NDArray[np.bool_],
        others: dict[str, Floats], settings: TreeSettings, seed: int,
        copies_of: NDArray[np.int64] | None, progress: bool | None,
    ) -> FoldScores:  # fmt: skip
        return fold_scores(
            background, data, inside, others=others, copies_of=copies_of, settings=settings,
            seed=seed, device=self.device, threads=self.threads, progress=progress,
        )  # fmt: skip


def bootstrap(
    classifier: Classifier, data: Sample, other: Sample, inside: NDArray[np.bool_],
    number: int, seed: int,
) -> Experiment:  # fmt: skip
    """Data and the other charge class, each drawn again with replacement, all bands together.

    Copies of an event share a fold (published scores let classifiers learn from copies of the events
    that they score). The flows' samples stay as they are.
    """
    rng = np.random.default_rng([seed, _BOOTSTRAP, number])
    rows = rng.integers(len(data.mass), size=len(data.mass))
    other_rows = rng.integers(len(other.mass), size=len(other.mass))
    drawn = Sample(data.values[rows], data.mass[rows])
    found = classifier.score(
        drawn, inside[rows],
        {"other": Sample(other.values[other_rows], other.mass[other_rows])},
        seed=seed + number, copies_of=rows, progress=False,
    )  # fmt: skip
    return Experiment(
        number, drawn, rows, found.data, found.folds, other_rows, found.others["other"]
    )


def null_run(
    classifier: Classifier, data: Sample, inside: NDArray[np.bool_], number: int, seed: int
) -> Experiment:
    """Data that the flows made (:func:`samples.draw_null`) in place of real ones."""
    found = classifier.score(data, inside, {}, seed=seed + _NULL_SEEDS + number, progress=False)
    none = np.full(len(data.mass), -1)
    return Experiment(number, data, none, found.data, found.folds, none[:0], np.empty(0))


def null_seed(number: int, seed: int) -> int:
    """For the events of a null run."""
    return int(np.random.SeedSequence([seed, _NULL, number]).generate_state(1)[0])


def remembered(
    folder: Path, kind: str, n: int, key: str, make: Callable[[int], Experiment],
    progress: bool | None,
) -> list[Experiment]:  # fmt: skip
    """Experiments 1 to n; those that an interrupted run left in ``folder`` are not made again.

    ``key`` says what they were made from: files of something else, and damaged ones, do not count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    experiments = []
    with progress_bar(f"{kind} experiments", n, progress) as advance:
        for number in range(1, n + 1):
            path = folder / f"{kind}{number}.npz"
            experiment = _read(path, key)
            if experiment is None:
                experiment = make(number)
                content = experiment._asdict() | experiment.data._asdict()
                content.pop("data")
                with new_file(path) as partial:
                    np.savez(partial, key=np.array(key), **content)
            experiments.append(experiment)
            advance(1)
    return experiments


def _read(path: Path, key: str) -> Experiment | None:
    try:
        with open(path, "rb") as file, np.load(file) as content:
            if str(content["key"]) != key:
                return None
            found = {name: content[name] for name in content.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    data = Sample(found["values"], found["mass"])
    return Experiment(
        int(found["number"]), data, found["rows"], found["scores"], found["folds"],
        found["other_rows"], found["other_scores"],
    )  # fmt: skip


def digest(*parts: object) -> str:
    """Of arrays by their content and of anything else by what it prints."""
    total = blake2b(digest_size=16)
    for part in parts:
        data = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part)
        total.update(data if isinstance(data, bytes) else data.encode())
    return total.hexdigest()
