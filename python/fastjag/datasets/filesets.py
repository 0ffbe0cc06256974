"""What users call a dataset: filesets of coffea, file indexes of CERN's open data, lists, patterns."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastjag.core.checks import is_integer
from fastjag.io.files import Files, find_files, identity, named_by
from fastjag.io.sources import Access

#: Of files that nobody gave a name.
UNNAMED = "files"
_TEXTS = (".json", ".json.gz", ".txt")
_OF_ONE = ("steps", "num_entries", "uuid", "size")  # what is said of one file only
_SUFFIXES = ("_file_index", "_fileset", ".fileset")


@dataclass(frozen=True)
class Listed:
    """A file of a dataset, and what is said of it; ``steps`` are its ranges, if they are made already."""

    dataset: str
    path: str
    tree: str | None = None
    steps: tuple[tuple[int, int], ...] | None = None
    n_entries: int | None = None
    uuid: str | None = None
    size: int | None = None  #: in bytes

    @property
    def planned(self) -> bool:
        """Whether nobody has to open it."""
        return None not in (self.tree, self.steps, self.n_entries, self.uuid)


@dataclass
class Fileset:
    """Files of all datasets, and what is said of each dataset."""

    files: list[Listed] = field(default_factory=list)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_fileset(given: Files | Mapping[str, Any], access: Access) -> Fileset:
    """The files that are meant: see :func:`fastjag.ranges`."""
    found = Fileset()
    if isinstance(given, Mapping):
        content: Mapping[Any, Any] = given
        if any(isinstance(v, (Mapping, list, tuple)) for v in given.values()):
            _add_datasets(found, content, "the fileset", access)
        else:
            _add(found, UNNAMED, given.items(), "the files", access)
        return found
    several = isinstance(given, Iterable) and not isinstance(given, (str, bytes, os.PathLike))
    items: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]
    texts = [item for item in items if _is_text(item)]
    for text in texts:
        _add_text(found, Path(text), access)
    rest = [item for item in items if not _is_text(item)]
    if rest or not texts:
        _add(found, UNNAMED, rest, "the files", access)
    return found


def _is_text(item: object) -> bool:
    return isinstance(item, (str, os.PathLike)) and str(item).lower().endswith(_TEXTS)


def _add_text(found: Fileset, path: Path, access: Access) -> None:
    """A fileset, an index or a list of files that lies in a file."""
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw).decode()
        lines = text.splitlines() if path.suffix.lower() == ".txt" else None
        content = json.loads(text) if lines is None else [x.strip() for x in lines]
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as a list of files: {error}") from None
    if isinstance(content, Mapping):
        _add_datasets(found, content, str(path), access)
        return
    if not isinstance(content, list):
        raise ValueError(f"{path}: neither a fileset (a JSON object) nor a list of files")  # noqa: TRY004
    if lines is not None:
        content = [line for line in content if line and not line.startswith("#")]
    name = path.name.removesuffix(".gz").rpartition(".")[0]
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    entries = [_of_index(item, path) for item in content]
    _add(found, name, entries, str(path), access)


def _of_index(item: object, where: Path) -> tuple[str, Any]:
    """A file of an index: a path, or its URI, size and checksum."""
    if isinstance(item, str):
        return item, None
    if isinstance(item, Mapping) and isinstance(item.get("uri"), str):
        return item["uri"], {"size": item.get("size")}
    raise ValueError(f"{where}: a file is a path, or an object with its 'uri', got {item!r}")


def _add_datasets(found: Fileset, given: Mapping[str, Any], where: str, access: Access) -> None:
    for name, content in given.items():
        if not isinstance(name, str):
            raise TypeError(f"{where}: names of datasets are texts, got {name!r}")
        files = content
        if isinstance(content, Mapping) and "files" in content:
            files = content["files"]
            said = content.get("metadata") or {}
            if not isinstance(said, Mapping):
                raise TypeError(f"{where}: metadata of {name!r} must be an object, got {said!r}")
            found.metadata[name] = said
        if isinstance(files, (Mapping, list, tuple)):
            entries = files.items() if isinstance(files, Mapping) else files
            _add(found, name, entries, f"{where}, dataset {name!r}", access)
        elif isinstance(files, (str, os.PathLike)):
            _add(found, name, [files], f"{where}, dataset {name!r}", access)
        else:
            raise TypeError(
                f"{where}: dataset {name!r} must have files (path: tree, or a list), got {files!r}"
            )


def _add(found: Fileset, dataset: str, given: Iterable[Any], where: str, access: Access) -> None:
    """Files of one dataset: paths, or pairs of a path and its tree or a description."""
    wanted: list[Any] = []
    said: dict[tuple[str, str | None], Mapping[str, Any]] = {}
    for item in given:
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Mapping):
            tree = item[1].get("object_path")
            named = (item[0], tree) if tree else item[0]
            if any(item[1].get(key) is not None for key in _OF_ONE):
                file = _one(named, where, access)
                if said.setdefault(file, item[1]) != item[1]:
                    raise ValueError(f"{where}: {file[0]} is described twice, each time otherwise")
                named = file if file[1] else file[0]
            wanted.append(named)
        elif isinstance(item, tuple) and item[1:] == (None,):
            wanted.append(item[0])
        else:
            wanted.append(item)
    found.metadata.setdefault(dataset, {})
    if not wanted and dataset != UNNAMED:
        return
    files = find_files(wanted, access)
    _check_kept(said, files, where)
    for path, tree in files:
        about = said.get((path, tree), {})
        at = f"{where}: {path}"
        n, size = (_count(about.get(key), key, at) for key in ("num_entries", "size"))
        uuid = about.get("uuid")
        steps = _steps(about.get("steps"), at)
        found.files.append(
            Listed(dataset, path, tree, steps, n, None if uuid is None else str(uuid), size)
        )


def _one(named: Any, where: str, access: Access) -> tuple[str, str | None]:
    """(path, tree) of the one file that is meant; ValueError where it is not one."""
    files = named_by(named, access)
    if len(files) != 1:
        path = named[0] if isinstance(named, tuple) else named
        raise ValueError(
            f"{where}: {os.fspath(path)} means {len(files)} files, and {', '.join(_OF_ONE)} are those of "
            "one file: list each"
        )
    return files[0]


def _check_kept(
    said: Mapping[tuple[str, str | None], Mapping[str, Any]],
    files: Iterable[tuple[str, str | None]],
    where: str,
) -> None:
    """Raises ValueError where a file is given twice, and only one of its descriptions would count."""
    kept = {file: said.get(file) for file in files}
    for path, tree in said.keys() - kept.keys():
        same = [f for f in kept if identity(f[0]) == identity(path)]
        if any(kept[file] != said[path, tree] for file in same):
            raise ValueError(
                f"{where}: {path} is the file {same[0][0]}, which is given too and described otherwise"
            )


def _count(value: Any, what: str, where: str) -> int | None:
    if value is None:
        return None
    if not is_integer(value) or value < 0:
        raise ValueError(f"{where}: {what} must be a number of at least 0, got {value!r}")
    return int(value)


def _steps(steps: Any, where: str) -> tuple[tuple[int, int], ...] | None:
    """Pairs of entries, or one list of edges, as uproot and coffea accept them."""
    if steps is None:
        return None
    listed: list[Any]
    listed = list(steps) if isinstance(steps, Sequence) and not isinstance(steps, str) else [None]
    if len(listed) > 1 and all(is_integer(edge) for edge in listed):
        listed = list(pairwise(listed))
    pairs = []
    for step in listed:
        good = isinstance(step, Sequence) and len(step) == 2 and all(map(is_integer, step))
        if not good or not 0 <= step[0] <= step[1]:
            raise ValueError(f"{where}: steps are pairs [start, stop] of entries, got {steps!r}")
        pairs.append((int(step[0]), int(step[1])))
    return tuple(pairs)
