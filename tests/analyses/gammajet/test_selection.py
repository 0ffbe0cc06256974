"""Photon+jet: identification of jets, the veto of electrons, and what configurations accept."""

import numpy as np
import pytest
import uproot
from gammajet_samples import selected

from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import GammaJetConfig, PhotonJetSelection
from fastjag.analyses.gammajet.jetid import CHOICES, COLUMNS, tight_jets
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


HEAD = 'name = "x"\n{top}\n[selection]\n{selection}\n[[samples]]\nname = "data"\n{sample}\n'


class TestConfiguration:
    @pytest.mark.parametrize(
        ("part", "text", "message"),
        [
            ("sample", "files = 5", r"samples\[0\].files must be a path or a list of them, got 5"),
            ("sample", 'files = ["a.root", 5]', r"samples\[0\].files must be a path or a list"),
            ("sample", 'files = [""]', r"samples\[0\].files must be a path or a list"),
            ("sample", 'files = {a = "b"}', r"samples\[0\].files must be a path or a list"),
            ("sample", "files = []", r"samples\[0\].files must be a path or a list of them, got \[\]"),
            ("sample", "", r"samples\[0\] lacks files"),
            ("sample", 'files = "a"\nk_factor = nan', r"samples\[0\].k_factor must be a number above 0, got nan"),
            ("sample", 'files = "a"\ncross_section = -1', r"samples\[0\].cross_section must be a number above 0"),
            ("sample", 'files = "a"\nsum_of_weights = inf', r"samples\[0\].sum_of_weights must be a number, got"),
            ("selection", "photon_pt = nan", r"selection.photon_pt must be a number"),
            ("selection", "jet_pt = -5", r"selection.jet_pt must be a number >= 0, got -5"),
            ("selection", "photon_pt = inf", r"selection.photon_pt must be a number >= 0, got inf"),
            ("selection", "jet_abs_eta = 0", r"selection.jet_abs_eta must be a number above 0"),
            ("selection", "trigger = 5", r"selection.trigger must name a branch, or be 'none', got 5"),
            ("selection", 'trigger = ""', r"selection.trigger must name a branch, or be 'none'"),
            ("selection", "met = true", r"selection.met must be a string, got True"),
            ("top", "luminosity = nan", r"luminosity must be a number above 0, got nan"),
            ("top", "luminosity = 0", r"luminosity must be a number above 0, got 0"),
            ("top", "max_alpha = -1", r"max_alpha must be a number above 0"),
            ("top", "pt_edges = 5", r"pt_edges must be two or more rising numbers, got 5"),
            ("top", "pt_edges = [1, nan, 3]", r"pt_edges must be two or more rising numbers, got nan in it"),
            ("top", "pt_edges = [1, inf]", r"pt_edges must be two or more rising numbers, got inf in it"),
            ("top", "alpha_edges = [1]", r"alpha_edges must be two or more rising numbers"),
            ("top", "alpha_edges = [1, 1]", r"alpha_edges must be two or more rising numbers"),
            ("top", "eta_ranges = [1, 2]", r"eta_ranges must be pairs \[low, high\], got 1 in it"),
            ("top", "eta_ranges = [[1, 1]]", r"eta_ranges must be pairs \[low, high\]"),
            ("top", "eta_ranges = [[1, 2, 3]]", r"eta_ranges must be pairs \[low, high\]"),
            ("top", "eta_ranges = []", r"eta_ranges must be pairs \[low, high\]"),
        ],
    )  # fmt: skip
    def test_nonsense(self, tmp_path, part, text, message):
        parts = {"top": "", "selection": "", "sample": 'files = "a.root"'} | {part: text}
        (tmp_path / "c.toml").write_text(HEAD.format(**parts))
        with pytest.raises(ValueError, match=rf"c.toml: {message}"):
            GammaJetConfig.read(tmp_path / "c.toml")

    def test_no_trigger(self, tmp_path):
        (tmp_path / "c.toml").write_text(
            HEAD.format(top="", selection='trigger = "none"', sample='files = "a.root"')
        )
        assert GammaJetConfig.read(tmp_path / "c.toml").selection.trigger is None

    def test_every_recipe_is_a_choice(self):
        assert {"auto", "stored", "Run3", "Run2UL", "Run2UL16", "stored-v12"} == set(CHOICES)
        assert set(COLUMNS) == {"run", "Jet_jetId", *(f"Jet_{name}" for name in GOOD)}
