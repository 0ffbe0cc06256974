"""fastjag.dimuon at its door: types, errors, the result, and published numbers."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from on_device import moved
from strategies import assert_same

import fastjag as fj
from fastjag import kernels
from fastjag.core.devices import to_host


def two(**columns):
    given = {"pt": [2.0, 1.0], "eta": [0.1, 0.2], "phi": [0.3, 0.4], "charge": [1, -1], **columns}
    return fj.Jagged([0, 2], {name: values for name, values in given.items() if values is not None})


class TestResult:
    def test_fields_by_name_and_attribute(self, device):
        pairs = fj.dimuon(two().to(device))
        assert list(pairs) == list(pairs.fields) == list(kernels.FIELDS)
        assert pairs["mass"] is pairs.mass
        assert len(pairs) == 1
        assert repr(pairs).startswith("<Dimuons: 1 pairs of 1 events: event, first")

    @pytest.mark.parametrize("fields", ["mass", ["mass"], ("mass",)])
    def test_chosen_fields_only(self, device, fields):
        pairs = fj.dimuon(two(charge=None).to(device), "any", fields=fields)
        assert pairs.fields == ("mass",)

    def test_unknown_fields(self, device):
        pairs = fj.dimuon(two().to(device))
        with pytest.raises(KeyError, match="no field 'Mass': did you mean 'mass'"):
            pairs["Mass"]
        with pytest.raises(AttributeError, match="no field 'delta_R': did you mean 'delta_r'"):
            _ = pairs.delta_R

    def test_copies_and_pickles(self, device):
        pairs = fj.dimuon(two().to(device))
        for other in (copy.copy(pairs), copy.deepcopy(pairs), pickle.loads(pickle.dumps(pairs))):
            assert other.fields == pairs.fields
            assert_same(other.mass, pairs.mass)
            assert_same(other.offsets, pairs.offsets)

    @pytest.mark.parametrize("n", [0, 1, 50])
    def test_tables_of_other_libraries(self, n):
        pairs = fj.dimuon(fj.Jagged(np.arange(n + 1) * 2, {
            "pt": np.arange(2.0 * n), "eta": np.zeros(2 * n, "f4"), "phi": np.ones(2 * n),
            "charge": np.tile([1, -1], n),
        }))  # fmt: skip
        for frame in (pd.DataFrame(pairs), pl.DataFrame(pairs), pa.table(pairs).to_pandas()):
            assert list(frame.columns) == list(kernels.FIELDS)
            assert len(frame) == len(pairs) == n
            for name in pairs if n else ():  # empty columns have no dtype in some versions
                assert_same(frame[name].to_numpy(), pairs[name])
        assert pd.DataFrame(pairs, columns=["mass"]).shape == (n, 1)

    def test_some_of_the_pairs(self, device):
        muons = fj.Jagged([0, 3, 3, 5], {
            "pt": [5.0, 4, 3, 2, 1], "eta": np.arange(5.0), "phi": np.zeros(5), "charge": np.ones(5, "i4"),
        })  # fmt: skip
        pairs = fj.dimuon(muons.to(device), "any", pairs="all")
        assert pairs.offsets.tolist() == [0, 3, 3, 4]
        mask = pairs.mass > pairs.mass.min()
        for chosen, rows, offsets in (
            (mask, np.flatnonzero(to_host(mask)), None),
            ([False, True, True, False], [1, 2], [0, 2, 2, 2]),
            (slice(1, 4), [1, 2, 3], [0, 2, 2, 3]),
            (slice(-1, None), [3], [0, 0, 0, 1]),
            (slice(3, 1), [], [0, 0, 0, 0]),
            (slice(None), [0, 1, 2, 3], [0, 3, 3, 4]),
        ):
            some = pairs[chosen]
            assert len(some) == len(rows)
            for name in pairs:
                assert some[name].tolist() == to_host(pairs[name])[list(rows)].tolist()
            if offsets:
                assert some.offsets.tolist() == offsets
        with pytest.raises(ValueError, match="the mask has 3 entries, but there are 4 pairs"):
            _ = pairs[[True, False, True]]
        for other in ([0, 1], 2, slice(None, None, 2)):
            with pytest.raises((TypeError, ValueError), match=r"what picks pairs|are picked by"):
                _ = pairs[other]

    def test_is_itself_only(self):
        pairs = fj.dimuon(two())
        assert pairs == pairs  # noqa: PLR0124
        assert pairs != fj.dimuon(two())
        assert {pairs: 1}[pairs] == 1
        assert dict(pairs).keys() == set(kernels.FIELDS)
        with pytest.raises(ValueError, match="read-only"):
            pairs.offsets[-1] = 10**12

    @pytest.mark.parametrize(
        ("dtypes", "expected"),
        [(["f4"] * 3, "f4"), (["f8"] * 3, "f8"), (["f4", "f8", "f4"], "f8"),
         (["i4", "f4", "f4"], "f8")],
    )  # fmt: skip
    def test_dtype(self, device, dtypes, expected):
        columns = dict(zip(("pt", "eta", "phi"), map(np.ones, [2] * 3, dtypes), strict=True))
        assert fj.dimuon(two(**columns).to(device)).mass.dtype == np.dtype(expected)

    @pytest.mark.parametrize("charge", [[1.0, -1.0], [1, -1]])
    def test_charges_of_any_number_type(self, device, charge):
        assert fj.dimuon(two(charge=charge).to(device)).charge.tolist() == [0]
        assert fj.dimuon(two(charge=np.array(charge, "i1")).to(device)).charge.dtype == np.int32


@pytest.mark.parametrize(
    ("muons", "options", "error", "message"),
    [
        (two(), {"charge": "os"}, ValueError, "charge must be 'any' or 'opposite' or 'same', got"),
        (two(), {"pairs": "best"}, ValueError, "pairs must be 'leading' or 'all', got 'best'"),
        (two(), {"fields": ["m"]}, ValueError, "unknown field 'm': accepted are 'event'"),
        (two(), {"particle_mass": -1}, ValueError, "particle_mass must be finite .* got -1"),
        (two(), {"particle_mass": np.inf}, ValueError, "particle_mass must be finite .* got inf"),
        (two(), {"mask": [True]}, ValueError, "mask has 1 entries, but there are 2 particles"),
        (two(), {"mask": [1, 0]}, TypeError, "mask must be boolean, got dtype int64"),
        (two(), {"threads": "x"}, ValueError, "threads must be a positive integer, got 'x'"),
        (two(charge=None), {}, KeyError, "no column 'charge'"),
        (two(charge=[0.5, 1]), {}, TypeError, "charge has dtype float64 with values that int32"),
        (two(charge=[np.nan, 1]), {}, TypeError, "charge has dtype float64 with values that int32"),
        (two(charge=[2**40, 1]), {}, TypeError, "charge has dtype int64 with values that int32"),
        ([[1.0]], {}, TypeError, "expected a fastjag.Jagged or an awkward array .*, got list"),
    ],
)
def test_errors_of_dimuon(device, muons, options, error, message):
    muons = muons.to(device) if isinstance(muons, fj.Jagged) else muons
    if "mask" in options:
        options = {"mask": moved(np.array(options["mask"]), device)}
    with pytest.raises(error, match=message):
        fj.dimuon(muons, **options)


def test_kernel_refuses_to_choose_by_charges_it_has_not():
    columns = [np.ones(2)] * 3
    with pytest.raises(ValueError, match="charges are needed to choose pairs"):
        kernels.dimuon(np.array([0, 2]), *columns, None, charge="same", particle_mass=0)
    with pytest.raises(ValueError, match=r"charges are needed .* to give the pair charge"):
        kernels.dimuon(np.array([0, 2]), *columns, None, charge="any", particle_mass=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"phi2": [1.0, 2.0]}, ValueError, "legs must have equal lengths, got .*'phi2': 2"),
        ({"pt1": ["a"]}, TypeError, "pt1 has dtype"),
        ({"eta1": [[1.0]]}, ValueError, r"eta1 must have one dimension, got shape \(1, 1\)"),
        ({"mass1": -0.1}, ValueError, "mass1 must be finite and >= 0 GeV, got -0.1"),
        ({"mass2": np.nan}, ValueError, "mass2 must be finite and >= 0 GeV, got nan"),
    ],
)
def test_errors_of_pair_mass(change, error, message):
    legs = {f"{name}{i}": [1.0] for i in (1, 2) for name in ("pt", "eta", "phi")}
    with pytest.raises(error, match=message):
        fj.pair_mass(**{**legs, **change})


class TestPublishedNumbers:
    """Real opposite-sign pairs between 9 and 10.6 GeV with observables recomputed in float64."""

    @pytest.fixture
    def cases(self, real_data):
        path = real_data.parent / "cases" / "observables_SR_OS.npz"
        if not path.is_file():
            pytest.skip(f"no reference cases at {path}")
        with np.load(path) as arrays:
            return dict(arrays)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_real_pairs(self, cases, device, dtype):
        columns = {
            name: np.stack([cases[f"mu{i}_{name}"] for i in (0, 1)], axis=1).ravel().astype(dtype)
            for name in ("pt", "eta", "phi")
        }
        n = len(cases["mu0_pt"])
        muons = fj.Jagged.from_counts(np.full(n, 2), columns).to(device)
        found = fj.dimuon(muons, "any", fields=("mass", "pt", "delta_r"))
        assert len(found) == n
        pairs = SimpleNamespace(**{name: to_host(found[name]) for name in found})
        np.testing.assert_allclose(pairs.mass, cases["f64_dimu_mass"], rtol=0, atol=2e-6)
        np.testing.assert_allclose(pairs.pt, cases["f64_dimu_pt"], rtol=2e-7)
        np.testing.assert_allclose(pairs.delta_r, cases["f64_mumu_deltaR"], rtol=0, atol=3e-7)
