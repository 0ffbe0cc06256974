"""What functions do, as a digest: the same in every process, and another for other code and values."""

from __future__ import annotations

import dis
import hashlib
import importlib.util
import io
import marshal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from fastjag.core.checks import first_line

#: Of classes: what Python makes itself.
_MADE = ("__dict__", "__weakref__", "__doc__", "__module__", "__slotnames__", "_abc_impl")


@cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({str(Path(paths[name]).resolve()) for name in names if paths.get(name)})


def is_installed(path: str) -> bool:
    """Whether a file belongs to a package that was installed, or to Python."""
    resolved = str(Path(path).resolve())
    return resolved.startswith(_installed()) or "site-packages" in resolved


class _Digested:
    """What stands for a function or a class of the user's own in a digest; its state follows it."""


def meaning(what: Any, own: set[str]) -> str:
    """The digest; ``own`` are names of modules that are nobody's installed package.

    The bytes that are sent differ between processes: equal constants are one object or two, sets have
    another order, modules that something else has imported are named, and each class has a random number.
    """
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, value: Any) -> Any:
            if type(value) in (set, frozenset):
                return type(value).__name__, sorted(meaning(one, own) for one in value)
            return None

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, FunctionType) and (
                value.__module__ in own or "<" in value.__qualname__
            ):
                return _Digested, (), _state_of_function(value)
            if isinstance(value, type) and value.__module__ in own:
                members = {n: m for n, m in sorted(vars(value).items()) if n not in _MADE}
                return _Digested, (), [value.__qualname__, value.__bases__, members]
            inside = getattr(value, "__wrapped__", None)
            if isinstance(inside, FunctionType) and type(value).__module__ not in own:
                # Of lru_cache and numba: sent by their names, or with a random number.
                options = repr(getattr(value, "targetoptions", None))
                return _Digested, (), [type(value).__qualname__, inside, options]
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
        dict(sorted(function.__dict__.items())),
        _sources(code, function.__globals__.get("__package__") or ""),
    ]


def _globals_of(code: CodeType) -> set[str]:
    """Names that code and functions in it look up outside."""
    return {
        i.argval
        for part in _parts(code)
        for i in dis.get_instructions(part)
        if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }


def _sources(code: CodeType, package: str) -> dict[str, str]:
    """Digests of the user's own modules that code imports when it runs, and those that they import."""
    found: dict[str, str] = {}
    todo = sorted(_imports_of(code, package))
    while todo:
        name = todo.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        source = path.read_bytes()
        found[name] = hashlib.blake2b(source, digest_size=16).hexdigest()
        inner = name if path.name == "__init__.py" else name.rpartition(".")[0]
        try:
            todo += sorted(_imports_of(compile(source, name, "exec", dont_inherit=True), inner))
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"{path}: {first_line(error)}") from None
    return dict(sorted(found.items()))


def _imports_of(code: CodeType, package: str) -> set[str]:
    """Names of the modules, and of what is taken from them: that may be modules, too."""
    found: set[str] = set()
    for part in _parts(code):
        level, module = 0, ""
        before: list[Any] = []
        for i in dis.get_instructions(part):
            if i.opname == "IMPORT_NAME":
                level = next((v for v in reversed(before[-2:]) if isinstance(v, int)), 0)
                module = str(i.argval)
                if level:
                    base = package.rsplit(".", level - 1)[0] if level > 1 else package
                    module = f"{base}.{module}".strip(".")
                parts = module.split(".")
                found |= {".".join(parts[: n + 1]) for n in range(len(parts))}
            elif i.opname == "IMPORT_FROM":
                found.add(f"{module}.{i.argval}")
            before.append(i.argval)
    return found


def _file_of(name: str) -> Path | None:
    """The source of a module of the user's own; None for all else."""
    if name.split(".")[0] in ("fastjag", "__main__", *sys.stdlib_module_names):
        return None
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None:
        with suppress(Exception):  # of modules that are not there, or cannot be imported
            spec = importlib.util.find_spec(name)
            path = None if spec is None else spec.origin
    if not isinstance(path, str) or not path.endswith(".py") or is_installed(path):
        return None
    return Path(path) if Path(path).is_file() else None


def _parts(code: CodeType) -> Iterator[CodeType]:
    """Code, and that of all functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _without_lines(code: CodeType) -> CodeType:
    inner = tuple(_without_lines(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=inner, co_filename="", co_firstlineno=1, co_linetable=b"")
