"""Selections, names and weights of both releases, against plain Python and published numbers."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from diphoton_files import BARE, by_hand, photon_lists, rows, write

from fastjag.analyses.diphoton import samples
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import aggregates
from fastjag.analyses.diphoton.samples import known_samples, read_samples, weight_factor
from fastjag.analyses.diphoton.select import skim_files
from fastjag.analyses.diphoton.selections import (
    PRESETS,
    diphoton_mass,
    selection_of,
    unconverted_central,
)
from fastjag.jagged import Jagged
from fastjag.schemas import ATLAS_ANALYSIS
from fastjag.selection import cheapest_first, survivors

#: Selected / generated events of the slides' table.
EFFICIENCY = {"gg": 0.0133, "VBF": 0.0113, "Wp": 0.0085, "Z": 0.0097, "tt": 0.0106}

#: <mcWeight> of the events in the files, published apart from the sums of weights.
MEAN_WEIGHT = {"gg": 28.301, "VBF": 3.737, "Wp": 0.862, "Z": 0.761, "tt": 0.523}


class TestSelections:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_by_hand(self, tmp_path, preset):
        release = "analysis" if preset == "official-2025" else "mini"
        content = rows(np.random.default_rng(4), 4000, release)
        path = write(tmp_path / "a.root", content, release)
        found = skim_files({"gg": path}, tmp_path / "out", PRESETS[preset], batch_size=700)
        lists = photon_lists(content, 1e-3 if release == "mini" else 1.0)
        passed = by_hand(PRESETS[preset], lists, content["trigP"])
        assert len(passed) > 10
        events = found.events()
        assert len(events) == found.cutflow()[-1].events == len(passed)
        np.testing.assert_allclose(events.flat["m_yy"], [m for _, m in passed], rtol=2e-6)
        # The pair by descending pt, in GeV, and the weights of the release.
        kept = np.array([i for i, _ in passed])
        pt = events.particles["photon"]["pt"].reshape(-1, 2)
        assert (pt[:, 0] >= pt[:, 1]).all()
        assert pt.min() > 20
        assert pt.max() < 91
        weight = content["mcWeight"].astype(float)
        for name, values in content.items():
            if name.lower().startswith("scalefactor") and not (
                release != "mini" and "TRIGGER" in name
            ):
                weight = weight * values
        factor = 10064 * 0.102 if release == "mini" else 36600 * 0.102 * 1.1 * 0.5
        weight = weight * factor / 55922617.0
        np.testing.assert_allclose(events.flat["weight"], weight[kept], rtol=1e-6)
        assert found.cutflow()[0].weighted == pytest.approx(weight.sum(), rel=1e-6)
        assert found.cutflow()[-1].weighted == pytest.approx(weight[kept].sum(), rel=1e-6)

    @pytest.mark.parametrize("preset", PRESETS)
    def test_steps_in_any_order(self, tmp_path, preset):
        """Every step judges events that none has seen, and all orders leave the same ones."""
        release = "analysis" if preset == "official-2025" else "mini"
        path = write(tmp_path / "a.root", rows(np.random.default_rng(5), 2000, release), release)
        steps = PRESETS[preset].steps(f"ATLAS {release}")
        cheapest = cheapest_first(path, steps)
        assert all(0 < step.passed < 1 for step in cheapest)
        left = [
            np.concatenate([batch.entries for batch in survivors(path, order, progress=False)])
            for order in (steps, cheapest, steps[::-1])
        ]
        assert len(left[0]) > 5
        np.testing.assert_array_equal(left[1], left[0])
        np.testing.assert_array_equal(left[2], left[0])

    def test_crack_veto(self):
        eta = [0.0, 1.36, -1.45, 1.45, 1.53, -2.0]
        photons = Jagged([0, 6], {"pt": np.full(6, 60.0), "eta": eta})
        cuts = selection_of("official-2025", {"tight": False})
        assert cuts.good(photons, "NanoAOD").tolist() == [True, True, False, False, True, True]

    def test_masses(self):
        rng = np.random.default_rng(0)
        pt, eta, phi = rng.uniform(1, 200, (2, 50)), rng.normal(size=(2, 50)), rng.normal(
            scale=4, size=(2, 50)
        )  # fmt: skip
        pairs = Jagged(np.arange(0, 101, 2), {
            name: x.T.ravel() for name, x in (("pt", pt), ("eta", eta), ("phi", phi))
        })  # fmt: skip
        p4 = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        energy = (pt * np.cosh(eta)).sum(axis=0)
        expected = np.sqrt(energy**2 - sum(p.sum(axis=0) ** 2 for p in p4))
        np.testing.assert_allclose(diphoton_mass(pairs), expected, rtol=1e-9)
        # Collinear photons: zero, where E² - p² would be noise.
        same = Jagged([0, 2], {"pt": [50.0, 40.0], "eta": [2.0, 2.0], "phi": [1.0, 1.0]})
        assert diphoton_mass(same) == [0.0]

    def test_unconverted_central(self):
        photons = Jagged.from_counts([2, 2, 2], {
            "eta": [0.1, -0.7, 0.1, 0.8, 0.1, 0.2], "convType": [0, 0, 0, 0, 0, 2],
        })  # fmt: skip
        events = Events({"photon": photons}, {}, ())
        assert unconverted_central(events).tolist() == [True, False, False]

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="no selection 'slide': did you mean 'slides'"):
            selection_of("slide", {})
        with pytest.raises(ValueError, match="no cut 'minpt': did you mean 'min_pt'"):
            selection_of("slides", {"minpt": (1, 2)})
        with pytest.raises(ValueError, match="mass must be an interval"):
            selection_of("slides", {"mass": (160, 105)})
        with pytest.raises(ValueError, match="min_pt must be two numbers"):
            selection_of("slides", {"min_pt": [30]})


def test_names_of_the_2025_release():
    for stored, public in (
        ("ScaleFactor_PHOTON", "scaleFactor_PHOTON"), ("ScaleFactor_FTAG", "scaleFactor_BTAG"),
        ("met", "MET_pt"), ("met_mpx", "MET_px"), ("met_mpy", "MET_py"), ("met_phi", "MET_phi"),
        ("photon_e", "Photon_energy"), ("jet_e", "Jet_energy"), ("tau_isTight", "Tau_isTightID"),
        ("photon_isTrigMatched", "Photon_trigMatched"), ("lep_d0", "Lepton_trackd0pvunbiased"),
        ("lep_d0sig", "Lepton_tracksigd0pvunbiased"), ("largeRJet_Eta", "FatJet_eta"),
        ("largeRJet_pt", "FatJet_pt"), ("xsec", "XSection"), ("sum_of_weights", "SumWeights"),
        # Other quantities than those of 2020, which must not get their names.
        ("photon_ptcone20", "Photon_ptcone20"), ("jet_btag_quantile", "Jet_btag_quantile"),
        ("lep_ptvarcone30", "Lepton_ptvarcone30"), ("photon_isTightIso", "Photon_isTightIso"),
    ):  # fmt: skip
        assert ATLAS_ANALYSIS.public(stored) == public
    assert ATLAS_ANALYSIS.scale("Photon_pt") == 1.0


def test_default_features_of_the_2025_release(tmp_path):
    """Its columns in place of those of 2020; and not the mass of all, which is m_yy in many."""
    path = write(tmp_path / "a.root", rows(np.random.default_rng(1), 500, "analysis"), "analysis")
    events = skim_files({"gg": path}, tmp_path / "out", BARE).events()
    photons = events.particles["photon"]
    jets = photons.with_columns(btag_quantile=photons["pt"] // 20)
    taus = photons.with_columns(RNNJetScore=photons["pt"] / 100)
    particles = {**events.particles, "jet": jets, "tau": taus}
    found = aggregates(Events(particles, events.flat, events.classes))
    for name, (kind, column) in {
        "photon_topoetcone40_max": (photons, "topoetcone40"),
        "photon_ptcone20_max": (photons, "ptcone20"),
        "jet_btag_quantile_max": (jets, "btag_quantile"),
        "tau_RNNJetScore_max": (taus, "RNNJetScore"),
    }.items():
        np.testing.assert_allclose(found[name], kind[column].reshape(-1, 2).max(axis=1))
    assert "jet_btag_quantile_sum" in found
    assert "n_objects" in found
    assert "m_all" not in found


class TestSamples:
    def shares(self, correct):
        table = tomllib.loads(Path(samples.__file__).with_name("samples.toml").read_text())
        sums = {}
        for key, entry in table.items():
            sample = known_samples()[int(key)]
            cross_section = sample.cross_section
            if correct and sample.corrected_cross_section:
                cross_section = sample.corrected_cross_section
            label = entry["class"]
            mean = MEAN_WEIGHT[label]
            assert sample.sum_of_weights / sample.n_generated == pytest.approx(mean, rel=2e-3)
            numbers = {**asdict(sample), "cross_section": cross_section}
            weight = weight_factor(numbers, 1e-3) * mean
            sums[label] = weight * EFFICIENCY[label] * sample.n_generated
        return sum(sums.values()), sums

    def test_class_table(self):
        total, sums = self.shares(correct=False)
        assert total == pytest.approx(1.49503e-3, rel=0.02)
        assert sums["tt"] / total == pytest.approx(1.9e-5, rel=0.02)
        assert sums["gg"] / total == pytest.approx(0.91, abs=0.01)
        total, sums = self.shares(correct=True)
        assert sums["tt"] / total == pytest.approx(0.0083, rel=0.02)

    def test_switch(self, tmp_path):
        kept = {}
        for correct in (True, False):
            content = rows(np.random.default_rng(1), 300)
            content["channelNumber"][:] = 341081
            content["XSection"][:] = 0.0000026433864
            content["SumWeights"][:] = 485440
            path = write(tmp_path / "tt.root", content)
            found = skim_files(
                {"tt": path}, tmp_path / f"{correct}", PRESETS["slides"], correct=correct
            )
            kept[correct] = found.cutflow()[0].weighted
        assert kept[True] / kept[False] == pytest.approx(1 / 0.00227, rel=1e-3)

    def test_overrides(self, tmp_path):
        table = tmp_path / "own.toml"
        table.write_text("[343981]\nk_factor = 2\n[gg]\ncross_section = 0.204\n")
        path = write(tmp_path / "gg.root", rows(np.random.default_rng(1), 100))
        plain = skim_files({"gg": path}, tmp_path / "a", BARE)
        changed = skim_files({"gg": path}, tmp_path / "b", BARE, overrides=read_samples(table))
        assert changed.files[0].factor == pytest.approx(4 * plain.files[0].factor)

    def test_override_of_one(self, tmp_path):
        """The file has a k-factor of 1.1 and a filter efficiency of 0.5."""
        table = tmp_path / "own.toml"
        table.write_text("[gg]\nk_factor = 1.0\nfilter_efficiency = 1.0\n")
        content = rows(np.random.default_rng(1), 50, "analysis")
        path = write(tmp_path / "gg.root", content, "analysis")
        plain = skim_files({"gg": path}, tmp_path / "a", BARE)
        ones = skim_files({"gg": path}, tmp_path / "b", BARE, overrides=read_samples(table))
        assert ones.files[0].factor == pytest.approx(plain.files[0].factor / 0.55, rel=1e-6)

    def test_bad_tables(self, tmp_path):
        table = tmp_path / "own.toml"
        for text, message in (
            ("[gg]\nxsection = 1\n", r"own\.toml: unknown key in \[gg\]: 'xsection'"),
            ("[gg]\nk_factor = 'x'\n", "k_factor must be a number, got 'x'"),
            ("gg = 1\n", r"\[gg\] must be a table"),
            ("[gg\n", "own.toml"),
        ):
            table.write_text(text)
            with pytest.raises(ValueError, match=message):
                read_samples(table)
