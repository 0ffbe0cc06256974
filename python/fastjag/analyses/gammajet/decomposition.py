"""The response by decomposing the hadronic recoil (HDM), and bands of it by variations.

MPF is a sum of what the leading jet, other jets and everything else (unclustered) have along the photon,

    R_MPF = R_lead + R_others + R_unclustered,

each in units of the photon's pt. In truth the three shares add up to 1. If all jets have the response R
and the rest R_u, then R_lead + R_others = R (1 - R_unclustered / R_u), so that

    R = (R_lead + R_others) / (1 - R_unclustered / R_u)

of mean values. It needs no limit alpha -> 0, and what it assumes is R_u alone, for the small share that
is in no jet. Source: the photon+jet calibration of CMS (https://github.com/miquork/gamjet, where the
parts are MPF1, MPFn and MPFu).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.core.arrays import Array


class Decomposed(NamedTuple):
    """The response of jets in one bin, and the mean parts of MPF."""

    mean: float
    error: float  #: statistical, of the three parts together
    lead: float
    others: float
    unclustered: float
    entries: int


def decompose(rows: Mapping[str, Array], unclustered_response: float) -> Decomposed:
    """Of events with ``mpf``, ``mpf_lead``, ``mpf_others`` and ``weight``; NaN where they are fewer than 2.

    The error follows from the events' weighted scatter about the linearised ratio.
    """
    w = np.asarray(rows["weight"], np.float64)
    total = w.sum()
    if len(w) < 2 or not total > 0:
        return Decomposed(np.nan, np.nan, np.nan, np.nan, np.nan, len(w))
    lead, others, mpf = (np.asarray(rows[c]) for c in ("mpf_lead", "mpf_others", "mpf"))
    rest = mpf - lead - others
    means = [float((w * v).sum() / total) for v in (lead, others, rest)]
    share = 1 - means[2] / unclustered_response
    jets = means[0] + means[1]
    scatter = (lead + others - jets) / share + jets / share**2 * (
        rest - means[2]
    ) / unclustered_response
    error = float(np.sqrt((w**2 * scatter**2).sum()) / total)
    return Decomposed(jets / share, error, means[0], means[1], means[2], len(w))


def hdm(rows: Mapping[str, Array], config: GammaJetConfig) -> list[dict[str, Any]]:
    """The decomposed response in the bins of the measurement: plain data, a list of ranges in eta.

    Of events with |MPF - 1| < ``max_deviation``, for all alpha.
    """
    edges = np.asarray(config.pt_edges, np.float64)
    result = []
    for low, high in config.eta_ranges:
        eta = np.abs(rows["jet_eta"])
        good = (eta >= low) & (eta < high) & (np.abs(rows["mpf"] - 1) < config.max_deviation)
        which = np.searchsorted(edges, rows["photon_pt"], side="right") - 1
        bins = []
        for i in range(len(edges) - 1):
            part = {c: v[good & (which == i)] for c, v in rows.items()}
            found = decompose(part, config.unclustered_response)
            bins.append({"low": edges[i], "high": edges[i + 1], **found._asdict()})
        result.append({"eta": [low, high], "bins": bins})
    return result


def bands(
    nominal: list[dict[str, Any]], varied: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """By how much the mean response of each bin shifts: of every variation, and of all of them.

    ``nominal`` and ``varied`` are what :func:`fastjag.analyses.gammajet.response.measure` gives. Up and
    down of one source count by the larger shift; sources are added in quadrature.
    """
    sources = sorted({name.rsplit(" ", 1)[0] for name in varied})
    result = []
    for k, part in enumerate(nominal):
        bins = []
        for i, b in enumerate(part["bins"]):
            shifts = {
                name: _shift(b["mean"], own[k]["bins"][i]["mean"]) for name, own in varied.items()
            }
            largest = [
                np.abs([s for name, s in shifts.items() if name.rsplit(" ", 1)[0] == source]).max()
                for source in sources
            ]
            bins.append({"low": b["low"], "high": b["high"], "mean": b["mean"], "shifts": shifts,
                         "band": float(np.sqrt(np.square(largest).sum()))})  # fmt: skip
        result.append({"eta": part["eta"], "estimator": part["estimator"], "bins": bins})
    return result


def _shift(nominal: float, varied: float) -> float:
    return float(varied - nominal)
