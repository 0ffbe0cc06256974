"""Settings: every type of key, every range, and errors that name the key and what is accepted."""

from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from fastjag.analyses.common.config import show
from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.analyses.jets.config import TrackSelection
from fastjag.analyses.rates.config import RatesConfig
from fastjag.core.settings import File, Name, changed, keys_of, make, setting, settings, words


@settings
class Cuts:
    """Cuts."""

    pt: float = setting("Pt above this [GeV].", default=30.0, least=0)
    eta: float | None = setting("|eta| below this.", default=2.4, above=0, finite=False)
    mass: tuple[float, float] = setting("Interval [GeV].", default=(1, 2), least=0)

    def check(self):
        if not self.mass[0] < self.mass[1]:
            raise ValueError(f"mass must be an interval, got {self.mass}")
        if self.pt == 13:
            raise ValueError("nobody wants this")


@settings
class Study:
    """One of each type."""

    files: tuple[File, ...] = setting("Files.")
    name: Name = setting("Title.", default="study")
    golden: File | None = setting("Golden JSON.", default=None)
    seeds: tuple[int, ...] = setting("Seeds.", default=(1,), least=0, different=True)
    rates: tuple[float, ...] = setting("Rates.", default=(1, 0.1), above=0, most=1)
    share: float = setting("Share.", default=0.5, above=0, below=1)
    bins: int = setting("Bins.", default=3, least=1, most=10)
    fast: bool = setting("Whether to hurry.", default=False)
    charge: Literal["OS", "SS"] = setting("Charges.", default="OS")
    model: str = setting("Model.", default="mlp", one_of=("mlp", "trees"))
    branch: str | None = setting("Branch.", default="HLT", least=1, must="name a branch")
    labels: tuple[str, ...] = setting("Labels.", default=(), empty=True)
    isolation: dict[str, float] = setting("Ratios.", default_factory=dict, above=0)
    groups: dict[str, tuple[File, ...]] = setting("Files of groups.", default_factory=dict)
    options: dict[str, Any] = setting("Options.", default_factory=dict)
    cuts: Cuts = setting("Cuts.", default=Cuts())
    parts: tuple[Cuts, ...] = setting("Parts.", default=(), empty=True)
    windows: dict[str, Cuts] = setting("Windows.", default_factory=dict)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("files", "a.root", ("a.root",)),
        ("files", Path("a.root"), ("a.root",)),
        ("files", ["a.root", Path("b.root")], ("a.root", "b.root")),
        ("name", 2018, "2018"),
        ("name", "", ""),
        ("golden", "none", None),
        ("seeds", [3, np.int64(1)], (3, 1)),
        ("rates", [1], (1.0,)),
        ("share", np.float32(0.25), 0.25),
        ("bins", np.uint8(10), 10),
        ("fast", np.True_, True),
        ("charge", "SS", "SS"),
        ("model", "trees", "trees"),
        ("branch", "none", None),
        ("branch", None, None),
        ("labels", [], ()),
        ("isolation", {"a": 1}, {"a": 1.0}),
        ("groups", {"x": "a", "y": ["b", "c"]}, {"x": ("a",), "y": ("b", "c")}),
        ("options", {"deep": [1, {"x": None}]}, {"deep": [1, {"x": None}]}),
        ("cuts", {"pt": 2, "eta": float("inf")}, Cuts(pt=2.0, eta=np.inf)),
        ("cuts", {"eta": "none"}, Cuts(eta=None)),
        ("cuts", {"mass": [0, 5]}, Cuts(mass=(0.0, 5.0))),
        ("parts", [{"pt": 1}, Cuts()], (Cuts(pt=1.0), Cuts())),
        ("windows", {"Z": {"mass": [80, 100]}}, {"Z": Cuts(mass=(80.0, 100.0))}),
    ],
)
def test_accepted(key, value, expected):
    for study in (Study(**{"files": "x", key: value}), make(Study, {"files": "x", key: value})):
        found = getattr(study, key)
        assert found == expected
        assert type(found) is type(expected)
        assert repr(found) == repr(expected)  # also 1.0 for 1


