"""``fj.Variations``: a selection that is written once, and evaluated for all systematic variations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, as_float, check_length
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import check_on_host
from fastjag.histograms.varied import Row, VariedFill
from fastjag.jagged import Jagged

Floats = NDArray[np.float64]
Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
#: By step, the axes of its histograms, by column or columns.
Plan = Mapping[str, Mapping[Any, Any]]

NOMINAL = "nominal"


class Variations:
    """A selection in steps, with variations of weights and of kinematics.

    A step is a function whose parameters are the names of other steps, or of collections and branches of
    a batch. A weight is a factor of every event, with variations up and down. A shift replaces
    collections, branches or steps by others. :meth:`histograms` evaluates a batch: nominal values once, a
    weight variation as one more column of weights, a shift by running again the steps that depend on
    what it replaces, and no others.

    Examples
    --------
    >>> import fastjag as fj, numpy as np
    >>> v = fj.Variations()
    >>> @v.step
    ... def pairs(Muon):
    ...     return fj.dimuon(Muon.keep(Muon["pt"] > 10))
    >>> v.weight("pileup", lambda w: w, up=lambda w: 1.1 * w, down=lambda w: 0.9 * w)
    >>> v.shift("scale", up={"Muon": lambda Muon: Muon.with_columns(pt=1.01 * Muon["pt"])},
    ...         down={"Muon": lambda Muon: Muon.with_columns(pt=0.99 * Muon["pt"])})
    >>> v.names
    ('nominal', 'pileup up', 'pileup down', 'scale up', 'scale down')
    >>> muons = fj.Jagged([0, 2, 4], {"pt": [20.0, 11.0, 30.0, 10.05], "eta": [0.0, 1.0, 0.5, -0.5],
    ...                               "phi": [0.0, 3.0, 1.0, -2.0], "charge": [1, -1, 1, -1]})
    >>> h = v.histograms({"Muon": muons, "w": np.ones(2)}, {"pairs": {"mass": (2, 0, 100)}})
    >>> h["pairs"]["mass"].project("variation").values()
    array([2. , 2.2, 1.8, 2. , 1. ])
    """

    def __init__(self) -> None:
        self._steps: dict[str, Function] = {}
        self._weights: dict[str, _Weight] = {}
        self._shifts: dict[str, Mapping[str, Function]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Nominal, variations of weights, shifts, in the order in which they were given."""
        weights = [name for w in self._weights.values() for name in w.names]
        return (NOMINAL, *weights, *self._shifts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the collections and branches that a batch must have."""
        every = [*self._steps.values(), *(f for w in self._weights.values() for f in w.functions()),
                 *(f for s in self._shifts.values() for f in s.values())]  # fmt: skip
        own = dict.fromkeys(p for f in every for p in _parameters(f))
        targets = dict.fromkeys(t for s in self._shifts.values() for t in s)
        return tuple(n for n in own | targets if n not in self._steps)

    def step(self, function: F) -> F:
        """Adds a step, under the function's name; a decorator. Returns the function as it is."""
        name = getattr(function, "__name__", "")
        if not name.isidentifier():
            raise TypeError(f"a step is a function with a name, got {function!r}")
        if name in self._steps:
            raise ValueError(f"there is a step {name!r} already")
        _parameters(function)
        self._steps[name] = function
        return function

    def weight(
        self, name: str, nominal: Function | None = None, *, up: Function | None = None,
        down: Function | None = None,
    ) -> None:  # fmt: skip
        """A factor of the weight of every event, and its variations "NAME up" and "NAME down".

        Functions as steps are, which return (n_events,) numbers. ``up`` and ``down`` stand in for the
        nominal factor, which is 1 without a function. All three see what a shift changes.
        """
        varied = {f"{name} {side}": f for side, f in (("up", up), ("down", down)) if f is not None}
        self._add_weight(name, _Weight(nominal, varied, None, ()))

    def weights(
        self, name: str, function: Function, *, labels: int | Sequence[str],
        nominal: Function | None = None,
    ) -> None:  # fmt: skip
        """Many variations of one factor, from one function, such as those of parton densities.

        ``function`` returns (n_variations, n_events) numbers, or a :class:`Jagged` of one column with as
        many numbers in every event, as the branch of a file is.
        ``labels`` are their names, or how many there are: "NAME 0", "NAME 1", ...
        """
        own = [f"{name} {i}" for i in range(labels)] if isinstance(labels, int) else list(labels)
        if not own:
            raise ValueError(f"weights {name!r} must have at least one variation")
        self._add_weight(name, _Weight(nominal, {}, function, tuple(own)))

    def _add_weight(self, name: str, weight: _Weight) -> None:
        self._check_new(weight.names)
        if name in self._weights:
            raise ValueError(f"there is a weight {name!r} already")
        for function in weight.functions():
            _parameters(function)
        self._weights[name] = weight

    def shift(
        self, name: str, *, up: Mapping[str, Function] | None = None,
        down: Mapping[str, Function] | None = None,
    ) -> None:  # fmt: skip
        """A variation of kinematics, "NAME up" and "NAME down".

        Each is a dict: the name of a collection, branch or step, and the function of nominal values that
        stands in for it. Several names change together, such as jets and missing momentum.
        """
        new = {
            f"{name} {side}": dict(s) for side, s in (("up", up), ("down", down)) if s is not None
        }
        if not new or not all(new.values()):
            raise ValueError(
                f"shift {name!r} must have up or down, and each must replace something"
            )
        self._check_new(new)
        for targets in new.values():
            for function in targets.values():
                _parameters(function)
        self._shifts |= new

    def _check_new(self, names: Any) -> None:
        for name in names:
            if name in self.names:
                raise ValueError(f"there is a variation {name!r} already")

    # ---- evaluation -------------------------------------------------------------------------

    def evaluate(self, batch: Any, step: str) -> dict[str, Any]:
        """Values of a step for this batch: nominal, and of the shifts that change it, by their names."""
        graph = self._graph(batch, [step])
        values = {NOMINAL: graph.nominal(step)}
        for name, targets in self._shifts.items():
            if graph.affected(step, targets):
                values[name] = graph.shifted(targets).nominal(step)
        return values

    def event_weights(self, batch: Any) -> dict[str, Floats]:
        """Weights of events, float64 (n_events,), by the name of every variation."""
        graph, n = self._graph(batch, []), _n_events(batch)
        every = slice(None)
        products = (row.of(every, {}) for row in self._rows(graph, n))
        rows = dict(zip(self._weight_names(), products, strict=True))
        for name, targets in self._shifts.items():
            changed = self._reweighted(graph, targets)
            other = graph.shifted(targets)
            rows[name] = next(self._rows(other, n)).of(every, {}) if changed else rows[NOMINAL]
        return rows

    def histograms(
        self, batch: Any, plan: Plan, *, out: Mapping[str, Mapping[Any, Any]] | None = None,
        threads: int | None = None,
    ) -> dict[str, dict[Any, Any]]:  # fmt: skip
        """Histograms of one batch, each with an axis "variation" in front, weighted.

        ``plan`` says, by step, which of its columns are filled and with which axes:
        ``{"pairs": {"mass": (60, 60, 120), ("mass", "pt"): (axis, axis)}}``, axes as
        :func:`fastjag.histogram` takes them. What the step returns is a table: a Jagged or pairs of all
        events of the batch; a dict of columns with a row for each event; or one with a column "event",
        the event's number in the batch for each row. Rows have the weight of their event.

        The result has the shape of the plan, and holds ``hist.Hist`` of Weight storage. ``out``, an
        earlier result, is filled on top; :func:`fastjag.batch.merge` adds several. A shift that does not
        change a table has the nominal histogram. Contents do not depend on how events are divided into
        batches: counts to the last bit, sums of weights by rounding.

        Raises KeyError for a name that neither a step nor the batch has, before anything is
        evaluated; ValueError for a table that does not say what events its rows are.
        """
        needs("hist", "hist")
        graph, n = self._graph(batch, list(plan)), _n_events(batch)
        names = self.names
        fills = {step: VariedFill(names, columns, None if out is None else out[step], threads)
                 for step, columns in plan.items()}  # fmt: skip
        rows = list(self._rows(graph, n))
        for step, fill in fills.items():
            fill.add(graph.table(step, n), rows, range(len(rows)))
        for at, (_, targets) in enumerate(self._shifts.items(), len(rows)):
            reweighted = self._reweighted(graph, targets)
            changed = [step for step in plan if reweighted or graph.affected(step, targets)]
            other = graph.shifted(targets) if changed else graph
            first = next(self._rows(other, n)) if reweighted else rows[0]
            for step, fill in fills.items():
                if step in changed:
                    fill.add(other.table(step, n), [first], range(at, at + 1))
                else:
                    fill.repeat_nominal(at)
        return {step: fill.result for step, fill in fills.items()}

    def _reweighted(self, graph: _Graph, targets: Mapping[str, Function]) -> bool:
        """Whether a shift changes the nominal weights of events."""
        used = [w.nominal for w in self._weights.values() if w.nominal is not None]
        return any(graph.affects(f, targets) for f in used)

    def _graph(self, batch: Any, steps: Sequence[str]) -> _Graph:
        for name in steps:
            if name not in self._steps:
                raise KeyError(f"no step {name!r}: {near_misses(name, self._steps)}")
        for targets in self._shifts.values():
            for name in targets:
                if name not in self._steps and name not in batch:
                    raise KeyError(_unknown(name, self._steps, batch))
        for name in self.inputs:
            if name not in batch:
                raise KeyError(_unknown(name, self._steps, batch))
        return _Graph(self._steps, batch)

    def _weight_names(self) -> list[str]:
        return [NOMINAL, *(name for w in self._weights.values() for name in w.names)]

    def _rows(self, graph: _Graph, n: int) -> Iterator[Row]:
        """Weights of events: nominal, then of every variation. One factor is replaced at a time."""
        factors = [graph.factor(w.nominal, name, n) for name, w in self._weights.items()]
        before, after = [np.ones(n)], [np.ones(n)]
        for f, g in zip(factors, reversed(factors), strict=True):
            before.append(before[-1] * f)
            after.append(after[-1] * g)
        yield Row((before[-1],))
        for i, (name, weight) in enumerate(self._weights.items()):
            others = before[i] * after[len(factors) - 1 - i]
            for function in weight.varied.values():
                yield Row((others, graph.factor(function, name, n)))
            if weight.many is not None:
                for row in graph.factors(weight, name, n):
                    yield Row((others, row))


class _Weight(NamedTuple):
    """One factor of the weight of events."""

    nominal: Function | None
    varied: Mapping[str, Function]
    many: Function | None
    labels: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.varied, *self.labels)

    def functions(self) -> list[Function]:
        every = [self.nominal, *self.varied.values(), self.many]
        return [f for f in every if f is not None]


