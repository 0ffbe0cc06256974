"""Configuration files of all analyses: read into settings, and written with every key and its meaning."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

from fastjag.core.checks import needs
from fastjag.core.settings import Key, Settings, is_settings, keys_of, make, optional, words

_LARGEST = 2**20  # bytes of a configuration
_LISTED = 5  # configurations beside one that is not there
_PARTS = 100  # of a dotted key: tomllib takes time that grows with their square
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def read_toml(
    path: str | os.PathLike[str], endings: tuple[str, ...] = (".toml",)
) -> Mapping[str, Any]:
    """The content of a TOML file, or of YAML where ``endings`` have .yaml or .yml.

    Raises ValueError with the name of the file and the line or key where it is wrong: not TOML, not
    UTF-8, nested too deeply, integers beyond 64 bits. FileNotFoundError that names what is beside a
    missing file; OSError for a file that cannot be read.
    """
    source = Path(path)
    if source.suffix not in endings:
        raise ValueError(f"{source}: a configuration must be a file of type {' or '.join(endings)}")
    try:
        with open(source, "rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{source}: no such configuration{_others(source, endings)}"
        ) from None
    except OSError as error:
        raise OSError(f"{source}: the configuration cannot be read: {error.strerror}") from error
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


def _others(source: Path, endings: tuple[str, ...]) -> str:
    """What may be meant instead of a missing configuration."""
    if not source.parent.is_dir():
        return f", as there is no folder {source.parent}"
    names = sorted(path.name for path in source.parent.iterdir() if path.suffix in endings)
    more = ", ..." if len(names) > _LISTED else ""
    return f"; its folder has {', '.join(names[:_LISTED])}{more}" if names else ""


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


def read(
    kind: type[Settings], path: str | os.PathLike[str], endings: tuple[str, ...] = (".toml",)
) -> Settings:
    """Settings from a file; relative files in it are in its folder.

    A class whose keys stand elsewhere in the file has a classmethod ``from_content(content,
    folder)``. Raises ValueError that names the file, the key that is wrong and what is accepted.
    """
    source, content = Path(path), read_toml(path, endings)
    try:
        own = getattr(kind, "from_content", None)
        return own(content, source.parent) if own else make(kind, content, source.parent)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def show(kind: type) -> str:
    """Every key of settings as TOML, with its meaning, what it accepts and its default.

    Keys without a default stand in comments that end with "=", to be filled.
    """
    return "\n".join(_shown(kind, "", None)).lstrip() + "\n"


def _shown(kind: Any, within: str, values: Any) -> Iterator[str]:
    tables = []
    for name, key in keys_of(kind).items():
        if table := _table_of(key):
            tables.append((name, key, *table))
            continue
        yield from _comment(f"{key.doc} {accepted(key)}.")
        default = _default(key, name, values)
        yield f"{name} = {_toml(default)}" if _can_say(key, default) else f"# {name} ="
    for name, key, inner, header, _ in tables:
        default = _default(key, name, values)
        lines = [header.format(within + name), *_shown(inner, f"{within}{name}.", default)]
        yield ""
        yield from _comment(key.doc)
        # A table that need not be there is a comment as a whole.
        optional_table = key.default is not None and not default
        yield from (f"# {line}".rstrip() for line in lines) if optional_table else lines


def _comment(text: str) -> list[str]:
    return wrap(text, 98, initial_indent="# ", subsequent_indent="# ")


def _default(key: Key, name: str, values: Any) -> Any:
    """Of a key: what the settings that hold it have by default."""
    if is_settings(type(values)):
        return getattr(values, name)
    return None if key.default is None else key.default()


def _can_say(key: Key, default: Any) -> bool:
    """Whether a file can hold the default of a key."""
    return key.default is not None and (default is not None or key.none)


def _table_of(key: Key) -> tuple[Any, str, str] | None:
    """Settings that are a section, or several ones; its header in TOML, and how its keys are named."""
    kind = optional(key.type) or key.type
    args = get_args(kind)
    if is_settings(kind):
        return kind, "[{}]", "{}."
    if args and is_settings(args[0]):
        return args[0], "[[{}]]", "{}[]."
    if args and is_settings(args[-1]):
        return args[-1], "[{}.NAME]", "{}.NAME."
    return None


def accepted(key: Key) -> str:
    text = words(key) + " or 'none'" * (optional(key.type) is not None and key.none)
    return text[0].upper() + text[1:]


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    # Numbers are written alike, but for nan and infinities.
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def markdown(kind: type) -> str:
    """Every key of settings as rows of a table for the documentation."""
    head = "| key | accepted | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows(kind, "", None))


def rows(kind: Any, within: str, values: Any) -> Iterator[tuple[str, ...]]:
    for name, key in sorted(keys_of(kind).items(), key=lambda item: bool(_table_of(item[1]))):
        default = _default(key, name, values)
        if table := _table_of(key):
            yield from rows(table[0], within + table[2].format(name), default)
            continue
        shown = f"`{_toml(default)}`" if _can_say(key, default) else "none"
        shown = "required" if key.default is None else shown
        cells = (f"`{within}{name}`", accepted(key), shown, key.doc)
        yield tuple(cell.replace("|", "\\|") for cell in cells)
