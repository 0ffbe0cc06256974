"""dimuon and pair_mass: which pairs are chosen, and what their observables are worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from strategies import FLOATS, assert_same, jagged_arrays, large_jagged, uneven_jagged

import fastjag as fj
from fastjag import kernels
from fastjag.kernels import reference

OBSERVABLES = kernels.FIELDS[4:]


def muons(pt, charge, counts=None, dtype=np.float64):
    n = len(pt)
    columns = {"pt": np.array(pt, dtype), "eta": np.linspace(-2, 2, n).astype(dtype),
               "phi": np.linspace(-3, 3, n).astype(dtype), "charge": np.array(charge)}  # fmt: skip
    return fj.Jagged.from_counts([n] if counts is None else counts, columns)


def indices(pairs):
    return list(zip(pairs.event.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True))


class TestChoice:
    @given(
        jagged_arrays(dtypes=FLOATS, n_columns=3, same_dtype=True, huge=60),
        st.sampled_from(["any", "opposite", "same"]),
        st.sampled_from(["leading", "all"]),
        st.booleans(),
        st.integers(0, 2**32 - 1),
    )
    def test_pairs_are_those_of_the_reference(self, kernels, parts, charge, pairs, masked, seed):
        offsets, (pt, eta, phi) = parts
        rng = np.random.default_rng(seed)
        charges = rng.choice([-1, 1, -1, 1, 0, 2], len(pt)).astype(np.int32)
        mask = rng.random(len(pt)) < 0.7 if masked else None
        with np.errstate(all="ignore"):
            bounds, found = kernels.dimuon(
                offsets, pt, eta, phi, charges, charge=charge, pairs=pairs, mask=mask,
                particle_mass=0.1,
            )  # fmt: skip
        expected = reference.pair_indices(offsets, pt, charges, charge, pairs, mask)
        columns = (found["event"], found["first"], found["second"])
        assert np.transpose(columns).tolist() == [list(pair) for pair in expected]
        per_event = np.bincount(found["event"], minlength=len(offsets) - 1)
        assert_same(bounds, np.cumsum([0, *per_event], dtype=np.int64))
        first, second = found["first"], found["second"]
        assert_same(found["charge"], charges[first] + charges[second])
        legs = [leg[i] for i in (first, second) for leg in (pt, eta, phi)]
        assert_same(found["mass"], kernels.pair_mass(legs, 0.1, 0.1))

    def test_the_very_first_particle_may_be_first(self, kernels):
        """Content index 0 is a particle as all others: it stays in front of those behind it."""
        columns = [np.array([9.0, 1.0, 5.0])] * 3
        charges = np.array([1, -1, -1], "i4")
        _, found = kernels.dimuon(np.array([0, 3]), *columns, charges, particle_mass=0.1)
        assert (found["first"].tolist(), found["second"].tolist()) == ([0], [2])

    @pytest.mark.parametrize("pairs", ["leading", "all"])
    @pytest.mark.parametrize("pt", [np.nan, -1.0, 5.0])
    def test_few_pass_of_a_long_event(self, kernels, pairs, pt):
        # Most lanes of a warp know no particle; the last of the event is the last of all.
        column, mask = np.full(40, pt), np.zeros(40, bool)
        mask[[3, 39]] = True
        _, found = kernels.dimuon(
            np.array([0, 40]), column, column, column, None, charge="any", pairs=pairs, mask=mask,
            particle_mass=0.1, fields=("first", "second"),
        )  # fmt: skip
        assert (found["first"].tolist(), found["second"].tolist()) == ([3], [39])

    def test_leading_pair_and_ties_in_stored_order(self, device):
        pairs = fj.dimuon(muons([5, 9, 9, 9], [1, 1, -1, -1]).to(device))
        assert indices(pairs) == [(0, 1, 2)]

    def test_the_very_first_particle_may_be_second(self, device):
        pairs = fj.dimuon(muons([20, 30, 10], [1, -1, -1]).to(device))
        assert indices(pairs) == [(0, 1, 0)]

    def test_nan_never_leads(self):
        assert indices(fj.dimuon(muons([np.nan, 2, 3], [1, 1, -1]))) == [(0, 2, 1)]
        assert indices(fj.dimuon(muons([np.nan, 2], [1, -1]))) == [(0, 1, 0)]

    def test_a_third_muon_never_replaces(self):
        three = muons([9, 8, 7], [1, 1, -1])
        assert len(fj.dimuon(three, "opposite")) == 0
        assert indices(fj.dimuon(three, "same")) == [(0, 0, 1)]
        assert indices(fj.dimuon(three, "any")) == [(0, 0, 1)]
        # ... but a muon outside the mask is no muon at all.
        assert indices(fj.dimuon(three, "opposite", mask=[True, False, True])) == [(0, 0, 2)]

    def test_all_pairs_in_stored_order(self):
        pairs = fj.dimuon(muons([1, 2, 3, 4], [1, -1, 1, 0]), "opposite", pairs="all")
        assert indices(pairs) == [(0, 0, 1), (0, 1, 2)]
        assert indices(fj.dimuon(muons([1, 2, 3], [1, -1, 1]), "any", pairs="all")) == [
            (0, 0, 1),
            (0, 0, 2),
            (0, 1, 2),
        ]

    def test_neutral_particles_have_no_charge_class(self):
        for charge in ("opposite", "same"):
            assert len(fj.dimuon(muons([1, 2], [0, 1]), charge)) == 0
        assert len(fj.dimuon(muons([1, 2], [0, 1]), "any")) == 1

    def test_offsets_of_pairs(self):
        pairs = fj.dimuon(muons([1, 2, 3, 4, 5], [1, -1] * 2 + [1], counts=[2, 0, 1, 2]))
        assert pairs.offsets.tolist() == [0, 1, 1, 1, 2]
        assert pairs.event.tolist() == [0, 3]
        assert pairs.delta_pt.tolist() == [1, 1]

    @pytest.mark.parametrize("charge", ["any", "opposite", "same"])
    @pytest.mark.parametrize("pairs", ["leading", "all"])
    @pytest.mark.parametrize("dtype", FLOATS)
    def test_many_events(self, kernels, charge, pairs, dtype):
        """Every device gives the bits that the CPU gives."""
        offsets = uneven_jagged() if pairs == "leading" else 3 + large_jagged(1500, huge=120)
        rng = np.random.default_rng(4)
        n = int(offsets[-1])
        columns = [x.astype(dtype) for x in (rng.exponential(20, n), *rng.normal(size=(2, n)))]
        charges = rng.choice([-1, 1, 0], n, p=[0.45, 0.45, 0.1]).astype(np.int32)
        options = {"charge": charge, "pairs": pairs, "particle_mass": 0.1,
                   "mask": rng.random(n) < 0.9}  # fmt: skip
        bounds, found = kernels.dimuon(offsets, *columns, charges, **options)
        expected_bounds, expected = fj.kernels.dimuon(offsets, *columns, charges, **options)
        assert len(found["mass"]) > 500
        assert_same(bounds, expected_bounds)
        for name in fj.kernels.FIELDS:
            assert_same(found[name], expected[name])

    @pytest.mark.parametrize("pairs", ["leading", "all"])
    def test_same_on_any_number_of_threads(self, large, pairs):
        offsets = large[0] if pairs == "leading" else large_jagged(huge=400)
        rng = np.random.default_rng(3)
        n = int(offsets[-1])
        columns = [rng.exponential(20, n), rng.normal(size=n), rng.uniform(-4, 4, n)]
        charges = rng.choice([-1, 1], n).astype(np.int32)
        mask = rng.random(n) < 0.9
        for dtype in FLOATS:
            found = [
                kernels.dimuon(offsets, *(c.astype(dtype) for c in columns), charges, pairs=pairs,
                               mask=mask, particle_mass=0.1, threads=threads)
                for threads in (1, 2, 3, 4)
            ]  # fmt: skip
            for bounds, fields in found[1:]:
                assert_same(bounds, found[0][0])
                for name in kernels.FIELDS:
                    assert_same(fields[name], found[0][1][name])


def exact(legs, m1, m2):
    """The textbook formulas with 60 digits: nothing is left to cancel."""
    mp.dps = 60
    (pt1, eta1, phi1), (pt2, eta2, phi2) = ([mp.mpf(float(x)) for x in leg] for leg in legs)
    m1, m2 = mp.mpf(m1), mp.mpf(m2)
    px = pt1 * mp.cos(phi1) + pt2 * mp.cos(phi2)
    py = pt1 * mp.sin(phi1) + pt2 * mp.sin(phi2)
    pz1, pz2 = pt1 * mp.sinh(eta1), pt2 * mp.sinh(eta2)
    pz, pt = pz1 + pz2, mp.hypot(px, py)
    e = mp.hypot(m1, pt1 * mp.cosh(eta1)) + mp.hypot(m2, pt2 * mp.cosh(eta2))
    delta_phi = phi1 - phi2 - 2 * mp.pi * mp.nint((phi1 - phi2) / (2 * mp.pi))
    return {
        "mass": mp.sqrt(abs(e**2 - px**2 - py**2 - pz**2)),
        "pt": pt,
        "eta": mp.asinh(pz / pt) if pt else mp.mpf(0) if pz == 0 else mp.sign(pz) * mp.inf,
        "phi": mp.atan2(py, px),
        "delta_r": mp.hypot(eta1 - eta2, delta_phi),
        "delta_pt": pt1 - pt2,
        "delta_eta": eta1 - eta2,
        "delta_phi": delta_phi,
        "pz scale": (abs(pz1) + abs(pz2)) / mp.hypot(pt, pz) if pt or pz else mp.mpf(0),
    }


def wide_legs(rng, n, dtype):
    """Pairs that are collinear, back to back, far forward, soft, or of equal pt.

    Angles are multiples of 2^-40 (2^-18 for float32) so that their differences are exact: what is
    left is the error of the formulas.
    """
    step = 2.0 ** (-40 if dtype == "f8" else -18)
    pt = 10 ** rng.uniform(-3, 4, (2, n))
    equal = rng.random(n) < 0.3
    pt[1, equal] = pt[0, equal]
    pt[1, rng.random(n) < 0.05] = 0
    eta, phi = rng.uniform(-12, 12, (2, n)), rng.uniform(-3.14, 3.14, (2, n))
    tiny = rng.choice([-1, 1], (2, n)) * 10 ** rng.uniform(-12, -1, (2, n))
    near, opposite = rng.random(n) < 0.4, rng.random(n) < 0.3
    eta[1, near] = (eta[0] + tiny[0])[near]
    phi[1, near] = (phi[0] + tiny[1])[near]
    phi[1, opposite] = (phi[0] + np.pi + tiny[1])[opposite]
    eta, phi = (np.round(angle / step) * step for angle in (eta, phi))
    return [(pt[i].astype(dtype), eta[i].astype(dtype), phi[i].astype(dtype)) for i in (0, 1)]


def kernel_observables(kernels, first, second, mass):
    """The observables of each pair, in the order given."""
    n = len(first[0])
    pt, eta, phi = (np.stack(c, axis=1).ravel() for c in zip(first, second, strict=True))
    offsets = np.arange(0, 2 * n + 1, 2)
    return kernels.dimuon(offsets, pt, eta, phi, None, charge="any", pairs="all",
                          particle_mass=mass, fields=OBSERVABLES)[1]  # fmt: skip


class TestObservables:
    @pytest.mark.parametrize("mass", [0.0, fj.MUON_MASS])
    def test_float64_against_60_digits(self, kernels, mass):
        first, second = wide_legs(np.random.default_rng(5), 1500, "f8")
        found = kernel_observables(kernels, first, second, mass)
        for i, legs in enumerate(zip(np.transpose(first), np.transpose(second), strict=True)):
            expected = exact(legs, mass, mass)
            # A difference of phi beyond pi is wrapped, and rounded to 3e-16: seen by pairs that
            # balance to many digits.
            wrapped = (abs(legs[0][2] - legs[1][2]) > np.pi) * 3e-16 * legs[1][0]
            balance = wrapped / expected["pt"] if wrapped else 0
            for name in OBSERVABLES:
                error = abs(mp.mpf(float(found[name][i])) - expected[name])
                bound = 1e-14 * abs(expected[name]) + 1e-20  # of the 60 digits
                if name == "pt":
                    bound += wrapped
                if name == "eta":  # pz may cancel between the legs: their rounding stays
                    bound += 1e-14 * expected["pz scale"] + balance
                if name == "phi":  # an angle: absolute, and the seam at pi is no jump
                    error = min(error, abs(2 * mp.pi - error)) if expected["pt"] else 0
                    bound = 3e-15 + balance
                assert error <= bound, (name, legs, found[name][i], expected[name])

    def test_float32_is_rounded_once(self, kernels):
        first, second = wide_legs(np.random.default_rng(6), 600, "f4")
        found = kernel_observables(kernels, first, second, fj.MUON_MASS)
        for i, legs in enumerate(zip(np.transpose(first), np.transpose(second), strict=True)):
            expected = exact(legs, fj.MUON_MASS, fj.MUON_MASS)
            for name in set(OBSERVABLES) - {"phi", "eta"}:
                value = found[name][i]
                half_step = 0.5 * float(np.spacing(np.float32(abs(expected[name]))))
                assert abs(mp.mpf(float(value)) - expected[name]) <= half_step * (1 + 1e-6), name

    @given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 5.0]))
    def test_against_the_reference(self, kernels, seed, mass):
        rng = np.random.default_rng(seed)
        first, second = (
            (rng.exponential(20, 50), rng.normal(0, 2, 50), rng.uniform(-4, 4, 50)) for _ in "12"
        )
        found = kernel_observables(kernels, first, second, mass)
        expected = reference.observables(first, second, mass, mass)
        # The reference cancels: its long double rounding is relative to the energy.
        energy = sum(np.hypot(mass, pt * np.cosh(eta)) for pt, eta, _ in (first, second))
        bound = 1e-13 * expected["mass"] ** 2 + 1e-17 * energy**2
        assert (abs(found["mass"].astype(np.longdouble) ** 2 - expected["mass"] ** 2) < bound).all()
        for name in set(OBSERVABLES) - {"mass"}:
            scale = 1e-14 * np.maximum(1, energy / expected["pt"])
            error = found[name] - expected[name]
            error = reference.wrap_phi(error) if "phi" in name else error
            assert (abs(error) <= scale * np.maximum(1, abs(expected[name]))).all(), name

    def test_nothing_moves(self, kernels):
        at_rest = [np.zeros(1)] * 3
        found = kernel_observables(kernels, at_rest, at_rest, 0.5)
        assert {name: float(x[0]) for name, x in found.items()} == {
            "mass": 1.0, **dict.fromkeys(OBSERVABLES[1:], 0.0)
        }  # fmt: skip

    def test_equal_pt_back_to_back(self, kernels):
        first, second = ([np.array([x]) for x in (40.0, 0.0, phi)] for phi in (math.pi, 0.0))
        found = kernel_observables(kernels, first, second, 0.0)
        assert found["pt"][0] == pytest.approx(40 * 1.2246467991473532e-16, rel=1e-12)
        assert found["mass"][0] == pytest.approx(80, rel=1e-15)
        assert found["delta_phi"][0] == math.pi

    def test_nan_and_infinity_pass_through(self, kernels):
        one, bad = np.ones(2), np.array([np.nan, np.inf])
        for position in range(3):
            first = [bad if i == position else one for i in range(3)]
            found = kernel_observables(kernels, first, [0.5 * one] * 3, 0.1)
            assert not np.isfinite(found["mass"]).any()
            assert np.isnan(found["pt"][0]) == (position != 1)

    @pytest.mark.parametrize("masses", [(0.0, 0.0), (0.0, 1.8), (0.000511, 125.0), (3.0, 3.0)])
    def test_pair_mass_with_any_two_masses(self, kernels, masses):
        first, second = wide_legs(np.random.default_rng(7), 400, "f8")
        found = kernels.pair_mass([*first, *second], *masses)
        for i, legs in enumerate(zip(np.transpose(first), np.transpose(second), strict=True)):
            expected = exact(legs, *masses)["mass"]
            assert abs(mp.mpf(float(found[i])) - expected) <= 1e-14 * expected + 1e-20, legs

    def test_pair_mass_on_any_number_of_threads(self):
        first, second = wide_legs(np.random.default_rng(8), 450_000, "f4")
        one = fj.pair_mass(*first, *second, threads=1)
        assert one.dtype == np.float32
        for threads in (2, 3, 4):
            assert_same(fj.pair_mass(*first, *second, threads=threads), one)
