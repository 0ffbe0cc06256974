"""Settings: frozen dataclasses of which every key has a meaning, a type and a range, checked when made.

A type of a key is one of bool, int, float, str, :data:`Name`, :data:`File`, Literal, ``X | None``,
``tuple[X, ...]``, ``tuple[X, X]``, ``dict[str, X]``, Any, or a class of settings.
"""

from __future__ import annotations

import math
import operator
import os
import re
import reprlib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from fastjag.core.checks import near_misses

Settings = TypeVar("Settings")

#: A path or an address; in a configuration relative to its folder, and one may stand for a list of one.
File = Annotated[str, "file"]
#: Text, for which a number may stand: ``name = 2018``.
Name = Annotated[str, "name"]

_HOLDS = {
    " >= ": operator.ge,
    " above ": operator.gt,
    " up to ": operator.le,
    " below ": operator.lt,
}
_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    File: ("a file", "files"),
    Name: ("a string", "strings"),
    str: ("a string", "strings"),
    Any: ("anything", "anything"),
}

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100
_short.maxlevel = 3


def setting(
    doc: str, *, default: Any = MISSING, default_factory: Any = MISSING,
    least: float | None = None, above: float | None = None,
    most: float | None = None, below: float | None = None, finite: bool = True,
    one_of: tuple[str, ...] = (), different: bool = False, empty: bool = False,
    must: str | None = None, none: bool = True,
) -> Any:  # fmt: skip
    """A key of settings: its meaning as a sentence, with its unit; without a default it is required.

    ``least``, ``above``, ``most`` and ``below`` are the range of a number, or of those in a list
    (``least`` of a str: of its length); infinities need ``finite=False``. ``one_of`` are the words
    that are accepted, where a Literal cannot name them. Lists must not be empty unless ``empty``,
    nor hold anything twice if ``different``. ``must`` replaces "be a number >= 0" and the like in
    errors. Of ``X | None`` the text "none" is None, as TOML has no null, unless ``none`` is False:
    a column or a file may bear that name.
    """
    limits = {" >= ": least, " above ": above, " up to ": most, " below ": below}
    given = {sign: limit for sign, limit in limits.items() if limit is not None}
    make_default = None if default is MISSING else lambda: default
    if default_factory is not MISSING:
        make_default = default_factory
    key = Key(doc, given, finite, one_of, different, empty, must, none, make_default)
    return field(default=default, default_factory=default_factory, metadata={"key": key})


class Key(NamedTuple):
    """What :func:`setting` says of a key, and its type."""

    doc: str
    limits: Mapping[str, float]
    finite: bool
    one_of: tuple[str, ...]
    different: bool
    empty: bool
    must: str | None
    none: bool
    default: Callable[[], Any] | None  #: None: the key is required
    type: Any = Any


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
def settings(cls: type[Settings]) -> type[Settings]:
    """A frozen dataclass of keywords, whose values are checked and brought to their types.

    Fields are made by :func:`setting`. A method ``check`` of the class looks at how keys go
    together; its ValueErrors begin with the key that is wrong, where it is one. All errors are
    ValueErrors that name the key, what is accepted and what was given.
    """

    def __post_init__(self: Any) -> None:
        for name, key in keys_of(cls).items():
            value = getattr(self, name)
            if value is not getattr(cls, name, MISSING):  # a default stands as it is written
                object.__setattr__(self, name, _value(name, value, key, key.type, None))
        if hasattr(self, "check"):
            self.check()

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    made: Any = dataclass(frozen=True, kw_only=True)(cls)
    types_of = get_type_hints(made, include_extras=True)
    made._keys = {f.name: f.metadata["key"]._replace(type=types_of[f.name]) for f in fields(made)}
    return cls


def is_settings(kind: Any) -> bool:
    return hasattr(kind, "_keys")


def keys_of(kind: Any) -> dict[str, Key]:
    """The keys of a class of settings, in their order."""
    keys: dict[str, Key] = kind._keys
    return keys


def make(
    kind: type[Settings], content: Any, folder: str | os.PathLike[str] | None = None,
    where: str = "",
) -> Settings:  # fmt: skip
    """Settings from a table of keys and values, as TOML has them; ``kind`` may be dict[str, X], too.

    Relative files are taken to be in ``folder``, errors name keys as parts of ``where``.
    """
    if not is_settings(kind):
        return _value(where, content, setting("").metadata["key"], kind, folder)  # type: ignore[no-any-return]
    if not isinstance(content, Mapping):
        raise _wrong(where, "be a table of keys and values", content)
    keys = keys_of(kind)
    known(content, keys, where)
    if missing := [n for n, key in keys.items() if key.default is None and n not in content]:
        raise ValueError(f"{where or 'the configuration'} lacks {', '.join(missing)}")
    within = f"{where}." if where else ""
    values = {
        name: _value(within + name, value, keys[name], keys[name].type, folder)
        for name, value in content.items()
    }
    try:
        return kind(**values)
    except ValueError as error:  # of its check
        first = re.match(r"\w*", str(error))
        own = first is not None and first[0] in keys
        raise ValueError(f"{within if own or not where else f'{where}: '}{error}") from None


