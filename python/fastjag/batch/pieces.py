"""Ranges: of functions that simulate their events, and checks of those that were given."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from fastjag.core.checks import at_least
from fastjag.io.ranges import Range, Ranges

_NO_FILE = "simulated"


def simulated(n_events: int, size: int, dataset: str = "simulated") -> Ranges:
    """Ranges of events that no file holds, for functions that make them (``columns=RANGE``).

    ``size`` events each, the last one what is left. The function gets the range, and seeds its
    random numbers with ``start``, so that they do not depend on who works on it.

    Examples
    --------
    >>> from fastjag import batch
    >>> [len(r) for r in batch.simulated(250, size=100)]
    [100, 100, 50]
    """
    at_least("n_events", n_events, 0)
    at_least("size", size, 1)
    return Ranges(
        Range(dataset, _NO_FILE, _NO_FILE, start, min(start + size, n_events))
        for start in range(0, n_events, size)
    )


def as_ranges(given: Ranges | Iterable[Range]) -> Ranges:
    """Ranges in the order given; ValueError where two have the same events."""
    ranges = given if isinstance(given, Ranges) else Ranges(given)
    seen: dict[tuple[str, str, str], list[Range]] = {}
    for piece in ranges:
        seen.setdefault((piece.dataset, piece.file, piece.tree), []).append(piece)
    for pieces in seen.values():
        pieces.sort(key=lambda piece: (piece.start, piece.stop))
        for one, other in pairwise(pieces):
            if other.start < one.stop:
                raise ValueError(f"two ranges have the same events: {one} and {other}")
    return ranges


def halves(piece: Range, parts: int) -> list[Range]:
    """A range in so many parts of equal length, one event at least."""
    size = max(1, -(-len(piece) // parts))
    return [
        Range(
            piece.dataset, piece.file, piece.tree, start, min(start + size, piece.stop), piece.uuid
        )
        for start in range(piece.start, piece.stop, size)
    ]
