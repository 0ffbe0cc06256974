"""A job as a folder, for sites without a Python engine: plan it, work on shares of it, merge it.

The folder holds ``job.json`` (what was asked for), ``ranges.json`` (a fileset with steps), ``results/`` (one file for
each finished range) and ``failed/`` (what each task could not do). All that tasks share is this folder.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import pickle
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastjag.batch import kept
from fastjag.batch.driver import keys_of, run
from fastjag.batch.outcome import Failed, Outcome
from fastjag.batch.templates import CONDOR, SLURM
from fastjag.core.checks import n_bytes, near_misses, one_of
from fastjag.datasets import Ranges, ranges
from fastjag.io.root_hist import write_histograms
from fastjag.io.sources.access import said
from fastjag.reporting.output import new_file, results_directory, to_json, write_json, write_text

#: Keys of the TOML file of a job, with their defaults; None: has to be given.
KEYS: dict[str, Any] = {
    "function": None, "files": None, "columns": ["*"], "size": "200 MB", "step": "100 MB", "retries": 2,
    "device": "cpu", "servers": {},
}  # fmt: skip
_JOB, _RANGES, _RESULTS, _FAILED = "job.json", "ranges.json", "results", "failed"


@dataclass(frozen=True)
class JobFolder:
    """A planned job."""

    path: Path
    settings: dict[str, Any]
    pieces: Ranges

    @classmethod
    def plan(
        cls, toml: str | os.PathLike[str], out: str | os.PathLike[str], tasks: int
    ) -> JobFolder:
        """Look at the files of a job and cut them into ranges; FileExistsError for a folder of another job."""
        source = Path(toml)
        settings = _read(source)
        function = _function(settings["function"], source)  # before files are opened
        with _servers(source):
            pieces = ranges(settings["files"], size=settings["size"])
        del settings["servers"]  # may hold a password, and changes no result
        if len(pieces) == 0:
            raise ValueError(f"{source}: files hold no events")
        settings |= {"function_sha": _digest(function, settings["function"])}
        folder = Path(out)
        planned = folder / _JOB
        if planned.exists() and json.loads(planned.read_text()) != settings:
            raise FileExistsError(
                f"{folder}: holds another job, or one of another state of {settings['function'].split(':')[0]}; "
                f"choose another folder"
            )
        with results_directory(folder) as directory:
            pieces.write(directory / _RANGES)
            names = {
                "folder": folder.absolute(),
                "tasks": tasks,
                "last": tasks - 1,
                "python": sys.executable,
            }
            write_text(directory / "slurm.sh", SLURM.format(**names))
            write_text(directory / "condor.sub", CONDOR.format(**names))
            write_json(directory / _JOB, settings)
        for name in (_RESULTS, _FAILED):
            (folder / name).mkdir(exist_ok=True)
        return cls(folder, settings, pieces)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> JobFolder:
        """FileNotFoundError where nothing was planned."""
        path = Path(folder)
        if not (path / _JOB).is_file():
            raise FileNotFoundError(
                f"{path}: holds no job; make one by fastjag batch plan JOB.toml"
            )
        return cls(path, json.loads((path / _JOB).read_text()), ranges(path / _RANGES))

    def work(
        self, task: int, of: int, executor: Any = None, progress: bool | None = None
    ) -> Outcome:
        """Do the ranges ``task``, ``task + of``, ... that nobody has done; others go on after one that fails."""
        if not 0 <= task < of:
            raise ValueError(f"task must be 0 to {of - 1} of {of}, got {task}")
        share = Ranges(self.pieces[i] for i in range(task, len(self.pieces), of))
        outcome = self._run(share, executor, progress)
        write_json(
            self.path / _FAILED / f"{task}-of-{of}.json",
            {"failed": [_as_dict(f) for f in outcome.failed]},
        )
        return outcome

    def _run(self, pieces: Ranges, executor: Any = None, progress: bool | None = None) -> Outcome:
        with _servers(Path(self.settings["toml"])):
            return run(
                self.function(), pieces, self.settings["columns"], executor=executor, keep=self.path / _RESULTS,
                step=self.settings["step"], retries=self.settings["retries"], device=self.settings["device"],
                on_error="report", progress=progress,
            )  # fmt: skip

    def function(self) -> Callable[[Any], Any]:
        """The function of the plan; ValueError where its file has changed since."""
        function = _function(self.settings["function"], Path(self.settings["toml"]))
        if _digest(function, self.settings["function"]) != self.settings["function_sha"]:
            raise ValueError(
                f"{self.settings['function'].split(':')[0]}: has changed since {self.path} was planned, whose results "
                f"would be of two functions; plan again in another folder"
            )
        return function

    def done(self) -> list[bool]:
        """Of each range, whether its result is there."""
        names = self.keys()
        return [kept.has(self.path / _RESULTS, name) for name in names]

    def keys(self) -> tuple[str, ...]:
        settings = self.settings
        return keys_of(
            self.function(),
            self.pieces,
            settings["columns"],
            settings["step"],
            device=settings["device"],
        )

    def status(self) -> Outcome:
        """Without a value: what is done, and what tasks said of ranges that are not."""
        done = self.done()
        missing = {
            (p.file, p.tree, p.start) for p, d in zip(self.pieces, done, strict=True) if not d
        }
        failed = [
            Failed(self.pieces[i], **{k: v for k, v in said.items() if k != "range"})
            for path in sorted((self.path / _FAILED).glob("*.json"))
            for said in json.loads(path.read_text())["failed"]
            for i in [_index(self.pieces, said["range"])]
            if i is not None
            and (self.pieces[i].file, self.pieces[i].tree, self.pieces[i].start) in missing
        ]
        return Outcome(None, self.pieces, failed, done)

    def merge(self, partial: bool = False, progress: bool | None = None) -> Outcome:
        """Add up all results, and write them to the folder: ``result.pickle``, ``.json`` and ``.root``.

        ValueError where results are missing, unless ``partial``.
        """
        done = self.done()
        if not all(done) and not partial:
            raise ValueError(
                f"{self.path}: {done.count(False):,} of {len(done):,} ranges have no result yet: fastjag batch "
                f"status {self.path} says which; --partial adds up the others"
            )
        there = Ranges(p for p, d in zip(self.pieces, done, strict=True) if d)
        outcome = self._run(there, progress=progress)
        outcome = Outcome(outcome.value, self.pieces, outcome.failed, done, kept=outcome.kept)
        with results_directory(self.path / "merged") as directory:
            with new_file(directory / "result.pickle") as new, open(new, "wb") as file:
                file.write(pickle.dumps(outcome.value))
            write_results(outcome.value, directory)
            write_json(directory / "coverage.json", {
                name: {"events": some, "of": every} for name, (some, every) in outcome.coverage().items()
            })  # fmt: skip
            outcome.missing().write(directory / "missing.json")
        return outcome


def write_results(value: Any, directory: Path) -> None:
    """Histograms as ``result.root``, and all that JSON holds as ``result.json``."""
    named = dict(value) if isinstance(value, Mapping) else {"result": value}
    histograms = {str(k): v for k, v in named.items() if hasattr(v, "axes")}
    if histograms:
        write_histograms(directory / "result.root", histograms)
    rest = {}
    for name, one in named.items():
        if name in histograms:
            continue
        try:
            rest[str(name)] = json.loads(to_json(one))
        except TypeError:
            continue  # the pickle has it
    if rest:
        write_json(directory / "result.json", rest)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        given = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: no TOML: {error}") from None
    for name in given:
        if name not in KEYS:
            raise ValueError(f"{path}: no key {name!r}: {near_misses(name, list(KEYS))}")
    settings = KEYS | given
    for name, value in settings.items():
        if value is None:
            raise ValueError(f"{path}: {name} has to be given")
    if not isinstance(settings["function"], str) or settings["function"].count(":") != 1:
        raise ValueError(
            f"{path}: function must be FILE.py:NAME or MODULE:NAME, got {settings['function']!r}"
        )
    for name in ("size", "step"):
        if isinstance(settings[name], str):
            n_bytes(settings[name])
    one_of(f"{path}: device", settings["device"], ("cpu", "cuda"))
    files = [settings["files"]] if isinstance(settings["files"], str) else settings["files"]
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise ValueError(f"{path}: files must be a list of texts, got {settings['files']!r}")
    # Tasks begin in other folders.
    settings["files"] = [n if "://" in n else str(path.parent.absolute() / n) for n in files]
    if len(files) == 1 and files[0].endswith((".json", ".json.gz", ".txt")):
        settings["files"] = settings["files"][0]  # a fileset, or an index
    if isinstance(settings["columns"], str):
        settings["columns"] = [settings["columns"]]
    return settings | {"toml": str(path.absolute())}


def _servers(toml: Path) -> AbstractContextManager[None]:
    """How files on servers are read: ``storage_options`` and ``cache`` of the table ``servers`` of a job's file."""
    given = _read(toml)["servers"] if toml.is_file() else {}
    accepted = {"storage_options": dict, "cache": str}
    table = isinstance(given, dict)
    if not table or not all(isinstance(v, accepted.get(k, ())) for k, v in given.items()):
        raise ValueError(
            f"{toml}: servers must be a table of storage_options (a table) and cache (a folder)"
        )
    cache = given.get("cache")
    return said(given.get("storage_options"), cache and toml.parent / cache)


