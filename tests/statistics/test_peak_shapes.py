"""Shapes of peaks and backgrounds: densities of SciPy or their definition, and integrals in bins."""

import numpy as np
import pytest
from scipy import integrate, stats

from fastjag.statistics.peak_shapes import PeakModel

WINDOW = (2.8, 3.4)
UPSILON = (9.4604, 10.0234, 10.3551)
TAILS = {
    "gaussian": (),
    "crystal-ball": (1.2, 3.0, 1.6, 2.5),
    "voigt": (0.03,),
}


def exact(shape, x, mass, width, *tails):
    """Densities of SciPy, and the Crystal Ball as its definition has it; not normalised."""
    if shape == "gaussian":
        return stats.norm.pdf(x, mass, width)
    if shape == "voigt":  # the convolution itself
        y = np.linspace(-9 * width, 9 * width, 2001)
        cauchy = stats.cauchy.pdf(x[:, None] - mass - y, 0, tails[0] / 2)
        return integrate.simpson(stats.norm.pdf(y, 0, width) * cauchy, x=y)
    t = (x - mass) / width
    alpha, n = (np.where(t < 0, lo, hi) for lo, hi in zip(tails[:2], tails[2:], strict=True))
    a, b = (n / alpha) ** n * np.exp(-(alpha**2) / 2), n / alpha - alpha
    tail = a * (b + np.maximum(np.abs(t), alpha)) ** -n
    return np.where(np.abs(t) < alpha, np.exp(-t * t / 2), tail)


@pytest.mark.parametrize("shape", TAILS)
class TestShapes:
    def test_density(self, shape):
        p = (3.09, 0.03, *TAILS[shape])
        model = PeakModel(shape, "exponential", 0, (), WINDOW)
        x = np.array([2.81, 2.95, 3.03, 3.09, 3.1, 3.14, 3.38])
        grid = np.linspace(*WINDOW, 1201)
        area = integrate.simpson(exact(shape, grid, *p), x=grid)
        expected = exact(shape, x, *p) / area
        np.testing.assert_allclose(model.peak_density(x, np.array(p))[0], expected, rtol=2e-5)

    def test_bins(self, shape):
        """Their integrals, in bins as wide as the peak and narrower, and with a peak at the edge."""
        model = PeakModel(shape, "exponential", 0, (), WINDOW)
        for mass, bins in ((3.09, 20), (3.09, 300), (2.81, 60)):
            p = np.array([mass, 0.03, *TAILS[shape]])
            edges = np.linspace(*WINDOW, bins + 1)
            x = np.linspace(*WINDOW, bins * 40 + 1)
            density = model.peak_density(x, p)[0]
            parts = integrate.cumulative_simpson(density, x=x, initial=0)[::40]
            np.testing.assert_allclose(model.peak_bins(edges, p)[0], np.diff(parts), atol=3e-6)
            assert integrate.simpson(density, x=x) == pytest.approx(1, abs=1e-5)

    def test_several(self, shape):
        """Masses in the ratios given, and widths in those of the masses."""
        model = PeakModel(shape, "exponential", 0, UPSILON, (8.0, 12.0))
        x = np.linspace(8, 12, 40_001)
        rows = model.peak_density(x, np.array([9.45, 0.09, *TAILS[shape]]))
        np.testing.assert_allclose(
            x[rows.argmax(axis=1)], np.array(UPSILON) * 9.45 / 9.4604, atol=2e-4
        )
        if shape == "gaussian":
            width = 1 / (rows.max(axis=1) * np.sqrt(2 * np.pi))
            np.testing.assert_allclose(width, 0.09 * np.array(UPSILON) / 9.4604, rtol=1e-4)


@pytest.mark.parametrize(
    ("background", "slope"),
    [("polynomial", 0.0), ("exponential", 3.0), ("exponential", -40.0), ("exponential", 0.0),
     ("exponential", 1e-7)],
)  # fmt: skip
def test_backgrounds(background, slope):
    model = PeakModel("gaussian", background, 3, (), WINDOW)
    x = np.linspace(*WINDOW, 2401)
    rows = model.background_density(x, slope)
    assert len(rows) == len(model.below) == (4 if background == "polynomial" else 1)
    assert (rows >= 0).all()
    np.testing.assert_allclose(integrate.simpson(rows, x=x), 1, rtol=1e-6)
    edges = np.linspace(*WINDOW, 31)
    parts = integrate.cumulative_simpson(rows, x=x, initial=0)[:, ::80]
    np.testing.assert_allclose(model.background_bins(edges, slope), np.diff(parts), atol=1e-6)
    if background == "exponential":
        ratio = np.exp(-slope * (WINDOW[1] - WINDOW[0]))
        assert rows[0, -1] / rows[0, 0] == pytest.approx(ratio)
