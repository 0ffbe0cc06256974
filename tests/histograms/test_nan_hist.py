"""The count of NaN belongs to one histogram, and goes with it; histograms of users are filled, too."""

import copy
import pickle

import boost_histogram as bh
import hist
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.histograms import nan_hist

X = np.array([0.5, 1.5, 1.5, np.nan, 7.0, np.nan, np.nan])
AXIS = (4, 0, 4)
AXES = hist.axis.Regular(4, 0, 4)


def filled(weighted=False, ndim=1):
    weights = np.arange(1.0, 8) if weighted else None
    return fj.histogram(X, AXIS, weights=weights) if ndim == 1 else fj.histogram(
        (X, X), (AXIS, AXIS), weights=weights
    )  # fmt: skip


@pytest.fixture(params=[False, True], ids=["counts", "weights"])
def weighted(request):
    return request.param


@pytest.fixture
def nan(weighted):
    return 4.0 + 6.0 + 7.0 if weighted else 3


class TestArithmetic:
    def test_sums_add_up(self, weighted, nan):
        a, b = filled(weighted), filled(weighted)
        for total in (a + b, sum([a, b]), sum([a, b], start=a * 0)):
            assert total.metadata["nan"] == 2 * nan
            assert total.sum(flow=True) == (a + a).sum(flow=True)
        if not weighted:  # hist does not subtract weighted ones
            assert (a - b).metadata["nan"] == 0
        assert (a + 0).metadata["nan"] == nan
        a += b
        assert a.metadata["nan"] == 2 * nan
        assert b.metadata["nan"] == nan

    def test_numbers_scale(self, weighted, nan):
        h = filled(weighted)
        for scaled, factor in ((h * 3, 3), (3 * h, 3), (h / 2, 0.5), (h * np.float32(2), 2)):
            assert scaled.metadata["nan"] == factor * nan
        assert h.metadata["nan"] == nan

    def test_other_factors_leave_no_number(self, weighted):
        h = filled(weighted)
        assert "nan" not in (h * np.arange(4.0)).metadata
        assert "nan" not in (h / np.arange(1.0, 5)).metadata

    def test_plain_histograms(self):
        h, plain = filled(), hist.Hist(AXES)
        assert (h + plain).metadata["nan"] == 3
        plain.metadata = {"nan": 2, "by": "hand"}
        assert (h + plain).metadata["nan"] == 5
        assert (h - plain).metadata["nan"] == 1


COPIES = {
    "times one": lambda h: h * 1,
    "slice": lambda h: h[(slice(1, 3),) * h.ndim],
    "all": lambda h: h[...],
    "copy": lambda h: h.copy(),
    "shallow": lambda h: h.copy(deep=False),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda h: pickle.loads(pickle.dumps(h)),
    "rebin": lambda h: h[(slice(None, None, hist.rebin(2)),) * h.ndim],
    "project": lambda h: h.project(0),
    "sum": lambda h: sum([h]),
}


class TestVariances:
    """Of counts that were added up they are the counts; those of scaled counts are not known."""

    def test_sums(self):
        a, b = filled(), filled()
        for h in (a + b, sum([a, b]), sum([a, b], start=a * 0 + a)):
            expected = None if h.variances() is None else h.values()
            np.testing.assert_array_equal(h.variances(), expected)
        np.testing.assert_array_equal((a + b).variances(), 2 * a.values())
        a += b
        np.testing.assert_array_equal(a.variances(), 2 * b.values())
        plain = hist.Hist(AXES).fill([0.5])
        np.testing.assert_array_equal((b + plain).variances(), b.values() + np.eye(4)[0])

    def test_of_what_is_not_known(self):
        a = filled()
        assert (a * 2).variances() is None
        assert (a + a * 2).variances() is None
        assert (a - a).variances() is None

    def test_weights(self):
        a = filled(weighted=True)
        np.testing.assert_array_equal((a + a).variances(), 2 * a.variances())


