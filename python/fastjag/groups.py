"""Which lists of a tree are one collection: decided once, for all of its branches and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import cached_property

from fastjag.batches import Place
from fastjag.branches import Branch, Kind


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
        Prefixes whose lists have one length by the definition of the format.
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
        self._lengths = lengths
        self._prefixes: dict[str, _Prefix] = {}
        self._places: dict[str, Place] = {}

    def place(self, name: str) -> Place:
        """(collection, column) of a list branch."""
        if name not in self._places:
            prefix = self._split(name)[0]
            if prefix in self._trusted:  # nobody has to look at what the others are
                of_prefix = [(b.name, self._split(b.name)[1]) for b in self._by_prefix[prefix]]
                for other, column in _distinct(of_prefix).items():
                    self._places[other] = prefix, column
            else:
                self._places[name] = self._prefix(prefix).place(self._branches[name])
        return self._places[name]

    @cached_property
    def _by_prefix(self) -> dict[str, list[Branch]]:
        found: dict[str, list[Branch]] = {}
        for name, branch in self._branches.items():
            found.setdefault(self._split(name)[0], []).append(branch)
        return found

    def _prefix(self, prefix: str) -> _Prefix:
        if prefix not in self._prefixes:
            lists = [branch for branch in self._by_prefix[prefix] if branch.is_list]
            self._prefixes[prefix] = _Prefix(
                prefix, lists, self._split, self._lengths, self._by_prefix
            )
        return self._prefixes[prefix]


class _Prefix:
    """The lists whose names begin alike."""

    def __init__(
        self,
        prefix: str,
        lists: list[Branch],
        split: Callable[[str], Place],
        lengths: Callable[[Branch], Hashable],
        prefixes: Collection[str],
    ) -> None:
        self.prefix, self.lengths = prefix, lengths
        #: Lists of one counter.
        self.units: dict[Hashable, list[Branch]] = {}
        for branch in lists:
            self.units.setdefault(_counter(branch), []).append(branch)
        self.beginnings = {key: _beginning([b.name for b in u]) for key, u in self.units.items()}
        named = [key for key, unit in self.units.items() if any(b.name == prefix for b in unit)]
        like = [key for key, beginning in self.beginnings.items() if beginning == prefix]
        self.main = next(iter([*named, *like, *self.units]))
        # Columns by the rest of their name, where no other branch of the prefix has the same.
        self.columns = _distinct([(b.name, split(b.name)[1]) for b in lists])
        # Beginnings that name no collection: prefixes, branches, and those of two counters.
        shared = Counter(self.beginnings.values())
        self.prefixes, self.names = set(prefixes), {b.name for b in lists}
        self.taken = {name for name, n in shared.items() if n > 1} | self.prefixes | self.names
        self.agree: dict[Hashable, bool] = {self.main: True}

    def place(self, branch: Branch) -> Place:
        key = _counter(branch)
        unit = self.units[key]
        if key not in self.agree:
            main = self.units[self.main][0]
            self.agree[key] = self.lengths(unit[0]) == self.lengths(main)
        if self.agree[key]:
            return self.prefix, self.columns[branch.name]
        beginning, names = self.beginnings[key], [b.name for b in unit]
        if len(unit) > 1 and beginning not in self.taken:
            rest = [(name, name[len(beginning) :].lstrip("_./:")) for name in names]
            return beginning, _distinct(rest)[branch.name]
        alone = names[0]
        while alone in self.prefixes or (alone != names[0] and alone in self.names):
            alone += "_"
        return alone, branch.name


def _counter(branch: Branch) -> Hashable:
    assert isinstance(branch.kind, Kind)
    return branch.kind.counter


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
