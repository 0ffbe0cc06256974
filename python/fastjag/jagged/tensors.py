"""Events as dense tensors and as numbers: the methods of Jagged that make them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastjag import kernels
from fastjag.core.arrays import Array, offsets_of, out_array
from fastjag.core.checks import at_least
from fastjag.core.devices import as_cupy, namespace
from fastjag.jagged.columns import Column
from fastjag.jagged.conversions import Conversions
from fastjag.jagged.padded import Padded
from fastjag.jagged.shapes import (
    PLAIN,
    described,
    is_lists,
    is_plain,
    particles_of,
    taken,
)


class DenseColumns(Conversions):
    """Padding and statistics of columns."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def pad(
        self,
        width: int | Sequence[int],
        columns: str | Iterable[str] | None = None,
        *,
        mode: str = "constant",
        fill: float | Sequence[float] = 0,
        by: str | Sequence[str | None] | None = None,
        layout: str = "NKF",
        mean: float | Sequence[float | None] | None = None,
        scale: float | Sequence[float | None] | None = None,
        clip: tuple[float, float] | Sequence[tuple[float, float] | None] | None = None,
        nan: float | None = None,
        dtype: DTypeLike | None = None,
        out: Padded | None = None,
        threads: int | None = None,
    ) -> Padded:
        """A dense tensor with ``width`` slots per event, and the mask of slots that are filled.

        Parameters
        ----------
        width
            Slots per event. For a column of lists, slots of each level: ``jets.pad((4, 20), "parts")``.
        columns
            One name gives values of shape (n_events, width); several (default: all) give
            (n_events, width, F) for ``layout="NKF"`` or (n_events, F, width) for "NFK". One column of
            three numbers per particle gives (n_events, width, 3) or (n_events, 3, width). One column of
            lists gives (n_events, K1, K2) for lists of numbers, and (n_events, K1, K2, F) or
            (n_events, K1, F, K2) for lists with columns of their own, all of which are taken.
        mode
            What stands in slots behind an event's n particles: ``fill`` ("constant"), or the particles
            again, particle i % n in slot i ("wrap"; for one level only). Events without particles have
            the fill in both. The mask is the same in both: true for the first n slots.
        fill
            Value of empty slots, a number or one per column, written as it is (not standardised).
        by
            Take the particles with the largest values of this column, in descending order
            (ties in stored order, NaN last). Default: the first ones, as stored. A name, or None, for
            each level where there are several.
        mean, scale, clip
            Write ``clip((x - mean) * (1 / scale))``, in one pass: numbers and a pair (low, high), or a
            list with one of them, or None for nothing, per column. Computed in float32 where column and
            output are float32, else in float64.
        nan
            Number instead of the NaN of particles, after standardisation. Default: NaN stays NaN.
        dtype
            Of the result: float32, float64, or the dtype that all columns share. Default: the
            shared one (if not standardised), else float64 where a column has 8 bytes, else
            float32, which holds integers up to 2**24.
        out
            A result of an earlier call for as many events or more, written again instead of
            allocating anew: fresh memory costs more than the padding. The result is a view of it.

        Returns
        -------
        Padded
            ``values`` and ``mask`` (bool, shape (n_events, width), or (n_events, K1, K2)).
        """
        widths = width if isinstance(width, (tuple, list)) else (width,)
        for size in widths or (0,):
            at_least("width", size, 1)
        if out is not None and not isinstance(out, Padded):
            raise TypeError(f"out must be the Padded of an earlier call, got {type(out).__name__}")
        out = None if out is None else Padded(as_cupy(out.values), as_cupy(out.mask))
        if out is not None and len(out.values) > len(self):  # the last batch of a loop is shorter
            out = Padded(out.values[: len(self)], out.mask[: len(self)])
        keys = (by,) if by is None or isinstance(by, str) else tuple(by)
        if len(keys) > len(widths):
            raise ValueError(f"by names {len(keys)} levels, but width has {len(widths)}: {by!r}")
        options: dict[str, Any] = {
            "mode": mode, "fill": fill, "layout": layout, "mean": mean, "scale": scale, "clip": clip,
            "nan": nan, "dtype": dtype, "threads": threads,
        }  # fmt: skip
        if len(widths) > 1:
            return self._pad_lists([*widths], columns, keys, out, options)
        return self._pad(widths[0], columns, keys[0] if keys else None, out, options)

    def _pad(
        self,
        width: int,
        columns: str | Iterable[str] | None,
        by: str | None,
        out: Padded | None,
        options: dict[str, Any],
    ) -> Padded:
        """One level."""
        n, threads, layout = len(self), options["threads"], options["layout"]
        one: Column = self._column(columns) if isinstance(columns, str) else None
        if isinstance(columns, str) and not is_lists(one) and one.ndim > 1:
            parts = one.reshape(len(one), math.prod(one.shape[1:])).T
            data = [namespace(one).ascontiguousarray(part) for part in parts]
            shape = (width, *one.shape[1:]) if layout == "NKF" else (*one.shape[1:], width)
        else:
            names = [columns] if isinstance(columns, str) else list(
                self._columns if columns is None else columns
            )  # fmt: skip
            way = f"name columns without it, or it alone; of lists, pad(({width}, 20), NAME) or pad NAME"
            data = [self._flat(name, f"pad({width}, ...)", way) for name in names]
            shape = (width,) if one is not None else ()
        order = None
        if by is not None:
            by_column = self._flat(by, "by")
            span = 0, self.n_particles
            order = kernels.order(self._offsets, by_column, limit=width, span=span, threads=threads)
        given_mask = None if out is None else out.mask
        mask = out_array(given_mask, (n, width), np.bool_, "out.mask", self._offsets)
        given = None if out is None else out.values
        dense = (n, width, len(data)) if layout == "NKF" else (n, len(data), width)
        if given is not None and shape:
            given = _reshaped(given, (n, *shape), dense)
        values = kernels.padding(
            self._offsets, data, width, order=order, out=given, mask=mask, **options
        )
        return Padded(values.reshape(n, *shape) if shape else values, mask)

    def _pad_lists(
        self,
        widths: list[int],
        column: str | Iterable[str] | None,
        keys: Sequence[str | None],
        out: Padded | None,
        options: dict[str, Any],
    ) -> Padded:
        """Lists of particles: the particles of a slot are an event of the next level."""
        if not isinstance(column, str):
            raise TypeError(
                f"width {tuple(widths)!r} has several levels, and takes the name of one column of "
                f"lists, got {column!r}"
            )
        if options["mode"] == "wrap":
            raise ValueError(
                f'mode "wrap" pads one level, but width has {len(widths)}: {tuple(widths)!r}'
            )
        lists = self._column(column)
        if not is_lists(lists):
            raise TypeError(
                f"column {column!r} is {described(lists)}, and no lists: its width is one number, "
                f"not {tuple(widths)!r}"
            )
        n, width = len(self), widths[0]
        xp = namespace(self._offsets)
        counts = xp.minimum(self._offsets[1:] - self._offsets[:-1], width)
        ends_of_lists = offsets_of(counts)
        particles = particles_of(self._offsets[:-1], ends_of_lists, int(ends_of_lists[-1]))
        if keys and keys[0] is not None:
            key = self._flat(keys[0], "by")
            order = kernels.order(
                self._offsets,
                key,
                limit=width,
                span=(0, self.n_particles),
                threads=options["threads"],
            )
            particles = order[particles]
        chosen = taken(lists, particles)
        # Slots without a particle have no list: the content stays as it is.
        sizes = xp.zeros((n, width), np.int64)
        sizes[xp.arange(width) < counts[:, None]] = chosen._offsets[1:] - chosen._offsets[:-1]
        slots = type(chosen)._of(offsets_of(sizes.reshape(-1)), chosen._columns)
        if out is not None:
            out = Padded(*(
                _reshaped(part, (n, width, *end), (n * width, *end))
                for part, end in ((out.values, out.values.shape[2:]), (out.mask, widths[1:]))
            ))  # fmt: skip
        padded = slots.pad(
            widths[1:] if len(widths) > 2 else widths[1], PLAIN if is_plain(lists) else None,
            by=keys[1:] or None, out=out, **options,
        )  # fmt: skip
        return Padded(*(part.reshape(n, width, *part.shape[1:]) for part in padded))

    def aggregate(
        self, column: str, statistics: Iterable[str], *, threads: int | None = None
    ) -> dict[str, Array]:
        """Statistics of a column in each event, as NumPy has them for the event's slice.

        Of a column of lists, ``jets.parts.aggregate("pt", ["sum"])`` has one number per jet: a column.

        Parameters
        ----------
        statistics
            Any of: "count" (int64); "sum" and "prod" (float64; int64 or uint64 for integers;
            "prod" on the CPU only, on one thread); "mean",
            "std" (population, ddof 0; float64); "min", "max" (the column's dtype; float64 for
            integers); "argmin", "argmax" (int64, position in the event, first of equals);
            "any", "all" (bool); "leading-k" with a number k: the k largest values, descending,
            shape (n_events, k).

        Returns
        -------
        dict
            Statistic to array of shape (n_events,). Empty events give count 0, sum 0, prod 1,
            argmin and argmax -1, any False, all True, and NaN elsewhere. A NaN among the values
            makes sum, mean, std, min and max NaN and is what argmin and argmax point to.
            Sums are accumulated in float64; integer sums wrap around as NumPy's do.
        """
        names = [statistics] if isinstance(statistics, str) else list(statistics)
        leading = {name: name.removeprefix("leading-") for name in names if "leading" in name}
        for name, k in leading.items():
            if not (name.startswith("leading-") and k.isdecimal() and int(k) > 0):
                raise ValueError(f"unknown statistic {name!r}: did you mean 'leading-2'?")
        lists = is_lists(self._column(column))
        way = (
            f"[{column!r}].aggregate(...) has one number for each particle's list" if lists else ""
        )
        values = self._flat(column, "aggregate", way)
        plain = [name for name in names if name not in leading]
        result = kernels.aggregate(self._offsets, values, plain, threads=threads)
        for name, k in leading.items():
            floats = None if values.dtype.kind == "f" else np.float64
            padded = self.pad(int(k), column, fill=np.nan, by=column, dtype=floats, threads=threads)
            result[name] = padded.values
        return {name: result[name] for name in names}


def _reshaped(given: Array, shape: tuple[int, ...], to: tuple[int, ...]) -> Array:
    """The same memory in another shape, which the result of an earlier call can have."""
    if tuple(given.shape) != shape:
        raise ValueError(f"out must have shape {shape}, got {tuple(given.shape)}")
    if not given.flags.c_contiguous:
        raise ValueError("out must be C-contiguous, aligned and in native byte order")
    return given.reshape(to)
