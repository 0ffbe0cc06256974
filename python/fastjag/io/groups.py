"""Which lists of a tree are one collection: decided once, for all of its branches and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import cached_property

from fastjag.io.batches import Place
from fastjag.io.branches import Branch, Kind

_UNCOUNTED = "no counter"  # of trusted lists


class Groups:
    """Places of the list branches of one tree.

    Lists of one prefix are a collection if they have the same counter, or, having none or
    different ones, if their lengths agree in every event of the tree. The *main* lists of a prefix
    are those with a branch of the prefix's very name, else with more of their name in common, else
    the first ones stored; other lists of other lengths are a collection of their own, under the
    beginning that the names of their counter have in common, or the name of its first branch.
    What is asked for makes no difference, and no two branches get the same place.

    Parameters
    ----------
    branches
        By name, in stored order.
    split
        Prefix and column of a name.
    trusted
        Prefixes whose lists without a counter have one length by the definition of the format.
    lengths
        Something that is equal for two branches if their lengths are, in every event.
    """

    def __init__(
        self,
        branches: Mapping[str, Branch],
        split: Callable[[str], Place],
        trusted: Collection[str],
        lengths: Callable[[Branch], Hashable],
    ) -> None:
        self._branches, self._split, self._trusted = branches, split, trusted
        self._read, self._known = lengths, dict[Hashable, Hashable]()
        self._prefixes: dict[str, _Prefix] = {}
        self._places: dict[str, Place] = {}
        self._distinct: dict[str, dict[str, str]] = {}

    def place(self, name: str) -> Place:
        """(collection, column) of a list branch."""
        if name not in self._places:
            branch = self._branches[name]
            prefix = self._split(name)[0]
            if prefix in self._trusted and not _kind(branch).counted:
                self._places[name] = (
                    prefix,
                    self._columns(prefix)[name],
                )  # nobody has to look at the others
            else:
                self._places[name] = self._prefix(prefix).place(branch)
        return self._places[name]

    def _columns(self, prefix: str) -> dict[str, str]:
        """By the rest of a name, where no other branch of the prefix has the same."""
        if prefix not in self._distinct:
            names = [branch.name for branch in self._by_prefix[prefix]]
            self._distinct[prefix] = _distinct([(name, self._split(name)[1]) for name in names])
        return self._distinct[prefix]

    def _lengths(self, branch: Branch) -> Hashable:
        key = _kind(branch).counter
        if key not in self._known:
            self._known[key] = self._read(branch)
        return self._known[key]

    @cached_property
    def _by_prefix(self) -> dict[str, list[Branch]]:
        lists: dict[str, list[Branch]] = {}
        for name, branch in self._branches.items():
            lists.setdefault(self._split(name)[0], []).append(branch)
        return lists

    def _prefix(self, prefix: str) -> _Prefix:
        if prefix not in self._prefixes:
            lists = [branch for branch in self._by_prefix[prefix] if branch.is_list]
            self._prefixes[prefix] = _Prefix(
                prefix, lists, self._columns(prefix), prefix in self._trusted, self._lengths,
                self._by_prefix,
            )  # fmt: skip
        return self._prefixes[prefix]


class _Prefix:
    """The lists whose names begin alike."""

    def __init__(
        self,
        prefix: str,
        lists: list[Branch],
        columns: Mapping[str, str],
        trusted: bool,
        lengths: Callable[[Branch], Hashable],
        prefixes: Collection[str],
    ) -> None:
        self.prefix, self.columns, self.trusted, self.lengths = prefix, columns, trusted, lengths
        #: Lists of one counter.
        self.units: dict[Hashable, list[Branch]] = {}
        for branch in lists:
            self.units.setdefault(self._unit(branch), []).append(branch)
        self.beginnings = {key: _beginning([b.name for b in u]) for key, u in self.units.items()}
        named = [key for key, unit in self.units.items() if any(b.name == prefix for b in unit)]
        like = [key for key, beginning in self.beginnings.items() if beginning == prefix]
        known = [_UNCOUNTED] if trusted and _UNCOUNTED in self.units else []
        self.main = next(iter([*known, *named, *like, *self.units]))
        # Beginnings that name no collection: prefixes, branches, and those of two counters.
        shared = Counter(self.beginnings.values())
        self.prefixes, self.names = set(prefixes), {b.name for b in lists}
        self.reserved = {name for name, n in shared.items() if n > 1} | self.prefixes | self.names
        self.agree: dict[Hashable, bool] = {self.main: True}

    def _unit(self, branch: Branch) -> Hashable:
        kind = _kind(branch)
        return _UNCOUNTED if self.trusted and not kind.counted else kind.counter

    def place(self, branch: Branch) -> Place:
        key = self._unit(branch)
        unit = self.units[key]
        if key not in self.agree:
            main = self.units[self.main][0]
            self.agree[key] = self.lengths(unit[0]) == self.lengths(main)
        if self.agree[key]:
            return self.prefix, self.columns[branch.name]
        beginning, names = self.beginnings[key], [b.name for b in unit]
        if len(unit) > 1 and beginning not in self.reserved:
            rest = [(name, name[len(beginning) :].lstrip("_./:")) for name in names]
            return beginning, _distinct(rest)[branch.name]
        alone = names[0]
        while alone in self.prefixes or (alone != names[0] and alone in self.names):
            alone += "_"
        return alone, branch.name


def _kind(branch: Branch) -> Kind:
    assert isinstance(branch.kind, Kind)
    return branch.kind


def _beginning(names: list[str]) -> str:
    """What several names have in common, up to a separator; all but the last part of one name."""
    low, high = min(names), max(names)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    common = low[:n]
    whole = len(names) > 1 and all(name[len(common) :][:1] in ("", *"_./:") for name in names)
    cut = len(common) if whole else max(common.rfind(separator) for separator in "_./:")
    return common[:cut].rstrip("_./:") if cut > 0 else common


def _distinct(wishes: list[tuple[str, str]]) -> dict[str, str]:
    """Columns by branch name: what each wishes for, or its whole name if that is taken or empty."""
    first: dict[str, str] = {}
    for name, wish in wishes:
        first.setdefault(wish or name, name)
    columns = {name: column for column, name in first.items()}
    for name, _ in wishes:
        column = name
        while name not in columns:
            if column not in first:
                first[column], columns[name] = name, column
            column += "_"
    return columns
