"""take_rows, deal_rows, permutation: rows of tensors in another order. CPU only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.kernels.gpu import CPU


def take_rows(
    records: NDArray[np.uint8],
    rows: NDArray[np.int64],
    starts: Sequence[int],
    outs: Sequence[Array],
    *,
    threads: int | None = None,
) -> None:
    """Copy parts of some records, uint8 (n_records, size), each into an array of its own.

    Row i of ``outs[k]``, of any dtype and shape (n, ...), are the bytes from ``starts[k]`` on of record ``rows[i]``.
    Raises IndexError for a row that there is not.
    """
    CPU.kernels.take_rows(records, rows, list(starts), list(outs), CPU.where(threads))


def deal_rows(
    tensors: Sequence[Array],
    places: NDArray[np.int64],
    blocks: Sequence[Sequence[Array]],
    *,
    threads: int | None = None,
) -> None:
    """Copy rows of tensors to places in blocks: row i goes to place ``places[i]``, counted through the blocks.

    ``blocks[k]`` are those of ``tensors[k]``, all of as many rows, of the same dtype and shape. No two places are the
    same. Raises IndexError for a place that there is not.
    """
    if blocks and blocks[0]:
        CPU.kernels.deal_rows(
            list(tensors), places, len(blocks[0][0]), [list(b) for b in blocks], CPU.where(threads)
        )


def permutation(words: NDArray[np.uint64], *, inverse: bool = False) -> NDArray[np.int64]:
    """int64 (n,): 0 to n - 1 in the order that n random words of 64 bits say, the same on every machine.

    All orders are equally likely, but for n / 2**64. ``inverse``: where each number stands in that order.
    """
    order = np.empty(len(words), np.int64)
    CPU.kernels.permutation(words, inverse, order)
    return order
