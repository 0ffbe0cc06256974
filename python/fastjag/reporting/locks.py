"""Folders that one process at a time writes to, and what killed processes left in them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_LOCK = ".lock"
_PARTIAL = ".partial-"
_OURS = re.compile(re.escape(_PARTIAL) + "[a-z0-9_]{8}")  # as tempfile makes them
_WEEK = 7 * 86400.0  # seconds


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Keep all others from writing to a folder, which is created if need be, while the block runs.

    Others are processes, and other threads of this one; who reads need not ask. The lock is that of
    the system (flock) on ``.lock`` in the folder, so that a killed process leaves none, whatever
    becomes of the file. It holds on one machine, and between machines that share the folder over
    NFS with locking, as is usual; a file system without any locks stops nobody. Folders that were
    created and stay empty are removed in the end.

    Raises BlockingIOError naming folder, process and host where another one is at work there, and
    OSError where the folder cannot be written.
    """
    target = Path(folder)
    missing = [p for p in (target, *target.parents) if not p.exists()]
    try:
        lock = _acquire(target)
        try:
            yield target
        finally:
            # While the lock is held: who comes now makes a file of his own.
            with suppress(OSError):
                os.unlink(target / _LOCK)
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)  # for forked processes as well
            os.close(lock)
    finally:
        remove_empty(missing)


def _acquire(folder: Path) -> int:
    try:
        mode = os.stat(folder).st_mode  # one look: between two of them it may go
    except OSError:
        mode = stat.S_IFDIR
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(f"{folder}: exists and is not a directory")
    path = folder / _LOCK
    for attempt in range(100):
        if attempt:
            time.sleep(0.001)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _open(path)
        except (FileNotFoundError, FileExistsError):
            continue  # another process has just removed the empty folder; mkdir may have seen it
        except OSError as error:
            raise OSError(f"{folder}: cannot be written: {error.strerror or error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for _ in range(50):
                if "pid" in (holder := _holder(lock)):
                    break
                time.sleep(0.01)  # it has just got the lock, and signs
            os.close(lock)
            raise BlockingIOError(
                f"{folder}: {_describe(holder)} is writing results there; wait for it to end, or choose "
                f"another folder"
            ) from None
        except OSError:
            pass  # the file system has no locks
        if _is_at(lock, path):
            _sign(lock)
            return lock
        os.close(lock)  # the one who held it has removed the file
    raise OSError(f"{folder}: cannot be locked: {path.name} disappears again and again")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except PermissionError:
        # That of another user, whose process was killed: to lock it, reading is enough.
        if path.exists() and os.access(path.parent, os.W_OK):
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        raise


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def _sign(lock: int) -> None:
    """Who holds it, for messages; that it is held does not depend on this."""
    who = {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(),
           "since": time.strftime("%Y-%m-%d %H:%M:%S")}  # fmt: skip
    with suppress(OSError):  # a full disk
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(who).encode(), 0)


def _holder(lock: int) -> dict[str, Any]:
    """Who signed; an empty one if nobody did."""
    try:
        signature = json.loads(os.pread(lock, 4096, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return signature if isinstance(signature, dict) else {}


def _describe(holder: dict[str, Any]) -> str:
    if "pid" not in holder:
        return "another process"
    return (
        f"process {holder['pid']} on {holder.get('host', 'an unknown host')} "
        f"(since {holder.get('since', 'an unknown time')})"
    )


def _boot() -> str:
    """Of a running system: locks are seen by everybody who has the same."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def remove_empty(directories: list[Path]) -> None:
    """Each, as long as it is empty: from the inmost one outwards."""
    for directory in directories:
        try:
            directory.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


# ---- what is being written ----------------------------------------------------------------------


@contextmanager
def partial_directory(parent: Path) -> Iterator[Path]:
    """A directory ``.partial-...`` in ``parent`` for what is not complete; gone after the block.

    Its name is taken by nobody else on any host, and it is locked: so it can be told from what a
    killed process left, which is removed first.
    """
    import tempfile  # not before it is needed: importing it takes a while

    remove_dead(parent)
    try:
        path = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=parent))
    except OSError as error:
        raise OSError(f"{parent}: cannot be written: {error.strerror or error}") from error
    try:
        with locked(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def is_partial(path: Path) -> bool:
    """Whether it is a directory that :func:`partial_directory` made."""
    return _OURS.fullmatch(path.name) is not None


def remove_dead(parent: Path) -> None:
    """Remove the directories ``.partial-...`` of processes that were killed.

    One whose lock is held is never removed. One that another machine made (or this one before it
    was last started) goes when nothing in it has changed for a week, as its lock may not be visible
    here.
    """
    for path in parent.glob(f"{_PARTIAL}*"):
        with suppress(OSError):
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    if path.is_symlink() or not path.is_dir() or not _OURS.fullmatch(path.name):
        return
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # of an older version, or this very moment being made
        lock = None
    try:
        here = False
        if lock is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                here = _holder(lock).get("boot") == _boot()
            except BlockingIOError:
                return
            except OSError:
                pass  # the file system has no locks
        if here or time.time() - _last_change(path) > _WEEK:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        if lock is not None:
            os.close(lock)


def _last_change(path: Path) -> float:
    return max(p.lstat().st_mtime for p in (path, *path.rglob("*")))
