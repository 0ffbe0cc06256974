"""The toy generator: its physics, its promises about seeds and files, and its errors."""

import dataclasses

import numpy as np
import pytest
from toy_samples import KINEMATICS, same

import fastjag as fj
from fastjag import toys
from fastjag.toys import kinematics
from fastjag.toys.events import Maker
from fastjag.toys.kinematics import DISPLACED, NONISOLATED, Mixture, decay, draw_pairs


@pytest.fixture(scope="module")
def chunk():
    return next(toys.generate(toys.CHUNK, seed=3))


@pytest.fixture(scope="module")
def spectrum():
    """Masses of the pairs in 600,000 events of exactly two muons."""
    found = {"opposite": [], "same": []}
    for part in toys.generate(6 * toys.CHUNK, seed=5, columns=KINEMATICS):
        two = part["Muon"][part["Muon"].counts == 2]
        for charge, masses in found.items():
            masses.append(fj.dimuon(two, charge=charge)["mass"])
    return {charge: np.concatenate(masses) for charge, masses in found.items()}


class TestSeeds:
    def test_a_seed_gives_the_same_events(self, chunk):
        same(chunk, next(toys.generate(toys.CHUNK, seed=3)))

    def test_another_seed_gives_others(self, chunk):
        other = next(toys.generate(1000, seed=4))
        assert not np.array_equal(other["MET_pt"], chunk["MET_pt"][:1000])

    @pytest.mark.parametrize("n", [1, 1000])
    def test_fewer_events_are_the_first_of_more(self, chunk, n):
        (few,) = toys.generate(n, seed=3)
        same(few, {name: values[:n] for name, values in chunk.items()})

    def test_a_chunk_depends_on_seed_and_number_only(self, chunk):
        first, second = toys.generate(toys.CHUNK + 10, seed=3)
        same(first, chunk)
        assert [len(v) for v in second.values()] == [10] * len(second)
        later = Maker(3, toys.ToyParameters(), list(toys.BRANCHES)).chunk(1)
        same(second, {name: values[:10] for name, values in later.items()})

    @pytest.mark.parametrize(
        "columns", [KINEMATICS, ["Muon_jetIdx"], ["Jet_mass", "HLT_Mu17_Mu8"], ["Muon_dz", "event"]]
    )
    def test_a_column_does_not_depend_on_the_others(self, chunk, columns):
        part = next(toys.generate(500, seed=3, columns=columns))
        names = {f"{k}_{c}" for k, v in part.items() if isinstance(v, fj.Jagged) for c in v.columns}
        assert names | {k for k in part if k not in ("Muon", "Jet")} == set(columns)
        for name, values in part.items():
            if isinstance(values, fj.Jagged):
                for column in values.columns:
                    expected = chunk[name][:500][column]
                    np.testing.assert_array_equal(values[column], expected)
            else:
                np.testing.assert_array_equal(values, chunk[name][:500])

    def test_no_events(self):
        assert list(toys.generate(0)) == []


class TestDecay:
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_muons_have_the_mass_and_momentum_of_the_parent(self, dtype):
        rng = np.random.default_rng(1)
        n = 20_000
        mass = np.exp(rng.uniform(np.log(0.22), np.log(400), n)).astype(dtype)
        pt = rng.exponential(20, n).astype(dtype)
        y = rng.uniform(-2.4, 2.4, n).astype(dtype)
        cos, angle = rng.uniform(-1, 1, n).astype(dtype), rng.uniform(0, 6.28, n).astype(dtype)
        legs = np.stack(decay(mass, pt, y, cos, angle))
        assert legs.dtype == dtype
        muons = fj.Jagged(
            np.arange(0, 2 * n + 1, 2),
            {c: legs[[i, i + 3]].T.ravel() for i, c in enumerate(("pt", "eta", "phi"))},
        )
        pairs = fj.dimuon(muons, charge="any", fields=["mass", "pt", "phi"])
        # Next to the threshold the mass is sensitive to the square root of the last digits.
        rtol = 1e-9 if dtype == "f8" else 2e-3
        np.testing.assert_allclose(pairs["mass"], mass, rtol=rtol)
        np.testing.assert_allclose(pairs["pt"], pt, rtol=rtol, atol=1e-8 if dtype == "f8" else 1e-3)
        hard = pt > 1
        np.testing.assert_allclose(pairs["phi"][hard], 0, atol=rtol)

    def test_recorded_pairs_keep_the_mass_and_pass_the_thresholds(self):
        p = toys.ToyParameters(thresholds=((1.0, 13.0, 8.0),))
        pairs = draw_pairs(np.random.default_rng(2), 30_000, Mixture(p), p)
        mass, same_sign, _ = Mixture(p).draw(np.random.default_rng(2), 30_000)
        np.testing.assert_array_equal(pairs.same_sign, same_sign)
        k = pairs.kinematics
        np.testing.assert_allclose(fj.pair_mass(*k), mass, rtol=2e-3)
        assert np.maximum(k[0], k[3]).min() > 13
        assert np.minimum(k[0], k[3]).min() > 8
        assert np.abs(k[[1, 4]]).max() < 2.4

    def test_no_acceptance(self, monkeypatch):
        monkeypatch.setattr(kinematics, "_ROUNDS", 3)
        p = toys.ToyParameters(max_abs_eta=0.0)
        with pytest.raises(RuntimeError, match=r"no decay passes .* leave no acceptance"):
            next(toys.generate(10, parameters=p))


