"""One function of many ranges of events, on any executor."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from fastjag.batch import kept
from fastjag.batch.engine import Engine
from fastjag.batch.job import Job
from fastjag.batch.merging import Merge
from fastjag.batch.merging import merge as add_up
from fastjag.batch.outcome import Outcome
from fastjag.batch.pieces import as_ranges
from fastjag.batch.progress import reported
from fastjag.batch.reading import RANGE, Reading, Selection, Work
from fastjag.batch.shipping import Shipped, lent, ship
from fastjag.core.checks import at_least, one_of
from fastjag.io.ranges import Range, Ranges
from fastjag.io.sources.access import Access
from fastjag.schemas import Schema


def run(
    function: Callable[[Any], Any],
    ranges: Ranges | Iterable[Range],
    columns: Any = None,
    *,
    executor: Any = None,
    merge: Merge = add_up,
    keep: str | os.PathLike[str] | None = None,
    retries: int = 2,
    on_error: str = "raise",
    in_flight: int | None = None,
    device: str | None = None,
    step: int | str = "100 MB",
    schema: Schema | None = None,
    optional: Iterable[str] = (),
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Outcome:
    """Call a function for all events of some ranges, on any executor, and add up what it returns.

    Parameters
    ----------
    function
        Gets a :class:`fastjag.io.Batch` (``source.dataset`` is the name of the dataset), and returns a new result: a histogram, a number, a dict of them
        (:func:`merge` says what can be added up), or None. Lambdas, functions of scripts and notebooks
        and closures are sent as they are; modules of the user's own go with them.
    ranges
        From :func:`fastjag.ranges`, or :func:`simulated`.
    columns
        Names or patterns of branches, as in :func:`fastjag.iterate`; a :class:`Selection`, of which the function
        gets the survivors; or ``RANGE``: the function gets the range itself.
    executor
        None: here, one range after the other. A ``concurrent.futures.Executor`` of any engine, or a
        function that makes one, such as :func:`processes`: it is called again when workers
        died and broke it, and what was running then runs alone, so that the range that kills
        workers is found.
    merge
        Of two results, the earlier events first. It is called in an order that depends on the number
        of ranges only.
    keep
        A folder that all workers see. Results of finished ranges stay there, and are not computed again
        for the same file, entries, columns, function, settings and version. Two jobs may share it.
        A result that names files which the function wrote has a method ``is_there``: where it says no, the
        range is computed again.
    retries
        How often a range is tried again whose file cannot be read (OSError), whose worker died, or
        for which memory did not suffice: it is then read in halves. An error of the function is final.
    on_error
        "raise": the first range that fails ends the job with BatchError; what is kept stays. "report": the others go on,
        and ``failed`` of the outcome names it.
    in_flight
        Tasks that are handed over and not done. Default: two for each worker of an executor that says how many
        it has, else 1000.
    device
        "cuda": the function gets batches on the GPU, each copied while it works on the one before.
        Arrays that it returns come back as NumPy's. Each process of :func:`processes` sees one GPU.
    step, schema, optional
        As in :func:`fastjag.iterate`. A range is read in batches of ``step``. A size in bytes is less
        on workers whose slot has too little memory for three of them (control groups, Slurm): counts are
        the same then, sums of floats to about 1e-12.
    storage_options, cache
        As in :func:`fastjag.iterate`, for all reading on workers, that of the function as well. Results in ``keep`` do not
        depend on them.
    progress
        Show a bar on a terminal, or a line a minute elsewhere. Default: unless fastjag is quiet.

    Returns
    -------
    Outcome
        With ``value``, ``coverage()``, ``missing()`` and ``failed``. ``value`` is the same to the last bit for every
        executor and order of finishing, if the ranges are the same.

    Raises
    ------
    ValueError, TypeError
        For ranges that overlap, and what cannot be sent to workers, before any work.
    BatchError
        Naming the range, the host and what went wrong; its ``outcome`` has the rest.

    Examples
    --------
    >>> from fastjag import batch
    >>> batch.run(len, batch.simulated(250, size=100), batch.RANGE).value
    250
    """
    pieces = as_ranges(ranges)
    one_of("on_error", on_error, ("raise", "report"))
    at_least("retries", retries, 0)
    if in_flight is not None:
        at_least("in_flight", in_flight, 1)
    if device is not None:
        one_of("device", device, ("cpu", "cuda"))
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    access = Access.given(storage_options, cache)
    work = _work(function, merge, columns, step, schema, optional, device)
    folder = None if keep is None else kept.check_folder(keep)
    made = callable(executor) and not hasattr(executor, "submit")
    here = executor is None or isinstance(executor, ThreadPoolExecutor)
    shipped = None if here and folder is None else ship(work, "the function", work.device)
    keys = () if folder is None or shipped is None else _keys(shipped, pieces)
    outcome = Outcome(None, pieces, done=[False] * len(pieces))
    start = time.perf_counter()
    with reported(outcome, folder, progress) as report:
        engine = Engine(executor if not made else None, executor if made else None, in_flight)
        seen = Path(tempfile.gettempdir()) if engine.local else folder
        try:
            with nullcontext(work) if here or shipped is None else lent(shipped, seen) as given:
                if isinstance(given, Shipped):
                    given = engine.spread(given)
                job = Job(given, pieces, folder, keys, outcome, merge, retries, on_error, access)
                with nullcontext() if engine.executor is not None else closing(job.read_ahead()):
                    job.go(engine, report)
        except BaseException:
            engine.close(at_once=True)
            raise
        finally:
            outcome.seconds = time.perf_counter() - start
        engine.close()
    return outcome


def keys_of(
    function: Callable[[Any], Any],
    ranges: Ranges,
    columns: Any = None,
    step: int | str = "100 MB",
    merge: Merge = add_up,
    device: str | None = None,
) -> tuple[str, ...]:
    """The names under which :func:`run` keeps the results of ranges."""
    work = _work(function, merge, columns, step, None, (), device)
    return _keys(ship(work, "the function"), ranges)


def _keys(work: Shipped, ranges: Ranges) -> tuple[str, ...]:
    version = kept.version()
    return tuple(kept.key(piece, work, version) for piece in ranges)


def _work(
    function: Callable[[Any], Any], merge: Merge, columns: Any, step: int | str, schema: Schema | None,
    optional: Iterable[str], device: str | None,
) -> Work:  # fmt: skip
    if columns is not None and columns is not RANGE and not isinstance(columns, (str, Selection)):
        columns = tuple(columns)
    where = None if device == "cpu" else device
    return Work(function, merge, Reading(columns, step, schema, tuple(optional), where))