@pytest.mark.parametrize(
    ("kind", "needed", "key"),
    [
        (ImportanceConfig, {"table": "t.csv", "label": "y"}, "weight"),
        (ImportanceConfig, {"table": "t.csv", "label": "y"}, "model"),
        (TrackSelection, {}, "weight"),
        (RatesConfig, {}, "golden"),
    ],
)
def test_names_of_columns_and_files_may_be_none(kind, needed, key):
    assert getattr(kind(**needed, **{key: "none"}), key) == "none"
    assert getattr(kind(**needed), key) is None
    assert f"# {key} =\n" in show(kind)


WRONG = [
    ("share", 10**400, "share must be a number above 0 and below 1, got 1000"),
    ("bins", 10**400, "bins must be an integer >= 1 and up to 10, got 1000"),
    ("files", 5, "files must be a list of files, got 5"),
    ("files", [], r"files must be a list of files, got \[\]"),
    ("files", ["a", ""], "files must be a list of files, got '' in it"),
    ("name", True, "name must be a string, got True"),
    ("golden", "", "golden must be a file, got ''"),
    ("seeds", 1, "seeds must be a list of different integers >= 0, got 1"),
    ("seeds", [1, 2.0], r"seeds must be a list of different integers >= 0, got 2\.0 in it"),
    ("seeds", [-1], "seeds must be a list of different integers >= 0, got -1 in it"),
    ("seeds", [2, 2], r"seeds must be a list of different integers >= 0, got \[2, 2\]"),
    ("rates", [0], "rates must be a list of numbers above 0 and up to 1, got 0 in it"),
    ("rates", [1.5], r"rates must be a list of numbers above 0 and up to 1, got 1\.5 in it"),
    ("rates", [np.nan], "rates must be a list of numbers above 0 and up to 1, got nan in it"),
    ("share", 1, "share must be a number above 0 and below 1, got 1"),
    ("share", 0, "share must be a number above 0 and below 1, got 0"),
    ("share", "1", "share must be a number above 0 and below 1, got '1'"),
    ("bins", 0, "bins must be an integer >= 1 and up to 10, got 0"),
    ("bins", 11, "bins must be an integer >= 1 and up to 10, got 11"),
    ("bins", 2.0, r"bins must be an integer >= 1 and up to 10, got 2\.0"),
    ("bins", True, "bins must be an integer >= 1 and up to 10, got True"),
    ("bins", None, "bins must be an integer >= 1 and up to 10, got None"),
    ("fast", 1, "fast must be true or false, got 1"),
    ("charge", "os", "charge must be 'OS' or 'SS', got 'os'"),
    ("charge", ["OS"], r"charge must be 'OS' or 'SS', got \['OS'\]"),
    ("model", "tree", "model must be 'mlp' or 'trees', got 'tree'"),
    ("branch", "", "branch must name a branch, got ''"),
    ("branch", 5, "branch must name a branch, got 5"),
    ("labels", ["a", 1], "labels must be a list of strings, got 1 in it"),
    ("isolation", 5, "isolation must be a table of keys and values, got 5"),
    ("isolation", {"x": 0}, r"isolation\.x must be a number above 0, got 0"),
    ("groups", {"x": 1}, r"groups\.x must be a list of files, got 1"),
    ("cuts", 5, "cuts must be a table of keys and values, got 5"),
    ("cuts", {"ptt": 5}, "unknown key in cuts: 'ptt': did you mean 'pt'"),
    ("cuts", {"pt": np.nan}, r"cuts\.pt must be a number >= 0, got nan"),
    ("cuts", {"pt": np.inf}, r"cuts\.pt must be a number >= 0, got inf"),
    ("cuts", {"eta": np.nan}, r"cuts\.eta must be a number above 0, got nan"),
    ("cuts", {"mass": [1]}, r"cuts\.mass must be two numbers >= 0, got \[1\]"),
    ("cuts", {"mass": [1, -1]}, r"cuts\.mass must be a number >= 0, got -1"),
    ("cuts", {"mass": [2, 1]}, r"cuts\.mass must be an interval, got \(2\.0, 1\.0\)"),
    ("cuts", {"pt": 13}, r"cuts: nobody wants this"),
    ("parts", [{}, {"pt": "x"}], r"parts\[1\]\.pt must be a number >= 0, got 'x'"),
    ("parts", [{}, {"p": 1}], r"unknown key in parts\[1\]: 'p'"),
    ("windows", {"Z": {"pt": -1}}, r"windows\.Z\.pt must be a number >= 0, got -1"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_refused(key, value, message):
    for made in (Study, lambda **given: make(Study, given)):
        with pytest.raises(ValueError, match=f"^{message}"):
            made(**{"files": "x", key: value})


def test_what_is_missing_or_unknown():
    with pytest.raises(ValueError, match=r"^the configuration lacks files$"):
        make(Study, {})
    with pytest.raises(ValueError, match=r"^study lacks files$"):
        make(Study, {}, where="study")
    with pytest.raises(ValueError, match=r"^unknown key: 'seed': did you mean 'seeds'"):
        make(Study, {"files": "a", "seed": 1})
    with pytest.raises(ValueError, match=r"^study must be a table of keys and values, got 3"):
        make(Study, 3, where="study")
    with pytest.raises(TypeError, match="files"):
        Study()
    with pytest.raises(TypeError, match="positional"):  # keys may get others between them
        Study("a.root")


def test_values_shown_in_errors_are_short():
    nested = ["x"]
    for _ in range(40):
        nested = [nested, nested]  # 2**40 parts
    for value in (nested, "x" * 10**6, list(range(10**6))):
        with pytest.raises(ValueError, match="share must be a number") as error:
            make(Study, {"files": "a", "share": value})
        assert len(str(error.value)) < 300


def test_files_are_beside_the_configuration(tmp_path):
    given = {"files": ["a.root", "/b.root", "root://server//c.root"], "golden": "g.json",
             "groups": {"x": "d.root"}, "name": "a.root"}  # fmt: skip
    study = make(Study, given, tmp_path)
    assert study.files == (f"{tmp_path}/a.root", "/b.root", "root://server//c.root")
    assert study.golden == f"{tmp_path}/g.json"
    assert study.groups == {"x": (f"{tmp_path}/d.root",)}
    assert study.name == "a.root"
    # Made again, they stay.
    assert make(Study, asdict(study), Path("elsewhere")) == study


def test_frozen_and_replaced():
    study = Study(files="a")
    with pytest.raises(FrozenInstanceError):
        study.bins = 2
    assert replace(study, bins=4).bins == 4
    with pytest.raises(ValueError, match="bins must be"):
        replace(study, bins=40)


def test_presets_are_changed():
    preset = Cuts(pt=5.0)
    assert changed(preset, {"eta": 1}, "cuts") == Cuts(pt=5.0, eta=1.0)
    assert changed(preset, {}) == preset
    with pytest.raises(ValueError, match=r"unknown key in cuts: 'etaa': did you mean 'eta'"):
        changed(preset, {"etaa": 1}, "cuts")
    with pytest.raises(ValueError, match=r"cuts\.eta must be a number above 0, got 'x'"):
        changed(preset, {"eta": "x"}, "cuts")
    with pytest.raises(ValueError, match="cuts must be a table of keys and values, got 1"):
        changed(preset, 1, "cuts")


def test_tables_of_names():
    found = make(dict[str, Cuts], {"Z": {"pt": 1}, "W": {}})
    assert found == {"Z": Cuts(pt=1.0), "W": Cuts()}
    with pytest.raises(ValueError, match=r"^Z\.pt must be a number >= 0, got -1"):
        make(dict[str, Cuts], {"Z": {"pt": -1}})
    with pytest.raises(ValueError, match=r"^Z must be a table of keys and values, got 1"):
        make(dict[str, Cuts], {"Z": 1})


def test_words():
    keys = keys_of(Study)
    assert {name: words(keys[name]) for name in ("files", "seeds", "share", "charge", "cuts")} == {
        "files": "a list of files",
        "seeds": "a list of different integers >= 0",
        "share": "a number above 0 and below 1",
        "charge": "'OS' or 'SS'",
        "cuts": "a table of keys and values",
    }
    assert words(keys_of(Cuts)["mass"]) == "two numbers >= 0"
