"""Results of finished ranges in a folder that all workers see, so that they are never computed twice."""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from fastjag.batch.shipping import Shipped
from fastjag.io.ranges import Range

_MAGIC = b"fastjag result 2\n"
_SUM = 16  # bytes of checksum
_ENDING = ".result"


class KeepError(OSError):
    """A folder of results that cannot be used; the message names it."""


def check_folder(keep: str | os.PathLike[str]) -> Path:
    """The folder, made if need be; KeepError where results could not be written."""
    folder = Path(keep).absolute()
    probe = folder / f".{_unique()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise KeepError(f"{folder}: results cannot be kept there: {reason}") from error
    return folder


def key(piece: Range, work: Shipped, version: str) -> str:
    """Of a result: the same for the same entries of the same file, function, settings and version."""
    uuid = piece.uuid if piece.uuid and set(piece.uuid) - {"0", "-"} else None
    file = uuid or _place(piece.file)  # ROOT's reproducible files have a UUID of zeros
    parts = (
        piece.dataset,
        file,
        piece.tree,
        str(piece.start),
        str(piece.stop),
        work.digest,
        version,
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=20).hexdigest()


def _place(file: str) -> str:
    """Of a file whose UUID is not known: place, size and change."""
    state = state_of(file)
    return f"{os.path.realpath(file)}:{state}" if state else file


def state_of(file: str) -> str:
    """Size and time of the last change; empty for files on servers, and where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def _path(folder: Path, name: str) -> Path:
    return folder / name[:2] / f"{name}{_ENDING}"


def load(folder: Path, name: str, state: str = "") -> bytes | None:
    """A kept result; None if there is none. One that is damaged is removed, and counts as none.

    So does one of a file of another ``state``: a tree that is written into a file again leaves its UUID as it
    is. Where the state is not known, as the file is gone, the UUID has to do.
    """
    path = _path(folder, name)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _SUM
    body = content[head:]
    good = content[: len(_MAGIC)] == _MAGIC and content[len(_MAGIC) : head] == _sum(body)
    was, _, result = body.partition(b"\n")
    if not good or (state and was and was != state.encode()):
        with suppress(OSError):
            path.unlink()
        return None
    return result


def store(folder: Path, name: str, result: bytes, state: str = "") -> None:
    """Keep a result of a file of this state; the first one of its name stays. OSError where the disk is full."""
    path = _path(folder, name)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{name}.{_unique()}")
    body = state.encode() + b"\n" + result
    try:
        with open(partial, "xb") as file:
            file.write(_MAGIC + _sum(body) + body)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)  # fails where there is one already
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink()


def remove(folder: Path, name: str) -> None:
    """A kept result that is of no use."""
    with suppress(OSError):
        _path(folder, name).unlink()


def has(folder: Path, name: str) -> bool:
    return _path(folder, name).exists()


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM).digest()


def _unique() -> str:
    """No other process on any host has it."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


def version() -> str:
    """Part of every key: results of another version are made again."""
    return metadata.version("fastjag")
