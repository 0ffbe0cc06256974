"""Patterns of files on servers, ``root://host//folder/*.root`` and ``s3://bucket/folder/*.root``."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fastjag.io.sources.access import Access
from fastjag.io.transport import XROOTD

_MOST_LEVELS = 32  # of folders below **


def has_pattern(url: str) -> bool:
    """Whether a URL means several files; only ``*`` does, as ``?`` and ``[`` are parts of URLs."""
    scheme, _, rest = url.partition("://")
    return scheme.lower() in (*XROOTD, "s3") and "*" in rest.partition("?")[0]


def expand(url: str, access: Access) -> list[str]:
    """URLs of files that match, sorted. ``*`` is anything in a name, ``**`` any folders."""
    parts = urlsplit(url)
    path = re.sub("/+", "/", f"/{parts.path}")
    wanted = re.compile(_regex(path), re.DOTALL)
    if parts.scheme == "s3":
        from fastjag.io.sources.s3 import list_keys

        prefix = path[1 : path.index("*")]
        keys = (key for key in list_keys(url, prefix, access) if wanted.fullmatch(f"/{key}"))
        return [f"s3://{parts.netloc}/{key}" for key in sorted(keys)]
    from fastjag.io.sources.xrootd import list_folder

    query = f"?{parts.query}" if parts.query else ""
    steps = path.split("/")
    first = next(i for i, step in enumerate(steps) if "*" in step)
    found: list[str] = []
    folders = ["/".join(steps[:first]) or "/"]
    while folders:
        folder = folders.pop()
        for name, is_folder in list_folder(url, folder, access):
            below = f"{folder.rstrip('/')}/{name}"
            if is_folder and _may_hold(below, steps):
                folders.append(below)
            elif not is_folder and wanted.fullmatch(below):
                found.append(f"{parts.scheme}://{parts.netloc}/{below}{query}")
    return sorted(found)


def _may_hold(folder: str, steps: list[str]) -> bool:
    """Whether files below a folder can match."""
    names = folder.split("/")
    if "**" in steps:
        i = steps.index("**")
        return len(names) - i < _MOST_LEVELS and _fit(names[:i], steps[:i])
    return len(names) < len(steps) and _fit(names, steps)


def _fit(names: list[str], steps: list[str]) -> bool:
    pairs = zip(names, steps, strict=False)
    return all(re.fullmatch(_regex(step), name) for name, step in pairs)


def _regex(pattern: str) -> str:
    """``a/**/b*.root`` as a regular expression."""
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(known.get(part, re.escape(part)) for part in parts)
