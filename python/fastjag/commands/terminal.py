"""What commands say: tables and remarks in the terminal, or one JSON object for scripts."""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fastjag.reporting import progress
from fastjag.reporting.output import to_json


class _Console(Console):
    """A console that leaves the end of a pipe to :func:`fastjag.__main__.main`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# Names and paths are shown as they are: [x] in them is no colour, :x: no picture.
console = _Console(markup=False, emoji=False)

#: Of a command, which end it with a line of text.
ERRORS = (OSError, ValueError, KeyError, TypeError, ImportError, MemoryError)

_content: dict[str, Any] = {}  # of the JSON object of the command that runs


@contextmanager
def speaking(*, quiet: bool, verbose: bool, as_json: bool, about: str) -> Iterator[None]:
    """How a command speaks while the block runs.

    ``quiet``: warnings and errors only, on stderr. ``verbose``: ``about`` before and the time after
    the block, on stderr, and warnings with the line of Python that they come from. ``as_json``: what
    :func:`show` and :func:`finish` are given becomes one JSON object on stdout when the block ends
    well; all text goes to stderr.
    """
    if quiet and verbose:
        raise ValueError("give --quiet or --verbose, not both")
    start, show_warning = time.perf_counter(), warnings.showwarning
    _content.clear()
    try:
        console.quiet, console.stderr = quiet, as_json
        progress.silent = quiet
        if verbose:
            warnings.showwarning = _located
            print(f"fastjag: {about}", file=sys.stderr)
        yield
        if as_json:
            print(to_json(_content))
        if verbose:
            print(f"fastjag: {time.perf_counter() - start:.1f} s in all", file=sys.stderr)
    except ERRORS:
        if verbose:
            traceback.print_exc()
        raise
    finally:
        console.quiet = console.stderr = progress.silent = False
        warnings.showwarning = show_warning


def _located(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    text = f"{category.__name__}: {message} ({filename}:{lineno})"
    print(f"fastjag: warning: {text}", file=sys.stderr)


def tell(text: str) -> None:
    """A line on what happens, or has happened."""
    console.print(text, soft_wrap=True, highlight=False)


def remark(kind: str, text: str) -> None:
    """A line such as "skipped FILE: REASON", its first word in yellow; "note" is no warning."""
    _content.setdefault("remarks", []).append({"kind": kind, "text": text})
    if console.quiet and kind != "note":
        print(f"{kind} {text}", file=sys.stderr)
    console.print(Text.assemble((kind, "yellow"), f" {text}"), soft_wrap=True, highlight=False)


def warn(text: str, style: str = "yellow") -> None:
    """A sentence that warns of the results."""
    _content.setdefault("remarks", []).append({"kind": "warning", "text": text})
    if console.quiet:
        print(text, file=sys.stderr)
    console.print(text, style=style, soft_wrap=True, highlight=False)


def show_skipped(files: Iterable[Any]) -> None:
    """A line for each file that was left out, and why."""
    for file in files:
        remark("skipped", f"{file.file}: {file.reason}")


def show(table: Table, **content: Any) -> None:
    """A table, and the numbers in it by the names that the JSON object gives them."""
    _content.update(content)
    console.print(table)


def finish(text: str, **content: Any) -> None:
    """The last line of a command; ``out`` among ``content`` is where the results are."""
    _content.update(content)
    console.print(text, soft_wrap=True, highlight=False)


def text(content: str, **named: Any) -> None:
    """A text that is the result itself, to stdout as it is."""
    _content.update(named)
    if not console.stderr:  # where the JSON object holds it
        print(content, end="")


def plain(value: Any) -> Any:
    """Settings and arguments as JSON holds them, no two of them alike."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
