"""The fields of an RNTuple as branches: which columns hold their numbers, and the lists around them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from fastjag.core.checks import first_line
from fastjag.io.branches import Branch, Kind, Unfit
from fastjag.io.pages import CODINGS, Coding, Column, Paged, Piece
from fastjag.io.rntuple import Clusters, Page
from fastjag.jagged.interchange import is_text


class _Everything:
    """A key that begins with every other: uproot compares each field with each key asked for."""

    def startswith(self, _: str) -> bool:
        return True


def fields(tree: Any, clusters: Clusters) -> Iterator[Branch]:
    """The branches of an RNTuple that uproot opened.

    The parts of records and of lists of records are branches, too.
    """
    columns = _Columns(tree, clusters)
    leaves: list[tuple[int, str, _Leaf]] = []
    for field in tree.fields:
        try:
            form = tree.field_form(field.field_id, [_Everything()])
        except Exception as error:  # noqa: BLE001 - uproot raises anything for what it does not know
            unfit = Unfit(f"uproot cannot interpret it ({first_line(error)})")
            leaves.append((0, field.name, _Leaf((), unfit)))
            continue
        leaves += [(len(leaf.pick), field.name, leaf) for leaf in _leaves(form, (), (), ())]
    # A field may show a part of another one: the shorter name stands for the same numbers.
    depths: dict[Hashable, int] = {}
    for depth, _, leaf in leaves:
        depths[leaf.key] = min(depth, depths.get(leaf.key, depth))
    for depth, name, leaf in leaves:
        if leaf.key is None or depth == depths[leaf.key]:
            path = ".".join((name, *leaf.pick))
            stored = leaf.unfit or columns.paged(leaf)
            kind = stored if isinstance(stored, Unfit) else _kind(stored)
            yield Branch(path, path, stored, leaf.pick, kind)


def _kind(stored: Paged) -> Kind:
    if stored.values is None or not stored.levels or stored.text:
        return Kind(None, stored.shape)
    return Kind(id(stored.levels[0]), stored.shape, True)  # equal columns are one object


class _Leaf:
    """Numbers in a field: the way through its records, the columns of the lists, the numbers' own."""

    def __init__(
        self, pick: tuple[str, ...], unfit: Unfit | None, levels: tuple[int, ...] = (),
        column: int = -1, shape: tuple[int, ...] = (), counts: bool = False, text: bool = False,
    ) -> None:  # fmt: skip
        self.pick, self.unfit, self.levels, self.shape = pick, unfit, levels, shape
        self.column, self.counts, self.text = column, counts, text
        self.key = None if unfit else (column, counts)


def _leaves(
    form: Any, pick: tuple[str, ...], levels: tuple[int, ...], shape: tuple[int, ...]
) -> Iterator[_Leaf]:
    """What is in an awkward form; its keys name columns."""

    def unfit(reason: str) -> Iterator[_Leaf]:
        yield _Leaf(pick, Unfit(reason))

    if is_text(form) and (levels or shape):
        yield from unfit("lists of text" if levels else "arrays of text")
    elif is_text(form):
        ends, characters = (_column_of(part.form_key) for part in (form, form.content))
        yield _Leaf(pick, None, (ends,), characters, text=True)
    elif form.is_record and shape:
        yield from unfit("arrays of objects")
    elif form.is_record:
        for name, content in zip(form.fields, form.contents, strict=True):
            yield from _leaves(content, (*pick, name), levels, shape)
    elif form.is_numpy:
        column, counts = _column_of(form.form_key), form.form_key.endswith("-cardinality")
        if counts and levels:
            yield from unfit("lists of lengths")
        else:
            yield _Leaf(pick, None, levels, column, shape, counts)
    elif form.is_regular:
        yield from _leaves(form.content, pick, levels, (*shape, form.size))
    elif (form.is_list or form.is_option) and shape:
        yield from unfit("arrays of lists")
    elif form.is_list or form.is_option:  # what may be missing is a list of one or none
        yield from _leaves(form.content, pick, (*levels, _column_of(form.form_key)), shape)
    elif form.is_union:
        yield from unfit("values of several types")
    else:
        yield from unfit(f"objects ({form.type})")


def _column_of(key: str) -> int:
    """``column-7-optional`` is column 7."""
    return int(key.split("-")[1])


