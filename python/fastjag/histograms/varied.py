"""Histograms of one table with an axis of variations: all columns and weights in few passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import as_float, check_length
from fastjag.core.checks import near_misses
from fastjag.histograms.axes import as_axis, name_axes
from fastjag.histograms.fill import histogram
from fastjag.histograms.out import check_out
from fastjag.histograms.variations import AXIS, one_pass

#: Weights that are gathered at a time, in 64 MB.
GATHERED = 2**23


class Row(NamedTuple):
    """Weights of events: a product of columns, which is taken where it is needed alone."""

    factors: tuple[NDArray[Any], ...]

    def of(self, which: Any, known: dict[int, NDArray[Any]]) -> NDArray[np.float64]:
        """Of some events. Columns that several rows share are taken once: ``known`` has them."""
        result: NDArray[Any] | None = None
        for factor in self.factors:
            if id(factor) not in known:
                taken = factor[which] if isinstance(which, slice) else factor.take(which)
                if result is not None:  # a row's own: not for others
                    return np.asarray(np.multiply(result, taken, dtype=np.float64))
                known[id(factor)] = taken
            taken = known[id(factor)]
            result = taken if result is None else np.multiply(result, taken, dtype=np.float64)
        assert result is not None
        return np.asarray(result, np.float64)


class VariedFill:
    """``result`` holds a histogram for each entry of ``columns``: a column and its axis, or a tuple.

    Every histogram has ``names`` as its first axis, and Weight storage. ``out`` are those to fill
    on top.
    """

    def __init__(
        self, names: Sequence[str], columns: Mapping[Any, Any],
        out: Mapping[Any, Any] | None, threads: int | None,
    ):  # fmt: skip
        import hist

        from fastjag.histograms import nan_hist

        self.names, self.threads = list(names), threads
        self.axes: dict[Any, list[Any]] = {}
        self.edges: dict[Any, NDArray[np.float64]] = {}  # of those that the kernel fills together
        self.result: dict[Any, Any] = {}
        first = hist.axis.StrCategory(self.names, name=AXIS)
        for key, axis in columns.items():
            several = isinstance(key, tuple)
            given = list(axis) if several else [axis]
            labels = [str(k) for k in key] if several else [str(key)]
            if len(given) != len(labels):
                raise ValueError(f"columns {key!r} need {len(labels)} axes, got {len(given)}")
            both = [as_axis(hist, a) for a in given]
            for a, _ in both:
                if a.traits.growth:
                    raise ValueError(
                        f"the axis of {key!r} must not grow: all variations have the same"
                    )
            self.axes[key] = name_axes([a for a, _ in both], labels, (AXIS,))
            if len(both) == 1 and both[0][1] is not None:
                self.edges[key] = both[0][1]
            every = [first, *self.axes[key]]
            if out is None:
                self.result[key] = nan_hist.Hist(*every, storage=hist.storage.Weight())
                nan_hist.count_nan(self.result[key], 0.0)
            else:
                check_out(out[key], every, [hist.storage.Weight])
                self.result[key] = out[key]
        self.before = {key: h.view(flow=True)[0].copy() for key, h in self.result.items()}
        self.nominal_nan = dict.fromkeys(columns, 0.0)

    def add(
        self, table: tuple[Any, NDArray[np.int64] | None], weights: Sequence[Row],
        rows: range,
    ) -> None:  # fmt: skip
        """Fills rows of the axis with a table, and the weights of events for each of them."""
        columns, event = table
        values = {key: self._column(columns, key) for key in self.edges}
        n = next((len(v) for v in values.values()), 0)
        for key, column in values.items():
            check_length(column, f"column {key!r}", n, "rows")
        if event is not None and values:
            check_length(event, "event", n, "rows")
        edges = [self.edges[key] for key in values]
        step = max(1, GATHERED // len(weights))
        total: Any = None
        for start in range(0, n, step):
            part = slice(start, start + step)
            which = part if event is None else event[part]
            known: dict[int, NDArray[Any]] = {}
            chosen = [w.of(which, known) for w in weights]
            sums = one_pass([v[part] for v in values.values()], edges, chosen, self.threads)
            total = sums if total is None else tuple(map(np.add, total, sums))
        if total is not None:
            for i, key in enumerate(values):
                self._take(key, rows, *(a[:, i] for a in total))
        for key in self.axes:
            if key not in self.edges:
                self._others(key, columns, event, weights, rows)

    def repeat_nominal(self, row: int) -> None:
        """This variation got what nominal got."""
        from fastjag.histograms import nan_hist

        for key, h in self.result.items():
            view = h.view(flow=True)
            for name in ("value", "variance"):
                view[name][row] += view[name][0] - self.before[key][name]
            nan_hist.count_nan(h, self.nominal_nan[key])

    def _take(self, key: Any, rows: range, sumw: Any, sumw2: Any) -> None:
        from fastjag.histograms import nan_hist

        h = self.result[key]
        slots = [*range(len(self.edges[key])), -2]  # underflow, bins, overflow
        view = h.view(flow=True)
        inner = slice(rows.start, rows.stop)
        view["value"][inner] += sumw[:, slots]
        view["variance"][inner] += sumw2[:, slots]
        nan_hist.count_nan(h, float(sumw[:, -1].sum()))
        if rows.start == 0:
            self.nominal_nan[key] += float(sumw[0, -1])

    def _others(
        self, key: Any, columns: Any, event: NDArray[np.int64] | None,
        weights: Sequence[Row], rows: range,
    ) -> None:  # fmt: skip
        """Axes of other kinds and several of them, by the means of ``fj.histogram``."""
        from fastjag.histograms import nan_hist

        values = tuple(columns[k] for k in key) if isinstance(key, tuple) else columns[key]
        view = self.result[key].view(flow=True)
        # Nominal by itself: shifts that change nothing repeat it, its NaN as well.
        groups = [rows[:1], rows[1:]] if rows.start == 0 else [rows]
        which: Any = slice(None) if event is None else event
        known: dict[int, NDArray[Any]] = {}
        for group in filter(len, groups):
            chosen = [weights[r - rows.start] for r in group]
            part = histogram(
                values, tuple(self.axes[key]), variations=self.names[group.start : group.stop],
                weights=[w.of(which, known) for w in chosen], threads=self.threads,
            )  # fmt: skip
            own = part.view(flow=True)
            for name in ("value", "variance"):
                view[name][group.start : group.stop] += own[name][: len(group)]
            nan_hist.count_nan(self.result[key], part.metadata["nan"])
            if group.start == 0:
                self.nominal_nan[key] += part.metadata["nan"]

    @staticmethod
    def _column(columns: Any, key: Any) -> Any:
        if key not in columns:
            known = [str(c) for c in getattr(columns, "columns", columns)]
            raise KeyError(f"no column {key!r} for a histogram: {near_misses(str(key), known)}")
        return as_float(columns[key], f"column {key!r}")
