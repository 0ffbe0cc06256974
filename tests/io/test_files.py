"""Which files are meant: each once, however it is spelled, and errors for names that cannot be."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from search_samples import prepared

import fastjag as fj
from fastjag import toys
from fastjag.analyses.convert import convert
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.gammajet import toys as photon_toys
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.run import run as run_gammajet
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.rates.count import count
from fastjag.io.files import find_files, identity
from fastjag.selection import Step, survivors
from fastjag.toys.jetfiles import write_jets
from fastjag.toys.triggers import write_triggers

AGAIN = "given more than once, counted once: "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A file, others that hold the same, and every other way to say its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.root").write_text("a")
    (tmp_path / "b.root").write_text("a")  # a copy is another file
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "link.root").symlink_to(tmp_path / "a.root")
    (tmp_path / "deep" / "second.root").symlink_to("link.root")
    (tmp_path / "else").symlink_to(tmp_path / "deep")
    os.link(tmp_path / "a.root", tmp_path / "deep" / "hard.root")
    return tmp_path


SPELLINGS = [
    "a.root", "./a.root", "deep/../a.root", "{}/a.root", "{}//./a.root", "deep/link.root",
    "deep/second.root", "else/link.root", "deep/hard.root", "[a].root", "deep/l*.root",
    "file://{}/a.root", "file://localhost{}/a.root", "FILE://{}/deep/../a.root",
]  # fmt: skip


class TestOnce:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_however_it_is_spelled(self, folder, spelling):
        other = spelling.format(folder)
        (path,) = [p for p, _ in find_files(other)]
        as_first = "" if path == "a.root" else r" \(as a\.root\)"
        with pytest.warns(UserWarning, match=f"^{AGAIN}{re.escape(path)}{as_first}$") as seen:
            found = find_files(["a.root", other, "b.root"])
        assert found == [("a.root", None), ("b.root", None)]
        assert len(seen) == 1
        with pytest.warns(UserWarning, match=AGAIN):
            assert find_files([other, "b.root", "a.root"]) == [(path, None), ("b.root", None)]

    def test_directories_and_patterns(self, folder):
        with pytest.warns(UserWarning, match=AGAIN) as seen:
            found = find_files([".", "deep", "**/*.root"])
        assert [os.path.basename(p) for p, _ in found] == ["a.root", "b.root"]
        # 3 in the directory, 8 of the pattern (also through "else"): the first five are named.
        links = [f"deep/{name}.root (as a.root)" for name in ("hard", "link", "second")]
        assert str(seen[0].message) == f"{AGAIN}{', '.join(links)}, a.root, b.root and 6 more"
        (folder / "deep" / "hard.root").unlink()
        assert find_files(["a.root", "b.root"]) == [("a.root", None), ("b.root", None)]

    def test_trees(self, folder):
        """Two trees of a file are no repetition; no tree and a named one may be."""
        both = [("a.root", "Events"), ("a.root", "Runs")]
        assert find_files(["a.root:Events", "a.root:Runs"]) == both
        with pytest.warns(UserWarning, match=AGAIN + r"deep/link\.root:Runs \(as a\.root\)$"):
            assert find_files(["a.root:Events", "a.root:Runs", "deep/link.root:Runs"]) == both
        for given in (["a.root", "deep/link.root:Runs"], ["a.root:Runs", "deep/link.root"]):
            with pytest.raises(ValueError, match=r"link\.root .*without a tree and .* 'Runs'"):
                find_files(given)

    @pytest.mark.parametrize("other", ["/Events", "Events;1", "Events;2", "Events/"])
    def test_one_tree_by_other_names(self, folder, other):
        for first, second in (("Events", other), (other, "Events")):
            with pytest.warns(UserWarning, match=rf"{AGAIN}a\.root:{second}$"):
                found = find_files([("a.root", first), ("a.root", second)])
            assert found == [("a.root", first)]
        both = [("a.root", "Events;1"), ("a.root", "Events;2"), ("a.root", "Event")]
        assert find_files(both) == both  # who names two cycles wants both

    def test_missing_files(self, folder):
        """Who reads them says that they are missing."""
        with pytest.warns(UserWarning, match=AGAIN):
            found = find_files(["no.root", "deep/../no.root", "other.root", "a\0.root"])
        assert found == [("no.root", None), ("other.root", None), ("a\0.root", None)]
        with pytest.raises(FileNotFoundError, match="no such file"):
            list(fj.iterate("a\0.root"))

    @pytest.mark.parametrize(
        ("left", "right", "same"),
        [
            ("root://h.ch//a/b.root", "root://H.ch:1094//a/b.root", True),
            ("root://h.ch//a/b.root", "xroot://h.ch/a//b.root", True),
            ("root://h.ch//a/b.root", "root://me@h.ch.//a/./c/../b.root", True),
            ("root://h.ch//a/b.root", "root://h.ch:1095//a/b.root", False),
            ("root://h.ch//a/b.root", "roots://h.ch//a/b.root", False),
            ("root://h.ch//a/b.root", "root://g.ch//a/b.root", False),
            ("https://h.ch/a/b.root", "HTTPS://h.CH:443/a/../a/b.root", True),
            ("http://h.ch/~a/b.root", "http://h.ch:80/%7ea/b.root#top", True),
            ("http://h.ch/a%2fb.root", "http://h.ch/a%2Fb.root", True),
            ("http://h.ch/a%2Fb.root", "http://h.ch/a/b.root", False),
            ("http://h.ch/a//b.root", "http://h.ch/a/b.root", False),
            ("http://h.ch/b.root?x=1", "http://h.ch/b.root?x=2", False),
            ("http://h.ch/b.root", "https://h.ch/b.root", False),
            ("http://h.ch/a.root", "http://h.ch/../a.root", True),
            ("http://h.ch/B.root", "http://h.ch/b.root", False),
            ("http://h:x/a.root", "http://h:x/a.root", True),
            ("http://[::1/a.root", "http://[::1/b.root", False),
        ],
    )
    def test_urls(self, left, right, same, monkeypatch):
        monkeypatch.setattr("fastjag.io.files.find_spec", lambda name: object())
        assert (identity(left) == identity(right)) == same
        if same:
            with pytest.warns(UserWarning, match=AGAIN):
                assert find_files([left, right]) == [(left, None)]
        else:
            assert [p for p, _ in find_files([left, right])] == [left, right]

    @pytest.mark.parametrize("changed", ["size", "time"])
    def test_files_that_share_a_number(self, folder, monkeypatch, changed):
        """Some file systems make numbers up: other sizes or times are other files."""
        real = os.stat("a.root")
        kept = {"st_dev": 1, "st_ino": 0, "st_size": real.st_size, "st_mtime_ns": real.st_mtime_ns}
        b = kept | {"st_size": 7} if changed == "size" else kept | {"st_mtime_ns": 7}
        fields = {"a": kept, "b": b}
        kind = type("Stat", (), {})

        def stat(path, **_):
            found = kind()
            found.__dict__.update(fields[str(path)[0]])
            return found

        with monkeypatch.context() as patch:
            patch.setattr("fastjag.io.files.os.stat", stat)
            assert identity("a.root") != identity("b.root")
            assert identity("a.root") == identity("a.roo")


class TestNames:
    def test_no_utf_8(self, folder):
        """Results and messages could not hold the name."""
        odd = os.fsdecode(b"\xe9.root")
        try:
            (folder / odd).write_text("")
        except OSError:  # some file systems have no such names
            odd_is_there = False
        else:
            odd_is_there = True
        message = r"file name b'.*\\xe9\.root' is no UTF-8"
        for given in [odd, folder / odd, [odd, "a.root"], *[".", "*.root"] * odd_is_there]:
            with pytest.raises(ValueError, match=message):
                find_files(given)
        (folder / "é.root").write_text("")
        assert find_files("é.root") == [("é.root", None)]

    @pytest.mark.parametrize("given", [None, 3, b"a.root", [None], ["a.root", b"b.root"], [["a"]]])
    def test_what_is_no_path(self, given):
        with pytest.raises(TypeError, match="files must be paths, patterns"):
            find_files(given)

    @pytest.mark.parametrize("given", ["", ["a.root", ""]])
    def test_empty_name(self, given):
        """Not the current directory, which Path("") is."""
        with pytest.raises(ValueError, match="name of a file is empty"):
            find_files(given)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A file of toys and a link to it, in one directory."""
    path = tmp_path_factory.mktemp("toys") / "a.root"
    toys.write(path, 2000, seed=1)
    (path.parent / "b.root").symlink_to(path)
    return path


