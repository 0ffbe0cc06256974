"""Configurations: the sample's, and mistakes that are named."""

from pathlib import Path

import pytest
from diphoton_files import SMALL

from fastjag.analyses.common.config import markdown
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.toys import SAMPLE


class TestConfig:
    def test_sample(self):
        config = DiphotonConfig.read(SAMPLE)
        assert list(config.classes) == ["ggF", "VBF", "WH", "ZH", "ttH"]
        assert list(config.background) == ["yy"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[features]", "[feature]", "unknown key: 'feature': did you mean 'features'"),
            ("folds = 2", "fold = 2", "unknown key in models: 'fold': did you mean 'folds'"),
            ("folds = 2", "folds = 1", "models.folds must be an integer >= 2, got 1"),
            ('"random forest"', '"random forrest"', "did you mean 'random forest'"),
            ("fast = true", 'fast = "yes"', "models.fast must be true or false"),
            ("yy =", "ttH =", "'ttH' is both a class and a background"),
            ("[models]", '[selection]\npreset = "slide"\n[models]', "did you mean 'slides'"),
            ("[models]", "[selection.cuts]\nmin_pts = [1, 1]\n[models]", "did you mean 'min_pt'"),
            ("[models]", "[selection]\nluminosity = -1\n[models]", "luminosity must be a number"),
            ("[models]", '[fit]\nsignal = "gauss"\n[models]', "fit.signal must be 'gaussian'"),
            (
                "[models]",
                "[samples]\ncorrect = 1\n[models]",
                "samples.correct must be true or false",
            ),
            ("[models]", "[samples]\ntable = 1\n[models]", "samples.table must be the name of a"),
            ("[models]", '[samples]\ntable = "no.toml"\n[models]', "samples.table: .*no.toml"),
            ("[models]", '[samples]\ntable = "own.toml"\n[models]', "no class: did you mean 'VBF'"),
            ("[classes]", "[classes", "small.toml: .*line 3"),
        ],
    )
    def test_mistakes(self, tmp_path, old, new, message):
        (tmp_path / "own.toml").write_text("[VBFH]\nk_factor = 2\n")
        path = tmp_path / "small.toml"
        path.write_text(SMALL.format(folder="x").replace(old, new, 1))
        with pytest.raises(ValueError, match=message):
            DiphotonConfig.read(path)

    def test_one_class(self, tmp_path):
        (tmp_path / "a.toml").write_text('[classes]\nggF = "a.root"\n')
        with pytest.raises(ValueError, match=r"a\.toml: classes must name at least two"):
            DiphotonConfig.read(tmp_path / "a.toml")


def test_documentation_is_that_of_the_code():
    page = Path(__file__).parents[3] / "docs" / "diphoton.md"
    assert markdown(DiphotonConfig) in page.read_text()


def test_what_is_recorded_is_flat():
    """Results and markers of stages hold settings side by side."""
    config = DiphotonConfig(
        classes={"a": ["a.root"], "b": ["b.root"]}, selection={"cuts": {"min_pt": [40, 30]}},
        fit={"degree": 2, "signal": "gaussian"},
    )  # fmt: skip
    recorded = config.recorded()
    assert recorded["selection"] == "slides"
    assert recorded["cuts"] == {"min_pt": [40, 30]}
    assert recorded["fit"] == {"degree": 2}  # what is not default
    assert recorded["models"][0] == "random forest"
    assert {"luminosity", "samples", "features", "most_events"} <= {
        key for key, value in recorded.items() if value is None
    }
