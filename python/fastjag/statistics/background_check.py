"""Is a background model right in its window? Orders by F test, goodness of fit, spurious signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fastjag.core.checks import at_least
from fastjag.statistics.binned_model import BinnedModel
from fastjag.statistics.envelope import Models, as_counts, as_models, fit_signal
from fastjag.statistics.families import FAMILIES, Family
from fastjag.statistics.goodness import fit_probability, merge_bins
from fastjag.statistics.profile_fit import fit_model
from fastjag.statistics.windows import Floats

_LEVEL = 0.05  # of the F test of one more order
_FITS = 0.01  # probability of chi2 from which on a fit describes data
_LARGEST = 0.2  # spurious signal that is allowed, in errors of the signal


class OrderFit(NamedTuple):
    """The fit of one order of a family, with the signal free."""

    family: Family
    chi2: float  #: Pearson's, of bins with at least 5 expected events
    dof: int
    p_fit: float  #: chance of a larger chi2; NaN without degrees of freedom
    #: of the F test: chance that one more order, or two, improve as much without need; the smaller one
    p_order: float
    converged: bool


class BackgroundTest(NamedTuple):
    """What was tested of a background model, and what follows."""

    family: Family  #: that was tested
    fits: list[OrderFit]  #: of all families and orders
    chosen: list[Family]  #: of each family that describes the data, the order of the F test
    choices: list[Family]  #: those and one order more: for discrete profiling
    truths: list[Family]  #: that made Asimov data: ``chosen`` without the family that was tested
    spurious: Floats  #: (truths,) signal that the model finds in them, without one
    errors: Floats  #: (truths,) of the signal in such data
    expected: Floats  #: (truths,) background where the signal is
    profiled: Floats  #: (truths,) signal that profiling of ``choices`` finds, in its errors
    p_fit: float  #: of the model that was tested

    @property
    def bias(self) -> Floats:
        """(truths,) spurious signals in errors of the signal."""
        return self.spurious / self.errors

    @property
    def biased(self) -> bool:
        """Whether a spurious signal is above 0.2 errors, or the fit is a bad one."""
        return bool((np.abs(self.bias) > _LARGEST).any()) or self.p_fit < _FITS

    @property
    def says(self) -> str:
        """The result in a sentence, which begins with ! where the model is biased."""
        poor = self.p_fit < _FITS
        bad = f"! The background {self.family} does not describe the data: p = {self.p_fit:.2g}."
        if not self.truths:
            return (
                bad
                if poor
                else (
                    f"! The background {self.family} could not be tested: no other family describes the data."
                )
            )
        worst = int(np.abs(self.bias).argmax())
        size = (
            f"{self.bias[worst]:+.2f} errors of the signal where the truth is {self.truths[worst]}, "
            f"which is {-100 * self.spurious[worst] / self.expected[worst]:+.2f} % of the background"
        )
        if poor:
            return f"{bad} Its largest spurious signal is {size}."
        if self.biased:
            return (
                f"! The background {self.family} is biased in its window: spurious signal of {size}. "
                f"More than {_LARGEST} is too much: take a higher order, or profile the choice."
            )
        return f"The background {self.family} is not biased in its window: largest spurious signal {size}."


def check_background(
    model: BinnedModel,
    counts: ArrayLike,
    *,
    families: Sequence[str] = tuple(FAMILIES),
    most: int = 7,
) -> BackgroundTest:
    """Test the background of ``model`` on one spectrum (bins,), against other families.

    Each family is fitted with the signal free, from its lowest order to ``most``. Its order is the first after
    which the F test of j = 1 and 2 more, F = (D_k - D_k+j) / j / max(1, D_k+j / dof) of deviances D, asks for none at a
    level of 0.05. Families whose fit then has p >= 0.01 make Asimov data without a signal; what the
    model finds in them is its spurious signal (ATLAS, Phys. Rev. D 98 (2018) 052005, section 8; its limit of 0.2
    errors is theirs, too).

    >>> import numpy as np
    >>> from fastjag.statistics import BinnedModel, Family, Window
    >>> model = BinnedModel.of_window(Window(5, 9, 10.6, 16), Family("legendre", 3))
    >>> middle = (model.low + model.high) / 2
    >>> counts = np.round(1e9 * middle**-4 * (model.high - model.low))
    >>> check_background(model, counts).biased
    True
    """
    at_least("most", most, 1)
    n, scale, shape = as_counts(model, counts)
    if shape != ():
        raise ValueError(f"check_background takes one spectrum, got shape {np.shape(counts)}")
    fits, chosen, choices = [], [], []
    for name in families:
        rows = _orders(model, name, most, n, scale)
        fits += rows
        last = next((i for i, row in enumerate(rows) if not row.p_order < _LEVEL), len(rows) - 1)
        if rows and not rows[last].p_fit < _FITS:
            chosen.append(rows[last].family)
            choices += [row.family for row in rows[last : last + 2]]
    own = _fit(model, n, scale)
    truths = [family for family in chosen if family != model.family]
    profiled = [model.with_family(family) for family in choices]
    asimov = [truth_of(model.with_family(family), n, scale) for family in truths]
    spurious, errors = spurious_signal(model, asimov)
    best = _bias(profiled, asimov) if profiled else np.zeros(len(truths))
    at = model.signal > 0
    B = np.array([truth[at].sum() for truth in asimov])
    return BackgroundTest(
        model.family, fits, chosen, choices, truths, spurious, errors, B, best, own.p_fit
    )


def spurious_signal(models: Models, truths: ArrayLike) -> tuple[Floats, Floats]:
    """The signal that models find in expectations without one (truths, bins), and its error: (truths,)."""
    several = as_models(models)
    n = np.asarray(truths, np.float64).reshape(-1, several[0].bins)
    if len(n) == 0:
        return np.zeros(0), np.zeros(0)
    found = fit_signal(several, n)
    return found.S, found.error


def truth_of(model: BinnedModel, n: Floats, scale: Floats) -> Floats:
    """The background (bins,) of the fit to one spectrum, with the signal free."""
    fit = fit_model(model, n, scale)
    return np.maximum(model.background(fit.theta[0, 1 + len(model.nuisances) :]), 0)


def _bias(models: Sequence[BinnedModel], truths: Sequence[Floats]) -> Floats:
    spurious, errors = spurious_signal(list(models), np.array(truths))
    return spurious / np.maximum(errors, 1e-300)


def _orders(model: BinnedModel, name: str, most: int, n: Floats, scale: Floats) -> list[OrderFit]:
    """Fits of all orders, each with the F test of the next."""
    rows: list[OrderFit] = []
    deviances: list[float] = []
    free = np.count_nonzero(n) - 2  # a signal and one to spare
    for order in range(FAMILIES.get(name, 0), most + 1):
        family = Family(name, order)
        if family.parameters >= free:
            break
        trial = model.with_family(family)
        rows.append(_fit(trial, n, scale))
        deviances.append(2 * float(fit_model(trial, n, scale).nll[0]))
    for i, row in enumerate(rows):
        p = [1.0]
        for j, more in enumerate(deviances[i + 1 : i + 3], 1):
            dof = free + 1 - row.family.parameters - j
            F = max(deviances[i] - more, 0.0) / j / max(1.0, more / dof)
            p.append(float(stats.f.sf(F, j, dof)))
        rows[i] = row._replace(p_order=min(p))
    return rows


def _fit(model: BinnedModel, n: Floats, scale: Floats) -> OrderFit:
    fit = fit_model(model, n, scale)
    expected = np.maximum(model.expected(fit.theta).counts[0], 0) * scale[0]
    order = np.argsort(model.low)
    merged, means = merge_bins((n[0] * scale[0])[order], expected[order])
    chi2 = float(((merged - means) ** 2 / means).sum())
    dof = len(means) - model.family.parameters - 1
    return OrderFit(
        model.family, chi2, dof, fit_probability(chi2, dof), 1.0, bool(fit.converged[0])
    )
