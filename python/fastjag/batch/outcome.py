"""What a job gives: the merged result, what failed, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastjag.io.ranges import Range, Ranges


@dataclass(frozen=True)
class Failed:
    """A range without a result."""

    range: Range
    kind: str  #: "error" of the function, "reused", "read", "memory", or "lost": its worker died
    message: str
    traceback: str
    host: str
    attempts: int
    error: BaseException | None = None  #: what was raised, where it can be sent between processes

    def __str__(self) -> str:
        times = f"{self.attempts} attempt{'s' * (self.attempts != 1)}"
        where = f" on {self.host}" if self.host else ""
        return f"{self.range} ({self.kind}, {times}{where}): {self.message}"


@dataclass
class Outcome:
    """The result of :func:`fastjag.batch.run`."""

    value: Any  #: of all ranges that are done, merged; None where there was no event
    ranges: Ranges  #: all that were asked for
    failed: list[Failed] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)  #: of each range, whether it is in ``value``
    kept: int = 0  #: ranges whose results were in the folder ``keep`` already
    seconds: float = 0.0
    worker_seconds: float = 0.0  #: of all workers together
    notes: list[str] = field(default_factory=list)  #: what went wrong without harm to the result

    @property
    def complete(self) -> bool:
        return all(self.done)

    @property
    def n_events(self) -> int:
        """In ``value``."""
        return sum(len(piece) for piece, done in zip(self.ranges, self.done, strict=True) if done)

    def coverage(self) -> dict[str, tuple[int, int]]:
        """Of each dataset: (events in ``value``, events that were asked for)."""
        events = {name: [0, 0] for name in self.ranges.datasets}
        for piece, done in zip(self.ranges, self.done, strict=True):
            events[piece.dataset][0] += len(piece) * done
            events[piece.dataset][1] += len(piece)
        return {name: (some, every) for name, (some, every) in events.items()}

    def missing(self) -> Ranges:
        """Ranges that are not in ``value``, to be written (``.write(path)``) and sent again."""
        left = [piece for piece, done in zip(self.ranges, self.done, strict=True) if not done]
        wanted = {(piece.dataset, piece.file, piece.tree) for piece in left}
        files = [f for f in self.ranges.files if (f.dataset, f.path, f.tree) in wanted]
        return Ranges(left, files, self.ranges.metadata)

    def __str__(self) -> str:
        n, total = sum(self.done), len(self.ranges)
        text = f"{n:,} of {total:,} ranges, {self.n_events:,} of {self.ranges.n_events:,} events"
        return text + (f"; {len(self.failed)} failed" if self.failed else "")


class BatchError(RuntimeError):
    """A job that ended early; ``outcome`` has what was done until then."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome
