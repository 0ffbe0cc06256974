"""Whether a fit describes its data, and the words for where it does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

#: A fit whose chi2 has a smaller probability is a bad one.
BAD_FIT = 1e-3


def fit_probability(chi2: float, dof: int) -> float:
    """Chance of at least this chi2 with ``dof`` degrees of freedom, of a model that is right.

    NaN where there is no degree of freedom to judge by, 0 where chi2 is no finite number.
    """
    if dof < 1:
        return float("nan")
    return float(special.gammaincc(dof / 2, max(chi2, 0) / 2)) if np.isfinite(chi2) else 0.0


def fit_warning(chi2: float, dof: int) -> str:
    """What to print beside the numbers of a bad fit: "! bad fit, p = 1e-22"; "" for a good one."""
    p = fit_probability(chi2, dof)
    if not p < BAD_FIT:
        return ""
    return f"! bad fit, p = {p:.1g}" if p > 0 else "! bad fit, p < 1e-300"


def bad_fits(fits: Mapping[str, tuple[float, int]]) -> str:
    """A sentence for a report's summary that names the bad ones of (chi2, dof); "" without any."""
    found = {name: fit_warning(*fit).removeprefix("! bad fit, ") for name, fit in fits.items()}
    named = ", ".join(f"{name} ({p})" for name, p in found.items() if p)
    return named and (
        f"! Bad fits, whose chi2 has a probability below {BAD_FIT:g}: {named}. The numbers that "
        "come from them cannot be trusted."
    )