class TestEverywhere:
    """Whoever reads files counts each once."""

    def test_iterate_and_survivors(self, toy):
        for files in ([toy, f"{toy.parent}/*.root"], toy.parent):
            with pytest.warns(UserWarning, match=AGAIN):
                batches = fj.iterate(files, "MET_pt", step=500)
            assert sum(len(b) for b in batches) == batches.n_events == 2000
            with pytest.warns(UserWarning, match=AGAIN):
                chosen = survivors(files, [Step("all", ["MET_pt"], lambda b: b["MET_pt"] >= 0)])
            assert sum(len(b) for b in chosen) == 2000

    def test_convert(self, toy, tmp_path):
        with pytest.warns(UserWarning, match=AGAIN):
            done = convert(toy.parent, tmp_path, columns=["MET_pt"])
        assert done.events == {"a": 2000}

    def test_rates(self, tmp_path):
        path = tmp_path / "a.root"
        write_triggers(path, 3, [30.0] * 20, {"HLT_A": 0.1}, seed=1)
        (tmp_path / "b.root").symlink_to(path)
        once = count(path, ["HLT_A"])
        with pytest.warns(UserWarning, match=AGAIN):
            twice = count([path, tmp_path / "*.root"], ["HLT_A"])
        np.testing.assert_array_equal(twice.fired["HLT_A"], once.fired["HLT_A"])
        np.testing.assert_array_equal(twice.events, once.events)
        assert twice.files == [str(path)]

    def test_jets(self, tmp_path):
        path = write_jets(tmp_path / "a.root", 30, seed=3)
        (tmp_path / "b.root").symlink_to(path)
        once = list(JetReader(path))
        with pytest.warns(UserWarning, match=AGAIN) as seen:
            reader = JetReader(tmp_path)
        assert sum(map(len, reader)) == sum(map(len, once)) > 0
        assert len(seen) == 1

    def test_dimuon(self, toy, tmp_path):
        text = """
seed = 3
[input]
files = [FILES]
[analysis_keywords]
name = "upsilon_iso"
particle = "upsilon"
[window_definitions]
upsilon = { SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }
[feature_sets]
mix_2 = ["dimu_pt", "mu0_ip3d", "dimu_mass"]
"""
        found = []
        for files in (f'"{toy}"', f'"{toy}", "{toy.parent}/*.root"'):
            (tmp_path / "search.toml").write_text(text.replace("FILES", files))
            config = DimuonConfig.read(tmp_path / "search.toml")
            if found:
                with pytest.warns(UserWarning, match=AGAIN):
                    found.append(prepared(config, tmp_path / "out")["cutflow"])
            else:
                found.append(prepared(config, tmp_path / "out")["cutflow"])
        assert found[0] == found[1]

    def test_gammajet(self, tmp_path):
        for kind in ("data", "gjets", "qcd"):
            photon_toys.write(tmp_path / f"{kind}.root", 3000, kind=kind, seed=1)
        (tmp_path / "link.root").symlink_to(tmp_path / "data.root")
        text = photon_toys.configuration(tmp_path)
        totals = []
        for files in ('"data.root"', '["data.root", "link.root"]'):
            (tmp_path / "a.toml").write_text(
                text.replace('files = "data.root"', f"files = {files}")
            )
            config, out = GammaJetConfig.read(tmp_path / "a.toml"), tmp_path / f"out{len(totals)}"
            if totals:
                with pytest.warns(UserWarning, match=AGAIN):
                    results = run_gammajet(config, out, ["select"])
            else:
                results = run_gammajet(config, out, ["select"])
            totals.append(results.totals())
        assert totals[0] == totals[1]

    def test_command_line(self, toy, tmp_path):
        """One line on stderr, without Python's own."""
        command = [sys.executable, "-m", "fastjag", "convert", str(toy), str(toy.parent / "b.root")]
        done = subprocess.run(
            [*command, "--columns", "MET_pt", "--out", str(tmp_path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        expected = f"fastjag: warning: {AGAIN}{toy.parent}/b.root (as {toy})\n"
        assert done.stderr == expected
        assert "2,000" in done.stdout
