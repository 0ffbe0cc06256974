"""Files and results that are either complete or not there: how everything here is written."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.reporting.locks import is_partial, locked, partial_directory, remove_empty
from fastjag.reporting.origin import RECORD, checked, checked_file, record_of, state_of

_COMPLETE = ".complete-"
_OBSOLETE = ".obsolete.json"
# A full disk, a quota, a limit of the size of files.
_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WriteError(OSError):
    """A file that the system refuses to write; the message names it and says why."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


# ---- one file -----------------------------------------------------------------------------------


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write a file to, which replaces ``path`` when the block ends well.

    Until then an earlier file stays, and after an error, an interrupt or ``kill -9`` it is what is
    there. The new one is on the disk (fsync) before it takes the name. The path has the name of
    ``path``, in a directory beside it that no other process, thread or host has; two that write the
    same file both succeed, and the later one stays. What killed processes left beside ``path`` is
    removed (:func:`fastjag.reporting.locks.remove_dead`).

    Inside of a :func:`results_directory`, which does the same for all its files, it is ``path``.

    Raises what :func:`check_target` does, before any work, and WriteError where the disk is full.
    """
    target = Path(path)
    check_target(target)
    with writing(target):
        if is_partial(target.parent):
            yield target
            return
        with partial_directory(target.parent) as directory:
            yield directory / target.name
            replace(directory / target.name, target)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """WriteError for ``path`` where the system refuses to write what the block writes to it."""
    try:
        yield
    except BaseException as error:
        named = isinstance(error, WriteError) and is_partial(Path(path).parent)
        if not named and (refused := _refusal(error)):
            raise WriteError(refused.errno, refused.strerror, str(path)) from error
        raise


def check_target(path: str | os.PathLike[str]) -> None:
    """OSError naming what is in the way of writing a file, and the file.

    Only regular files are replaced: a device, a pipe or a symbolic link would be gone after that.
    """
    target = Path(path)
    folder = target.parent
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such directory (for {target.name})")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: not a directory (for {target.name})")
    kind = _in_the_way(target)
    if kind == "a directory":
        raise IsADirectoryError(f"{target}: is a directory; name a file in it")
    if kind:
        raise FileExistsError(f"{target}: is {kind}, and only regular files are replaced")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: cannot be written (for {target.name})")


def _in_the_way(target: Path) -> str:
    """What there is of that name, if it must not be replaced."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return ""
    for test, name in (
        (stat.S_ISREG, ""), (stat.S_ISDIR, "a directory"), (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    ):  # fmt: skip
        if test(mode):
            return name
    return "a device"


def replace(partial: Path, target: Path) -> None:
    """Put a complete file in the place of one on the same disk, once it is there for good."""
    check_target(target)  # hours may have passed since it was checked
    _sync(partial)
    os.replace(partial, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """fsync of a file or directory."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # it cannot be asked for
            raise
    finally:
        os.close(file)


def _refusal(error: BaseException) -> WriteError | None:
    """The system's refusal to write that is behind an error, with the file where it is known."""
    cause: BaseException | None = error
    seen: set[int] = set()  # an error may be its own cause
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in _REFUSED:
            name = cause.filename
            if name is None or is_partial(Path(os.fsdecode(name)).parent):
                return WriteError(cause.errno, os.strerror(cause.errno), name)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


@contextmanager
def recorded_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """For a command that writes one file in the block, and replaces it only if it may.

    Raises FileExistsError before the block (:func:`fastjag.reporting.origin.checked_file`).
    """
    target = Path(path)
    record = checked_file(target)
    yield
    if record:
        write_json(record_of(target), record | state_of(target))


# ---- the results of a job -----------------------------------------------------------------------


@contextmanager
def results_directory(
    out: str | os.PathLike[str], replaces: Callable[[Path], Iterable[str]] | None = None
) -> Iterator[Path]:
    """A temporary directory whose files move into ``out`` when the block ends well.

    ``out`` is created if need be, and locked (:func:`fastjag.reporting.locks.locked`); where it is the directory
    of another call, the files are that one's. After an error or an
    interrupt nothing of the block stays, and the earlier results do. ``replaces(out)`` names files
    of these that go when the new ones come, whether or not there are new ones of these names.

    When all files are complete and on the disk, their directory gets another name, from which on
    the new results stand; then they move into ``out``, one after the other, as there is no way to
    replace several files of a directory at once. A process that is killed (or a machine that stops)
    before that moment leaves the earlier results whole. One that is killed between the first move
    and the last, which takes milliseconds, leaves new and old files side by side until the next
    call for ``out`` moves the others (:func:`settle`).

    The results of a command get its record, ``command.json`` (:mod:`fastjag.reporting.origin`).

    Raises OSError before any work where ``out`` cannot be written, BlockingIOError where another
    process is at it, FileExistsError where a command would replace results of other settings, and WriteError, naming the file, where the disk is full.
    """
    if is_partial(Path(out)):  # of another one, whose results are complete with these
        yield Path(out)
        return
    with locked(out) as target:
        settle(target)
        record = checked(target)
        try:
            with partial_directory(target) as partial:
                yield partial
                if record:
                    write_json(partial / RECORD, record)
                # Without one, that of earlier results would not be true of the new ones.
                _stand(partial, target, {RECORD, *(replaces(target) if replaces else ())})
        except BaseException as error:
            if refused := _refusal(error):
                name = refused.filename
                path = target if name is None else target / Path(os.fsdecode(name)).name
                raise WriteError(refused.errno, refused.strerror, str(path)) from error
            raise


@contextmanager
def whole_directory(out: str | os.PathLike[str]) -> Iterator[None]:
    """For a command that fills a folder, and folders in it, by several steps: the record of it.

    Raises FileExistsError as :func:`results_directory` does, for ``out`` and the folders in it, before
    any step. The record comes before the first step, so that the same command can go on after an
    interrupt; it goes again where an error left nothing else.
    """
    target = Path(out)
    record = checked(target)
    for inner in sorted(target.glob(f"*/{RECORD}")):
        checked(inner.parent)
    if not record:
        yield
        return
    missing = [p for p in (target, *target.parents) if not p.exists()]
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / RECORD, record)
    try:
        yield
    except BaseException:
        if [p.name for p in target.iterdir()] == [RECORD]:
            (target / RECORD).unlink()
            remove_empty(missing)
        raise


def _stand(partial: Path, target: Path, obsolete: set[str]) -> None:
    """The new results are complete: from here on they are what stays."""
    written = {p.name for p in partial.iterdir() if not p.name.startswith(".")}
    for name in sorted(written):
        if kind := _in_the_way(target / name):
            raise (IsADirectoryError if kind == "a directory" else FileExistsError)(
                f"{target / name}: {kind} is in the way"
            )
        _sync(partial / name)
    (partial / _OBSOLETE).write_text(json.dumps(sorted(obsolete - written)))
    _sync(partial / _OBSOLETE)
    _sync(partial)
    complete = target / (_COMPLETE + partial.name.lstrip("."))
    partial.rename(complete)
    try:
        _sync(target)
        _move(complete, target)
    except OSError as error:
        reason = f"{error.strerror or error}; the new results are in {complete.name}, and the next "
        raise WriteError(
            error.errno or errno.EIO, f"{reason}call for this folder moves them", str(target)
        ) from error
    except BaseException:  # an interrupt: what is left takes milliseconds
        _move(complete, target)
        raise


def settle(out: Path) -> None:
    """Finish the move of results that are complete, which a killed process left; under the lock."""
    for complete in sorted(out.glob(f"{_COMPLETE}*")):
        _move(complete, out)


def _move(complete: Path, target: Path) -> None:
    """Begun again, where it was left."""
    try:
        obsolete = json.loads((complete / _OBSOLETE).read_text())
    except FileNotFoundError:  # all but its own removal is done
        with suppress(OSError):
            complete.rmdir()
        return
    for path in sorted(p for p in complete.iterdir() if not p.name.startswith(".")):
        os.replace(path, target / path.name)
    for name in obsolete:
        if Path(name).name == name and not _in_the_way(target / name):
            (target / name).unlink(missing_ok=True)
    _sync(target)
    (complete / ".lock").unlink(missing_ok=True)
    (complete / _OBSOLETE).unlink()
    complete.rmdir()


# ---- text ---------------------------------------------------------------------------------------


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """UTF-8; a name of a file that is no UTF-8 is shown with its bytes as \\udcXX."""
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """A file of :func:`to_json`."""
    write_text(path, to_json(content) + "\n")


def to_json(content: Mapping[str, Any]) -> str:
    """JSON with NumPy numbers and arrays as plain ones, and no NaN that others cannot read."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return plain(value.item())
        if isinstance(value, float) and not np.isfinite(value):
            return None
        return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

    return json.dumps(plain(content), indent=1, allow_nan=False)
