"""Stages of an analysis: run one after another, skipped where their result is there already."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fastjag import __version__
from fastjag.arrays import one_of
from fastjag.files import find_files

_WHOLE = 1 << 26  # files up to 64 MiB are read as a whole
_BLOCKS, _BLOCK = 64, 1 << 20


@dataclass(frozen=True)
class Stages:
    """Named steps in their order, each with a folder of its own below ``out``.

    ``steps`` maps a name to the function that fills ``out / name``; ``settings`` gives all of a
    configuration that the result of a stage depends on. ``stage.json`` keeps their hash, those of
    the files that the stage left, and one of the files that the stages it reads from had left: a
    result is used again only for the same settings and inputs, and only if it is whole.
    """

    out: Path
    steps: Mapping[str, Callable[[], None]]
    settings: Callable[[str], Mapping[str, Any]]
    #: The stages that a stage reads from; one that is not named here reads from all before it.
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def run(self, wanted: Iterable[str], told: Callable[[str], None] | None = None) -> None:
        """Run these stages and those they need that have no result; ``told`` hears of each."""
        names = list(self.steps)
        sources = {n: self.reads.get(n, names[:i]) for i, n in enumerate(names)}
        todo = {one_of("stage", stage, names) for stage in wanted}
        for stage in reversed(names):
            if stage in todo:
                todo.update(sources[stage])
        for stage in names:
            if stage not in todo:
                continue
            key, inputs = self._key(stage), self._inputs(sources[stage])
            reason = self._missing(stage, key, inputs)
            if reason is None:
                if told:
                    told(f"{stage}: is there")
                continue
            if told:
                told(f"{stage}: running" + (f" ({reason})" if reason else ""))
            folder = self.out / stage
            # What an older result left must not be taken for a part of the new one; folders below
            # are a stage's own, such as files that it need not read again.
            old = _read_marker(folder)
            (folder / "stage.json").unlink(missing_ok=True)
            for name in old.get("files", {}):
                if "/" not in name:
                    (folder / name).unlink(missing_ok=True)
            self.steps[stage]()
            marker = json.dumps({"key": key, "inputs": inputs, "files": _digests(folder)})
            (folder / "stage.json").write_text(marker + "\n")

    def _missing(self, stage: str, key: str, inputs: str) -> str | None:
        """Why a stage has to run: "" if there is no result for these settings, None if it need not."""
        found = _read_marker(self.out / stage)
        if found.get("key") != key or not isinstance(found.get("files"), dict):
            return ""
        if found.get("inputs") != inputs:
            return "what it is made from has changed"
        for name, digest in found["files"].items():
            try:
                if file_digest(self.out / stage / name) != digest:
                    return f"{name} has changed"
            except OSError:
                return f"{name} is missing"
        return None

    def _inputs(self, sources: Iterable[str]) -> str:
        """Hash of the results that a stage reads."""
        files = {source: _read_marker(self.out / source).get("files") for source in sources}
        return blake2b(json.dumps(files, sort_keys=True).encode(), digest_size=16).hexdigest()

    def _key(self, stage: str) -> str:
        settings = {"stage": stage, "fastjag": __version__, **self.settings(stage)}
        text = json.dumps(settings, sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=16).hexdigest()


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "stage.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hash of a file's content; of its size and 64 MiB spread over it, where it is larger."""
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        if size <= _WHOLE:
            digest.update(file.read())
        else:
            for i in range(_BLOCKS):
                file.seek(i * (size - _BLOCK) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def input_digests(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """What is in input files and patterns, for ``settings``; names of remote ones."""
    paths = [path for path, _ in find_files([str(f) for f in files])]
    return [path if "://" in path else file_digest(path) for path in paths]
