"""Points with errors, ratios of samples, and marks for what does not fit into a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_ROOM = 0.03  # of the height of axes: between an arrow and their edge


def poisson_errors(counts: ArrayLike) -> Floats:
    """(2, n) errors of n counts below and above: central 68.3 % intervals of a Poisson mean.

    F. Garwood, Biometrika 28 (1936) 437. No event has none below, and 1.84 above. Counts need not be
    whole numbers, but must not be negative (ValueError). Needs scipy.
    """
    from scipy import special

    n = np.asarray(counts, np.float64)
    if not (n >= 0).all():
        raise ValueError(f"counts must be 0 or more, got {n[~(n >= 0)][0]:g}")
    tail = float(special.ndtr(-1.0))
    low = np.where(n > 0, special.gammaincinv(np.maximum(n, 1e-9), tail), 0)
    return np.stack([np.maximum(n - low, 0), special.gammaincinv(n + 1, 1 - tail) - n])


def efficiency_errors(passed: ArrayLike, total: ArrayLike) -> Floats:
    """(2, n) errors of n shares passed / total below and above: central 68.3 % Clopper-Pearson intervals.

    C. Clopper, E. Pearson, Biometrika 26 (1934) 404. A share of 0 has an error above, and of 1 one
    below. Numbers may be effective ones, which need not be whole. NaN where ``total`` is 0. Raises
    ValueError for shares outside of 0 to 1. Needs scipy.
    """
    from scipy import special

    k, n = np.broadcast_arrays(np.asarray(passed, np.float64), np.asarray(total, np.float64))
    if not ((k >= 0) & (k <= n)).all():
        raise ValueError("what passed must be between 0 and the total")
    tail, there = float(special.ndtr(-1.0)), n > 0
    share = np.divide(k, n, where=there, out=np.full(n.shape, np.nan))
    low = np.where(k > 0, special.betaincinv(np.maximum(k, 1e-9), n - k + 1, tail), 0)
    high = np.where(k < n, special.betaincinv(k + 1, np.maximum(n - k, 1e-9), 1 - tail), 1)
    errors = np.stack([share - low, high - share])
    return np.asarray(np.where(there, np.maximum(errors, 0), np.nan))


def middles(edges: ArrayLike, *, logarithmic: bool = False) -> Floats:
    """(n,) middles of n bins, on a logarithmic axis those that look like it."""
    e = np.asarray(edges, np.float64)
    return np.sqrt(e[1:] * e[:-1]) if logarithmic else (e[1:] + e[:-1]) / 2


def points(
    ax: Any,
    edges: ArrayLike,
    counts: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    variances: ArrayLike | None = None,
    zeros: bool = True,
    **style: Any,
) -> Floats:
    """Draw bins as points with errors; (n,) upper ends of the errors.

    ``counts`` have errors of Poisson (:func:`poisson_errors`), or roots of ``variances`` where they
    are sums of weights. Both are drawn times ``scale``: one number, or one for each bin, such as 1
    over its width. Bins without any event have the upper end of an error, and no point; without
    ``zeros`` nothing. ``style`` is that of ``Axes.errorbar``: black points by default.
    """
    n, factor = np.asarray(counts, np.float64), np.asarray(scale, np.float64)
    errors = poisson_errors(n) if variances is None else np.tile(np.sqrt(variances), (2, 1))
    x = middles(edges, logarithmic=ax.get_xscale() == "log")
    drawn = {"fmt": "o", "ms": 5, "lw": 1.4, "color": "k", **style}
    there = n != 0
    for chosen, more in ((there, {}), (~there, {"ms": 0, "label": None})):
        if chosen.any() and (zeros or "label" not in more):
            ax.errorbar(
                x[chosen], (n * factor)[chosen], (errors * factor)[:, chosen], **{**drawn, **more}
            )
    return np.asarray((n + errors[1]) * factor)


def band(ax: Any, edges: ArrayLike, values: ArrayLike, errors: ArrayLike, **style: Any) -> None:
    """The error of a histogram as a band of its colour around it, (n,) or (2, n) below and above."""
    v, e = np.asarray(values, np.float64), np.asarray(errors, np.float64)
    below, above = e if e.ndim == 2 else (e, e)
    low, high = (np.append(x, x[-1:]) for x in (v - below, v + above))
    ax.fill_between(edges, low, high, step="post", **{"alpha": 0.25, "lw": 0, **style})


def ratio(
    ax: Any,
    edges: ArrayLike,
    values: ArrayLike,
    errors: ArrayLike,
    *,
    limits: tuple[float, float] = (0.5, 1.5),
    title: str = "Ratio",
    **style: Any,
) -> None:
    """Draw a ratio with its errors around 1; arrows stand where it is beyond ``limits``.

    ``values`` (n,) may be NaN where there is nothing to divide by; ``errors`` are (n,) or (2, n).
    """
    r, error = np.asarray(values, np.float64), np.asarray(errors, np.float64)
    known = np.isfinite(r)
    x = middles(edges, logarithmic=ax.get_xscale() == "log")
    drawn = {"fmt": "o", "ms": 5, "lw": 1.4, "color": "k", **style}
    ax.axhline(1, color="0.5", lw=1, ls=":", zorder=0)
    ax.errorbar(x[known], r[known], error[..., known], **drawn)
    ax.set(ylim=limits, ylabel=title)
    mark_outside(ax, x[known], r[known], color=drawn["color"])


def mark_outside(ax: Any, x: ArrayLike, y: ArrayLike, **style: Any) -> int:
    """Arrows at the edge of axes for points that lie above or below them; their number.

    Call it when the limits of the axes stand.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    low, high = ax.get_ylim()
    inside = (x >= min(ax.get_xlim())) & (x <= max(ax.get_xlim()))
    number = 0
    for beyond, marker, height in ((y > high, "^", 1 - _ROOM), (y < low, "v", _ROOM)):
        at = x[beyond & inside]
        number += len(at)
        if len(at):
            ax.plot(at, np.full(len(at), height), ls="none", marker=marker, clip_on=False,
                    transform=ax.get_xaxis_transform(), **{"ms": 8, "color": "k", **style})  # fmt: skip
    return number


def mark_overflow(
    ax: Any, below: float = 0, above: float = 0, unit: str = "", height: float = 0.95
) -> None:
    """Says in the upper corners how many entries lie left and right of the axes: "12 →".

    ``unit`` stands behind the number, such as " %" of all. The text ends below ``height`` (0 to 1), for
    axes whose upper corners are full.
    """
    for number, text, x, align in (
        (below, "← {}{}", 0.035, "left"),
        (above, "{}{} →", 0.965, "right"),
    ):
        if number:
            shown = f"{number:,.0f}" if number == int(number) else f"{number:,.3g}"
            shown = "< 0.01" if 0 < number < 0.01 else shown
            ax.text(x, height, text.format(shown, unit), transform=ax.transAxes, ha=align, va="top",
                    fontsize=0.8 * ax.xaxis.label.get_size(), color="0.35",
                    bbox={"fc": "w", "ec": "none", "pad": 1, "alpha": 0.7})  # fmt: skip
