"""One column of what a model sees: its expression, and how its numbers are brought to order one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastjag.core.checks import near_misses, real
from fastjag.core.settings import setting, settings
from fastjag.inputs.expressions import expression
from fastjag.inputs.values import EventNames, Value, number


@settings
class InputColumn:
    """A number of each particle or event: ``clip((x - mean) / scale)``, x being the expression."""

    name: str = setting("What it is called, as it was given", least=1)
    expression: str = setting("Of branches", least=1)
    log: bool = setting("Whether x is the logarithm of the expression", default=False)
    fit: bool = setting("Whether mean and scale are those of a sample of events", default=False)
    mean: float | None = setting("Subtracted; none: 0", default=None)
    scale: float | None = setting("Divided by; none: 1", default=None)
    clip: tuple[float | None, float | None] | None = setting(
        "Lowest and highest number; none: no limit", default=None
    )
    fill: float = setting("What stands in slots without a particle", default=0.0)

    def check(self) -> None:
        if not expression(self.expression).names:
            raise ValueError(f"expression must name a branch, got {self.expression!r}")
        if self.scale == 0:
            raise ValueError(f"scale of {self.name!r} must not be 0")
        if self.bounds is not None and not self.bounds[0] <= self.bounds[1]:
            raise ValueError(f"clip of {self.name!r} must be (low, high), got {self.clip!r}")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """``clip`` as two numbers."""
        if self.clip is None:
            return None
        low, high = self.clip
        return -math.inf if low is None else low, math.inf if high is None else high

    def value(self, names: EventNames) -> Value:
        """x for the events of a batch."""
        value = expression(self.expression)(names)
        if not self.log:
            return value
        with np.errstate(
            all="ignore"
        ):  # -inf of 0 and NaN of negative numbers are told by docs/inputs.md
            return value._replace(array=np.log(number(value.array)))


def columns_of(
    given: str | Iterable[str],
    prefix: str | None,
    log: str | Iterable[str],
    standardise: Any,
    clip: Any,
    fill: Any = None,
) -> tuple[InputColumn, ...]:
    """Columns as they are given to :func:`fastjag.particles`; a ValueError names option and column."""
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise ValueError("columns must name at least one column, got none")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"columns must be texts, such as 'pt' or 'log(Jet_pt)', got {name!r}")
    logs = [log] if isinstance(log, str) else list(log)
    _known("log", logs, names)
    ways = _per_column("standardise", standardise, names)
    clips = _per_column("clip", clip, names)
    fills = _per_column("fill", fill, names)
    return tuple(
        InputColumn(
            name=name, expression=full(name, prefix), log=name in logs, clip=_limits(name, clips[name]),
            fill=0.0 if fills[name] is None else fills[name], **_standard(name, ways[name]),
        )
        for name in names
    )  # fmt: skip


def full(name: str, prefix: str | None) -> str:
    """``pt`` of Jet is ``Jet_pt``; expressions, and names with the prefix, are as they are."""
    own = prefix is None or re.match(rf"`|{re.escape(prefix)}[_./:]", name)
    if own or not expression(name).is_name:
        return name
    return f"{prefix}_{name}"


def _known(option: str, given: Iterable[str], names: list[str]) -> None:
    for name in given:
        if name not in names:
            raise ValueError(
                f"{option} names {name!r}, which is no column: {near_misses(name, names)}"
            )


def _per_column(option: str, given: Any, names: list[str]) -> dict[str, Any]:
    """One value for all columns, or those of a mapping by column."""
    if isinstance(given, Mapping):
        _known(option, given, names)
        return {name: given.get(name) for name in names}
    return dict.fromkeys(names, given)


def _limits(name: str, given: Any) -> tuple[float | None, float | None] | None:
    """Bounds, of which infinite ones are none."""
    if given is None:
        return None
    try:
        low, high = given
        pair = [None if x is None or math.isinf(x) else float(x) for x in (low, high)]
    except (TypeError, ValueError):
        pair = [math.nan]
    if any(x is not None and math.isnan(x) for x in pair):
        raise ValueError(f"clip of {name!r} must be (low, high), got {given!r}")
    return pair[0], pair[1]


def _standard(name: str, way: Any) -> dict[str, Any]:
    if way is None:
        return {}
    if way == "fit":
        return {"fit": True}
    try:
        mean, scale = way
    except (TypeError, ValueError):
        mean = scale = None
    if mean is None or scale is None or isinstance(way, str):
        raise ValueError(
            f"standardise of {name!r} must be 'fit', None or (mean, scale), got {way!r}"
        )
    return {"mean": real("mean", mean), "scale": real("scale", scale)}
