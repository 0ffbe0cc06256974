"""Weights of many variations in one fill: as one fill for each of them."""

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import EDGES, FLOATS, column

import fastjag as fj
from fastjag.histograms import nan_hist, variations

A = hist.axis
NAMES = ["nominal", "scale up", "μR down"]
X = np.array([0.5, 1.5, 1.5, np.nan, 7.0])
W = np.array([[1.0, 2, 3, 4, 5], [1.5, 2, 3, 4, 5], [0.0, -2, 3, 4, 5]])
AXES = {
    "kernel": [A.Regular(4, 0, 4)],
    "two": [A.Regular(4, 0, 4), A.Variable([0.0, 1, 9])],
    "boost": [A.Regular(4, 0, 4, growth=True), A.StrCategory([], growth=True)],
    "three": [A.Regular(4, 0, 4)] * 3,
}


def columns(axes, x=X):
    words = np.array(["a", "b", "a", "c", "b"])[: len(x)]
    return tuple(words if isinstance(axis, A.StrCategory) else x for axis in axes)


@pytest.fixture(scope="module", params=[0, 2**15], ids=["one after the other", "one pass"])
def few(request):
    """Both ways of the kernels, whatever the number of entries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variations, "FEW", request.param)
        yield


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize(
    "rows", [np.asarray, list, np.ndarray.tolist], ids=["array", "list", "lists"]
)
def test_equal_one_fill_each(kind, rows):
    axes = AXES[kind]
    values = columns(axes)
    h = fj.histogram(values, axes, weights=rows(W), variations=NAMES)
    assert isinstance(h, nan_hist.Hist)
    assert list(h.axes["variation"]) == NAMES
    total = 0
    for name, w in zip(NAMES, W, strict=True):
        one = fj.histogram(values, axes, weights=w)
        view = h.view(flow=True)[NAMES.index(name)]
        np.testing.assert_array_equal(view["value"], one.view(flow=True)["value"])
        np.testing.assert_array_equal(view["variance"], one.view(flow=True)["variance"])
        total += one.metadata["nan"]
    assert h.metadata["nan"] == total == 12
    assert not h.view(flow=True)[-1]["value"].any()  # no variation beyond
    first = h["scale up", ...]
    np.testing.assert_array_equal(first.values()[0].sum(), 1.5)


@pytest.mark.usefixtures("few")
@given(
    st.lists(st.sampled_from(sorted(EDGES)), min_size=1, max_size=2), st.sampled_from(FLOATS),
    st.sampled_from([*FLOATS, "i4", "?"]), st.integers(1, 20), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_kernels_give_the_sums(names, dtype, weight_dtype, n_variations, seed):
    rng = np.random.default_rng(seed)
    values = tuple(column(rng, dtype, 200) for _ in names)
    edges = tuple(EDGES[name] for name in names)
    weights = (3 * rng.normal(size=(n_variations, 200))).astype(weight_dtype)
    labels = [f"v{i}" for i in range(n_variations)]
    h = fj.histogram(values, edges, weights=weights, variations=labels)
    for i, w in enumerate(weights):
        one = fj.histogram(values, edges, weights=w)
        size = fj.histogram(values, edges, weights=np.abs(w.astype("f8"))).values(flow=True)
        off = h.values(flow=True)[i] - one.values(flow=True)
        assert (np.abs(off) <= 1e-12 * size).all()
        np.testing.assert_allclose(
            h.variances(flow=True)[i], one.variances(flow=True), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("kind", AXES)
def test_batches(kind):
    axes = AXES[kind]
    whole = fj.histogram(columns(axes), axes, weights=W, variations=NAMES)
    storage = hist.storage.Weight()
    mine = hist.Hist(A.StrCategory(NAMES, name="systematic"), *axes, storage=storage)
    h = None
    for some in (slice(0, 2), slice(2, 2), slice(2, 5)):
        values = tuple(c[some] for c in columns(axes))
        h = fj.histogram(values, axes, weights=W[:, some], variations=NAMES, out=h)
        fj.histogram(values, weights=W[:, some], variations=NAMES, out=mine)
    for filled in (h, mine):
        np.testing.assert_array_equal(filled.view(flow=True), whole.view(flow=True))
        assert filled.metadata == whole.metadata


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("kind", AXES)
def test_an_axis_of_the_user_that_grows(kind):
    axes = AXES[kind]
    grows = A.StrCategory(["μR down", "old"], growth=True, name="systematic")
    mine = hist.Hist(grows, *axes, storage=hist.storage.Weight())
    values = columns(axes)
    fj.histogram(values, weights=W[:2], variations=NAMES[:2], out=mine)
    fj.histogram(values, axes, weights=W[::-1], variations=NAMES[::-1], out=mine)
    assert list(mine.axes["systematic"]) == ["μR down", "old", *NAMES[:2]]
    for name, times in zip(["old", *NAMES], (0, 2, 2, 1), strict=True):
        w = W[NAMES.index(name)] if times else W[0]
        expected = fj.histogram(values, axes, weights=w).view(flow=True)
        found = mine.view(flow=True)[list(mine.axes["systematic"]).index(name)]
        np.testing.assert_array_equal(found["value"], times * expected["value"])
        np.testing.assert_array_equal(found["variance"], times * expected["variance"])


def test_names_of_columns_stay():
    h = fj.histogram({"mass": X}, (4, 0, 4), weights=W, variations=tuple(NAMES))
    assert [axis.name for axis in h.axes] == ["variation", "mass"]


def test_a_column_named_variation_is_a_label():
    h = fj.histogram({"variation": X}, (4, 0, 4), weights=W, variations=NAMES)
    assert [(axis.name, axis.label) for axis in h.axes] == [
        ("variation", "variation"),
        ("", "variation"),
    ]


def test_on_a_gpu(gpu, few):
    for axes in (AXES["kernel"], AXES["two"]):
        found = fj.histogram(
            tuple(gpu.asarray(c) for c in columns(axes)), axes, weights=gpu.asarray(W),
            variations=NAMES,
        )  # fmt: skip
        expected = fj.histogram(columns(axes), axes, weights=W, variations=NAMES)
        np.testing.assert_array_equal(found.view(flow=True), expected.view(flow=True))
    for weights in (gpu.asarray(W), list(gpu.asarray(W)), [W[0], gpu.asarray(W[1]), W[2]]):
        with pytest.raises(ValueError, match="weights is on GPU 0"):
            fj.histogram(columns(AXES["three"]), AXES["three"], weights=weights, variations=NAMES)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variations": NAMES}, TypeError, r"variations need weights, of shape \(n_variations, n"),
        ({"variations": "up", "weights": W}, TypeError, "variations must be a list of names, got 'u"),
        ({"variations": [], "weights": W}, TypeError, "variations must be a list of names"),
        ({"variations": [1, 2, 3], "weights": W}, TypeError, "variations must be a list of names"),
        ({"variations": ["a", "b", "a"], "weights": W}, ValueError, "must have different names"),
        ({"variations": NAMES, "weights": W.T}, ValueError,
         r"\(n_variations, n\) for 3 variations, got shape \(5, 3\)"),
        ({"variations": NAMES, "weights": W[0]}, ValueError, r"got shape \(5,\)"),
        ({"variations": NAMES, "weights": W[:2]}, ValueError, r"got shape \(2, 5\)"),
        ({"variations": NAMES, "weights": list(W[0][:3])}, ValueError, r"\(n_variations, n\)"),
        ({"variations": NAMES, "weights": 2.0}, ValueError, r"\(n_variations, n\)"),
        ({"variations": NAMES, "weights": W[:, :4]}, ValueError, r"weights\[0\] has 4 entries"),
        ({"variations": NAMES, "weights": [*W[:2], W[2][:4]]}, ValueError, r"weights\[2\] has 4 ent"),
        ({"variations": NAMES, "weights": W, "out": fj.histogram(X, (4, 0, 4), weight=1)},
         ValueError, "out has axes"),
        ({"variations": NAMES, "weights": W, "out": fj.histogram(
            X, (4, 0, 4), weights=W, variations=["a", "b", "c"])}, ValueError, "out has axes"),
    ],
)  # fmt: skip
def test_errors(options, error, message):
    before = None if "out" not in options else options["out"].values(flow=True).copy()
    with pytest.raises(error, match=message):
        fj.histogram(X, (4, 0, 4), **options)
    if before is not None:
        np.testing.assert_array_equal(options["out"].values(flow=True), before)
