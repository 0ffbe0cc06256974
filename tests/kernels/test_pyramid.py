"""pyramid against the reference, exactly, and against what is known of the kernel."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from pyramid_samples import EXTENT, cases, integers, many, normalized, sets_of, unit_cube
from scipy.optimize import linear_sum_assignment
from strategies import assert_same, hostile_layouts

import fastjag as fj
from fastjag import kernels


class TestExact:
    @given(cases())
    def test_integers(self, PyramidMatch, case):
        parameters, X, Y = case
        match = PyramidMatch(**parameters)
        try:
            found = match.gram(X, Y, dtype="uint16")
            assert found.dtype == np.uint16
        except OverflowError:
            found = match.gram(X, Y, dtype="uint32")
        assert_same(found.astype("i8"), integers(match, X, Y))
        assert_same(match.gram(X, dtype="uint32").astype("i8"), integers(match, X))

    @given(cases())
    @settings(max_examples=40)
    def test_floats_features_and_products(self, PyramidMatch, case):
        parameters, X, Y = case
        match = PyramidMatch(**parameters)
        exact = integers(match, X, Y)
        K = normalized(exact, match, X, Y) if match.normalize else exact / match.unit
        double, single = match.gram(X, Y, dtype="float64"), match.gram(X, Y)
        np.testing.assert_allclose(double, K, rtol=1e-15, atol=0)
        assert_same(single, double.astype("f4"))
        own = match.gram(X)
        if match.normalize:
            assert_same(own.diagonal(), (X.counts > 0).astype("f4"))
        assert_same(own, own.T)
        features = match.fit_transform(Y)  # X has cells that Y does not know
        assert features.has_canonical_format
        assert set(features.indices) == set(range(features.shape[1]))  # none that no set has
        np.testing.assert_allclose((match.transform(X) @ features.T).toarray(), K, 1e-12, 1e-15)
        assert_same(match.transform(Y).toarray(), features.toarray())
        v = np.arange(len(Y)) - 0.5
        np.testing.assert_allclose(match.operator(X, Y) @ v, K @ v, 1e-12, 1e-12)
        v = np.arange(len(X)) - 0.5
        np.testing.assert_allclose(
            match.operator(X) @ v, match.gram(X, dtype="f8") @ v, 1e-12, 1e-12
        )

    @given(cases())
    @settings(max_examples=40)
    def test_neighbors(self, PyramidMatch, case):
        parameters, X, Y = case
        match = PyramidMatch(**parameters)
        for other, k in ((Y, 3), (None, 50)):
            exact = integers(match, X, other)
            columns = X if other is None else other
            index, similarity = match.neighbors(X, other, k=k)
            assert index.shape == similarity.shape == (len(X), k)
            gram = match.gram(X, other)
            for i in range(len(X)):
                # K or its square, times what is common to the row.
                order = sorted(
                    (j for j in range(len(columns)) if other is not None or j != i),
                    key=lambda j: (-_rank(exact[i, j], columns.counts[j], match.normalize), j),
                )[:k]
                assert index[i].tolist() == order + [-1] * (k - len(order))
                expected = [*gram[i, order], *[0] * (k - len(order))]
                assert_same(similarity[i], np.array(expected, np.float32))

    @pytest.mark.parametrize("least", [0.0, 2.0])
    @pytest.mark.parametrize("shifts", [0, 2])
    def test_bit_planes_and_lists(self, PyramidMatch, monkeypatch, least, shifts):
        X, Y = many(400), many(150, seed=2, mean=8)
        match = PyramidMatch(8, unit_cube(2), shifts=shifts)
        expected = [match.gram(X, dtype="u4"), match.gram(X, Y, dtype="u2"), match.gram(Y, X)]
        monkeypatch.setattr(kernels.pyramid, "LEAST_FREQUENT", least)
        found = [match.gram(X, dtype="u4"), match.gram(X, Y, dtype="u2"), match.gram(Y, X)]
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)

    def test_a_list_that_ends_before_a_block(self, PyramidMatch, monkeypatch):
        """The last feature, more than 8 points in all, is the first set's alone; others follow."""
        monkeypatch.setattr(kernels.pyramid, "LEAST_FREQUENT", 2.0)
        X = sets_of([9] + [1] * 1100, ["x"], np.random.default_rng(1))
        match = PyramidMatch(4, {"x": EXTENT["x"]})
        assert_same(match.gram(X[:1], X, dtype="u4").astype("i8"), integers(match, X[:1], X))

    @pytest.mark.parametrize("columns", [1024, 2048, 2100, 4097])
    def test_blocks_and_tiles(self, PyramidMatch, columns):
        X, Y = many(columns, mean=2), many(200, seed=2)
        match = PyramidMatch(6, unit_cube(2), normalize=False)
        features = match.fit_transform(X)
        for rows in (Y, X[1000:1050]):  # the latter have cells that only they have, at all borders
            products = (match.transform(rows) @ features.T).toarray() * match.unit
            assert_same(match.gram(rows, X, dtype="u2"), np.rint(products).astype("u2"))

    @pytest.mark.parametrize("columns", [2048, 2100, 4097])
    def test_both_halves(self, columns):
        """Threads compute one and mirror it, block by block; a GPU computes all in the same way."""
        X = many(columns, mean=2)
        match = fj.PyramidMatch(6, unit_cube(2), normalize=False)
        features = match.fit_transform(X)
        own = (features @ features.T).toarray() * match.unit
        for dtype in ("u2", "u4"):
            assert_same(match.gram(X, dtype=dtype), np.rint(own).astype(dtype))
        assert_same(match.gram(X), (np.rint(own) / match.unit).astype("f4"))

    @pytest.mark.parametrize("dtype", ["u2", "u4", "f4", "f8"])
    def test_same_on_any_number_of_threads(self, dtype):
        X, Y = many(1500, dimensions=3), many(1100, 2, dimensions=3)
        match = fj.PyramidMatch(7, unit_cube(3), shifts=1)
        one, both = (match.gram(X, *o, dtype=dtype, threads=1) for o in ((), (Y,)))
        for threads in (2, 4):
            assert_same(match.gram(X, dtype=dtype, threads=threads), one)
            assert_same(match.gram(X, Y, dtype=dtype, threads=threads), both)

    def test_cells_and_features_on_any_number_of_threads(self):
        X = many(60_000, dimensions=3)
        match = fj.PyramidMatch(7, unit_cube(3))
        with_threads = []
        for threads in (1, 4):
            fj.set_num_threads(threads)
            features = match.fit(many(500, seed=5, dimensions=3)).transform(X)
            whole = match.fit_transform(X)
            with_threads.append([*_parts(features), *_parts(whole)])
        fj.set_num_threads(None)
        for a, b in zip(*with_threads, strict=True):
            assert_same(a, b)

    @pytest.mark.parametrize("least", [0.0, 2.0])  # bit planes or lists alone
    def test_one_huge_set(self, PyramidMatch, monkeypatch, least):
        monkeypatch.setattr(kernels.pyramid, "LEAST_FREQUENT", least)
        rng = np.random.default_rng(1)
        X = sets_of([3, 600, 0, 600], ["x", "phi"], rng)
        match = PyramidMatch(8, {"x": EXTENT["x"], "phi": EXTENT["phi"]}, circular=["phi"])
        with pytest.raises(OverflowError, match=r"^sets of up to 600 points give .* 76800.*uint32"):
            match.gram(X, dtype="uint16")
        assert_same(match.gram(X, dtype="uint32").astype("i8"), integers(match, X))
        few = X[:1]  # the smaller set bounds the integers
        assert_same(match.gram(X, few, dtype="uint16").astype("i8"), integers(match, X, few))

    def test_more_digits_than_sums_have(self, PyramidMatch):
        """Sums fit into 16 bits, what a row could share with columns larger than its own not."""
        x = np.random.default_rng(1).random(100)
        X, Y = fj.Jagged([0, 100], {"x": x}), fj.Jagged(np.arange(201), {"x": np.tile(x, 2)})
        match = PyramidMatch(16, {"x": (0, 1)}, normalize=False)
        assert_same(match.gram(X, Y, dtype="u2").astype("i8"), integers(match, X, Y))
        nothing = fj.Jagged([0, 0, 0], {"x": np.zeros(0)})
        for levels in (18, 32):
            match = PyramidMatch(levels, {"x": (0, 1)})
            assert_same(match.gram(nothing, X, dtype="u2"), np.zeros((2, 1), "u2"))
            assert_same(match.gram(nothing), np.zeros((2, 2), "f4"))

    @pytest.mark.parametrize(
        ("dimensions", "levels", "shifts"),
        [(1, 32, 0), (2, 32, 0), (3, 22, 0), (1, 31, 1), (2, 31, 1), (3, 21, 1)],
    )
    def test_finest_grids(self, PyramidMatch, dimensions, levels, shifts):
        X = many(12, dimensions=dimensions)
        X = X.keep(np.isin(np.arange(X.n_particles), X.offsets[:-1]))  # one point or none each
        match = PyramidMatch(levels, unit_cube(dimensions), shifts=shifts)
        assert_same(match.gram(X, dtype="u4").astype("i8"), integers(match, X))

    def test_many_columns(self, PyramidMatch):
        rng = np.random.default_rng(1)
        names = [f"c{i}" for i in range(31)]
        points = {name: rng.random(40) for name in names}
        X = fj.Jagged(np.arange(0, 41, 4), points)
        match = PyramidMatch(3, dict.fromkeys(names, (0, 1)))
        assert_same(match.gram(X, dtype="u2").astype("i8"), integers(match, X))

    def test_layouts_and_slices(self, PyramidMatch):
        x = np.random.default_rng(1).uniform(-3, 3, 60)
        offsets = np.arange(0, 61, 4)
        match = PyramidMatch(5, {"x": (-2, 2)}, categorical="type")
        kinds = np.arange(60) % 3
        expected = match.gram(fj.Jagged(offsets, {"x": x, "type": kinds}))
        for layout, other in zip(
            hostile_layouts(x).values(), hostile_layouts(kinds).values(), strict=True
        ):
            sets = fj.Jagged(offsets, {"x": layout, "type": other})
            assert_same(match.gram(sets), expected)
        sets = fj.Jagged(offsets, {"x": x, "type": kinds})
        assert_same(match.gram(sets[5:]), expected[5:, 5:])  # content from the middle

    def test_awkward(self, PyramidMatch):
        ak = pytest.importorskip("awkward")
        X = many(20)
        records = ak.zip({name: ak.unflatten(X[name], X.counts) for name in "ab"})
        match = PyramidMatch(5, unit_cube(2))
        assert_same(match.gram(records), match.gram(X))

    @pytest.mark.parametrize("categorical", [None, "charge"])
    def test_real_muons(self, PyramidMatch, real_data, categorical):
        (batch,) = fj.iterate(real_data / "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple.root")
        muons = batch.Muon[:100]
        match = PyramidMatch(
            8,
            {"pt": (0, 200), "eta": (-2.5, 2.5), "phi": (-np.pi, np.pi)},
            circular=["phi"],
            categorical=categorical,
        )
        assert muons.counts.max() >= 3
        assert_same(match.gram(muons, dtype="u2").astype("i8"), integers(match, muons))


