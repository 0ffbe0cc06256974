"""Configuration files that are none: an error that names the file, at once."""

import time

import pytest

from fastjag.analyses.common.settings import read_toml
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.gammajet.run import Config as GammaJet

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
