"""PyramidMatch among scikit-learn's estimators, wrong input, and Nystroem."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pyramid_samples import many, unit_cube
from strategies import assert_same

import fastjag as fj

sklearn = pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC


def two_classes(n, seed=1):
    """Sets whose points lie around different places, and which they are."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    counts = rng.poisson(4, n)
    centre = np.repeat(0.35 + 0.3 * y, counts)
    columns = {name: rng.normal(centre, 0.2) for name in "ab"}
    return fj.Jagged.from_counts(counts, columns), y


class TestEstimator:
    def test_matrix_and_features_train_the_same_machine(self, PyramidMatch):
        X, y = two_classes(160)
        new, _ = two_classes(50, seed=2)
        match = PyramidMatch(6, unit_cube(2), shifts=1)
        features = match.fit_transform(X)
        by_matrix = SVC(kernel="precomputed", tol=1e-9).fit(match.gram(X, dtype="f8"), y)
        by_features = SVC(kernel="linear", tol=1e-9).fit(features, y)
        assert_allclose(
            by_matrix.decision_function(match.gram(new, X, dtype="f8")),
            by_features.decision_function(match.transform(new)),
            atol=1e-6,
        )

    def test_pipeline(self):
        X, y = two_classes(400)
        new, truth = two_classes(200, seed=2)
        pipeline = make_pipeline(fj.PyramidMatch(5, unit_cube(2)), LinearSVC())
        assert pipeline.fit(X, y).score(new, truth) > 0.8
        pipeline.set_params(pyramidmatch__levels=1)  # then sets differ by their size only
        assert pipeline.fit(X, y).score(new, truth) < 0.7

    def test_cross_validation(self, PyramidMatch):
        X, y = two_classes(300)
        features = PyramidMatch(5, unit_cube(2)).fit_transform(X)
        assert cross_val_score(LinearSVC(), features, y, cv=3).min() > 0.75

    def test_partial_fit(self, PyramidMatch):
        X, y = two_classes(600)
        match = PyramidMatch(5, unit_cube(2)).fit(X)
        model = SGDClassifier(random_state=1)
        for begin in range(0, 600, 200):
            part = slice(begin, begin + 200)
            model.partial_fit(match.transform(X[part]), y[part], classes=[0, 1])
        new, truth = two_classes(200, seed=2)
        assert model.score(match.transform(new), truth) > 0.8

    def test_clone_and_parameters(self, PyramidMatch):
        match = PyramidMatch(5, unit_cube(2), shifts=2, seed=3, categorical="type")
        match.fit(many(20))
        copy = clone(match)
        assert copy.get_params() == match.get_params()
        assert not hasattr(copy, "tree_")
        with pytest.raises(sklearn.exceptions.NotFittedError):
            copy.transform(many(20))
        assert_same(copy.gram(many(20)), match.gram(many(20)))
        match.set_params(levels=3)
        assert match.unit == 2 * 2**3
        assert copy.unit == 2 * 2**5

    def test_other_seed_other_grids(self, PyramidMatch):
        X = many(30)
        one, same, other = (
            PyramidMatch(6, unit_cube(2), shifts=1, seed=s).gram(X) for s in (1, 1, 2)
        )
        assert_same(one, same)
        assert (one != other).any()


