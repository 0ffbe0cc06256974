"""Photon+jet: identification of jets, the veto of electrons, and what configurations accept."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from gammajet_samples import selected

import fastjag as fj
from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import PhotonJetSelection
from fastjag.analyses.gammajet.jetid import CHOICES, COLUMNS, tight_jets
from fastjag.analyses.gammajet.selection import MET_FILTERS, columns_of, select_events
from fastjag.io import Batch, Source, write_events
from fastjag.io.files import ReadError
from fastjag.jagged import Jagged

GOOD = {"neHEF": 0.2, "neEmEF": 0.2, "chHEF": 0.5, "chMultiplicity": 20, "neMultiplicity": 20}
FLOATS = ("neHEF", "neEmEF", "chHEF")


def batch_of(jets, run=1, lacking=()):
    """A batch of one event with these jets: dicts of eta and what differs from a good jet."""
    columns = {
        name: np.array([{**GOOD, **jet}[name] for jet in jets],
                       np.float32 if name in (*FLOATS, "eta") else np.uint8)
        for name in ("eta", *GOOD)
    }  # fmt: skip
    if "jetId" in jets[0]:
        columns["jetId"] = np.array([jet["jetId"] for jet in jets], np.uint8)
    columns = {name: values for name, values in columns.items() if name not in lacking}
    return Batch(
        {"Jet": Jagged([0, len(jets)], columns)}, {"run": np.array([run], np.uint32)},
        Source("a.root", "Events", 0, 1),
    )  # fmt: skip


def above(x):
    return float(np.nextafter(np.float32(x), np.float32(9)))


# What just fails, and what just passes, by recipe and region: JetID13p6TeV and JetID13TeVUL.
BORDERS = [
    ("Run3", 2.6, "neHEF", 0.99, 0.989), ("Run3", 2.6, "neEmEF", 0.91, 0.89),
    ("Run3", -2.6, "chHEF", 0.0099, above(0.01)), ("Run3", 0.0, "chMultiplicity", 0, 1),
    ("Run3", above(2.6), "neHEF", 0.91, 0.89), ("Run3", -2.69, "neEmEF", 0.991, 0.989),
    ("Run3", above(2.7), "neHEF", 0.991, 0.989), ("Run3", 3.0, "neHEF", 1.0, 0.5),
    ("Run3", above(3.0), "neEmEF", 0.41, 0.39), ("Run3", -4.9, "neMultiplicity", 1, 2),
    ("Run2UL", 2.6, "neHEF", 0.91, 0.89), ("Run2UL", -1.0, "neEmEF", 0.91, 0.89),
    ("Run2UL", 2.0, "chHEF", 0.0, 0.001), ("Run2UL", 2.0, "chMultiplicity", 0, 1),
    ("Run2UL", 2.65, "neHEF", 0.91, 0.89), ("Run2UL", 2.65, "neEmEF", 0.991, 0.989),
    ("Run2UL", 2.9, "neHEF", 1.0, 0.9998), ("Run2UL", 3.1, "neEmEF", 0.91, 0.89),
    ("Run2UL", -3.1, "neMultiplicity", 2, 3),
    ("Run2UL16", 2.39, "neHEF", 0.91, 0.89), ("Run2UL16", -2.39, "chHEF", 0.0, 0.001),
    ("Run2UL16", above(2.4), "neHEF", 0.981, 0.979), ("Run2UL16", 2.69, "neEmEF", 0.991, 0.989),
    ("Run2UL16", -2.9, "neMultiplicity", 1, 2), ("Run2UL16", 3.1, "neMultiplicity", 2, 3),
    ("Run2UL16", 3.1, "neEmEF", 0.91, 0.89),
]  # fmt: skip


class TestJetId:
    @pytest.mark.parametrize(("recipe", "eta", "column", "fails", "passes"), BORDERS)
    def test_borders(self, recipe, eta, column, fails, passes):
        jets = [{"eta": eta}, {"eta": eta, column: fails}, {"eta": eta, column: passes}]
        assert tight_jets(batch_of(jets), recipe).tolist() == [True, False, True]

    @pytest.mark.parametrize("recipe", ["Run3", "Run2UL", "Run2UL16"])
    def test_multiplicities_are_bytes(self, recipe):
        """200 + 57 constituents are not one; a single charged one is too few."""
        jets = [{"eta": 1.0, "chMultiplicity": 200, "neMultiplicity": 57},
                {"eta": 1.0, "chMultiplicity": 1, "neMultiplicity": 0}]  # fmt: skip
        assert tight_jets(batch_of(jets), recipe).tolist() == [True, False]

    @pytest.mark.parametrize("recipe", ["Run3", "Run2UL", "Run2UL16"])
    def test_fractions_that_are_not_numbers_fail(self, recipe):
        jets = [{"eta": 1.0, "neHEF": np.nan}, {"eta": np.nan}]
        assert not tight_jets(batch_of(jets), recipe).any()

    def test_stored(self):
        """Bit 1; v12 left out cuts beyond 2.7, which only "stored-v12" makes."""
        jets = [{"eta": eta, "jetId": jet_id, "neHEF": nhf, "neEmEF": nef}
                for eta, jet_id, nhf, nef in ((0, 2, 1, 0), (0, 6, 0, 1), (0, 4, 0, 0), (0, 1, 0, 0),
                                              (2.8, 6, 0.991, 0), (2.8, 6, 0.989, 1),
                                              (3.1, 6, 1, 0.41), (-3.1, 6, 1, 0.39),
                                              (3.1, 4, 0, 0))]  # fmt: skip
        stored = [True, True, False, False, True, True, True, True, False]
        for choice in ("auto", "stored"):
            assert tight_jets(batch_of(jets), choice).tolist() == stored
        fixed = [True, True, False, False, False, True, False, True, False]
        assert tight_jets(batch_of(jets), "stored-v12").tolist() == fixed
        # Nothing but the bit is needed where nothing else is asked for.
        assert tight_jets(batch_of(jets, lacking=tuple(GOOD)), "stored").tolist() == stored

    @pytest.mark.parametrize("run", [1, 355_100, 386_000])
    def test_auto_without_a_stored_one_is_run_3(self, run):
        jets = [{"eta": 1.0, "neHEF": 0.95}, {"eta": 1.0, "neHEF": 0.992}]
        assert tight_jets(batch_of(jets, run)).tolist() == [True, False]

    def test_errors(self):
        jets = [{"eta": 1.0}]
        for run in (2, 278_820, 325_175):
            with pytest.raises(ReadError, match=r"a.root.*: Run 2 .*'Run2UL16' .*'Run2UL'"):
                tight_jets(batch_of(jets, run))
        with pytest.raises(ReadError, match=r"Jet_chHEF, Jet_neMultiplicity, .*'Run3' needs"):
            tight_jets(batch_of(jets, lacking=("chHEF", "neMultiplicity")))
        with pytest.raises(ReadError, match=r"Jet_jetId, which .*'stored' needs"):
            tight_jets(batch_of(jets), "stored")
        with pytest.raises(ValueError, match=r"jet_id must be 'auto' or 'stored'"):
            PhotonJetSelection(jet_id="tight")

    def test_v15(self, tmp_path):
        """A file without Jet_jetId gives the events of the same file with it."""
        toys.write(tmp_path / "v9.root", 300, seed=5)
        v15 = rewritten(tmp_path / "v9.root", tmp_path / "v15.root", drop=["jetId"],
                        Jet={name: np.full(900, GOOD[name], np.float32 if name in FLOATS else np.uint8)
                             for name in GOOD})  # fmt: skip
        (old, old_cuts), (new, new_cuts) = (
            selected(path, PhotonJetSelection()) for path in (tmp_path / "v9.root", v15)
        )
        assert old_cuts == new_cuts
        assert old_cuts["a tight jet"] == 300
        for name in old:
            np.testing.assert_array_equal(old[name], new[name])


def rewritten(path, to, drop=(), **added):
    """The events of a file of toys, without columns of jets and photons, with others."""
    with uproot.open(path) as file:
        a = file["Events"].arrays()
    kinds = ("Photon", "Jet", "Muon", "Electron")
    events = {}
    for kind in kinds:
        names = [n for n in a.fields if n.startswith(f"{kind}_")]
        jagged = Jagged.from_awkward(a[names])
        columns = {n.removeprefix(f"{kind}_"): jagged[n] for n in names}
        columns = {n: v for n, v in columns.items() if n not in drop} | added.get(kind, {})
        events[kind] = Jagged(jagged.offsets, columns)
    flat = [n for n in a.fields if not n.startswith(kinds) and n[1:] not in kinds]
    return write_events(to, [events | {n: np.asarray(a[n]) for n in flat}])


class TestPhotonVeto:
    def test_electrons_are_no_photons(self, tmp_path):
        toys.write(tmp_path / "t.root", 200, seed=1)
        rng = np.random.default_rng(3)
        veto, seed = rng.random(200) < 0.7, rng.random(200) < 0.4
        path = rewritten(tmp_path / "t.root", tmp_path / "e.root",
                         Photon={"electronVeto": veto, "pixelSeed": seed})  # fmt: skip
        for choice, expected in (("electronVeto", veto.sum()), ("pixelSeed", (~seed).sum()),
                                 ("none", 200)):  # fmt: skip
            _, cutflow = selected(path, PhotonJetSelection(photon_veto=choice))
            assert cutflow["exactly one tight photon"] == expected

    def test_errors(self, tmp_path):
        toys.write(tmp_path / "t.root", 20)
        path = rewritten(tmp_path / "t.root", tmp_path / "e.root", drop=["electronVeto"])
        with pytest.raises(ReadError, match="no branch 'Photon_electronVeto'"):
            selected(path, PhotonJetSelection())
        assert selected(path, PhotonJetSelection(photon_veto="none"))[1]["a tight jet"] == 20
        with pytest.raises(ValueError, match=r"photon_veto must be 'electronVeto' or"):
            PhotonJetSelection(photon_veto="conversion")


class TestBits:
    def test_numbers_are_no_bits(self, tmp_path):
        toys.write(tmp_path / "t.root", 20)
        for name in ("MET_pt", "event"):
            with pytest.raises(ReadError, match=rf"t.root.*: {name} is no bit: "):
                selected(tmp_path / "t.root", PhotonJetSelection(trigger=name))
        with pytest.raises(ReadError, match=r"t.root.*: Photon_pt is no bit: it has a list"):
            selected(tmp_path / "t.root", PhotonJetSelection(trigger="Photon_pt"))
        path = rewritten(tmp_path / "t.root", tmp_path / "e.root",
                         Photon={"electronVeto": np.full(20, 2, np.uint8)})  # fmt: skip
        with pytest.raises(ReadError, match="Photon_electronVeto is no bit: uint8 up to 2"):
            selected(path, PhotonJetSelection())

    def test_every_recipe_is_a_choice(self):
        assert {"auto", "stored", "Run3", "Run2UL", "Run2UL16", "stored-v12"} == set(CHOICES)
        assert set(COLUMNS) == {"run", "Jet_jetId", *(f"Jet_{name}" for name in GOOD)}


def by_awkward(events, selection):
    """The same selection, written event by event from what uproot reads."""
    rows = []
    for e in events:
        if not all(e[f] for f in MET_FILTERS if f in events.fields):
            continue
        if "Photon_cutBased" in events.fields:
            tight = ak.to_numpy(e["Photon_cutBased"]) >= 3
        else:
            tight = (ak.to_numpy(e["Photon_cutBasedBitmap"]) & 4) != 0
        good = [
            i for i in range(len(tight))
            if tight[i] and (selection.photon_veto == "none" or e["Photon_electronVeto"][i])
            and e["Photon_pt"][i] > selection.photon_pt
            and abs(e["Photon_eta"][i]) < selection.photon_abs_eta
        ]  # fmt: skip
        leptons = sum(
            m and pt > selection.lepton_pt
            for m, pt in zip(e["Muon_looseId"], e["Muon_pt"], strict=True)
        )
        leptons += sum(c >= 2 and pt > selection.lepton_pt
                       for c, pt in zip(e["Electron_cutBased"], e["Electron_pt"], strict=True))  # fmt: skip
        if len(good) != 1 or leptons:
            continue
        own = e["Photon_jetIdx"][good[0]]
        jets = [j for j in range(len(e["Jet_pt"])) if j != own]
        leading = [
            j for j in jets
            if e["Jet_jetId"][j] & 2 and e["Jet_pt"][j] > selection.jet_pt
            and abs(e["Jet_eta"][j]) < selection.jet_abs_eta
        ]  # fmt: skip
        if not leading:
            continue
        first = max(leading, key=lambda j: e["Jet_pt"][j])
        second = [e["Jet_pt"][j] for j in jets if j != first and e["Jet_pt"][j] > 15]
        pt, phi = e["Photon_pt"][good[0]], e["Photon_phi"][good[0]]
        along = e["MET_pt"] * np.cos(e["MET_phi"]) * pt * np.cos(phi)
        along += e["MET_pt"] * np.sin(e["MET_phi"]) * pt * np.sin(phi)
        rows.append((e["Jet_pt"][first] / pt, 1 + along / pt**2, max(second, default=0) / pt))
    return np.array(rows).reshape(-1, 3)


class TestSelection:
    @pytest.mark.parametrize(
        "name",
        ["coffea_nano_dy.root", "coffea_nano_dimuon.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"],
    )
    def test_real_files(self, real_data, name):
        needed, optional = columns_of(PhotonJetSelection())
        batches = list(fj.iterate(str(real_data / name), needed, optional=optional, step=37))
        kinds = ("Photon_", "Jet_", "Muon_", "Electron_", "MET_", "Flag_")
        events = uproot.open(real_data / name)["Events"].arrays(
            filter_name=[f"{kind}*" for kind in kinds]
        )
        # The files hold few photons: looser cuts make sure that something is compared.
        loose = PhotonJetSelection(photon_pt=5, photon_abs_eta=3, jet_pt=16, lepton_pt=1e9)
        for cuts in (PhotonJetSelection(), loose, replace(loose, photon_veto="none")):
            cutflow = {}
            parts = [select_events(batch, cuts, cutflow) for batch in batches]
            expected = by_awkward(events, cuts)
            assert cutflow["a tight jet"] == len(expected)
            found = np.stack(
                [np.concatenate([p[c] for p in parts]) for c in ("balance", "mpf", "alpha")], 1
            )
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        if "ttbar" in name:
            assert len(expected) >= 10

    def test_toys_come_through_the_file(self, tmp_path):
        drawn = toys.draw(500, response=0.97, seed=4)
        toys.write(tmp_path / "toys.root", 500, kind="qcd", response=0.97, seed=4)
        rows, cutflow = selected(tmp_path / "toys.root", PhotonJetSelection())
        assert cutflow["a tight jet"] == 500
        for name in ("balance", "mpf", "alpha", "delta_phi"):
            np.testing.assert_allclose(rows[name], drawn[name], rtol=2e-4, err_msg=name)
        np.testing.assert_allclose(rows["delta_r"], drawn["delta_r"], atol=2e-6)

    def test_photon_is_no_jet(self, tmp_path):
        rows, _ = selected(toys.write(tmp_path / "t.root", 100, seed=1), PhotonJetSelection())
        photons = uproot.open(tmp_path / "t.root")["Events"].arrays(["Photon_pt", "Jet_pt"])
        # With the photon's own jet (1.02 of its pt) the balance would never be below 1.02.
        assert (ak.max(photons.Jet_pt, axis=1) >= 1.01 * photons.Photon_pt[:, 0]).tolist() == [
            True
        ] * 100
        assert (rows["balance"] < 1).mean() > 0.5

    def test_cuts(self, tmp_path):
        toys.write(tmp_path / "t.root", 300, seed=2)
        _, cutflow = selected(
            tmp_path / "t.root", PhotonJetSelection(photon_pt=250, min_delta_phi=3.2)
        )
        photons = ak.flatten(uproot.open(tmp_path / "t.root")["Events"]["Photon_pt"].array())
        assert cutflow["exactly one tight photon"] == (ak.to_numpy(photons) > 250).sum()
        assert cutflow["delta_phi > 3.2"] == 0

    def test_missing_branches(self, tmp_path):
        toys.write(tmp_path / "t.root", 10)
        with pytest.raises(ReadError, match=r"t.root:Events: no branch 'HLT_Photon30EB'"):
            selected(tmp_path / "t.root", PhotonJetSelection(trigger="HLT_Photon30EB"))
        with pytest.raises(ReadError, match=r"no branch 'PuppiMET_pt'.*MET_pt"):
            selected(tmp_path / "t.root", PhotonJetSelection(met="PuppiMET"))
