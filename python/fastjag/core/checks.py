"""Arguments of functions: what is accepted, and errors that name the argument and near misses."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from numbers import Real
from typing import Any

import numpy as np


def near_misses(name: str, known: Iterable[str]) -> str:
    """A sentence that helps with a name that is not known."""
    import difflib  # only needed for an error

    names = list(known)
    # People forget prefixes ("pt" for "Muon_pt") and case as often as they mistype.
    close = [n for n in names if n.lower() == name.lower()]
    close += [n for n in names if n.lower().endswith("_" + name.lower()) and n not in close]
    close += [n for n in difflib.get_close_matches(name, names, n=5, cutoff=0.7) if n not in close]
    if close:
        return "did you mean " + " or ".join(repr(n) for n in close[:5]) + "?"
    if len(names) > 12:
        return f"there are {len(names)}, among them {', '.join(sorted(names)[:12])}, ..."
    return "accepted are " + ", ".join(repr(n) for n in names) if names else "there are none"


def one_of(argument: str, value: object, accepted: Sequence[str]) -> str:
    """``value`` if it is one of ``accepted``, else a ValueError naming the argument."""
    if value not in accepted:
        listed = " or ".join(repr(a) for a in accepted)
        raise ValueError(f"{argument} must be {listed}, got {value!r}")
    return str(value)


def is_integer(value: Any) -> bool:
    """Whether it is a number such as an index, or an array of one without dimensions."""
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool)
    return getattr(value, "shape", None) == () and value.dtype.kind in "iu"


def at_least(argument: str, value: object, least: int) -> int:
    """``value`` if it is an integer not below ``least``, else a ValueError naming the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{argument} must be an integer >= {least}, got {value!r}")
    return int(value)


def real(
    argument: str, value: object, *, least: float | None = None, above: float | None = None,
    finite: bool = True,
) -> float:  # fmt: skip
    """``value`` if it is a number within these limits, else a ValueError naming the argument.

    NaN is refused always, as all comparisons with it are false; infinities unless ``finite`` is
    False.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan  # type: ignore[arg-type]
    if (
        math.isnan(number)
        or (finite and math.isinf(number))
        or (least is not None and number < least)
        or (above is not None and number <= above)
    ):
        limit = f" >= {least:g}" if least is not None else ""
        limit += f" above {above:g}" if above is not None else ""
        raise ValueError(f"{argument} must be a number{limit}, got {value!r}")
    return number


def needs(module: str, extra: str) -> None:
    """An ImportError that says what to install, before an optional library is used."""
    if find_spec(module) is None:
        from fastjag.core.extras import (
            how_to_install,  # reading metadata costs time: only for an error
        )

        raise ModuleNotFoundError(
            f"this needs {module}, which is not installed: {how_to_install(extra)}"
        )


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def n_bytes(step: str) -> int:
    """A size such as '100 MB' in bytes."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kKMGT]?)(i?)B\s*", step)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"step must be a number of events or a size like '100 MB', got {step!r}")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
