"""The configuration of photon+jet: errors that name file, key and what is accepted."""

from pathlib import Path

import pytest

from fastjag.analyses.common.config import markdown
from fastjag.analyses.gammajet.config import GammaJetConfig, PhotonJetSelection

TOML = """\
luminosity = 1000.0
pt_edges = [200, 230, 300]
[selection]
min_delta_phi = 2.7
[[samples]]
name = "data"
files = "data.root"
[[samples]]
name = "GJets"
kind = "gjets"
cross_section = 90.0
files = ["a.root", "/b.root", "root://server//c.root"]
[[samples]]
name = "QCD"
kind = "qcd"
cross_section = 100.0  # pb
files = "qcd.root"
"""
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

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("min_delta_phi", "min_dphi", "unknown key in selection: 'min_dphi'.*min_delta_phi"),
            ("min_delta_phi = 2.7", "min_delta_phi = 'wide'", "selection.min_delta_phi must be a number"),
            ('kind = "qcd"', 'kind = "qdc"', r"samples\[2\].kind must be .*got 'qdc'"),
            ('name = "QCD"', 'name = "data"', "different names"),
            ("cross_section = 100.0  # pb", "k_factor = 2", r"samples\[2\]: simulation .QCD. needs a cross_section"),
            ("luminosity", "lumi", "unknown key: 'lumi'.*luminosity"),
            ("[200, 230,", "[200, 200,", "pt_edges must be two or more rising"),
            ("[selection]", "[selection", "gammajet.toml: "),
        ],
    )  # fmt: skip
    def test_mistakes(self, tmp_path, old, new, message):
        assert old in TOML
        (tmp_path / "gammajet.toml").write_text(TOML.replace(old, new))
        with pytest.raises(ValueError, match=message):
            GammaJetConfig.read(tmp_path / "gammajet.toml")

    def test_what_it_says(self, tmp_path):
        (tmp_path / "c.toml").write_text(TOML)
        config = GammaJetConfig.read(tmp_path / "c.toml")
        data, gjets, _ = config.samples
        assert gjets.files == (f"{tmp_path}/a.root", "/b.root", "root://server//c.root")
        assert (data.kind, data.cross_section, gjets.cross_section) == ("data", 1.0, 90.0)
        assert config.pt_edges == (200.0, 230.0, 300.0)
        assert config.selection == PhotonJetSelection(min_delta_phi=2.7)

    def test_documented(self):
        page = (Path(__file__).parents[3] / "docs" / "gammajet.md").read_text()
        assert markdown(GammaJetConfig) in page
