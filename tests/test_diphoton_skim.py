"""Selections and skims: against plain Python on the same files; bad input is named, nothing lost."""

import json
import pickle
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.analyses.diphoton import samples, skim
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.samples import Sample, known_samples, read_samples
from fastjag.analyses.diphoton.selections import (
    PRESETS,
    Selection,
    diphoton_mass,
    selection_of,
    unconverted_central,
)
from fastjag.files import ReadError
from fastjag.jagged import Jagged
from fastjag.schemas import ATLAS_ANALYSIS

SAMPLE = Path(samples.__file__).parent / "sample"
FILES = {
    "gg": SAMPLE / "ggH125_gamgam.root",
    "VBF": SAMPLE / "VBFH125_gamgam.root",
    "tt": SAMPLE / "ttH125_gamgam.root",
}
#: Selected / generated events of the slides' table.
EFFICIENCY = {"gg": 0.0133, "VBF": 0.0113, "Wp": 0.0085, "Z": 0.0097, "tt": 0.0106}
BARE = Selection(trigger=None)  # nothing but kinematics


def rows(rng, n, release="mini", **change):
    """Made-up events with the branches that a release has, in its units."""
    mev, e = (1000.0, "E") if release == "mini" else (1.0, "e")
    counts = rng.integers(1, 5, n)
    m = int(counts.sum())
    iso = ("ptcone30", "etcone20") if release == "mini" else ("ptcone20", "topoetcone40")
    photons = {
        "pt": rng.uniform(20, 90, m) * mev,
        "eta": rng.uniform(-2.6, 2.6, m),
        "phi": rng.uniform(-np.pi, np.pi, m),
        e: rng.uniform(90, 200, m) * mev,
        "isTightID": rng.random(m) < 0.8,
        **{name: rng.exponential(1.5, m) * mev for name in iso},
    }
    if release == "mini":
        photons["convType"] = rng.integers(0, 6, m).astype(np.int32)
    scale = "scaleFactor" if release == "mini" else "ScaleFactor"
    flat = {
        "channelNumber": np.full(n, 343981, np.int32),
        "mcWeight": rng.normal(20, 10, n).astype(np.float32),
        "trigP": rng.random(n) < 0.8,
        **{f"{scale}_{w}": rng.uniform(0.9, 1.1, n).astype(np.float32)
           for w in ("PHOTON", "PILEUP", "PhotonTRIGGER")},
    }  # fmt: skip
    numbers = {"XSection": 0.102, "SumWeights": 55922617.0}
    if release != "mini":
        numbers = {"xsec": 0.102, "sum_of_weights": 55922617.0, "kfac": 1.1, "filteff": 0.5}
    flat |= {name: np.full(n, value) for name, value in numbers.items()}
    flat["met_et" if release == "mini" else "met"] = rng.uniform(0, 99, n) * mev
    as_float = {k: v.astype(np.float32) if v.dtype == float else v for k, v in photons.items()}
    return {"photon": Jagged.from_counts(counts, as_float).to_awkward(), **flat, **change}


def write(path, content, tree="mini", **leave):
    kept = {name: v for name, v in content.items() if name not in leave.get("without", ())}
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = file.mktree(
            tree,
            {n: v.dtype if isinstance(v, np.ndarray) else v.type.content for n, v in kept.items()},
            counter_name=lambda counted: f"{counted}_n",
            field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
        )
        tree.extend(kept)
    return str(path)


