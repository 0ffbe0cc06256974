"""Pieces of a file, put together into what one request asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: (seek, size) of bytes that are wanted.
Piece = tuple[int, int]

#: Bytes between two pieces that are cheaper to read than to leave out.
GAP = 32 << 10


@dataclass(frozen=True)
class Span:
    """Bytes start to stop, read as one, and the pieces in them."""

    start: int
    stop: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Limits:
    """What a kind of server takes."""

    requests: int  #: at the same time
    spans: int  #: in one request
    size: int  #: of a span in bytes; larger ones come of larger pieces only


def coalesce(pieces: Iterable[Piece], most: int, gap: int = GAP) -> list[Span]:
    """Spans that cover all pieces, from front to back, each of at most ``most`` bytes.

    A piece is never cut: a larger one is a span of its own.
    """
    spans: list[Span] = []
    start = stop = 0
    inside: list[Piece] = []
    for seek, size in sorted(pieces):
        end = max(stop, seek + size)
        if inside and (seek - stop > gap or end - start > most):
            spans.append(Span(start, stop, tuple(inside)))
            inside = []
        if not inside:
            start = stop = seek
        inside.append((seek, size))
        stop = max(stop, seek + size)
    if inside:
        spans.append(Span(start, stop, tuple(inside)))
    return spans
