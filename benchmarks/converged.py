"""Why published significances differ from converged ones: both minimisers on the same counts.

Usage: python benchmarks/converged.py [PICTURE.png]
Counts: plot_data of hep-lbdl/dimuonAD (arXiv:2502.14036), in published_spectra.json.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre
from scipy.optimize import minimize

from fastjag.reporting import plots
from fastjag.reporting.points import mark_outside
from fastjag.reporting.titles import axis_title
from fastjag.statistics import Window, significance

LEAST = 1e-9  # of a likelihood above its minimum that is shown

SPECTRA = json.loads((Path(__file__).parent / "published_spectra.json").read_text())


class Likelihood:
    """-2 ln L of one spectrum as function of the background's coefficients, in either basis."""

    def __init__(self, spectrum, legendre_basis):
        self.window = w = Window(*SPECTRA["window"], sr_edges=spectrum["sr_edges"])
        self.n = np.array([*spectrum["left"], *spectrum["right"], spectrum["signal"]], float)
        degree = spectrum["degree"]
        middle, half = (w.sb_right + w.sb_left) / 2, (w.sb_right - w.sb_left) / 2
        width = (w.sr_right - w.sr_left) / (w.sr_edges - 1)
        if legendre_basis:
            rows = legendre.legvander((w.centers - middle) / half, degree)
            ends = (np.array([w.sr_left, w.sr_right]) - middle) / half
            integrals = [legendre.legval(ends, legendre.legint(e)) for e in np.eye(degree + 1)]
            last = np.diff(integrals)[:, 0] * half / width
        else:
            rows = np.vander(w.centers, degree + 1, increasing=True)
            k = np.arange(1, degree + 2)
            last = (w.sr_right**k - w.sr_left**k) / k / width
        self.rows = np.vstack([rows, last])
        self.calls = []

    def __call__(self, theta, S=0.0, signal_region=True):
        """S is the signal; without the signal region only the sidebands are compared."""
        expected = self.rows @ theta
        expected[-1] += S
        n = self.n
        if not signal_region:
            expected, n = expected[:-1], n[:-1]
        value = np.inf
        if (expected > 0).all():
            ratio = np.where(n > 0, n, 1) / expected
            value = 2 * (expected - n + np.where(n > 0, n * np.log(ratio), 0)).sum()
        self.calls.append(value)
        return value

    def start(self):
        """The weighted least squares that the published minimiser starts from."""
        y = self.n[:-1]
        weights = 1 / np.sqrt(y + 1)
        return np.linalg.lstsq(self.rows[:-1] * weights[:, None], y * weights, rcond=None)[0]

    def newton(self, S=0.0, steps=40):
        """Coefficients of the optimum for a given signal; the likelihood is convex."""
        theta = self.start()
        for _ in range(steps):
            expected = self.rows @ theta
            expected[-1] += S
            gradient = self.rows.T @ (1 - self.n / expected)
            step = np.linalg.solve((self.rows.T * (self.n / expected**2)) @ self.rows, gradient)
            size, now = 1.0, self(theta, S)
            while size > 1e-9 and not self(theta - size * step, S) <= now:
                size /= 2
            theta = theta - size * step
        return theta


def simplex(spectrum, legendre_basis):
    """Nelder-Mead as published, null hypothesis first: q0, S and the trace of the null fit."""
    function = Likelihood(spectrum, legendre_basis)
    options = {"maxiter": 15_090, "maxfev": 10**6}
    null = minimize(function, function.start(), method="Nelder-Mead", options=options)
    trace = np.minimum.accumulate(function.calls)
    # In the best fit the signal takes what the background leaves: the sidebands alone decide.
    free = minimize(function, null.x, args=(0.0, False), method="Nelder-Mead", options=options)
    S = function.n[-1] - function.rows[-1] @ free.x
    return max(null.fun - free.fun, 0) if S > 0 else 0.0, S, trace, null.x


