"""Scale, resolution, jet energies, weights: against formulas written out, in any batch and order."""

import math

import correction_files as files
import numpy as np
import pytest
from scipy import integrate, stats

import fastjag as fj
from fastjag import corrections

RNG = np.random.default_rng(5)
EVENTS = 400


def events(n=EVENTS):
    return {
        "run": np.full(n, 355_000, np.uint32), "luminosityBlock": np.arange(n, dtype=np.uint32) // 7,
        "event": np.arange(n, dtype=np.uint64) * np.uint64(2**40),
        "Rho_fixedGridRhoFastjetAll": np.linspace(5, 40, n).astype(np.float32),
    }  # fmt: skip


def jets(n=EVENTS, dtype=np.float32):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.5, n)
    m = counts.sum()
    return fj.Jagged.from_counts(
        counts,
        {"pt": rng.uniform(15, 300, m).astype(dtype), "eta": rng.uniform(-4, 4, m).astype(dtype),
         "phi": rng.uniform(-np.pi, np.pi, m).astype(dtype), "mass": rng.uniform(2, 20, m).astype(dtype),
         "area": rng.uniform(0.4, 0.6, m).astype(dtype), "rawFactor": rng.uniform(0, 0.2, m).astype(dtype)},
    )  # fmt: skip


def muons(n=EVENTS):
    rng = np.random.default_rng(2)
    counts = rng.poisson(1.7, n)
    m = counts.sum()
    return fj.Jagged.from_counts(
        counts,
        {"pt": rng.uniform(10, 250, m), "eta": rng.uniform(-2.4, 2.4, m),
         "phi": rng.uniform(-np.pi, np.pi, m), "charge": rng.choice([-1, 1], m),
         "nTrackerLayers": rng.integers(6, 14, m).astype(np.uint8)},
    )  # fmt: skip


def some(columns, which):
    return {name: values[which] for name, values in columns.items()}


@pytest.fixture
def muon_file(tmp_path):
    return corrections.read(files.write(tmp_path / "scare.json", files.muon_momenta()))


@pytest.fixture
def jet_file(tmp_path):
    levels, stack = files.jet_corrections()
    every = [*levels, *files.jet_resolution(), files.veto_map()]
    return corrections.read(files.write(tmp_path / "jets.json.gz", every, stack))


class TestRandomNumbers:
    def test_are_philox(self):
        """Of NumPy, whose generator counts up before it starts."""
        seed, stream, run, lumi, event, index = 7, 3, 355_000, 12, 2**63 + 5, 4
        counter = event | (run << 32 | lumi) << 64 | index << 128 | stream << 192
        word = int(np.random.Philox(counter=counter - 1, key=seed).random_raw())
        ours = corrections.uniform(
            run, lumi, np.array([event], np.uint64), index, seed=seed, stream=stream
        )
        assert ours[0] == ((word >> 12) + 0.5) * 2.0**-52

    def test_every_number_matters(self):
        base = {"run": 1, "lumi": 2, "event": 3, "index": 4, "seed": 5, "stream": 6}
        values = {corrections.uniform(**base)[0]}
        values |= {corrections.uniform(**(base | {k: v + 1}))[0] for k, v in base.items()}
        assert len(values) == 7

    def test_blocks_do_not_show(self):
        n = 10_000
        whole = corrections.normal(1, np.arange(n) // 100, np.arange(n), seed=1)
        parts = [corrections.normal(1, np.arange(a, b) // 100, np.arange(a, b), seed=1)
                 for a, b in ((0, 1), (1, 4097), (4097, n))]  # fmt: skip
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        assert stats.kstest(whole, "norm").pvalue > 1e-3

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"run": 2**32}, "run must be from 0"), ({"event": -1}, "event must be from 0"),
            ({"seed": -1}, "seed must be an integer"), ({"lumi": [1, 2, 3]}, "entries, but there are 3"),
            ({"run": 1.0}, "run must be integers"),
        ],
    )  # fmt: skip
    def test_errors(self, changed, message):
        base = {"run": 1, "lumi": 2, "event": [3, 4], "seed": 5}
        with pytest.raises((ValueError, TypeError), match=message):
            corrections.uniform(**(base | changed))


