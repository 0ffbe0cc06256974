"""The table of significances: what was cut, and how significant the rest is, as published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.config import COARSE
from fastjag.analyses.dimuon.cuts import CLASSIFIER, RANDOM, Curve
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.verdicts import fit_numbers
from fastjag.statistics import Significance, ToyCurve, ToyP, Window, sideband_chi2

_RATES = COARSE[1:]  # 1 is the inclusive fit


def table_rows(
    curves: Mapping[str, Curve], weighted: Significance, toys: Mapping[str, ToyCurve],
    toys_weighted: ToyP | None, profiled: Mapping[str, Floats], window: Window,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of one charge class; ``profiled`` are those of ``inference``."""

    def row(name: str, at: int, selection: str, best: bool = False) -> dict[str, Any]:
        curve, toy = curves[name], toys.get(name)
        numbers = {key: getattr(curve.result, key)[at] for key in ("S", "B", "Z", "p", "converged")}
        local = None if toy is None else toy.local
        chance = None if toy is None or not best else toy
        chi2 = sideband_chi2(
            curve.counts.left[at], curve.counts.right[at], curve.result.coefficients[at],
            window=window,
        )  # fmt: skip
        return {
            "discriminant": name, "selection": selection, "rate": curve.rates[at],
            "cut": curve.cuts[at], "few_events": bool(curve.few[at]), **numbers,
            "Z_profiled": profiled[name][at] if profiled else None, **fit_numbers(chi2), **_toy_numbers(local, at), **_global_numbers(chance),
        }  # fmt: skip

    main = curves[CLASSIFIER]
    rows = [
        {**row(CLASSIFIER, 0, "inclusive"), "discriminant": "none", "cut": None}
    ] if main.wanted[0] == 1 else []  # fmt: skip
    for name, curve in curves.items():
        if name not in (CLASSIFIER, RANDOM):
            rows.append(row(name, curve.best, "best cut", best=True))
    rows += [
        row(CLASSIFIER, int(at), f"{100 * rate:g} %")
        for rate in _RATES
        for at in np.flatnonzero(main.wanted == rate)
    ]
    rows.append(row(CLASSIFIER, main.best, "best cut", best=True))
    rows.append({
        "discriminant": CLASSIFIER, "selection": "likelihood reweighting", "rate": None,
        "cut": None, "few_events": False,
        **{key: getattr(weighted, key)[()] for key in ("S", "B", "Z", "p", "converged")},
        "Z_profiled": None, **fit_numbers(None), **_toy_numbers(toys_weighted, ()), **_global_numbers(None),
    })  # fmt: skip
    return rows


def _toy_numbers(toys: ToyP | None, at: Any) -> dict[str, Any]:
    if toys is None:
        return dict.fromkeys(("toy_p", "toy_p_low", "toy_p_high", "toys", "agrees"))
    return {
        "toy_p": toys.p[at], "toy_p_low": toys.low[at], "toy_p_high": toys.high[at],
        "toys": toys.toys, "agrees": bool(toys.agrees[at]),
    }  # fmt: skip


def _global_numbers(toys: ToyCurve | None) -> dict[str, Any]:
    keys = ("p_global", "Z_global", "trials")
    return {key: None if toys is None else float(getattr(toys, key)) for key in keys}
