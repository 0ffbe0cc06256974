"""Errors of points, and marks for what a picture cannot hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fastjag.reporting.plots import PALETTE, figure, line_style, ratio_figure
from fastjag.reporting.points import (
    band,
    efficiency_errors,
    mark_outside,
    mark_overflow,
    middles,
    points,
    poisson_errors,
    ratio,
)

#: N. Gehrels, ApJ 303 (1986) 336, tables 1 and 2: one-sided 0.8413 limits of n counts.
GEHRELS = {0: (0, 1.841), 1: (0.173, 3.300), 2: (0.708, 4.638), 5: (2.840, 8.382), 10: (6.891, 14.27),
           50: (42.95, 58.12), 100: (90.02, 111.0)}  # fmt: skip


@pytest.mark.parametrize("n", GEHRELS)
def test_intervals_are_the_published_ones(n):
    below, above = poisson_errors([n])[:, 0]
    assert n - below == pytest.approx(GEHRELS[n][0], rel=2e-3)
    assert n + above == pytest.approx(GEHRELS[n][1], rel=1e-3)


@given(st.integers(1, 10**6))
def test_tails_are_those_of_a_standard_deviation(n):
    below, above = poisson_errors([n])[:, 0]
    tail = stats.norm.sf(1)
    assert stats.poisson.sf(n - 1, n - below) == pytest.approx(tail, rel=1e-6)
    assert stats.poisson.cdf(n, n + above) == pytest.approx(tail, rel=1e-6)


def test_negative_counts_are_an_error():
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="counts must be 0 or more"):
            poisson_errors([1, wrong])


def test_points_are_scaled_with_their_errors():
    edges = np.array([0.0, 1, 3, 4])
    with figure() as (_, ax):
        top = points(ax, edges, [4, 10, 0], scale=1 / np.diff(edges), label="data")
    assert len(ax.containers) == 2
    assert len(ax.get_legend_handles_labels()[0]) == 1
    expected = (np.array([4, 10, 0]) + poisson_errors([4, 10, 0])[1]) / np.diff(edges)
    assert top == pytest.approx(expected)
    data, empty = ax.containers
    assert data.lines[0].get_xydata() == pytest.approx(np.array([[0.5, 4], [2, 5]]))
    assert empty.lines[0].get_markersize() == 0


def test_weighted_points_have_the_errors_of_their_variances():
    with figure() as (_, ax):
        assert points(ax, [0, 1, 2], [-1.0, 5], variances=[4.0, 9]) == pytest.approx([1, 8])


def test_middles():
    assert middles([1, 100], logarithmic=True) == pytest.approx([10])
    assert middles([1, 100]) == pytest.approx([50.5])


def test_arrows_stand_for_what_is_out_of_limits():
    with ratio_figure() as (_, (_, below)):
        below.set_xlim(0, 5)
        ratio(below, range(6), [1, 3, 0.2, np.nan, 0.5], np.full(5, 0.1), limits=(0.5, 1.5))
    arrows = {
        line.get_marker(): line.get_xdata() for line in below.lines if line.get_marker() in "^v"
    }
    assert {k: v.tolist() for k, v in arrows.items()} == {"^": [1.5], "v": [2.5]}
    with figure() as (_, ax):
        ax.set(xlim=(0, 2), ylim=(0, 1))
        assert mark_outside(ax, [0.5, 1, 3], [0.5, 2, 2]) == 1  # what is beside the axes has none


def test_overflow_is_counted():
    with figure() as (_, ax):
        mark_overflow(ax, 0, 1234)
        mark_overflow(ax, 2.5)
    assert [text.get_text() for text in ax.texts] == ["1,234 →", "← 2.5"]


def test_a_band_reaches_to_the_last_edge():
    with figure() as (_, ax):
        band(ax, [0, 1, 2], [1, 2], [0.5, 1], color="k")
    box = ax.collections[0].get_paths()[0].get_extents()
    assert box.extents == pytest.approx([0, 0.5, 2, 3])


def test_five_colours_then_other_lines():
    styles = [line_style(i) for i in range(20)]
    assert {s["color"] for s in styles} == set(PALETTE[:5])
    assert len({tuple(s.items()) for s in styles}) == 20


@given(st.integers(0, 200), st.integers(0, 200))
def test_efficiencies_have_clopper_pearson_errors(passed, failed):
    n = passed + failed
    below, above = efficiency_errors(passed, n)
    if not n:
        assert np.isnan([below, above]).all()
        return
    tail, share = stats.norm.sf(1), passed / n
    if passed:
        assert stats.binom.sf(passed - 1, n, share - below) == pytest.approx(tail, rel=1e-5)
    if failed:
        assert stats.binom.cdf(passed, n, share + above) == pytest.approx(tail, rel=1e-5)
    assert (below > 0) == (passed > 0)
    assert (above > 0) == (failed > 0)


def test_efficiencies_of_effective_numbers():
    """Between those of whole ones; and only of what can be one."""
    between = efficiency_errors(2.5, 10.5)
    assert (efficiency_errors(2, 10) > 0).all()
    assert (between > 0).all()
    for passed in (-0.1, 3.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and the total"):
            efficiency_errors(passed, 3)


def test_small_shares_beside_the_axes():
    with figure() as (_, ax):
        mark_overflow(ax, 1e-7, 2.25, unit=" %", height=0.5)
    assert [text.get_text() for text in ax.texts] == ["← < 0.01 %", "2.25 % →"]
    assert {text.get_position()[1] for text in ax.texts} == {0.5}
