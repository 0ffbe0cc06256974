"""Libraries that other libraries import at their top and hardly use: loaded at the first use.

uproot imports awkward, which takes as long as all else that a command needs, and reads most files without it;
and fsspec, which knows the servers that we do not. hist imports histoprint, which draws in terminals.
The commands, whose process is their own, put empty modules in their places, which fill themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()


class _Later(ModuleType):
    """A module that runs its code when something of it is asked for."""

    _loading = False
    _names: Collection[str] | None = None

    def __getattr__(self, name: str) -> Any:
        with _LOCK:  # other threads wait for the whole of it
            if isinstance(self, _Later):
                # Its own code asks for what it does not have yet; an import, whether it has parts.
                if self._loading or name == "__path__":
                    raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
                named = name[:1].isupper() or name in ("contents", "forms")
                if _is_asleep(self) and (named if self._names is None else name in self._names):
                    return _Name(self, name)
                _load(self)
        return getattr(self, name)


def _whole(name: str) -> ModuleType | None:
    """The library that a module is a part of."""
    return sys.modules.get(name.partition(".")[0])


def _is_asleep(module: ModuleType) -> bool:
    """Whether nothing of its library was used: its own code needs real classes."""
    whole = _whole(module.__name__)
    return isinstance(whole, _Later) and not whole._loading


def _load(module: ModuleType) -> None:
    with _LOCK:
        if (whole := _whole(module.__name__)) is not None and whole is not module:
            _load(whole)
        if not isinstance(module, _Later) or module._loading:
            return
        spec = module.__spec__
        assert spec is not None
        assert spec.loader is not None
        module._loading = True
        try:
            spec.loader.exec_module(module)
            module.__class__ = ModuleType  # type: ignore[assignment]
        finally:
            del module.__dict__["_loading"]


class _Name:
    """A class of a module that is not loaded, or what holds classes: nothing is an instance of it."""

    def __init__(self, module: ModuleType, path: str) -> None:
        self._module, self._path = module, path

    def _real(self) -> Any:
        _load(self._module)
        found: Any = self._module
        for name in self._path.split("."):
            found = getattr(found, name)
        return found

    def __getattr__(self, name: str) -> Any:
        if name[:1].isupper() and isinstance(self._module, _Later):
            return _Name(self._module, f"{self._path}.{name}")
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return not isinstance(self._module, _Later) and isinstance(instance, self._real())

    def __subclasscheck__(self, kind: type) -> bool:
        return not isinstance(self._module, _Later) and issubclass(kind, self._real())

    def __or__(self, other: Any) -> Any:
        return self._real() | (other._real() if isinstance(other, _Name) else other)

    def __ror__(self, other: Any) -> Any:
        return other | self._real()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)


class _Parts:
    """Finds parts of such a library by running all of it first, as if it had been imported."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        whole = _whole(name)
        if not isinstance(whole, _Later) or whole._loading:
            return None
        _load(whole)
        part = sys.modules.get(name)
        if part is None:
            return None
        part.__spec__ = spec = ModuleSpec(name, _Imported(part))  # type: ignore[arg-type]
        return spec


class _Imported:
    """The loader of a part that its library has imported: once is enough."""

    def __init__(self, part: ModuleType) -> None:
        self._part, self._spec = part, part.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._part

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def load_later(name: str, names: Collection[str] | None = None) -> None:
    """Let a library, or a part of one, be loaded by its first use.

    It is left as it is where it is loaded already or not installed. ``names`` are what others take of it
    before they use it: classes and functions. By default these are all that begin with a capital, and
    what holds the classes of awkward.
    """
    above, _, part = name.rpartition(".")
    parent = sys.modules.get(above)
    if name in sys.modules or (above and not isinstance(parent, _Later)):
        return
    spec = PathFinder.find_spec(name, parent.__path__) if parent else find_spec(name)
    if spec is None:
        return
    module = _Later(name)
    module.__dict__.update(vars(module_from_spec(spec)), _names=names)
    sys.modules[name] = module
    if parent:
        setattr(parent, part, module)
    if _Parts not in sys.meta_path:
        sys.meta_path.insert(0, _Parts)