class TestCopies:
    @pytest.mark.parametrize("ndim", [1, 2])
    @pytest.mark.parametrize("name", COPIES)
    def test_keep_it_as_their_own(self, name, ndim, weighted, nan):
        h = filled(weighted, ndim)
        h.metadata["label"] = "mine"
        other = COPIES[name](h)
        assert isinstance(other, nan_hist.Hist)
        assert other.metadata == {"label": "mine", "nan": nan}
        other.metadata["nan"] += 5
        assert h.metadata == {"label": "mine", "nan": nan}

    @pytest.mark.parametrize("name", [n for n in COPIES if n not in ("slice", "rebin")])
    def test_filling_them_leaves_the_first_alone(self, name):
        h = filled()
        other = COPIES[name](h)
        before = h.values(flow=True).copy()
        fj.histogram(X, AXIS, out=other)
        assert other.metadata["nan"] == 6
        assert h.metadata["nan"] == 3
        if name != "shallow":
            np.testing.assert_array_equal(h.values(flow=True), before)

    def test_a_sum_that_is_filled(self):
        a, b = filled(), filled()
        total = a + b
        fj.histogram(X, AXIS, out=total)
        assert [h.metadata["nan"] for h in (a, b, total)] == [3, 3, 9]

    def test_sums_over_an_axis(self):
        h = filled(ndim=2)
        assert h[:, sum].metadata["nan"] == 3
        assert h[:, sum].sum(flow=True) == 4
        assert h[sum, sum] == 4  # a number

    def test_reset(self):
        h = filled()
        assert h.reset().metadata["nan"] == 0
        assert h.sum(flow=True) == 0

    def test_of_many_cuts(self):
        cuts = fj.histogram_cuts([X], AXIS, np.arange(7), [0, 4])
        a, b = cuts.hist(0, 0), cuts.hist(0, 1)
        assert [h.metadata["nan"] for h in (a, b, a + b, a)] == [3, 2, 5, 3]


class TestOut:
    @pytest.mark.parametrize("storage", ["Double", "Int64", "Weight"])
    def test_a_histogram_of_the_user(self, storage):
        weights = np.arange(1.0, 8) if storage == "Weight" else None
        mine = hist.Hist(AXES, storage=getattr(hist.storage, storage)(), name="mine")
        for n in (1, 2):
            out = fj.histogram(X, AXIS, weights=weights, out=mine)
            assert out is mine
            assert mine.metadata == {"nan": n * (3 if weights is None else 17.0)}
        expected = fj.histogram(X, AXIS, weights=weights)
        np.testing.assert_array_equal(mine.values(flow=True), 2 * expected.values(flow=True))
        if weights is not None:
            np.testing.assert_array_equal(
                mine.variances(flow=True), 2 * expected.variances(flow=True)
            )

    def test_its_metadata_stay(self):
        notes = {"year": 2012}
        mine = hist.Hist(AXES, metadata=notes)
        fj.histogram(X, AXIS, out=mine)
        assert mine.metadata == {"year": 2012, "nan": 3}
        assert notes == {"year": 2012}

    @pytest.mark.parametrize("axis", [(7, -6.49, 10.77), (3, 0.1, 0.7), (10, 1 / 3, 2 / 7 + 1)])
    def test_any_tuple_fits_what_it_made(self, axis):
        mine = hist.Hist(hist.axis.Regular(*axis))
        for out in (mine, fj.histogram([], axis)):
            assert fj.histogram([0.5], axis, out=out).sum(flow=True) == 1

    @pytest.mark.parametrize(
        ("out", "error", "message"),
        [
            (bh.Histogram(AXES), TypeError, "out must be a hist.Hist, got Histogram"),
            (hist.Hist(AXES, metadata="x"), ValueError, "metadata must be a dict or None.* got str"),
            (hist.Hist(hist.axis.Regular(4, 0, 4, flow=False)), ValueError, "out has axes"),
            (hist.Hist(hist.axis.Regular(4, 0, 5)), ValueError, "out has axes"),
            (hist.Hist(AXES, AXES), ValueError, "out has axes"),
            (hist.Hist(AXES, storage=hist.storage.Weight()), ValueError,
             "storage Weight; this fill needs .* and Double or Int64"),
            (hist.Hist(AXES, storage=hist.storage.Mean()), ValueError, "storage Mean"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit(self, out, error, message):
        with pytest.raises(error, match=message):
            fj.histogram(X, AXIS, out=out)
        assert not np.any(np.asarray(out.view(flow=True).tolist()))


class TestUproot:
    @pytest.mark.parametrize("ndim", [1, 2])
    def test_writes_them_as_they_are(self, ndim, weighted, tmp_path):
        h = filled(weighted, ndim)
        with uproot.recreate(tmp_path / "h.root") as file:
            file["h"] = h
            file["sum"] = h + h
        with uproot.open(tmp_path / "h.root") as file:
            read = file["h"]
            np.testing.assert_array_equal(read.values(flow=True), h.values(flow=True))
            np.testing.assert_array_equal(read.variances(flow=True), h.variances(flow=True))
            for i in range(ndim):
                np.testing.assert_array_equal(read.axis(i).edges(), h.axes[i].edges)
            np.testing.assert_array_equal(file["sum"].values(), 2 * h.values())
