"""Configuration and first stage of the dimuon search: what is read, kept and written."""

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from search_samples import prepared

from fastjag import toys
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.io.files import ReadError
from fastjag.statistics import Window

TOML = """
seed = 3
[input]
files = ["toys.root"]
[analysis_keywords]
name = "upsilon_iso"
particle = "upsilon"
[analysis_keywords.analysis_cuts.lower]
mu0_iso04 = 0.55
mu0_pt = 17
HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx = 1
[analysis_keywords.analysis_cuts.upper]
mu1_pt = 40
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
mix_2 = ["dimu_pt", "mu0_ip3d", "mu1_ip3d", "dimu_mass"]
"""


def configured(folder, text=TOML, name="search.toml"):
    (folder / name).write_text(text)
    return DimuonConfig.read(folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dimuon")
    toys.write(path / "toys.root", 4_000, seed=1)
    return path


def write_tree(path, branches):
    with uproot.recreate(path) as file:
        file.mktree("Events", {name: values.type for name, values in branches.items()})
        file["Events"].extend(branches)


class TestConfig:
    def test_toml_and_yaml_are_one(self, tmp_path):
        yaml = pytest.importorskip("yaml")
        import tomllib

        (tmp_path / "search.yaml").write_text(yaml.safe_dump(tomllib.loads(TOML)))
        assert DimuonConfig.read(tmp_path / "search.yaml") == configured(tmp_path)

    def test_what_it_says(self, tmp_path):
        config = configured(tmp_path)
        assert config.features == ("dimu_pt", "mu0_ip3d", "mu1_ip3d")
        assert config.files == (str(tmp_path / "toys.root"),)
        assert (config.window.sr_left, config.window.sr_edges) == (9, 12)
        assert config.lower["mu0_iso04"] == 0.55
        assert config.upper == {"mu1_pt": 40}
        assert config.seed == 3

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("mu0_iso04 = 0.55", "mu0_isoo4 = 1", "lower: no column 'mu0_isoo4': did you mean 'mu0_iso04'"),
            ("[feature_sets]", "[feature_set]", "unknown key: 'feature_set': did you mean 'feature_sets'"),
            ('"dimu_pt", ', '"dimu_pT2", ', "no column 'dimu_pT2': did you mean"),
            ("SR_left = 9", "SR_lef = 9", "unknown key in window_definitions.upsilon: 'SR_lef'"),
            ("SR_left = 9, ", "", "window_definitions.upsilon lacks SR_left"),
            ("SR_left = 9", "SR_left = 12", "sb_left < sr_left"),
            ("SR_left = 9", "SR_left = 'a'", "upsilon.SR_left must be a number, got 'a'"),
            ('particle = "upsilon"', 'particle = "eta"', "no window for particle 'eta'"),
            ('files = ["toys.root"]', "", "input.files must name at least one file"),
            ("seed = 3", "seed = -1", "seed must be an integer >= 0, got -1"),
            ("analysis_cuts.upper", "analysis_cuts.upp", "unknown key in analysis_cuts: 'upp'"),
            ('"mu0_ip3d", "mu1_ip3d"', '"mu0_ip3d", "mu0_ip3d"', "features must be different"),
            ("[input]", "[input", "Expected|Invalid"),
            ("[input]", "[input]\nrequire_jet = 'false'", "require_jet must be true or false, got 'false'"),
        ],
    )  # fmt: skip
    def test_errors_name_file_and_key(self, tmp_path, old, new, message):
        assert old in TOML
        with pytest.raises(ValueError, match=f"search.toml: .*({message})"):
            configured(tmp_path, TOML.replace(old, new))

    def test_suffix(self, tmp_path):
        with pytest.raises(
            ValueError,
            match=r"search.json: a configuration must be a file of type \.toml or \.yaml",
        ):
            configured(tmp_path, name="search.json")


