"""All methods side by side on one sample, and which features are correlated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.analyses.importance import methods as of
from fastjag.analyses.importance.results import METHODS, Importances
from fastjag.analyses.importance.taylor import TaylorHistory, coefficients_and_errors
from fastjag.core.checks import first_line, needs, one_of
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]

_FILTERS: dict[str, Callable[[Floats, Any, Floats], Floats]] = {
    "variance": of.variance,
    "Fisher score": of.fisher_score,
    "correlation": of.correlation,
    "mutual information": of.mutual_information,
    "RFE": of.recursive_elimination,
}
_OF_TREES = {"tree gain", "tree SHAP", "tree permutation"}
_OF_MODEL = {"permutation", "Taylor"}
_TEST = 0.3  # share of the events that models do not learn from
_WATCHED = 2000  # events for coefficients during training


def compare_importances(
    features: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    *,
    model: Any = None,
    output: int | None = None,
    methods: Iterable[str] = tuple(METHODS),
    correlated: float = 0.7,
    epochs: int = 20,
    repeats: int = 5,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | None = None,
) -> Importances:
    """How much each feature tells about the class of an event, by many methods.

    Parameters
    ----------
    features
        (n, F) finite numbers in any units: every method standardises them where it has to.
    labels
        (n,) class of each event, two classes or more, as numbers or texts; sorted, the first is
        class 0 (background), and so on.
    weights
        (n,) event weights >= 0. They are scaled so that all classes have the same sum.
    names
        Of the features; default: their numbers.
    model
        A torch module, or a fitted scikit-learn estimator, of the features as they are given, that
        gives a score (n,) or (n, 1), or probabilities of all classes (n, n_classes). It is taken
        for permutations and (torch) Taylor coefficients, on all events. Without it a small network
        is trained on 70 % of the events and looked at on the others.
    output
        The network's output node whose Taylor coefficients are taken; default: the only one of a
        binary classifier, the mean over all nodes of others.
    methods
        Names out of ``METHODS``; default: all (Taylor only for networks).
    correlated
        Features belong to one cluster if the mean absolute Spearman correlation between
        (parts of) clusters is at least this (hierarchical clustering, average linkage).
    epochs, repeats
        Of the network's training, and shuffles per feature.
    seed
        Of the split, of training and of shuffling.

    Raises ValueError for shapes that do not fit, numbers that are not finite, negative weights,
    fewer than two classes, or classes with fewer than ten events.
    """
    needs("sklearn", "importance")
    x, y, w, called, classes = _checked(features, labels, weights, names)
    chosen = [one_of("methods", m, tuple(METHODS)) for m in dict.fromkeys(methods)]
    if not 0 < correlated <= 1:
        raise ValueError(f"correlated must be in (0, 1], got {correlated!r}")
    is_network = model is None or hasattr(model, "named_parameters")
    if not is_network and "Taylor" in chosen:
        chosen.remove("Taylor")
    if not chosen:
        raise ValueError("methods must name at least one that fits the model, got none")
    rng = np.random.default_rng(seed)
    is_test = _test_events(y, rng)
    train, test = (x[~is_test], y[~is_test], w[~is_test]), (x[is_test], y[is_test], w[is_test])
    result = Importances(
        called, {}, {}, {}, *_clusters(x, correlated), {}, {},
        {"events": len(x), "classes": classes, "seed": seed, "methods": chosen, "repeats": repeats,
         "epochs": None if model is not None else epochs, "test share": _TEST,
         "correlated": correlated, "model": "own network" if model is None else _name(model),
         "output": output},
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _model_free(result, chosen, x, y, w, seed, progress)
        if _OF_TREES & set(chosen):
            _of_trees(result, chosen, train, test, repeats, seed, threads, progress)
        if _OF_MODEL & set(chosen):
            seen, watch = test, None
            if model is None:
                model, watch = _network(train, test, len(classes), epochs, seed, output, progress)
            else:
                seen = (x, y, w)
            _of_model(result, chosen, model, seen, repeats, seed, output, progress)
            if watch is not None and "Taylor" in chosen:
                result.training = {"steps": watch.steps, "taylor": {
                    result.term(key): values for key, values in watch.values.items()}}  # fmt: skip
    result.warnings = list(dict.fromkeys(str(w.message) for w in caught))
    result.scores = {name: result.scores[name] for name in METHODS if name in result.scores}
    return result


def _model_free(
    result: Importances, chosen: list[str], x: Floats, y: Any, w: Floats, seed: int,
    progress: bool | None,
) -> None:  # fmt: skip
    names = [name for name in chosen if name in _FILTERS or name == "lasso"]
    with progress_bar("filters and linear models", len(names), progress) as advance:
        for name in names:
            if name == "lasso":
                result.scores[name] = of.lasso(x, y, w, seed=seed)
            else:
                result.scores[name] = _FILTERS[name](x, y, w)
            advance(1)


def _of_trees(
    result: Importances, chosen: list[str], train: Any, test: Any, repeats: int, seed: int,
    threads: int | None, progress: bool | None,
) -> None:  # fmt: skip
    needs("xgboost", "importance")
    from fastjag.models.boosted_trees import gain_of_splits, mean_absolute_shap, train_all_rounds

    n_classes = len(result.settings["classes"])
    x, y, w = train
    trees = train_all_rounds(x, y, w, n_classes, seed=seed, threads=threads, progress=progress)
    if "tree gain" in chosen:
        result.scores["tree gain"] = gain_of_splits(trees, x.shape[1], "total_gain")
    if "tree SHAP" in chosen:
        result.scores["tree SHAP"] = mean_absolute_shap(trees, test[0], test[2], progress)
    if "tree permutation" in chosen:
        mean, error, _ = of.permutation_importance(
            trees.inplace_predict, *test, repeats=repeats, seed=seed, progress=progress
        )
        result.scores["tree permutation"], result.errors["tree permutation"] = mean, error
    result.performance["boosted trees"] = of.area_under_curve(
        test[1], trees.inplace_predict(test[0]), test[2]
    )


def _network(
    train: Any, test: Any, n_classes: int, epochs: int, seed: int, output: int | None,
    progress: bool | None,
) -> tuple[Any, TaylorHistory]:  # fmt: skip
    needs("torch", "importance")
    from fastjag.analyses.importance.network import train_network

    watch = TaylorHistory(test[0][:_WATCHED], 1, output or 0, test[2][:_WATCHED],
                          scale=of.mean_and_spread(test[0], test[2])[1])  # fmt: skip
    x, y, w = train
    network = train_network(
        x, y, w, n_classes, seed=seed, epochs=epochs, after_epoch=watch, progress=progress
    )
    return network, watch


def _of_model(
    result: Importances, chosen: list[str], model: Any, seen: Any, repeats: int, seed: int,
    output: int | None, progress: bool | None,
) -> None:  # fmt: skip
    x, y, w = seen
    try:
        predicted = of.as_function(model)(x)
    except RuntimeError as wrong:  # of torch, for shapes
        raise ValueError(
            f"the model cannot take these {x.shape[1]} features: {first_line(wrong)}"
        ) from wrong
    n_outputs = 1 if predicted.ndim == 1 else predicted.shape[1]
    n_classes = len(result.settings["classes"])
    if n_outputs != (1 if n_classes == 2 else n_classes) and (n_outputs, n_classes) != (2, 2):
        raise ValueError(f"the model has {n_outputs} outputs, but there are {n_classes} classes")
    function = of.as_function(model)
    one_node = (lambda rows: function(rows)[:, 1]) if n_outputs == 2 else model
    if "permutation" in chosen:
        mean, error, base = of.permutation_importance(
            one_node, x, y, w, repeats=repeats, seed=seed, progress=progress
        )
        result.scores["permutation"], result.errors["permutation"] = mean, error
        result.performance["model"] = base
    if "Taylor" in chosen:
        _, scale = of.mean_and_spread(x, w)
        # Of two softmax nodes the second, as above; the first has the same coefficients.
        nodes = [1] if n_outputs == 2 else range(n_outputs)
        nodes = nodes if output is None else [output]
        per_node = [
            coefficients_and_errors(model, x, 2, node, w, scale=scale, progress=progress)
            for node in nodes
        ]
        # Nodes see the same events: their errors are taken to go together.
        result.taylor, result.taylor_errors = (
            {key: float(np.mean([node[k][key] for node in per_node])) for key in per_node[0][k]}
            for k in (0, 1)
        )
        result.scores["Taylor"], result.errors["Taylor"] = (
            np.array([by_key[i,] for i in range(x.shape[1])])
            for by_key in (result.taylor, result.taylor_errors)
        )


def _test_events(labels: Any, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random share of every class."""
    test = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        events = rng.permutation(np.flatnonzero(labels == c))
        test[events[: round(_TEST * len(events))]] = True
    return test


