"""What the function of a job is given of a range, and what it makes of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fastjag.batch import slot
from fastjag.batch.ahead import Ahead
from fastjag.batch.device import OnDevice, on_host
from fastjag.batch.merging import NOTHING, Merge, counted_twice
from fastjag.batch.merging import merge as add_up
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

    def given(self, piece: Range, ahead: Ahead | None = None) -> Generator[Any]:
        """What the function is called with, one after the other."""
        if self.columns is RANGE:
            yield piece
        elif isinstance(self.columns, Selection):
            yield from self._survivors(piece, self.columns)
        else:
            with closing(self._batches(piece, ahead)) as batches:
                yield from batches

    def _batches(self, piece: Range, ahead: Ahead | None) -> Generator[Any]:
        given = self.read([piece]) if ahead is None else ahead.batches(piece, self.read)
        with closing(given) as batches:
            for batch in batches:
                batch.source = replace(batch.source, dataset=piece.dataset)
                yield batch
                del batch

    def read(self, pieces: Sequence[Range]) -> Any:
        """The batches of ranges, as they are in the files."""
        return iterate(
            columns=self.columns, ranges=pieces, step=slot.step(self.step), schema=self.schema,
            optional=self.optional, progress=False, device=self.device or "cpu",
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
            yield alive if self.device is None else OnDevice(alive)


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know."""

    function: Any
    merge: Merge
    reading: Reading
    #: What the function gave last in this process: the next is none of its parts.
    last: list[Any] = field(default_factory=lambda: [NOTHING], repr=False, compare=False)

    @property
    def device(self) -> str | None:
        return self.reading.device

    def result(self, pieces: Iterable[Range], ahead: Ahead | None = None) -> Any:
        """Of ranges, one batch after the other."""
        total = NOTHING
        for piece in pieces:
            with closing(self.reading.given(piece, ahead)) as given:
                for events in given:
                    value = self.function(events)
                    del events  # before the next one comes
                    check_new(value, self.last[0], self.merge)
                    self.last[0] = value
                    if self.device is not None:
                        value = on_host(value)
                    if total is NOTHING or value is NOTHING:
                        total = value if total is NOTHING else total
                    else:
                        total = self.merge(total, value)
        return total


_IMMUTABLE = (int, float, complex, str, bytes, tuple, frozenset, type(None))


class ReusedError(ValueError):
    """A function gave one object twice: nothing that it gave before can be trusted."""


def check_new(value: Any, other: Any, merge: Merge) -> None:
    """ReusedError where a function gave one object twice: its events would count twice.

    Parts are compared, too, where ``merge`` is ours: another one may take what is the same as it is.
    """
    same = value is other and not isinstance(value, _IMMUTABLE)
    where = None if same or merge is not add_up else counted_twice(value, other)
    if same or where is not None:
        what = f"the same {type(value).__name__}" if same else f"the same results{where}"
        raise ReusedError(
            f"the function returned {what} for two batches of events: it must make a new one "
            f"for each, as results are added up afterwards"
        )