class TestKernels:
    @pytest.mark.parametrize("n", [0, 1, 5, 255, 1025, 2100])
    @pytest.mark.parametrize("k", [1, 4, 11])
    def test_largest(self, kernels, n, k):
        rng = np.random.default_rng(n)
        values = rng.integers(-3, 3, (4, n)).astype("f4")  # many are equal; -0 is 0
        values[:, ::2] *= -1
        values[2:, 7::256] += 10  # all of the largest in columns that one thread reads
        exclude = np.array([-1, 0, 7, n - 1])
        for skip in (None, exclude):
            index, found = kernels.largest(values, k, exclude=skip)
            for i, row in enumerate(values):
                order = [j for j in np.argsort(-row, kind="stable") if skip is None or j != skip[i]]
                rest = [-1] * (k - len(order[:k]))
                assert index[i].tolist() == order[:k] + rest
                assert_same(found[i], np.array([*row[order[:k]], *[0] * len(rest)], "f4"))

    @pytest.mark.parametrize("n_axes", [1, 63, 70])
    def test_any_number_of_axes(self, kernels, n_axes):
        """Two levels of 63 axes fill the code; with one, there may be more."""
        rng = np.random.default_rng(n_axes)
        offsets = np.array([0, 40, 40, 43])
        axes = [kernels.Coordinate(rng.random(43), 0.0, 1.0, False) for _ in range(n_axes)]
        levels = 1 if n_axes > 63 else 2
        shifts = np.zeros((1, n_axes))
        _, codes = kernels.pyramid_codes(offsets, axes, levels=levels, shifts=shifts, shifted=False)
        bits = np.array([axis.values >= 0.5 for axis in axes])[: n_axes * (levels - 1)]
        weights = np.uint64(1) << np.arange(len(bits), dtype=np.uint64)
        expected = (bits.T * weights).sum(1, dtype=np.uint64)
        for begin, end in pairwise(offsets):
            assert_same(codes[begin:end], np.sort(expected[begin:end]))


