"""Pseudo-experiments: bootstrapped data, and data that the flows made, scored like the real ones."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.classifier import CathodeClassifier, ClassifierInput
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.reporting.output import new_file
from fastjag.reporting.progress import progress_bar

_BOOTSTRAP, _NULL = 1, 2  # kinds of experiments, for their random numbers
_NULL_SEEDS = 100_000  # classifiers of null runs: seeds from here on


class Experiment(NamedTuple):
    """What classifiers say about one data set that stands for the data."""

    number: int
    data: ClassifierInput
    rows: NDArray[np.int64]  #: the event of the real data that each is a copy of; -1: of none
    scores: Floats
    folds: NDArray[np.int64]
    other_rows: NDArray[np.int64]  #: the same of the other charge class, which nothing learned from
    other_scores: Floats


def bootstrap(
    classifier: CathodeClassifier, data: ClassifierInput, other: ClassifierInput, inside: NDArray[np.bool_],
    number: int, seed: int,
) -> Experiment:  # fmt: skip
    """Data and the other charge class, each drawn again with replacement, all bands together.

    Copies of an event share a fold (published scores let classifiers learn from copies of the events
    that they score). The flows' samples stay as they are.
    """
    rng = np.random.default_rng([seed, _BOOTSTRAP, number])
    rows = rng.integers(len(data.mass), size=len(data.mass))
    other_rows = rng.integers(len(other.mass), size=len(other.mass))
    drawn = ClassifierInput(data.values[rows], data.mass[rows])
    scored = classifier.score(
        drawn, inside[rows],
        {"other": ClassifierInput(other.values[other_rows], other.mass[other_rows])},
        seed=seed + number, copies_of=rows, progress=False,
    )  # fmt: skip
    return Experiment(
        number, drawn, rows, scored.data, scored.folds, other_rows, scored.others["other"]
    )


def null_run(
    classifier: CathodeClassifier,
    data: ClassifierInput,
    inside: NDArray[np.bool_],
    number: int,
    seed: int,
) -> Experiment:
    """Data that the flows made (:func:`samples.draw_null`) in place of real ones."""
    scored = classifier.score(data, inside, {}, seed=seed + _NULL_SEEDS + number, progress=False)
    none = np.full(len(data.mass), -1)
    return Experiment(number, data, none, scored.data, scored.folds, none[:0], np.empty(0))


def null_seed(number: int, seed: int) -> int:
    """For the events of a null run."""
    return int(np.random.SeedSequence([seed, _NULL, number]).generate_state(1)[0])


def make_or_reuse(
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
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    data = ClassifierInput(arrays.pop("values"), arrays.pop("mass"))
    del arrays["key"]
    return Experiment(data=data, **arrays | {"number": int(arrays["number"])})


def digest(*parts: object) -> str:
    """Of arrays by their content and of anything else by what it prints."""
    total = blake2b(digest_size=16)
    for part in parts:
        data = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part)
        total.update(data if isinstance(data, bytes) else data.encode())
    return total.hexdigest()
