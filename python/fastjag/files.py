"""Which files are meant: paths, globs, directories and ``file.root:tree``."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class ReadError(OSError):
    """A file that cannot be read as asked; the message names file, tree and branch."""


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def find_files(files: Files) -> list[tuple[str, str | None]]:
    """(path, tree or None) of every file meant: paths, globs, directories, ``file.root:tree``."""
    given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    found: list[tuple[str, str | None]] = []
    for item in given:
        path, tree = _split_tree(os.fspath(item))
        if "://" in path:
            found.append((path, tree))
        elif Path(path).is_dir():
            inside = sorted(str(p) for p in Path(path).glob("*.root"))
            if not inside:
                raise FileNotFoundError(f"{path}: the directory has no .root files")
            found += [(p, tree) for p in inside]
        elif glob.has_magic(path) and not Path(path).exists():
            matches = sorted(glob.glob(path, recursive=True))
            if not matches:
                raise FileNotFoundError(f"{path}: no file matches")
            found += [(p, tree) for p in matches]
        else:
            found.append((path, tree))
    if not found:
        raise FileNotFoundError("no files were given")
    return found


def _split_tree(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.+\.root):([^:]+)", text)
    return (match[1], match[2]) if match else (text, None)
