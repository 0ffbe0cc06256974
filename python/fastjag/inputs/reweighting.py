"""Weights by which classes have the same distribution of some numbers, such as pt and eta of jets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.devices import namespace, to_device_of
from fastjag.core.settings import setting, settings
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.values import EventNames, of_events

Floats = NDArray[np.float64]


@settings
class Reweighting:
    """Histograms of weights, one for each class. :func:`fastjag.weights` makes it; the method is weaver's."""

    variables: dict[str, tuple[float, ...]] = setting("Expressions, and the edges of their bins")
    method: Literal["flat", "ref"] = setting(
        'To equal contents of all bins ("flat"), or to the first class ("ref")', default="flat"
    )
    threshold: float = setting("Percentile that is the limit", least=0, most=100, default=10.0)
    class_weights: tuple[float, ...] | None = setting(
        "Sum of the weights of each class, relative to others; none: equal", above=0, default=None
    )
    outside: Literal["drop", "clip"] = setting(
        'Events outside of all bins: of weight 0 ("drop"), or in the nearest bin ("clip")',
        default="drop",
    )
    classes: tuple[str, ...] = setting(
        "Expressions that are 1 for events of a class; none: those of the target",
        default=(),
        empty=True,
    )
    factors: tuple[tuple[float, ...], ...] | None = setting(
        "Weight of every bin, for every class, once fitted", least=0, default=None
    )

    def check(self) -> None:
        if not self.variables:
            raise ValueError("variables must name one expression or more")
        for text, edges in self.variables.items():
            if not expression(text).names:
                raise ValueError(f"variables must name branches, got {text!r}")
            if len(edges) < 2 or not np.all(np.diff(edges) > 0):
                raise ValueError(
                    f"variables: the edges of {text!r} must ascend, and be two or more, got {edges}"
                )
        for text in self.classes:
            expression(text)

    @property
    def expressions(self) -> list[Expression]:
        return [expression(text) for text in (*self.variables, *self.classes)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Bins of every variable."""
        return tuple(len(edges) - 1 for edges in self.variables.values())

    @property
    def n_bins(self) -> int:
        return int(np.prod(self.shape))

    def cells(self, names: EventNames, target: Array | None) -> Array:
        """int64 (n_events,): class times bins plus bin; -1 outside of bins and classes."""
        n, xp = len(names), namespace(names.like)
        inside: Any = xp.ones(n, np.bool_)
        bins: Any = xp.zeros(n, np.int64)
        for text, edges in self.variables.items():
            values = of_events(expression(text)(names), text).astype(np.float64)
            bounds = to_device_of(values, np.asarray(edges))
            # As histograms have them: the last edge belongs to the last bin.
            place = xp.searchsorted(bounds, values, side="right") - 1
            bins = bins * (len(edges) - 1) + xp.clip(place, 0, len(edges) - 2)
            inside &= ~xp.isnan(values)
            if self.outside == "drop":
                inside &= (values >= edges[0]) & (values <= edges[-1])
        classes: Any = target
        if self.classes:
            classes = xp.full(n, -1, np.int64)
            for code, text in enumerate(self.classes):
                classes[of_events(expression(text)(names), text) == 1] = code
        assert classes is not None
        found: Array = xp.where(inside & (classes >= 0), classes * self.n_bins + bins, -1)
        return found

    def weights(self, cells: Array) -> Array:
        """float64 (n_events,): the weight of each event's bin; 0 outside."""
        if self.factors is None:
            raise ValueError(
                "the weights are to be those of histograms, but nobody has fitted the inputs: call "
                "inputs.fit(batches) first, or load what was saved"
            )
        table = to_device_of(cells, np.append(np.ravel(self.factors), 0.0))  # [-1] is outside
        if len(cells) and int(cells.max()) >= len(table) - 1:
            raise ValueError(
                f"the target is of class {int(cells.max()) // self.n_bins}, which the sample that the weights "
                f"were fitted to did not have: it had {len(self.factors)}"
            )
        found: Array = table[cells]
        return found

    def fit(self, cells: Array, weights: Floats, n_classes: int | None) -> Reweighting:
        """With the weights of a sample: one on average, with the events' own ones.

        As ``WeightMaker`` of weaver-core 0.5.3 has them up to one factor for all, which there is one for
        choosing events by chance.
        """
        inside = cells >= 0
        n = max(n_classes or 0, len(self.classes), int(cells.max(initial=-1)) // self.n_bins + 1)
        contents = np.bincount(cells[inside], weights[inside], n * self.n_bins)
        histograms = contents.astype(np.float64).reshape(n, self.n_bins)
        for code, histogram in enumerate(histograms):
            if not (histogram > 0).any():
                raise ValueError(
                    f"class {code} has no weight within the bins in the sample of {len(cells)} events: give "
                    "fit more events"
                )
        relative = np.ones(n) if self.class_weights is None else np.asarray(self.class_weights)
        if len(relative) != n:
            raise ValueError(
                f"class_weights must be one for each of {n} classes, got {self.class_weights}"
            )
        shapes = np.array([self._shape(h, histograms[0]) for h in histograms])
        sums = (histograms * shapes).sum(axis=1)
        factors = shapes * (relative / sums)[:, None]
        mean = float((np.append(factors.ravel(), 0.0)[cells] * weights).mean())
        return replace(self, factors=tuple(tuple(row) for row in (factors / mean).tolist()))

    def _shape(self, histogram: Floats, first: Floats) -> Floats:
        """Weights of bins between 0 and 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.method == "flat":
                filled = histogram[histogram > 0]
                enough = histogram[histogram > 0.01 * np.median(filled)]
                ratio = np.percentile(enough, self.threshold) / histogram
            else:
                ratio = first / histogram
                ratio = np.nan_to_num(ratio, nan=0, posinf=0)
                ratio = ratio / np.percentile(ratio[ratio > 0], 100 - self.threshold)
        shape: Floats = np.clip(np.nan_to_num(ratio, nan=0, posinf=0), 0, 1)
        return shape
