"""histogram_cuts: the kernel against the reference, and what fastjag.histogram_cuts returns."""

import sys

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import EDGES, FLOATS, assert_same, column, hostile_layouts, hostile_values

import fastjag as fj
from fastjag import kernels
from fastjag.kernels import reference
from fastjag.kernels.histogram import Axis

CUTS = {
    "one": [0.5],
    "unsorted": [0.9, -1.0, 0.5, 0.0],
    "twice": [0.5, 0.0, 0.5, 0.5],
    "infinite": [np.inf, -np.inf, 0.0],
    "regular": np.linspace(-1, 1, 12),
    "none passes": [1e300, 1e301],
    "many": np.random.default_rng(0).normal(size=300),
}


def scores_around(rng, cuts, dtype, n):
    """Scores on every cut, one step beside it on both sides, and everything special."""
    cuts = np.asarray(cuts, np.float64)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    near = np.concatenate([np.nextafter(cuts, -np.inf), cuts, np.nextafter(cuts, np.inf), special])
    with np.errstate(over="ignore"):
        return np.where(rng.random(n) < 0.5, rng.choice(near, n), rng.normal(size=n)).astype(dtype)


def assert_equal_to_reference(kernels, columns, edges, scores, cuts, weights=(), **options):
    found = kernels.histogram_cuts(columns, edges, scores, np.asarray(cuts, float),
                                   weights=weights, **options)  # fmt: skip
    expected = reference.histogram_cuts(columns, edges, scores, np.asarray(cuts, float), weights)
    assert_same(found[0], expected[0])
    size = reference.histogram_cuts(
        columns, edges, scores, np.asarray(cuts, float), [np.abs(w) for w in weights]
    )[1]
    assert (np.abs(found[1] - expected[1]) <= 1e-12 * size).all()
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-12)
    return found


