"""Loaders of tensors that somebody else has made, in memory or mapped into it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import Array
from fastjag.loading.lanes import Run
from fastjag.loading.loaders import Loader
from fastjag.loading.making import checked
from fastjag.loading.plan import EventCost, Plan

_BLOCK = 4096  # events of which the digest is taken at a time


def tensor_loader(
    tensors: Mapping[str, Any],
    rows: ArrayLike | None = None,
    *,
    batch_size: int = 1024,
    shuffle: str | None = "global",
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = 1,
    streams: int = 12,
    rank: int | None = None,
    world_size: int | None = None,
    drop_last: bool = False,
) -> Loader:
    """Batches of tensors that are there: shuffled, for ranks and workers, and resumed as those of :func:`fastjag.loader`.

    Parameters
    ----------
    tensors
        By name, such as "Jet" (n, width, F), "Jet_mask" (n, width), "features", "target" (n,) and "weight": NumPy arrays, arrays that are
        mapped into memory (``numpy.load(path, mmap_mode="r")``) where they are larger than that, or whatever has ``shape``,
        ``dtype`` and ``take(rows, axis)``. Nothing is copied but the events of a batch.
    rows
        Integers (m,): the events to use, each counted as often as it is named. Default: all.
    batch_size, seed, device, epochs, streams, rank, world_size, drop_last
        As in :func:`fastjag.loader`.
    shuffle
        "global": an exact permutation in every epoch. None: the order of ``rows``.

    Returns
    -------
    Loader
        Of :class:`Minibatch`. Its ``state_dict`` knows the tensors by a hash of what is in them.

    Raises
    ------
    ValueError, TypeError
        For tensors that differ in how many events they have, rows that are none of them, and arguments that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from fastjag.loading import tensor_loader
    >>> x = np.arange(10, dtype=np.float32)
    >>> [batch["x"].tolist() for batch in tensor_loader({"x": x}, [1, 2, 5], batch_size=2, shuffle=None)]
    [[1.0, 2.0], [5.0]]
    """
    options, how = checked(
        ("global",), batch_size, shuffle, seed, device, epochs, streams, rank, world_size,
        drop_last, 1 << 50,
    )  # fmt: skip
    store: Any = GivenEvents(tensors, rows)  # has what the loader asks of stored events
    runs = (Run("", "memory", "", None, (0, len(store))),)
    plan = Plan.of(runs, options, EventCost(1, 1))
    return Loader(store.inputs, plan, how, (), store)


class GivenEvents:
    """Some of the events of given tensors, from which batches are picked."""

    padded = True

    def __init__(self, tensors: Mapping[str, Any], rows: ArrayLike | None) -> None:
        if not tensors:
            raise ValueError("tensors must name one tensor or more")
        self.tensors = {
            name: values if hasattr(values, "take") else np.asarray(values)
            for name, values in tensors.items()
        }
        if scalars := [name for name, values in self.tensors.items() if not len(values.shape)]:
            raise ValueError(f"tensor {scalars[0]!r} must have one entry per event, got a number")
        sizes = {name: int(values.shape[0]) for name, values in self.tensors.items()}
        if len({*sizes.values()}) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in sizes.items())
            raise ValueError(f"tensors must have as many events as one another, got {listed}")
        n = next(iter(sizes.values()))
        self.rows: NDArray[np.int64] | None = None
        if rows is not None:
            chosen = np.asarray(rows)
            if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and len(chosen)):
                raise TypeError(
                    f"rows must be integers (m,), got {chosen.dtype} of shape {chosen.shape}"
                )
            if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < n:
                raise ValueError(
                    f"rows must be from 0 to {n - 1}, got {chosen.min()} to {chosen.max()}"
                )
            self.rows = chosen.astype(np.int64)
        self._n = n if self.rows is None else len(self.rows)
        if not self._n:
            raise ValueError("there are no events")
        self.inputs = _GivenInputs(self)

    def __len__(self) -> int:
        return self._n

    def take(self, events: NDArray[np.int64]) -> dict[str, Array]:
        picked = events if self.rows is None else self.rows[events]
        return {name: values.take(picked, axis=0) for name, values in self.tensors.items()}


class _GivenInputs:
    """In place of :class:`fastjag.Inputs`: what tensors there are, and what is in them."""

    columns: tuple[str, ...] = ()
    dense_bytes = 0

    def __init__(self, events: GivenEvents) -> None:
        self._events = events

    def rows(self, events: Any) -> Any:
        return events

    def tensors(self, rows: Any, out: Any = None) -> Any:
        return rows

    def describe(self) -> dict[str, Any]:
        given = self._events.tensors
        return {
            "tensors": {n: [str(v.dtype), list(v.shape[1:])] for n, v in given.items()},
            "content": self.digest,
        }

    @cached_property
    def digest(self) -> str:
        """Of all events in their order."""
        found = blake2b(repr(sorted(self._events.tensors)).encode(), digest_size=16)
        for start in range(0, len(self._events), _BLOCK):
            some = np.arange(start, min(start + _BLOCK, len(self._events)))
            for name, values in sorted(self._events.take(some).items()):
                found.update(repr((name, values.dtype.str, values.shape)).encode())
                found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()
