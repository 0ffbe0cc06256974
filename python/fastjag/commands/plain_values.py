"""Values of options that nobody has to check, so that the library that checks them is not loaded.

typer checks every value by pydantic, even a default, and pydantic takes as long to load as NumPy does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_KINDS = (bool, str, int, float, Path, list[str])


class _Plain:
    """In the place of typer's own: defaults, text and paths; all else is left to it."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """As typer's own does."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self._kind == list[str]:
            if isinstance(value, (list, tuple)) and all(type(v) is str for v in value):
                return list(value)
        elif isinstance(value, self._kind):  # text, or a default
            return value
        elif self._kind is Path and type(value) is str and _unchecked(value):
            return Path(value)
        param._runtime_param = None  # which makes its own
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _unchecked(path: str) -> bool:
    """Whether there is nothing that typer would ask of a path."""
    return path != "-" and (not os.path.exists(path) or os.access(path, os.R_OK))


def leave_plain_values(command: Any) -> None:
    """Let typer check only what has to be checked, of a command or a group of them.

    In other versions, which have no such part, nothing is changed.
    """
    for inner in getattr(command, "commands", {}).values():
        if inner is not None:
            leave_plain_values(inner)
    own = command.get_params

    def get_params(ctx: Any) -> Any:
        params = own(ctx)  # with --help
        for param in params:
            _leave(param)
        return params

    command.get_params = get_params


def _leave(param: Any) -> None:
    about = getattr(param, "type_descriptor", None)
    if getattr(param, "_runtime_param", param) is not None or about is None:
        return
    info = about.parameter_info
    asks = info.parser or info.exists or info.resolve_path or info.writable or info.allow_dash
    usual = info.file_okay and info.dir_okay and info.readable and info.path_type is None
    if about.annotation in _KINDS and usual and not asks:
        param._runtime_param = _Plain(about.annotation)
