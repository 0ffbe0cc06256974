"""Random numbers that belong to a particle: the same whatever else is read, and in which order.

Philox-4x64 with 10 rounds (J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers:
as easy as 1, 2, 3", Proc. SC11, 2011) makes four random words of a counter and a key. There is no state:
the counter is (event, run and lumi section, index, stream), the key is the seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import as_column
from fastjag.core.checks import is_integer

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_MASK = 2**64 - 1
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_BLOCK = 4096  # entries at a time: all intermediate words stay in the second-level cache


def uniform(
    run: ArrayLike, lumi: ArrayLike, event: ArrayLike, index: ArrayLike = 0, *,
    seed: int, stream: int = 0,
) -> Floats:  # fmt: skip
    """A random number in (0, 1) for every particle, float64 (n,), evenly distributed.

    It depends on these six numbers and on nothing else: not on the batch, the order, the threads or the
    machine. Columns of length n, or a number for all: ``run`` and ``lumi`` below 2**32, ``event`` and
    ``index`` (the particle's place in the event) below 2**64. ``stream`` tells several random numbers
    of one particle apart. Source: the module's text.

    Examples
    --------
    >>> from fastjag import corrections
    >>> both = corrections.uniform(1, [5, 5], [17, 18], seed=3)
    >>> bool(both[1] == corrections.uniform(1, 5, 18, seed=3)[0])
    True
    """
    words = {
        "run": _words(run, "run", 32), "lumi": _words(lumi, "lumi", 32),
        "event": _words(event, "event", 64), "index": _words(index, "index", 64),
    }  # fmt: skip
    for name, value in (("seed", seed), ("stream", stream)):
        if not is_integer(value) or not 0 <= value < 2**64:
            raise ValueError(f"{name} must be an integer from 0 to 2**64 - 1, got {value!r}")
    n = max((len(w) for w in words.values() if len(w) != 1), default=1)
    n = 0 if any(len(w) == 0 for w in words.values()) else n
    for name, word in words.items():
        if len(word) not in (1, n):
            raise ValueError(f"{name} has {len(word)} entries, but there are {n}")
    out = np.empty(n)
    full = [np.broadcast_to(word, n) for word in words.values()]
    for first in range(0, n, _BLOCK):
        runs, lumis, events, indices = (w[first : first + _BLOCK] for w in full)
        sections = (runs << _HALF) | lumis
        streams = np.full(len(runs), stream, np.uint64)
        word = philox((events, sections, indices, streams), (int(seed), 0))[0]
        # 53 bits, in the middle of their interval: neither 0 nor 1.
        out[first : first + _BLOCK] = ((word >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return out


def normal(
    run: ArrayLike, lumi: ArrayLike, event: ArrayLike, index: ArrayLike = 0, *,
    seed: int, stream: int = 0,
) -> Floats:  # fmt: skip
    """As :func:`uniform`, from a normal distribution of mean 0 and width 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastjag import corrections
    >>> x = corrections.normal(1, 1, np.arange(100_000), seed=1)
    >>> print(f"{x.mean():.2f} +- {x.std():.2f}")
    0.00 +- 1.00
    """
    from scipy.special import ndtri

    return np.asarray(ndtri(uniform(run, lumi, event, index, seed=seed, stream=stream)))


def philox(counter: tuple[Words, ...], key: tuple[int, int]) -> tuple[Words, ...]:
    """Four words of each counter of four, all of uint64 and shape (n,)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _multiply(a: Words, b: int) -> tuple[Words, Words]:
    """Upper and lower 64 bits of the product."""
    b0, b1 = np.uint64(b & 0xFFFFFFFF), np.uint64(b >> 32)
    a0, a1 = a & _LOW, a >> _HALF
    middle = a1 * b0 + ((a0 * b0) >> _HALF)
    cross = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> _HALF) + (cross >> _HALF), a * np.uint64(b)


def _words(values: ArrayLike, name: str, bits: int) -> Words:
    column: Any = as_column(np.atleast_1d(np.asarray(values)), name)
    if column.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {column.dtype}")
    if len(column) and (column.min() < 0 or int(column.max()) >= 2**bits):
        wrong = column[(column < 0) | (column.astype(np.uint64) >= 2**bits - (bits == 64))][0]
        raise ValueError(f"{name} must be from 0 to 2**{bits} - 1, got {wrong}")
    return np.asarray(column.astype(np.uint64))
