"""Cuts of diphoton selections: what is accepted, borders, and where they are written down."""

import re
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from diphoton_files import BARE, rows, write
from typer.testing import CliRunner

from fastjag.__main__ import app
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.select import skim_files
from fastjag.analyses.diphoton.selections import PRESETS, DiphotonSelection, selection_of
from fastjag.io.files import ReadError
from fastjag.jagged import Jagged
from fastjag.selection import survivors

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"trigger": ""}, "trigger must name a branch, or be 'none', got ''"),
        ({"trigger": 1}, "trigger must name a branch, or be 'none', got 1"),
        ({"tight": "yes"}, "tight must be true or false, got 'yes'"),
        ({"exactly_two": 1}, "exactly_two must be true or false, got 1"),
        ({"crack_veto": None}, "crack_veto must be true or false, got None"),
        ({"good_pt": np.nan}, "good_pt must be a number >= 0, got nan"),
        ({"good_pt": -1}, "good_pt must be a number >= 0, got -1"),
        ({"max_abs_eta": 0}, "max_abs_eta must be a number above 0, got 0"),
        ({"max_abs_eta": np.nan}, "max_abs_eta must be a number above 0, got nan"),
        ({"min_pt": [np.nan, 1]}, "min_pt must be a number >= 0, got nan"),
        ({"min_pt": 30}, "min_pt must be two numbers, got 30"),
        ({"min_pt": [1, True]}, "min_pt must be a number >= 0, got True"),
        ({"min_pt_over_mass": ["a", 1]}, "min_pt_over_mass must be a number >= 0, got 'a'"),
        ({"mass": [105, np.inf]}, "mass must be a number >= 0, got inf"),
        ({"mass": [105, 105]}, "mass must be an interval"),
        ({"isolation": 5}, "isolation must be a table of columns and ratios, got 5"),
        ({"isolation": {"ptcone20": np.nan}}, "isolation.ptcone20 must be a number above 0"),
        ({"isolation": {"ptcone20": 0}}, "isolation.ptcone20 must be a number above 0"),
    ],
)
def test_nonsense(cuts, message):
    with pytest.raises(ValueError, match=message):
        selection_of("slides", cuts)


def test_no_trigger(tmp_path):
    """ "none" in TOML reads no trigger branch, and keeps what the trigger would reject."""
    (tmp_path / "s.toml").write_text(
        '[classes]\na = "a.root"\nb = "a.root"\n[selection]\ncuts = { trigger = "none" }\n'
    )
    config = DiphotonConfig.read(tmp_path / "s.toml")
    chosen = selection_of(config.selection.preset, config.selection.cuts)
    assert chosen == replace(PRESETS["slides"], trigger=None)
    content = rows(np.random.default_rng(4), 1000)
    path = write(tmp_path / "a.root", content)
    left = {}
    for name, cuts in (("slides", PRESETS["slides"]), ("none", chosen)):
        found = skim_files({"gg": path}, tmp_path / name, cuts)
        left[name] = [cut.events for cut in found.cutflow()][-1]
    assert 0 < left["slides"] < left["none"]


def test_a_number_is_no_trigger(tmp_path):
    path = write(tmp_path / "a.root", rows(np.random.default_rng(4), 50))
    for name in ("MET_pt", "channelNumber"):
        steps = DiphotonSelection(trigger=name).steps("ATLAS mini")
        with pytest.raises(ReadError, match=rf"a.root.*: {name} is no bit"):
            list(survivors(path, steps, progress=False))


def photons(pt, eta, phi):
    n = len(pt) // 2
    return Jagged(np.arange(n + 1) * 2, {"pt": pt, "eta": eta, "phi": phi})


class Events:
    def __init__(self, pairs):
        self.Photon = pairs


def test_masses_at_the_borders():
    """Back to back at rest in eta, the mass is twice the pt: exactly, as these are powers of two."""
    pairs = photons([64.0] * 2 + [128.0] * 2 + [65.0] * 2, [0.0] * 6, [0.0, np.pi] * 3)
    cuts = replace(BARE, mass=(128.0, 256.0), min_pt_over_mass=(0.0, 0.0))
    (step,) = (s for s in cuts.steps("NanoAOD") if s.name == "mass")
    # Both borders are exclusive.
    assert np.asarray(step.passes(Events(pairs))).tolist() == [False, False, True]


@pytest.mark.parametrize("cuts", [{"max_abs_eta": 2.0}, {"crack_veto": True}])
def test_steps_read_what_they_need(tmp_path, cuts):
    """Each of the two cuts on eta alone asks for the column."""
    path = write(tmp_path / "a.root", rows(np.random.default_rng(4), 500))
    steps = [s for s in replace(BARE, **cuts).steps("ATLAS mini") if s.name == "two good photons"]
    both = survivors(path, steps, ["Photon_eta", "Photon_pt"], progress=False)
    left = sum(len(batch) for batch in both)
    assert 0 < left < 500
    assert "Photon_eta" in steps[0].columns
    bare = [s for s in BARE.steps("ATLAS mini") if s.name == "two good photons"]
    assert "Photon_eta" not in bare[0].columns


def test_presets_and_keys_are_listed():
    said = CliRunner().invoke(app, ["diphoton", "run", "--help"], terminal_width=200).output
    said = " ".join(said.split())
    keys = re.search(r"any of their keys: (.*?); the values", said)[1]
    keys = re.sub(r" \(.*?\)", "", keys).split(", ")
    assert keys == [f.name for f in fields(DiphotonSelection)]
    assert all(name in said for name in PRESETS)


def test_documented_presets():
    page = (ROOT / "docs" / "diphoton.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    table = {line.split("`")[1]: [c.strip() for c in re.split(r"(?<!\\)\|", line)[2:-1]]
             for line in lines}  # fmt: skip
    for i, preset in enumerate(PRESETS.values()):
        for key, value in asdict(preset).items():
            written = table[key][i].strip("`").strip('"')
            if value is None:
                assert written in ("none", "any")
            elif isinstance(value, dict):
                assert written == "{" + ", ".join(f"{k} = {v:g}" for k, v in value.items()) + "}"
            elif isinstance(value, tuple):
                assert written == "[" + ", ".join(f"{v:g}" for v in value) + "]"
            else:
                assert written == (str(value).lower() if isinstance(value, bool)
                                   else value if isinstance(value, str) else f"{value:g}")  # fmt: skip
