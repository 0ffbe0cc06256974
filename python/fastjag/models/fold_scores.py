"""Ensembles of boosted trees that tell data from background, every event scored out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xgboost
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_mask, check_finite, check_length
from fastjag.core.checks import at_least, one_of
from fastjag.kernels import get_num_threads
from fastjag.models.boosted_trees import train_booster
from fastjag.models.training_device import training_device
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TreeSettings:
    """Folds, members and XGBoost's parameters. ``PRESETS`` holds those of the paper and fast ones."""

    folds: int = 5
    members: int = 100  #: trained on each fold, with different seeds; their scores are averaged
    rounds: int = 300
    early_stopping_rounds: int = 10
    max_depth: int = 3
    learning_rate: float = 0.1
    subsample: float = 0.7

    @staticmethod
    def preset(name: str, **changes: Any) -> TreeSettings:
        """Those of ``PRESETS``, with some of them changed."""
        return replace(PRESETS[one_of("settings", name, tuple(PRESETS))], **changes)


#: "paper": that of arXiv:2502.14036. Its predictions left out the best tree of each member; ours
#: end with it.
PRESETS = {"paper": TreeSettings(), "fast": TreeSettings(members=5, rounds=100)}


@dataclass
class FoldScores:
    """Probability of being data, from members that did not learn from the event."""

    data: Floats  #: (n_events,)
    background: Floats  #: (n_background,)
    others: dict[str, Floats]  #: samples that nothing was learned from
    folds: NDArray[np.int64]  #: (n_events,) the fold whose members scored the event
    best_rounds: list[list[int]]  #: of every member of every fold
    losses: list[dict[str, list[float]]] = field(default_factory=list)  #: of each fold's first one


def fold_scores(
    background: ArrayLike,
    data: ArrayLike,
    signal_region: ArrayLike,
    *,
    others: Mapping[str, ArrayLike] | None = None,
    copies_of: ArrayLike | None = None,
    settings: TreeSettings | str = "paper",
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | None = None,
) -> FoldScores:
    """Train classifiers of data against background in k folds, and score everything.

    Parameters
    ----------
    background
        (n_background, F): what the signal region would hold without signal, such as flow samples.
    data
        (n_events, F): signal region and sidebands.
    signal_region
        Boolean (n_events,): the events to learn from; the others are only scored.
    others
        Further samples, (n, F) each, that are only scored, a fold's share by each fold's members.
    copies_of
        Integers (n_events,): events of data with the same number are copies of one, as in a
        bootstrap sample, and share a fold: none of them is scored by what learned from another.
    settings
        A :class:`TreeSettings` or the name of a preset, "paper" or "fast".
    seed
        Of the folds and the members.
    device
        "cpu", or "cuda" where XGBoost has one. On the CPU members are trained side by side.

    Of fold i the test events are its own, the validation events (for early stopping) those of fold
    i - 1, the rest is for training. Data and background get the same total weight.

    Raises ValueError for tables whose shapes differ or that are not finite, and for fewer events
    than folds.
    """
    if isinstance(settings, str):
        settings = TreeSettings.preset(settings)
    k = at_least("folds", settings.folds, 3)
    at_least("members", settings.members, 1)
    table = _table(data, "data", None)
    drawn = _table(background, "background", table.shape[1])
    more = {n: _table(x, f"others[{n!r}]", table.shape[1]) for n, x in (others or {}).items()}
    inside = as_mask(signal_region, "signal_region", len(table), "events")
    device = training_device(device, "xgboost")
    number = np.arange(len(table)) if copies_of is None else np.asarray(copies_of)
    check_length(number, "copies_of", len(table), "events")
    for name, n in (
        ("background", len(drawn)), ("the signal region", len(np.unique(number[inside]))),
    ):  # fmt: skip
        if n < k:
            raise ValueError(f"{name} has {n} events, fewer than the {k} folds")
    rng = np.random.default_rng(seed)
    of_background = _draw_folds(np.ones(len(drawn), bool), k, rng)
    # Signal region and sidebands apart, so that every fold has its share of both.
    of_data = np.where(
        inside, _draw_folds(inside, k, rng, copies_of), _draw_folds(~inside, k, rng, copies_of)
    )
    samples = [(table, of_data), (drawn, of_background)]
    samples += [(x, _draw_folds(np.ones(len(x), bool), k, rng)) for x in more.values()]
    scores = [np.empty(len(x)) for x, _ in samples]
    best_rounds, losses = [], []

    def events_in(*folds: int) -> tuple[Floats, Floats]:
        return drawn[np.isin(of_background, folds)], table[inside & np.isin(of_data, folds)]

    with progress_bar("classifiers", k * settings.members, progress) as advance:
        for fold in range(k):
            validation = (fold - 1) % k
            means, rounds, curves = _train_members(
                events_in(*({*range(k)} - {fold, validation})), events_in(validation),
                [x[of_sample == fold] for x, of_sample in samples], settings,
                (seed * k + fold) * settings.members, device, get_num_threads(threads), advance,
            )  # fmt: skip
            for score, (_, of_sample), mean in zip(scores, samples, means, strict=True):
                score[of_sample == fold] = mean
            best_rounds.append(rounds)
            losses.append(curves)
    others_scores = dict(zip(more, scores[2:], strict=True))
    return FoldScores(scores[0], scores[1], others_scores, of_data, best_rounds, losses)


