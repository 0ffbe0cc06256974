"""How well a tagger does on events that it has not seen: curves, areas and calibration, with errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.models.roc import area_error, roc_curve
from fastjag.reporting.points import efficiency_errors

Floats = NDArray[np.float64]

_POINTS = 200  # of a curve
_BINS = 10  # of predicted probabilities


def curve_of(is_signal: NDArray[np.bool_], scores: Floats, weights: Floats) -> dict[str, Any]:
    """The curve of one class against the others, with errors by effective numbers of events.

    ``efficiency`` and ``mistag`` (n,), ``mistag_error`` (2, n) below and above, ``auc`` and ``auc_error`` (J. Hanley, B.
    McNeil, Radiology 143 (1982) 29), mistag rates at 50 and 80 % efficiency. Effective numbers are
    (sum w)² / sum w².
    """
    curve = roc_curve(is_signal, scores, weights)
    signal, background = (effective(weights[part]) for part in (is_signal, ~is_signal))
    grid = np.linspace(1 / _POINTS, 1, _POINTS)
    rate = np.interp(grid, curve.signal, curve.background)
    found: dict[str, Any] = {
        "auc": curve.area, "auc_error": area_error(curve.area, signal, background),
        "signal_events": signal, "background_events": background,
        "efficiency": grid, "mistag": rate,
        "mistag_error": efficiency_errors(rate.clip(0, 1) * background, background),
    }  # fmt: skip
    for percent in (50, 80):
        at = float(np.interp(percent / 100, curve.signal, curve.background))
        below, above = efficiency_errors(np.clip(at, 0, 1) * background, background)
        found[f"mistag_at_{percent}"] = {"rate": at, "below": float(below), "above": float(above)}
    return found


def effective(weights: Floats) -> float:
    """(sum w)² / sum w²; 0 without events."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def calibration_of(is_signal: NDArray[np.bool_], scores: Floats, weights: Floats) -> dict[str, Any]:
    """Of bins of the predicted probability: its mean, the share that is of the class, and its errors.

    Bins hold equally many events. ``weights`` are those of the training, which say how probable the classes are. Where
    bins are right, ``chi2`` is about ``bins``; ``off`` is the mean |share - probability| (expected calibration
    error).
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)))
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows: list[dict[str, float]] = []
    for i in range(max(len(edges) - 1, 1)):
        own = place == i
        w, total = weights[own], float(weights[own].sum())
        if total <= 0:
            continue
        n = effective(w)
        share = float(w[is_signal[own]].sum()) / total
        mean = float((w * scores[own]).sum()) / total
        below, above = efficiency_errors(np.clip(share, 0, 1) * n, n)
        # What the spread would be, were the predictions right: of a share of 0 there is none in what was seen.
        spread = np.sqrt(float((w**2 * scores[own] * (1 - scores[own])).sum())) / total
        rows.append({"predicted": mean, "share": share, "below": float(below), "above": float(above),
                     "events": n, "pull": (share - mean) / spread if spread > 0 else 0.0,
                     "weight": total})  # fmt: skip
    total = sum(row["weight"] for row in rows)
    return {
        "bins": rows,
        "chi2": sum(row["pull"] ** 2 for row in rows), "dof": len(rows),
        "off": sum(row["weight"] * abs(row["share"] - row["predicted"]) for row in rows) / total,
    }  # fmt: skip


def histogram_of(scores: Floats, weights: Floats, edges: Floats) -> dict[str, Any]:
    """Shares of the weights in bins of a score, and their errors."""
    sums, squares = (np.histogram(scores, edges, weights=weights**k)[0] for k in (1, 2))
    total = weights.sum()
    return {"share": sums / total, "error": np.sqrt(squares) / abs(total)}
