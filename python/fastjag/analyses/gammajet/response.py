"""Stage: the response of jets in bins of the photon's pt, of data and of simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.decomposition import bands, hdm
from fastjag.analyses.gammajet.gaussian_core import core
from fastjag.analyses.gammajet.profiles import extrapolate, profile
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.stitching import continuity
from fastjag.core.arrays import Array
from fastjag.reporting.output import results_directory, write_json

ESTIMATORS = ("balance", "mpf")


def response(results: GammaJetResults) -> None:
    """``response.json``: what :func:`measure` gives, and the continuity of stitched samples."""
    config = results.config
    rows = {"data": results.rows(data=True), "simulation": results.rows(data=False)}
    measured: dict[str, Any] = {}
    for name, content in rows.items():
        if content and not len(content["weight"]):
            raise ValueError(f"no event of {name} passes the selection: {results.totals()}")
        if content:
            measured[name] = measure(content, config)
            measured.setdefault("hdm", {})[name] = hdm(content, config)
    if "simulation" in measured and results.variations():
        varied = {name: measure(results.rows(data=False, variation=name), config)
                  for name in results.variations()}  # fmt: skip
        measured["bands"] = bands(measured["simulation"], varied)
    if {"gjets", "qcd"} <= {sample.kind for sample in config.samples}:
        simulated = rows["simulation"]
        measured["continuity"] = continuity(simulated["delta_r"], simulated["weight"])._asdict()
    with results_directory(results.folder("response")) as directory:
        write_json(directory / "response.json", measured)


def measure(rows: Mapping[str, Array], config: GammaJetConfig) -> list[dict[str, Any]]:
    """Responses of events in bins of the photon's pt, per range in eta: plain data.

    For balance and MPF: mean and error for alpha below ``max_alpha``, the Gaussian core, and the
    line extrapolated to alpha = 0, with the mean alpha and pt of the bin. Only events with
    |R - 1| < ``max_deviation`` count; how many were left out is stated.
    """
    result = []
    edges = np.asarray(config.pt_edges, np.float64)
    for low, high in config.eta_ranges:
        eta = np.abs(rows["jet_eta"])
        inside = (eta >= low) & (eta < high)
        for estimator in ESTIMATORS:
            near = np.abs(rows[estimator] - 1) < config.max_deviation
            part = {c: v[inside & near] for c, v in rows.items()}
            few = part["alpha"] < config.max_alpha
            pt, r, w = part["photon_pt"], part[estimator], part["weight"]
            means = profile(pt[few], r[few], w[few], edges=edges)
            alphas = profile(pt[few], part["alpha"][few], w[few], edges=edges)
            bins = []
            which = np.searchsorted(edges, pt, side="right") - 1
            for i in range(len(edges) - 1):
                here = which == i
                line = extrapolate(part["alpha"][here], r[here], w[here], edges=config.alpha_edges)
                middle = core(r[here & few], w[here & few])
                bins.append(
                    {"low": edges[i], "high": edges[i + 1], "pt": means.x[i],
                     "mean": means.mean[i], "error": means.error[i], "alpha": alphas.mean[i],
                     "entries": int(means.entries[i]), "core": middle._asdict(),
                     "line": line._asdict()}
                )  # fmt: skip
            result.append(
                {"eta": [low, high], "estimator": estimator, "bins": bins,
                 "left_out": int((inside & ~near).sum())}
            )  # fmt: skip
    return result
