"""Shapes of classes: nothing is clipped, what is beside the axis is marked, shares have errors."""

from itertools import pairwise

import numpy as np
import pytest
from diphoton_samples import CLASSES, events
from hypothesis import given, settings
from hypothesis import strategies as st

from fastjag.analyses.diphoton.distributions import distributions, shapes
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.pictures.events import event_pictures

EDGES = np.array([0.0, 1.0, 2.0, 4.0])


def of_one_class(values, weights=None):
    n = len(values)
    flat = {"label": np.zeros(n, int)} | ({} if weights is None else {"weight": weights})
    return Events({}, flat, ("a",))


@settings(max_examples=40)
@given(st.lists(st.floats(-2, 6), min_size=10, max_size=60), st.integers(0, 2**32 - 1))
def test_shares_and_errors_by_loops(values, seed):
    """Of weighted events; the error is that of a share, in which numerator and sum go together."""
    x = np.array(values)
    w = np.random.default_rng(seed).uniform(0.5, 2, len(x))
    _, found = shapes(of_one_class(x, w), x, EDGES)
    shape = found["a"]
    room = 1e-5 * 4
    borders = [-np.inf, -room, 1, 2, 4 + room, np.inf]
    expected = []
    for low, high in pairwise(borders):
        inside = (x >= low) & (x < high)
        p = w[inside].sum() / w.sum()
        variance = ((inside - p) ** 2 * w**2).sum() / w.sum() ** 2
        expected.append((p, np.sqrt(variance)))
    shares = [shape.below[0], *shape.shares, shape.above[0]]
    errors = [shape.below[1], *shape.errors, shape.above[1]]
    assert shares == pytest.approx([p for p, _ in expected])
    assert errors == pytest.approx([e for _, e in expected], abs=1e-12)
    assert sum(shares) == pytest.approx(1)


def test_the_last_edge_and_pi_are_inside():
    x = np.full(10, np.float32(np.pi))
    _, found = shapes(of_one_class(x), x, np.linspace(-np.pi, np.pi, 21))
    assert (found["a"].above[0], found["a"].shares[-1]) == (0, 1)


def test_few_events_and_nan():
    x = np.r_[np.full(9, 0.5), np.nan]
    assert shapes(of_one_class(x), x, EDGES)[1] == {"a": None}
    x = np.r_[np.full(10, 0.5), np.nan]
    assert shapes(of_one_class(x), x, EDGES)[1]["a"].shares[0] == 1


def test_what_is_beyond_the_axis_is_marked():
    """With a grey bin of its own, whose height is the share; and none where nothing is beyond."""
    some = events(600)
    some.flat["met_et"][:200] = 400.0
    drawn = distributions(some)
    pictures = dict(event_pictures({"met": drawn["met"]}))
    left, right = pictures["met"].axes
    assert [t.get_text() for t in left.texts] == ["beyond"]
    assert [t.get_text() for t in right.texts] == []
    assert left.get_xlim()[1] > 150 == drawn["met"]["met_et"][0][-1]
    name = CLASSES[0]
    beyond = drawn["met"]["met_et"][1][name].above[0]
    assert beyond > 0.2
    stairs = next(p for p in left.patches if p.get_label() == name)
    assert stairs.get_data().values[-1] == pytest.approx(beyond)
    assert stairs.get_data().values.sum() == pytest.approx(1)