class TestWrongInput:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, PyramidMatch, bad):
        X = fj.Jagged([0, 2, 2, 4], {"a": [0.1, 0.2, 0.3, bad], "b": [0.0, 1, 2, 3]})
        match = PyramidMatch(4, unit_cube(2))
        for call in (match.gram, match.fit, match.neighbors, match.operator):
            with pytest.raises(
                ValueError, match=f"^column 'a' must be finite, got {bad} in event 2$"
            ):
                call(X)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"levels": 0}, "levels must be an integer >= 1, got 0"),
            ({"levels": True}, "levels must be an integer >= 1, got True"),
            ({"levels": 2.0}, "levels must be an integer >= 1, got 2.0"),
            ({"levels": 33}, "levels must be at most 32, got 33"),
            ({"shifts": -1}, "shifts must be an integer >= 0, got -1"),
            ({"seed": None}, "seed must be an integer >= 0, got None"),
            ({"extent": {}}, r"extent must map columns to \(low, high\), got {}"),
            ({"extent": [0, 1]}, r"extent must map columns to \(low, high\), got \[0, 1\]"),
            ({"extent": {"a": (1, 1)}}, r"extent of 'a' must be .* low < high, got \(1, 1\)"),
            ({"extent": {"a": (2, 1)}}, r"extent of 'a' must be .* got \(2, 1\)"),
            ({"extent": {"a": (0, np.nan)}}, r"extent of 'a' must be .* got \(0, nan\)"),
            ({"extent": {"a": (0, np.inf)}}, r"extent of 'a' must be .* got \(0, inf\)"),
            ({"extent": {"a": (-1e308, 1e308)}}, r"extent of 'a' must be .* got \(-1e\+308"),
            ({"extent": {"a": 1}}, r"extent of 'a' must be .* got 1$"),
            ({"extent": {"a": (0, 1, 2)}}, r"extent of 'a' must be .* got \(0, 1, 2\)"),
            ({"extent": {"a": (0, "b")}}, r"extent of 'a' must be .* got \(0, 'b'\)"),
            ({"extent": {"a": (0, 5e-324)}}, r"extent of 'a' is too narrow .* got \(0, 5e-324\)"),
            ({"circular": ["phi"]}, "circular names 'phi'; extent has a, b"),
            ({"circular": "phi"}, "circular names 'phi'; extent has a, b"),
            ({"categorical": "a"}, "categorical is 'a', which is a coordinate in extent"),
            ({"levels": 32, "shifts": 1}, "33 levels of 2 columns .* need 64 bits; 63 are there"),
            ({"levels": 32, "categorical": "type"}, "1 pyramids with 3 categories need 64 bits"),
        ],
    )
    def test_parameters(self, PyramidMatch, parameters, message):
        match = PyramidMatch(**{"levels": 4, "extent": unit_cube(2), **parameters})
        X = many(20)
        for call in (match.gram, match.fit, match.neighbors, match.operator):
            with pytest.raises(ValueError, match=f"^.*{message}"):
                call(X)

    def test_columns(self, PyramidMatch):
        large = np.array([2**63, 1], "u8")
        X = fj.Jagged([0, 2], {"Muon_pt": [1.0, 2], "type": [0.0, 1], "id": large})
        with pytest.raises(KeyError, match=r"no column 'pt': did you mean 'Muon_pt'\?"):
            PyramidMatch(4, {"pt": (0, 1)}).gram(X)
        match = PyramidMatch(4, {"Muon_pt": (0, 1)}, categorical="type")
        with pytest.raises(TypeError, match="column 'type' must hold integers, got dtype float64"):
            match.gram(X)
        integers = fj.Jagged([0, 2], {"Muon_pt": [1.0, 2], "type": [0, 1]})
        with pytest.raises(TypeError, match="column 'type' must hold integers, got dtype float64"):
            match.fit(integers).transform(X)
        match.set_params(categorical="id")
        with pytest.raises(TypeError, match=r"column 'id' has dtype uint64 .* int64 cannot hold"):
            match.gram(X)
        for names in ({"extent": {3: (0, 1)}}, {"categorical": 3}):
            wrong = PyramidMatch(**{"levels": 4, "extent": {"Muon_pt": (0, 1)}, **names})
            with pytest.raises(TypeError, match="columns of the kernel must be names, got 3"):
                wrong.gram(X)
        with pytest.raises(TypeError, match=r"expected a fastjag.Jagged or an awkward array"):
            match.gram([[1.0], [2.0]])

    @pytest.mark.parametrize("dtype", ["i4", "f2", ">f8", "U3", bool])
    def test_dtypes(self, PyramidMatch, dtype):
        with pytest.raises(TypeError, match=r"^dtype must be float32, float64, uint16, uint32 in"):
            PyramidMatch(4, unit_cube(2)).gram(many(20), dtype=dtype)

    def test_dtype_objects(self, PyramidMatch):
        match = PyramidMatch(4, unit_cube(2))
        for dtype in (np.float64, np.dtype("f8"), float, "float64", "d"):
            assert match.gram(many(20), dtype=dtype).dtype == np.float64

    def test_out_arrays(self, tmp_path):
        X = many(30)
        match = fj.PyramidMatch(4, unit_cube(2))
        wrong = {
            "shape": np.empty((30, 29), "f4"),
            "must be C-contiguous": np.empty((30, 60), "f4")[:, ::2],
            "out is read-only": np.empty((30, 30), "f4"),
        }
        wrong["out is read-only"].flags.writeable = False
        for message, out in wrong.items():
            with pytest.raises(ValueError, match=message):
                match.gram(X, out=out)
        with pytest.raises(ValueError, match=r"dtype float64, got .* float32"):
            match.gram(X, dtype="f8", out=np.empty((30, 30), "f4"))
        with pytest.raises(TypeError, match=r"dtype must be .*, got int32"):
            match.gram(X, out=np.empty((30, 30), "i4"))
        with pytest.raises(TypeError, match="out must be a NumPy array, got list"):
            match.gram(X, out=[])
        mapped = np.memmap(tmp_path / "gram.bin", "u2", "w+", shape=(30, 30))
        assert match.gram(X, out=mapped) is mapped
        assert_same(mapped, match.gram(X, dtype="u2"))

    def test_integers_too_large(self, PyramidMatch):
        X = fj.Jagged([0, 3, 6], {"a": [0.1, 0.2, 0.3] * 2})
        match = PyramidMatch(32, {"a": (0, 1)})
        for call in (match.gram, match.neighbors):  # sums are formed in 32 bits
            with pytest.raises(
                OverflowError, match=r"3 points .* more than uint32 holds: use fewer"
            ):
                call(X)
        features = match.fit_transform(X)
        assert_allclose((features @ features.T).toarray(), 1)

    @pytest.mark.parametrize("k", [0, -1, 1.5, True])
    def test_neighbors(self, PyramidMatch, k):
        with pytest.raises(ValueError, match=f"k must be an integer >= 1, got {k}"):
            PyramidMatch(4, unit_cube(2)).neighbors(many(20), k=k)

    @pytest.mark.parametrize("categorical", [None, "type"])
    @pytest.mark.parametrize("shifts", [0, 2])
    def test_nothing_there(self, PyramidMatch, shifts, categorical):
        match = PyramidMatch(4, unit_cube(2), shifts=shifts, categorical=categorical)
        X, none = many(20), many(20)[:0]
        empty = X.keep(np.zeros(X.n_particles, bool))
        assert match.gram(none).shape == match.fit_transform(none).shape == (0, 0)
        assert match.gram(X, none).shape == match.transform(X).shape == (20, 0)
        assert match.gram(none, X).shape == (0, 20)
        assert not match.gram(empty, X).any()
        assert not match.gram(empty).any()
        assert match.fit_transform(empty).nnz == 0
        index, similarity = match.neighbors(X, none, k=2)
        assert (index == -1).all()
        assert (similarity == 0).all()
        assert_allclose(match.operator(X, empty) @ np.ones(20), 0)


