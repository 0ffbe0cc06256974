"""Executors from text: ``--executor processes:8 | dask:tcp://... | slurm:options.toml | none``."""

from __future__ import annotations

import threading
import tomllib
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from fastjag import batch
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.common.workers import WorkersSection
from fastjag.core.checks import needs, one_of

ACCEPTED = "none, processes, processes:N, dask:ADDRESS and slurm:OPTIONS.toml"

#: Keys of a file for ``slurm:``, besides those of dask_jobqueue's SLURMCluster.
_JOBS = "jobs"

Factory = Callable[[], Executor]


def executor_of(text: str | None) -> Factory | None:
    """What makes the executor that an option names; None: here, without workers.

    ``processes`` are as many as there are cores. ``dask:`` is followed by the address of a scheduler, or of a file
    that it wrote (``dask:scheduler.json``). ``slurm:`` names a TOML file with ``jobs`` and the options of
    ``dask_jobqueue.SLURMCluster``: every job is a worker of dask.

    Raises ValueError naming what is accepted, FileNotFoundError, and ModuleNotFoundError naming what to install.
    """
    kind, colon, rest = (text or "none").partition(":")
    if kind == "none" and not colon:
        return None
    if kind == "processes":
        if colon and not (rest.isdecimal() and int(rest) > 0):
            raise ValueError(f"--executor processes:N needs a number above 0, got {text!r}")
        return batch.processes(int(rest) if colon else None)
    if kind == "dask" and rest:
        needs("distributed", "dask")
        return Lasting(lambda: Dask(rest))
    if kind == "slurm" and rest:
        needs("dask_jobqueue", "slurm")
        options = _slurm_options(Path(rest))
        return Lasting(lambda: Slurm(dict(options)))
    raise ValueError(f"--executor accepts {ACCEPTED}, got {text!r}")


def _slurm_options(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file (of --executor slurm:{path})")
    try:
        options = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: no TOML: {error}") from None
    jobs = options.get(_JOBS)
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise ValueError(f"{path}: {_JOBS} must be the number of jobs to send, got {jobs!r}")
    for name in ("cores", "memory"):
        if name not in options:
            raise ValueError(f"{path}: needs {name} of a job, as dask_jobqueue.SLURMCluster does")
    return options


def workers_of(
    executor: str | None,
    keep: Path | None,
    device: str | None = None,
    section: WorkersSection | None = None,
    folder: Path | None = None,
) -> Workers:
    """What the options ``--executor``, ``--keep`` and ``--device`` say, else a section of a configuration.

    ``folder`` is that of the configuration, where files that it names are.
    """
    if section is not None:
        executor = executor or _beside(section.executor, folder)
        keep = keep or (None if section.keep is None else Path(section.keep))
    if device is not None:
        one_of("device", device, ("cpu", "cuda"))
    return Workers(executor_of(executor), keep, None if device == "cpu" else device)


def _beside(executor: str | None, folder: Path | None) -> str | None:
    """The executor of a configuration: its file is in the folder of that."""
    kind, _, rest = (executor or "").partition(":")
    is_file = kind == "slurm" or (kind == "dask" and rest.endswith(".json"))
    return f"{kind}:{folder / rest}" if folder and rest and is_file else executor


class Lasting:
    """Makes an executor once: one command plans and reads, sample after sample, with the same workers.

    They are given back with it, at the latest at the end of the process.
    """

    #: Files are opened by the workers, too: they may be nearer to them.
    opens_files = True

    def __init__(self, make: Callable[[], Dask]) -> None:
        self._make, self._made = make, threading.Lock()
        self._executor: Dask | None = None

    def __call__(self) -> Executor:
        with self._made:
            if self._executor is None:
                self._executor = self._make()
                weakref.finalize(self, self._executor.close)
        return self._executor


class Dask(Executor):
    """Workers of a running dask cluster, until ``close``."""

    def __init__(self, address: str) -> None:
        from distributed import Client

        is_file = address.endswith(".json")
        if is_file and not Path(address).is_file():
            raise FileNotFoundError(f"{address}: no such file (of --executor dask:{address})")
        try:
            self.client = (
                Client(scheduler_file=address) if is_file else Client(address, timeout="5s")
            )
        except OSError as error:
            raise OSError(f"dask:{address}: no scheduler answers there: {error}") from error
        self.inner = self.client.get_executor()

    @property
    def _client(self) -> Any:  # as dask's own executors have it
        return self.client

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = self.inner.submit(function, *arguments, **named)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Others may come: who waits for tasks, or cancels them, has their futures."""

    def close(self) -> None:
        self.inner.shutdown(wait=False)
        self.client.close()


class Slurm(Dask):
    """Workers that Slurm starts for this job."""

    def __init__(self, options: dict[str, Any]) -> None:
        from dask_jobqueue import SLURMCluster
        from distributed import Client

        jobs = options.pop(_JOBS)
        self.cluster = SLURMCluster(**options)
        self.cluster.scale(jobs=jobs)
        self.client = Client(self.cluster)
        self.inner = self.client.get_executor()

    def close(self) -> None:
        super().close()
        self.cluster.close()