def _train_members(
    training: tuple[Floats, Floats],
    held: tuple[Floats, Floats],
    tests: Sequence[Floats],
    settings: TreeSettings,
    first_seed: int,
    device: str,
    threads: int,
    advance: Any,
) -> tuple[list[Floats], list[int], dict[str, list[float]]]:
    """Mean scores of all members of one fold, their best rounds, losses of the first."""
    weight = len(training[0]) / len(training[1])
    train = _label(*training, weight)
    validation = _label(*held, weight, train)
    matrices = [xgboost.DMatrix(x) for x in tests]

    def member(i: int) -> tuple[list[Floats], int, dict[str, Any]]:
        losses: dict[str, Any] = {}
        booster = train_booster(
            train, settings.rounds, None, seed=first_seed + i + 1, device=device,
            threads=1 if device == "cpu" else threads,
            evals=[(train, "train")] * (i == 0) + [(validation, "validation")],
            evals_result=losses, early_stopping_rounds=settings.early_stopping_rounds,
            max_depth=settings.max_depth, learning_rate=settings.learning_rate,
            subsample=settings.subsample,
        )  # fmt: skip
        best = booster.best_iteration + 1
        scores = [booster.predict(m, iteration_range=(0, best)).astype("f8") for m in matrices]
        advance(1)
        return scores, best, losses

    with ThreadPoolExecutor(threads if device == "cpu" else 1) as pool:
        scores, rounds, losses = zip(*pool.map(member, range(settings.members)), strict=True)
    means = [np.mean(of_members, axis=0) for of_members in zip(*scores, strict=True)]
    curves = {part: [float(x) for x in curve["logloss"]] for part, curve in losses[0].items()}
    return means, list(rounds), curves


def _label(
    background: Floats, data: Floats, weight: float, reference: Any = None
) -> xgboost.QuantileDMatrix:
    return xgboost.QuantileDMatrix(
        np.concatenate([background, data]),
        np.repeat([0.0, 1.0], [len(background), len(data)]),
        weight=np.repeat([1.0, weight], [len(background), len(data)]),
        ref=reference,
    )


def _draw_folds(
    rows: NDArray[np.bool_], k: int, rng: np.random.Generator, copies_of: ArrayLike | None = None
) -> NDArray[np.int64]:
    """A fold for each of the rows that count, at random and equally full; -1 for the others."""
    folds = np.full(len(rows), -1)
    which: Any = slice(None)
    n = int(rows.sum())
    if copies_of is not None:
        different, which = np.unique(np.asarray(copies_of)[rows], return_inverse=True)
        n = len(different)
    folds[rows] = rng.permutation(np.arange(n) % k)[which]
    return folds


def _table(values: ArrayLike, name: str, columns: int | None) -> Floats:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] == 0 or columns not in (None, table.shape[1]):
        wanted = "F" if columns is None else columns
        raise ValueError(f"{name} must have shape (n, {wanted}), got {table.shape}")
    check_finite(table, name)
    return table
