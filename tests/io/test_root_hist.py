"""Histograms in ROOT files: contents, errors, flow bins and edges come back as they were."""

import hist
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag.io import write_histograms

AXES = [
    hist.axis.Regular(7, -1.3, 2.9, label="mass [GeV]"),
    hist.axis.Variable([0, 1, 4, 4.5], label="y"),
    hist.axis.Regular(5, 1, 100, transform=hist.axis.transform.log),
    hist.axis.Regular(4, 0, 2, flow=False),
    hist.axis.Integer(-2, 3),
    hist.axis.Boolean(),
    hist.axis.Regular(6, 0, 6, circular=True),
]
STORAGES = ["Double", "Int64", "Weight", "Unlimited", "AtomicInt64"]


def back(path, name):
    with uproot.open(path) as file:
        read = file[name]
        edges = [read.axis(i).edges() for i in range(len(read.axes))]
        return read.values(flow=True), read.variances(flow=True), edges, read.classname


@settings(max_examples=60)
@given(st.data())
def test_come_back(tmp_path_factory, data):
    axes = data.draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=3))
    storage = data.draw(st.sampled_from(STORAGES))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    h = hist.Hist(*axes, storage=getattr(hist.storage, storage)())
    x = [rng.integers(-4, 6, 200) if a.traits.discrete else rng.normal(1, 3, 200) for a in axes]
    x = [
        a.astype(bool) if isinstance(axis, hist.axis.Boolean) else a
        for a, axis in zip(x, axes, strict=False)
    ]
    h.fill(*x, weight=rng.normal(1, 2, 200) if storage == "Weight" else None)
    path = tmp_path_factory.mktemp("h") / "h.root"
    write_histograms(path, {"a/b": h, "again": h})
    values, variances, edges, classname = back(path, "a/b")
    assert classname == f"TH{len(axes)}D"
    inner = tuple(
        slice(0 if a.traits.underflow else 1, None if a.traits.overflow else -1) for a in axes
    )
    np.testing.assert_array_equal(values[inner], h.values(flow=True))
    np.testing.assert_array_equal(variances[inner], h.variances(flow=True))
    assert values.sum() == pytest.approx(h.values(flow=True).sum(), abs=1e-9)  # nothing beside it
    for a, e in zip(axes, edges, strict=True):
        np.testing.assert_allclose(e, a.edges, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_fastjag(tmp_path, ndim, weighted):
    rng = np.random.default_rng(1)
    columns = tuple(rng.normal(2, 2, 500) for _ in range(ndim))
    weights = rng.exponential(3, 500) if weighted else None
    h = fj.histogram(columns if ndim == 2 else columns[0], ((5, 0, 4),) * ndim if ndim == 2 else (5, 0, 4),
                     weights=weights)  # fmt: skip
    write_histograms(tmp_path / "h.root", {"h": h})
    values, variances, _, _ = back(tmp_path / "h.root", "h")
    np.testing.assert_array_equal(values, h.values(flow=True))
    np.testing.assert_array_equal(variances, h.variances(flow=True))


def test_sums_over_files(tmp_path):
    parts = [fj.histogram([0.5, 1.5, 1.7], (3, 0, 3)) for _ in range(3)]
    write_histograms(tmp_path / "h.root", {"h": sum(parts)})
    values, variances, _, _ = back(tmp_path / "h.root", "h")
    assert values[1:-1].tolist() == variances[1:-1].tolist() == [3, 6, 0]


def test_labels_and_uniform_bins(tmp_path):
    h = hist.Hist(hist.axis.Regular(10, 0, 5, name="m", label="mass [GeV]"), name="the title")
    write_histograms(tmp_path / "h.root", {"h": h.fill([1.0])})
    with uproot.open(tmp_path / "h.root") as file:
        axis = file["h"].axis()
        assert axis.member("fTitle") == "mass [GeV]"
        assert (axis.member("fNbins"), axis.member("fXmin"), axis.member("fXmax")) == (10, 0, 5)
        assert len(axis.member("fXbins")) == 0
        assert file["h"].title == "the title"


@pytest.mark.parametrize(
    ("name", "h", "error", "message"),
    [
        ("m", hist.Hist(AXES[0], storage=hist.storage.Mean()), ValueError, "'m' has storage Mean"),
        ("s", hist.Hist(AXES[0]).fill([1.0]) * 2, ValueError, "'s' was added up or scaled without"),
        (
            "d",
            hist.Hist(*(hist.axis.Regular(2, 0, 1, name=n) for n in "abcd")),
            ValueError,
            "4 axes",
        ),
        ("c", hist.Hist(hist.axis.StrCategory(["x"])), ValueError, "'c' has a StrCategory axis"),
        ("x", np.zeros(3), TypeError, "'x' must be a hist.Hist, got ndarray"),
        ("", hist.Hist(AXES[0]), ValueError, "takes no such name"),
        ("a//b", hist.Hist(AXES[0]), ValueError, "takes no such name"),
        ("a;1", hist.Hist(AXES[0]), ValueError, "takes no such name"),
        ("a\0b", hist.Hist(AXES[0]), ValueError, "takes no such name"),
    ],
)
def test_what_root_cannot_hold(tmp_path, name, h, error, message):
    """And what was there before stays."""
    (tmp_path / "h.root").write_text("mine")
    with pytest.raises(error, match=message):
        write_histograms(tmp_path / "h.root", {"good": hist.Hist(AXES[0]), name: h})
    assert (tmp_path / "h.root").read_text() == "mine"


def test_names_may_hold_a_zero(tmp_path):
    """The searches call histograms mass_OS_rate_0p1."""
    write_histograms(tmp_path / "h.root", {"rate_0p1/x0": hist.Hist(AXES[0]).fill([1.0])})
    with uproot.open(tmp_path / "h.root") as file:
        assert file["rate_0p1/x0"].values().sum() == 1