def _function(name: str, toml: Path) -> Callable[[Any], Any]:
    """FILE.py:NAME, beside the TOML file, or MODULE:NAME."""
    place, _, attribute = name.partition(":")
    if place.endswith(".py"):
        path = (toml.parent / place).absolute()
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file (function of {toml})")
        # One name for one file: functions are sent by value, and the same bytes are the same results.
        module_name = f"job_{path.stem}"
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None, path
        assert spec.loader is not None, path
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        sys.path.insert(0, str(path.parent))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(path.parent))
    else:
        module = importlib.import_module(place)
    function = getattr(module, attribute, None)
    if function is None or not callable(function):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ValueError(f"{place}: no function {attribute!r}: {near_misses(attribute, known)}")
    return function  # type: ignore[no-any-return]


def _digest(function: Callable[[Any], Any], name: str) -> str:
    """Of the file that defines the function."""
    file = sys.modules[function.__module__].__file__ if name else None
    content = Path(file).read_bytes() if file else name.encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _as_dict(failed: Failed) -> dict[str, Any]:
    piece = failed.range
    return {
        "range": [piece.file, piece.tree, piece.start, piece.stop], "kind": failed.kind, "message": failed.message,
        "traceback": failed.traceback, "host": failed.host, "attempts": failed.attempts,
    }  # fmt: skip


def _index(pieces: Ranges, wanted: list[Any]) -> int | None:
    places = ([p.file, p.tree, p.start, p.stop] for p in pieces)
    return next((i for i, place in enumerate(places) if place == wanted), None)