class TestKernel:
    @pytest.mark.parametrize("name", EDGES)
    @pytest.mark.parametrize("dtype", FLOATS)
    def test_edges_and_beside_them(self, kernels, name, dtype):
        rng = np.random.default_rng(1)
        with np.errstate(over="ignore"):
            x = hostile_values(rng, EDGES[name]).astype(dtype)
        scores = scores_around(rng, CUTS["unsorted"], dtype, len(x))
        assert_equal_to_reference(kernels, [x], [EDGES[name]], scores, CUTS["unsorted"])

    @given(
        st.lists(st.sampled_from(sorted(EDGES)), min_size=1, max_size=4),
        st.sampled_from(sorted(set(CUTS) - {"many"})), st.lists(st.sampled_from(FLOATS), min_size=6,
        max_size=6), st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(0, 60),
    )  # fmt: skip
    def test_anything(self, kernels, names, cuts, dtypes, n_replicas, seed, n):
        rng = np.random.default_rng(seed)
        columns = [column(rng, dtype, n) for _, dtype in zip(names, dtypes, strict=False)]
        scores = scores_around(rng, CUTS[cuts], dtypes[4], n)
        weights = [rng.normal(size=n).astype(dtypes[5]) for _ in range(n_replicas)]
        edges = [EDGES[name] for name in names]
        assert_equal_to_reference(kernels, columns, edges, scores, CUTS[cuts], weights)

    @pytest.mark.parametrize("n_replicas", [0, 1, 2, 8, 9, 17])
    def test_replicas_fill_several_passes(self, kernels, n_replicas):
        rng = np.random.default_rng(n_replicas)
        weights = [rng.poisson(1, 400).astype("f8") for _ in range(n_replicas)]
        scores = scores_around(rng, CUTS["many"][:7], "f4", 400)
        edges = [EDGES["regular"], EDGES["log"]]
        columns = [rng.normal(size=400).astype("f4"), rng.exponential(size=400)]
        found = assert_equal_to_reference(
            kernels, columns, edges, scores, CUTS["many"][:7], weights
        )
        assert found[1].shape == (n_replicas, 7, 2, 15)

    @pytest.mark.parametrize("cuts", CUTS)
    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
    def test_several_blocks(self, kernels, cuts, share):
        """Blocks of events with none, few and all that pass, and a rest."""
        rng = np.random.default_rng(3)
        n = 3 * 1024 + 17
        scores = np.where(rng.random(n) < share, rng.normal(size=n) ** 2, -2.0)
        columns = [rng.normal(size=n).astype(d) for d in ("f4", "f8")]
        edges = [EDGES["regular"], EDGES["variable"]]
        counts, *_ = kernels.histogram_cuts(columns, edges, scores, np.asarray(CUTS[cuts], float))
        for c, cut in enumerate(CUTS[cuts]):
            for f in (0, 1):
                expected, _ = kernels.histogram([columns[f][scores >= cut]], [edges[f]])
                own = [*range(len(edges[f])), -2, -1]
                assert counts[c, f, own].tolist() == expected.tolist()

    def test_tables_for_many_values(self, kernels):
        """Above some number of values uneven edges are found by a table."""
        rng = np.random.default_rng(7)
        edges = [EDGES["log"], EDGES["variable"], np.array([0, 1e-300, 1.0, 2.0, 5.0, np.inf])]
        columns = [hostile_values(rng, e, 40_000) for e in edges]
        n = min(len(c) for c in columns)
        columns = [c[:n] for c in columns]
        axes = [Axis.of(e, n) for e in edges]
        assert [a.n_cells > 0 for a in axes] == [True] * 3
        assert axes[0].logarithmic
        for x, e in zip(columns, edges, strict=True):
            expected = np.bincount(np.searchsorted(e, x, side="right"), minlength=len(e) + 2)
            missing = np.isnan(x).sum()
            expected[len(e)] -= missing  # searchsorted puts NaN behind the last edge
            expected[len(e) + 1] += missing
            np.testing.assert_array_equal(kernels.histogram([x], [e])[0], expected)
            found, *_ = kernels.histogram_cuts([x], [e], np.ones(n), np.array([1.0]))
            np.testing.assert_array_equal(found[0, 0], expected)

    @pytest.mark.parametrize("n_weights", [0, 1, 2])
    @pytest.mark.parametrize(("n_features", "n_edges"), [(35, 4), (2, 4200)])
    def test_many_features_and_bins(self, kernels, n_features, n_edges, n_weights):
        """More than fit into the arguments of one CUDA kernel, or into the memory of a block."""
        rng = np.random.default_rng(8)
        columns, scores = list(rng.normal(size=(n_features, 200))), rng.normal(size=200)
        edges = [np.linspace(-1, 1, n_edges)] * n_features
        weights = list(rng.normal(size=(n_weights, 200)))
        assert_equal_to_reference(kernels, columns, edges, scores, [-1.0, 0.3, 1.0], weights)

    def test_same_on_any_number_of_threads(self):
        rng = np.random.default_rng(4)
        n = 300_000
        columns = [column(rng, dtype, n) for dtype in ("f4", "f8", "f4", "f4")]
        edges = [EDGES[e] for e in ("regular", "variable", "log", "rounded")]
        scores, weights = rng.normal(size=n), [rng.normal(size=n) for _ in range(2)]
        cuts = np.linspace(-2, 2, 5)
        fill = lambda w, threads: kernels.histogram_cuts(
            columns, edges, scores, cuts, weights=w, threads=threads
        )
        one = fill(weights, 1)
        size = fill([np.abs(w) for w in weights], 1)[1]
        assert one[0][0].sum() == 4 * (scores >= -2).sum()
        for threads in (2, 3, 4):
            more, again = fill(weights, threads), fill(weights, threads)
            assert_same(more[0], one[0])
            assert_same(again[1], more[1])
            assert_same(again[2], more[2])
            assert (np.abs(more[1] - one[1]) <= 1e-12 * size).all()

    @pytest.mark.parametrize("chunk", [1, 7, 1000])
    def test_more_entries_than_counters_hold(self, kernels, monkeypatch, chunk):
        rng = np.random.default_rng(5)
        x, y, scores, w = rng.normal(size=(4, 50))
        edges = [EDGES["regular"], EDGES["variable"]]
        monkeypatch.setattr(sys.modules["fastjag.kernels.histogram_cuts"], "CHUNK", chunk)
        assert_equal_to_reference(kernels, [x, y], edges, scores, [0.0, -1.0], [w])