class TestMuons:
    def test_scale_is_the_formula(self, muon_file):
        m = muons()
        for data, name in ((True, "data"), (False, "mc")):
            ours = corrections.muon_scale(m, muon_file, data=data)
            for i in range(0, m.n_particles, 37):
                one = {k: float(m[k][i]) for k in ("pt", "eta", "phi", "charge")}
                scale = muon_file[f"m_{name}"](eta=one["eta"], phi=one["phi"], var="nom")[0]
                shift = muon_file[f"a_{name}"](eta=one["eta"], phi=one["phi"], var="nom")[0]
                assert ours[i] == pytest.approx(
                    1 / (scale / one["pt"] + one["charge"] * shift), rel=1e-14
                )

    def test_variations_are_the_error(self, muon_file):
        m = muons()
        nominal, up, down = (
            corrections.muon_scale(m, muon_file, data=False, variation=v)
            for v in ("nominal", "up", "down")
        )
        q, sm, sa, rho = m["charge"], 1e-4, 1e-5, 0.3
        step = nominal**2 * np.sqrt((sm / nominal) ** 2 + sa**2 + 2 * q * rho * sm * sa / nominal)
        np.testing.assert_allclose(up, nominal + step, rtol=1e-13)
        np.testing.assert_allclose(down, nominal - step, rtol=1e-13)
        with pytest.raises(ValueError, match="data has no variation"):
            corrections.muon_scale(m, muon_file, data=True, variation="up")

    def test_turned_around(self, muon_file):
        m = muons().with_columns(pt=np.full(muons().n_particles, 1e5))
        with pytest.raises(ValueError, match="no positive curvature"):
            corrections.muon_scale(m, muon_file, data=True)

    def test_smearing_has_its_width(self, muon_file):
        n = 40_000
        counts = np.ones(n, int)
        m = fj.Jagged.from_counts(
            counts, {"pt": np.full(n, 50.0), "eta": np.full(n, 0.5),
                     "nTrackerLayers": np.full(n, 10)},
        )  # fmt: skip
        smeared = corrections.muon_resolution(m, muon_file, events(n), seed=1)
        k = math.sqrt(1.1**2 - 1.0)
        x = (smeared / 50 - 1) / (k * (0.01 + 1e-4 * 50))
        # The density, written out and integrated.
        alpha, power = 1.4, 3.0

        def density(t):
            t = abs(t)
            if t < alpha:
                return math.exp(-0.5 * t * t)
            return (
                (power / alpha) ** power
                * math.exp(-0.5 * alpha**2)
                / (power / alpha - alpha + t) ** power
            )

        area = integrate.quad(density, -np.inf, 0)[0] * 2
        for quantile in (0.02, 0.2, 0.5, 0.9, 0.99):
            t = (np.quantile(x, quantile) - 0.01) / 0.9
            below = integrate.quad(density, -np.inf, t, limit=200)[0] / area
            error = math.sqrt(quantile * (1 - quantile) / n)
            assert abs(below - quantile) < 4 * error

    def test_smearing_does_not_depend_on_batches(self, muon_file):
        m, e = muons(), events()
        whole = corrections.muon_resolution(m, muon_file, e, seed=3)
        parts = [corrections.muon_resolution(m[a:b], muon_file, some(e, slice(a, b)), seed=3)
                 for a, b in ((0, 13), (13, 200), (200, EVENTS))]  # fmt: skip
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        order = RNG.permutation(EVENTS)
        shuffled = corrections.muon_resolution(m[order], muon_file, some(e, order), seed=3)
        np.testing.assert_array_equal(shuffled, m.with_columns(new=whole)[order]["new"])
        # Particles that were dropped and sorted keep their numbers by their index.
        index = np.arange(m.n_particles) - m.offsets[:-1].repeat(m.counts)
        kept = m.with_columns(index=index, new=whole).keep(m["pt"] > 30).sort("pt")
        again = corrections.muon_resolution(kept, muon_file, e, seed=3)
        np.testing.assert_array_equal(again, kept["new"])

    def test_smearing_varies_with_k_alone(self, muon_file):
        m, e = muons(), events()
        nominal, up, down = (
            corrections.muon_resolution(m, muon_file, e, seed=3, variation=v)
            for v in ("nominal", "up", "down")
        )
        pt = m["pt"]
        inside = (pt >= 26) & (pt <= 200)
        np.testing.assert_array_equal(nominal[~inside], pt[~inside])
        np.testing.assert_allclose((up + down)[inside] / 2, nominal[inside], rtol=1e-12)
        central = inside & (np.abs(m["eta"]) < 1.2)
        k = math.sqrt(1.1**2 - 1.0)
        np.testing.assert_allclose(
            (up / pt - 1)[central], ((nominal / pt - 1) * (k + 0.01) / k)[central], rtol=1e-9,
            atol=1e-14,
        )  # fmt: skip

    def test_missing_tables(self, tmp_path):
        file = corrections.read(files.write(tmp_path / "a.json", [files.pileup()]))
        with pytest.raises(KeyError, match="m_data"):
            corrections.muon_scale(muons(), file, data=True)


