"""What a model is to say of an event: its class, or numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import is_integer, near_misses
from fastjag.core.devices import namespace
from fastjag.core.settings import setting, settings
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.values import EventNames, number, of_events


@settings
class TrainingTarget:
    """A class number of each event (int64), or numbers (float32). :meth:`TrainingTarget.of` makes it.

    By the data set ("datasets"), by an expression of 0 and 1 for each class ("classes"), of which exactly
    one is 1, or as expressions say ("expressions").
    """

    kind: Literal["datasets", "classes", "expressions"] = setting("Where it comes from")
    names: tuple[str, ...] = setting("Patterns of data sets, or expressions")
    codes: tuple[int, ...] = setting("Class of each pattern", least=0, default=(), empty=True)
    titles: tuple[str, ...] = setting("What classes or numbers are called", default=(), empty=True)

    def check(self) -> None:
        if self.kind == "datasets" and len(self.codes) != len(self.names):
            raise ValueError(f"codes must be one class for each data set, got {self.codes!r}")
        for text in self.names if self.kind != "datasets" else ():
            if not expression(text).names:
                raise ValueError(f"the target must name a branch, got {text!r}")

    @classmethod
    def of(cls, given: Any) -> TrainingTarget | None:
        """From what :func:`fastjag.loader` takes as ``target``.

        - ``"label"``, ``"2 * isTop + isW"``: an expression. Integers and truth values are classes, int64; floats
          stay floats.
        - ``{"TTTo*": 1, "QCD_*": 0}``: the class of each data set, by names or shell patterns; the first that
          fits counts.
        - ``["QCD", "TT"]``: classes 0, 1, ... of these data sets, or patterns.
        - ``{"top": "isTop", "QCD": "isQCD == 1"}``: classes 0, 1, ... by expressions, of which exactly one is true.
        - ``{"mass": "gen_mass", ...}`` where values are no truth values is :class:`TrainingTarget` with
          ``kind="expressions"``.
        """
        if given is None or isinstance(given, TrainingTarget):
            return given
        if isinstance(given, str):
            return cls(kind="expressions", names=(given,), titles=(given,))
        if isinstance(given, Mapping) and given and all(isinstance(v, str) for v in given.values()):
            return cls(kind="classes", names=tuple(given.values()), titles=tuple(map(str, given)))
        if isinstance(given, Mapping) and given and all(is_integer(v) for v in given.values()):
            codes = [int(v) for v in given.values()]
            if min(codes) >= 0:
                return cls(kind="datasets", names=tuple(map(str, given)), codes=tuple(codes))
        elif isinstance(given, Iterable) and not isinstance(given, Mapping):
            names = tuple(given)
            if names and all(isinstance(name, str) for name in names):
                return cls(
                    kind="datasets", names=names, codes=tuple(range(len(names))), titles=names
                )
        raise ValueError(
            "target must be an expression, data sets in the order of their classes, a mapping of data sets "
            f"to classes 0, 1, ..., or of classes to expressions, got {given!r}"
        )

    @property
    def expressions(self) -> list[Expression]:
        return [] if self.kind == "datasets" else [expression(text) for text in self.names]

    @property
    def n_classes(self) -> int | None:
        """How many classes there are; None where only the events know it."""
        if self.kind == "datasets":
            return max(self.codes) + 1
        return len(self.names) if self.kind == "classes" else None

    def code(self, dataset: str) -> int:
        """The class of a data set; a ValueError where no pattern fits."""
        for pattern, code in zip(self.names, self.codes, strict=True):
            if fnmatchcase(dataset, pattern):
                return code
        raise ValueError(
            f"the target has no class for data set {dataset!r}: {near_misses(dataset, self.names)}"
        )

    def check_datasets(self, datasets: Iterable[str]) -> None:
        """A ValueError for a data set without a class, or a class without a data set, before any reading."""
        if self.kind != "datasets":
            return
        names = list(datasets)
        found = {self.code(name) for name in names}
        for pattern, code in zip(self.names, self.codes, strict=True):
            if code not in found:
                raise ValueError(
                    f"no data set is of class {code} ({pattern!r}): {near_misses(pattern, names)}"
                )

    def rows(self, names: EventNames) -> Array:
        """int64 (n_events,) classes, float32 or float64 (n_events,), or float (n_events, T)."""
        n, xp = len(names), namespace(names.like)
        if self.kind == "datasets":
            code: Array = xp.full(n, self.code(names.events.source.dataset), np.int64)
            return code
        found = [of_events(expression(text)(names), text) for text in self.names]
        if self.kind == "classes":
            return self._classes(xp.stack([values != 0 for values in found], axis=1), names)
        if len(found) > 1:
            numbers: Array = xp.stack([number(values) for values in found], axis=1)
            return numbers
        return found[0] if found[0].dtype.kind == "f" else found[0].astype(np.int64)

    def _classes(self, true: Array, names: EventNames) -> Array:
        several = true.sum(axis=1) != 1
        if bool(several.any()):
            event = int(several.argmax())
            of = [t for t, one in zip(self.titles, true[event].tolist(), strict=True) if one]
            what = f"is of classes {' and '.join(of)}" if of else "is of no class"
            entry = int(names.events.entries[event])
            raise ValueError(f"{names.events.source.file}: entry {entry} {what} of {self.titles}")
        classes: Array = true.argmax(axis=1).astype(np.int64)
        return classes
