"""Which files are meant: paths, globs, directories and ``file.root:tree``."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class ReadError(OSError):
    """A file that cannot be read as asked; the message names file, tree and branch."""


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def find_files(files: Files) -> list[tuple[str, str | None]]:
    """(path, tree or None) of every file meant: paths, globs, directories, ``file.root:tree``.

    A file that is meant more than once (by name and glob, a symbolic link, another spelling of its
    path or URL) comes once, where it first stands, with a UserWarning that names it. ``file://``
    URLs are local paths.

    Raises FileNotFoundError where a pattern or directory gives no file, TypeError for what is no
    path, and ValueError for a name that is no UTF-8, and for a file that is given both with and
    without a tree, which might be the same.
    """
    several = isinstance(files, Iterable) and not isinstance(files, (str, bytes, os.PathLike))
    given: list[Any] = list(files) if several else [files]  # type: ignore[arg-type]
    found: list[tuple[str, str | None]] = []
    for item in given:
        path, tree = _split_tree(_local(_as_text(item)))
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
    return _once(found)


def identity(path: str) -> Hashable:
    """The same for two paths or URLs of one file, however they are spelled."""
    if "://" in path:
        return _normal_url(path)
    try:
        found = os.stat(path)
    except OSError:  # who reads it says that it is missing
        return os.path.realpath(path)
    except ValueError:  # as it says of a zero byte in the name
        return path
    # Size and time as well, for file systems that make up the numbers of their files.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _once(found: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Every tree of every file once, or its events would count twice."""
    known: dict[Hashable, dict[str | None, str]] = {}
    kept, repeated = list[tuple[str, str | None]](), list[str]()
    for path, tree in found:
        _as_text(path)
        trees = known.setdefault(identity(path), {})
        if tree in trees:
            other = "" if trees[tree] == path else f" (as {trees[tree]})"
            repeated.append(f"{path}{':' + tree if tree else ''}{other}")
        elif trees and None in (tree, *trees):
            named = tree or next(t for t in trees if t)
            raise ValueError(
                f"{path} is given both without a tree and with the tree {named!r}, which may be the "
                f"same events: name the tree each time"
            )
        else:
            trees[tree] = path
            kept.append((path, tree))
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        warnings.warn(
            f"given more than once, counted once: {', '.join(repeated[:5])}{more}", stacklevel=3
        )
    return kept


def _as_text(item: object) -> str:
    """The name of a file, if it can be written into results and messages."""
    if not isinstance(item, (str, os.PathLike)) or not isinstance(path := os.fspath(item), str):
        raise TypeError(f"files must be paths, patterns or directories (str or Path), got {item!r}")
    if not path:
        raise ValueError("the name of a file is empty")
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path) if os.name == "posix" else path
        raise ValueError(f"the file name {shown!r} is no UTF-8: rename the file") from None
    return path


def _local(path: str) -> str:
    """A ``file://`` URL as the path it means."""
    match = re.match(r"file://(localhost(?=/))?", path, re.IGNORECASE)
    return path[match.end() :] if match else path


_PORTS = {"http": 80, "https": 443, "root": 1094, "roots": 1094}


def _normal_url(url: str) -> str:
    """A URL without the freedom of its spelling: RFC 3986, 6.2, and the slashes of XRootD."""
    try:
        parts = urlsplit(url)
        scheme = {"xroot": "root", "xroots": "roots"}.get(parts.scheme, parts.scheme)
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(scheme)
    except ValueError:  # who opens it says so
        return url
    path = parts.path or "/"
    if scheme in ("root", "roots"):
        path = re.sub("/+", "/", path)
    path = re.sub("%[0-9A-Fa-f]{2}", _unescaped, path)
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[max(1, len(kept) - 1) :]
        elif part != ".":
            kept.append(part)
    path = "/".join(kept)
    return f"{scheme}://{host}:{port}{path}?{parts.query}"


def _split_tree(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.+\.root):([^:]+)", text)
    return (match[1], match[2]) if match else (text, None)


def _unescaped(escape: re.Match[str]) -> str:
    """``%7E`` as ``~``; what has to stay escaped, such as ``%2F``, in capitals."""
    char = chr(int(escape[0][1:], 16))
    return char if re.fullmatch("[A-Za-z0-9._~-]", char) else escape[0].upper()
