"""How much an event counts in training: physics weights, classes of equal importance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.devices import namespace, to_device_of, to_host
from fastjag.core.settings import setting, settings
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.reweighting import Reweighting
from fastjag.inputs.values import EventNames, of_events
from fastjag.models.negative_weights import positive

Floats = NDArray[np.float64]

#: Rows of the bins that events are in.
CELL = "weight_cell"


@settings
class Weighting:
    """Weights of events. :func:`weights` makes it."""

    expression: str | None = setting("The physics weight; none: 1", default=None, none=False)
    negative: Literal["abs", "clip", "drop", "error"] = setting(
        "What becomes of negative ones", default="abs"
    )
    balance: bool = setting("Whether all classes get the same sum", default=False)
    factors: tuple[float, ...] | None = setting("Of each class, once fitted", least=0, default=None)

    reweight: Reweighting | None = setting("To the same distributions in all classes", default=None)

    def check(self) -> None:
        if self.balance and self.reweight is not None:
            raise ValueError("balance and reweight are two ways to the same: give one of them")
        if self.expression is not None and not expression(self.expression).names:
            raise ValueError(f"the weight must name a branch, got {self.expression!r}")

    @classmethod
    def of(cls, given: Any) -> Weighting | None:
        """From what :func:`fastjag.loader` takes as ``weight``: an expression, or what :func:`weights` made."""
        if given is None or isinstance(given, Weighting):
            return given
        if isinstance(given, str):
            return cls(expression=given)
        raise ValueError(f"weight must be an expression or fj.weights(...), got {given!r}")

    @property
    def fitted(self) -> bool:
        histograms = self.reweight is None or self.reweight.factors is not None
        return histograms and (not self.balance or self.factors is not None)

    @property
    def needs_classes(self) -> bool:
        """Whether the target has to be a class."""
        return self.balance or (self.reweight is not None and not self.reweight.classes)

    @property
    def expressions(self) -> list[Expression]:
        own = [] if self.expression is None else [expression(self.expression)]
        return own if self.reweight is None else own + self.reweight.expressions

    def rows(self, names: EventNames, target: Array | None) -> dict[str, Array]:
        """What :meth:`weights` needs of events: signed physics weights, and the bins that events are in."""
        found = {"weight": self.signed(names)}
        if self.reweight is not None:
            own = None if self.reweight.classes or target is None else _codes(target)
            found[CELL] = self.reweight.cells(names, own)
        return found

    def signed(self, names: EventNames) -> Array:
        """float64 (n_events,): physics weights, all of them finite."""
        if self.expression is None:
            ones: Array = namespace(names.like).ones(len(names), np.float64)
            return ones
        signed = of_events(expression(self.expression)(names), self.expression).astype(np.float64)
        bad = ~np.isfinite(signed)
        if bool(bad.any()):
            raise ValueError(self._where(names, bad, signed, "weights must be finite"))
        if self.negative == "error" and bool((signed < 0).any()):
            what = "negative='abs', 'clip' or 'drop' says what to do with negative weights"
            raise ValueError(self._where(names, signed < 0, signed, what))
        return signed

    def _where(self, names: EventNames, bad: Array, values: Array, what: str) -> str:
        event = int(bad.argmax())
        entry = int(names.events.entries[event])
        return f"{names.events.source.file}: entry {entry} has {self.expression} = {float(values[event])}: {what}"

    def weights(self, rows: Mapping[str, Any]) -> Array:
        """float32 (n_events,): not negative, times the factors of class and bin."""
        found = positive(rows["weight"], self.negative)
        if self.reweight is not None:
            found = found * self.reweight.weights(rows[CELL])
        if self.balance:
            codes = _codes(rows["target"])
            if self.factors is None:
                raise ValueError(
                    "the weights are to be balanced, but nobody has fitted the inputs: call "
                    "inputs.fit(batches) first, or load what was saved"
                )
            factors = to_device_of(found, np.asarray(self.factors))
            if len(codes) and int(codes.max()) >= len(self.factors):
                raise ValueError(
                    f"the target is of class {int(codes.max())}, which the sample that the weights were "
                    f"fitted to did not have: it had {len(self.factors)}"
                )
            found = found * factors[codes]
        as_float: Array = found.astype(np.float32)
        return as_float

    def fit(self, rows: Mapping[str, Any], importance: Floats, n_classes: int | None) -> Weighting:
        """With factors by which classes have the same sum of weights, and the mean weight is 1.

        ``importance``, 1 on average, says for how many events each of the sample stands.
        """
        if self.fitted:
            return self
        used = to_host(positive(rows["weight"], self.negative)) * importance
        if self.reweight is not None:
            return replace(self, reweight=self.reweight.fit(to_host(rows[CELL]), used, n_classes))
        codes = to_host(_codes(rows["target"]))
        sums = np.bincount(codes, used, n_classes or 0)
        if (sums <= 0).any():
            bad = int((sums <= 0).argmax())
            raise ValueError(
                f"class {bad} has no weight in the sample of {len(used)} events: give fit more events"
            )
        factors = len(used) / len(sums) / sums
        return replace(self, factors=tuple(factors.tolist()))


def _codes(target: Array) -> Array:
    """The target as numbers of classes, or a ValueError."""
    if target.dtype.kind != "i" or target.ndim > 1:
        raise ValueError(
            "weights of classes need a target of integers, got floats: where(...) or a comparison makes classes"
        )
    if len(target) and int(target.min()) < 0:
        raise ValueError(
            f"classes are 0, 1, ..., but the target is {int(target.min())} for an event"
        )
    return target


def weights(
    expression: str | None = None,
    *,
    balance: bool = False,
    negative: str = "abs",
    reweight: Mapping[str, Iterable[float]] | None = None,
    method: str = "flat",
    threshold: float = 10.0,
    class_weights: Iterable[float] | None = None,
    outside: str = "drop",
) -> Weighting:
    """Weights for training: ``weight=fj.weights("genWeight", balance=True)``.

    Parameters
    ----------
    expression
        The physics weight: a branch or an expression with one number per event. Default: 1.
    balance
        All classes get the same sum of weights, and the mean is 1, in the sample that :meth:`Inputs.fit` sees.
    negative
        What becomes of negative weights, as in :func:`fastjag.models.weights.training_weights`: "abs" takes
        their size, "clip" sets them to 0, "drop" leaves the events out, "error" refuses them.
    reweight
        Expressions and the edges of their bins, as ``{"Jet_pt[0]": [30, 60, 120, 500], "Jet_eta[0]": [-2.5, 0, 2.5]}``:
        weights by which all classes have the same distribution in these bins. They come of the sample of
        :meth:`Inputs.fit`, whose mean weight is 1.
    method
        "flat": bins get equal contents, and weights are 1 in bins with less than the percentile ``threshold`` of
        contents. "ref": all classes get the shape of class 0, and weights are 1 above the percentile ``100 - threshold`` of
        ratios.
    threshold
        In percent.
    class_weights
        Sums of weights that classes get, relative to others. Default: equal ones.
    outside
        Events outside of the bins get the weight 0 ("drop"), or that of the nearest bin ("clip").

    Examples
    --------
    >>> import fastjag as fj
    >>> fj.weights("genWeight", balance=True, negative="drop").negative
    'drop'
    """
    histograms = None
    if reweight is not None:
        histograms = Reweighting(
            variables={text: tuple(edges) for text, edges in reweight.items()}, threshold=threshold,
            class_weights=None if class_weights is None else tuple(class_weights),
            method=method, outside=outside,  # type: ignore[arg-type]
        )  # fmt: skip
    return Weighting(
        expression=expression, balance=balance, reweight=histograms,
        negative=negative,  # type: ignore[arg-type]
    )  # fmt: skip
