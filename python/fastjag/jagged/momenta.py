"""pt, eta and phi of particles that are given in these or in other coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets, as_column, as_float
from fastjag.core.checks import near_misses
from fastjag.jagged import interchange
from fastjag.jagged.columns import ParticleColumns
from fastjag.jagged.jagged import Jagged, as_jagged

# vector calls pt rho, and px, py, pz x, y, z, in what vector.zip and vector.array make.
_TRANSVERSE = (("pt", "phi"), ("rho", "phi"), ("px", "py"), ("x", "y"))
_LONGITUDINAL = ("eta", "pz", "z", "theta")
ACCEPTED = "pt (or rho) and phi, or px and py (or x and y), with eta, theta or pz (or z)"


def with_momenta(particles: Any, also: Mapping[str, str]) -> Jagged:
    """A Jagged with pt, eta, phi and other columns, of particles in any coordinates.

    ``also`` are the names of the others, each with the end of the error if it is not there.
    """
    names = _names(particles)
    chosen = _coordinates(names)
    if names and chosen is None:
        missing = next(name for name in ("pt", "phi", "eta") if name not in names)
        raise KeyError(
            f"no column {missing!r}: {near_misses(missing, names)}; needed are {ACCEPTED}"
        )
    for name, way in also.items():
        if names and name not in names:
            raise KeyError(f"no column {name!r}: {near_misses(name, names)}{way}")
    wanted = chosen or ("pt", "phi", "eta")
    jagged = as_jagged(particles, [*wanted, *also])
    columns = [as_float(jagged[name], name) for name in wanted]
    pt, eta, phi = _pt_eta_phi(wanted, columns)
    kept = {name: jagged[name] for name in also}
    return Jagged._of(jagged._offsets, {"pt": pt, "eta": eta, "phi": phi, **kept})


def with_angles(particles: Any) -> Jagged:
    """A Jagged with eta and phi: these, whatever else there is, or from other coordinates."""
    names = _names(particles)
    if ("eta" in names and "phi" in names) or _coordinates(names) is None:
        return as_jagged(particles, ["eta", "phi"])
    return with_momenta(particles, {})


def flat_momenta(particles: Any, argument: str) -> tuple[Offsets | None, list[Array]]:
    """(offsets, [pt, eta, phi]) of records: offsets where they are in lists, or events."""
    names = _names(particles)
    chosen = _coordinates(names)
    if chosen is None:
        found = f"columns {', '.join(names[:9])}" if names else "no columns"
        raise TypeError(
            f"{argument}, a {type(particles).__name__}, has {found}; needed are {ACCEPTED}"
        )
    if isinstance(particles, Jagged):
        offsets: Offsets | None = particles.offsets
        columns = [particles[name] for name in chosen]
    elif hasattr(particles, "layout"):
        offsets, columns = _of_awkward(particles, chosen)
    else:
        offsets, columns = None, [as_column(particles[name], name) for name in chosen]
    floats = [
        as_float(values, f"{name} of {argument}")
        for name, values in zip(chosen, columns, strict=True)
    ]
    return offsets, _pt_eta_phi(chosen, floats)


def _of_awkward(particles: Any, names: Sequence[str]) -> tuple[Offsets | None, list[Array]]:
    if particles.ndim == 1:  # records, one after the other, or a record of lists
        parts = [interchange.awkward_column(particles[name], name) for name in names]
        if all(offsets is None for offsets, _ in parts):
            return None, [values for _, values in parts]
    offsets, columns = interchange.from_awkward(particles, list(names))
    return offsets, [columns[name] for name in names]


def _names(particles: Any) -> list[str]:
    """Names of the columns of records; none where there are no names."""
    if isinstance(particles, ParticleColumns):
        return list(particles.columns)
    if hasattr(particles, "layout"):  # awkward's arrays, and layouts of these
        return list(particles.fields)
    if isinstance(particles, np.ndarray):
        return list(particles.dtype.names or ())
    if isinstance(particles, Mapping) or hasattr(particles, "keys"):
        return [str(name) for name in particles.keys()]  # noqa: SIM118 (frames iterate likewise)
    return []


def _coordinates(names: Sequence[str]) -> tuple[str, str, str] | None:
    for first, second in _TRANSVERSE:
        for along in _LONGITUDINAL:
            if first in names and second in names and along in names:
                return first, second, along
    return None


def _pt_eta_phi(names: Sequence[str], columns: Sequence[Array]) -> list[Array]:
    """From two transverse columns and a longitudinal one; what is computed is float64.

    A particle along the beam, pt 0, has eta of plus or minus infinity, and no mass with another.
    """
    pt, phi, along = columns
    with np.errstate(divide="ignore", invalid="ignore"):
        if names[1] != "phi":
            x, y = (values.astype(np.float64, copy=False) for values in (pt, phi))
            pt, phi = np.hypot(x, y), np.arctan2(y, x)
        if names[2] == "theta":
            along = -np.log(np.tan(along.astype(np.float64, copy=False) / 2))
        elif names[2] != "eta":
            along = np.arcsinh(along.astype(np.float64, copy=False) / pt)
    return [pt, along, phi]
