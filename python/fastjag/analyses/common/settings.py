"""Reading configuration files: what every analysis checks in the same way."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from fastjag.core.checks import near_misses, needs, real

Settings = TypeVar("Settings")


_LARGEST = 2**20  # bytes of a configuration
_PARTS = 100  # of a dotted key: tomllib takes time that grows with their square
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def read_toml(
    path: str | os.PathLike[str], endings: tuple[str, ...] = (".toml",)
) -> Mapping[str, Any]:
    """The content of a TOML file, or of YAML where ``endings`` have .yaml or .yml.

    Raises ValueError with the name of the file and the line or key where it is wrong: not TOML, not
    UTF-8, nested too deeply, integers beyond 64 bits.
    """
    source = Path(path)
    if source.suffix not in endings:
        raise ValueError(f"{source}: a configuration must be a file of type {' or '.join(endings)}")
    with open(source, "rb") as file:
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"{source}: is larger than {_LARGEST:,} bytes: this is no configuration")
    try:
        content = _parsed(raw.decode("utf-8"), source.suffix)
        _check_integers(content)
    except RecursionError:
        raise ValueError(f"{source}: is nested too deeply") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{source}: is not UTF-8 in line {line}") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{source}: must hold keys and values")  # noqa: TRY004
    return content


def _parsed(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        for i, line in enumerate(text.splitlines()):
            parts = max(
                piece.count(".")
                for piece in re.split(r"[=,{}\[\]]", _STRING.sub("", line).partition("#")[0])
            )
            if parts >= _PARTS:
                raise ValueError(f"line {i + 1} has a key of {parts + 1:,} parts, at most {_PARTS}")
        return tomllib.loads(text)
    needs("yaml", "dimuon")
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {error}") from None


def _check_integers(content: Any) -> None:
    """ValueError that names a key whose integer NumPy cannot hold."""
    todo, seen = [("", content)], set()
    while todo:
        name, value = todo.pop()
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} is an integer of more than 64 bits")
        if isinstance(value, (dict, list)) and id(value) not in seen:  # YAML may share parts
            seen.add(id(value))
            if isinstance(value, dict):
                todo += [(f"{name}.{key}".lstrip("."), v) for key, v in value.items()]
            else:
                todo += [(f"{name}[{i}]", v) for i, v in enumerate(value)]


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
