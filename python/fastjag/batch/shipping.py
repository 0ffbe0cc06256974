"""Functions as bytes for other processes: lambdas, those of scripts and notebooks, and closures too."""

from __future__ import annotations

import dis
import hashlib
import io
import marshal
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fastjag.core.checks import first_line, needs

#: Functions of this process by their digest.
_received: dict[str, Any] = {}
_KEPT = 8
_LARGE = 1_000_000  # bytes


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
        with _by_value(cloudpickle) as own:
            content = cloudpickle.dumps(what)
            digest = _digest(what, own)
    except Exception as error:
        raise TypeError(f"{named} cannot be sent to workers: {first_line(error)}") from error
    return Shipped(content, digest, device)


@contextmanager
def lent(shipped: Shipped, folder: Path | None) -> Iterator[Shipped]:
    """What is large as a file in a folder that all workers see: each reads it once, instead of with every task.

    As it is where there is no such folder, or no room in it.
    """
    if folder is None or isinstance(shipped.content, Path) or len(shipped.content) < _LARGE:
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


class _Digested:
    """What stands for a function or a class of the user's own in a digest; its state follows it."""


def _digest(what: Any, own: set[str]) -> str:
    """Of what a function does: the same in every process, and another for other code and values.

    The bytes that are sent differ between processes: equal constants are one object or two, modules that
    something else has imported are named, and each class has a random number.
    """
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, FunctionType) and (
                value.__module__ in own or "<" in value.__qualname__
            ):
                return _Digested, (), _state_of_function(value)
            if isinstance(value, type) and value.__module__ in own:
                members = {
                    name: member
                    for name, member in sorted(vars(value).items())
                    if name not in ("__dict__", "__weakref__", "__doc__", "__module__")
                }
                return _Digested, (), [value.__qualname__, value.__bases__, members]
            return super().reducer_override(value)

    file = io.BytesIO()
    Pickler(file).dump(what)
    return hashlib.blake2b(file.getvalue(), digest_size=16).hexdigest()


def _state_of_function(function: FunctionType) -> list[Any]:
    code = function.__code__
    names = sorted(name for name in _globals_of(code) if name in function.__globals__)
    return [
        function.__qualname__,
        # Version 2 does not tell which constants are one object.
        marshal.dumps(_without_lines(code), 2),
        function.__defaults__,
        function.__kwdefaults__,
        [_content(cell) for cell in function.__closure__ or ()],
        {name: function.__globals__[name] for name in names},
    ]


def _globals_of(code: CodeType) -> set[str]:
    """Names that code and functions in it look up outside."""
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _globals_of(constant)
    return names


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _without_lines(code: CodeType) -> CodeType:
    inner = tuple(_without_lines(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=inner, co_filename="", co_firstlineno=1, co_linetable=b"")


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
