"""Checks of configurations that are not yet read by `fastjag.analyses.common.config`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastjag.analyses.common.config import read_toml
from fastjag.core.checks import near_misses

__all__ = ["beside", "known", "read_toml", "table"]


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


def beside(folder: Path, path: str) -> str:
    """Paths in a configuration are relative to it."""
    return path if "://" in path or os.path.isabs(path) else str(folder / path)