class TestJets:
    def test_energy_from_the_raw_one(self, jet_file):
        j, e = jets(), events()
        new = corrections.jet_energy(j, jet_file["L1L2Res"], e)
        raw = j["pt"].astype(np.float64) * (1 - j["rawFactor"].astype(np.float64))
        rho = e["Rho_fixedGridRhoFastjetAll"]
        factor = jet_file["L1L2Res"](
            JetA=j["area"], JetEta=j["eta"], JetPt=raw, Rho=j.broadcast(rho)
        )
        np.testing.assert_array_equal(new["pt"], raw * factor)
        np.testing.assert_allclose(new["pt"] * (1 - new["rawFactor"]), raw, rtol=1e-13)
        np.testing.assert_allclose(new["mass"] / j["mass"], new["pt"] / j["pt"], rtol=1e-6)
        with pytest.raises(KeyError, match="no input 'JetPT'"):
            corrections.jet_energy(j, jet_file["L1L2Res"], e, names={"JetPT": "pt"})
        with pytest.raises(KeyError, match="rawFactor"):
            corrections.jet_energy(j[["pt", "eta"]], jet_file["L1L2Res"], e)

    def smear(self, file, j, e, **more):
        return corrections.jet_smearing(
            j, file["PtResolution"], file["ScaleFactor"], e, seed=11, **more
        )

    def test_hybrid_smearing_jet_by_jet(self, jet_file):
        j, e = jets(), events()
        rng = np.random.default_rng(9)
        place = np.arange(j.n_particles) - j.offsets[:-1].repeat(j.counts)
        # Every third has no partner, others have one near and far.
        j = j.with_columns(genJetIdx=np.where(place % 3 == 0, -1, place).astype(np.int16))
        generated = fj.Jagged(
            j.offsets,
            {"pt": j["pt"] * rng.normal(1, 0.3, j.n_particles),
             "eta": j["eta"] + rng.choice([0.05, 0.3], j.n_particles), "phi": j["phi"]},
        )  # fmt: skip
        new = self.smear(jet_file, j, e, generated=generated)
        kinds = set()
        for i in range(j.n_particles):
            event = int(np.searchsorted(j.offsets, i, side="right") - 1)
            pt, eta = float(j["pt"][i]), float(j["eta"][i])
            r = math.sqrt(9 / pt**2 + 0.8 / pt + 0.04**2)
            s = 1.1 if abs(eta) < 2.5 else 1.2 if eta < 0 else 0.9
            far = float(generated["pt"][i])
            near = abs(float(generated["eta"][i]) - eta) < 0.2 and abs(pt - far) < 3 * r * pt
            if j["genJetIdx"][i] >= 0 and near:
                c = 1 + (s - 1) * (pt - far) / pt
                kinds.add("scaled")
            else:
                x = corrections.normal(355_000, event // 7, event * 2**40, int(place[i]), seed=11)[
                    0
                ]
                c = 1 + r * x * math.sqrt(max(s * s - 1, 0))
                kinds.add("smeared" if s > 1 else "as it is")
            energy = math.hypot(pt * math.cosh(eta), float(j["mass"][i]))
            assert new["pt"][i] == pytest.approx(pt * max(c, 0.01 / energy), rel=1e-12)
            assert new["mass"][i] / j["mass"][i] == pytest.approx(new["pt"][i] / pt, rel=1e-6)
        assert kinds == {"scaled", "smeared", "as it is"}

    def test_smearing_does_not_depend_on_batches(self, jet_file):
        j, e = jets(), events()
        whole = self.smear(jet_file, j, e)["pt"]
        parts = [self.smear(jet_file, j[a:b], some(e, slice(a, b)))["pt"]
                 for a, b in ((0, 1), (1, 250), (250, EVENTS))]  # fmt: skip
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        assert not np.array_equal(whole, self.smear(jet_file, j, e, variation="up")["pt"])

    def test_events_without_generated_jets(self, jet_file):
        j, e = jets(), events()
        j = j.with_columns(genJetIdx=np.full(j.n_particles, -1))
        none = fj.Jagged(np.zeros(EVENTS + 1, int), {n: np.empty(0) for n in ("pt", "eta", "phi")})
        np.testing.assert_array_equal(
            self.smear(jet_file, j, e, generated=none)["pt"], self.smear(jet_file, j, e)["pt"]
        )
        with pytest.raises(
            KeyError, match=r"random numbers belong to a particle.*'luminosityBlock'"
        ):
            self.smear(jet_file, j, {k: v for k, v in e.items() if k != "luminosityBlock"})

    def test_veto_map(self, jet_file):
        j = jets()
        inside = (j["eta"] >= 0) & (j["eta"] < 1) & (j["phi"] >= 1) & (j["phi"] < 2)
        assert inside.any()
        np.testing.assert_array_equal(
            corrections.vetoed(j, jet_file["Summer"], type="jetvetomap"), inside
        )
        edge = fj.Jagged(
            [0, 2], {"eta": [0.5, 0.5], "phi": np.array([np.pi, 1.5 + 2 * np.pi], "f4")}
        )
        assert corrections.vetoed(edge, jet_file["Summer"], type="jetvetomap").tolist() == [
            False,
            True,
        ]