class TestPhysics:
    def test_multiplicity(self, chunk):
        p = toys.ToyParameters().multiplicity
        counts = np.bincount(chunk["Muon"].counts, minlength=len(p))
        expected = toys.CHUNK * np.array(p) / sum(p)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected + 1)).all()

    def test_muons(self, chunk):
        muons = chunk["Muon"]
        assert muons["pt"].min() > 2.5
        assert np.abs(muons["eta"]).max() <= 2.4 + 1e-6
        assert np.abs(muons["phi"]).max() <= np.pi + 1e-6
        assert (muons["mass"] == np.float32(fj.MUON_MASS)).all()
        assert set(np.unique(muons["charge"])) == {-1, 1}
        assert 0.001 < (muons["pt"] > 100).mean() < 0.01  # junk
        assert abs(muons["charge"].mean()) < 0.01
        for name in muons.columns:
            assert np.isfinite(muons[name]).all(), name

    @pytest.mark.parametrize("particles", ["Muon", "Jet"])
    def test_descending_pt(self, chunk, particles):
        jagged = chunk[particles]
        falls = np.diff(jagged["pt"]) <= 0
        falls[jagged.offsets[1:-1][(jagged.counts[:-1] > 0) & (jagged.counts[1:] > 0)] - 1] = True
        starts = np.zeros(jagged.n_particles, bool)
        starts[jagged.offsets[:-1][jagged.counts > 0]] = True
        assert (falls | starts[1:]).all()

    @pytest.mark.parametrize("peak", toys.ToyParameters().resonances, ids=lambda r: r.name)
    def test_peaks(self, peak):
        alone = dataclasses.replace(peak, fraction=1.0)
        p = toys.ToyParameters(resonances=(alone,), opposite_sign=1.0, mismeasured=0.0)
        mixture = Mixture(p)
        generated, same_sign, _ = mixture.draw(np.random.default_rng(1), 50_000)
        assert not same_sign.any()
        half = np.diff(np.quantile(generated, [0.25, 0.75]))[0] / 2
        # A cut Breit-Wigner: half of it lies within a little less than half a width.
        assert half == pytest.approx(0.47 * peak.width, rel=0.05, abs=3e-7 * peak.mass)
        muons = next(toys.generate(toys.CHUNK, seed=1, columns=KINEMATICS, parameters=p))["Muon"]
        mass = fj.dimuon(muons[muons.counts == 2])["mass"]
        low, median, high = np.quantile(mass, [0.16, 0.5, 0.84])
        width = (high - low) / 2
        assert abs(median - peak.mass) < 5 * 1.25 * width / np.sqrt(len(mass))
        if peak.width < 0.001 * peak.mass:  # resolution alone
            assert 0.008 < width / peak.mass < 0.015
        elif peak.name == "Z":
            assert 1.2 < width < 3.0

    def test_upsilons_are_resolved(self, spectrum):
        counts, _ = np.histogram(spectrum["opposite"], [9.33, 9.6, 9.75, 9.9, 10.15])
        density = counts / [0.27, 0.15, 0.15, 0.25]
        assert density[0] > 1.5 * density[1]
        assert density[3] > 1.1 * density[2]

    @pytest.mark.parametrize("mass", [3.0969, 9.4604, 91.188])
    def test_same_sign_is_smooth(self, spectrum, mass):
        m = spectrum["same"]
        low, here, high = (
            ((m > c * 0.97) & (m < c * 1.03)).sum() for c in mass * np.r_[0.9, 1, 1.1]
        )
        expected = (low / 0.9 + high / 1.1) / 2
        assert abs(here - expected) < 5 * np.sqrt(expected) + 0.15 * expected

    def test_yields_are_those_of_real_data(self, spectrum):
        # 100,000 events of CMS 2012 DoubleMuParked have these; the toys here are 600,000.
        m = spectrum["opposite"]
        assert len(m) / 6 == pytest.approx(37_183, rel=0.03)
        assert len(spectrum["same"]) / 6 == pytest.approx(11_793, rel=0.05)
        for low, high, n in ((2.9, 3.3, 3627), (7.4, 9, 529), (9, 10.6, 1139), (10.6, 12.2, 412)):
            assert ((m > low) & (m < high)).sum() / 6 == pytest.approx(n, rel=0.2)
        assert ((m > 80) & (m < 100)).sum() / 6 == pytest.approx(6864, rel=0.1)

    def test_isolation_and_displacement_follow_the_mass(self, chunk):
        muons = chunk["Muon"][chunk["Muon"].counts == 2]
        pairs = fj.dimuon(muons)

        def of(name, low, high):
            window = (pairs["mass"] > low) & (pairs["mass"] < high)
            return np.median(np.abs(muons[name][pairs["first"][window]]))

        for name in ("pfRelIso04_all", "pfRelIso03_all", "ip3d", "dxy", "dz"):
            z, upsilon, low = of(name, 86, 96), of(name, 9.3, 9.6), of(name, 1.2, 2.8)
            assert z < 0.6 * low, name
            assert z <= upsilon < low, name
        # Without peaks the change is gradual.
        steps = [of("ip3d", *w) for w in ((15, 25), (35, 50), (55, 75), (100, 150))]
        assert steps == sorted(steps, reverse=True)
        same_sign = fj.dimuon(muons, charge="same")
        assert np.median(muons["pfRelIso04_all"][same_sign["first"]]) > 0.3
        assert (muons["pfRelIso03_all"] <= muons["pfRelIso04_all"]).all()
        np.testing.assert_allclose(muons["ip3d"], np.hypot(muons["dxy"], muons["dz"]), rtol=1e-5)

    def test_jets_with_muons(self, chunk):
        muons, jets = chunk["Muon"], chunk["Jet"]
        event = np.repeat(np.arange(len(muons)), muons.counts)
        linked = muons["jetIdx"] >= 0
        assert 0.1 < linked.mean() < 0.5
        assert (muons["jetIdx"] < jets.counts[event]).all()
        jet = jets.offsets[event[linked]] + muons["jetIdx"][linked]
        delta_phi = np.abs(muons["phi"][linked] - jets["phi"][jet])
        delta_phi = np.minimum(delta_phi, 2 * np.pi - delta_phi)
        distance = np.hypot(muons["eta"][linked] - jets["eta"][jet], delta_phi)
        assert np.quantile(distance, 0.95) < 0.2
        pt = muons["pt"][linked]
        np.testing.assert_allclose(muons["jetRelIso"][linked], jets["pt"][jet] / pt - 1, rtol=1e-3)
        other = ~linked
        np.testing.assert_array_equal(muons["jetRelIso"][other], muons["pfRelIso04_all"][other])
        assert jets["btagDeepB"][jet].mean() > 0.6 > jets["btagDeepB"].mean()
        assert muons["pfRelIso04_all"][linked].min() > 0.2

    def test_triggers_follow_pt(self, chunk):
        muons = chunk["Muon"]
        two = muons.counts >= 2
        assert not chunk["HLT_DoubleMu0"][~two].any()
        for t in toys.ToyParameters().triggers:
            padded = muons.pad(2, "pt", by="pt").values
            above = (padded[:, 0] > 1.3 * t.leading) & (padded[:, 1] > 1.3 * t.subleading)
            below = (padded[:, 0] < 0.7 * t.leading) | (padded[:, 1] < 0.7 * t.subleading)
            assert chunk[t.name][above].mean() == pytest.approx(t.plateau, abs=0.02)
            assert not chunk[t.name][below].any()

    def test_event_numbers(self):
        columns = ["run", "luminosityBlock", "event"]
        first, second = toys.generate(toys.CHUNK + 5, columns=columns)
        assert first["event"][0] == 1
        assert second["event"].tolist() == [toys.CHUNK + i for i in range(1, 6)]
        assert second["luminosityBlock"][0] == first["luminosityBlock"][-1] + 1
        assert (second["run"] == 1).all()

    def test_hidden_signal(self):
        p = toys.ToyParameters(signal=0.05)
        chunk = next(toys.generate(toys.CHUNK, seed=3, parameters=p))
        plain = next(toys.generate(toys.CHUNK, seed=3))

        def selected(part):
            """Pairs at the Upsilon with two muons that are not isolated and prompt."""
            muons = part["Muon"][part["Muon"].counts == 2]
            pairs = fj.dimuon(muons)
            good = np.abs(pairs["mass"] - p.signal_states[0][0]) < 0.3
            for muon in ("first", "second"):
                good &= muons["pfRelIso04_all"][pairs[muon]] > 0.55
                good &= muons["ip3d"][pairs[muon]] < 0.01
            return good.sum()

        assert selected(chunk) > 10 * (selected(plain) + 1)
        origin = draw_pairs(np.random.default_rng(1), 20_000, Mixture(p), p).origin
        signal = (origin == NONISOLATED).sum()
        assert signal == pytest.approx(0.05 * 20_000, abs=5 * np.sqrt(1000))
        assert set(np.unique(origin)) == {0, NONISOLATED, DISPLACED | NONISOLATED}
