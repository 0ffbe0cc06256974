"""Configuration files: errors that name the file, and every key shown as TOML and as a table."""

import re
import time
from typing import Literal

import pytest

from fastjag.analyses.common.config import markdown, read, read_toml, show
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.gammajet.config import GammaJetConfig as GammaJet
from fastjag.analyses.gammajet.config import GammaJetSample
from fastjag.core.settings import File, Name, make, setting, settings

READERS = [DimuonConfig.read, DiphotonConfig.read, GammaJet.read, read_samples, read_toml]
BOMB = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "is nested too deeply"),
        (".".join("a" * 50_000) + " = 1", r"line 1 has a key of 50,000 parts, at most 100"),
        ("[" + " . ".join("a" * 50_000) + "]", r"line 1 has a key of 50,000 parts"),
        ("x = 1\ny = { " + ".".join("b" * 200) + " = 1 }", r"line 2 has a key of 200 parts"),
        (f"[seeds]\nx = [1, {2**63}]", r"seeds.x\[1\] is an integer of more than 64 bits"),
        (f"x = {-(2**63) - 1}", "x is an integer of more than 64 bits"),
        ("x = " + "9" * 5000, "digits"),
        (b"x = 1\ny = '\xff'", "is not UTF-8 in line 2"),
        ("x = 1\n" * 400_000, "is larger than 1,048,576 bytes"),
        ("x = 1\nx = 2\n", "Cannot overwrite a value .*line 2"),
        ("x\n", "Expected .* line 1"),
    ],
    ids=lambda value: None if callable(value) else repr(value)[:25],
)
def test_toml(tmp_path, read, content, message):
    path = tmp_path / "c.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    begun = time.process_time()
    with pytest.raises(ValueError, match=rf"c\.toml: .*{message}"):
        read(path)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x: " + "[" * 3000 + "]" * 3000, "is nested too deeply"),
        (f"a: {{b: {2**64}}}", "a.b is an integer of more than 64 bits"),
        ("a: [", "is not YAML"),
        ("- 1", "must hold keys and values"),
        (BOMB, "unknown key"),
    ],
    ids=["nested", "integer", "broken", "list", "bomb"],
)
def test_yaml(tmp_path, content, message):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ValueError, match=rf"c\.yaml: .*{message}"):
        DimuonConfig.read(tmp_path / "c.yaml")


def test_what_is_fine(tmp_path):
    text = f"x = {2**63 - 1}\ny = '{'.' * 500}' # {'.' * 500}\n" + ".".join("a" * 90) + " = 1\n"
    (tmp_path / "c.toml").write_text(text)
    assert read_toml(tmp_path / "c.toml")["x"] == 2**63 - 1


@pytest.mark.parametrize("read", [DimuonConfig.read, DiphotonConfig.read, GammaJet.read])
def test_endings(tmp_path, read):
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match=r"c\.json: a configuration must be a file of type \.toml"):
        read(tmp_path / "c.json")


@settings
class Part:
    name: str = setting("Name of the part.")
    weight: float = setting("What it is worth [kg].", default=1.0, least=0)


@settings
class Cuts:
    pt: float = setting("Pt | energy above this [GeV].", default=30.0, least=0)
    eta: float | None = setting("|eta| below this.", default=None, above=0, finite=False)


@settings
class Everything:
    """Keys of all kinds; sections stand between others, which TOML cannot have."""

    parts: tuple[Part, ...] = setting("Parts.")
    cuts: Cuts = setting("Cuts of the study.", default=Cuts(pt=25.0, eta=float("inf")))
    files: tuple[File, ...] = setting("Files.")
    title: Name = setting("A title " * 20 + ".", default='say "hi"\n\\ é')
    golden: File | None = setting("Golden JSON.", default=None)
    fast: bool = setting("Hurry.", default=True)
    charge: Literal["OS", "SS"] = setting("Charges.", default="SS")
    edges: tuple[tuple[float, float], ...] = setting("Edges.", default=((1, 2.5), (1e-30, 1e30)))
    isolation: dict[str, float] = setting("Ratios.", default_factory=lambda: {"a b": 0.1})
    spare: tuple[Part, ...] = setting("Spare parts.", default=(), empty=True)
    windows: dict[str, Cuts] = setting("Windows.")
    others: dict[str, Cuts] = setting("Other windows.", default_factory=dict)


FILLED = {"name": '"x"', "files": '["a.root"]'}


def filled(text):
    """The text with all keys that wait for a value."""
    names = "|".join(FILLED)  # others may be left out, too
    return re.sub(
        rf"^# ({names}) =$", lambda m: f"{m[1]} = {FILLED[m[1]]}", text, flags=re.MULTILINE
    )


@pytest.mark.parametrize("kind", [Everything, GammaJet])
def test_shown_is_read(tmp_path, kind):
    """What is shown is TOML that holds every default, once the keys without one are filled."""
    text = show(kind)
    assert max(map(len, (line for line in text.splitlines() if line.startswith("#")))) <= 98
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=r"c\.toml: .* lacks "):
        read(kind, tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text(filled(text))
    found = read(kind, tmp_path / "c.toml")
    if kind is GammaJet:
        sample = GammaJetSample(name="x", files=(str(tmp_path / "a.root"),))
        assert found == GammaJet(samples=(sample,))
    else:
        expected = Everything(parts=(Part(name="x"),), files=(str(tmp_path / "a.root"),),
                              windows={"NAME": Cuts()})  # fmt: skip
        assert found == expected


def test_shown_keys():
    text = show(Everything)
    assert "\n# Pt | energy above this [GeV]. A number >= 0.\npt = 25.0\n" in text
    assert "\n# Golden JSON. A file or 'none'.\ngolden = \"none\"\n" in text
    assert "\n\n# Parts.\n" in text
    assert "# Files. A list of files.\n# files =\n" in text
    assert "\n# Parts.\n[[parts]]\n# Name of the part. A string.\n# name =\n" in text
    assert "\n# Spare parts.\n# [[spare]]\n# # Name of the part. A string.\n# # name =\n" in text
    assert "\n# Other windows.\n# [others.NAME]\n" in text


def test_markdown():
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in markdown(Everything).splitlines()]
    assert rows[0] == ["key", "accepted", "default", "meaning"]
    assert {len(row) for row in [*rows[:1], *rows[2:]]} == {4}
    table = {row[0]: row[1:] for row in rows[2:]}
    assert table["`files`"] == ["A list of files", "required", "Files."]
    assert table["`parts[].weight`"] == ["A number >= 0", "`1.0`", "What it is worth [kg]."]
    assert table["`cuts.pt`"] == ["A number >= 0", "`25.0`", r"Pt \| energy above this [GeV]."]
    assert table["`windows.NAME.pt`"][1] == "`30.0`"
    assert len(table) == 7 + 2 * 5


def test_keys_that_stand_elsewhere(tmp_path):
    @settings
    class Renamed:
        pt: float = setting("Pt.", default=1.0, above=0)
        file: File | None = setting("File.", default=None)

        @classmethod
        def from_content(cls, content, folder):
            return make(cls, {"pt": content["muon"]["pt"], "file": "a"}, folder, "muon")

    (tmp_path / "c.toml").write_text("[muon]\npt = 3\n")
    assert read(Renamed, tmp_path / "c.toml") == Renamed(pt=3.0, file=str(tmp_path / "a"))
    (tmp_path / "c.toml").write_text("[muon]\npt = 0\n")
    with pytest.raises(ValueError, match=r"c\.toml: muon\.pt must be a number above 0, got 0"):
        read(Renamed, tmp_path / "c.toml")