class TestNystroem:
    match = fj.PyramidMatch(6, unit_cube(2))

    def test_exact_with_all_sets_as_landmarks(self):
        X = many(120)
        K = self.match.gram(X, dtype="f8")
        for landmarks in (X, 120, 10_000):
            F = fj.Nystroem(self.match, landmarks).fit_transform(X)
            assert_allclose(F @ F.T, K, atol=1e-8)

    def test_exact_on_landmarks(self):
        X = many(300)
        few = fj.Nystroem(self.match, 40, seed=3).fit(X)
        assert few.landmark_indices_.shape == (40,)
        F = few.transform(few.landmarks_)
        assert_allclose(F @ F.T, self.match.gram(few.landmarks_, dtype="f8"), atol=1e-9)
        everywhere = few.transform(X)
        assert_same(everywhere[few.landmark_indices_].round(9), F.round(9))
        K = self.match.gram(X, dtype="f8")
        errors = [
            np.linalg.norm(f @ f.T - K)
            for f in (fj.Nystroem(self.match, n).fit_transform(X) for n in (5, 40, 200))
        ]
        assert errors[0] > errors[1] > errors[2]

    def test_rank_that_is_not_full(self):
        X = many(30)
        twice = X[np.r_[np.arange(30), np.arange(30)]]
        F = fj.Nystroem(self.match, twice).fit(X).transform(X)
        assert F.shape[1] <= 30
        assert_allclose(F @ F.T, self.match.gram(X, dtype="f8"), atol=1e-8)
        empty = X.keep(np.zeros(X.n_particles, bool))
        assert fj.Nystroem(self.match, empty).fit(X).transform(X).shape == (30, 0)

    def test_seed_and_parameters(self):
        X = many(100)
        one, same, other = (fj.Nystroem(self.match, 20, seed=s).fit(X) for s in (1, 1, 2))
        assert_same(one.landmark_indices_, same.landmark_indices_)
        assert_same(one.transform(X), same.transform(X))
        assert (one.landmark_indices_ != other.landmark_indices_).any()
        given = clone(fj.Nystroem(self.match, X[:5]))
        assert given.fit(X).landmark_indices_ is None
        assert len(given.landmarks_) == 5
        assert one.set_params(kernel__levels=3).kernel.levels == 3
        self.match.set_params(levels=6)

    @pytest.mark.parametrize("bad", [0, -2, True])
    def test_wrong_landmarks(self, bad):
        with pytest.raises(ValueError, match=f"landmarks must be an integer >= 1, got {bad}"):
            fj.Nystroem(self.match, bad).fit(many(20))
        with pytest.raises(TypeError, match=r"landmarks must be .*, got float"):
            fj.Nystroem(self.match, 1.5).fit(many(20))
        with pytest.raises(ValueError, match="X has no sets to take landmarks from"):
            fj.Nystroem(self.match).fit(many(20)[:0])
        with pytest.raises(sklearn.exceptions.NotFittedError):
            fj.Nystroem(self.match).transform(many(20))
