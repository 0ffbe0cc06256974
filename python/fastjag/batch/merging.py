"""What two results are together, and the order in which many are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from numbers import Number
from typing import Any

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.devices import as_cupy, namespace, on_gpu

#: What a range without events or without a result has.
NOTHING: Any = None

Merge = Callable[[Any, Any], Any]

_WIDE: dict[str, Any] = {"f": np.float64, "c": np.complex128}


def merge(a: Any, b: Any) -> Any:
    """Two results as one; neither is changed.

    Histograms (``hist.Hist``, with their NaN), numbers and arrays of one shape are added: integers of NumPy exactly,
    as int64 or uint64, its floats as float64. ``Counter`` and dicts are added key by key (a key that one alone has
    is taken as it is), dataclasses and tuples of one length part by part. Lists are joined, so that paths of files that were written stay a list; sets are united;
    Jagged, batches and pairs are joined by :func:`fastjag.concatenate`. ``None`` adds nothing. Texts and bools must
    be equal.

    Raises TypeError naming the place within the results, such as ``["mass"]``, and the two types; OverflowError
    for integers of NumPy beyond 64 bits.

    Examples
    --------
    >>> from fastjag import batch
    >>> batch.merge({"events": 3, "files": ["a.root"]}, {"events": 4, "files": ["b.root"]})
    {'events': 7, 'files': ['a.root', 'b.root']}
    """
    return _merge(a, b, "")


def _merge(a: Any, b: Any, where: str) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return _merge_mappings(a, b, where)
    if isinstance(a, (str, bytes, bool, np.bool_)) or isinstance(b, (str, bytes, bool, np.bool_)):
        if type(a) is type(b) and a == b:
            return a
        raise TypeError(f"results{where} differ and cannot be added: {a!r:.60} and {b!r:.60}")
    if isinstance(a, list) and isinstance(b, list):
        return [*a, *b]
    if isinstance(a, (set, frozenset)) and isinstance(b, (set, frozenset)):
        return a | b
    if isinstance(a, tuple) and type(a) is type(b):
        if len(a) != len(b):
            raise TypeError(f"results{where} are tuples of {len(a)} and {len(b)} parts")
        parts = [_merge(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True))]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, (Number, np.ndarray)) and isinstance(b, (Number, np.ndarray)):
        x, y = np.asarray(a), np.asarray(b)
        if x.shape != y.shape:
            raise TypeError(
                f"results{where} are arrays of shape {x.shape} and {y.shape}: arrays are sums of "
                f"one shape; what is one row per event goes into lists, or files"
            )
        return _sum(a, b, x, y, where)
    if hasattr(type(a), "_joined") and type(a) is type(b):
        from fastjag.jagged import concatenate

        return concatenate([a, b])
    if hasattr(a, "axes") and hasattr(b, "axes"):
        return _add(a, b, where)
    if is_dataclass(a) and type(a) is type(b) and not isinstance(a, type):
        return type(a)(
            **{f.name: _merge(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
               for f in fields(a)}
        )  # fmt: skip
    if type(a) is type(b) and hasattr(type(a), "__add__"):
        return _add(a, b, where)
    raise TypeError(
        f"results{where} of {type(a).__name__} and {type(b).__name__} cannot be merged; merge= takes a function "
        f"of two results"
    )


def _sum(a: Any, b: Any, x: Array, y: Array, where: str) -> Any:
    """Numbers or arrays, in 64 bits: narrow ones would lose counts, and float32 the small terms of a sum."""
    if isinstance(a, np.ma.MaskedArray) or isinstance(b, np.ma.MaskedArray):
        raise TypeError(
            f"results{where} are masked arrays, whose sum is not known where one is masked"
        )
    if not {x.dtype.kind, y.dtype.kind} <= set("iufcmO"):
        raise TypeError(
            f"results{where} are arrays of {x.dtype} and {y.dtype}, which cannot be added"
        )
    if not isinstance(a, (np.generic, np.ndarray)) and not isinstance(b, (np.generic, np.ndarray)):
        return a + b  # Python's own
    both = np.result_type(x, y)
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        return _exact(x, y, where)
    return np.add(x, y, dtype=np.result_type(both, _WIDE.get(both.kind, both)))


def _exact(x: Array, y: Array, where: str) -> Any:
    """Integers as int64, or uint64 where both are unsigned or no int64 holds them; never a float64, never wrapped."""
    if x.dtype.kind == y.dtype.kind:
        kind: Any = np.int64 if x.dtype.kind == "i" else np.uint64
        total = np.add(x, y, dtype=kind)
        over = total < x if kind is np.uint64 else ((x ^ total) & (y ^ total)) < 0
        if not np.any(over):
            return total
    exact = x.astype(object) + y.astype(object)
    for kind in (np.int64, np.uint64):
        try:
            return np.asarray(exact, dtype=kind)[()]
        except OverflowError:
            continue
    raise OverflowError(f"results{where} add up to integers beyond 64 bits")


def _merge_mappings(a: Mapping[Any, Any], b: Mapping[Any, Any], where: str) -> Any:
    merged = {
        key: _merge(value, b[key], f"{where}[{key!r}]") if key in b else value
        for key, value in a.items()
    } | {key: value for key, value in b.items() if key not in a}
    return Counter(merged) if isinstance(a, Counter) else merged


def _add(a: Any, b: Any, where: str) -> Any:
    try:
        return a + b
    except Exception as error:
        raise TypeError(f"results{where} cannot be added: {error}") from error


def counted_twice(a: Any, b: Any, where: str = "") -> str | None:
    """The place within two results, such as ``["mass"]``, of what both have and adding counts twice."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a is b and any(_is_number(value) for value in a.values()):
            return where
        pairs = [(f"{where}[{key!r}]", a[key], b[key]) for key in a if key in b]
    elif isinstance(a, tuple) and isinstance(b, tuple):
        pairs = [(f"{where}[{i}]", *both) for i, both in enumerate(zip(a, b, strict=False))]
    elif is_dataclass(a) and type(a) is type(b) and not isinstance(a, type):
        names = [f.name for f in fields(a)]
        if a is b and any(_is_number(getattr(a, name)) for name in names):
            return where
        pairs = [(f"{where}.{name}", getattr(a, name), getattr(b, name)) for name in names]
    elif isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        shared = (a.flags.writeable or b.flags.writeable) and np.may_share_memory(a, b)
        return where if a is b or shared else None
    elif on_gpu(a) and on_gpu(b):
        return where if namespace(a).may_share_memory(as_cupy(a), as_cupy(b)) else None
    else:
        once = (
            Number,
            np.bool_,
            str,
            bytes,
            set,
            frozenset,
            type(None),
        )  # new, or the same when added
        return where if a is b and not isinstance(a, once) else None
    each = (counted_twice(x, y, place) for place, x, y in pairs)
    return next((found for found in each if found is not None), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


class MergeTree:
    """Merges n results pairwise: neighbours first, then pairs of neighbours, and so on.

    The order depends on nothing but n, so that sums of floats are the same to the last bit however
    the results come. What is at hand is merged at once: of n results that come in order, log2(n) are
    in memory.
    """

    def __init__(self, n: int, function: Merge) -> None:
        self.n, self.merge = n, function
        self._waiting: dict[tuple[int, int], Any] = {}  # (level, position): not merged yet

    def add(self, level: int, position: int, value: Any) -> None:
        """The results ``position * 2**level`` to before ``(position + 1) * 2**level``, merged."""
        while True:
            width = self._width(level)
            if width == 1:
                self._waiting[level, 0] = value
                return
            other = position ^ 1
            if other >= width:  # the last one of an odd number goes up as it is
                level, position = level + 1, position // 2
                continue
            if (level, other) not in self._waiting:
                self._waiting[level, position] = value
                return
            neighbour = self._waiting.pop((level, other))
            left, right = (value, neighbour) if position < other else (neighbour, value)
            value = self._merge(left, right)
            level, position = level + 1, position // 2

    def _merge(self, left: Any, right: Any) -> Any:
        if left is NOTHING or right is NOTHING:
            return right if left is NOTHING else left
        return self.merge(left, right)

    def _width(self, level: int) -> int:
        """Results at a level."""
        return -(-self.n // (1 << level))

    @property
    def value(self) -> Any:
        """Of all results, when they have come."""
        if self.n == 0:
            return NOTHING
        ((level, _),) = self._waiting  # anything else is a mistake of the caller
        assert self._width(level) == 1
        return self._waiting[level, 0]


def merged(results: list[Any], function: Merge) -> Any:
    """All of a list, in the order of :class:`MergeTree`."""
    tree = MergeTree(len(results), function)
    for i, result in enumerate(results):
        tree.add(0, i, result)
    return tree.value
