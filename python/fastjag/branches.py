"""The branches of one tree: which name means which, and what of them arrays can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastjag.files import first_line


@dataclass(frozen=True)
class LeftOut:
    """A branch that a pattern (or the default, all) would have read if arrays could hold it."""

    file: str
    branch: str  #: its path in the tree
    reason: str


class Unfit(TypeError):
    """Why a branch is neither numbers nor lists of numbers."""


@dataclass(frozen=True)
class Kind:
    """What a branch has per event: one number, an array of ``shape``, or a list of numbers.

    Lists with equal ``counter`` have equal lengths.
    """

    counter: Hashable | None = None  #: None for what is no list
    shape: tuple[int, ...] = ()


class Branch:
    """A column of a tree: a branch, a leaf of one, or a part of an RNTuple's field.

    ``name`` is how batches call it, ``path`` is unique in its tree, ``stored`` what uproot reads
    and ``pick`` the fields to take from its records.
    """

    def __init__(
        self, name: str, path: str, stored: Any, pick: tuple[str, ...] = (), kind: Any = None
    ) -> None:
        self.name, self.path, self.stored, self.pick = name, path, stored, pick
        self.own = name  #: before it had to be told from others
        self._given = kind

    @cached_property
    def kind(self) -> Kind | Unfit:
        if self._given is not None:
            return self._given  # type: ignore[no-any-return]
        try:
            return _kind(self.stored, self.pick)
        except Unfit as reason:
            return reason
        except Exception as error:  # noqa: BLE001 - uproot's interpretations can raise anything
            return Unfit(f"uproot cannot interpret it ({first_line(error)})")

    @property
    def is_list(self) -> bool:
        return isinstance(self.kind, Kind) and self.kind.counter is not None


def branches_of(tree: Any, public: Any) -> tuple[dict[str, Branch], dict[str, str]]:
    """Branches by their names, and reasons for what has no name of its own, by path.

    The name is what ``public`` makes of the last part of a path, if that is the only one, else the
    whole path.
    """
    import uproot

    rntuple = isinstance(tree, uproot.behaviors.RNTuple.HasFields)
    found = list(_fields(tree) if rntuple else _branches(tree))
    short = Counter(public(branch.name) for branch in found)
    paths = {branch.path for branch in found}
    named: dict[str, Branch] = {}
    twice: dict[str, str] = {}
    for branch in found:
        name = public(branch.name)
        # A whole path is the better claim: x is the branch at the top, not e1/x.
        if short[name] > 1 or (name in paths and name != branch.path):
            name = branch.path
        if name in named:
            twice[branch.path] = "another branch has the same name"
            continue
        branch.name = name
        named[name] = branch
    return named, twice


def _branches(tree: Any) -> Iterator[Branch]:
    for path, branch in tree.iteritems(recursive=True, full_paths=True):
        if len(branch.branches):
            continue  # a group: its parts have the numbers
        leaves = [leaf.member("fName") for leaf in branch.member("fLeaves")]
        if len(leaves) < 2:
            yield Branch(branch.name, path, branch)
        for leaf in leaves if len(leaves) > 1 else ():
            yield Branch(f"{branch.name}.{leaf}", f"{path}/{leaf}", branch, (leaf,))


def _kind(branch: Any, pick: Sequence[str]) -> Kind:
    """Of a branch of a TTree, or of one of its leaves."""
    import uproot

    interpretation = branch.interpretation
    if isinstance(interpretation, uproot.interpretation.identify.UnknownInterpretation):
        raise Unfit(f"uproot cannot interpret it ({interpretation.reason})")
    if isinstance(interpretation, uproot.interpretation.jagged.AsJagged):
        if not isinstance(interpretation.content, uproot.interpretation.numerical.Numerical):
            raise Unfit(f"lists of objects ({branch.typename})")
        if _shape(interpretation.content, (), branch):
            raise Unfit(f"lists of arrays ({branch.typename})")
        leaf = branch.count_leaf
        return Kind(branch.cache_key if leaf is None else id(leaf))
    if isinstance(interpretation, uproot.interpretation.numerical.Numerical):
        return Kind(None, _shape(interpretation, pick, branch))
    if isinstance(interpretation, uproot.interpretation.strings.AsStrings):
        raise Unfit(f"text ({branch.typename})")
    if isinstance(interpretation, uproot.interpretation.objects.AsStridedObjects):
        raise Unfit(f"objects ({branch.typename})")
    columns = list(_columns(interpretation.awkward_form(branch.file), (), branch.cache_key))
    _, kind, _ = columns[0] if len(columns) == 1 else (None, Unfit("objects"), None)
    if isinstance(kind, Unfit):
        raise Unfit(f"{kind} ({branch.typename})")
    return kind


def _shape(numbers: Any, pick: Sequence[str], branch: Any) -> tuple[int, ...]:
    """Of what an entry holds: () for one number."""
    dtype = numbers.to_dtype
    for name in pick:
        dtype = dtype[name]
    if dtype.base.kind not in "biuf" or dtype.base.itemsize not in (1, 2, 4, 8):
        raise Unfit(f"no numbers that columns can hold ({branch.typename})")
    return tuple(dtype.shape)


def _fields(tree: Any) -> Iterator[Branch]:
    """Columns of an RNTuple: the parts of records and of lists of records are columns, too."""
    form, _ = tree.to_akform()
    found = [
        (len(pick), Branch(path := ".".join((field, *pick)), path, field, pick, kind), column)
        for field, content in zip(form.fields, form.contents, strict=True)
        for pick, kind, column in _columns(content, (), field)
    ]
    # A field may show a part of another one: the shorter name stands for the same numbers.
    depths: dict[Hashable, int] = {}
    for depth, _, column in found:
        depths[column] = min(depth, depths.get(column, depth))
    yield from (b for depth, b, column in found if column is None or depth == depths[column])


def _columns(
    form: Any, pick: tuple[str, ...], counter: Hashable, in_list: bool = False
) -> Iterator[tuple[tuple[str, ...], Kind | Unfit, Hashable]]:
    """What is in an awkward form: the way through its records, the kind, and whose buffer it is."""
    if form.parameter("__array__") in ("string", "bytestring"):
        yield pick, Unfit("text"), None
    elif form.is_record:
        for name, content in zip(form.fields, form.contents, strict=True):
            yield from _columns(content, (*pick, name), counter, in_list)
    elif form.is_option:
        yield pick, Unfit("values may be missing"), None
    elif form.is_numpy:
        kind = Kind(counter if in_list else None, tuple(form.inner_shape))
        fits = not (in_list and kind.shape)
        yield pick, kind if fits else Unfit("lists of arrays"), form.form_key
    elif form.is_regular and form.content.is_numpy and not in_list:
        yield pick, Kind(None, (form.size, *form.content.inner_shape)), form.content.form_key
    elif form.is_list and not form.is_regular and not in_list:
        yield from _columns(form.content, pick, form.form_key or counter, True)
    else:
        yield pick, Unfit("lists of lists" if form.is_list else f"objects ({form.type})"), None
