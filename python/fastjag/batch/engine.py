"""The executor of a job: given, made and made anew, or none."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from fastjag.batch.processes import kill
from fastjag.batch.shipping import Shipped, is_large
from fastjag.batch.worker import Answer, Task, do, do_with


class Engine:
    """An executor, or what makes one: then it is ours to end, and to make anew."""

    def __init__(self, given: Any, factory: Any, in_flight: int | None) -> None:
        self.factory = factory
        self.executor = given if factory is None else factory()
        self.in_flight = in_flight
        self.whole: Shipped | None = None  #: of which the tasks have only the name
        self.spread_out: Any = None  #: the engine's name of its content

    @property
    def limit(self) -> int:
        """Tasks at once."""
        if self.executor is None:
            return 1
        workers = getattr(self.executor, "_max_workers", None)
        usual = 2 * workers if isinstance(workers, int) else 1000
        return self.in_flight or usual

    @property
    def local(self) -> bool:
        """Whether workers are known to be other processes of this machine."""
        # Not imported for it: whoever made such an executor has done that.
        module: Any = sys.modules.get("concurrent.futures.process")
        return module is not None and isinstance(self.executor, module.ProcessPoolExecutor)

    def spread(self, shipped: Shipped) -> Shipped:
        """What is large goes to the workers once, where an engine of dask's kind can do that.

        The tasks are without it then. It is lost with the workers that have it: a task that is sent again has all.
        """
        client: Any = getattr(self.executor, "_client", None)
        if not (hasattr(client, "scatter") and is_large(shipped)):
            return shipped
        try:
            self.spread_out = client.scatter(shipped.content, broadcast=True)
        except Exception:  # noqa: BLE001  the engine's own: no worker is there yet
            return shipped
        self.whole = shipped
        return replace(shipped, content=b"")

    def submit(self, task: Task, again: bool = False) -> Future[Answer]:
        if self.spread_out is not None and self.whole is not None:
            if again:
                task = replace(task, work=self.whole)
            else:
                sent: Future[Answer] = self.executor.submit(do_with, task, self.spread_out)
                return sent
        if self.executor is not None:
            future: Future[Answer] = self.executor.submit(do, task)
            return future
        done: Future[Answer] = Future()
        done.set_result(do(task))
        return done

    def renew(self) -> bool:
        """A new executor in place of a broken one; False where it was given, or is the same again."""
        if self.factory is None:
            return False
        broken = self.executor
        self.close(at_once=True)
        self.executor = self.factory()
        return self.executor is not broken

    def close(self, at_once: bool = False) -> None:
        if self.factory is None:
            return
        if at_once and self.local:
            kill(self.executor)
        else:
            self.executor.shutdown(wait=not at_once, cancel_futures=True)