def example(n=500, seed=1):
    rng = np.random.default_rng(seed)
    features = {"pt": rng.exponential(20, n).astype("f4"), "eta": rng.normal(size=n)}
    axes = {"pt": hist.axis.Regular(20, 0, 100, name="pt"), "eta": [-2.0, -0.5, 0.1, 2.0]}
    return features, axes, rng.random(n).astype("f4"), rng.uniform(0, 2, (3, n))


class TestCutHistograms:
    def test_regular_is_linspace(self):
        axis, edges = (3, -6.49, 10.77), np.linspace(-6.49, 10.77, 4)
        for each in (axis, hist.axis.Regular(*axis)):
            found = fj.histogram_cuts([edges], each, np.ones(4), [0.0])
            assert found.slot_counts.tolist() == [[[0, 1, 1, 1, 1, 0]]]

    def test_equals_one_histogram_per_cut(self):
        features, axes, scores, weights = example()
        cuts = [0.7, 0.0, 0.95]
        plain = fj.histogram_cuts(features, axes, scores, cuts)
        weighted = fj.histogram_cuts(features, axes, scores, cuts, weights[0])
        boot = fj.histogram_cuts(features, axes, scores, cuts, weights)
        assert plain.features == ("pt", "eta")
        assert plain.counts.shape == (3, 2, 20)
        assert weighted.sumw.shape == (3, 2, 20)
        assert boot.sumw2.shape == (3, 3, 2, 20)
        assert plain.sumw is None
        assert plain.sumw2 is None
        assert_same(weighted.counts, plain.counts)
        for c, cut in enumerate(cuts):
            passes = scores >= cut
            for f, name in enumerate(features):
                x = features[name][passes]
                one = fj.histogram({name: x}, {name: axes[name]})
                bins = len(one.axes[0])
                assert plain.hist(name, c) == one
                assert plain.counts[c, f, :bins].tolist() == one.values().tolist()
                assert not plain.counts[c, f, bins:].any()
                assert plain.underflow[c, f] == one.view(flow=True)[0]
                assert plain.overflow[c, f] == one.view(flow=True)[-1]
                for found, w in [
                    (weighted.hist(f, c), weights[0]),
                    *((boot.hist(name, c, replica=r), weights[r]) for r in range(3)),
                ]:
                    expected = fj.histogram(x, axes[name], weights=w[passes])
                    for field in ("value", "variance"):
                        np.testing.assert_allclose(
                            found.view(flow=True)[field],
                            expected.view(flow=True)[field],
                            rtol=1e-12,
                        )
        assert plain.hist("pt", 0).axes[0].name == "pt"

    def test_nan_is_in_no_bin(self):
        x = [np.nan, -5.0, 0.5, np.inf, np.nan]
        found = fj.histogram_cuts([x], (2, 0, 1), [1.0, 1, 1, 1, 0], [1.0], [2.0, 1, 1, 1, 1])
        assert found.counts.tolist() == [[[0, 1]]]
        assert (found.nan, found.underflow, found.overflow) == (1, 1, 1)
        assert found.hist("0", 0).metadata == {"nan": 2.0}
        assert found.hist("0", 0).view(flow=True)["value"].tolist() == [1, 0, 1, 1]

    def test_nan_score_passes_no_cut(self):
        found = fj.histogram_cuts([[0.5] * 3], (1, 0, 1), [np.nan, -np.inf, np.inf], [-np.inf])
        assert found.counts.sum() == 2

    def test_a_cut_keeps_scores_equal_to_it(self):
        below = np.nextafter(np.float32(0.1), np.float32(0))
        scores = np.array([0.1, below], np.float32)
        found = fj.histogram_cuts([[0.5] * 2], (1, 0, 1), scores, scores)
        assert found.counts[:, 0, 0].tolist() == [1, 2]
        # 0.1 is less in float64 than in float32.
        assert fj.histogram_cuts([[0.5] * 2], (1, 0, 1), scores, [0.1]).counts.sum() == 1

    @pytest.mark.parametrize("n", [0, 3])
    def test_nothing_passes(self, n):
        found = fj.histogram_cuts({"x": np.ones(n)}, (2, 0, 1), np.zeros(n), [1.0, 2.0], np.ones(n))
        assert found.counts.tolist() == [[[0, 0]]] * 2
        assert found.sumw.tolist() == [[[0, 0]]] * 2

    @pytest.mark.parametrize("dtype", [*FLOATS, "i4", "?"])
    def test_kinds_of_features(self, dtype):
        rng = np.random.default_rng(2)
        table = (10 * rng.random((700, 4))).astype(dtype)
        scores = rng.random(700)
        expected = fj.histogram_cuts(list(table.T), (10, 0, 10), scores, [0.1, 0.6])
        assert expected.counts[0].sum() == 4 * (scores >= 0.1).sum()
        for other in (
            table,
            np.asfortranarray(table),
            table[::-1].copy()[::-1],
            {name: table[:, i] for i, name in enumerate("abcd")},
            table.astype(table.dtype.newbyteorder(">")),
        ):
            found = fj.histogram_cuts(other, (10, 0, 10), scores, [0.1, 0.6])
            assert_same(found.slot_counts, expected.slot_counts)

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_layouts(self, dtype):
        rng = np.random.default_rng(3)
        x, scores, weights = (rng.normal(size=2000).astype(dtype) for _ in range(3))
        expected = fj.histogram_cuts([x], (9, -2, 2), scores, [0.0, 1.0], weights)
        for name in hostile_layouts(x):
            a, b, c = (hostile_layouts(v)[name] for v in (x, scores, weights))
            for replicas in (c, np.stack([c, c]), np.stack([c, c], axis=1).T):
                found = fj.histogram_cuts([a], (9, -2, 2), b, [0.0, 1.0], replicas)
                assert_same(found.slot_counts, expected.slot_counts)
                for r in range(replicas.ndim):
                    if replicas.ndim == 1:
                        assert_same(found.slot_sumw, expected.slot_sumw)
                    else:  # replicas are added up in another order
                        np.testing.assert_allclose(
                            found.slot_sumw[r], expected.slot_sumw, rtol=1e-12, atol=1e-12
                        )

    @pytest.mark.parametrize("n_replicas", [2, 7, 9, 31, 33, 104])
    @pytest.mark.parametrize(("n_bins", "n_cuts"), [(6, 1), (6, 4), (700, 1)])
    def test_many_replicas(self, n_replicas, n_bins, n_cuts):
        """Blocks with many entries in a cell and with few, and tiles that are not full."""
        rng = np.random.default_rng(n_replicas)
        n = 3000
        features = [rng.normal(size=n).astype(dtype) for dtype in FLOATS]
        scores, cuts = rng.random(n), np.linspace(0, 0.9, n_cuts)
        weights = rng.normal(1, 1, (n_replicas, n))
        weights[n_replicas // 2] = weights[n_replicas // 2].astype("f4")
        found = fj.histogram_cuts(features, (n_bins, -2, 2), scores, cuts, weights, threads=2)
        edges = np.concatenate([[-np.inf], np.linspace(-2, 2, n_bins + 1), [np.inf]])
        for replica in range(n_replicas):
            for c, cut in enumerate(cuts):
                passing = scores >= cut
                for f, x in enumerate(features):
                    for power, sums in ((1, found.slot_sumw), (2, found.slot_sumw2)):
                        w = weights[replica, passing] ** power
                        expected, _ = np.histogram(x[passing].astype("f8"), edges, weights=w)
                        np.testing.assert_allclose(
                            sums[replica, c, f, :-1], expected, rtol=1e-12, atol=1e-11
                        )

    @pytest.mark.parametrize(
        "edges",
        [
            (4, 0, 1),
            hist.axis.Regular(4, 0, 1),
            [0, 0.25, 0.5, 0.75, 1],
            np.linspace(0, 1, 5),
            [(4, 0, 1), hist.axis.Regular(4, 0, 1)],
            ((4, 0, 1), np.linspace(0, 1, 5)),
            np.stack([np.linspace(0, 1, 5)] * 2),
            {"b": (4, 0, 1), "a": [0, 0.25, 0.5, 0.75, 1]},
        ],
    )
    def test_ways_to_say_the_edges(self, edges):
        features = {"a": [0.1, 0.25], "b": [0.9, 1.0]}
        found = fj.histogram_cuts(features, edges, [1, 1], [0])
        assert found.counts.tolist() == [[[1, 1, 0, 0], [0, 0, 0, 1]]]
        assert found.overflow.tolist() == [[0, 1]]


GOOD = {"features": {"pt": [1.0, 2.0]}, "edges": (2, 0, 1), "scores": [0.1, 0.2], "cuts": [0.1]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"features": {"pt": [1.0]}}, ValueError, "feature 'pt' has 1 entries, but there are 2"),
        ({"features": [[1.0, 2.0], [1.0]]}, ValueError, "feature '1' has 1 entries"),
        ({"features": {"pt": ["a", "b"]}}, TypeError, "feature 'pt' has dtype"),
        ({"features": np.ones(2)}, ValueError, r"shape \(n_events, n_features\), got \(2,\)"),
        ({"features": {}}, ValueError, "features must be at least one column"),
        ({"scores": [[0.1]]}, ValueError, "scores must have one dimension"),
        ({"cuts": []}, ValueError, "cuts must be at least one number"),
        ({"cuts": [0.1, np.nan]}, ValueError, "cuts must be at least one number, none of them NaN"),
        ({"cuts": 0.5}, ValueError, "cuts must have one dimension"),
        ({"weights": [1.0]}, ValueError, "weights has 1 entries, but there are 2 scores"),
        ({"weights": [[1.0, 2.0, 3.0]]}, ValueError, r"weights\[0\] has 3 entries"),
        ({"weights": np.ones((0, 2))}, ValueError, "at least one replica"),
        ({"weights": np.ones((1, 2, 2))}, ValueError, r"weights\[0\] must have one dimension"),
        ({"edges": {"eta": (2, 0, 1)}}, ValueError, r"edges are of \['eta'\], but .* \['pt'\]"),
        ({"edges": [(2, 0, 1), (2, 0, 1)]}, ValueError, "edges are of 2 features, but there are 1"),
        ({"edges": [1.0, 0.5]}, ValueError, "bin edges must be at least two numbers in increasing"),
        ({"threads": 0}, ValueError, "threads must be a positive integer"),
    ],
)
def test_errors_say_what_is_accepted(change, error, message):
    with pytest.raises(error, match=message):
        fj.histogram_cuts(**{**GOOD, **change})


def test_errors_of_the_result():
    plain = fj.histogram_cuts(**GOOD)
    with pytest.raises(KeyError, match="no feature 'Pt': did you mean 'pt'"):
        plain.hist("Pt", 0)
    with pytest.raises(ValueError, match="replica must be None: weights had no replicas"):
        plain.hist("pt", 0, replica=1)
    with pytest.raises(ValueError, match="replica must be an index"):
        fj.histogram_cuts(**GOOD, weights=np.ones((1, 2))).hist("pt", 0)


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match=r"bins times cuts must be less than 2\*\*31"):
        kernels.histogram_cuts(
            [np.ones(1)], [np.arange(2**20 * 1.0)], np.ones(1), np.arange(2**11.0)
        )
