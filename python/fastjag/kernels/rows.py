"""take_rows, take_lists, deal_rows, permutation: rows and lists in another order. CPU only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, Offsets
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


def take_lists(
    bounds: Offsets,
    starts: NDArray[np.int64],
    offsets: Offsets,
    columns: Sequence[Sequence[Array]],
    *,
    threads: int | None = None,
) -> list[Array]:
    """Columns of lists whose content lies in pieces: list i begins with value ``starts[i]``, counted through all.

    ``columns[k]`` are the pieces of a column, all of one dtype: piece p, of shape (n,), has the values ``bounds[p]`` to
    before ``bounds[p + 1]``. Returns each column with the lists one after the other, as long as ``offsets`` say. Raises
    IndexError for a list that is not within one piece.
    """
    outs = [np.empty(int(offsets[-1]), pieces[0].dtype) for pieces in columns]
    CPU.kernels.take_lists(
        bounds, starts, offsets, [list(pieces) for pieces in columns], outs, CPU.where(threads)
    )
    return outs


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
