"""Which command and settings made the results of a folder, so that others do not replace them unasked.

Commands say what they are (:func:`made_by`); who calls functions from Python replaces what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD = "command.json"
# Of results without a record, which a function or an older version left.
_RESULTS = ("report.html", "convert.json", "tensors.json", "simulation.json", "*/stage.json")
_SHOWN, _WIDTH = 3, 60  # settings that differ, and their characters, in a message


@dataclass(frozen=True)
class Origin:
    """A command, and the settings that its results depend on."""

    command: str
    #: Plain values, as JSON has them; asked for when there are results to compare with or to write.
    settings: Callable[[], Mapping[str, Any]]
    version: str = ""  #: of fastjag, which is recorded and not compared
    force: bool = False  #: replace whatever is there

    def record(self) -> dict[str, Any]:
        """What ``command.json`` holds."""
        return {"command": self.command, "settings": self.settings(), "fastjag": self.version}


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def made_by(origin: Origin | None) -> Iterator[None]:
    """Results that are written in the block are those of a command; None: of nobody who could say."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def forced() -> bool:
    """Whether results of other settings may be replaced: by ``--force``, or from Python."""
    origin = _origin.get()
    return origin is None or origin.force


def checked(folder: Path) -> dict[str, Any] | None:
    """The record for the results that come into a folder, or None where no command writes them.

    FileExistsError where there are results of another command or other settings, which only
    ``--force`` replaces. The version of fastjag does not matter.
    """
    if (origin := _origin.get()) is None:
        return None
    new = origin.record()
    if not origin.force:
        there = _read(folder / RECORD)
        if there is not None and (why := _differences(there, new)):
            raise refusal(folder, f"holds {why}")
        if there is None and (found := _results(folder)):
            raise refusal(folder, f"holds results ({found}) without a record of how they were made")
    return new


def checked_file(path: Path) -> dict[str, Any] | None:
    """As :func:`checked` for a single file, whose record lies beside it (:func:`record_of`)."""
    if (origin := _origin.get()) is None:
        return None
    new = origin.record()
    if path.is_file() and not origin.force and (why := _why_not(path, new)):
        raise refusal(path, f"is {why}", "name another file")
    return new


def _why_not(path: Path, new: Mapping[str, Any]) -> str:
    there = _read(record_of(path))
    if there is None:
        return "a file without a record of how it was made"
    if any(there.get(key) != value for key, value in state_of(path).items()):
        return "not the file that the record beside it was written for"
    return _differences(there, new)


def state_of(path: Path) -> dict[str, int]:
    """Whether a file is the one that a record was written for."""
    status = path.stat()
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def record_of(path: Path) -> Path:
    """Beside ``toys.root`` it is ``toys.root.command.json``."""
    return path.with_name(f"{path.name}.{RECORD}")


def refusal(path: Path, why: str, choose: str = "choose another folder with --out") -> OSError:
    """The error of a command that would replace what it must not."""
    return FileExistsError(
        f"{path}: {why}; {choose}, or replace what is there with --force (nothing was touched)"
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    """None where there is no record; an empty one where it is none of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _results(folder: Path) -> str:
    """A file by which results without a record are known."""
    found = (path for name in _RESULTS for path in sorted(folder.glob(name)))
    return next((str(path.relative_to(folder)) for path in found), "")


def _differences(there: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What tells a record from the new one; "" if they are the same."""
    command, old = there.get("command"), there.get("settings")
    if not isinstance(command, str) or not isinstance(old, dict):
        return f"a result whose record, {RECORD}, cannot be read"
    if command != new["command"]:
        return f"the result of fastjag {command}"
    changed = changes(old, new["settings"])
    return changed and f"the result of fastjag {command} with other settings ({changed})"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Which settings differ, old ones being read from JSON; "" if none does."""
    own = json.loads(json.dumps(new))
    keys = [k for k in dict.fromkeys([*old, *own]) if old.get(k) != own.get(k)]
    said = [f"{k} was {_short(old.get(k))}, is {_short(own.get(k))}" for k in keys[:_SHOWN]]
    return "; ".join(said + [f"{len(keys) - _SHOWN} more"] * (len(keys) > _SHOWN))


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _WIDTH else f"{text[:28]}...{text[-28:]}"