def by_hand(cuts, photons, trigger, tight=None):
    """The cuts once more, event by event, in plain Python."""
    passed = []
    for event, (found, fired) in enumerate(zip(photons, trigger, strict=True)):
        if cuts.trigger and not fired:
            continue

        def good(p):
            crack = 1.37 <= abs(p["eta"]) <= 1.52
            inside = cuts.max_abs_eta is None or abs(p["eta"]) < cuts.max_abs_eta
            return (
                p["pt"] > cuts.good_pt
                and inside
                and not (cuts.crack_veto and crack)
                and (not cuts.tight or bool(p[tight or "isTightID"]))
            )

        ordered = sorted(found, key=lambda p: -p["pt"])
        if cuts.exactly_two:
            ordered = [p for p in ordered if good(p)]
            if len(ordered) != 2:
                continue
        if len(ordered) < 2 or not all(good(p) for p in ordered[:2]):
            continue
        a, b = ordered[:2]
        phi = abs(a["phi"] - b["phi"])
        phi = 2 * np.pi - phi if phi > np.pi else phi
        mass = np.sqrt(2 * a["pt"] * b["pt"] * (np.cosh(a["eta"] - b["eta"]) - np.cos(phi)))
        if (
            a["pt"] > cuts.min_pt[0]
            and b["pt"] > cuts.min_pt[1]
            and all(p[c] / p["pt"] < x for c, x in cuts.isolation.items() for p in (a, b))
            and a["pt"] / mass > cuts.min_pt_over_mass[0]
            and b["pt"] / mass > cuts.min_pt_over_mass[1]
            and cuts.mass[0] < mass < cuts.mass[1]
        ):
            passed.append((event, mass))
    return passed


def photon_lists(content, mev):
    unscaled = {"eta", "phi", "isTightID", "convType"}
    return [
        [{k: v if k in unscaled else v * mev for k, v in p.items()} for p in event]
        for event in content["photon"].to_list()
    ]


class Elsewhere(ThreadPoolExecutor):
    """Sends what another process would get."""

    def submit(self, function, *arguments):
        return super().submit(*pickle.loads(pickle.dumps((function, *arguments))))


class TestSelections:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_by_hand(self, tmp_path, preset):
        release = "analysis" if preset == "official-2025" else "mini"
        content = rows(np.random.default_rng(4), 4000, release)
        path = write(tmp_path / "a.root", content, release)
        found = skim.skim({"gg": path}, tmp_path / "out", PRESETS[preset], batch_size=700)
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
            selection_of("slide")
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


class TestSamples:
    def shares(self, correct):
        table = tomllib.loads(Path(samples.__file__).with_name("samples.toml").read_text())
        sums = {}
        for key, entry in table.items():
            sample = known_samples()[int(key)]
            cross_section = sample.cross_section
            if correct and sample.corrected_cross_section:
                cross_section = sample.corrected_cross_section
            # Weight per event: the mean generator weight is sum_of_weights / n_generated.
            mean = sample.sum_of_weights / sample.n_generated
            weight = Sample(
                cross_section=cross_section, sum_of_weights=sample.sum_of_weights
            ).factor(1e-3) * mean  # fmt: skip
            assert weight == pytest.approx(cross_section / sample.n_generated, rel=0.02)
            label = entry["class"]
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
            found = skim.skim(
                {"tt": path}, tmp_path / f"{correct}", PRESETS["slides"], correct=correct
            )
            kept[correct] = found.cutflow()[0].weighted
        assert kept[True] / kept[False] == pytest.approx(1 / 0.00227, rel=1e-3)

    def test_overrides(self, tmp_path):
        table = tmp_path / "own.toml"
        table.write_text("[343981]\nk_factor = 2\n[gg]\ncross_section = 0.204\n")
        path = write(tmp_path / "gg.root", rows(np.random.default_rng(1), 100))
        plain = skim.skim({"gg": path}, tmp_path / "a", BARE)
        changed = skim.skim({"gg": path}, tmp_path / "b", BARE, overrides=read_samples(table))
        assert changed.files[0].factor == pytest.approx(4 * plain.files[0].factor)

    def test_bad_tables(self, tmp_path):
        table = tmp_path / "own.toml"
        for text, message in (
            ("[gg]\nxsection = 1\n", r"own\.toml: \[gg\]: no key 'xsection'"),
            ("[gg]\nk_factor = 'x'\n", "k_factor must be a number, got 'x'"),
            ("gg = 1\n", r"\[gg\] must be a table"),
            ("[gg\n", "own.toml"),
        ):
            table.write_text(text)
            with pytest.raises(ValueError, match=message):
                read_samples(table)