def _clusters(x: Floats, correlated: float) -> tuple[Floats, list[int]]:
    """Spearman correlations, and numbers of clusters by average linkage of 1 - |correlation|."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    ranks = of.standardised(np.column_stack([rankdata(c) for c in x.T]), np.ones(len(x)))
    r = np.clip(ranks.T @ ranks / len(x), -1, 1)
    np.fill_diagonal(r, 1.0)
    if len(r) == 1:
        return r, [0]
    distance = squareform(1 - np.abs((r + r.T) / 2), checks=False)
    labels = fcluster(linkage(distance, "average"), 1 - correlated + 1e-12, "distance")
    first = {int(c): i for i, c in reversed(list(enumerate(labels)))}
    number = {c: k for k, c in enumerate(sorted(first, key=lambda c: first[c]))}
    return r, [number[int(c)] for c in labels]


def _name(model: Any) -> str:
    return type(model).__name__


def _checked(
    features: ArrayLike, labels: ArrayLike, weights: ArrayLike | None, names: Sequence[str] | None
) -> tuple[Floats, NDArray[np.int64], Floats, list[str], list[str]]:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"features must have shape (n, F) with n, F > 0, got {x.shape}")
    called = [str(i) for i in range(x.shape[1])] if names is None else [str(n) for n in names]
    if len(called) != x.shape[1] or len(set(called)) != len(called):
        raise ValueError(f"names must be {x.shape[1]} different ones, got {called}")
    wrong = ~np.isfinite(x)
    if wrong.any():
        event, j = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"feature {called[j]!r} must be finite, event {event} has {x[event, j]}")
    y = np.asarray(labels)
    if y.shape != (len(x),):
        raise ValueError(f"labels must have shape ({len(x)},), got {y.shape}")
    values, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(values) < 2 or counts.min() < 10:
        classes = ", ".join(f"{v}: {n}" for v, n in zip(values[:9], counts[:9], strict=True))
        raise ValueError(f"labels need two classes or more of ten events or more, got {classes}")
    if len(values) > 100:
        raise ValueError(f"labels must be classes, got {len(values)} different values")
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (len(x),):
        raise ValueError(f"weights must have shape ({len(x)},), got {w.shape}")
    if not np.isfinite(w).all() or (w < 0).any():
        event = int((~(w >= 0) | np.isinf(w)).argmax())
        raise ValueError(
            f"weights must be finite and not negative (most methods cannot learn from negative "
            f"ones), event {event} has {w[event]}"
        )
    sums = np.bincount(index, w)
    if (sums <= 0).any():
        raise ValueError(f"class {values[sums.argmin()]} has no event with a weight above 0")
    balanced = w * (len(x) / len(values) / sums)[index]
    return x, index.astype(np.int64), balanced, called, [str(v) for v in values]