def compare(spectrum):
    w = Window(*SPECTRA["window"], sr_edges=spectrum["sr_edges"])
    counts = spectrum["left"], spectrum["signal"], spectrum["right"]
    started = time.process_time()
    ours = significance(*counts, window=w, degree=spectrum["degree"])
    ours_ms = 1e3 * (time.process_time() - started)
    started = time.process_time()
    q0, _, trace, null = simplex(spectrum, False)
    theirs_ms = 1e3 * (time.process_time() - started)
    good_q0, _, good_trace, _ = simplex(spectrum, True)
    print(
        f"{spectrum['name']:28} degree {spectrum['degree']} edges {spectrum['sr_edges']:2}: "
        f"published {spectrum['published_Z']:.3f}, Nelder-Mead in powers of mass {np.sqrt(q0):.3f} "
        f"({len(trace)} calls, {theirs_ms:.0f} ms), in Legendre polynomials {np.sqrt(good_q0):.3f}, "
        f"fastjag {ours.Z:.3f} ({ours_ms:.1f} ms, converged: {bool(ours.converged)})"
    )
    return ours, trace, good_trace, null


def draw(spectrum, path):
    """How far down each minimiser comes, the profile likelihood, and the null fits' residuals."""
    ours, trace, good_trace, null = compare(spectrum)
    function = Likelihood(spectrum, True)
    best = function(function.newton())
    published = spectrum["published_Z"]
    with plots.figure(20, 6.5) as (fig, ax):
        ax.remove()
        left, middle, right = fig.subplots(1, 3)
        for values, label, colour, style in (
            (trace, "powers of mass", plots.RED, "-"),
            (good_trace, "Legendre polynomials", plots.BLUE, "--"),
        ):
            calls, above = 1 + np.arange(len(values)), values - best
            left.plot(
                calls,
                np.where(above > LEAST, above, np.nan),
                style,
                color=colour,
                lw=2,
                label=label,
            )
            left.set(yscale="log", ylim=(LEAST, 1e4))
            if (above <= LEAST).any():  # an arrow where it is reached: what follows is rounding
                mark_outside(left, calls[above <= LEAST][:1], [0.0], color=colour)
        left.set( xlabel="Calls of the likelihood",
                 ylabel=r"$-2\,\ln L$ above its minimum, no signal")  # fmt: skip
        left.legend(title="Nelder-Mead in", title_fontsize=15, loc="lower left")

        S = np.linspace(0, 1.35 * ours.S, 28)
        profile = np.array([function(function.newton(x), x) for x in S])
        floor = best - float(ours.q0)
        middle.plot(S, profile - floor, color="k", lw=2, label="best background for each S")
        middle.plot(0, published**2, "X", ms=13, color=plots.RED, clip_on=False,
                    label=f"published: $Z^2 = {published:.3f}^2$")  # fmt: skip
        middle.plot(0, ours.q0, "o", ms=11, color=plots.BLUE, clip_on=False,
                    label=f"converged: $Z^2 = {ours.Z:.3f}^2$")  # fmt: skip
        middle.set(xlabel="Signal events S", ylabel=r"$-2\,\ln L$ above its minimum")
        middle.set_ylim(-20, 1.45 * published**2)
        middle.set_xlim(-80, S[-1])
        middle.legend(loc="upper right")

        w = function.window
        for rows, theta, label, style in (
            (
                Likelihood(spectrum, False).rows,
                null,
                "stopped in powers of mass",
                {"color": plots.RED},
            ),
            (function.rows, function.newton(), "converged", {"color": plots.BLUE, "mfc": "none"}),
        ):
            expected = (rows @ theta)[:-1]
            right.plot(w.centers, (function.n[:-1] - expected) / np.sqrt(expected), "o", ms=6,
                       label=label, **style)  # fmt: skip
        right.axvspan(w.sr_left, w.sr_right, color="0.9")
        right.axhline(0, color="0.5", lw=1)
        right.set(xlabel=axis_title("dimu_mass"), ylabel="Pull of the fit without signal")
        low, high = right.get_ylim()
        right.set_ylim(low, high + 0.22 * (high - low))
        right.legend(loc="upper right")
    plots.save(fig, path)


if __name__ == "__main__":
    first, *others = SPECTRA["spectra"]
    if len(sys.argv) > 1:
        draw(first, Path(sys.argv[1]))
    else:
        compare(first)
    for spectrum in others:
        compare(spectrum)