class TestSkim:
    def test_shipped_sample(self, tmp_path):
        """std::vector branches, several classes, in threads and one after the other."""
        alone = skim.skim(FILES, tmp_path / "a", PRESETS["slides"], batch_size=500)
        with Elsewhere(2) as pool:
            pooled = skim.skim(
                FILES, tmp_path / "b", PRESETS["slides"], batch_size=500, executor=pool
            )
        assert alone.summary()["classes"] == pooled.summary()["classes"]
        a, b = alone.events(), pooled.events()
        assert len(a) == len(b) == sum(alone.cutflow(c)[-1].events for c in FILES)
        for name in a.flat:
            np.testing.assert_array_equal(a.flat[name], b.flat[name])
        assert a.classes == tuple(FILES)
        for i, path in enumerate(FILES.values()):
            with uproot.open(path) as file:
                found = file["mini"].arrays(["photon_pt", "photon_eta", "photon_phi", "trigP"])
            photons = ak.zip({k: found[f"photon_{k}"] for k in ("pt", "eta", "phi")}).to_list()
            lists = [[{**p, "pt": p["pt"] / 1e3} for p in event] for event in photons]
            passed = by_hand(PRESETS["slides"], lists, found["trigP"].to_list())
            np.testing.assert_allclose(
                a.flat["m_yy"][a.flat["label"] == i], [m for _, m in passed], rtol=2e-6
            )
        assert {"photon", "lep", "jet", "tau", "largeRjet"} == set(a.particles)
        assert {"met_et", "met_phi", "weight", "label", "m_yy"} <= set(a.flat)

    def test_finished_files_are_not_read_again(self, tmp_path, monkeypatch):
        paths = [write(tmp_path / f"{i}.root", rows(np.random.default_rng(i), 200)) for i in (1, 2)]
        read = []
        original = skim.survivors
        monkeypatch.setattr(
            skim, "survivors", lambda path, *a, **k: read.append(path) or original(path, *a, **k)
        )
        first = skim.skim({"gg": paths}, tmp_path / "out", BARE)
        assert read == paths
        again = skim.skim({"gg": paths}, tmp_path / "out", BARE)
        assert read == paths
        assert again == first
        # A damaged result, another file's content, other cuts: what they touch is done again.
        damaged = Path(first.files[0].output)
        damaged.write_bytes(damaged.read_bytes()[:-9])
        skim.skim({"gg": paths}, tmp_path / "out", BARE)
        assert read == [*paths, paths[0]]
        write(paths[1], rows(np.random.default_rng(9), 200))
        skim.skim({"gg": paths}, tmp_path / "out", BARE)
        assert read == [*paths, paths[0], paths[1]]
        skim.skim({"gg": paths}, tmp_path / "out", PRESETS["slides"])
        assert read[4:] == paths

    def test_goes_on_after_an_error(self, tmp_path):
        good = write(tmp_path / "good.root", rows(np.random.default_rng(1), 200))
        bad = Path(write(tmp_path / "bad.root", rows(np.random.default_rng(2), 200)))
        whole = bytearray(bad.read_bytes())
        with uproot.open(bad) as file:
            seek = int(file["mini/photon_pt"].member("fBasketSeek")[0])
        broken = whole.copy()
        broken[seek + 3] ^= 0xFF  # the size in its key
        bad.write_bytes(broken)
        with pytest.raises(ReadError, match=r"bad\.root:mini\[0:200\]: cannot be read"):
            skim.skim({"gg": [good, bad]}, tmp_path / "out", BARE)
        left = sorted(p.name for p in (tmp_path / "out").iterdir())
        assert left == ["gg-0000-good.json", "gg-0000-good.parquet"]
        bad.write_bytes(whole)
        assert len(skim.skim({"gg": [good, bad]}, tmp_path / "out", BARE).files) == 2

    def test_data_have_weight_one(self, tmp_path):
        content = rows(np.random.default_rng(1), 300)
        path = write(tmp_path / "a.root", content, without=("mcWeight", "SumWeights"))
        found = skim.skim({"data": path}, tmp_path / "out", BARE)
        assert set(found.events().flat["weight"]) == {1.0}
        assert found.cutflow()[0].weighted == 300

    def test_nothing_passes(self, tmp_path):
        some = write(tmp_path / "a.root", rows(np.random.default_rng(1), 300))
        low = rows(np.random.default_rng(2), 300)
        low["photon"] = ak.with_field(low["photon"], low["photon"].pt / 9, "pt")
        none = write(tmp_path / "b.root", low)
        found = skim.skim({"gg": some, "VBF": none}, tmp_path / "out", BARE)
        assert found.empty == ("VBF",)
        assert found.summary()["without events"] == ["VBF"]
        assert len(found.events()) == found.cutflow("gg")[-1].events > 0
        assert found.cutflow("VBF")[-1].events == 0
        alone = skim.skim({"VBF": none}, tmp_path / "other", BARE)
        assert skim.skim({"VBF": none}, tmp_path / "other", BARE) == alone
        with pytest.raises(ValueError, match="no event passes the selection: all 300, two good"):
            alone.events()
        json.dumps(alone.summary())

    def test_a_file_without_events(self, tmp_path):
        empty = write(tmp_path / "empty.root", rows(np.random.default_rng(1), 0))
        some = write(tmp_path / "a.root", rows(np.random.default_rng(1), 300))
        found = skim.skim({"gg": [empty, some]}, tmp_path / "out", BARE)
        assert found.files[0].output is None
        assert len(found.events()) == found.files[1].cutflow[-1].events

    def test_bad_input(self, tmp_path):
        content = rows(np.random.default_rng(1), 50)
        good = write(tmp_path / "good.root", content)
        less = write(tmp_path / "less.root", content, without=("scaleFactor_PILEUP",))
        other = write(
            tmp_path / "other.root", rows(np.random.default_rng(1), 50, "analysis"), "analysis"
        )
        zero = write(tmp_path / "zero.root", {**content, "SumWeights": np.zeros(50)})
        unknown = {**content, "channelNumber": np.full(50, 7, np.int32)}
        bare = write(tmp_path / "bare.root", unknown, without=("XSection",))
        for files, error, message in (
            ([good, less], ReadError, r"less\.root:mini: no branch 'scaleFactor_PILEUP'"),
            (
                [good, other],
                ValueError,
                r"other\.root is ATLAS analysis, but .*good\.root is ATLAS",
            ),
            ([good, zero], ValueError, r"zero\.root: sum_of_weights is 0, so its events have no"),
            ([good, bare], ValueError, r"bare\.root: cross_section is in neither"),
        ):
            with pytest.raises(error, match=message):
                skim.skim({"gg": files}, tmp_path / "out", BARE)
            assert list((tmp_path / "out").iterdir()) == []
        with pytest.raises(ValueError, match="luminosity must be above 0"):
            skim.skim({"gg": good}, tmp_path / "out", BARE, luminosity=-1)


