"""The functions that expressions may call, and what they make of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastjag.core.devices import namespace
from fastjag.inputs.values import Value, number
from fastjag.jagged import Jagged

#: Prefixes that weaver's files have in front of functions, and that mean nothing here.
PREFIXES = ("np", "numpy", "ak", "awkward", "math")

#: A branch of such a name stands in backticks.
CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}


class Function(NamedTuple):
    """Of ``arguments`` arrays, element by element."""

    arguments: int
    call: Callable[..., Any]
    numbers: bool = True  #: integers become float64 before


def _where(condition: Any, first: Any, second: Any) -> Any:
    pair = (first, second)
    if not (all(map(_is_bool, pair)) or all(map(_is_whole, pair))):
        pair = number(first), number(second)
    if isinstance(condition, (bool, int, float)):
        like = next((v for v in pair if not isinstance(v, (bool, int, float))), None)
        if like is None:
            return pair[0] if condition else pair[1]
        condition = np.full_like(like, bool(condition), dtype=np.bool_)
    return namespace(condition).where(condition != 0, *pair)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_


def _is_whole(value: Any) -> bool:
    """Whether int64 holds it: an integer, and none of uint64."""
    if isinstance(value, (bool, int, float)):
        return isinstance(value, int) and abs(value) < 2**31
    return value.dtype.kind in "iu" and value.dtype != np.uint64


def _delta_phi(first: Any, second: Any) -> Any:
    """In [-pi, pi), as fj.dimuon has it up to rounding."""
    return (first - second + math.pi) % (2 * math.pi) - math.pi


def _ones_like(values: Any) -> Any:
    return np.ones_like(values)


def _zeros_like(values: Any) -> Any:
    return np.zeros_like(values)


#: By name; ``np.log`` is ``log``.
FUNCTIONS = {
    "log": Function(1, np.log),
    "log10": Function(1, np.log10),
    "log2": Function(1, np.log2),
    "log1p": Function(1, np.log1p),
    "exp": Function(1, np.exp),
    "expm1": Function(1, np.expm1),
    "sqrt": Function(1, np.sqrt),
    "square": Function(1, np.square),
    "abs": Function(1, np.abs),
    "sign": Function(1, np.sign),
    "floor": Function(1, np.floor),
    "ceil": Function(1, np.ceil),
    "sin": Function(1, np.sin),
    "cos": Function(1, np.cos),
    "tan": Function(1, np.tan),
    "arcsin": Function(1, np.arcsin),
    "arccos": Function(1, np.arccos),
    "arctan": Function(1, np.arctan),
    "sinh": Function(1, np.sinh),
    "cosh": Function(1, np.cosh),
    "tanh": Function(1, np.tanh),
    "arctanh": Function(1, np.arctanh),
    "arcsinh": Function(1, np.arcsinh),
    "arccosh": Function(1, np.arccosh),
    "hypot": Function(2, np.hypot),
    "arctan2": Function(2, np.arctan2),
    "minimum": Function(2, np.minimum),
    "maximum": Function(2, np.maximum),
    "power": Function(2, np.power),
    "delta_phi": Function(2, _delta_phi),
    "isnan": Function(1, np.isnan),
    "isfinite": Function(1, np.isfinite),
    "where": Function(3, _where, numbers=False),
    "ones_like": Function(1, _ones_like, numbers=False),
    "zeros_like": Function(1, _zeros_like, numbers=False),
    "logical_and": Function(2, np.logical_and, numbers=False),
    "logical_or": Function(2, np.logical_or, numbers=False),
    "logical_not": Function(1, np.logical_not, numbers=False),
}
FUNCTIONS["absolute"] = FUNCTIONS["fabs"] = FUNCTIONS["abs"]
FUNCTIONS["atan2"] = FUNCTIONS["arctan2"]

#: One number per event of the particles' numbers, by the kernel ``aggregate``.
OF_EVENT = ("sum", "min", "max", "mean", "std", "count", "any", "all")


def aggregated(name: str, value: Value, text: str) -> Value:
    """``sum(Jet_pt)`` and the like; NaN, or 0, where an event has no particles, as Jagged has it."""
    if value.lists is None:
        raise ValueError(
            f"{name}({text}) is of particles, but {text} has one number per event; minimum(a, b) "
            "and maximum(a, b) are of two numbers"
        )
    column = Jagged._of(value.lists._offsets, {"values": value.array})
    return Value(column.aggregate("values", [name])[name])


def nth(value: Value, place: int, text: str) -> Value:
    """The number of each event's particle at a place: NaN where the event has fewer.

    Of several numbers per event, shape (n_events, k), one of these.
    """
    if value.lists is None:
        if value.is_constant or value.array.ndim < 2:
            raise ValueError(f"{text}[{place}]: {text} has one number per event, and no places")
        if not -value.array.shape[1] <= place < value.array.shape[1]:
            raise ValueError(
                f"{text}[{place}]: {text} has {value.array.shape[1]} numbers per event"
            )
        return Value(np.ascontiguousarray(value.array[:, place]))
    offsets = value.lists.offsets
    counts = offsets[1:] - offsets[:-1]
    there = counts > place if place >= 0 else counts >= -place
    values = number(value.array)
    xp = namespace(offsets)
    if not len(values):
        return Value(xp.full(len(counts), math.nan, values.dtype))
    at = offsets[:-1] + place if place >= 0 else offsets[1:] + place
    found = values[xp.where(there, at, 0)]
    found[~there] = math.nan
    return Value(found)


# ---- four-vectors ------------------------------------------------------------------------------

#: The coordinates that weaver's functions of four-vectors take.
VECTORS = {
    "_p4_from_pxpypze": ("px", "py", "pz", "energy"),
    "_p4_from_ptetaphie": ("pt", "eta", "phi", "energy"),
    "_p4_from_ptetaphim": ("pt", "eta", "phi", "mass"),
}


def of_vector(kind: str, coordinates: tuple[Any, ...], asked: str) -> Any:
    """A coordinate of a four-vector that is given by others; masses are negative where m^2 is."""
    given = dict(zip(VECTORS[kind], (number(c) for c in coordinates), strict=True))
    if asked in given:
        return given[asked]
    if "px" in given:
        px, py, pz, energy = given.values()
        pt = np.hypot(px, py)
        if asked == "pt":
            return pt
        if asked == "eta":
            return np.arcsinh(pz / pt)
        if asked == "phi":
            return np.arctan2(py, px)
        if asked == "mass":
            return _root(energy * energy - (px * px + py * py + pz * pz))
        return np.hypot(pt, pz)
    pt, eta, phi = given["pt"], given["eta"], given["phi"]
    if asked in ("px", "py"):
        return pt * (np.cos(phi) if asked == "px" else np.sin(phi))
    if asked == "pz":
        return pt * np.sinh(eta)
    momentum = pt * np.cosh(eta)
    if asked == "p":
        return momentum
    if asked == "mass":
        energy = given["energy"]
        return _root(energy * energy - momentum * momentum)
    mass = given["mass"]
    return np.sqrt(momentum * momentum + mass * np.abs(mass))


#: What can be asked of a four-vector, ``.E`` and ``.m`` being ``.energy`` and ``.mass``.
COORDINATES = ("px", "py", "pz", "energy", "pt", "eta", "phi", "mass", "p")
OTHER_NAMES = {"E": "energy", "e": "energy", "m": "mass", "M": "mass", "rho": "pt"}


def _root(square: Any) -> Any:
    """Of a negative number, minus the root of its size: as vector has masses."""
    return np.copysign(np.sqrt(np.abs(square)), square)
