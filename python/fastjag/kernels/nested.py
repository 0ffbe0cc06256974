"""nested_lists: the lists in lists of a basket of ``std::vector<std::vector<T>>``. CPU only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.kernels.gpu import CPU

#: Bytes before the lists of an entry: how many follow, a version, how many lists there are.
HEADER = 10


def nested_lists(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    dtype: np.dtype[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """(lists of each entry, length of each list, values) of entries as ROOT writes them.

    Parameters
    ----------
    data
        uint8: the content of a basket.
    starts, stops
        int64 (n,): where the lists of each entry begin, behind its header, and end. Each list is its length,
        four bytes in big endian, and its values.
    dtype
        Of the values, native; the data have them in big endian.

    Raises
    ------
    ValueError
        Naming an entry whose header or lists do not fit the bytes that it has.
    """
    counts = np.empty(len(starts), np.int64)
    _check(CPU.kernels.count_nested(data, starts, stops, counts))
    n_lists = int(counts.sum())
    n_bytes = max(0, int((stops - starts).sum()) - 4 * n_lists)
    lengths, values = np.empty(n_lists, np.int64), np.empty(n_bytes // dtype.itemsize, dtype)
    _check(CPU.kernels.nested_lists(data, starts, stops, counts, lengths, values))
    return counts, lengths, values


def _check(bad: int) -> None:
    if bad >= 0:
        raise ValueError(f"entry {bad} has lists of lists that do not fit its bytes")