def test_same_as_awkward(folder, tmp_path):
    """Every selection and column again, event by event, with uproot, awkward and NumPy."""
    config = configured(folder)
    done = prepared(config, tmp_path, step=900)
    events = uproot.open(folder / "toys.root")["Events"].arrays(
        filter_name=["Muon_*", "Jet_*", "HLT_*"]
    )
    expected = {"OS": [], "SS": []}
    for e in events:
        good = [i for i in range(len(e.Muon_pt)) if e.Muon_tightId[i]]
        if len(good) < 2:
            continue
        i, j = sorted(good, key=lambda k: -e.Muon_pt[k])[:2]
        if not (
            e.Muon_pfRelIso04_all[i] >= 0.55 and e.Muon_pt[i] >= 17 and e.Muon_pt[j] <= 40
            and e.HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx
        ):  # fmt: skip
            continue
        charge = e.Muon_charge[i] + e.Muon_charge[j]
        row = (e.Muon_pt[i], e.Muon_pt[j], e.Muon_ip3d[i], e.Muon_eta[j], len(good), len(e.Jet_pt),
               e.Jet_pt[0] if len(e.Jet_pt) else np.nan, e.HLT_DoubleMu0)  # fmt: skip
        expected["OS" if charge == 0 else "SS"].append(row)
    names = ["mu0_pt", "mu1_pt", "mu0_ip3d", "mu1_eta", "n_muons", "n_jets", "hardest_jet_pt",
             "HLT_DoubleMu0"]  # fmt: skip
    for charge_class, rows in expected.items():
        table = pq.read_table(tmp_path / "prepare" / f"{charge_class}.parquet")
        assert table.num_rows == len(rows) == done["cutflow"][f"{charge_class} pairs"] > 20
        for name, column in zip(names, zip(*rows, strict=True), strict=True):
            np.testing.assert_array_equal(table[name].to_numpy(), np.array(column), err_msg=name)
    assert done["cutflow"]["events read"] == 4_000
    assert done["absent_branches"] == []


def test_jets_and_luminosity(folder, tmp_path):
    """A jet is asked for, and only some luminosity sections are good."""
    arrays = uproot.open(folder / "toys.root")["Events"].arrays(
        ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "Muon_tightId", "Jet_pt", "Jet_eta",
         "Jet_phi"], entry_stop=2000, how=dict,
    )  # fmt: skip
    lumi = np.arange(2000) // 100
    muons = {k[5:]: v for k, v in arrays.items() if k.startswith("Muon_")}
    jets = {k[4:]: v for k, v in arrays.items() if k.startswith("Jet_")}
    write_tree(tmp_path / "a.root", {
        "Muon": ak.zip(muons), "Jet": ak.zip(jets), "run": ak.Array(np.full(2000, 7, np.uint32)),
        "luminosityBlock": ak.Array(lumi.astype(np.uint32)),
    })  # fmt: skip
    (tmp_path / "golden.json").write_text('{"7": [[3, 4]]}')
    text = TOML.replace(
        'files = ["toys.root"]', 'files = "a.root"\ngolden_json = "golden.json"\nrequire_jet = true'
    )
    text = text.replace(
        "mu0_iso04 = 0.55\nmu0_pt = 17\nHLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx = 1", ""
    )
    done = prepared(configured(tmp_path, text), tmp_path / "out")
    assert done["cutflow"]["certified"] == 200
    with_jet = ak.to_numpy(ak.num(arrays["Jet_pt"])) >= 1
    tight = ak.to_numpy(ak.sum(arrays["Muon_tightId"], axis=1)) >= 2
    expected = (with_jet & tight & np.isin(lumi, [3, 4])).sum()
    assert done["cutflow"]["a jet"] == expected
    table = pq.read_table(tmp_path / "out" / "prepare" / "OS.parquet")
    assert np.isnan(table["mu0_ip3d"].to_numpy()).all()  # not in the file
    delta_r = table["dimujet_deltaR"].to_numpy()
    assert ((delta_r >= 0) & (delta_r < 12)).all()
    assert not table["HLT_Mu17_Mu8"].to_numpy().any()


