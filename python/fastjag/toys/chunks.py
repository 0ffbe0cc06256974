"""Events of a toy in chunks, each from a random stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def cut_into_chunks(
    make: Callable[[int], dict[str, Any]], n_events: int, size: int
) -> Iterator[dict[str, Any]]:
    """``n_events`` out of the chunks of ``size`` that ``make`` makes by their number.

    A whole chunk is made and cut, so that fewer events are the first of more events.
    """
    for index, start in enumerate(range(0, n_events, size)):
        left = n_events - start
        chunk = make(index)
        yield {k: v[:left] for k, v in chunk.items()} if left < size else chunk
