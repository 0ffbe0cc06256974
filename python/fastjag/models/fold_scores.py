"""Ensembles of boosted trees that tell data from background, every event scored out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xgboost
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_mask, check_length
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
    of_background = _folds(np.ones(len(drawn), bool), k, rng)
    # Signal region and sidebands apart, so that every fold has its share of both.
    of_data = np.where(
        inside, _folds(inside, k, rng, copies_of), _folds(~inside, k, rng, copies_of)
    )
    of_others = {name: _folds(np.ones(len(x), bool), k, rng) for name, x in more.items()}
    result = FoldScores(
        np.empty(len(table)),
        np.empty(len(drawn)),
        {name: np.empty(len(x)) for name, x in more.items()},
        of_data,
        [],
    )
    with progress_bar("classifiers", k * settings.members, progress) as advance:
        for fold in range(k):
            validation = (fold - 1) % k
            parts = {
                part: (drawn[of_sample[0]], table[inside & of_sample[1]])
                for part, of_sample in (
                    ("train", _rest(of_background, of_data, fold, validation)),
                    ("validation", (of_background == validation, of_data == validation)),
                )
            }
            tests = {"": table[of_data == fold], "background": drawn[of_background == fold]}
            tests |= {f" {name}": x[of_others[name] == fold] for name, x in more.items()}
            scores, rounds, losses = _train_members(
                parts, tests, settings, seed * k * settings.members + fold * settings.members,
                device, get_num_threads(threads), advance,
            )  # fmt: skip
            result.data[of_data == fold] = scores[""]
            result.background[of_background == fold] = scores["background"]
            for name in more:
                result.others[name][of_others[name] == fold] = scores[f" {name}"]
            result.best_rounds.append(rounds)
            result.losses.append(losses)
    return result


def _train_members(
    parts: Mapping[str, tuple[Floats, Floats]],
    tests: Mapping[str, Floats],
    settings: TreeSettings,
    first_seed: int,
    device: str,
    threads: int,
    advance: Any,
) -> tuple[dict[str, Floats], list[int], dict[str, list[float]]]:
    """Mean scores of all members of one fold, their best rounds, losses of the first."""
    weight = len(parts["train"][0]) / len(parts["train"][1])
    train = _labelled(*parts["train"], weight)
    validation = _labelled(*parts["validation"], weight, train)
    matrices = {name: xgboost.DMatrix(x) for name, x in tests.items()}

    def member(i: int) -> tuple[dict[str, Floats], int, dict[str, Any]]:
        losses: dict[str, Any] = {}
        booster = train_booster(
            train, settings.rounds, None, seed=first_seed + i + 1, device=device,
            threads=1 if device == "cpu" else threads,
            evals=[(train, "train")] * (i == 0) + [(validation, "validation")], losses=losses,
            early_stopping_rounds=settings.early_stopping_rounds, max_depth=settings.max_depth,
            learning_rate=settings.learning_rate, subsample=settings.subsample,
        )  # fmt: skip
        best = booster.best_iteration + 1
        scores = {
            name: booster.predict(m, iteration_range=(0, best)).astype(np.float64)
            for name, m in matrices.items()
        }
        advance(1)
        return scores, best, losses

    with ThreadPoolExecutor(threads if device == "cpu" else 1) as pool:
        done = list(pool.map(member, range(settings.members)))
    mean = {name: np.mean([scores[name] for scores, _, _ in done], axis=0) for name in tests}
    losses = {part: [float(x) for x in curve["logloss"]] for part, curve in done[0][2].items()}
    return mean, [best for _, best, _ in done], losses


def _labelled(
    background: Floats, data: Floats, weight: float, reference: Any = None
) -> xgboost.QuantileDMatrix:
    return xgboost.QuantileDMatrix(
        np.concatenate([background, data]),
        np.repeat([0.0, 1.0], [len(background), len(data)]),
        weight=np.repeat([1.0, weight], [len(background), len(data)]),
        ref=reference,
    )


def _folds(
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


def _rest(
    of_background: NDArray[np.int64], of_data: NDArray[np.int64], *without: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return ~np.isin(of_background, without), ~np.isin(of_data, without)


def _table(values: ArrayLike, name: str, columns: int | None) -> Floats:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] == 0 or columns not in (None, table.shape[1]):
        wanted = "F" if columns is None else columns
        raise ValueError(f"{name} must have shape (n, {wanted}), got {table.shape}")
    wrong = ~np.isfinite(table).all(axis=1)
    if wrong.any():
        event = int(wrong.argmax())
        raise ValueError(f"{name} must be finite, event {event} is {table[event].tolist()}")
    return table
