"""How analyses read files: in ranges, on any executor, with errors that are those of reading."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from fastjag import batch
from fastjag.batch import BatchError, Failed
from fastjag.datasets import ranges
from fastjag.io import Skipped
from fastjag.io.files import Files, find_files
from fastjag.io.ranges import Range, Ranges
from fastjag.io.sources.access import Access, reading_with

#: Events of a range: a second's work or two, of a few columns.
SIZE: int | str = 1_000_000
_THREADS = 16  # that open files: servers take their time
_TASKS = 256  # of an executor that opens files, at most
_RETRIES = 2  # of a range on another worker; what fails here would fail again


@dataclass(frozen=True)
class Workers:
    """Who works through the files of an analysis. No result depends on it, but for the rounding of a GPU.

    ``executor``, ``keep`` and ``device`` are those of :func:`fastjag.batch.run`.
    """

    executor: Any = None
    keep: str | os.PathLike[str] | None = None
    device: str | None = None


#: One file after the other, here.
HERE = Workers()


@dataclass
class FilesRead:
    """What was read, and what came of it."""

    value: Any  #: of all ranges, merged; None where there was no event
    ranges: Ranges  #: whose results are in it
    files: list[str]  #: that were meant, those left out as well
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def n_events(self) -> int:
        return self.ranges.n_events

    @property
    def reasons(self) -> str:
        """Why files were left out, one after the other."""
        return "; ".join(skipped.reason for skipped in self.skipped)

    def check_events(self) -> None:
        """ValueError, with the reasons, where there was no event."""
        if self.n_events == 0:
            reasons = f" ({self.reasons})" if self.skipped else ""
            raise ValueError(f"the files hold no events{reasons}")


def read(
    function: Callable[[Any], Any],
    files: Files | Mapping[str, Files],
    columns: Any,
    workers: Workers,
    *,
    on_error: str = "raise",
    size: int | str | None = None,
    progress: bool | None = None,
    **reading: Any,
) -> FilesRead:
    """Call a function for all events of some files, or of files by dataset, and merge what it returns.

    As :func:`fastjag.batch.run`, which takes ``reading``. With ``on_error="skip"`` files, or ranges of them, that cannot be read are
    left out and listed.

    Raises what reading and the function raise: ReadError naming file and branch, before others.
    """
    datasets = files if _by_dataset(files) else {"files": files}
    found = {name: find_files(some) for name, some in datasets.items()}  # type: ignore[union-attr]
    planned = _plan(found, size or SIZE, on_error, progress, who_opens(workers))
    skipped = list(planned.skipped)
    value, done = run(
        function, planned, columns, workers, skipped, on_error=on_error, progress=progress,
        **reading,
    )  # fmt: skip
    return FilesRead(value, done, [path for some in found.values() for path, _ in some], skipped)


def run(
    function: Callable[[Any], Any],
    planned: Ranges,
    columns: Any,
    workers: Workers,
    skipped: list[Skipped],
    *,
    on_error: str = "raise",
    **reading: Any,
) -> tuple[Any, Ranges]:
    """The merged result of ranges, and those that are in it; the others are added to ``skipped``."""
    own: BaseException | None = None
    try:
        outcome = batch.run(
            function, planned, columns, executor=workers.executor, keep=workers.keep,
            retries=0 if workers.executor is None else _RETRIES,
            on_error="report" if on_error == "skip" else "raise", device=workers.device, **reading,
        )  # fmt: skip
    except BatchError as error:
        outcome = error.outcome
        if not outcome.failed:
            raise
        own = outcome.failed[-1].error
        if own is None:  # it cannot be sent
            raise
    if own is not None:
        raise own  # not while the other is handled, whose cause it is
    for note in outcome.notes:
        warnings.warn(note, stacklevel=2)
    for failed in outcome.failed:
        if failed.kind != "read":
            raise failed.error or BatchError(str(failed), outcome)
    skipped += _skipped(outcome.failed, planned)
    if not outcome.failed:
        return outcome.value, planned
    done = [piece for piece, there in zip(planned, outcome.done, strict=True) if there]
    return outcome.value, Ranges(done, planned.files, planned.metadata)


def _by_dataset(files: Any) -> bool:
    return isinstance(files, Mapping) and any(isinstance(v, (list, tuple)) for v in files.values())


def who_opens(workers: Workers) -> Any:
    """The executor whose workers open the files that are planned; None: threads here, of local workers' files."""
    executor = workers.executor
    if getattr(executor, "opens_files", False):
        return executor()
    # Of an engine that came from elsewhere, and will stay.
    local = {"ThreadPoolExecutor", "ProcessPoolExecutor"} & {
        c.__name__ for c in type(executor).__mro__
    }
    return executor if hasattr(executor, "submit") and not local else None


def each_file(
    function: Callable[..., Any], files: Sequence[tuple[Any, ...]], workers: Workers
) -> Iterator[Any]:
    """What a function of the parts of each entry gives, in their order; those who plan ranges open the files.

    It raises what the function raises for the first file of those for which it does.
    """
    pool, access = who_opens(workers), Access.given(None, None)
    size = 1 if pool is None else -(-len(files) // _TASKS)
    with ExitStack() as stack:
        given = pool or stack.enter_context(ThreadPoolExecutor(_THREADS, "fastjag-look"))
        tasks = [
            given.submit(_each, function, files[i : i + size], access)
            for i in range(0, len(files), max(1, size))
        ]
        try:
            for task in tasks:
                for result, error in task.result():
                    if error is not None:
                        raise error
                    yield result
        finally:
            for task in tasks:
                task.cancel()


def _each(
    function: Callable[..., Any], files: Sequence[tuple[Any, ...]], access: Access
) -> list[tuple[Any, Exception | None]]:
    """What a worker does: results of files, up to the first error."""
    done: list[tuple[Any, Exception | None]] = []
    with reading_with(access):
        for file in files:
            try:
                done.append((function(*file), None))
            except Exception as error:  # noqa: BLE001  raised where the files before have been looked at
                return [*done, (None, error)]
    return done


def _plan(
    found: Mapping[str, list[tuple[str, str | None]]], size: int | str, on_error: str,
    progress: bool | None, executor: Any,
) -> Ranges:  # fmt: skip
    """Ranges of the files; where none has events, empty ones, for errors about branches."""
    planned = ranges(dict(found), size, executor, progress=progress, on_error=on_error)
    if len(planned):
        return planned
    nothing = [Range(f.dataset, f.path, f.tree, 0, 0, f.uuid) for f in planned.files]
    return Ranges(nothing, planned.files, skipped=planned.skipped)


def _skipped(failed: Iterable[Failed], planned: Ranges) -> list[Skipped]:
    """One for each file, in their order."""
    order = {piece: i for i, piece in enumerate(planned)}
    by_file: dict[str, list[Failed]] = {}
    for one in sorted(failed, key=lambda one: order[one.range]):
        by_file.setdefault(one.range.file, []).append(one)
    return [
        Skipped(file, sum(len(one.range) for one in some), str(some[0].error or some[0].message))
        for file, some in by_file.items()
    ]
