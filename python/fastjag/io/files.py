"""Which files are meant: paths, globs, directories, ``file.root:tree`` and (file, tree)."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastjag.core.extras import how_to_install
from fastjag.io import errors
from fastjag.io.sources import Access
from fastjag.io.sources.listing import expand, has_pattern
from fastjag.io.transport import PORTS, XROOTD

#: Where most modules know it from.
ReadError = errors.ReadError
Path_ = str | os.PathLike[str]
Files = Path_ | Mapping[Path_, str | None] | Iterable[Path_ | tuple[Path_, str | None]]

# Grid sites append numbers: DAOD_PHYSLITE.1234._000001.pool.root.1
_ROOT_FILE = re.compile(r"\.root(\.\d+)?$", re.IGNORECASE)
_NAMED_TREE = re.compile(r"(.+?\.root(?:\.\d+)?):([^/].*)", re.IGNORECASE | re.DOTALL)


def find_files(files: Files, access: Access | None = None) -> list[tuple[str, str | None]]:
    """(path, tree or None) of every file meant.

    Accepted are paths, globs and directories, each with ``:tree`` at its end or without, pairs
    (path, tree), several of all these, and mappings of paths to trees.

    A file that is meant more than once (by name and glob, a symbolic link, another spelling of its
    path or URL) comes once, where it first stands, with a UserWarning that names it. ``file://``
    URLs are local paths. Several URLs of one file are joined by ``|``; a ``*`` in the path of a
    ``root://`` or ``s3://`` URL is a pattern, for which ``access`` asks the server.

    Raises FileNotFoundError where a pattern or directory gives no file, TypeError for what is no
    path, ValueError for a name that is no UTF-8, and for a file that is given both with and without
    a tree, which might be the same, and ModuleNotFoundError for a URL whose library is missing.
    """
    if isinstance(files, Mapping):
        given: list[Any] = list(files.items())
    else:
        several = isinstance(files, Iterable) and not isinstance(files, (str, bytes, os.PathLike))
        given = list(files) if several else [files]  # type: ignore[arg-type]
    named = [file for item in given for file in named_by(item, access)]
    if not named:
        raise FileNotFoundError("no files were given")
    return _drop_repeated(named)


def named_by(item: Any, access: Access | None = None) -> list[tuple[str, str | None]]:
    """(path, tree or None) of what one path, pattern, directory or pair means."""
    path, tree = _pair(item) if isinstance(item, tuple) else _split_tree(item)
    return _expand(path, tree, access or Access.of())


def identity(path: str) -> Hashable:
    """The same for two paths or URLs of one file, however they are spelled.

    Several URLs of one file, joined by ``|``, are known by the first.
    """
    if "://" in path:
        return _normal_url(path.split("|")[0])
    try:
        status = os.stat(path)
    except OSError:  # who reads it says that it is missing
        return os.path.realpath(path)
    except ValueError:  # as it says of a zero byte in the name
        return path
    # Size and time as well, for file systems that make up the numbers of their files.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _drop_repeated(files: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Every tree of every file once, or its events would count twice."""
    known: dict[Hashable, dict[str | None, str]] = {}
    kept, repeated = list[tuple[str, str | None]](), list[str]()
    for path, tree in files:
        _as_text(path)
        names = [identity(p) for p in (path.split("|") if "://" in path else [path])]
        trees = next((known[name] for name in names if name in known), {})
        known |= dict.fromkeys(names, trees)
        before = next((other for other in trees if _same_tree(tree, other)), tree)
        if before in trees:
            other = "" if trees[before] == path else f" (as {trees[before]})"
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


def _same_tree(left: str | None, right: str | None) -> bool:
    """Whether two names mean one tree: Events, /Events and, as its newest or an older save, Events;1."""
    if left is None or right is None:
        return left is right
    (a, _, m), (b, _, n) = (name.strip("/").partition(";") for name in (left, right))
    return a == b and (m == n or not (m and n))


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


def check_libraries(url: str, access: Access) -> None:
    """Raises ModuleNotFoundError where a URL needs a library that is not installed."""
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https") or (scheme == "s3" and access.storage_options.get("anon")):
        return
    module = "XRootD" if scheme in XROOTD else "botocore" if scheme == "s3" else "fsspec"
    if find_spec(module) is None:
        raise ModuleNotFoundError(
            f"{url}: reading from {scheme}:// needs {module}, which is not installed: "
            f"{how_to_install('remote')}"
        )


def _normal_url(url: str) -> str:
    """A URL without the freedom of its spelling: RFC 3986, 6.2, and the slashes of XRootD."""
    try:
        parts = urlsplit(url)
        scheme = {"xroot": "root", "xroots": "roots"}.get(parts.scheme, parts.scheme)
        host, port = (parts.hostname or "").rstrip("."), parts.port or PORTS.get(scheme)
    except ValueError:  # who opens it says so
        return url
    path = parts.path or "/"
    if scheme in ("root", "roots"):
        path = re.sub("/+", "/", path)
    path = re.sub("%[0-9A-Fa-f]{2}", _unescape, path)
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[max(1, len(kept) - 1) :]
        elif part != ".":
            kept.append(part)
    path = "/".join(kept)
    return f"{scheme}://{host}:{port}{path}?{parts.query}"


def _pair(item: tuple[Any, ...]) -> tuple[str, str | None]:
    if len(item) != 2 or not (item[1] is None or isinstance(item[1], str)):
        raise TypeError(f"files must be paths or pairs (path, tree), got {item!r}")
    return _local(_as_text(item[0])), item[1] or None


def _expand(path: str, tree: str | None, access: Access) -> list[tuple[str, str | None]]:
    if "://" in path:
        for url in path.split("|"):
            check_libraries(url, access)
            access.check(url)
        if not has_pattern(path):
            return [(path, tree)]
        found = [(url, tree) for url in expand(path, access)]
        if not found:
            raise FileNotFoundError(f"{path}: no file matches")
        return found
    if Path(path).is_dir():
        inside = sorted(str(p) for p in Path(path).iterdir() if _ROOT_FILE.search(p.name))
        if not inside:
            raise FileNotFoundError(f"{path}: the directory has no .root files")
        return [(p, tree) for p in inside]
    if glob.has_magic(path) and not Path(path).exists():
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise FileNotFoundError(f"{path}: no file matches")
        return [(p, tree) for p in matches]
    return [(path, tree)]


def _split_tree(item: object) -> tuple[str, str | None]:
    """The path and the tree of ``file.root:tree``; both may have colons."""
    text = _local(_as_text(item))
    if "://" not in text:
        # The longest beginning that is there: what follows is a tree.
        cuts = [len(text), *(i for i in range(len(text) - 1, 0, -1) if text[i] == ":")]
        for cut in cuts:
            path = text[:cut]
            if os.path.exists(path) or (glob.has_magic(path) and glob.glob(path, recursive=True)):
                return path, text[cut + 1 :] or None
    match = _NAMED_TREE.fullmatch(text)
    return (match[1], match[2]) if match else (text, None)


def _unescape(escape: re.Match[str]) -> str:
    """``%7E`` as ``~``; what has to stay escaped, such as ``%2F``, in capitals."""
    char = chr(int(escape[0][1:], 16))
    return char if re.fullmatch("[A-Za-z0-9._~-]", char) else escape[0].upper()