def _rank(exact, size, normalize):
    return Fraction(int(exact) ** 2, max(1, int(size))) if normalize else Fraction(int(exact))


def _parts(matrix):
    return matrix.indptr, matrix.indices, matrix.data


class TestDefinition:
    def test_worked_example(self, PyramidMatch):
        X = fj.Jagged([0, 4, 9], {"x": [1, 5, 9, 14, 0, 4, 10, 11, 15]})
        match = PyramidMatch(5, {"x": (0, 16)}, normalize=False)
        np.testing.assert_array_equal(match.gram(X), [[4, 1.75], [1.75, 5]])
        pairs = _pairs_by_level(PyramidMatch, X[:1], X[1:], {"x": (0, 16)}, 5)
        assert pairs == [0, 3, 4, 4, 4]  # I_l; N_l are 0, 3, 1, 0, 0
        match.set_params(normalize=True)
        assert match.gram(X)[0, 1] == pytest.approx(0.391312, abs=5e-7)

    @pytest.mark.parametrize("shifts", [0, 3])
    def test_positive_semidefinite(self, PyramidMatch, shifts):
        for normalize in (False, True):
            match = PyramidMatch(6, unit_cube(3), shifts=shifts, normalize=normalize)
            values = np.linalg.eigvalsh(match.gram(many(150, dimensions=3), dtype="f8"))
            assert values.min() >= -1e-9 * values.max()

    @pytest.mark.parametrize("seed", range(6))
    def test_cost_is_above_that_of_the_best_matching(self, PyramidMatch, seed):
        """Pairs of a level are charged the L1 diameter of its cells: never less than they cost."""
        rng = np.random.default_rng(seed)
        d, levels = 1 + seed % 3, 7
        x, y = rng.uniform(0, 64, (12, d)), rng.uniform(0, 64, (12 + seed, d))
        distance = np.abs(x[:, None] - y[None]).sum(-1)
        best = distance[linear_sum_assignment(distance)].sum()
        sets = fj.Jagged([0, 12, 24 + seed], dict(zip("abc", np.r_[x, y].T, strict=False)))
        extent = dict.fromkeys("abc"[:d], (0, 64))
        pairs = _pairs_by_level(PyramidMatch, sets[:1], sets[1:], extent, levels)
        assert pairs[-1] == 12
        new = np.diff([0, *pairs])
        assert (new >= 0).all()
        assert (new * d * 2 ** np.arange(levels)).sum() >= best

    @given(cases())
    @settings(max_examples=40)
    def test_bounds(self, PyramidMatch, case):
        parameters, X, Y = case
        match = PyramidMatch(**parameters)
        match.normalize = False
        K, smaller = match.gram(X, Y, dtype="f8"), np.minimum.outer(X.counts, Y.counts)
        assert (smaller >= K).all()
        if match.categorical is None:  # in the coarsest cell all points pair
            assert (smaller / 2 ** (match.levels - 1 + bool(match.shifts)) <= K).all()
        match.normalize = True
        larger = np.maximum(1, np.maximum.outer(X.counts, Y.counts))
        assert (match.gram(X, Y, dtype="f8") <= np.sqrt(smaller / larger) * (1 + 1e-15)).all()

    def test_more_points_are_never_less_alike(self, PyramidMatch):
        X = many(60)
        match = PyramidMatch(6, unit_cube(2), normalize=False)
        first = np.arange(X.n_particles) != X.offsets[:-1].repeat(X.counts)
        without = X.keep(first)
        assert (match.gram(without, X, dtype="u4") <= match.gram(X, dtype="u4")).all()

    def test_order_of_points_and_sets(self, PyramidMatch):
        X = many(60)
        match = PyramidMatch(6, unit_cube(2), shifts=2)
        rng = np.random.default_rng(1)
        mixed = np.concatenate(
            [b + rng.permutation(c) for b, c in zip(X.offsets, X.counts, strict=False)]
        )
        same = fj.Jagged(X.offsets, {name: X[name][mixed] for name in X.columns})
        assert_same(match.gram(same), match.gram(X))
        order = rng.permutation(60)
        assert_same(match.gram(X[order]), match.gram(X)[np.ix_(order, order)])

    @pytest.mark.parametrize("shifts", [0, 2])
    def test_circles_have_no_begin(self, PyramidMatch, shifts):
        sets = many(80)
        phi = np.round(sets["a"] * 64) / 64 * 16 - 8  # exact: sums below round nowhere
        match = PyramidMatch(6, {"phi": (-8, 8)}, circular=["phi"], shifts=shifts)
        expected = match.gram(fj.Jagged(sets.offsets, {"phi": phi}))
        for turns in (1, -2, 1000):
            moved = fj.Jagged(sets.offsets, {"phi": phi + 16 * turns})
            assert_same(match.gram(moved), expected)
        ends = fj.Jagged([0, 1, 2], {"phi": [-8.0, 8.0]})
        assert match.gram(ends)[0, 1] == 1

    def test_beyond_the_extent_is_on_its_border(self, PyramidMatch):
        far = fj.Jagged(np.arange(7), {"x": [-1e300, -1, 0.5, 1 - 1e-9, 1, 7]})
        clipped = fj.Jagged(np.arange(7), {"x": np.clip(far["x"], 0, 1)})
        for shifts in (0, 4):
            match = PyramidMatch(6, {"x": (0, 1)}, shifts=shifts)
            assert_same(match.gram(far), match.gram(clipped))

    def test_shifts_are_averaged(self, PyramidMatch):
        X = many(50)
        all_three = PyramidMatch(5, unit_cube(2), shifts=3, seed=4, normalize=False)
        shifts = np.random.default_rng(4).random((3, 2))
        moved = [
            fj.Jagged(X.offsets, {name: X[name] + s for name, s in zip("ab", shift, strict=True)})
            for shift in shifts
        ]
        single = PyramidMatch(6, {"a": (0, 2), "b": (0, 2)}, normalize=False)
        mean = sum(single.gram(sets, dtype="f8") for sets in moved) / 3
        np.testing.assert_allclose(all_three.gram(X, dtype="f8"), mean, rtol=1e-14)

    def test_types_never_pair(self, PyramidMatch):
        X = many(50)
        match = PyramidMatch(5, unit_cube(2), categorical="type", normalize=False)
        single = PyramidMatch(5, unit_cube(2), normalize=False)
        total = sum(single.gram(X.keep(X["type"] == t), dtype="u4") for t in range(3))
        assert_same(match.gram(X, dtype="u4"), total)
        assert (total != single.gram(X, dtype="u4")).any()
        # Types that were not there when cells were learnt: of no use, and counted in the norm.
        match.set_params(normalize=True)
        few = X.keep(X["type"] != 1)
        K = match.gram(X, few, dtype="f8")
        features = match.fit_transform(few)
        np.testing.assert_allclose((match.transform(X) @ features.T).toarray(), K, 1e-12, 1e-15)


def _pairs_by_level(PyramidMatch, X, Y, extent, levels):
    """I_l from the finest level on: one level more adds 2^(levels - 2) I of its finest cells."""
    grams = [0] + [
        int(PyramidMatch(n, extent).gram(X, Y, dtype="u4")[0, 0]) for n in range(1, levels + 1)
    ]
    pairs = [int(d) >> max(0, n - 1) for n, d in enumerate(np.diff(grams))]
    return pairs[::-1]
