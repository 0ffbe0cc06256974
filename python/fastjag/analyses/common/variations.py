"""Variations by keys of a configuration: scales of columns, branches of weights, and corrections of files."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from fastjag.analyses.common.config import read_toml
from fastjag.analyses.common.factors import Factors
from fastjag.core.settings import File, Name, make, setting, settings
from fastjag.variations import Variations


@settings
class VariationSettings:
    """One source of systematic uncertainty: a scale of a column, weights that files have, or a correction."""

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
        "Branch of the nominal weight of events, or nominal value of the correction's input of text; none is 1.",
        default=None, least=1,
    )  # fmt: skip
    up: str | None = setting("The same of the weight up.", default=None, least=1)
    down: str | None = setting("The same of the weight down.", default=None, least=1)
    file: File | None = setting(
        "JSON of correctionlib: its correction gives the factor of an event.",
        default=None,
        none=False,
    )
    correction: str | None = setting("Name of that correction.", default=None, least=1, none=False)
    particles: str | None = setting(
        "Collection, such as `Muon`, over whose particles factors are multiplied; without it they are of events.",
        default=None, least=1, none=False,
    )  # fmt: skip
    columns: dict[str, str] = setting(
        "Column of an input of the correction, where names differ.", default_factory=dict
    )

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
            if self.nominal is not None or self.file is not None:
                odd = "nominal" if self.nominal is not None else "file"
                raise ValueError(f"{self.name}: {odd} belongs to weights, not to a column")
        if (self.file is None) != (self.correction is None):
            raise ValueError(f"{self.name}: file and correction go together")
        if self.file is None and (self.particles is not None or self.columns):
            raise ValueError(f"{self.name}: particles and columns belong to file and correction")

    @property
    def factors(self) -> Factors | None:
        """Those of the correction, if it is one."""
        if self.file is None or self.correction is None:
            return None
        return Factors(self.file, self.correction, self.particles, self.columns)

    @property
    def branches(self) -> list[str]:
        """What files must have for it, besides the column of particles."""
        if (factors := self.factors) is not None:
            return factors.branches
        return [b for b in (self.nominal, self.up, self.down) if b is not None]

    @property
    def values(self) -> dict[str, str]:
        """``nominal``, ``up`` and ``down``, those that are given."""
        sides = (("nominal", self.nominal), ("up", self.up), ("down", self.down))
        return {side: value for side, value in sides if value is not None}


def read_variations(path: str | os.PathLike[str]) -> tuple[VariationSettings, ...]:
    """Those of a TOML file, a table ``[[variations]]`` for each. ValueError names file and key."""
    content = read_toml(path)
    unknown = sorted(set(content) - {"variations"})
    if unknown or not isinstance(content.get("variations"), list):
        raise ValueError(f"{path}: must hold tables [[variations]] alone, got {sorted(content)}")
    try:
        folder = Path(path).parent
        found = tuple(make(VariationSettings, one, folder) for one in content["variations"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    check_names(found)
    return found


def check_names(variations: Sequence[VariationSettings]) -> None:
    """ValueError where two have one name."""
    names = [v.name for v in variations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two variations have the name {twice[0]!r}")


def add_variations(
    v: Variations, variations: Sequence[VariationSettings],
    outside: MutableMapping[str, int] | None = None,
) -> None:  # fmt: skip
    """Weights and shifts to a selection that is written in steps.

    ``outside`` gets the entries of one batch that are outside of the ranges of corrections, at their nominal
    value, or up where there is none.
    """
    for one in variations:
        if (factors := one.factors) is not None:
            counted = next(iter(one.values))
            v.weight(one.name, **{
                side: _with_parameters(factors.parameters, factors.function(text, outside if side == counted else None))
                for side, text in one.values.items()
            })  # fmt: skip
        elif one.column is None:
            v.weight(one.name, **{side: _branch(name) for side, name in one.values.items()})
        else:
            collection, column = one.column.split("_", 1)
            v.shift(
                one.name,
                up={collection: _scaled(collection, column, 1 + one.relative)},
                down={collection: _scaled(collection, column, 1 - one.relative)},
            )


def _branch(name: str) -> Any:
    return _with_parameters([name], lambda values: values)


def _scaled(collection: str, column: str, factor: float) -> Any:
    def scaled(particles: Any) -> Any:
        values = particles[column]
        return particles.with_columns(**{column: values * values.dtype.type(factor)})

    return _with_parameters([collection], scaled)


def _with_parameters(names: Sequence[str], function: Any) -> Any:
    """The function as one whose parameters have these names, by which values are found."""
    import inspect

    def called(*values: Any) -> Any:
        return function(*values)

    kind = inspect.Parameter.POSITIONAL_ONLY
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    called.__signature__ = signature  # type: ignore[attr-defined]
    return called


def summary(histograms: Mapping[str, Any]) -> dict[str, Any]:
    """By variation and name of the histogram: contents with flow, for JSON."""
    names = next((list(h.axes[0]) for h in histograms.values()), [])
    return {
        name: {key: h[name, ...].values(flow=True) for key, h in histograms.items()}
        for name in names
    }