class _Graph:
    """Values of steps for one batch, each computed when it is asked for, and once."""

    def __init__(
        self, steps: Mapping[str, Function], batch: Any, known: dict[str, Any] | None = None
    ):
        self.steps, self.batch = steps, batch
        self.known = {} if known is None else known
        self._active: list[str] = []

    def nominal(self, name: str) -> Any:
        if name not in self.known:
            if name not in self.steps:
                return self.batch[name]
            if name in self._active:
                raise ValueError(f"steps go in a circle: {' > '.join([*self._active, name])}")
            self._active.append(name)
            self.known[name] = self.call(self.steps[name])
            self._active.pop()
        return self.known[name]

    def call(self, function: Function) -> Any:
        return function(*map(self.nominal, _parameters(function)))

    def affects(self, function: Function, targets: Mapping[str, Function]) -> bool:
        return any(self.affected(name, targets) for name in _parameters(function))

    def affected(self, name: str, targets: Mapping[str, Function]) -> bool:
        """Whether a value is replaced, or depends on one that is."""
        todo, seen = [name], set()
        while todo:
            current = todo.pop()
            if current in targets:
                return True
            if current in self.steps and current not in seen:
                seen.add(current)
                todo += _parameters(self.steps[current])
        return False

    def shifted(self, targets: Mapping[str, Function]) -> _Graph:
        """With these replaced; all that does not depend on them is taken as it is."""
        known = {name: v for name, v in self.known.items() if not self.affected(name, targets)}
        return _Graph(self.steps, self.batch,
                      known | {name: self.call(f) for name, f in targets.items()})  # fmt: skip

    def factor(self, function: Function | None, name: str, n: int) -> Array:
        if function is None:
            return np.ones(n)
        return _factor(self.call(function), f"weight {name!r}", n)

    def factors(self, weight: _Weight, name: str, n: int) -> list[Array]:
        assert weight.many is not None
        rows = self.call(weight.many)
        many = len(weight.labels)
        if isinstance(rows, Jagged):
            if len(rows.columns) != 1 or (
                len(rows) and not (np.asarray(rows.counts) == many).all()
            ):
                raise ValueError(f"weights {name!r} must have {many} numbers in every event")
            rows = np.asarray(rows[rows.columns[0]]).reshape(len(rows), many).T
        if len(rows) != many:
            raise ValueError(f"weights {name!r} must have {many} rows, got {len(rows)}")
        return [_factor(row, f"weights {name!r}", n) for row in rows]

    def table(self, step: str, n: int) -> tuple[Any, NDArray[np.int64] | None]:
        """What a step returned, and the event of each row; None: row i is of event i."""
        table = self.nominal(step)
        offsets = getattr(table, "offsets", None)
        if offsets is not None:
            if len(offsets) - 1 != n:
                raise ValueError(
                    f"step {step!r} returns {len(offsets) - 1} events of {n}: keep all of them, as "
                    "Jagged.keep does, or return a dict of columns with the rows' numbers as 'event'"
                )
            counts = np.diff(offsets)
            return table, np.repeat(np.arange(n), counts)
        if not isinstance(table, Mapping):
            raise TypeError(
                f"step {step!r} must return a Jagged, pairs or a dict of columns to be filled, got "
                f"{type(table).__name__}"
            )
        if "event" in table:
            event = np.asarray(table["event"])
            if event.dtype.kind not in "iu" or (
                len(event) and not (event.min() >= 0 and event.max() < n)
            ):
                raise ValueError(f"step {step!r}: 'event' must be integers from 0 to {n - 1}")
            return table, event
        for column, values in table.items():
            check_length(values, f"column {column!r} of step {step!r}", n, "events in the batch")
        return table, None


def _factor(values: Any, what: str, n: int) -> Array:
    check_on_host(values, "fj.Variations")
    column = as_float(values, what)
    check_length(column, what, n, "events")
    return column


def _parameters(function: Function) -> tuple[str, ...]:
    """Names of what a function is given."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{function!r} is not a function with named parameters") from error
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in every if p.default is inspect.Parameter.empty]
    if any(p.kind not in kinds for p in every if p.default is inspect.Parameter.empty):
        raise TypeError(f"{function!r} must have named parameters alone")
    return tuple(names)


def _n_events(batch: Any) -> int:
    if not isinstance(batch, Mapping):
        return len(batch)
    lengths = {name: len(values) for name, values in batch.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"a batch must have as many events in every column, got {lengths}")
    return next(iter(lengths.values()))


def _unknown(name: str, steps: Mapping[str, Any], batch: Any) -> str:
    known = [*steps, *(str(n) for n in batch)]
    return f"no step, collection or branch {name!r}: {near_misses(name, known)}"
