"""Functions as bytes for other processes: lambdas, those of scripts and notebooks, and closures too."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fastjag.core.checks import first_line, needs

#: Functions of this process by their digest.
_received: dict[str, Any] = {}
_KEPT = 8


@dataclass(frozen=True)
class Shipped:
    """What pickles as bytes; ``digest`` is the same for the same bytes."""

    content: bytes
    digest: str


def ship(what: Any, named: str) -> Shipped:
    """By value where the worker need not have the module: ``__main__`` and files of the user's own.

    Raises TypeError, naming ``named``, for what cannot be sent, such as an open file.
    """
    needs("cloudpickle", "batch")
    import cloudpickle

    try:
        with _by_value(cloudpickle):
            content = cloudpickle.dumps(what)
    except Exception as error:
        raise TypeError(f"{named} cannot be sent to workers: {first_line(error)}") from error
    return Shipped(content, hashlib.blake2b(content, digest_size=16).hexdigest())


def receive(shipped: Shipped) -> Any:
    """What was shipped, unpickled once per process."""
    if shipped.digest not in _received:
        import cloudpickle

        while len(_received) >= _KEPT:
            _received.pop(next(iter(_received)))
        _received[shipped.digest] = cloudpickle.loads(shipped.content)
    return _received[shipped.digest]


def pack(result: Any) -> bytes:
    """A result; classes of the user's script go with it."""
    import cloudpickle

    return bytes(cloudpickle.dumps(result))


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[None]:
    """Modules that are nobody's installed package are sent along, if the function uses them."""
    known = set(cloudpickle.list_registry_pickle_by_value())
    own = [m for name, m in list(sys.modules.items()) if name not in known and _is_own(name, m)]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


_INSTALLED = tuple(
    {
        str(Path(path).resolve())
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_paths().get(name))
    }
)


def _is_own(name: str, module: ModuleType) -> bool:
    if name == "__main__" or name.split(".")[0] == "fastjag" or module.__name__ != name:
        return False  # __main__ goes by value anyway
    path = getattr(module, "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return False
    resolved = str(Path(path).resolve())
    return not resolved.startswith(_INSTALLED) and "site-packages" not in resolved
