"""nearest and in_cone: the kernel against the reference, the functions at their door, real data."""

import awkward as ak
import numpy as np
import pytest
import vector
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    FLOATS,
    assert_same,
    column,
    hostile_layouts,
    jagged_arrays,
    large_jagged,
    uneven_jagged,
)

import fastjag as fj
from fastjag import kernels
from fastjag.kernels import reference

PI = np.pi


@st.composite
def two_sides(draw):
    """(offsets, eta, phi) of the same events twice, hostile or on a coarse grid full of ties."""
    offsets, (eta, phi) = draw(jagged_arrays(FLOATS, n_columns=2, same_dtype=True, huge=70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.sampled_from([[0, 1, 2, 3], [0, 5, 7, 8, 9], [0, 1, 15, 16, 17, 90]]))
    counts = rng.choice(sizes, len(offsets) - 1)
    start, tail = draw(st.sampled_from([0, 0, 4])), draw(st.sampled_from([0, 0, 1, 9]))
    others = start + np.cumsum([0, *counts], dtype=np.int64)
    sides = [(offsets, eta, phi)]
    sides.append((others, *(column(rng, eta.dtype, int(others[-1]) + tail) for _ in range(2))))
    if draw(st.booleans()):
        for _, *angles in sides:
            for values, step in zip(angles, (0.5, PI / 4), strict=True):
                grid = step * rng.integers(-9, 10, len(values))
                values[:] = np.where(np.isnan(values), np.nan, grid)
    return sides if draw(st.booleans()) else sides[::-1]


def side(rng, offsets, dtype="f8"):
    n = int(offsets[-1])
    return offsets, rng.uniform(-2.5, 2.5, n).astype(dtype), rng.uniform(-4, 4, n).astype(dtype)


def particles(eta, phi, counts=None):
    return fj.Jagged.from_counts([len(eta)] if counts is None else counts, {"eta": eta, "phi": phi})


class TestKernel:
    @given(two_sides())
    def test_nearest_is_that_of_the_reference(self, kernels, sides):
        for found, expected in zip(kernels.nearest(*sides), reference.nearest(*sides), strict=True):
            assert_same(found, expected)

    @given(two_sides(), st.sampled_from([1e-3, 0.5, 1.0, 3.0, 1e5, None]), st.integers(0, 2**32))
    def test_in_cone_is_that_of_the_reference(self, kernels, sides, radius, seed):
        n = int(np.ptp(sides[0][0][[0, -1]]))
        radii = np.random.default_rng(seed).exponential(2, n) + 1e-9 if radius is None else radius
        offsets, index, delta_r = kernels.in_cone(*sides, radii)
        expected = reference.in_cone(*sides, np.broadcast_to(radii, n))
        assert_same(offsets, np.cumsum([0] + [len(i) for i, _ in expected], dtype=np.int64))
        assert index.dtype == np.int64
        assert index.tolist() == [j for indices, _ in expected for j in indices]
        empty = np.empty(0, sides[0][1].dtype)
        assert_same(delta_r, np.concatenate([empty, *(d for _, d in expected)]))

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("grid", [False, True])
    def test_many_right_particles(self, kernels, dtype, grid):
        rng = np.random.default_rng(9)
        offsets = [
            2 + np.cumsum([0, *n]) for n in ([3, 1, 9, 0, 2, 40], [1025, 1024, 0, 3000, 4000, 7])
        ]
        left, right = (side(rng, o, dtype) for o in offsets)
        if grid:  # full of ties
            left, right = ((o, np.round(eta), np.round(phi)) for o, eta, phi in (left, right))
        for found, expected in zip(
            kernels.nearest(left, right), reference.nearest(left, right), strict=True
        ):
            assert_same(found, expected)
        radii = rng.uniform(0.1, 2, 55)
        bounds, index, delta_r = kernels.in_cone(left, right, radii)
        expected = reference.in_cone(left, right, radii)
        assert_same(bounds, np.cumsum([0] + [len(i) for i, _ in expected], dtype=np.int64))
        assert index.tolist() == [j for indices, _ in expected for j in indices]
        assert_same(delta_r, np.concatenate([d for _, d in expected]))

    @pytest.mark.parametrize("n", [60, 70, 1100])
    def test_a_cone_is_open(self, kernels, n):
        """What is as far away as the radius is outside, also in a second look."""
        eta = np.where(np.arange(n) % 3 == 1, 0.25, 0.5)
        left = np.array([0, 1]), np.zeros(1), np.zeros(1)
        bounds, index, _ = kernels.in_cone(left, (np.array([0, n]), eta, np.zeros(n)), 0.5)
        assert bounds.tolist() == [0, n // 3 + (n % 3 == 2)]
        assert index.tolist() == list(range(1, n, 3))

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_many_events(self, kernels, dtype):
        """Every device gives the bits that the CPU gives."""
        rng = np.random.default_rng(10)
        jets = side(rng, uneven_jagged(), dtype)
        tracks = side(rng, 1 + np.concatenate([[0], np.cumsum(rng.poisson(9, 6000))]), dtype)
        found = kernels.nearest(jets, tracks) + kernels.in_cone(tracks, jets, 0.4)
        expected = fj.kernels.nearest(jets, tracks) + fj.kernels.in_cone(tracks, jets, 0.4)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)

    @pytest.mark.parametrize("dtype", FLOATS)
    def test_same_on_any_number_of_threads(self, dtype):
        rng = np.random.default_rng(4)
        jets = side(rng, large_jagged(n_events=40_000, huge=300), dtype)
        tracks = side(rng, large_jagged(n_events=40_000, seed=2, huge=30_000), dtype)
        for left, right in ((jets, tracks), (tracks, jets)):
            nearest = kernels.nearest(left, right, threads=1)
            cones = kernels.in_cone(left, right, 0.4, threads=1)
            for threads in (2, 3, 4):
                found = kernels.nearest(left, right, threads=threads)
                found += kernels.in_cone(left, right, 0.4, threads=threads)
                for a, b in zip(found, nearest + cones, strict=True):
                    assert_same(a, b)


class TestDistance:
    """delta_r2 of the reference, on which the tests above stand, against long double."""

    def test_float64_is_right_to_the_last_digits(self):
        rng = np.random.default_rng(5)
        n = 20_000
        (eta1, eta2), (phi1, phi2) = rng.uniform(-5, 5, (2, n)), rng.uniform(-PI, PI, (2, n))
        close = rng.random(n) < 0.5
        phi2[close] = (phi1 + 10 ** rng.uniform(-12, -1, n))[close]
        eta2[close] = (eta1 + 10 ** rng.uniform(-12, -1, n))[close]
        found = np.sqrt(reference.delta_r2(eta1, phi1, eta2, phi2))
        delta_phi = reference.wrap_phi(phi1.astype(np.longdouble) - phi2)
        expected = np.hypot(eta1.astype(np.longdouble) - eta2, delta_phi)
        # Across the seam the difference is rounded as a number near 2 pi.
        across = (abs(phi1 - phi2) > PI) | (abs(phi2) > PI)
        assert across.sum() > 1000
        assert (abs(found - expected) <= 4e-16 * expected + 1e-15 * across).all()

    @pytest.mark.parametrize("turns", [1, -1, 3, 1000])
    def test_full_turns_change_nothing(self, turns):
        rng = np.random.default_rng(6)
        eta, phi = rng.uniform(-1, 1, (2, 200)), rng.uniform(-PI, PI, (2, 200))
        plain = reference.delta_r2(eta[0], phi[0], eta[1], phi[1])
        turned = reference.delta_r2(eta[0], phi[0], eta[1], phi[1] + 2 * PI * turns)
        np.testing.assert_allclose(turned, plain, rtol=0, atol=1e-11)

    def test_equal_to_that_of_dimuon(self):
        rng = np.random.default_rng(7)
        muons = particles(*rng.uniform(-3, 3, (2, 2000)), counts=np.full(1000, 2))
        pairs = fj.dimuon(muons.with_columns(pt=np.ones(2000)), "any", fields=("delta_r",))
        found = fj.nearest(muons[["eta", "phi"]].keep(np.tile([True, False], 1000)),
                           muons.keep(np.tile([False, True], 1000)))  # fmt: skip
        np.testing.assert_allclose(found[1], pairs.delta_r, rtol=4e-16)


class TestNearest:
    def test_by_hand(self, device):
        left = particles([0.0, 2.0, 1.0, 0.0], [3.1, 0.0, 1.0, 0.0], [2, 1, 1]).to(device)
        right = particles([1.9, 0.0, 5.0], [0.0, -3.1, 1.0], [2, 0, 1]).to(device)
        index, delta_r = fj.nearest(left, right)
        assert index.tolist() == [1, 0, -1, 2]
        expected = [2 * PI - 6.2, 0.1, np.inf, np.hypot(5, 1)]
        np.testing.assert_allclose(delta_r.tolist(), expected, rtol=1e-13)

    def test_across_the_seam(self):
        index, delta_r = fj.nearest(particles([0.0], [PI]), particles([0.1, 0.0], [PI, -PI]))
        assert index.tolist() == [1]
        assert 0 <= delta_r[0] < 1e-15

    def test_of_equals_the_first(self):
        for n in range(1, 40):
            for first in range(n):
                eta = np.where(np.arange(n) < first, 2.0, 1.0)
                index, _ = fj.nearest(particles([0.0], [0.0]), particles(eta, np.zeros(n)))
                assert index.tolist() == [first], (n, first)

    def test_index_is_into_the_flat_content_from_0(self):
        right = fj.Jagged([3, 4, 6], {"eta": np.arange(9.0), "phi": np.zeros(9)})
        index, _ = fj.nearest(particles([9.0, 4.1], [0.0, 0.0], [1, 1]), right)
        assert index.tolist() == [0, 1]
        assert right["eta"][index].tolist() == [3.0, 4.0]

    def test_nan_and_infinity_are_near_nothing(self):
        bad = [np.nan, np.inf, -np.inf]
        for eta, phi in [(b, 0.0) for b in bad] + [(0.0, b) for b in bad]:
            one, other = particles([eta], [phi]), particles([0.0, eta], [0.0, phi])
            for pair in ((one, other), (other[["eta", "phi"]], one)):
                index, delta_r = fj.nearest(*pair)
                assert set(index.tolist()) == {-1}
                assert np.isinf(delta_r).all()
            assert fj.nearest(particles([1.0], [1.0]), other)[0].tolist() == [0]
            assert fj.in_cone(one, other, 1e300).counts.tolist() == [0]

    @pytest.mark.parametrize(
        ("dtypes", "expected"),
        [(["f4"] * 4, "f4"), (["f8"] * 4, "f8"), (["f4", "f4", "f4", "f8"], "f8"),
         (["i4", "f4", "f4", "f4"], "f8")],
    )  # fmt: skip
    def test_dtype(self, dtypes, expected):
        eta1, phi1, eta2, phi2 = (np.ones(3, dtype) for dtype in dtypes)
        left, right = particles(eta1, phi1), particles(eta2, phi2)
        assert fj.nearest(left, right)[1].dtype == np.dtype(expected)
        assert fj.in_cone(left, right, 1)["delta_r"].dtype == np.dtype(expected)

    def test_hostile_layouts(self):
        rng = np.random.default_rng(8)
        offsets = np.array([0, 3, 3, 10])
        _, eta, phi = side(rng, offsets, "f4")
        expected = fj.nearest(*[fj.Jagged(offsets, {"eta": eta, "phi": phi})] * 2)
        for name, values in hostile_layouts(phi).items():
            jagged = fj.Jagged(offsets, {"eta": hostile_layouts(eta)[name], "phi": values})
            for found, wanted in zip(fj.nearest(jagged, jagged), expected, strict=True):
                assert_same(found, wanted)

    def test_awkward_arrays(self):
        left = ak.Array([[{"eta": 0.0, "phi": 1.0}], [], [{"eta": 1.0, "phi": 1.0}]])
        right = ak.Array([[], [], [{"eta": 1.0, "phi": 1.5, "pt": 3.0}]])
        index, delta_r = fj.nearest(left, right)
        assert index.tolist() == [-1, 0]
        assert delta_r.tolist() == [np.inf, 0.5]
        assert fj.in_cone(left, right, 0.51).counts.tolist() == [0, 1]


class TestInCone:
    def test_tracks_in_jets(self):
        jets = particles([0.0, 2.0, 0.0], [3.1, 0.0, 0.0], [2, 0, 1])
        tracks = particles([0.1, 0.0, 2.1, 0.0], [3.0, -3.1, 0.2, 0.0], [3, 1, 0])
        tracks = tracks.with_columns(pt=[5.0, 7.0, 1.0, 9.0])
        found = fj.in_cone(jets, tracks, 0.4)
        assert len(found) == jets.n_particles
        assert found.columns == ("index", "delta_r")
        assert found["index"].tolist() == [0, 1, 2]
        assert found.counts.tolist() == [2, 1, 0]
        sums = found.with_columns(pt=tracks["pt"][found["index"]]).aggregate("pt", ["sum"])["sum"]
        assert sums.tolist() == [12.0, 1.0, 0.0]

    def test_the_border_is_outside(self):
        left, right = particles([0.0], [0.0]), particles([0.5, np.nextafter(0.5, 0)], [0.0, 0.0])
        assert fj.in_cone(left, right, 0.5)["index"].tolist() == [1]

    def test_a_radius_for_each(self):
        left, right = particles([0.0, 0.0], [0.0, 0.0]), particles([0.5, 1.5], [0.0, 0.0])
        for radii in ([1, 2], np.array([1.0, 2.0], "f4"), ak.Array([1.0, 2.0])):
            assert fj.in_cone(left, right, radii).counts.tolist() == [1, 2]


ONE = particles([0.0], [0.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fj.nearest(ONE, particles([], [], [0, 0])), ValueError,
         "left and right must be .* left has 1 events and right has 2"),
        (lambda: fj.in_cone(ONE[:0], ONE, 1), ValueError, "left has 0 events and right has 1"),
        (lambda: fj.nearest(ONE, [[0.0]]), TypeError, "expected a fastjag.Jagged or .* got list"),
        (lambda: fj.nearest(ONE[["eta"]], ONE), KeyError, "no column 'phi'"),
        (lambda: fj.nearest(ONE, ONE, threads=0), ValueError, "threads must be a positive integer"),
        (lambda: fj.in_cone(ONE, ONE, 0), ValueError, "radius must be positive and finite, got 0"),
        (lambda: fj.in_cone(ONE, ONE, -1.5), ValueError, "radius must be positive .* got -1.5"),
        (lambda: fj.in_cone(ONE, ONE, [np.nan]), ValueError, "radius must be positive .* got nan"),
        (lambda: fj.in_cone(ONE, ONE, np.inf), ValueError, "radius must be positive .* got inf"),
        (lambda: fj.in_cone(ONE, ONE, [1, 2]), ValueError,
         r"radius must be a number or one per left particle \(1\), got \[1, 2\]"),
        (lambda: fj.in_cone(ONE, ONE, "0.4"), ValueError, "radius must be a number .* got '0.4'"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


class TestRealData:
    """Jets and generator jets of simulated ttbar events."""

    @pytest.fixture
    def collections(self, real_data):
        path = real_data / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
        names = [f"{c}_{k}" for c in ("Jet", "GenJet") for k in ("pt", "eta", "phi")]
        batch = next(fj.iterate(path, names, progress=False))
        return batch.Jet, batch.GenJet

    def test_generator_jets_find_their_jets(self, collections):
        jets, truth = collections
        hard = truth.keep((truth["pt"] > 30) & (abs(truth["eta"]) < 2.4))
        index, delta_r = fj.nearest(hard, jets)
        matched = delta_r < 0.2
        assert hard.n_particles > 100
        assert matched.mean() > 0.95
        response = jets["pt"][index[matched]] / hard["pt"][matched]
        assert abs(np.median(response) - 1) < 0.15  # pile-up adds to the jets

    def test_equal_to_vector(self, collections):
        left, right = (vector.zip({"pt": c["pt"], "eta": c["eta"], "phi": c["phi"]})
                       for c in (side.to_awkward() for side in collections))  # fmt: skip
        pairs = ak.cartesian({"l": left, "r": right}, nested=True)
        table = pairs["l"].deltaR(pairs["r"])
        index, delta_r = fj.nearest(*collections)
        expected = ak.to_numpy(ak.fill_none(ak.flatten(ak.min(table, axis=2)), np.inf))
        np.testing.assert_allclose(delta_r, expected, rtol=1e-5, atol=1e-6)
        assert ((index < 0) == np.isinf(expected)).all()
        cones = fj.in_cone(*collections, 0.4)
        counts = ak.to_numpy(ak.flatten(ak.sum(table < 0.4, axis=2)))
        # float32 of vector may disagree on the border.
        assert (cones.counts != counts).mean() < 1e-3
        closest = cones.aggregate("delta_r", ["min"])["min"]
        assert_same(closest[cones.counts > 0], delta_r[delta_r < np.float32(0.4)])
