"""Functions as bytes for other processes: lambdas, those of scripts and notebooks, and closures too."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from fastjag.batch.meaning import is_installed, meaning
from fastjag.core.checks import first_line, needs

#: Functions of this process by their digest.
_received: dict[str, Any] = {}
_KEPT = 8
_LARGE = 1_000_000  # bytes
#: cloudpickle's list of modules that go by value is one for all threads of the process.
_registry = threading.RLock()


@dataclass(frozen=True)
class Shipped:
    """What pickles as bytes; ``digest`` is the same for the same code and values in every process."""

    content: bytes | Path  #: a file that all workers see, of what is large
    digest: str
    device: str | None = None  #: where it will work, which has to be known before it is unpickled


def ship(what: Any, named: str, device: str | None = None) -> Shipped:
    """By value where the worker need not have the module: ``__main__`` and files of the user's own.

    Raises TypeError, naming ``named``, for what cannot be sent, such as an open file.
    """
    needs("cloudpickle", "batch")
    import cloudpickle

    try:
        with _registry, _by_value(cloudpickle) as own:
            content = cloudpickle.dumps(what)
            try:
                digest = meaning(what, own)
            except Exception:  # noqa: BLE001  it can be sent, and is known by its bytes
                digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    except Exception as error:
        raise TypeError(f"{named} cannot be sent to workers: {first_line(error)}") from error
    return Shipped(content, digest, device)


def is_large(shipped: Shipped) -> bool:
    """Whether it should not go with every task."""
    return isinstance(shipped.content, bytes) and len(shipped.content) >= _LARGE


@contextmanager
def lent(shipped: Shipped, folder: Path | None) -> Iterator[Shipped]:
    """What is large as a file in a folder that all workers see: each reads it once, instead of with every task.

    As it is where there is no such folder, or no room in it.
    """
    if folder is None or isinstance(shipped.content, Path) or not is_large(shipped):
        yield shipped
        return
    try:
        number, name = tempfile.mkstemp(".function", ".fastjag-", folder)
    except OSError:
        yield shipped
        return
    try:
        try:
            with open(number, "wb") as file:
                file.write(shipped.content)
                file.flush()
                os.fsync(file.fileno())  # before another host looks
            there = replace(shipped, content=Path(name))
        except OSError:
            there = shipped
        yield there
    finally:
        with suppress(OSError):
            os.unlink(name)


def receive(shipped: Shipped) -> Any:
    """What was shipped, unpickled once per process."""
    if shipped.digest not in _received:
        import cloudpickle

        while len(_received) >= _KEPT:
            _received.pop(next(iter(_received)))
        content = shipped.content
        if isinstance(content, Path):
            content = content.read_bytes()
        _received[shipped.digest] = cloudpickle.loads(content)
    return _received[shipped.digest]


def pack(result: Any) -> bytes:
    """A result; classes of the user's script go with it."""
    import cloudpickle

    return bytes(cloudpickle.dumps(result))


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[set[str]]:
    """Modules that are nobody's installed package are sent along, if the function uses them; their names."""
    known = set(cloudpickle.list_registry_pickle_by_value())
    own = [m for name, m in list(sys.modules.items()) if name not in known and _is_own(name, m)]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield {"__main__", *known, *(module.__name__ for module in own)}
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def _is_own(name: str, module: ModuleType) -> bool:
    if name == "__main__" or name.split(".")[0] == "fastjag" or module.__name__ != name:
        return False  # __main__ goes by value anyway
    path = getattr(module, "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return False
    return not is_installed(path)
