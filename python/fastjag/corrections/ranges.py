"""Which entries lie outside the ranges of a correction, found without walking through all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Node = Any  #: of the file's JSON: a number, or a dict with "nodetype"
Indices = NDArray[np.int64]


class BinnedInput(NamedTuple):
    """One binned input of a node."""

    name: str
    low: float
    high: float
    edges: Any  #: as in the file

    @classmethod
    def of(cls, name: str, edges: Any) -> BinnedInput:
        if isinstance(edges, Mapping):
            return cls(name, float(edges["low"]), float(edges["high"]), edges)
        return cls(name, float(edges[0]), float(edges[-1]), edges)

    def bins(self, x: NDArray[Any], wrap: bool) -> Indices:
        """The bin of each value: the outermost for values outside, unless the axis is periodic."""
        at: NDArray[Any]
        share: NDArray[Any] = (x - self.low) / (self.high - self.low)
        if isinstance(self.edges, Mapping):
            n = int(self.edges["n"])
            if wrap:
                share = np.where((x < self.low) | (x >= self.high), share - np.floor(share), share)
            at = n * share
        else:
            edges = np.array([float(e) for e in self.edges])
            n = len(edges) - 1
            if wrap:
                x = self.low + (share - np.floor(share)) * (self.high - self.low)
            at = np.searchsorted(edges, x, side="right") - 1.0
        return np.asarray(np.clip(np.nan_to_num(at, nan=n - 1), 0, n - 1), np.int64)


class FileRanges:
    """The ranges of one correction.

    ``safe`` has, of every binned input, the range in which no node sees a value outside. Only
    entries beyond it are followed through the nodes.
    """

    def __init__(self, description: Mapping[str, Any]):
        self.description = description
        self.safe: dict[str, tuple[float, float]] = {}
        #: Keys that every node with a default knows, of inputs that may be texts.
        self.keys: dict[str, set[Any]] = {}
        self.all = False  # a node rewrites an input: every entry has to be followed
        self.plain: set[int] = set()  # ids of nodes with bins of numbers and formulas alone
        self._collect(description["data"])
        self._rules: dict[int, Any] = {}

    def _collect(self, node: Node) -> None:
        if not isinstance(node, Mapping):
            return
        kind = node["nodetype"]
        for axis in _axes(node):
            low, high = self.safe.get(axis.name, (-np.inf, np.inf))
            self.safe[axis.name] = (max(low, axis.low), min(high, axis.high))
        if _axes(node) and _plain(node):
            self.plain.add(id(node))
        if kind == "transform":
            self.all = True
            return
        if kind == "category" and node.get("default") is not None:
            keys = {item["key"] for item in node["content"]}
            self.keys[node["input"]] = self.keys.get(node["input"], keys) & keys
        for child in _children(node):
            self._collect(child)

    def outside(self, values: Mapping[str, Any], n: int, name: str) -> dict[str, int]:
        """Entries outside, by input and side; ValueError where the file forbids them."""
        if n == 0:
            return {}
        simple = self._simple(values)
        if simple is not None:
            return self._count(simple, values, n, name)
        texts = any(
            isinstance(values[key], str) and values[key] not in keys
            for key, keys in self.keys.items()
        )
        if self.all:
            entries = np.arange(n)
        else:
            beyond: Any = False
            for key, (low, high) in self.safe.items():
                x = values[key]
                if not isinstance(x, np.ndarray):
                    beyond = beyond | (not low <= x < high)
                elif not (x.min() >= low and x.max() < high):  # NaN is neither
                    beyond = beyond | ~((x >= low) & (x < high))
            if texts or beyond is True:
                entries = np.arange(n)
            elif beyond is False:
                return {}
            else:
                entries = np.flatnonzero(beyond)
        some = {key: v[entries] if isinstance(v, np.ndarray) else v for key, v in values.items()}
        walk = _Walk(name, entries, self)
        walk.follow(self.description["data"], np.arange(len(entries)), some)
        return {where: int(np.count_nonzero(flags)) for where, flags in walk.found.items()}

    def _simple(self, values: Mapping[str, Any]) -> Node | None:
        """The node behind categories of known texts, if it is the only one with ranges."""
        node = self.description["data"]
        while isinstance(node, Mapping) and node["nodetype"] == "category":
            value = values[node["input"]]
            known = {item["key"]: item["value"] for item in node["content"]}
            if isinstance(value, np.ndarray) or value not in known:
                return None
            node = known[value]
        if not isinstance(node, Mapping) or not _axes(node):
            return None
        return node if id(node) in self.plain else None

    def _count(self, node: Node, values: Mapping[str, Any], n: int, name: str) -> dict[str, int]:
        """Of such a node, without looking for the bins."""
        found: dict[str, int] = {}
        for axis in _axes(node):
            x = values[axis.name]
            low, high = (x.min(), x.max()) if isinstance(x, np.ndarray) else (x, x)
            if low >= axis.low and high < axis.high:
                continue
            if node["flow"] == "error":
                walk = _Walk(name, np.arange(n), self)
                walk.follow_bins(node, walk.entries, values)
            x = np.asarray(x)
            share = 1 if x.ndim else n
            for side, flags in (("below", x < axis.low), ("above", x >= axis.high)):
                if number := int(np.count_nonzero(flags)) * share:
                    found[f"{axis.name} {side}"] = number
            if np.isnan(low) and (number := int(np.count_nonzero(np.isnan(x))) * share):
                found[f"{axis.name} NaN"] = number
        return found

    def transformed(self, node: Node, values: Mapping[str, Any], n: int) -> Any:
        """The input that a node rewrites, rewritten by correctionlib."""
        import correctionlib

        rule = self._rules.get(id(node))
        if rule is None:
            import json

            alone = {**self.description, "name": "rule", "data": node["rule"]}
            text = json.dumps({"schema_version": 2, "corrections": [alone]})
            rule = self._rules[id(node)] = correctionlib.CorrectionSet.from_string(text)["rule"]
        result = rule.evaluate(*(values[i["name"]] for i in self.description["inputs"]))
        result = np.broadcast_to(np.asarray(result, np.float64), n)
        kind = next(i["type"] for i in self.description["inputs"] if i["name"] == node["input"])
        # correctionlib rounds halves away from 0.
        return (np.copysign(np.floor(np.abs(result) + 0.5), result).astype(np.int64)
                if kind == "int" else result)  # fmt: skip


class _Walk:
    """Entries on their way through the nodes; an entry counts once for an input and a side."""

    def __init__(self, name: str, entries: Indices, ranges: FileRanges):
        self.name = name
        self.entries = entries
        self.ranges = ranges
        self.found: dict[str, NDArray[np.bool_]] = {}

    def mark(self, where: str, which: Indices) -> None:
        if len(which):
            flags = self.found.setdefault(where, np.zeros(len(self.entries), bool))
            flags[which] = True

    def follow(self, node: Node, at: Indices, values: Mapping[str, Any]) -> None:
        """``at``: which of the entries come to this node; ``values`` are of those."""
        if not isinstance(node, Mapping) or not len(at):
            return
        kind = node["nodetype"]
        if kind in ("binning", "multibinning"):
            self.follow_bins(node, at, values)
        elif kind == "category":
            self.follow_keys(node, at, values)
        elif kind == "transform":
            self.follow(node["rule"], at, values)
            new = self.ranges.transformed(node, values, len(at))
            self.follow(node["content"], at, {**values, node["input"]: new})

    def follow_bins(self, node: Node, at: Indices, values: Mapping[str, Any]) -> None:
        flow = node["flow"]
        bins = np.zeros(len(at), np.int64)
        beyond = np.zeros(len(at), bool)
        for axis in _axes(node):
            x = np.broadcast_to(np.asarray(values[axis.name], np.float64), len(at))
            for side, flags in (("below", x < axis.low), ("above", x >= axis.high),
                                ("NaN", np.isnan(x))):  # fmt: skip
                if flow == "error" and flags.any():
                    self.refuse(axis, side, flags, at, x)
                self.mark(f"{axis.name} {side}", at[flags])
                beyond |= flags
            if id(node) in self.ranges.plain:
                continue
            n = axis.edges["n"] if isinstance(axis.edges, Mapping) else len(axis.edges) - 1
            bins = bins * int(n) + axis.bins(x, flow == "wrap")
        if id(node) in self.ranges.plain:
            return
        if not isinstance(flow, str):
            self.follow(flow, at[beyond], _some(values, beyond))
            at, values, bins = at[~beyond], _some(values, ~beyond), bins[~beyond]
        for bin_ in np.unique(bins):
            own = bins == bin_
            self.follow(node["content"][bin_], at[own], _some(values, own))

    def follow_keys(self, node: Node, at: Indices, values: Mapping[str, Any]) -> None:
        value = values[node["input"]]
        contents = {item["key"]: item["value"] for item in node["content"]}
        if not isinstance(value, np.ndarray):
            if isinstance(value, str) and value not in contents and node.get("default") is not None:
                self.mark(f"{node['input']} unknown", at)
            self.follow(contents.get(value, node.get("default")), at, values)
            return
        for key in np.unique(value):
            own = value == key
            child = contents.get(int(key), node.get("default"))
            self.follow(child, at[own], _some(values, own))

    def refuse(
        self,
        axis: BinnedInput,
        side: str,
        flags: NDArray[np.bool_],
        at: Indices,
        x: NDArray[np.float64],
    ) -> None:
        first = int(flags.argmax())
        raise ValueError(
            f"correction {self.name!r}: {int(flags.sum())} entries of {axis.name} are outside "
            f"{axis.low:g} to {axis.high:g}, which its file forbids; the first is entry "
            f"{int(self.entries[at[first]])} with {x[first]:g}"
        )


def _axes(node: Mapping[str, Any]) -> list[BinnedInput]:
    if node["nodetype"] == "binning":
        return [BinnedInput.of(node["input"], node["edges"])]
    if node["nodetype"] == "multibinning":
        return [BinnedInput.of(*pair) for pair in zip(node["inputs"], node["edges"], strict=True)]
    return []


def _children(node: Mapping[str, Any]) -> list[Node]:
    """Nodes below; those of a transformation see other values."""
    kind = node["nodetype"]
    if kind in ("binning", "multibinning"):
        return [*node["content"], node["flow"]] if not isinstance(node["flow"], str) else list(node["content"])  # fmt: skip
    if kind == "category":
        return [*(item["value"] for item in node["content"]), node.get("default")]
    return []


def _plain(node: Node) -> bool:
    """Whether no node below has ranges: numbers and formulas alone."""
    return not any(
        isinstance(child, Mapping)
        and child["nodetype"] in ("binning", "multibinning", "category", "transform")
        for child in _children(node)
    )


def _some(values: Mapping[str, Any], own: NDArray[np.bool_]) -> dict[str, Any]:
    return {k: v[own] if isinstance(v, np.ndarray) else v for k, v in values.items()}
