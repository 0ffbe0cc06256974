"""Stages of an analysis: run one after another, skipped where their result is there already."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fastjag.arrays import one_of
from fastjag.files import find_files

_WHOLE = 1 << 26  # files up to 64 MiB are read as a whole
_BLOCKS, _BLOCK = 64, 1 << 20


@dataclass(frozen=True)
class Stages:
    """Named steps in their order, each with a folder of its own below ``out``.

    ``steps`` maps a name to the function that fills ``out / name``; ``settings`` gives all that the
    result of a stage depends on, those of earlier stages included. Its hash is kept in
    ``stage.json`` together with the hashes of the files that the stage left: a result is used again
    only for the same settings, and only if it is whole.
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
        replaced: set[str] = set()
        for stage in names:
            if stage not in todo:
                continue
            key = self._key(stage)
            again = not replaced.isdisjoint(sources[stage])
            reason = None if again else self._missing(stage, key)
            if not again and reason is None:
                if told:
                    told(f"{stage}: is there")
                continue
            replaced.add(stage)  # what was made from it has to be made again
            if told:
                told(f"{stage}: running" + (f" ({reason})" if reason else ""))
            (self.out / stage / "stage.json").unlink(missing_ok=True)
            self.steps[stage]()
            marker = json.dumps({"key": key, "files": _digests(self.out / stage)})
            (self.out / stage / "stage.json").write_text(marker + "\n")

    def _missing(self, stage: str, key: str) -> str | None:
        """Why a stage has to run: "" if there is no result for these settings, None if it need not."""
        folder = self.out / stage
        try:
            found = json.loads((folder / "stage.json").read_text())
            if found["key"] != key:
                return ""
            expected = found["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        for name, digest in expected.items():
            try:
                if file_digest(folder / name) != digest:
                    return f"{name} has changed"
            except OSError:
                return f"{name} is missing"
        return None

    def _key(self, stage: str) -> str:
        text = json.dumps({"stage": stage, **self.settings(stage)}, sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=16).hexdigest()


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
