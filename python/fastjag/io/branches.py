"""The branches of one tree: which name means which, and what of them arrays can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np

from fastjag.core.arrays import Offsets
from fastjag.core.checks import first_line, near_misses
from fastjag.io.baskets import Stored
from fastjag.jagged import Jagged
from fastjag.jagged.columns import Column
from fastjag.jagged.interchange import awkward_column, is_text
from fastjag.kernels.nested import HEADER

#: Offsets of lists, or None for one number per event, and the values: a Jagged of lists in lists.
Parts = tuple[Offsets | None, Column]


@dataclass(frozen=True)
class LeftOut:
    """A branch that a pattern (or the default, all) would have read if arrays could hold it."""

    file: str
    branch: str  #: its path in the tree
    reason: str


class Unfit(TypeError):
    """Why a branch is nothing that arrays can hold."""


#: Of awkward's forms, what columns hold.
NUMBERS = (
    "bool",
    "float32",
    "float64",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
)


@dataclass(frozen=True)
class Kind:
    """What a branch has per event: one number, or text, an array of ``shape``, or a list of what a
    column of a Jagged holds: numbers, arrays of ``shape``, lists.

    Lists with equal ``counter`` have equal lengths; ``counted`` are those that tell them.
    """

    counter: Hashable | None = None  #: None for what is no list
    shape: tuple[int, ...] = ()
    counted: bool = False  #: by another branch, or by offsets that can be read alone


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
    def baskets(self) -> Stored | None:
        """Where it lies in a TTree, which uproot takes long to say; None where it has to read it."""
        return stored_baskets(self.stored, self.pick)

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


class Names:
    """The branches of a tree by their names.

    A name is what ``public`` makes of the last part of a path, if that is the only one, else the
    whole path. ``by_name`` has them in stored order. A branch of the same path as one before it
    has no name, and is Unfit.
    """

    def __init__(self, found: Iterable[Branch], public: Callable[[str], str]) -> None:
        branches = list(found)
        self.by_name: dict[str, Branch] = {}
        self.by_path: dict[str, Branch] = {}
        self._short: dict[str, list[Branch]] = {}  # by the last parts, as stored and public
        self._plain: dict[str, list[Branch]] = {}  # by paths without repeated parents
        self._flat: dict[str, list[Branch]] = {}  # parts of records as NanoAOD would call them
        for branch in branches:
            for short in {branch.own, public(branch.own)}:
                self._short.setdefault(short, []).append(branch)
            self._plain.setdefault(_plain(branch.path), []).append(branch)
            self.by_path.setdefault(branch.path, branch)
        for branch in branches:
            short = public(branch.own)
            alone = len(self._short[short]) == 1 and self.by_path.get(short, branch) is branch
            name = short if alone else branch.path
            if name in self.by_name:
                branch._given = Unfit("a branch before it has the same name")
                while name in self.by_name:
                    name += "'"
            branch.name = name
            self.by_name[name] = branch
            if "." in name:
                self._flat.setdefault(flat_name(name), []).append(branch)

    def find(self, name: str) -> Branch | None:
        """By its name or its path, or by the last part of it if that is the only one.

        A path may leave out the names of objects that split branches repeat: ``e1/x`` is
        ``e1./e1.x``. ``Muon_pt`` is ``Muon.pt``, part of a record, where nothing else is.
        """
        exact = self.by_name.get(name) or self.by_path.get(name)
        kinds = [self._short, self._plain]
        if name not in self._short:  # what is ambiguous stays so
            kinds.append(self._flat)
        others = (known.get(name, []) for known in kinds)
        return exact or next((found[0] for found in others if len(found) == 1), None)

    def matching(self, pattern: str) -> dict[str, Branch]:
        """Branches by the name that matches: theirs, or else their path."""
        matches: dict[str, Branch] = {}
        for name, branch in self.by_name.items():
            also = [flat_name(name)] if self.find(flat_name(name)) is branch else []
            names = (name, branch.path, *also)
            known = next((n for n in names if fnmatchcase(n, pattern)), None)
            if known is not None:
                matches[known] = branch
        return matches

    def unknown(self, name: str) -> str:
        """Why there is no branch of this name."""
        if name in self._short:
            listed = ", ".join(repr(branch.path) for branch in self._short[name][:20])
            return f"the branch name {name!r} is ambiguous: {listed}; use one of these paths"
        within = [branch for path, branch in self.by_path.items() if path.startswith(f"{name}/")]
        if within:
            listed = ", ".join(repr(branch.name) for branch in within[:20])
            return f"{name!r} holds several branches: {listed}"
        return f"no branch {name!r}: {near_misses(name, self.by_name)}"


def flat_name(name: str) -> str:
    """``Muon_pt`` of ``Muon.pt``."""
    return name.replace(".", "_")


def _plain(path: str) -> str:
    """``e1./e1.hits/e1.hits.x`` as ``e1/hits/x``."""
    parts, parent = [], ""
    for part in path.split("/"):
        parts.append(part.removeprefix(parent).removesuffix("."))
        parent = part if part.endswith(".") else f"{part}."
    return "/".join(parts)


def tree_branches(tree: Any) -> Iterator[Branch]:
    """The branches of a TTree: those that hold numbers themselves, and the leaves of leaf lists."""
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

    if reason := not_all_there(branch):
        raise Unfit(reason)
    interpretation = interpretation_of(branch)
    if isinstance(interpretation, uproot.interpretation.identify.UnknownInterpretation):
        raise Unfit(f"uproot cannot interpret it ({interpretation.reason})")
    if isinstance(interpretation, uproot.interpretation.jagged.AsJagged):
        if not isinstance(interpretation.content, uproot.interpretation.numerical.Numerical):
            raise Unfit(f"lists of objects ({branch.typename})")
        shape, leaf = _shape(interpretation.content, (), branch), branch.count_leaf
        return Kind(branch.cache_key if leaf is None else id(leaf), shape, leaf is not None)
    if isinstance(interpretation, uproot.interpretation.numerical.Numerical):
        return Kind(None, _shape(interpretation, pick, branch))
    if isinstance(interpretation, uproot.interpretation.strings.AsStrings):
        return Kind()
    if isinstance(interpretation, uproot.interpretation.objects.AsStridedObjects):
        raise Unfit(f"objects ({branch.typename})")
    form = interpretation.awkward_form(branch.file)
    if is_text(form):
        return Kind()
    if form.is_numpy or form.is_regular:
        reason, kind = _unfit(form), Kind(None, _fixed(form))
    else:
        reason = _unfit(form.content, "lists of ") if form.is_list else "objects"
        kind = Kind(branch.cache_key)
    if reason:
        raise Unfit(f"{reason} ({branch.typename})")
    return kind


def _unfit(form: Any, where: str = "") -> str:
    """Why a column cannot hold what an awkward form describes; empty where it can.

    It holds numbers, arrays of them, and lists of both, or of records of all these.
    """
    if is_text(form):
        return f"{where}text"
    if form.is_option:
        return "values may be missing"
    if form.is_numpy:
        numbers = form.primitive in NUMBERS
        return "" if numbers else f"{where}{form.primitive}, which columns do not hold"
    if form.is_regular:
        content = form.content
        return _unfit(content, where) if content.is_numpy or content.is_regular else (
            f"{where}arrays of lists" if content.is_list else f"{where}arrays of objects"
        )  # fmt: skip
    if not form.is_list or not where:
        return f"{where}objects"
    contents = form.content.contents if form.content.is_record else [form.content]
    reasons = [_unfit(content, f"{where}lists of ") for content in contents]
    return next(filter(None, reasons), "") if reasons else f"{where}lists of objects"


def _fixed(form: Any) -> tuple[int, ...]:
    """The shape of what an entry has."""
    return (form.size, *_fixed(form.content)) if form.is_regular else tuple(form.inner_shape)


# x[n][3]/d[0,100,12]: dimensions, then the range and bits of a Double32_t (or Float16_t, f).
_TRUNCATED = re.compile(r"[^\[\]/]*((?:\[[^\]]*\])*)(?:/[fd]\[([^\]]*)\])?")
_ANGLES = {"pi": 1.0, "2pi": 2.0, "2*pi": 2.0, "twopi": 2.0, "pi/2": 0.5, "pi/4": 0.25}


def interpretation_of(branch: Any) -> Any:
    """uproot's, but for Float16_t and Double32_t in arrays, whose dimensions it takes for ranges.

    It reads values of ``x[n]/d[0,100,12]`` as if there were no range, which gives other numbers.
    """
    import uproot

    numerical = uproot.interpretation.numerical
    leaves = branch.member("fLeaves")
    kind = leaves[0].classname if len(leaves) == 1 else ""
    match = (
        _TRUNCATED.fullmatch(leaves[0].member("fTitle")) if kind[-3:] in ("F16", "D32") else None
    )
    if match and match[1] and (match[2] or (kind == "TLeafF16" and branch.count_leaf is not None)):
        dims = tuple(int(n) for n in re.findall(r"\[(\d+)\]", match[1]))
        low, high, bits = _range(match[2]) if match[2] else (0.0, 0.0, 12)
        numbers = (numerical.AsFloat16 if kind == "TLeafF16" else numerical.AsDouble32)(
            low, high, bits, dims
        )
        jagged = uproot.interpretation.jagged.AsJagged
        branch._interpretation = numbers if branch.count_leaf is None else jagged(numbers)
    return branch.interpretation


def _range(text: str) -> tuple[float, float, int]:
    """Low, high and bits of ``-pi,pi,10``; bits are 32 where they are not given, as in ROOT."""
    parts = [part.replace(" ", "") for part in text.split(",")]
    numbers = []
    for part in parts[:2]:
        sign, size = (-1.0, part[1:]) if part[:1] == "-" else (1.0, part)
        numbers.append(sign * (math.pi * _ANGLES[size] if size in _ANGLES else float(size)))
    bits = int(parts[2]) if len(parts) > 2 else 32
    return numbers[0], numbers[1], bits if 2 <= bits <= 32 else 32


def not_all_there(branch: Any) -> str:
    """Why a branch does not hold all entries of its tree; empty where it does."""
    name, n, of_tree = branch.member("fFileName", none_if_missing=True), 0, branch.tree.num_entries
    if name:
        return f"its data are in another file ({name})"
    try:
        n = branch.entry_offsets[-1]
    except ValueError as error:
        return first_line(error)
    return "" if n >= of_tree else f"it has {n} of the tree's {of_tree} entries"


def _shape(numbers: Any, pick: Sequence[str], branch: Any) -> tuple[int, ...]:
    """Of what an entry holds: () for one number."""
    dtype = numbers.to_dtype
    for name in pick:
        dtype = dtype[name]
    if dtype.base.kind not in "biuf" or dtype.base.itemsize not in (1, 2, 4, 8):
        raise Unfit(f"no numbers that columns can hold ({branch.typename})")
    return tuple(dtype.shape)


def stored_baskets(branch: Any, pick: Sequence[str] = ()) -> Stored | None:
    """Where the values of a branch of numbers or lists of them lie; None for all other kinds.

    Lists may be ``std::vector<std::vector<T>>``.
    """
    import uproot

    kind, counter, header = interpretation_of(branch), None, 0
    inner = None if pick else _inner_lists(kind)
    if inner is not None:
        kind, header = uproot.interpretation.numerical.AsDtype(inner), HEADER
    if type(kind) is uproot.interpretation.jagged.AsJagged:
        # The parts of split objects name a counter, too, which is no branch of numbers.
        counts = getattr(branch.count_branch, "interpretation", None)
        counted = type(counts) is uproot.interpretation.numerical.AsDtype
        if counted == bool(kind.header_bytes):
            return None
        if counted and not not_all_there(branch.count_branch):
            counter = stored_baskets(branch.count_branch)
        if counted and counter is None:
            return None
        kind, header = kind.content, int(kind.header_bytes)
    if type(kind) is not uproot.interpretation.numerical.AsDtype or branch.embedded_baskets:
        return None
    leaf = pick[0] if pick else None
    before, after = (d[leaf] if leaf else d for d in (kind.from_dtype, kind.to_dtype))
    if before.base.kind not in "iufb" or before.shape != after.shape:
        return None
    entries = branch.entry_offsets
    seeks, sizes = (
        branch.member(name)[: len(entries) - 1].tolist() for name in ("fBasketSeek", "fBasketBytes")
    )
    native = after.base.newbyteorder("=")
    return Stored(
        branch.name, kind.from_dtype, seeks, sizes, entries, counter, header, leaf, native,
        inner is not None,
    )  # fmt: skip


def _inner_lists(kind: Any) -> np.dtype[Any] | None:
    """What lists in lists hold, if they are those of std::vector and hold numbers."""
    import uproot

    if type(kind) is not uproot.interpretation.objects.AsObjects:
        return None
    vector, outer = uproot.containers.AsVector, kind.model
    inner: Any = outer.values if type(outer) is vector and outer.header else None
    if type(inner) is not vector or inner.header or not isinstance(inner.values, np.dtype):
        return None
    dtype: np.dtype[Any] = inner.values
    return dtype if dtype.itemsize in (1, 2, 4, 8) else None


def column_of(array: Any, branch: Branch, name: str) -> Parts:
    """Of awkward's array."""
    for field in branch.pick:
        array = array[field]
    offsets, values = awkward_column(array, name)
    return offsets, Jagged._made(values) if isinstance(values, tuple) else values
