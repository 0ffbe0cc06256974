"""Several of a kind as one, and whether two are equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.devices import on_gpu, to_host
from fastjag.jagged.jagged import as_jagged
from fastjag.jagged.padded import Padded

T = TypeVar("T")


def concatenate(parts: Iterable[T], *others: Any) -> T:
    """Events of several Jagged, batches or Dimuons, one after the other.

    Parameters
    ----------
    parts
        All of one kind, with columns of the same names. Integers stay integers and floats floats,
        of the widest dtype. Awkward arrays of records are taken as Jagged.

        Of Dimuons, ``event``, ``first`` and ``second`` count on, so that they point into the
        concatenated particles. A batch of several files counts its entries from 0.

    Raises ValueError or KeyError naming the part and column that do not fit, TypeError for parts of
    several kinds.

    Examples
    --------
    >>> import fastjag as fj
    >>> muons = fj.Jagged([0, 2, 3], {"pt": [41.5, 18.2, 33.0]})
    >>> fj.concatenate([muons, muons[:1]]).counts
    array([2, 1, 2])
    """
    if others:
        raise TypeError(
            f"concatenate takes one list of what it joins, as in fj.concatenate([a, b]), got "
            f"{1 + len(others)} arguments"
        )
    if hasattr(type(parts), "_joined") or isinstance(parts, (str, Mapping)):
        raise TypeError(
            f"concatenate takes a list of what it joins, got one {type(parts).__name__}"
        )
    if not isinstance(parts, Iterable):
        raise TypeError(f"concatenate takes a list of what it joins, got {type(parts).__name__}")
    listed: list[Any] = [_ours(part) for part in parts]
    if not listed:
        raise ValueError("concatenate takes at least one part, got none")
    join = getattr(type(listed[0]), "_joined", None)
    for i, part in enumerate(listed):
        if join is None or getattr(type(part), "_joined", None) is not join:
            raise TypeError(
                "concatenate takes Jagged, batches or Dimuons, all of one kind, got "
                f"{type(listed[0]).__name__}"
                + (f" and {type(part).__name__} (part {i})" if i else "")
                + "; numpy.concatenate joins arrays"
            )
    return join(listed)  # type: ignore[no-any-return, misc]


def equal(a: Any, b: Any) -> bool:
    """Whether two are of one kind and have the same events, columns, dtypes and values.

    Of Jagged, batches, Dimuons, Padded, events and arrays, on any device. NaN equals NaN; the order of
    columns and the source of a batch do not matter. An awkward array of records is compared as Jagged.

    >>> import fastjag as fj
    >>> muons = fj.Jagged([0, 2, 3], {"pt": [41.5, 18.2, float("nan")]})
    >>> fj.equal(muons, fj.Jagged([0, 2, 3], {"pt": [41.5, 18.2, float("nan")]}))
    True
    >>> fj.equal(muons, muons[:1])
    False
    """
    first, second = _arrays(_ours(a)), _arrays(_ours(b))
    return first.keys() == second.keys() and all(
        _same(values, second[name]) for name, values in first.items()
    )


def _ours(value: Any) -> Any:
    """A Jagged of an awkward array; everything else as it is."""
    is_awkward = type(value).__module__.split(".")[0] in ("awkward", "vector", "coffea")
    return as_jagged(value) if is_awkward and hasattr(value, "layout") else value


def _arrays(value: Any) -> dict[Any, Array]:
    if hasattr(type(value), "_arrays"):
        found: dict[Any, Array] = value._arrays()
        return found
    if isinstance(value, Padded):
        return {("Padded", name): part for name, part in value._asdict().items()}
    if isinstance(value, np.ndarray) or on_gpu(value):
        return {("array",): value}
    raise TypeError(
        "equal compares Jagged, batches, Dimuons, Padded, events and arrays, got "
        f"{type(value).__name__}"
    )


def _same(a: Any, b: Any) -> bool:
    a, b = to_host(a), to_host(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
