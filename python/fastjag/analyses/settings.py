"""Reading configuration files: what every analysis checks in the same way."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from fastjag.arrays import near_misses, real

Settings = TypeVar("Settings")


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a file; ValueError with its name and the line where it is not TOML."""
    source = Path(path)
    if source.suffix != ".toml":
        raise ValueError(f"{source}: a configuration must be a .toml file")
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def known(given: Mapping[str, Any], accepted: Iterable[str], what: str) -> None:
    """Refuse keys that nobody reads, naming those that look alike."""
    names = list(accepted)
    for name in given:
        if name not in names:
            raise ValueError(f"unknown {what}: {name!r}: {near_misses(str(name), names)}")


def table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a table of keys and values, got {value!r}")  # noqa: TRY004
    return value


def number(value: Any, name: str) -> float:
    """A number of any sign, infinities included; TOML has nan, too, which is refused."""
    return real(name, value, finite=False)


def listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, got {value!r}")  # noqa: TRY004
    return value


def beside(folder: Path, path: str) -> str:
    """Paths in a configuration are relative to it."""
    return path if "://" in path or os.path.isabs(path) else str(folder / path)


def filled(kind: type[Settings], given: Any, name: str) -> Settings:
    """A dataclass of numbers, strings and booleans from a table; other types are refused."""
    values = dict(table(given, name))
    defaults = {f.name: f.default for f in fields(kind)}  # type: ignore[arg-type]
    known(values, defaults, f"key in {name}")
    for key, value in values.items():
        default = defaults[key]
        if isinstance(default, float):
            values[key] = number(value, f"{name}.{key}")
        elif default is None and not isinstance(value, str):  # all of these are names
            raise ValueError(f"{name}.{key} must be a string, got {value!r}")
        elif default is not None and type(value) is not type(default):
            raise ValueError(
                f"{name}.{key} must be {type(default).__name__}, like {default!r}, got {value!r}"
            )
    return kind(**values)
