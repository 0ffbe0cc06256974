"""The class ``Jagged``: events with any number of particles each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import (
    Array,
    Offsets,
    as_bools,
    as_column,
    as_event_indices,
    as_mask,
    as_offsets,
    check_length,
    offsets_of,
    read_only,
)
from fastjag.core.checks import is_integer, one_of
from fastjag.core.devices import check_together, ends, namespace, on_gpu, to_gpu, to_host
from fastjag.core.display import COLUMNS, ROWS, html_table, listed, short
from fastjag.jagged.columns import Column
from fastjag.jagged.event import Event
from fastjag.jagged.joining import join_columns, join_offsets
from fastjag.jagged.shapes import (
    arrays_of,
    as_particles,
    described,
    first_array,
    gathered,
    is_flat,
    is_lists,
    shown,
    taken,
)
from fastjag.jagged.tensors import DenseColumns


class Jagged(DenseColumns):
    """Events with any number of particles each, as columns of equal length and offsets.

    Parameters
    ----------
    offsets
        Integers of shape (n_events + 1,): event i owns particles ``offsets[i]:offsets[i + 1]``.
        They need not start at 0 nor end at the columns' end.
    columns
        Name to column, one entry per particle: bool, integers, float32 or float64, shape
        (n_particles,), or (n_particles, 3) where every particle has three. A Jagged is a column of lists:
        its events are the particles.

    Columns in native byte order, contiguous and aligned are taken without a copy; others are
    converted once, here. Raises ValueError or TypeError naming the column or event that is wrong.

    Examples
    --------
    >>> import fastjag as fj
    >>> muons = fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0], "eta": [0.1, -1.2, 2.1]})
    >>> muons.keep(muons["pt"] > 20).counts
    array([1, 0, 1])

    Jets with their constituents:

    >>> parts = fj.Jagged([0, 2, 3, 6], {"pt": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]})
    >>> jets = fj.Jagged([0, 1, 3], {"pt": [17.0, 7.0, 15.0], "parts": parts})
    >>> jets.parts.aggregate("pt", ["sum"])["sum"]
    array([17.,  7., 15.])
    >>> jets.keep(jets.pt > 10).flatten("parts").counts
    array([2, 3])
    """

    __slots__ = ("_columns", "_offsets")
    _columns: dict[str, Column]

    def __init__(self, offsets: ArrayLike, columns: Mapping[str, Any] | None = None) -> None:
        if not isinstance(columns, Mapping):
            raise TypeError(
                f"columns must be a dict of arrays, got {type(columns).__name__}; Jagged.from_counts, "
                "from_awkward and from_arrow make a Jagged of other things"
            )
        self._take(offsets, columns)

    def _take(self, offsets: ArrayLike, columns: Mapping[str, Any]) -> None:
        checked = {n: as_particles(v, f"column {n!r}", any_byte=True) for n, v in columns.items()}
        if not checked:
            raise ValueError("columns must hold at least one column")
        lengths = {name: len(values) for name, values in checked.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name!r} {n}" for name, n in lengths.items())
            raise ValueError(f"columns must have equal lengths, got {listed}")
        # Kernels trust offsets: what is checked is a copy, which nobody else can change.
        given = as_column(offsets, "offsets")
        self._check_together(given, checked)
        bools = [n for n, v in checked.items() if not is_lists(v) and v.dtype == np.bool_]
        look = kernels.Glance([checked[name] for name in bools])
        bounds, start, stop = as_offsets(given.copy(), next(iter(lengths.values())), look.facts_of)
        for name, wrong in zip(bools, look.no_bools, strict=False):
            if wrong:
                checked[name] = as_bools(checked[name])
        # Offsets from 0 and content without a tail, once, so that nothing after has to think of it.
        self._offsets = read_only(bounds - start if start else bounds)
        self._columns = {name: values[start:stop] for name, values in checked.items()}

    @staticmethod
    def _check_together(offsets: Offsets, columns: Mapping[str, Column]) -> None:
        named = {f"column {name!r}": first_array(values) for name, values in columns.items()}
        check_together("offsets and columns", {"offsets": offsets, **named})

    @classmethod
    def _of(cls, offsets: Offsets, columns: dict[str, Column]) -> Jagged:
        """From parts known to be right."""
        new = object.__new__(cls)
        new._offsets, new._columns = read_only(offsets), columns
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._offsets, self._columns)  # checked again, read-only again

    def __setstate__(self, state: Any) -> None:
        """From a pickle of fastjag 0.1, checked as all others are."""
        try:
            offsets, columns = state[1]["_offsets"], state[1]["_columns"]
        except (TypeError, KeyError, IndexError):
            raise ValueError(f"this is no pickle of a fastjag.Jagged: {state!r:.200}") from None
        self._take(offsets, columns)

    @classmethod
    def from_counts(cls, counts: ArrayLike, columns: Mapping[str, Any]) -> Jagged:
        """From the number of particles of each event, shape (n_events,)."""
        n = as_column(counts, "counts")
        if n.dtype.kind not in "iu":
            raise TypeError(f"counts must be integers, got dtype {n.dtype}")
        jagged = cls(offsets_of(n), columns)
        if jagged.n_particles != len(next(iter(columns.values()))):
            raise ValueError(
                f"counts add up to {jagged.n_particles} particles, but the columns have "
                f"{len(next(iter(columns.values())))}"
            )
        return jagged

    # ---- what there is ----------------------------------------------------------------------

    @property
    def offsets(self) -> Offsets:
        """int64 (n_events + 1,), from 0 to the number of particles; read-only.

        CuPy has no read-only arrays: whoever writes into them on a GPU sends kernels astray.
        """
        return self._offsets.view()  # dtype and shape of a view can be set: not those of ours

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 (n_events,): particles in each event."""
        return np.diff(self._offsets)

    @property
    def device(self) -> str:
        """Where offsets and columns live: "cpu" or "cuda"."""
        return "cuda" if on_gpu(self._offsets) else "cpu"

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def _headline(self) -> str:
        named = listed([f"{name} {described(values)}" for name, values in self._columns.items()])
        where = " on cuda" if self.device == "cuda" else ""
        return f"<Jagged{where}: {len(self)} events, {self.n_particles} particles: {named}>"

    def __repr__(self) -> str:
        lines = [self._headline()]
        for i, event in enumerate(self[:3]):
            cells = [f"{short(n)} [{shown(values)}]" for n, values in list(event.items())[:4]]
            lines.append(f"  event {i}: " + "  ".join(cells))
        return "\n".join(lines + ["  ..."] * (len(self) > 3))

    def _repr_html_(self) -> str:
        names = self.columns[:COLUMNS]
        rows = [[i, len(event), *(shown(event[name]) for name in names)]
                for i, event in enumerate(self[:ROWS])]  # fmt: skip
        return html_table(self._headline(), ["event", "particles", *names], rows)

    # ---- events and particles ---------------------------------------------------------------

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: int) -> Event: ...
    @overload
    def __getitem__(self, key: slice | list[str] | Sequence[int] | NDArray[Any]) -> Jagged: ...
    def __getitem__(self, key: Any) -> Any:
        """A column by its name, columns by a list of names; an event by its number, events by
        slice, mask or indices."""
        if isinstance(key, str):
            column = self._column(key)
            return column if is_lists(column) else column.view()  # as offsets are
        if is_integer(key):
            number = int(key) + len(self) * (int(key) < 0)
            if not 0 <= number < len(self):
                raise IndexError(f"event {int(key)} is out of range for {len(self)} events")
            return self._event(*self._offsets[number : number + 2].tolist())
        if isinstance(key, tuple):
            raise TypeError(
                f"a Jagged takes one index, got {len(key)}: a list picks columns, "
                f'muons[["pt", "eta"]], .pad(2) and .aggregate("pt", ["leading-2"]) take the first '
                "or largest of each event, .keep(mask) some particles"
            )
        if isinstance(key, list) and key and all(isinstance(name, str) for name in key):
            return Jagged._of(self._offsets, {name: self._column(name) for name in key})
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            bounds = self._offsets[start : max(start, stop) + 1]
            first, last = ends(bounds)
            columns = {name: values[first:last] for name, values in self._columns.items()}
            return Jagged._of(bounds - first if first else bounds, columns)
        return self._gather(as_event_indices(key, len(self), self._offsets, self.n_particles))

    def __iter__(self) -> Iterator[Event]:
        """The events, one after the other; what each costs, kernels and numba do not."""
        bounds = to_host(self._offsets).tolist()
        return (self._event(*pair) for pair in pairwise(bounds))

    def _event(self, start: int, stop: int) -> Event:
        return Event({name: values[start:stop] for name, values in self._columns.items()})

    def _gather(self, events: NDArray[np.int64]) -> Jagged:
        starts = self._offsets[:-1][events]  # of these alone: a batch is a few of many
        offsets = offsets_of(self._offsets[1:][events] - starts)
        size = int(offsets[-1])
        columns = {n: gathered(v, starts, offsets, size) for n, v in self._columns.items()}
        return Jagged._of(offsets, columns)

    def keep(self, mask: ArrayLike, *, threads: int | None = None) -> Jagged:
        """The particles that pass a flat boolean mask of shape (n_particles,); all events stay."""
        checked = as_mask(mask, "mask", self.n_particles, "particles")
        flat = {name: values for name, values in self._columns.items() if is_flat(values)}
        places = [] if len(flat) == len(self._columns) else [None]  # of what is not flat
        offsets, kept = kernels.keep(
            self._offsets, checked, [*flat.values(), *places], threads=threads
        )
        columns = dict(zip(flat, kept, strict=False))
        for name, values in self._columns.items():
            columns[name] = columns[name] if name in flat else taken(values, kept[-1])
        return Jagged._of(offsets, {name: columns[name] for name in self._columns})

    def sort(self, by: str, *, threads: int | None = None) -> Jagged:
        """Particles of each event by descending ``by``: ties keep their order, NaN comes last."""
        key, span = self._flat(by, "sort"), (0, self.n_particles)
        order = kernels.order(self._offsets, key, span=span, threads=threads)
        return Jagged._of(self._offsets, {n: taken(v, order) for n, v in self._columns.items()})

    def flatten(self, column: str) -> Jagged:
        """The lists of a column joined in each event: the constituents of all jets of an event.

        ``jets.parts.broadcast(jets.pt)`` has for each of these the value of its jet.
        """
        lists = self._column(column)
        if not is_lists(lists):
            raise TypeError(
                f"column {column!r} has no lists to join: it is {described(lists)}, and flat"
            )
        return Jagged._of(lists._offsets[self._offsets], lists._columns)

    def _arrays(self) -> dict[Any, Array]:
        offsets = {("Jagged", "", "offsets"): self._offsets}
        return {**offsets, **arrays_of(self._columns, "Jagged")}

    @staticmethod
    def _joined(parts: Sequence[Jagged]) -> Jagged:
        columns = join_columns([part._columns for part in parts], "column")
        return Jagged._of(join_offsets([part._offsets for part in parts]), columns)

    def broadcast(self, values: ArrayLike) -> Array:
        """For each particle the value of its event: values of shape (n_events,) to (n_particles,).

        Or (n_events, 3) to (n_particles, 3).

        >>> muons = Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0]})
        >>> muons.broadcast([1.0, 2.0, 3.0])
        array([1., 1., 3.])
        """
        column = as_column(values, "values", several=True)
        check_length(column, "values", len(self), "events")
        check_together("events and their values", {"events": self._offsets, "values": column})
        if self.device == "cpu":
            return np.repeat(column, self.counts, axis=0)
        particles = namespace(column).arange(self.n_particles)  # CuPy repeats all as often
        return cast(Array, column[np.searchsorted(self._offsets, particles, side="right") - 1])

    def with_columns(self, **columns: ArrayLike) -> Jagged:
        """With columns added or replaced, one entry per particle: as those of the constructor."""
        new = dict(self._columns)
        for name, values in columns.items():
            new[name] = as_particles(values, f"column {name!r}")
            check_length(new[name], f"column {name!r}", self.n_particles, "particles")
        self._check_together(self._offsets, new)
        return Jagged._of(self._offsets, new)

    # ---- devices ----------------------------------------------------------------------------

    def to(self, device: str) -> Jagged:
        """The same particles on "cuda" (CuPy's current GPU) or "cpu"; itself if it is there.

        Columns and results of a Jagged on "cuda" are CuPy arrays; ``threads`` has no meaning there.
        Raises RuntimeError where there is no GPU, driver or CUDA kernels, MemoryError where the GPU
        has no room.
        """
        if one_of("device", device, ("cpu", "cuda")) == self.device:
            return self
        if device == "cuda":
            kernels.cuda_module()  # says what is missing
        move = to_gpu if device == "cuda" else to_host
        columns = {n: v.to(device) if is_lists(v) else move(v) for n, v in self._columns.items()}
        return Jagged._of(move(self._offsets), columns)


def as_jagged(particles: Any, columns: Iterable[str] | None = None) -> Jagged:
    """``particles`` if it is a Jagged, or the Jagged view of an awkward array of records."""
    if isinstance(particles, Jagged):
        return particles
    if type(particles).__module__.split(".")[0] in ("awkward", "vector", "coffea") or hasattr(
        particles, "layout"
    ):
        return Jagged.from_awkward(particles, columns)
    way = (
        "; a batch has collections, such as batch.Muon" if hasattr(particles, "collections") else ""
    )
    way = "; .to_jagged() makes one of pairs" if hasattr(particles, "to_jagged") else way
    raise TypeError(
        "expected a fastjag.Jagged or an awkward array of records, got "
        f"{type(particles).__name__}{way}"
    )