def events_of(folder, *prefixes, stop=400):
    """Collections and triggers of the toys, as write_tree takes them."""
    e = uproot.open(folder / "toys.root")["Events"].arrays(entry_stop=stop)
    jagged = {}
    for name in e.fields:
        prefix, _, field = name.partition("_")
        if prefix in prefixes:
            jagged.setdefault(prefix, {})[field] = e[name]
    return {prefix: ak.zip(fields) for prefix, fields in jagged.items()}


def of_files(config, *paths, **changes):
    return DimuonConfig(**{**vars(config), "files": tuple(map(str, paths)), **changes})


def test_absent_triggers_are_false(folder, tmp_path):
    write_tree(tmp_path / "a.root", events_of(folder, "Muon"))
    config = of_files(configured(folder), tmp_path / "a.root")
    asked = r"HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx >= 1 0"
    with pytest.raises(ValueError, match=f"no event passes all cuts: .*{asked}"):
        prepared(config, tmp_path / "out")
    assert not (tmp_path / "out" / "prepare").exists()


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_misspelt_trigger(folder, tmp_path, side):
    """As a veto (upper) it would be no cut at all."""
    wrong, right = "HLT_Mu17_Mu8_DZx", "HLT_Mu17_Mu8_DZ"
    config = of_files(configured(folder), folder / "toys.root", lower={}, upper={})
    config = DimuonConfig(**{**vars(config), side: {wrong: 0.0}})
    message = rf"no file has the trigger {wrong}, .*did you mean .*'{right}'.*toys.root"
    with pytest.raises(ReadError, match=message):
        prepared(config, tmp_path / "out")
    assert not (tmp_path / "out" / "prepare").exists()
    # One that only the file knows, and that is not among those of 2016.
    tree = events_of(folder, "Muon") | {"HLT_IsoMu24_v7": ak.Array(np.ones(400, bool))}
    write_tree(tmp_path / "a.root", tree)
    config = of_files(config, tmp_path / "a.root", lower={"HLT_IsoMu24_v8": 1.0}, upper={})
    with pytest.raises(ReadError, match="did you mean 'HLT_IsoMu24_v7'"):
        prepared(config, tmp_path / "out")
    config = of_files(config, tmp_path / "a.root", lower={"HLT_IsoMu24_v7": 1.0})
    assert prepared(config, tmp_path / "out")["cutflow"]["OS pairs"] > 10


@pytest.mark.parametrize("first", [0, 1])
def test_files_with_different_branches(folder, tmp_path, first):
    """In any order: columns are NaN where a file has no branches for them."""
    tree = events_of(folder, "Muon", "Jet")
    write_tree(tmp_path / "a.root", tree)
    write_tree(tmp_path / "b.root", {"Muon": tree["Muon"]})
    write_tree(tmp_path / "c.root", {"Muon": tree["Muon"], "Jet": tree["Jet"][["pt", "mass"]]})
    files = [tmp_path / f"{name}.root" for name in "abc"]
    config = of_files(configured(folder), *files, lower={}, upper={})
    config = of_files(config, *(files if first == 0 else files[::-1]))
    done = prepared(config, tmp_path / "ordered")
    table = pq.read_table(tmp_path / "ordered" / "prepare" / "OS.parquet")
    columns = {n: np.asarray(table[n]) for n in table.column_names}
    n = len(columns["dimu_mass"]) // 3
    parts = [{k: v[i * n : (i + 1) * n] for k, v in columns.items()} for i in range(3)]
    both, muons, some = parts if first == 0 else parts[::-1]
    for name in ("dimu_mass", "mu0_pt"):
        np.testing.assert_array_equal(both[name], muons[name])
    has_jet = both["n_jets"] > 0
    assert has_jet.any()
    assert (muons["n_jets"] == 0).all()
    np.testing.assert_array_equal(some["n_jets"], both["n_jets"])
    np.testing.assert_array_equal(some["hardest_jet_pt"], both["hardest_jet_pt"])
    for name in ("eta", "phi", "pt"):
        assert np.isfinite(both[f"hardest_jet_{name}"][has_jet]).all()
        assert np.isnan(muons[f"hardest_jet_{name}"]).all()
    for part in (muons, some):
        assert np.isnan(part["dimujet_deltaR"]).all()
    assert np.isfinite(both["dimujet_deltaR"][has_jet]).all()
    assert done["absent_branches"] == []
    # A cut on what some files lack keeps nothing of them, and says so.
    done = prepared(
        of_files(config, *config.files, lower={"dimujet_deltaR": 0.0}), tmp_path / "cut"
    )
    assert done["absent_branches"] == ["Jet_eta", "Jet_phi"]
    assert done["cutflow"]["OS pairs"] == has_jet.sum()


