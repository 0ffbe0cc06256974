"""What is known of files from before, in a folder: nobody has to open those that are the same."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastjag.io.facts import Facts
from fastjag.reporting.output import write_text

_NAME = "fastjag-files.json"
_FORMAT = 1


class Known:
    """Facts by file and tree. Local files are known by path, size and time; others by URL and UUID."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._path = None if folder is None else Path(folder) / _NAME
        self._files: dict[str, Any] = {}
        self._changed = False
        if self._path is not None:
            self._files = _read(self._path)

    def find(self, path: str, tree: str | None) -> tuple[Facts | None, bool]:
        """(facts from before, whether they are still true); a file on a server has to be asked."""
        if self._path is None:
            return None, False
        about = self._files.get(_key(path), {})
        if about.get("state") != _state(path):
            return None, False
        try:
            facts = about["trees"][tree or ""]
            clusters = facts["clusters"]
            found = Facts(**{**facts, "clusters": clusters and tuple(clusters)})
        except (KeyError, TypeError):
            return None, False
        return found, "://" not in path

    def keep(self, path: str, tree: str | None, facts: Facts) -> None:
        if self._path is None:
            return
        state = _state(path)
        about = self._files.get(_key(path))
        if about is None or about.get("state") != state:
            about = self._files[_key(path)] = {"state": state, "trees": {}}
        clusters = None if facts.clusters is None else list(facts.clusters)
        new = {**asdict(facts), "clusters": clusters}
        if about["trees"].get(tree or "") != new:
            about["trees"][tree or ""] = new
            self._changed = True

    def write(self) -> None:
        """Where anything is new. What another process wrote meanwhile stays."""
        if self._path is None or not self._changed:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files = _read(self._path) | self._files
        write_text(self._path, json.dumps({"format": _FORMAT, "files": files}))
        self._changed = False


def _read(path: Path) -> dict[str, Any]:
    """Nothing where there is no such file, or none of ours: then all is looked up."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = content["files"] if content["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    good = isinstance(files, Mapping)
    return {k: v for k, v in files.items() if isinstance(v, dict)} if good else {}


def _key(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def _state(path: str) -> list[int] | None:
    """Of a local file: size and time of the last change."""
    if "://" in path:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