REAL = {
    "nanoAOD_2015_CMS_Open_Data_ttbar": ("cutBased", {"exactly_two": False}),
    "coffea_nano_dy": ("cutBased", {}),
    "atlas_PHYSLITE_mc700322_100ev": (
        "DFCommonPhotonsIsEMTight", {"exactly_two": False, "isolation": {"topoetcone20": 0.9}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_photons(real_data, tmp_path, name):
    """The same selection on NanoAOD and PHYSLITE, whose photons are not sorted, nor have E."""
    path = real_data / f"{name}.root"
    column, changes = REAL[name]
    cuts = selection_of("slides", {
        "trigger": None, "good_pt": 3.0, "min_pt": (5.0, 3.0), "min_pt_over_mass": (0.0, 0.0),
        "mass": (0.0, 500.0), **changes,
    })  # fmt: skip
    found = skim.skim({"data": path}, tmp_path / "out", cuts, batch_size=33)
    (batch,) = fj.iterate(path, ["Photon_*"], step=10**6)
    photons = [
        [dict(zip(batch.Photon.columns, row, strict=True)) for row in zip(*event, strict=True)]
        for event in zip(
            *(np.split(batch.Photon[c], batch.Photon.offsets[1:-1]) for c in batch.Photon.columns),
            strict=True,
        )
    ]
    passed = by_hand(cuts, photons, [True] * len(batch), column)
    if not passed:
        assert found.empty == ("data",)
        return
    events = found.events()
    np.testing.assert_allclose(events.flat["m_yy"], [m for _, m in passed], rtol=1e-5)
    pairs = events.particles["photon"]
    np.testing.assert_allclose(pairs["E"], pairs["pt"] * np.cosh(pairs["eta"]), rtol=1e-5)
