"""Momenta in any coordinates make the pairs of pt, eta and phi."""

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import vector
from on_device import moved

import fastjag as fj
from fastjag.core.devices import to_host

RNG = np.random.default_rng(5)
N = 200
OFFSETS = np.concatenate([[0], np.cumsum(RNG.multinomial(N, np.ones(60) / 60))])
PT = RNG.exponential(20, N) + 1
ETA = RNG.uniform(-2.4, 2.4, N)
PHI = RNG.uniform(-np.pi, np.pi, N)
CHARGE = RNG.choice([-1, 1], N)
THETA = 2 * np.arctan(np.exp(-ETA))
PX, PY, PZ = PT * np.cos(PHI), PT * np.sin(PHI), PT * np.sinh(ETA)
COORDINATES = {
    "pt": {"pt": PT, "eta": ETA, "phi": PHI},
    "rho": {"rho": PT, "eta": ETA, "phi": PHI},
    "theta": {"pt": PT, "theta": THETA, "phi": PHI},
    "cartesian": {"px": PX, "py": PY, "pz": PZ},
    "xyz": {"x": PX, "y": PY, "z": PZ},
    "mixed": {"pt": PT, "phi": PHI, "pz": PZ},
    "px with eta": {"px": PX, "py": PY, "eta": ETA},
}


def expected(**options):
    columns = {"pt": PT, "eta": ETA, "phi": PHI, "charge": CHARGE}
    return fj.dimuon(fj.Jagged(OFFSETS, columns), **options)


@pytest.mark.parametrize("kind", COORDINATES)
class TestDimuon:
    def test_of_a_jagged(self, kind, device):
        muons = fj.Jagged(OFFSETS, {**COORDINATES[kind], "charge": CHARGE}).to(device)
        for options in ({}, {"pairs": "all"}, {"charge": "same"}):
            pairs, right = fj.dimuon(muons, **options), expected(**options)
            assert to_host(pairs.first).tolist() == right.first.tolist()
            assert to_host(pairs.second).tolist() == right.second.tolist()
            for name in ("mass", "pt", "delta_r"):
                np.testing.assert_allclose(to_host(pairs[name]), right[name], rtol=1e-9)

    def test_of_records(self, kind):
        columns = {**COORDINATES[kind], "charge": CHARGE}
        lists = {name: ak.unflatten(x, np.diff(OFFSETS)) for name, x in columns.items()}
        for array in (ak.zip(lists), vector.zip(lists)):
            np.testing.assert_allclose(fj.dimuon(array).mass, expected().mass, rtol=1e-9)


class TestDtypes:
    def test_of_floats(self):
        """What is computed is float64; what is not, stays as it is."""
        singles = {name: values.astype("f4") for name, values in COORDINATES["pt"].items()}
        assert fj.dimuon(fj.Jagged(OFFSETS, singles), "any", fields="mass").mass.dtype == np.float32
        singles = {"rho" if name == "pt" else name: x for name, x in singles.items()}
        assert fj.dimuon(fj.Jagged(OFFSETS, singles), "any", fields="mass").mass.dtype == np.float32
        singles = {name: values.astype("f4") for name, values in COORDINATES["xyz"].items()}
        assert fj.dimuon(fj.Jagged(OFFSETS, singles), "any", fields="mass").mass.dtype == np.float64

    def test_of_integers(self):
        muons = fj.Jagged([0, 2], {"px": [3, -3], "py": [0, 0], "pz": [4, -4]})
        mass = fj.dimuon(muons, "any", fields="mass", particle_mass=0).mass
        np.testing.assert_allclose(mass, [10.0])

    def test_own_names_first(self):
        """pt stands, whatever px says."""
        muons = fj.Jagged([0, 2], {"pt": [5.0, 5.0], "eta": [0.0, 0.0], "phi": [0.0, np.pi],
                                   "px": [1.0, 1.0], "py": [0.0, 0.0], "pz": [1.0, 1.0]})  # fmt: skip
        mass = fj.dimuon(muons, "any", fields="mass", particle_mass=0).mass
        np.testing.assert_allclose(mass, [10.0])

    def test_along_the_beam(self):
        """No transverse momentum: no eta, and no mass that looks like one."""
        muons = fj.Jagged([0, 2], {"px": [0.0, 3.0], "py": [0.0, 0.0], "pz": [5.0, 0.0]})
        assert np.isnan(fj.dimuon(muons, "any", fields="mass").mass).all()


