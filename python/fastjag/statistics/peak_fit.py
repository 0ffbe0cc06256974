"""Peaks in a spectrum of masses: extended maximum-likelihood fits with iminuit."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.checks import at_least, near_misses, needs, one_of, real
from fastjag.reporting.peak_picture import peak_picture
from fastjag.reporting.plots import save
from fastjag.reporting.points import poisson_errors
from fastjag.reporting.report import with_error
from fastjag.statistics.goodness import fit_probability, fit_warning, merge_bins
from fastjag.statistics.peak_data import PeakData, peak_data
from fastjag.statistics.peak_minimum import limits_of, minimise
from fastjag.statistics.peak_shapes import BACKGROUNDS, SHAPES, TAILS, PeakModel, least_error
from fastjag.statistics.peak_starts import start_values
from fastjag.statistics.windows import Floats

_MOST_DEGREE = 8


@dataclass(frozen=True, repr=False, eq=False)
class PeakFit:
    """A fitted peak on its background. Masses and widths are in the unit of the data, such as GeV."""

    model: PeakModel  #: shape, background, degree, peaks, window
    parameters: dict[str, tuple[float, float]]  #: name: (value, HESSE error); 0 for what was fixed
    covariance: Floats  #: (n, n), in the order of ``parameters``; 0 for what was fixed
    intervals: dict[str, tuple[float, float]]  #: name: (down, up) of MINOS, where it was asked for
    edges: Floats  #: (n_bins + 1,), of the bins that chi2, pulls and the picture are about
    counts: Floats  #: (n_bins,), sums of weights where entries have weights
    variances: Floats  #: (n_bins,), sums of squared weights
    unbinned: bool
    chi2: float  #: Pearson's, of bins that are taken together until 5 entries are expected
    dof: int
    #: whether the minimiser found a minimum and its errors, with mass and width inside their limits
    valid: bool
    warnings: tuple[
        str, ...
    ]  #: sentences: what is wrong with the fit, and what was fixed on the way

    @property
    def window(self) -> tuple[float, float]:
        return self.model.window

    @property
    def mass(self) -> float:
        """Of the peak, or of the first of several."""
        return self.parameters["mass"][0]

    @property
    def mass_error(self) -> float:
        return self.parameters["mass"][1]

    @property
    def width(self) -> float:
        """Standard deviation of the Gaussian, or of the Gaussian part of the shape."""
        return self.parameters["width"][0]

    @property
    def width_error(self) -> float:
        return self.parameters["width"][1]

    @property
    def events(self) -> float:
        """The yield: entries in the window that are in a peak, of all peaks together."""
        return self._sum(self.model.yields)[0]

    @property
    def events_error(self) -> float:
        return self._sum(self.model.yields)[1]

    @property
    def background(self) -> float:
        """Entries in the window that are in no peak."""
        return self._sum(self.model.below)[0]

    @property
    def background_error(self) -> float:
        return self._sum(self.model.below)[1]

    @property
    def p_value(self) -> float:
        """Chance of at least this chi2, if the shapes are right; NaN without a degree of freedom."""
        return fit_probability(self.chi2, self.dof)

    @property
    def correlation(self) -> Floats:
        """(n, n), in the order of ``parameters``; 0 for what was fixed."""
        sigma = np.sqrt(np.diag(self.covariance))
        norm = np.outer(sigma, sigma)
        return np.asarray(np.divide(self.covariance, norm, out=np.zeros_like(norm), where=norm > 0))

    @property
    def expected(self) -> Floats:
        """Entries in each bin of ``edges``."""
        return _expected(self.model, self.edges, self._values())

    @property
    def pulls(self) -> Floats:
        """(counts - expected) / error of each bin, with the error that is expected."""
        scale = _scale(self.counts, self.variances)
        return np.asarray((self.counts - self.expected) / np.sqrt(self.expected * scale))

    def curve(self, x: ArrayLike, part: str = "all") -> Floats:
        """Expected entries per unit of mass at ``x``; NaN outside of the window.

        ``part`` is "all", "peak" (all peaks) or "background".
        """
        one_of("part", part, ("all", "peak", "background"))
        at = np.asarray(x, np.float64)
        flat = np.atleast_1d(at).ravel()
        shapes, events, below, slope = self.model.split(self._values())
        total = np.zeros(len(flat))
        if part != "background":
            total += events @ self.model.peak_density(flat, shapes)
        if part != "peak":
            total += below @ self.model.background_density(flat, slope)
        low, high = self.window
        total[~((flat >= low) & (flat <= high))] = np.nan
        return total.reshape(at.shape)

    def picture(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        label: str = "mass [GeV]",
        entries: str = "Entries",
    ) -> Any:
        """A matplotlib figure: points with Poisson errors, the fit, and pulls below (needs mplhep).

        It is written to ``path``, if there is one, in the format of its ending.
        """
        needs("mplhep", "plots")
        x = np.linspace(*self.window, 600)
        unit = label.partition("[")[2].partition("]")[0]
        text = [
            f"mass: {with_error(*self.parameters['mass'])} {unit}".rstrip(),
            f"width: {with_error(*self.parameters['width'])} {unit}".rstrip(),
            *(
                f"{n.replace('_', ' ')}: {with_error(*self.parameters[n])}"
                for n in self.model.yields
            ),
            *(
                [rf"$\chi^2$ / dof = {self.chi2:.1f} / {self.dof}, p = {self.p_value:.2g}"]
                if self.dof > 0
                else []
            ),
        ]
        figure = peak_picture(
            self.edges, self.counts, self._point_errors(),
            (x, self.curve(x), self.curve(x, "background")), self.pulls,
            text=text, warnings=self.warnings, label=label, entries=entries,
        )  # fmt: skip
        if path is not None:
            save(figure, Path(path))
        return figure

    def numbers(self) -> dict[str, Any]:
        """All but the bins, for JSON."""
        return {
            "shape": self.model.shape, "background_shape": self.model.background,
            "window": self.window, "peaks": self.model.peaks, "unbinned": self.unbinned,
            "mass": self.mass, "mass_error": self.mass_error,
            "width": self.width, "width_error": self.width_error,
            "events": self.events, "events_error": self.events_error,
            "background": self.background, "background_error": self.background_error,
            "parameters": {n: {"value": v, "error": e} for n, (v, e) in self.parameters.items()},
            "intervals": self.intervals, "covariance": self.covariance,
            "chi2": self.chi2, "dof": self.dof, "p_value": self.p_value,
            "valid": self.valid, "warnings": self.warnings,
        }  # fmt: skip

    def __repr__(self) -> str:
        low, high = self.window
        p = f", p = {self.p_value:.2g}" if self.dof > 0 else ""
        return (
            f"PeakFit({self.model.shape} on {self.model.background}, {low:g} to {high:g}: "
            f"mass {with_error(*self.parameters['mass'])}, "
            f"width {with_error(*self.parameters['width'])}, "
            f"events {with_error(self.events, self.events_error)}, "
            f"background {with_error(self.background, self.background_error)}{p}"
            + "".join(f"; {warning}" for warning in self.warnings)
            + ")"
        )

    def _values(self) -> Floats:
        return np.array([value for value, _ in self.parameters.values()])

    def _sum(self, names: list[str]) -> tuple[float, float]:
        at = [list(self.parameters).index(name) for name in names]
        variance = float(self.covariance[np.ix_(at, at)].sum())
        return float(self._values()[at].sum()), math.sqrt(max(variance, 0.0))

    def _point_errors(self) -> Floats:
        """(2, n_bins) below and above: of Poisson, or the root of the sum of squared weights."""
        if not np.array_equal(self.counts, self.variances):
            return np.tile(np.sqrt(self.variances), (2, 1))
        return poisson_errors(self.counts)


def fit_peak(
    data: Any,
    window: tuple[float, float] | None = None,
    *,
    shape: str = "gaussian",
    background: str = "exponential",
    degree: int = 2,
    peaks: Sequence[float] = (),
    fixed: Mapping[str, float | None] | None = None,
    minos: bool = False,
) -> PeakFit:
    """Fit a peak on a background by extended maximum likelihood.

    Parameters
    ----------
    data
        Masses (n,), which are fitted one by one; a histogram of one axis (``hist.Hist`` or what
        uproot reads); or ``(counts, edges)``, or ``(counts, edges, variances)`` of weighted
        entries. In bins the likelihood is Poisson's, of the integral of the density; with weights
        it is that of a scaled Poisson variable (G. Bohm and G. Zech, NIM A 748 (2014) 1).
    window
        (low, high). Masses in low <= m < high count, and the bins that lie in it whole. Bins need
        none.
    shape
        "gaussian"; "crystal-ball", a Gaussian core with power-law tails on both sides
        (:class:`fastjag.statistics.CrystalBall`); or "voigt", a Breit-Wigner of full width
        ``gamma`` in a Gaussian resolution ``width``.
    background
        "exponential", exp(-slope m) of either sign; or "polynomial", a sum of Bernstein polynomials
        of this ``degree``, whose factors are not negative, and so neither is the sum.
    peaks
        Known masses of several peaks, such as (9.4604, 10.0234, 10.3551): their ratios stay, one
        scale is fitted, and widths are in the ratios of the masses.
    fixed
        Parameters not to fit, by name. The powers ``n_left`` and ``n_right`` of a Crystal Ball are
        fixed to 3 unless they are here: None lets them go, but few spectra can tell.
    minos
        Also find where 2 ln L falls by 1 on either side of each parameter: ``intervals``.

    Returns
    -------
    PeakFit
        Its parameters are ``mass``, ``width``, those of the shape (``gamma``, or ``alpha_left``,
        ``n_left``, ``alpha_right``, ``n_right``), ``events`` (``events_1``, ... of several peaks),
        ``b0``, ... (events of the background's parts) and ``slope``. Events are those in the window.

    Raises ValueError for too few entries, and for bins, windows and parameters that cannot be.
    Starts are found by themselves.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> masses = np.append(rng.normal(3.097, 0.03, 2000), rng.uniform(2.8, 3.4, 3000))
    >>> fit = fit_peak(masses, (2.8, 3.4))
    >>> abs(fit.mass - 3.097) < 3 * fit.mass_error, fit.valid
    (True, True)
    """
    needs("iminuit", "fit")
    one_of("shape", shape, tuple(SHAPES))
    one_of("background", background, BACKGROUNDS)
    if background == "polynomial" and at_least("degree", degree, 0) > _MOST_DEGREE:
        raise ValueError(f"degree must be at most {_MOST_DEGREE}, got {degree}")
    if not hasattr(peaks, "__len__") or hasattr(peaks, "upper"):  # a number, a string
        raise TypeError(f"peaks must be masses such as (9.46, 10.02), got {peaks!r}")
    known = tuple(real("peaks", mass, above=0) for mass in peaks)
    names = PeakModel(shape, background, degree, known, (0.0, 1.0)).names
    held = _held(fixed, names, shape)
    read = peak_data(data, window, len(names) - len(held))
    low, high = read.window
    for mass in (*known, *([held["mass"]] if "mass" in held else [])):
        if not low < mass < high:
            raise ValueError(f"a peak at {mass:g} is outside of the window {low:g} to {high:g}")
    model = PeakModel(shape, background, degree, known, read.window)
    start = start_values(model, read.edges, read.counts, held)
    limits = limits_of(model, read)
    done, notes = minimise(model, read, {n: start[n] for n in names}, limits, list(held))
    values = np.array(done.values)
    covariance = np.zeros((len(names), len(names)))
    if done.covariance is not None:
        covariance[:] = np.array(done.covariance)
    free = np.array([not done.fixed[n] for n in names])
    covariance[~free] = covariance[:, ~free] = 0
    # What gives no error is said in ``warnings``; a negative variance is none.
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    chi2, dof = _chi2(model, read, values, int(free.sum()))
    problems = _problems(model, read, done, limits, values, errors, free)
    intervals: dict[str, tuple[float, float]] = {}
    if minos and done.valid:
        done.minos()
        for name, error in done.merrors.items():
            intervals[name] = (float(error.lower), float(error.upper))
            if not error.is_valid:
                notes.append(f"! MINOS finds no interval of {name}")
    bad = fit_warning(chi2, dof)
    return PeakFit(
        model, {n: (float(v), float(e)) for n, v, e in zip(names, values, errors, strict=True)},
        covariance, intervals, read.edges, read.counts, read.variances, read.masses is not None,
        chi2, dof, not problems, (*problems, *([bad] if bad else []), *notes),
    )  # fmt: skip


def _held(
    fixed: Mapping[str, float | None] | None, names: list[str], shape: str
) -> dict[str, float]:
    """Names and values of parameters that are not fitted."""
    if not isinstance(fixed, Mapping | None):
        raise TypeError(f"fixed must be names and values, such as {{'width': 0.03}}, got {fixed!r}")
    usual = {n: TAILS[n][0] for n in SHAPES[shape] if n.startswith("n_")}
    for name, value in (fixed or {}).items():
        if name not in names:
            raise ValueError(f"no parameter {name!r} to fix: {near_misses(name, names)}")
        if value is None:
            usual.pop(name, None)
            continue
        number = real(f"fixed {name}", value)
        above = {"width": 0.0, "gamma": -1e-300, "n_left": 1.0, "n_right": 1.0}
        above |= {"alpha_left": 0.0, "alpha_right": 0.0}
        if number <= above.get(name, -math.inf) or (name.startswith("b") and number < 0):
            raise ValueError(f"fixed {name} cannot be {value:g}")
        usual[name] = number
    if usual.keys() >= set(names):
        raise ValueError("every parameter is fixed: nothing is left to fit")
    return usual


def _problems(
    model: PeakModel, data: PeakData, done: Any, limits: dict[str, tuple[Any, Any]],
    values: Floats, errors: Floats, free: Any,
) -> list[str]:  # fmt: skip
    """Why the numbers cannot be trusted; empty if they can."""
    names = model.names
    found = []
    if not done.valid:
        found.append("! the minimiser found no minimum")
    elif not done.accurate:
        found.append("! the errors are not accurate")
    for name in ("mass", "width"):
        low, high = limits[name]
        value, i = values[names.index(name)], names.index(name)
        slack = 1e-3 * (high - low)
        if free[i] and not low + min(slack, 0.05 * abs(low)) < value < high - slack:
            found.append(f"! {name} {value:.4g} is at its limit ({low:.4g} to {high:.4g})")
    shapes, _, _, _ = model.split(values)
    parts = model.peak_bins(data.edges, shapes)
    variances = _expected(model, data.edges, values) * _scale(data.counts, data.variances)
    for name, part in zip(model.yields, parts, strict=True):
        i = names.index(name)
        if free[i] and errors[i] < 0.8 * least_error(part, variances):
            found.append(f"! the error of {name}, {errors[i]:.3g}, is smaller than it can be")
    return found


def _expected(model: PeakModel, edges: Floats, values: Floats) -> Floats:
    shapes, events, below, slope = model.split(values)
    total = events @ model.peak_bins(edges, shapes) + below @ model.background_bins(edges, slope)
    return np.maximum(total, 1e-12)


def _scale(counts: Floats, variances: Floats) -> Floats:
    """Mean weight in bins, that of all where there is no entry."""
    mean = variances.sum() / counts.sum()
    filled = counts > 0
    return np.where(filled, variances / np.where(filled, counts, 1), mean)


def _chi2(model: PeakModel, data: PeakData, values: Floats, free: int) -> tuple[float, int]:
    scale = _scale(data.counts, data.variances)
    n, e = merge_bins(data.counts / scale, _expected(model, data.edges, values) / scale)
    return float(((n - e) ** 2 / e).sum()), len(e) - free
