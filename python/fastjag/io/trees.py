"""Which tree of a file is meant, and the tree, opened by uproot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastjag.core.checks import first_line, near_misses
from fastjag.io import rntuple, transport
from fastjag.io.compression import bound_uproot
from fastjag.io.files import ReadError
from fastjag.io.sources import Access, Bytes
from fastjag.io.sources.for_uproot import open_file
from fastjag.schemas import SCHEMAS, Schema

_HEAD = 80  # bytes of a ROOT file, which have its UUID

_TREES = ("TTree", "ROOT::RNTuple", "TNtuple", "TNtupleD", "ROOT::Experimental::RNTuple")


def open_root(path: str, access: Access | None) -> tuple[Any, Any]:
    """(the connection of a remote file, the file as uproot has it). Errors name the file."""
    bound_uproot()
    if "://" not in path and not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return open_file(path, access)
    except Exception as error:
        unreadable = ReadError(f"{path}: not a readable ROOT file: {first_line(error)}")
        raise transport.explain(error, unreadable) from error


def find_tree(file: Any, path: str, tree: str | None, schema: Schema | None) -> tuple[str, str]:
    """The tree's name and its key in the file, which has a cycle.

    Without ``tree``: that of the schema, of a format that is known, or the only one. ReadError, with the
    names that there are.
    """
    keys = [key for key, kind in file.classnames().items() if kind in _TREES]
    newest: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: -int(key.rpartition(";")[2])):
        newest.setdefault(key.rpartition(";")[0], key)
    trees = list(dict.fromkeys(key.rpartition(";")[0] for key in keys))
    if not trees:
        raise ReadError(f"{path}: holds no TTree or RNTuple")
    for wanted in [tree] if tree else [schema.tree] if schema else [s.tree for s in SCHEMAS]:
        wanted = wanted.strip("/")
        if wanted in newest:
            return wanted, newest[wanted]
        if wanted in keys:  # with a cycle, as in Events;2
            name = wanted.rpartition(";")[0]
            return (name if newest[name] == wanted else wanted), wanted
    if tree or schema:
        wanted = tree or (schema.tree if schema else "")
        raise ReadError(f"{path}: no tree {wanted!r}: {near_misses(wanted, trees)}")
    if len(trees) > 1:
        raise ReadError(f"{path}: name one of its trees: {', '.join(trees)}")
    return trees[0], newest[trees[0]]


def open_tree(file: Any, where: str, key: str) -> Any:
    """The tree, by uproot."""
    entry = file.key(key)  # a name in brackets would be split at its colons
    rntuple.refuse_old(entry.fClassName, where)
    return entry.get()


def is_rntuple(tree: Any) -> bool:
    import uproot

    return isinstance(tree, uproot.behaviors.RNTuple.HasFields)


def no_tree(error: Exception, path: str, tree: str | None) -> Exception:
    """What went wrong with the metadata of a tree, in words that name it."""
    where = f"{path}:{tree}" if tree else path
    unreadable = ReadError(f"{where}: no readable tree: {first_line(error)}")
    return transport.explain(error, unreadable)


def release(file: Any, tree: Any) -> None:
    """Close a file, and free what uproot knows of its tree: all parts of that point at one another.

    Python looks for such parts now and then; until it does, metadata of many files that were closed fill memory.
    """
    import uproot

    if not vars(file):  # closed before
        return
    file.close()
    vars(file).clear()
    model, todo = uproot.model.Model, [tree]
    while todo:
        content = vars(todo.pop())
        parts = list(content.values())
        content.clear()
        for part in parts:
            if isinstance(part, model):
                todo.append(part)
            elif isinstance(part, dict):
                todo += [one for one in part.values() if isinstance(one, model)]
            elif isinstance(part, list) and part and isinstance(part[0], model):
                todo += part


def with_branches(
    tree: Any, branches: Mapping[str, Any], edges: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """What ``tree.iterate`` gives for the names of these branches, whatever else has the names.

    From each of the entries ``edges`` to the next. uproot looks each name up in all branches, and with a
    dot in it lists all of them before: a second for ten names of a tree of 1,500 branches. At the first
    step it asks its table of names instead.
    """
    for run in _runs(edges):
        steps = tree.iterate(list(branches), library="ak", how=dict, **run)
        table = dict(tree._lookup)
        tree._lookup.update(branches)
        try:
            first = next(steps, None)
        finally:
            tree._lookup = table
        if first is not None:
            yield first
            yield from steps


def _runs(edges: Sequence[int]) -> Iterator[dict[str, int]]:
    """Of steps of one size, which is what uproot knows."""
    sizes = [stop - start for start, stop in pairwise(edges)]
    alike = len(set(sizes[:-1])) < 2 and sizes[-1:] <= sizes[:1]
    for start, stop in [(edges[0], edges[-1])] if alike and sizes else pairwise(edges):
        size = sizes[0] if alike else stop - start
        yield {"step_size": size, "entry_start": start, "entry_stop": stop}


def check_same(path: str, uuid: Any, source: Bytes) -> None:
    """ReadError where another file has taken the place of the one whose metadata are known."""
    head = bytearray(_HEAD)
    with suppress(EOFError):
        source.read(0, memoryview(head))
    if uuid.bytes not in head:
        raise ReadError(f"{path}: is another file than when it was opened (its UUID differs)")
