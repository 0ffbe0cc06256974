"""One function of events over many files, on any executor, every event exactly once.

:func:`run` gives ranges of entries (:func:`fastjag.ranges`) to a ``concurrent.futures.Executor``, or works
through them here, and merges the results in a fixed order, so that they are the same to the last bit
whatever finishes first. It says what is missing, and goes on from there. It imports no engine: processes
and threads of Python, dask's ``Client.get_executor()``, loky and Parsl have this interface.
"""

from fastjag.batch.driver import run
from fastjag.batch.kept import KeepError
from fastjag.batch.merging import merge
from fastjag.batch.outcome import BatchError, Failed, Outcome
from fastjag.batch.pieces import simulated
from fastjag.batch.processes import processes
from fastjag.batch.reading import RANGE, Selection

__all__ = [
    "RANGE",
    "BatchError",
    "Failed",
    "KeepError",
    "Outcome",
    "Selection",
    "merge",
    "processes",
    "run",
    "simulated",
]