class TestPairMass:
    FIRST, SECOND = np.arange(0, N, 2), np.arange(1, N, 2)

    def right(self):
        legs = [x[i] for i in (self.FIRST, self.SECOND) for x in (PT, ETA, PHI)]
        return fj.pair_mass(*legs)

    @pytest.mark.parametrize("kind", COORDINATES)
    def test_of_records(self, kind):
        columns = COORDINATES[kind]
        first, second = ({n: x[i] for n, x in columns.items()} for i in (self.FIRST, self.SECOND))
        structured = [
            np.rec.fromarrays(list(leg.values()), names=list(leg)) for leg in (first, second)
        ]
        for a, b in (
            (first, second), (ak.zip(first), ak.zip(second)), (vector.zip(first), vector.zip(second)),
            (vector.array(first), vector.array(second)), (pd.DataFrame(first), pd.DataFrame(second)),
            structured, (first, ak.zip(second)),
        ):  # fmt: skip
            np.testing.assert_allclose(fj.pair_mass(a, b), self.right(), rtol=1e-9)

    def test_four_vectors(self):
        """Their mass, or energy, is not read: mass1 and mass2 say it."""
        legs = [
            vector.array({"px": PX[i], "py": PY[i], "pz": PZ[i], "E": np.full(len(i), 1e4)})
            for i in (self.FIRST, self.SECOND)
        ]
        np.testing.assert_allclose(fj.pair_mass(*legs), self.right(), rtol=1e-9)

    def test_of_combinations(self):
        columns = {n: ak.unflatten(x, np.diff(OFFSETS)) for n, x in COORDINATES["pt"].items()}
        first, second = ak.unzip(ak.combinations(ak.zip(columns), 2))
        pairs = expected(charge="any", pairs="all")
        found = fj.pair_mass(first, second)
        np.testing.assert_allclose(np.sort(found), np.sort(pairs.mass), rtol=1e-9)
        np.testing.assert_allclose(
            fj.pair_mass(first[:0], second[:0]), np.empty(0)
        )  # without events, too

    def test_of_jagged(self, device):
        one = fj.Jagged([0, 1, 2], {n: moved(x[:2], "cpu") for n, x in COORDINATES["pt"].items()})
        two = fj.Jagged([0, 1, 2], {n: x[2:4] for n, x in COORDINATES["xyz"].items()})
        found = fj.pair_mass(one.to(device), two.to(device))
        legs = [x[i : i + 2] for i in (0, 2) for x in (PT, ETA, PHI)]
        np.testing.assert_allclose(to_host(found), fj.pair_mass(*legs), rtol=1e-9)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (
                ({"pt": [1.0]}, {"pt": [1.0]}),
                TypeError,
                "the first, a dict, has columns pt; needed",
            ),
            (([1.0], [1.0]), TypeError, "the first, a list, has no columns; needed are pt"),
            ((COORDINATES["pt"], 3), TypeError, "the second, a int, has no columns"),
            ((PT, ETA, PHI), TypeError, "six arrays, or two records, but pt2 is missing"),
            (
                (COORDINATES["pt"], {n: x[:2] for n, x in COORDINATES["xyz"].items()}),
                ValueError,
                "the legs must have equal lengths",
            ),
            (
                (fj.Jagged(OFFSETS, COORDINATES["pt"]), fj.Jagged([0, N], COORDINATES["pt"])),
                ValueError,
                "equally many particles in each event",
            ),
            (
                (ak.Array([{"pt": 1.0, "eta": None, "phi": 0.0}]), COORDINATES["pt"]),
                TypeError,
                "'eta' has 1 missing values",
            ),
        ],
    )
    def test_refused(self, arguments, error, message):
        with pytest.raises(error, match=message):
            fj.pair_mass(*arguments)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pt": PT, "eta": ETA}, "no column 'phi': .*; needed are pt"),
        ({"px": PX, "py": PY}, "no column 'pt': .*; needed are pt"),
        ({"Pt": PT, "eta": ETA, "phi": PHI}, "no column 'pt': did you mean 'Pt'.*; needed are pt"),
        (COORDINATES["xyz"], "no column 'charge': .*charge='any' needs none"),
    ],
)
def test_what_is_missing(columns, message):
    for particles in (fj.Jagged(OFFSETS, columns), fj.Jagged(OFFSETS, columns).to_awkward()):
        with pytest.raises(KeyError, match=message):
            fj.dimuon(particles)
