"""What cannot be fitted is refused, with an error that says what was found."""

import hist
import numpy as np
import pytest

import fastjag as fj

MASSES = np.append(np.linspace(2.8, 3.4, 500), np.random.default_rng(1).normal(3.1, 0.03, 500))
EDGES = np.linspace(2.8, 3.4, 31)
COUNTS = np.histogram(MASSES, EDGES)[0]


def weighted(weights):
    axis = hist.axis.Variable(EDGES)
    return hist.Hist(axis, storage=hist.storage.Weight()).fill(MASSES, weight=weights)


@pytest.mark.parametrize(
    ("masses", "window", "message"),
    [
        (MASSES, None, r"masses need window=\(low, high\)"),
        (MASSES, (3.4, 2.8), r"window must be \(low, high\) with low < high, got \(3.4, 2.8\)"),
        (MASSES, (3, 3), "with low < high"),
        (MASSES, (2.8, np.inf), "with low < high"),
        (MASSES, (np.nan, 3), "with low < high"),
        (MASSES, 3.1, r"window must be \(low, high\), got 3.1"),
        (MASSES, (1, 2, 3), r"window must be \(low, high\), got \(1, 2, 3\)"),
        (MASSES, "ab", "window must be"),
        (MASSES, (5.0, 6.0), r"0 entries between 5 and 6 \(1,000 in all, masses go from 2.8 to 3.4\)"),
        ([], (5.0, 6.0), r"0 entries between 5 and 6 \(0 in all, none given\)"),
        (MASSES[:9], (2.8, 3.4), "9 entries .* a fit of 5 parameters needs at least 10"),
        ([3.0, np.nan, np.nan], (2.8, 3.4), "2 of 3 masses are NaN: drop them first"),
        (MASSES[None], (2.8, 3.4), r"masses must have one dimension, got shape \(1, 1000\)"),
    ],
)  # fmt: skip
def test_masses(masses, window, message):
    with pytest.raises(ValueError, match=message):
        fj.fit_peak(masses, window)


def test_words_are_no_masses():
    with pytest.raises(TypeError, match="masses has dtype"):
        fj.fit_peak(["a", "b"], (2, 3))


NEGATIVE = COUNTS.astype(float)
NEGATIVE[4] = -2.5


@pytest.mark.parametrize(
    ("bins", "window", "message"),
    [
        ((COUNTS, EDGES), (5, 6), "window 5 to 6 is outside of the bins, which go from 2.8 to 3.4"),
        ((COUNTS, EDGES), (3, 3.5), "window 3 to 3.5 is outside of the bins"),
        ((COUNTS, EDGES), (3.001, 3.01), "no bin lies in the window 3.001 to 3.01"),
        ((COUNTS, EDGES), (2.8, 2.9), "5 bins cannot fix 5 parameters"),
        ((COUNTS, EDGES[1:]), None, r"30 counts need 31 edges, got 30 \(masses are one array"),
        ((COUNTS,), None, r"bins are \(counts, edges\) or .*, got 1 arrays"),
        ((COUNTS, EDGES[::-1]), None, "edges must be finite and increase"),
        ((COUNTS, np.append(EDGES[:-1], np.inf)), None, "edges must be finite"),
        ((NEGATIVE, EDGES), None, r"the bin 2.88 to 2.9 holds -2.5 with variance -2.5: a likelihood"),
        ((np.where(NEGATIVE < 0, np.nan, COUNTS), EDGES), None, "holds nan"),
        ((0 * COUNTS, EDGES), None, r"0 entries between 2.8 and 3.4 \(bins go from 2.8 to 3.4\)"),
        ((COUNTS, EDGES, COUNTS[1:]), None, "30 counts need as many variances, got 29"),
        ((COUNTS, EDGES, -COUNTS), None, "with variance -"),
        ((COUNTS, EDGES, 0 * COUNTS), None, "but no variance"),
        ((1e-3 * COUNTS, EDGES, COUNTS), None, "0.001 entries"),  # of huge weights that cancel
        (weighted(-np.ones(1000)), None, "the bin 2.8 to 2.82 holds -17 with variance 17"),
        (weighted(np.where(MASSES < 2.82, -1, 1)), None, "the bin 2.8 to 2.82 holds -17"),
        (hist.Hist(hist.axis.Variable(EDGES)).fill(MASSES, weight=0.5), None, "storage Weight"),
        (hist.Hist.new.Reg(5, 0, 1).Reg(5, 0, 1).Double(), None, "one axis, this one has 2"),
        (hist.Hist.new.StrCat(["a", "b"]).Double(), None, "has no edges|bins cannot fix|0 entries"),
        (hist.Hist.new.Reg(5, 0, 1).Mean(), None, "holds means"),
    ],
)  # fmt: skip
def test_bins(bins, window, message):
    with pytest.raises(ValueError, match=message):
        fj.fit_peak(bins, window)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "gauss"}, "shape must be 'gaussian' or 'crystal-ball' or 'voigt', got 'gauss'"),
        ({"background": "linear"}, "background must be 'exponential' or 'polynomial', got 'linear'"),
        ({"background": "polynomial", "degree": -1}, "degree must be an integer >= 0"),
        ({"background": "polynomial", "degree": 9}, "degree must be at most 8, got 9"),
        ({"background": "polynomial", "degree": 1.5}, "degree must be an integer"),
        ({"peaks": (3.0, 9.0)}, "a peak at 9 is outside of the window 2.8 to 3.4"),
        ({"peaks": (3.0, np.nan)}, "peaks must be a number above 0, got nan"),
        ({"fixed": {"mass": 2.0}}, "a peak at 2 is outside of the window"),
        ({"fixed": {"with": 0.03}}, "no parameter 'with' to fix: did you mean 'width'"),
        ({"fixed": {"width": 0.0}}, "fixed width cannot be 0"),
        ({"fixed": {"width": np.nan}}, "fixed width must be a number, got nan"),
        ({"fixed": {"b0": -1}}, "fixed b0 cannot be -1"),
        ({"fixed": {"n_left": 1}, "shape": "crystal-ball"}, "fixed n_left cannot be 1"),
        ({"fixed": {"n_left": 3}}, "no parameter 'n_left' to fix"),
        ({"fixed": dict(mass=3.1, width=0.03, events=1, b0=1, slope=0)}, "every parameter is fixed"),  # noqa: C408
    ],
)  # fmt: skip
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        fj.fit_peak(MASSES, (2.8, 3.4), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peaks": 3.1}, r"peaks must be masses such as \(9.46, 10.02\), got 3.1"),
        ({"peaks": "3.1"}, "peaks must be masses"),
        ({"fixed": ["mass"]}, r"fixed must be names and values, .*got \['mass'\]"),
    ],
)
def test_types(options, message):
    with pytest.raises(TypeError, match=message):
        fj.fit_peak(MASSES, (2.8, 3.4), **options)


def test_missing_libraries_are_named(monkeypatch):
    from importlib import util

    from fastjag.core import checks

    find = util.find_spec
    for missing in ("iminuit", "scipy"):
        monkeypatch.setattr(
            checks, "find_spec", lambda m, missing=missing: None if m == missing else find(m)
        )
        with pytest.raises(ModuleNotFoundError, match=rf"this needs {missing}, .*\[fit\]"):
            fj.fit_peak(MASSES, (2.8, 3.4))
