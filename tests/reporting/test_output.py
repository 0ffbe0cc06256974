"""Results that are complete or not there, and the formats they are written in."""

import json
import os
import re
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot
from browser import PIXEL

import fastjag
from fastjag.io import write_histograms
from fastjag.reporting.output import new_file, results_directory, write_json
from fastjag.reporting.report import Report


def produce(out, names, error=None):
    """A job that writes "new" into each file, and may fail after that."""
    with results_directory(out) as directory:
        for name in names:
            (directory / name).write_text("new")
        if error:
            raise error


class TestResultsDirectory:
    def test_all_or_nothing(self, tmp_path):
        out = tmp_path / "a" / "b"
        with results_directory(out) as directory:
            (directory / "x.txt").write_text("x")
            (directory / "y.txt").write_text("y")
            assert {p.name[:9] for p in out.iterdir()} == {".lock", ".partial-"}
        assert sorted(p.name for p in out.iterdir()) == ["x.txt", "y.txt"]

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
    def test_a_failure_leaves_nothing(self, tmp_path, error):
        with pytest.raises(error):
            produce(tmp_path / "a" / "b", ["x.txt"], error)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_keeps_what_was_there(self, tmp_path, error):
        (tmp_path / "x.txt").write_text("old")
        with pytest.raises(error):
            produce(tmp_path, ["x.txt"], error)
        assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
        assert (tmp_path / "x.txt").read_text() == "old"
        produce(tmp_path, ["x.txt"])
        assert (tmp_path / "x.txt").read_text() == "new"

    def test_a_directory_in_the_way_of_one_file_stops_all(self, tmp_path):
        (tmp_path / "a.txt").write_text("old")
        (tmp_path / "b.txt").mkdir()
        with pytest.raises(IsADirectoryError, match=r"b\.txt: a directory is in the way"):
            produce(tmp_path, ["a.txt", "b.txt"])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_targets_that_cannot_be(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("mine")
        for out, error in (
            (tmp_path / "file", NotADirectoryError),
            (tmp_path / "file" / "below", OSError),
        ):
            with pytest.raises(error, match="file"), results_directory(out):
                pytest.fail("the work began")
        assert (tmp_path / "file").read_text() == "mine"

        def refuse(**_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.mkdtemp", refuse)  # modes do not stop root
        with (
            pytest.raises(OSError, match="new: cannot be written: Permission denied"),
            results_directory(tmp_path / "new"),
        ):
            pytest.fail("the work began")
        assert os.listdir(tmp_path) == ["file"]


def test_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {
        "array": np.array([1.5, np.nan, np.inf]), "int": np.int64(2**40), "flag": np.bool_(True),
        "float": np.float32(0.5), "none": None, "list": [np.uint8(1), (2, -np.inf)], 3: "key",
        "path": tmp_path, "text": "µ",
    })  # fmt: skip

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(path.read_text(), parse_constant=refuse)
    assert found == {
        "array": [1.5, None, None], "int": 2**40, "flag": True, "float": 0.5, "none": None,
        "list": [1, [2, None]], "3": "key", "path": str(tmp_path), "text": "µ",
    }  # fmt: skip


def test_report(tmp_path):
    (tmp_path / "a.png").write_bytes(PIXEL)
    report = Report("<b>title</b>", "a & b")
    report.heading("<h>")
    report.text("<script>alert(1)</script>")
    report.table(("name", "n"), [("<i>", 1234567), ("x", True), ("y", 0.123456789)])
    report.settings({"cut": None, "list": [1, 2]})
    report.figure(tmp_path / "a.png", 'caption "quoted"')
    report.write(tmp_path / "a.html", "µ <footer>")
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;title&lt;/b&gt;" in html
    for tag in ("<b>", "<script", "<i>", "<h>"):
        assert tag not in html
    for text in ("1,234,567", "yes", "0.123457", "none", "1, 2", "µ &lt;footer&gt;", "a &amp; b"):
        assert text in html
    assert 'alt="caption &quot;quoted&quot;"' in html
    assert "http" not in html
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_warnings_files_and_settings_of_a_report(tmp_path):
    report = Report("Title", "First sentence.")
    for heading in ("One", "Two", "Three"):
        report.heading(heading)
    report.files([f"folder/{i}.root" for i in range(60)])
    report.settings({"cuts": {"lower": {"pt": 4.0}}, "seed": 1})
    report.table([f"c{i}" for i in range(8)], [])
    report.warning("! <late> warning")
    report.write(tmp_path / "a.html", "")
    page = (tmp_path / "a.html").read_text()
    order = ["<h1>Title", "! &lt;late&gt; warning", "First sentence.", "<nav>", "<h2>One"]
    assert [page.index(text) for text in order] == sorted(page.index(text) for text in order)
    assert "60 input files" in page
    assert "folder/49.root" in page
    assert "and 10 more" in page
    assert "folder/50.root" not in page
    assert "<td>cuts.lower.pt</td><td>4</td>" in page
    assert '<div class="wide many">' in page  # smaller letters for many columns
    plain = Report("Title")
    plain.write(tmp_path / "b.html", "")
    assert 'class="warning"' not in (tmp_path / "b.html").read_text()


class TestHistograms:
    @pytest.mark.parametrize("axis", [
        hist.axis.Regular(7, 0.5, 20, transform=hist.axis.transform.log, name="x"),
        hist.axis.Regular(5, 0, 10, name="x"), hist.axis.Variable([0, 1, 5, 20], name="x"),
    ], ids=["log", "regular", "variable"])  # fmt: skip
    def test_uproot_reads_the_same(self, tmp_path, axis):
        h = hist.Hist(axis)
        h.fill(np.random.default_rng(1).exponential(6, 1000))
        h.fill([-1.0, 1e9, 1e9])
        write_histograms(tmp_path / "a.root", {"first": h, "second": h})
        with uproot.open(tmp_path / "a.root") as file:
            assert file.keys(cycle=False) == ["first", "second"]
            counts, edges = file["first"].to_numpy(flow=True)
        np.testing.assert_array_equal(counts, h.values(flow=True))
        np.testing.assert_allclose(edges[1:-1], axis.edges, rtol=1e-15)
        assert counts[-1] >= 2


PACKAGE = Path(fastjag.__file__).parent
_REPLACES = re.compile(
    r"os\.(replace|rename)\(|\.write_(text|bytes)\(|tempfile\.(?!gettempdir|TemporaryDirectory)|shutil\.move"
)
_WRITES = re.compile(
    r"\.recreate\(|np\.savez?(_compressed)?\(|savefig\(|torch\.save\(|pickle\.dump\(|\.to_csv\(|"
    r"""ParquetWriter\(|write_table\(|open\([^()]*,\s*["'][wxa]"""
)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_all_files_are_written_by_one_function(path):
    """Which has a name of its own for what is not complete, and replaces what it may replace."""
    text = r'""".*?"""|#[^\n]*|"[^"\n]* [^"\n]*"'  # and messages
    code = re.sub(text, "", path.read_text(), flags=re.DOTALL)
    # Not a file, but a word to the system.
    code = code.replace('Path("/proc/self/clear_refs").write_text', "")
    # kept.py: many hosts write one name, of whom the first has it. shipping.py: for workers, while they work.
    if path.name not in ("output.py", "locks.py", "kept.py", "shipping.py"):
        assert not _REPLACES.search(code)
    # hdf5.py and parquet.py: to where NewHdf5 and NewParquet are told. stored.py: into a cache that is not complete.
    told = ("hdf5.py", "parquet.py", "stored.py", "kept.py", "shipping.py")
    if path.name not in told and _WRITES.search(code):
        assert "new_file(" in code


class TestContents:
    def page(self, path, headings):
        report = Report("Title", "of a test")
        report.text("! A warning")
        for heading in headings:
            report.heading(heading)
            report.table(("a",), [(1,)])
        report.write(path / "report.html", "")
        return (path / "report.html").read_text()

    def test_a_link_to_every_section_below_warnings(self, tmp_path):
        page = self.page(tmp_path, ["One", "Two <b>", "Three"])
        links = re.findall(r'<a href="#([^"]+)">([^<]*)</a>', page)
        assert [text for _, text in links] == ["One", "Two &lt;b&gt;", "Three"]
        for target, text in links:
            assert f'<a id="{target}"></a><h2>{text}</h2>' in page
        assert page.index("! A warning") < page.index("<nav>") < page.index("<h2>")

    def test_short_pages_have_none(self, tmp_path):
        assert "<nav>" not in self.page(tmp_path, ["One", "Two"])
        assert "<nav>" not in self.page(tmp_path, [])


def test_an_error_that_is_its_own_cause_ends(tmp_path):
    error = ValueError("x")
    error.__cause__ = OSError("y")
    error.__cause__.__cause__ = error
    with pytest.raises(ValueError, match="x"), new_file(tmp_path / "a.txt"):
        raise error
