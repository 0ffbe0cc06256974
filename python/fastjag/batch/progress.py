"""How far a job is: a bar, a line a minute where there is no terminal, and status.json."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastjag.batch.outcome import Outcome
from fastjag.reporting import progress as bars
from fastjag.reporting.output import write_text

_LINE = 60.0  # seconds between lines
_FILE = 10.0  # seconds between states of the file


class JobProgress:
    """Counts, and says them."""

    def __init__(
        self, outcome: Outcome, keep: Path | None, show: bool | None, advance: Any
    ) -> None:
        self.outcome, self.advance = outcome, advance
        self.file = None if keep is None else keep / "status.json"
        wanted = not bars.silent if show is None else show
        self.lines = wanted and not sys.stderr.isatty()
        self.start = time.monotonic()
        self.said = self.start
        self.written = -_FILE
        self.hosts: dict[str, int] = {}  # ranges by host
        self.ranges = self.events = 0

    def add(self, host: str, ranges: int, events: int) -> None:
        """Ranges that are done."""
        self.ranges, self.events = self.ranges + ranges, self.events + events
        self.hosts[host] = self.hosts.get(host, 0) + ranges
        self.advance(ranges)
        self.say()

    def say(self, end: bool = False) -> None:
        """What is due."""
        now = time.monotonic()
        if self.lines and now - self.said > _LINE:
            self.said = now
            print(f"fastjag: {self}", file=sys.stderr, flush=True)
        if self.file is not None and (end or now - self.written > _FILE):
            self.written = now
            with suppress(OSError):  # the job does not depend on it
                write_text(self.file, json.dumps(self.state(end), indent=1) + "\n")

    def state(self, end: bool) -> dict[str, Any]:
        asked = self.outcome.ranges
        return {
            "state": "ended" if end else "running",
            "ranges": len(asked), "ranges_done": self.ranges,
            "events": asked.n_events, "events_done": self.events,
            "seconds": round(time.monotonic() - self.start, 1),
            "updated": time.strftime("%Y-%m-%d %H:%M:%S"),
            "ranges_by_worker": self.hosts,
            "failed": [str(failed) for failed in self.outcome.failed],
        }  # fmt: skip

    def __str__(self) -> str:
        asked, seconds = self.outcome.ranges, max(1e-9, time.monotonic() - self.start)
        text = (
            f"{self.ranges:,} of {len(asked):,} ranges, {self.events:,} of {asked.n_events:,} events, "
            f"{self.events / seconds:,.0f} events/s"
        )
        return text + (f", {len(self.outcome.failed)} failed" if self.outcome.failed else "")


@contextmanager
def reported(outcome: Outcome, keep: Path | None, show: bool | None) -> Iterator[JobProgress]:
    with bars.progress_bar("ranges", len(outcome.ranges), show and sys.stderr.isatty()) as advance:
        report = JobProgress(outcome, keep, show, advance)
        try:
            yield report
        finally:
            report.say(end=True)
