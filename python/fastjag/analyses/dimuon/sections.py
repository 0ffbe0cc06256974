"""The sections of a configuration for flows, classifiers and significances: defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastjag.core.checks import at_least, near_misses

#: Grids of sideband rates of the publication.
COARSE = (1.0, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001)
FINE = tuple(float(x) for x in np.logspace(0, -3, 25))

FLOW: dict[str, Any] = {
    "preset": "spline",
    "seeds": None,  # one flow each; by default one, with the seed of the configuration
    "settings": {},
}
CLASSIFIER: dict[str, Any] = {
    "preset": "paper",
    "settings": {},
    "latent": False,  # LaCATHODE
    "pseudo_experiments": 0,  # bootstraps of the data, for bands
    "null_experiments": 0,  # data made by the flows, for calibration
    "experiment_members": None,  # trees' ensembles in them; by default as many as for data
}
SIGNIFICANCE: dict[str, Any] = {
    "degree": 5,
    "degrees": [3, 5, 7],
    "edges": [8, 12, 16],
    "rates": list(FINE),
    "toys": 200,  # background-only toys of each curve; 0: none
    "peaks": False,  # look for peaks in the background (fit_peaks)
}

SECTIONS = {"flow": FLOW, "classifier": CLASSIFIER, "significance": SIGNIFICANCE}


def completed(
    given: Mapping[str, Any], defaults: Mapping[str, Any], section: str
) -> dict[str, Any]:
    """A section with its defaults; ValueError naming the key that is wrong and what is accepted."""
    for key in given:
        if key not in defaults:
            raise ValueError(
                f"unknown key in {section}: {key!r}: {near_misses(str(key), defaults)}"
            )
    result = {**defaults, **given}
    for key, value in given.items():
        if value is not None or defaults[key] is not None:
            _CHECKS[key](f"{section}.{key}", value)
    return result


def _number_from(least: int) -> Callable[[str, Any], None]:
    return lambda name, value: (at_least(name, value, least), None)[1]


def _list(name: str, values: Any, check: Callable[[str, Any], None], what: str) -> None:
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name} must be a list of {what}, got {values!r}")
    for value in values:
        check(name, value)


def _integers(least: int) -> Callable[[str, Any], None]:
    what = "integers" if least < 1 else f"integers >= {least}"

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a list of {what}, got {value!r} in it")

    def different(name: str, values: Any) -> None:
        _list(name, values, check, what)
        if len(set(values)) < len(values):
            raise ValueError(f"{name} must be a list of different {what}, got {values!r}")

    return different


def _rate(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(
            f"{name} must be a list of numbers above 0 and up to 1, got {value!r} in it"
        )


def _of_type(kind: type, what: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise ValueError(f"{name} must be {what}, got {value!r}")  # noqa: TRY004

    return check


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "preset": _of_type(str, "the name of a preset"),
    "settings": _of_type(Mapping, "a table of keys and values"),
    "seeds": _integers(0),
    "latent": _of_type(bool, "true or false"),
    "peaks": _of_type(bool, "true or false"),
    "pseudo_experiments": _number_from(0),
    "null_experiments": _number_from(0),
    "experiment_members": _number_from(1),
    "degree": _number_from(0),
    "degrees": _integers(0),
    "edges": _integers(2),
    "rates": lambda name, values: _list(name, values, _rate, "numbers above 0 and up to 1"),
    "toys": _number_from(0),
}