def test_cut_on_a_column_that_the_file_has_not(folder, tmp_path):
    tree = events_of(folder, "Muon", stop=50)
    tree["Muon"] = tree["Muon"][["pt", "eta", "phi", "charge", "tightId"]]
    write_tree(tmp_path / "b.root", tree)
    for name, branches in (("dimujet_deltaR", "Jet_eta, Jet_phi"), ("n_jets", "Jet_pt"),
                           ("mu1_iso04", "Muon_pfRelIso04_all"),
                           ("hardest_jet_btag", "Jet_btagDeepB")):  # fmt: skip
        config = of_files(configured(folder), tmp_path / "b.root", lower={}, upper={name: 1.0})
        message = f"the cut on {name} needs {branches}, which no file has .*b.root"
        with pytest.raises(ReadError, match=message):
            prepared(config, tmp_path / "out")


def test_real_nanoaod(real_data, tmp_path):
    """40 events of DoubleMuon 2018: the pairs are those of a plain loop."""
    text = TOML.replace(
        "mu0_iso04 = 0.55\nmu0_pt = 17\nHLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx = 1", ""
    )
    config = configured(tmp_path, text.replace("mu1_pt = 40", ""))
    config = DimuonConfig(
        **{**vars(config), "files": (str(real_data / "coffea_nano_dimuon.root"),)}
    )
    done = prepared(config, tmp_path / "out")
    e = uproot.open(real_data / "coffea_nano_dimuon.root")["Events"].arrays(
        ["Muon_tightId", "Muon_charge"]
    )
    good = ak.num(e.Muon_charge[e.Muon_tightId]) >= 2
    assert done["cutflow"]["two tightId muons"] == ak.sum(good)
    charge = e.Muon_charge[e.Muon_tightId][good]
    opposite = ak.sum(charge[:, 0] + charge[:, 1] == 0)
    assert done["cutflow"]["OS pairs"] == opposite
    table = pq.read_table(tmp_path / "out" / "prepare" / "OS.parquet")
    assert table["mu0_jetiso"].null_count == 0
    assert np.isfinite(table["dimujet_deltaR"].to_numpy()[table["n_jets"].to_numpy() > 0]).all()


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_data_without_the_identification(real_data, tmp_path, on_error):
    """CMS open data of 2012 have no Muon_tightId: the error says how to ask for none."""
    config = DimuonConfig(
        name="real",
        files=(str(real_data / "agc_open-data-example.root"),),
        window=Window(5, 9, 10.6, 16),
        features=("dimu_pt",),
    )
    with pytest.raises(
        (OSError, ValueError), match=r"Muon_tightId.* input.muon_id = 'any' for no id"
    ):
        prepared(config, tmp_path / "out", on_error=on_error)
    assert not list(tmp_path.glob("out/prepare/*.parquet"))
