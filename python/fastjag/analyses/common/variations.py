"""Variations by keys of a configuration: scales of columns, and branches of weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from fastjag.analyses.common.config import read_toml
from fastjag.core.settings import Name, make, setting, settings
from fastjag.variations import Variations


@settings
class VariationSettings:
    """One source of systematic uncertainty: a scale of a column, or weights that the files have."""

    name: Name = setting('Name; the variations are "NAME up" and "NAME down".')
    column: str | None = setting(
        "Column of particles that changes, such as `Muon_pt`.", default=None, least=1, none=False
    )
    relative: float = setting(
        "By how much: up is 1 + this times the column, down 1 - this.",
        default=0.0,
        least=0,
        below=1,
    )
    nominal: str | None = setting(
        "Branch of the nominal weight of events; none is 1.", default=None, least=1
    )
    up: str | None = setting("Branch of the weight up.", default=None, least=1)
    down: str | None = setting("Branch of the weight down.", default=None, least=1)

    def check(self) -> None:
        weights = self.up is not None or self.down is not None
        if (self.column is not None) == weights:
            raise ValueError(
                f"{self.name} must have either column and relative, or branches of weights, up or down"
            )
        if self.column is not None:
            if self.relative == 0:
                raise ValueError(f"{self.name}: relative must be above 0")
            if "_" not in self.column:
                raise ValueError(
                    f"{self.name}: column must be COLLECTION_COLUMN, such as Muon_pt, got {self.column!r}"
                )
            if self.nominal is not None:
                raise ValueError(f"{self.name}: nominal belongs to branches of weights")

    @property
    def branches(self) -> list[str]:
        """What files must have for it, besides the column of particles."""
        return [b for b in (self.nominal, self.up, self.down) if b is not None]


def read_variations(path: str | os.PathLike[str]) -> tuple[VariationSettings, ...]:
    """Those of a TOML file, a table ``[[variations]]`` for each. ValueError names file and key."""
    content = read_toml(path)
    unknown = sorted(set(content) - {"variations"})
    if unknown or not isinstance(content.get("variations"), list):
        raise ValueError(f"{path}: must hold tables [[variations]] alone, got {sorted(content)}")
    try:
        found = tuple(make(VariationSettings, one) for one in content["variations"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    check_names(found)
    return found


def check_names(variations: Sequence[VariationSettings]) -> None:
    """ValueError where two have one name."""
    names = [v.name for v in variations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two variations have the name {twice[0]!r}")


def add_variations(v: Variations, variations: Sequence[VariationSettings]) -> None:
    """Weights and shifts to a selection that is written in steps."""
    for one in variations:
        if one.column is None:
            functions = {side: _branch(name) for side, name in (("up", one.up), ("down", one.down))
                         if name is not None}  # fmt: skip
            v.weight(one.name, None if one.nominal is None else _branch(one.nominal), **functions)
        else:
            collection, column = one.column.split("_", 1)
            v.shift(
                one.name,
                up={collection: _scaled(collection, column, 1 + one.relative)},
                down={collection: _scaled(collection, column, 1 - one.relative)},
            )


def _branch(name: str) -> Any:
    return _with_parameter(name, lambda values: values)


def _scaled(collection: str, column: str, factor: float) -> Any:
    def scaled(particles: Any) -> Any:
        values = particles[column]
        return particles.with_columns(**{column: values * values.dtype.type(factor)})

    return _with_parameter(collection, scaled)


def _with_parameter(name: str, function: Any) -> Any:
    """The function as one whose parameter has this name, by which a value is found."""
    import inspect

    def called(value: Any) -> Any:
        return function(value)

    kind = inspect.Parameter.POSITIONAL_ONLY
    called.__signature__ = inspect.Signature([inspect.Parameter(name, kind)])  # type: ignore[attr-defined]
    return called


def summary(histograms: Mapping[str, Any]) -> dict[str, Any]:
    """By variation and name of the histogram: contents with flow, for JSON."""
    names = next((list(h.axes[0]) for h in histograms.values()), [])
    return {
        name: {key: h[name, ...].values(flow=True) for key, h in histograms.items()}
        for name in names
    }
