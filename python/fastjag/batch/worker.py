"""What a worker does with a task: some ranges that follow one another, each on its own."""

from __future__ import annotations

import gc
import os
import socket
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastjag.batch import kept, slot
from fastjag.batch.ahead import Ahead
from fastjag.batch.merging import MergeTree
from fastjag.batch.pieces import halves
from fastjag.batch.reading import ReusedError, Work
from fastjag.batch.shipping import Shipped, pack, receive
from fastjag.core.checks import first_line
from fastjag.io.ranges import Range
from fastjag.io.sources.access import Access, reading_with

_LINES = 30  # of a traceback


@dataclass(frozen=True)
class Task:
    """Ranges ``first`` and following of a job."""

    work: Work | Shipped
    first: int
    pieces: tuple[Range, ...]
    parts: tuple[int, ...]  #: into how many each is cut, after memory ran out
    keep: Path | None = None
    keys: tuple[str, ...] = ()  #: of the results in ``keep``
    access: Access = field(default_factory=Access)  #: what servers are told
    ahead: Ahead | None = None  #: where one task follows the other in this thread


@dataclass
class Trouble:
    """Why a range has no result."""

    kind: str
    message: str
    traceback: str = ""
    error: BaseException | None = None  #: itself, where it can be sent


@dataclass
class Answer:
    """Of a task."""

    host: str
    merged: Any = None  #: of all ranges, if all have a result
    results: dict[int, Any] = field(default_factory=dict)  #: of each, if some have none
    troubles: dict[int, Trouble] = field(default_factory=dict)
    kept: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def do_with(task: Task, content: bytes) -> Answer:
    """As :func:`do`, with the function that the engine had brought before."""
    assert isinstance(task.work, Shipped)
    return do(replace(task, work=replace(task.work, content=content)))


def do(task: Task) -> Answer:
    """Work through a task; errors are part of the answer."""
    start = time.perf_counter()
    answer = Answer(f"{socket.gethostname()}:{os.getpid()}")
    shipped = isinstance(task.work, Shipped)
    if task.work.device == "cuda":
        slot.take_gpu()
    try:
        work = receive(task.work) if isinstance(task.work, Shipped) else task.work
    except Exception as error:  # noqa: BLE001  of whatever the function needs
        trouble = _trouble(error, "error", "the function cannot be unpacked there: ")
        answer.troubles = {task.first + i: trouble for i in range(len(task.pieces))}
        return answer
    results: dict[int, Any] = {}
    for i, piece in enumerate(task.pieces):
        try:
            with reading_with(task.access):
                results[i] = _one(work, task, i, piece, answer)
        except MemoryError as error:
            answer.troubles[task.first + i] = _trouble(error, "memory", sent=shipped)
            _let_go(error)
        except OSError as error:
            answer.troubles[task.first + i] = _trouble(error, "read", sent=shipped)
        except ReusedError as error:
            answer.troubles[task.first + i] = _trouble(error, "reused", sent=shipped)
        except Exception as error:  # noqa: BLE001  the user's
            answer.troubles[task.first + i] = _trouble(error, "error", sent=shipped)
    try:
        if len(results) == len(task.pieces):
            tree = MergeTree(len(results), work.merge)
            for i, result in results.items():
                tree.add(0, i, result)
            answer.merged = pack(tree.value) if shipped else tree.value
        else:
            answer.results = {task.first + i: pack(r) if shipped else r for i, r in results.items()}
    except Exception as error:  # noqa: BLE001  the user's merge
        trouble = _trouble(error, "error", "results cannot be merged or sent: ")
        answer.troubles |= {task.first + i: trouble for i in results}
        answer.merged, answer.results = None, {}
    answer.seconds = time.perf_counter() - start
    return answer


def _one(work: Work, task: Task, i: int, piece: Range, answer: Answer) -> Any:
    """The result of a range, from ``keep`` if it is there."""
    state, ahead = "", task.ahead
    if task.keep is not None:
        state = kept.state_of(piece.file) if ahead is None else ahead.state_of(piece)
        found = kept.load(task.keep, task.keys[i], state)
        if found is not None:
            known = _unpack(found)
            if _is_there(known):
                answer.kept += 1
                return known
            kept.remove(task.keep, task.keys[i])
    result = work.result([piece] if task.parts[i] == 1 else halves(piece, task.parts[i]), ahead)
    if task.keep is not None:
        content = pack(result)
        try:
            kept.store(task.keep, task.keys[i], content, state)
        except OSError as error:  # the result is right all the same
            answer.notes.append(f"{task.keep}: a result could not be kept: {first_line(error)}")
    return result


def _unpack(content: bytes) -> Any:
    import pickle

    return pickle.loads(content)


def _is_there(result: Any) -> bool:
    """Results that name files which the function wrote say themselves whether these are whole."""
    check = getattr(result, "is_there", None)
    return check is None or bool(check())


def _trouble(error: BaseException, kind: str, before: str = "", *, sent: bool = True) -> Trouble:
    lines = "".join(traceback.format_exception(error)).splitlines()[-_LINES:]
    name = type(error).__name__
    said = first_line(error)
    return Trouble(
        kind, f"{before}{said if said.startswith(name) else f'{name}: {said}'}", "\n".join(lines),
        _sendable(error) if sent else error,
    )  # fmt: skip


def _let_go(error: BaseException) -> None:
    """Free what the functions hold in which memory ran out: smaller parts are read next.

    A kept error keeps its traceback, every frame of it, and what is in their variables. Readers
    and arrays refer to each other, so that only the garbage collector finds some of them.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            one.__traceback__ = None
            chain += [one.__cause__, one.__context__]
    gc.collect()


def _sendable(error: BaseException) -> BaseException | None:
    """An error, if it can be sent and means the same there."""
    import pickle

    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  of classes of the user's own
        return None
    return error if type(copy) is type(error) and str(copy) == str(error) else None