class TestWeights:
    def test_product(self):
        j = jets()
        factors = RNG.uniform(0.5, 1.5, j.n_particles)
        expected = [math.prod(factors[a:b].tolist())
                    for a, b in zip(j.offsets[:-1], j.offsets[1:], strict=True)]  # fmt: skip
        np.testing.assert_array_equal(corrections.prod(j, factors), expected)
        assert corrections.prod(j[:0], factors[:0]).shape == (0,)
        with pytest.raises(ValueError, match="values has 3 entries"):
            corrections.prod(j, [1.0, 2.0, 3.0])

    def test_tags(self):
        j = jets()
        n = j.n_particles
        tagged, sf, e = RNG.random(n) < 0.4, RNG.uniform(0.8, 1.1, n), RNG.uniform(0.01, 0.8, n)
        expected = np.ones(len(j))
        for event in range(len(j)):
            for i in range(j.offsets[event], j.offsets[event + 1]):
                expected[event] *= sf[i] if tagged[i] else (1 - sf[i] * e[i]) / (1 - e[i])
        np.testing.assert_allclose(
            corrections.tagging_weight(j, tagged, sf, e), expected, rtol=1e-13
        )
        with pytest.raises(ValueError, match="efficiencies must be in"):
            corrections.tagging_weight(j, np.zeros(n, bool), sf, np.ones(n))
