"""Progress bars: rich ones on a terminal, nothing in batch logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_PATIENCE = 2.0  # seconds of silence before a late bar

#: No bars but those that a caller asks for, as after --quiet.
silent = False


def _wanted() -> bool:
    return sys.stderr.isatty() and not silent


@contextmanager
def progress_bar(
    description: str, total: float | None, show: bool | None = None
) -> Iterator[Callable[[float], None]]:
    """A function that advances a bar on stderr; it does nothing where there is no terminal.

    ``show`` overrides the look at the terminal.
    """
    if show is None:
        show = _wanted()
    if not show:
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def late_progress_bar(
    description: str, total: float, show: bool | None = None
) -> Iterator[Callable[[float], None]]:
    """As :func:`progress_bar`; on a terminal the bar appears only if the work turns out to be long."""
    start, done = time.monotonic(), 0.0
    bar: Callable[[float], None] | None = None
    with ExitStack() as stack:

        def advance(amount: float) -> None:
            nonlocal done, bar
            done += amount
            long = time.monotonic() - start > _PATIENCE
            if bar is not None:
                bar(amount)
            elif show or (show is None and long and _wanted()):
                bar = stack.enter_context(progress_bar(description, total, show=True))
                bar(done)

        yield advance
