"""Columns and offsets of several parts as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastjag.core.arrays import Offsets
from fastjag.core.checks import near_misses
from fastjag.core.devices import check_together
from fastjag.jagged.columns import Column
from fastjag.jagged.shapes import described, is_lists


def join_offsets(parts: Sequence[Offsets]) -> Offsets:
    """Offsets of all events, each of which starts at 0."""
    check_together("what is concatenated", {f"part {i}": part for i, part in enumerate(parts)})
    joined, last = [parts[0]], int(parts[0][-1])
    for part in parts[1:]:
        joined.append(part[1:] + last)
        last += int(part[-1])
    return np.concatenate(joined)


def join_columns(parts: Sequence[Mapping[str, Column]], what: str) -> dict[str, Column]:
    """Columns of the same names, one after the other; errors name part and column."""
    names = parts[0].keys()
    for i, part in enumerate(parts):
        if missing := [name for name in names if name not in part]:
            raise KeyError(
                f"part {i} has no {what} {missing[0]!r}, which part 0 has: "
                f"{near_misses(missing[0], part)}"
            )
        if more := [name for name in part if name not in names]:
            raise KeyError(f"part {i} has the {what} {more[0]!r}, which part 0 has not")
    return {name: join([part[name] for part in parts], f"{what} {name!r}") for name in names}


def join(arrays: Sequence[Column], what: str) -> Column:
    """Arrays, or lists, one after the other, as long as no value changes."""
    lists = [is_lists(array) for array in arrays]
    if any(lists):
        if not all(lists):
            i = lists.index(not lists[0])
            raise TypeError(
                f"{what} is {described(arrays[0])} in part 0 and {described(arrays[i])} in part {i}"
            )
        return type(arrays[0])._joined(arrays)
    kinds = {array.dtype.kind for array in arrays}
    dtype = np.result_type(*(array.dtype for array in arrays))
    if (len(kinds) > 1 and not kinds <= {"i", "u"}) or (kinds == {"i", "u"} and dtype.kind == "f"):
        i = next(i for i, array in enumerate(arrays) if array.dtype != arrays[0].dtype)
        raise TypeError(
            f"{what} is {arrays[0].dtype} in part 0 and {arrays[i].dtype} in part {i}: "
            "convert one of them with .astype"
        )
    check_together(what, {f"part {i}": array for i, array in enumerate(arrays)})
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"{what} has entries of shapes {sorted(shapes)}")
    return np.concatenate([array.astype(dtype, copy=False) for array in arrays])
