"""Without an executor, ranges are read one after the other: the next one while the function works on this."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from fastjag.batch import kept
from fastjag.io.ranges import Range

_MOST = 1000  # ranges that are begun together


class Ahead:
    """Batches of ranges that come in order, of one reading of many of them.

    ``upcoming`` gives the ranges that follow one, and begins with it. What else is asked for is read on its own, and
    reading begins anew after an error.
    """

    def __init__(self, upcoming: Callable[[Range], Iterable[Range]]) -> None:
        self.upcoming = upcoming
        self._open: Any = None
        self._coming: list[Range] = []  # the next one last
        self._states: dict[str, str] = {}  # of their files, before anything was read

    def batches(self, piece: Range, read: Callable[[Sequence[Range]], Any]) -> Generator[Any]:
        """Of the next range, or of another one; ``read`` gives the batches of several."""
        if not self._begins(piece):
            begun = [r for r in islice(self.upcoming(piece), _MOST) if len(r)] if len(piece) else []
            if not begun:  # it is halved, or empty
                yield from read([piece])
                return
            self.close()
            self._coming = begun[::-1]
            self._states |= {r.file: kept.state_of(r.file) for r in self._coming}
            self._open = read(self._coming[::-1])
        self._coming.pop()
        at = piece.start
        try:
            while at < piece.stop:
                batch = next(self._open)
                at = batch.source.stop
                yield batch
                del batch
        except BaseException:  # of reading, or of the function
            self.close()
            raise

    def state_of(self, piece: Range) -> str:
        """That of a file, from before it was read."""
        if self._begins(piece):
            return self._states[piece.file]
        return kept.state_of(piece.file)

    def _begins(self, piece: Range) -> bool:
        return bool(self._coming) and self._coming[-1] is piece

    def close(self) -> None:
        """Stop reading."""
        if self._open is not None:
            with suppress(ValueError):  # a generator that runs: it is closed by its own end
                self._open.close()
        self._open, self._coming, self._states = None, [], {}
