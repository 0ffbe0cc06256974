"""What the function of a job is given of a range, and what it makes of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

from fastjag.batch.merging import NOTHING, Merge
from fastjag.io import iterate
from fastjag.io.ranges import Range
from fastjag.schemas import Schema


class _Nothing:
    def __repr__(self) -> str:
        return "RANGE"

    def __reduce__(self) -> str:
        return "RANGE"


#: In place of columns: the function gets the range itself, and reads or simulates on its own.
RANGE: Final = _Nothing()


@dataclass(frozen=True)
class Selection:
    """In place of columns: a selection that reads columns for surviving events only.

    The function gets the iterator of :func:`fastjag.selection.survivors` once for each range, with its ``cutflow``
    and ``counters``. The fields are that function's arguments.
    """

    steps: tuple[Any, ...]
    output: tuple[str, ...] | None = None
    weight: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    batch_size: int = 100_000


@dataclass(frozen=True)
class Reading:
    """How ranges are read."""

    columns: Any
    step: int | str
    schema: Schema | None
    optional: tuple[str, ...]
    device: str | None

    def given(self, piece: Range) -> Generator[Any]:
        """What the function is called with, one after the other."""
        if self.columns is RANGE:
            yield piece
        elif isinstance(self.columns, Selection):
            yield from self._survivors(piece, self.columns)
        else:
            with closing(self._batches(piece)) as batches:
                for batch in batches:
                    batch.source = replace(batch.source, dataset=piece.dataset)
                    yield batch if self.device is None else batch.to(self.device)

    def _batches(self, piece: Range) -> Any:
        return iterate(
            columns=self.columns, ranges=[piece], step=self.step, schema=self.schema,
            optional=self.optional, progress=False,
        )  # fmt: skip

    def _survivors(self, piece: Range, selection: Selection) -> Iterator[Any]:
        from fastjag.selection import survivors

        with closing(
            survivors(
                None, selection.steps, selection.output, weight=selection.weight,
                optional=selection.optional, batch_size=selection.batch_size, schema=self.schema,
                progress=False, ranges=[piece],
            )
        ) as alive:  # fmt: skip
            yield alive


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know."""

    function: Any
    merge: Merge
    reading: Reading

    def result(self, pieces: Iterable[Range]) -> Any:
        """Of ranges, one batch after the other."""
        total = last = NOTHING
        for piece in pieces:
            with closing(self.reading.given(piece)) as given:
                for events in given:
                    value = self.function(events)
                    check_new(value, last)
                    last = value
                    if total is NOTHING or value is NOTHING:
                        total = value if total is NOTHING else total
                    else:
                        total = self.merge(total, value)
        return total


_IMMUTABLE = (int, float, complex, str, bytes, tuple, frozenset, type(None))


def check_new(value: Any, other: Any) -> None:
    """ValueError where a function gave one object twice: its events would count twice."""
    if value is other and not isinstance(value, _IMMUTABLE):
        raise ValueError(
            f"the function returned the same {type(value).__name__} for two batches of events: it must make a new one "
            f"for each, as results are added up afterwards"
        )
