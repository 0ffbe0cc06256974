"""How much an event counts in training: physics weights, classes of equal importance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.devices import namespace, to_device_of, to_host
from fastjag.core.settings import setting, settings
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.values import EventNames, of_events
from fastjag.models.negative_weights import positive


@settings
class Weighting:
    """Weights of events. :func:`weights` makes it."""

    expression: str | None = setting("The physics weight; none: 1", default=None, none=False)
    negative: Literal["abs", "clip", "drop", "error"] = setting(
        "What becomes of negative ones", default="abs"
    )
    balance: bool = setting("Whether all classes get the same sum", default=False)
    factors: tuple[float, ...] | None = setting("Of each class, once fitted", least=0, default=None)

    def check(self) -> None:
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
        return not self.balance or self.factors is not None

    @property
    def expressions(self) -> list[Expression]:
        return [] if self.expression is None else [expression(self.expression)]

    def rows(self, names: EventNames) -> Array:
        """float64 (n_events,): signed physics weights, all of them finite."""
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

    def weights(self, signed: Array, target: Array | None) -> Array:
        """float32 (n_events,): not negative, times the factor of the class."""
        found = positive(signed, self.negative)
        if self.balance:
            assert target is not None
            if self.factors is None:
                raise ValueError(
                    "the weights are to be balanced, but nobody has fitted the inputs: call "
                    "inputs.fit(batches) first, or load what was saved"
                )
            factors = to_device_of(found, np.asarray(self.factors))
            if len(target) and int(target.max()) >= len(self.factors):
                raise ValueError(
                    f"the target is of class {int(target.max())}, which the sample that the weights were "
                    f"fitted to did not have: it had {len(self.factors)}"
                )
            found = found * factors[target]
        as_float: Array = found.astype(np.float32)
        return as_float

    def fit(self, signed: Array, target: Array | None, n_classes: int | None) -> Weighting:
        """With factors by which all classes have the same sum of weights, and the mean weight is 1."""
        if not self.balance:
            return self
        assert target is not None
        used, codes = to_host(positive(signed, self.negative)), to_host(target)
        sums = np.bincount(codes, used, n_classes or 0)
        if (sums <= 0).any():
            bad = int((sums <= 0).argmax())
            raise ValueError(
                f"class {bad} has no weight in the sample of {len(used)} events: give fit more events"
            )
        factors = len(used) / len(sums) / sums
        return replace(self, factors=tuple(factors.tolist()))


def weights(
    expression: str | None = None, *, balance: bool = False, negative: str = "abs"
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

    Examples
    --------
    >>> import fastjag as fj
    >>> fj.weights("genWeight", balance=True, negative="drop").negative
    'drop'
    """
    return Weighting(expression=expression, balance=balance, negative=negative)  # type: ignore[arg-type]
