"""Stages of an analysis: run one after another, skipped where their result is there already."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from fastjag import __version__
from fastjag.core.checks import one_of
from fastjag.io.files import find_files
from fastjag.io.remotes import remote_state
from fastjag.io.sources.access import Access, reading_with
from fastjag.reporting.labels import Label, shown_label
from fastjag.reporting.locks import locked
from fastjag.reporting.origin import RECORD, changes, forced, made_by, refusal
from fastjag.reporting.output import settle, write_json

_WHOLE = 1 << 26  # files up to 64 MiB are read as a whole
_BLOCKS, _BLOCK = 64, 1 << 20
_THREADS = 16  # that read input files: disks and servers take their time
_SETTLED = 2_000_000_000  # ns
_MARKER = "stage.json"


@dataclass(frozen=True)
class Stages:
    """Named steps in their order, each with a folder of its own below ``out``.

    ``steps`` maps a name to the function that fills ``out / name``; ``settings`` gives all of a
    configuration that the result of a stage depends on. ``stage.json`` keeps their hash, those of
    the files that the stage left, and one of the files that the stages it reads from had left: a
    result is used again only for the same settings and inputs, and only if it is whole. Of input
    files (:class:`InputFiles`) the content counts, not the name. A command without ``--force`` does not
    replace a result of other settings.

    A step writes by :func:`fastjag.reporting.output.results_directory`: an earlier result stays until the new
    one stands, and what the new one has not goes after that.
    """

    out: Path
    steps: Mapping[str, Callable[[], None]]
    settings: Callable[[str], Mapping[str, Any]]
    #: The stages that a stage reads from; one that is not named here reads from all before it.
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def run(self, wanted: Iterable[str], told: Callable[[str], None] | None = None) -> None:
        """Run these stages and those they need that have no result; ``told`` hears of each.

        Raises FileExistsError, before any of them runs, where a command would replace a result of
        other settings (:mod:`fastjag.reporting.origin`).
        """
        names = list(self.steps)
        sources = {n: self.reads.get(n, names[:i]) for i, n in enumerate(names)}
        todo = {one_of("stage", stage, names) for stage in wanted}
        for stage in reversed(names):
            if stage in todo:
                todo.update(sources[stage])
        # Results that are there need no lock, and may lie where nobody can write.
        there = [n for n in names if n in todo and self._state_of(n, sources[n]) is None]
        if len(there) == len(todo):
            for stage in there:
                if told:
                    told(f"{stage}: is there")
            return
        with locked(self.out):
            for stage in names:
                settle(self.out / stage)
            if why := self._replaced([n for n in names if n in todo]):
                if not forced():
                    raise refusal(self.out, why)
                # The results here are no longer those of the command that made the folder.
                (self.out / RECORD).unlink(missing_ok=True)
            with made_by(None):  # a stage has a record of its own
                self._run(todo, sources, told)

    def _replaced(self, stages: Sequence[str]) -> str:
        """The result of other settings that would be replaced first; "" if there is none."""
        for stage in stages:
            marker = _read_marker(self.out / stage)
            if marker.key in ("", self._key(stage)):
                continue
            if marker.settings is None:
                return f"holds a result of {stage} without a record of its settings"
            if changed := changes(marker.settings, self._named(stage)):
                return f"holds a result of {stage} with other settings ({changed})"
        return ""

    def _state_of(self, stage: str, sources: Sequence[str]) -> str | None:
        return self._missing(stage, self._key(stage), self._inputs(sources))

    def _run(
        self,
        todo: set[str],
        sources: Mapping[str, Sequence[str]],
        told: Callable[[str], None] | None,
    ) -> None:
        for stage in self.steps:
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
            start, folder = time.monotonic(), self.out / stage
            # What an older result left must not be taken for a part of the new one; folders below
            # are a stage's own, such as files that it need not read again.
            old = {name: _state(folder / name) for name in _read_marker(folder).files}
            self.steps[stage]()
            for name, state in old.items():
                if Path(name).name == name and state and _state(folder / name) == state:
                    (folder / name).unlink()
            write_json(
                folder / _MARKER,
                _Marker(key, inputs, _digests(folder), self._named(stage))._asdict(),
            )
            if told:
                told(f"{stage}: done, {time.monotonic() - start:.1f} s")

    def _missing(self, stage: str, key: str, inputs: str) -> str | None:
        """Why a stage has to run: "" if there is no result for these settings, None if it need not."""
        marker = _read_marker(self.out / stage)
        if marker.key != key:
            return ""
        if marker.inputs != inputs:
            return "what it is made from has changed"
        for name, digest in marker.files.items():
            try:
                if file_digest(self.out / stage / name) != digest:
                    return f"{name} has changed"
            except OSError:
                return f"{name} is missing"
        return None

    def _inputs(self, sources: Iterable[str]) -> str:
        """Hash of the results that a stage reads."""
        files = {source: _read_marker(self.out / source).files for source in sources}
        return blake2b(json.dumps(files, sort_keys=True).encode(), digest_size=16).hexdigest()

    def _key(self, stage: str) -> str:
        settings = {"stage": stage, "fastjag": __version__, **self.settings(stage)}
        text = json.dumps(settings, sort_keys=True, default=_digests_of)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def _named(self, stage: str) -> dict[str, Any]:
        """Settings as ``stage.json`` has them, for people and for comparison."""
        content: dict[str, Any] = json.loads(json.dumps(self.settings(stage), default=_names_of))
        return content


@dataclass(frozen=True)
class InputFiles:
    """Input files among settings: what is in them counts; their names say what was asked for."""

    names: tuple[str, ...]
    digests: list[str] | str

    @staticmethod
    def read(files: str | Iterable[str | os.PathLike[str]]) -> InputFiles:
        """Of files and patterns, or of one file that is no ROOT file."""
        alone = isinstance(files, str)
        paths = [files] if isinstance(files, str) else [os.fspath(f) for f in files]
        names = (p if "://" in p else os.path.abspath(p) for p in paths)
        return InputFiles(tuple(names), input_digest(paths[0]) if alone else input_digests(paths))


@dataclass(frozen=True)
class Look:
    """How pictures look, among settings: another look is drawn without ``--force``."""

    label: Label

    @staticmethod
    def settings(label: Label) -> dict[str, Any]:
        """Of a stage that draws, by the label of its configuration; none where pictures have none."""
        shown = shown_label(label)
        return {} if shown == Label() else {"label": Look(shown)}


def _digests_of(value: Any) -> Any:
    return value.digests if isinstance(value, InputFiles) else str(value)


def _names_of(value: Any) -> Any:
    if isinstance(value, Look):
        return None  # as if it were not there
    return value.names if isinstance(value, InputFiles) else str(value)


class _Marker(NamedTuple):
    """What ``stage.json`` holds."""

    key: str = ""  #: of settings
    inputs: str = ""  #: of the results that it was made from
    files: Mapping[str, str] = {}  #: name to digest
    settings: Mapping[str, Any] | None = None  #: as they were; versions before 0.2 have none


def _read_marker(folder: Path) -> _Marker:
    """An empty one where there is none, or anything but what a run writes."""
    try:
        marker = _Marker(**json.loads((folder / _MARKER).read_text()))
        texts = [marker.key, marker.inputs, *marker.files, *marker.files.values()]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return _Marker()
    if isinstance(marker.settings, dict | None) and all(isinstance(text, str) for text in texts):
        return marker
    return _Marker()


def _state(path: Path) -> tuple[int, ...] | None:
    """Changes when a file is replaced; None for what is no file."""
    try:
        status = path.lstat()
    except (OSError, ValueError):  # a name with a null character
        return None
    if not S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digests(folder: Path) -> dict[str, str]:
    """Of all files but the marker and hidden ones, such as locks."""
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(name): file_digest(folder / name)
        for name in names
        if str(name) != _MARKER and not any(part.startswith(".") for part in name.parts)
    }


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hash of a file's content; of its size and 64 MiB spread over it, where it is larger."""
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        if size <= _WHOLE:
            while block := file.read(_BLOCK):
                digest.update(block)
        else:
            for i in range(_BLOCKS):
                file.seek(i * (size - _BLOCK) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def input_digests(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """What is in input files and patterns; several are read at once.

    OSError naming the first one that cannot be read.
    """
    paths = [path for path, _ in find_files([os.fspath(f) for f in files])]
    access = Access.given(None, None)

    def digest(path: str) -> str:
        with reading_with(access):  # which threads do not know
            return input_digest(path)

    with ThreadPoolExecutor(_THREADS, "fastjag-digest") as pool:
        return list(pool.map(digest, paths))


def input_digest(path: str) -> str:
    """Hash of what is in a ROOT file, which may be a remote one.

    That of a remote file is made of what its server and its header say: identifier, size and time of
    the last change. OSError naming a file that cannot be reached.
    """
    if "://" in path:
        return blake2b(json.dumps([path, remote_state(path)]).encode(), digest_size=16).hexdigest()
    # Every stage asks for every file, several times. Clocks of file systems are coarse: what has just
    # changed may change again without a trace.
    state = _state(Path(path).resolve())
    if state is None or time.time_ns() - max(state[2:]) < _SETTLED:
        return file_digest(path)
    return _digest_of(path, state)


@lru_cache(maxsize=100_000)
def _digest_of(path: str, state: tuple[int, ...]) -> str:
    return file_digest(path)