def changed(base: Settings, changes: Any, where: str = "") -> Settings:
    """Settings of which some keys are others, as they stand in a configuration."""
    if not isinstance(changes, Mapping):
        raise _wrong(where, "be a table of keys and values", changes)
    return make(
        type(base), {**{n: getattr(base, n) for n in keys_of(type(base))}, **changes}, None, where
    )


def known(content: Mapping[Any, Any], accepted: Any, where: str = "") -> None:
    """Refuse keys that nobody reads, naming those that look alike."""
    for name in content:
        if name not in accepted:
            raise ValueError(
                f"unknown key{f' in {where}' if where else ''}: {name!r}: "
                f"{near_misses(str(name), accepted)}"
            )


def optional(kind: Any) -> Any:
    """X of ``X | None``; None for other types."""
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        (inner,) = (t for t in get_args(kind) if t is not type(None))
        return inner
    return None


def words(key: Key, kind: Any = None, *, plural: bool = False) -> str:
    """What a key accepts: "a number >= 0", "a list of integers", "'OS' or 'SS'"."""
    kind = key.type if kind is None else kind
    kind = optional(kind) or kind
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple and args[-1] is ...:
        return f"a list of {'different ' * key.different}{words(key, args[0], plural=True)}"
    if origin is tuple:
        counted = {1: "one", 2: "two", 3: "three", 4: "four"}.get(len(args), len(args))
        return ("lists of " * plural) + f"{counted} {words(key, args[0], plural=True)}"
    if key.one_of or origin is Literal:
        return " or ".join(repr(word) for word in key.one_of or args)
    one, many = _WORDS.get(kind, ("a table of keys and values", "tables of keys and values"))
    limits = [f"{sign}{limit:g}" for sign, limit in key.limits.items()]
    return (many if plural else one) + " and".join(limits) * (kind in (int, float))


def _wrong(name: str, must: str, value: Any, more: str = "") -> ValueError:
    return ValueError(f"{name} must {must}, got {_short.repr(value)}{more}")


def _value(name: str, value: Any, key: Key, kind: Any, folder: Any) -> Any:
    """A value of a type and within the limits of its key, or the ValueError that says what is."""
    if inner := optional(kind):
        if value is None or (key.none and isinstance(value, str) and value == "none"):
            return None
        return _value(name, value, key, inner, folder)
    if kind is Any or (is_settings(kind) and isinstance(value, kind)):
        return value
    if is_settings(kind):
        return make(kind, value, folder, name)
    must = key.must or f"be {words(key, kind)}"
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _listed(name, value, key, args, folder, must)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(name, must, value)
        prefix, inside = f"{name}." if name else "", key._replace(must=None)
        return {
            str(k): _value(f"{prefix}{k}", v, inside, args[1], folder) for k, v in value.items()
        }
    result = _plain(value, kind, key, folder)
    if result is None:
        raise _wrong(name, must, value)
    return result


def _listed(
    name: str, value: Any, key: Key, args: tuple[Any, ...], folder: Any, must: str
) -> tuple[Any, ...]:
    if args[0] == File and isinstance(value, (str, os.PathLike)):
        value = [value]
    variable = args[-1] is ...
    if not isinstance(value, (list, tuple)) or (
        not (value or key.empty) if variable else len(value) != len(args)
    ):
        raise _wrong(name, must, value)
    if not variable:
        inside = key._replace(must=None)
        return tuple(_value(name, v, inside, a, folder) for v, a in zip(value, args, strict=True))
    if is_settings(args[0]):
        return tuple(_value(f"{name}[{i}]", v, key, args[0], folder) for i, v in enumerate(value))
    result = []
    for v in value:
        try:
            result.append(_value(name, v, key, args[0], folder))
        except ValueError:
            raise _wrong(name, must, v, " in it") from None
    if key.different and len(set(result)) < len(result):
        raise _wrong(name, must, value)
    return tuple(result)


def _plain(value: Any, kind: Any, key: Key, folder: Any) -> Any:
    """A truth value, number or text; None for what is not accepted."""
    truth = isinstance(value, (bool, np.bool_))
    if kind is bool:
        return bool(value) if truth else None
    if kind in (int, float):
        if truth or not isinstance(value, Integral if kind is int else Real):
            return None
        try:
            number = kind(value)
        except OverflowError:  # an integer beyond all floats
            return None
        return number if _inside(number, key) else None
    if kind == Name and isinstance(value, Real) and not truth:
        value = str(value)
    if kind == File and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or (key.one_of and value not in key.one_of):
        return None
    if get_origin(kind) is Literal and value not in get_args(kind):
        return None
    if len(value) < key.limits.get(" >= ", 1 if kind == File else 0):
        return None
    if kind == File and folder is not None and "://" not in value and not os.path.isabs(value):
        return str(Path(folder) / value)
    return value


def _inside(number: Any, key: Key) -> bool:
    if isinstance(number, float) and (math.isnan(number) or (key.finite and math.isinf(number))):
        return False
    return all(_HOLDS[sign](number, limit) for sign, limit in key.limits.items())
