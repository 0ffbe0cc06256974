"""What a correction says for columns of particles or events. correctionlib evaluates it."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import as_column
from fastjag.core.checks import near_misses
from fastjag.core.devices import check_on_host
from fastjag.corrections.ranges import FileRanges
from fastjag.jagged import Jagged

Floats = NDArray[np.float64]
#: A column, or one number or text for all entries.
Value = Any


class Correction(ABC):
    """One correction of a file, as a function of columns.

    ``correction(muons, systematic="nominal")`` evaluates it for every muon: inputs are found by their
    names, first among the arguments, then among the columns of the table, then of ``event``.
    """

    inputs: tuple[str, ...]  #: names, in the order of the file
    types: Mapping[str, str]  #: of each input: "real", "int" or "string"
    name: str
    description: str  #: of the file

    def __init__(self, file: Any, description: Mapping[str, Any], name: str):
        self._file = file
        self.name = name
        self.description = description.get("description") or ""
        self.inputs = tuple(i["name"] for i in description["inputs"])
        self.types = {i["name"]: i["type"] for i in description["inputs"]}
        #: Entries outside the ranges of the file so far, by input and side ("pt above"). What they
        #: get is what the file says about its flow.
        self.outside: dict[str, int] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.getitem, (self._file, self.name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}: {self.types[name]}" for name in self.inputs)
        return f"<{type(self).__name__} correction {self.name!r} of {shown}>"

    def __call__(
        self,
        table: Any = None,
        /,
        *,
        names: Mapping[str, str] | None = None,
        event: Any = None,
        counts: MutableMapping[str, int] | None = None,
        **given: Value,
    ) -> Floats:
        """The correction of every entry, float64 (n_entries,).

        Parameters
        ----------
        table
            Particles (:class:`fastjag.Jagged`), a batch of events, a dict, anything with columns by
            name. n_entries is the number of its particles, or events.
        names
            Which column an input is, where the names differ: ``{"JetPt": "pt"}``.
        event
            Of particles: a batch or dict with columns of events, whose values count for every
            particle of the event.
        counts
            A dict of numbers to which entries outside the range are added, too, as
            ``"NAME: pt above"``: a function for :func:`fastjag.batch.run` returns it.
        **given
            Inputs by name: columns of n_entries, numbers or texts. They go before columns.

        Columns of integers and bools are accepted for real inputs, not of reals for integers. Raises
        KeyError for an input that is nowhere, TypeError for one of another type, ValueError for one of
        another length, and where the file forbids values outside its range.
        """
        values, n = self._arguments(table, names or {}, event, given)
        result, outside = self._evaluate(values, n)
        with self._lock:
            for where, number in outside.items():
                self.outside[where] = self.outside.get(where, 0) + number
        if counts is not None:
            for where, number in outside.items():
                key = f"{self.name}: {where}"
                counts[key] = counts.get(key, 0) + number
        return result

    @abstractmethod
    def _evaluate(self, values: Mapping[str, Value], n: int) -> tuple[Floats, dict[str, int]]:
        """The values, and how many entries were outside, by input and side."""

    def _arguments(
        self, table: Any, names: Mapping[str, str], event: Any, given: Mapping[str, Value]
    ) -> tuple[dict[str, Value], int]:
        """Values of all inputs, and the number of entries."""
        for name in [*names, *given]:
            if name not in self.types:
                known = near_misses(name, self.inputs)
                raise KeyError(f"correction {self.name!r} has no input {name!r}: {known}")
        values = {}
        for name in self.inputs:
            column = names.get(name, name)
            if name in given:
                value = given[name]
            elif table is not None and column in table:
                value = table[column]
            elif event is not None and column in event:
                if not isinstance(table, Jagged):
                    raise TypeError(
                        "event goes with particles as a Jagged, got a "
                        f"{type(table).__name__} for the table"
                    )
                value = table.broadcast(event[column])
            else:
                there = [str(c) for c in (table if isinstance(table, Mapping) else
                                          getattr(table, "columns", getattr(table, "fields", ())))]  # fmt: skip
                hint = near_misses(column, there) if there else "give it as an argument"
                raise KeyError(
                    f"correction {self.name!r}: no column {column!r} for its input: {hint}"
                )
            values[name] = _checked(value, self.types[name], f"input {name!r} of {self.name!r}")
        return values, _length(values, table, self.name)


class Single(Correction):
    """One correction of its own."""

    def __init__(self, evaluator: Any, description: Mapping[str, Any], file: Any, name: str):
        super().__init__(file, description, name)
        self._evaluator = evaluator
        self._ranges = FileRanges(description)

    def _evaluate(self, values: Mapping[str, Value], n: int) -> tuple[Floats, dict[str, int]]:
        given = {name: values[name] for name in self.inputs}
        outside = self._ranges.outside(given, n, self.name)
        return _call(self._evaluator, list(given.values()), n, self.name), outside


class Compound(Correction):
    """Several corrections one after the other, as the file says."""

    def __init__(
        self, evaluator: Any, description: Mapping[str, Any], parts: Sequence[Correction],
        file: Any, name: str,
    ):  # fmt: skip
        super().__init__(file, description, name)
        self._evaluator = evaluator
        self._parts = parts
        self._updated = tuple(description["inputs_update"])
        self._input = _OPERATORS[description["input_op"]]
        self._output = description["output_op"]

    def _evaluate(self, values: Mapping[str, Value], n: int) -> tuple[Floats, dict[str, int]]:
        # Part by part, as correctionlib does it, because entries outside are counted of each.
        current, result, outside = dict(values), None, {}
        for part in self._parts:
            factor, beyond = part._evaluate({name: current[name] for name in part.inputs}, n)
            for where, number in beyond.items():
                outside[f"{where} ({part.name})"] = number
            for name in self._updated:
                current[name] = self._input(current[name], factor)
            if result is None or self._output == "last":
                result = factor
            else:
                result = _OPERATORS[self._output](result, factor)
        if result is None:
            raise ValueError(f"correction {self.name!r} is a stack of nothing")
        return result, outside


_OPERATORS = {"+": np.add, "*": np.multiply, "/": np.divide}
_KINDS = {"real": "fiub", "int": "iub", "string": ""}


def _checked(value: Value, kind: str, what: str) -> Value:
    """A column of the dtype that correctionlib calculates with, a number or a text."""
    if kind == "string" or isinstance(value, str):
        if not isinstance(value, str) or kind != "string":
            got = repr(value) if isinstance(value, str) else type(value).__name__
            raise TypeError(f"{what} must be {'a text' if kind == 'string' else kind}, got {got}")
        return str(value)
    check_on_host(value, "correctionlib")
    if np.ndim(value) == 0 and not hasattr(value, "counts"):
        if np.asarray(value).dtype.kind not in _KINDS[kind]:
            raise TypeError(f"{what} must be {kind}, got {value!r}")
        return float(value) if kind == "real" else int(value)
    column = as_column(value, what)
    if column.dtype.kind not in _KINDS[kind]:
        raise TypeError(f"{what} must be {kind}, got a column of {column.dtype}")
    if kind == "int" and column.dtype == np.uint64 and len(column) and int(column.max()) >= 2**63:
        raise ValueError(f"{what} must fit into int64, got {int(column.max())}")
    return column.astype(np.float64 if kind == "real" else np.int64, copy=False)


def _length(values: Mapping[str, Value], table: Any, name: str) -> int:
    """How many entries there are."""
    if isinstance(table, Jagged):
        n = table.n_particles
    else:
        lengths = [len(v) for v in values.values() if isinstance(v, np.ndarray)]
        if not lengths and table is not None:
            lengths = [len(table) if not isinstance(table, Mapping) else
                       len(next(iter(table.values()), ()))]  # fmt: skip
        n = lengths[0] if lengths else 1
    for key, value in values.items():
        if isinstance(value, np.ndarray) and len(value) != n:
            raise ValueError(
                f"input {key!r} of {name!r} has {len(value)} entries, but there are {n}"
            )
    return n


def _call(evaluator: Any, values: list[Value], n: int, name: str) -> Floats:
    """What correctionlib's ``evaluate`` gives, for every entry."""
    if n == 0:
        return np.empty(0)
    try:
        result = evaluator.evaluate(*values)
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"correction {name!r}: {error}") from None
    if isinstance(result, np.ndarray):
        return result
    return np.full(n, result)
