"""The ranges of a job: given to workers, each counted once, and tried again where that helps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from fastjag.batch.ahead import Ahead
from fastjag.batch.engine import Engine
from fastjag.batch.kept import has
from fastjag.batch.merging import NOTHING, Merge, MergeTree
from fastjag.batch.outcome import BatchError, Failed, Outcome
from fastjag.batch.progress import JobProgress
from fastjag.batch.reading import Work, check_new
from fastjag.batch.shipping import Shipped
from fastjag.batch.worker import Answer, Task, Trouble
from fastjag.core.checks import first_line
from fastjag.io.ranges import Range, Ranges
from fastjag.io.sources.access import Access

#: What engines say of a worker that is gone, by the names of their classes: nobody's are imported.
_LOST = {"KilledWorker", "WorkerLost", "WorkerLostError", "ManagerLost", "TerminatedWorkerError"}
_TASKS = 4000  # more ranges than these go to workers in groups
_MOST_PARTS = 16  # of a range, after memory ran out


@dataclass
class Assigned:
    """A range on its way."""

    range: Range
    attempts: int = 0
    parts: int = 1
    deaths: int = 0  #: of workers that had it alone
    again: bool = False  #: its worker was lost


class Job:
    """The ranges of one call: what waits, what runs, what is done."""

    def __init__(
        self, work: Work | Shipped, ranges: Ranges, keep: Path | None, keys: tuple[str, ...],
        outcome: Outcome, merge: Merge, retries: int, on_error: str, access: Access,
    ) -> None:  # fmt: skip
        self.work, self.keep, self.keys, self.outcome = work, keep, keys, outcome
        self.retries, self.on_error, self.access = retries, on_error, access
        self.ahead: Ahead | None = None
        self.pieces = [Assigned(piece) for piece in ranges]
        self.level = self.idle = 0
        while len(ranges) > _TASKS << self.level:
            self.level += 1
        self.tree = MergeTree(len(ranges), self._merge(merge))
        n, width = len(ranges), 1 << self.level
        # A task is (first, number of ranges): all below one node of the tree, or a single one.
        self.waiting = deque((i, min(width, n - i)) for i in range(0, n, width))
        self.alone: deque[tuple[int, int]] = deque()  # ran when a worker died
        self.running: dict[Future[Answer], tuple[int, int]] = {}
        self.finished: SimpleQueue[Future[Answer]] = SimpleQueue()

    def _merge(self, merge: Merge) -> Merge:
        def checked(a: Any, b: Any) -> Any:
            check_new(b, a, merge)
            return merge(a, b)

        return checked

    def go(self, engine: Engine, report: JobProgress) -> None:
        """Until nothing is left."""
        try:
            while self.waiting or self.alone or self.running:
                if self._hand_over(engine, report):
                    self._take(engine, report)
        except BaseException:
            for future in list(self.running):
                future.cancel()
            raise
        self.outcome.value = self.tree.value

    def _hand_over(self, engine: Engine, report: JobProgress) -> bool:
        """Give tasks to the executor; False where it broke."""
        # What is suspected of killing workers runs when nothing else does.
        while (self.alone and not self.running) or (self.waiting and not self.alone):
            if len(self.running) >= engine.limit:
                break
            if self.alone:
                task, single = self.alone.popleft(), True
            else:
                task, single = self.waiting.popleft(), False
            try:
                future = engine.submit(self._task(*task), self.pieces[task[0]].again)
            except BrokenExecutor as error:
                (self.alone if single else self.waiting).appendleft(task)
                self._broken(engine, report, error)
                return False
            self.running[future] = task
            future.add_done_callback(self.finished.put)
        return True

    def _task(self, first: int, n: int) -> Task:
        some = self.pieces[first : first + n]
        return Task(
            self.work, first, tuple(p.range for p in some), tuple(p.parts for p in some), self.keep,
            self.keys[first : first + n], self.access, self.ahead,
        )  # fmt: skip

    def read_ahead(self) -> Ahead:
        """For tasks that follow one another in this thread."""
        index = {id(piece.range): i for i, piece in enumerate(self.pieces)}

        def upcoming(piece: Range) -> Iterator[Range]:
            for i in range(
                index[id(piece)] if id(piece) in index else len(self.pieces), len(self.pieces)
            ):
                one = self.pieces[i]
                there = self.keep is not None and has(self.keep, self.keys[i])
                if one.parts > 1 or self.outcome.done[i] or (there and one.range is not piece):
                    return
                yield one.range

        self.ahead = Ahead(upcoming)
        return self.ahead

    def _take(self, engine: Engine, report: JobProgress) -> None:
        """Wait for a task, and see what became of it."""
        while True:
            try:
                future = self.finished.get(timeout=1.0)
            except Empty:
                report.say()
                continue
            if future in self.running:
                break
        first, n = self.running[future]
        try:
            answer = future.result()
        except BrokenExecutor as error:
            self._broken(engine, report, error)
            return
        except (CancelledError, Exception) as error:  # noqa: BLE001  engines have classes of their own
            del self.running[future]
            if type(error).__name__ in _LOST or isinstance(error, CancelledError):
                self._died(first, n, error, n == 1, self.waiting, report)
            else:  # the engine's own: what it cannot pickle, a worker without fastjag
                self._failed(first, n, Trouble("error", first_line(error)), "", report)
            return
        del self.running[future]
        self._answered(first, n, answer, report)

    def _answered(self, first: int, n: int, answer: Answer, report: JobProgress) -> None:
        outcome = self.outcome
        outcome.worker_seconds += answer.seconds
        outcome.kept += answer.kept
        outcome.notes += [note for note in answer.notes if note not in outcome.notes]
        if not answer.troubles:
            level = self.level if n > 1 else 0
            self._count(
                level, first >> level, first, n, self._content(answer.merged), answer, report
            )
            return
        for i, result in answer.results.items():
            self._count(0, i, i, 1, self._content(result), answer, report)
        for i, trouble in answer.troubles.items():
            piece = self.pieces[i]
            piece.attempts += 1
            if (
                trouble.kind == "memory"
                and piece.parts < _MOST_PARTS
                and len(piece.range) > piece.parts
            ):
                piece.parts *= 2
                self.waiting.append((i, 1))
            elif trouble.kind == "read" and piece.attempts <= self.retries:
                self.waiting.append((i, 1))
            else:
                self._fail(i, trouble, answer.host, report)

    def _content(self, result: Any) -> Any:
        if isinstance(self.work, Shipped):
            import pickle

            return pickle.loads(result)
        return result

    def _count(
        self, level: int, position: int, first: int, n: int, value: Any, answer: Answer, report: JobProgress
    ) -> None:  # fmt: skip
        if any(self.outcome.done[first : first + n]):  # no event twice, whatever an engine does
            return
        self.outcome.done[first : first + n] = [True] * n
        self.tree.add(level, position, value)
        report.add(answer.host, n, sum(len(p.range) for p in self.pieces[first : first + n]))

    def _broken(self, engine: Engine, report: JobProgress, error: BrokenExecutor) -> None:
        """Workers died, and took the executor with them."""
        suspects = list(self.running.values())
        for future in list(self.running):
            if future.done() and not future.cancelled() and future.exception() is None:
                task = self.running.pop(future)
                suspects.remove(task)
                self._answered(*task, future.result(), report)
        self.running.clear()
        # One that breaks before it takes anything would break for ever.
        self.idle = 0 if suspects else self.idle + 1
        if self.idle > self.retries or not engine.renew():
            raise BatchError(
                f"the executor broke: {first_line(error)}; running were "
                f"{', '.join(str(self.pieces[i].range) for i, _ in suspects[:4]) or 'none'}; executor= takes a function that "
                f"makes new executors, such as fastjag.batch.processes(8), to go on after that",
                self.outcome,
            ) from error
        single = len(suspects) == 1
        for first, n in suspects:
            self._died(first, n, error, single and n == 1, self.alone, report)

    def _died(
        self, first: int, n: int, error: BaseException, guilty: bool, again: deque[tuple[int, int]],
        report: JobProgress,
    ) -> None:  # fmt: skip
        """A worker died that had these ranges: each is tried once more on its own."""
        for i in range(first, first + n):
            piece = self.pieces[i]
            piece.deaths += guilty
            piece.again = True
            if guilty:
                piece.attempts += 1
            if piece.deaths > self.retries:
                reason = first_line(error) or type(error).__name__
                self._fail(i, Trouble("lost", f"its worker died: {reason}"), "", report)
            else:
                again.append((i, 1))

    def _failed(self, first: int, n: int, trouble: Trouble, host: str, report: JobProgress) -> None:
        for i in range(first, first + n):
            self.pieces[i].attempts += 1
            self._fail(i, trouble, host, report)

    def _fail(self, i: int, trouble: Trouble, host: str, report: JobProgress) -> None:
        piece = self.pieces[i]
        failed = Failed(piece.range, trouble.kind, trouble.message, trouble.traceback, host,
                        piece.attempts, trouble.error)  # fmt: skip
        self.outcome.failed.append(failed)
        self.tree.add(0, i, NOTHING)
        report.say()
        # A function that fills one object again and again has changed earlier results, too.
        if self.on_error == "raise" or trouble.kind == "reused":
            done = sum(self.outcome.done)
            stays = "are kept" if self.keep is not None else "are in the outcome of this error"
            raise BatchError(
                f"{failed}\n{trouble.traceback}\n{done} of {len(self.pieces)} ranges were done and {stays}",
                self.outcome,
            ) from trouble.error