class _Columns:
    """The columns of one RNTuple, each once: those with the same pages are one."""

    def __init__(self, tree: Any, clusters: Clusters) -> None:
        self.records, self.fields, self.clusters = tree.column_records, tree.field_records, clusters
        self.by_field: dict[int, list[int]] = {}
        for i, record in enumerate(self.records):
            self.by_field.setdefault(record.field_id, []).append(i)
        self.children: dict[int, list[int]] = {}
        for i, record in enumerate(self.fields):
            if record.parent_field_id != i:
                self.children.setdefault(record.parent_field_id, []).append(i)
        self._bases: dict[int, tuple[int, ...]] = {}
        self._known: dict[Hashable, Column] = {}
        self._built: dict[Hashable, Column] = {}

    def paged(self, leaf: _Leaf) -> Paged | Unfit:
        """Where the numbers of a leaf are."""
        try:
            entries = self.clusters.firsts
            if leaf.text:  # the characters are a column of the same field
                bases = self._firsts(leaf.column)
                levels: tuple[Column, ...] = (self._column(leaf.levels[0], 1, bases),)
            else:
                levels = tuple(self.lists(number, not i) for i, number in enumerate(leaf.levels))
            if leaf.counts:
                (record,) = self.alternatives(leaf.column)[:1]
                dtype = np.dtype(f"i{self.records[record].nbits // 8}")
                return Paged((self.lists(leaf.column, True),), None, leaf.shape, dtype, entries)
            values = self.numbers(leaf.column, None if levels else math.prod(leaf.shape))
        except Unfit as reason:
            return reason
        return Paged(levels, values, leaf.shape, values.dtype, entries, leaf.text)

    def lists(self, number: int, outermost: bool) -> Column:
        """A column of ends of lists."""
        field = self.records[number].field_id
        if field not in self._bases:
            content, each = self.content(field)
            self._bases[field] = tuple(first // each for first in self._firsts(content))
        return self._column(number, 1 if outermost else None, self._bases[field])

    def numbers(self, number: int, each: int | None) -> Column:
        """A column of numbers: so many for each entry, or (None) as many as there are."""
        return self._column(number, each, None)

    def content(self, field: int) -> tuple[int, int]:
        """(a column of what is in the lists of a field, its elements for each of theirs)."""
        each, todo = 1, list(self.children.get(field, ()))
        while todo:
            child = todo.pop(0)
            each_here = max(1, self.fields[child].repetition)
            if child in self.by_field:
                return self.by_field[child][0], each * each_here
            if self.fields[child].repetition:
                each *= each_here
                todo = list(self.children.get(child, ()))
            else:
                todo = [*self.children.get(child, ()), *todo]
        raise Unfit("lists of nothing")

    def alternatives(self, number: int) -> list[int]:
        """The same column in every representation of its field, the first one first."""
        groups: dict[int, list[int]] = {}
        for i in self.by_field[self.records[number].field_id]:
            groups.setdefault(self.records[i].repr_idx, []).append(i)
        place = groups[self.records[number].repr_idx].index(number)
        return [group[place] for _, group in sorted(groups.items()) if place < len(group)]

    def _firsts(self, number: int) -> tuple[int, ...]:
        """The first element of a column in each cluster, and the end."""
        firsts = [0]
        for found in self._stored(number):
            firsts.append(firsts[-1] + (sum(page.n for page in found[2]) if found else 0))
        return tuple(firsts)

    def _stored(self, number: int) -> list[tuple[int, int, list[Page]] | None]:
        """(representation, first element, pages) in each cluster."""
        alternatives = self.alternatives(number)
        stored: list[tuple[int, int, list[Page]] | None] = []
        for cluster in range(len(self.clusters)):
            found = ((i, self.clusters.pages(cluster, i)) for i in alternatives)
            stored.append(next(((i, *pages) for i, pages in found if pages is not None), None))
        return stored

    def _column(self, number: int, each: int | None, bases: tuple[int, ...] | None) -> Column:
        key = number, each, bases
        if key not in self._built:
            column = self._build(number, each, bases)
            same = tuple(column.pieces), tuple(column.firsts), bases, column.dtype
            self._built[key] = self._known.setdefault(same, column)
        return self._built[key]

    def _build(self, number: int, each: int | None, bases: tuple[int, ...] | None) -> Column:
        name = self.path(self.records[number].field_id)
        codings = {i: self.coding(i) for i in self.alternatives(number)}
        late = any(self.records[i].flags & 1 for i in codings)  # added when there were entries
        pieces: list[Piece] = []
        firsts = [0]
        for cluster, stored in enumerate(self._stored(number)):
            i, first, pages = stored or (number, firsts[-1], [])
            n = sum(page.n for page in pages)
            if each is None:
                there = n
            else:
                entries = self.clusters.firsts[cluster + 1] - self.clusters.firsts[cluster]
                there = entries * each
            before = there - n
            if before < 0 or (before and not late) or (pages and first != firsts[-1] + before):
                raise ValueError(
                    f"{name!r} has {n} elements from {first} on in the cluster of entries "
                    f"{self.clusters.firsts[cluster]} to {self.clusters.firsts[cluster + 1]}, "
                    f"where {there} from {firsts[-1]} on belong"
                )
            if before:
                pieces.append(Piece(firsts[-1], before, cluster, codings[i], None))
            at = firsts[-1] + before
            for page in pages:
                if page.n:
                    pieces.append(Piece(at, page.n, cluster, codings[i], page))
                at += page.n
            firsts.append(at)
        dtype = np.result_type(*(coding.dtype for coding in codings.values()))
        return Column(name, dtype, pieces, firsts, bases)

    def coding(self, number: int) -> Coding:
        record = self.records[number]
        coding = CODINGS.get(record.type)
        if coding is None:
            raise Unfit(f"a column of type {record.type:#x} is not known")
        if coding.encoding == "quantised":
            wide = self.fields[record.field_id].type_name == "double"
            coding = coding._replace(
                low=record.min_value, high=record.max_value, dtype="f8" if wide else "f4"
            )
        return coding if coding.bits else coding._replace(bits=record.nbits)

    def path(self, field: int) -> str:
        """Of a field, for messages."""
        names = [self.fields[field].field_name]
        while (parent := self.fields[field].parent_field_id) != field:
            field = parent
            names.insert(0, self.fields[field].field_name)
        return ".".join(names)
