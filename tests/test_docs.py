"""The pages of docs/: their code runs, the contents list all of them, and the check of the site sees faults."""

import json
import re
from pathlib import Path

import pytest
from docsite import check, keys, pages, tutorials
from docsite.docstrings import as_rst, shorten

import fastjag

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


class TestPages:
    # `make docs` runs the tutorials.
    @pytest.mark.parametrize(
        "name", ["batch", "coming-from", "corrections", "index", "inputs", "training"]
    )
    def test_code_runs(self, name, tmp_path, monkeypatch):
        path = DOCS / f"{name}.md"
        monkeypatch.chdir(tmp_path)
        scope = {"__name__": "__main__"}
        for code in tutorials.blocks(path.read_text()):
            exec(compile(code, str(path), "exec"), scope)  # noqa: S102

        assert scope["fj"] is fastjag

    def test_there_is_code(self):
        with_code = [p.stem for p in TUTORIALS if tutorials.blocks(p.read_text())]
        assert with_code == ["dimuon-peaks", "jets-tagger", "systematics", "tensors-torch"]

    def test_the_contents_list_every_page(self):
        trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
        listed = {line for tree in trees for line in tree.split("\n") if line and line[0] != ":"}
        for path in PAGES:
            name = path.relative_to(DOCS).with_suffix("").as_posix()
            assert name in listed or name == "index"

    @pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
    def test_links_to_files(self, path):
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", path.read_text()):
            if re.search(r"\.\w+$", link):
                assert (path.parent / link).exists(), link


class TestTutorialsShowWhatTheyPrint:
    def test_output_and_pictures_stand_below_their_block(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text(
            "a\n\n```python\nx = 6 * 7\nprint(x)\n```\n\n```python\n"
            "open('p.png', 'w').close()\nprint(x + 1)\n```\n\nend\n"
        )
        text = tutorials.with_outputs(page)
        assert text.index("print(x)") < text.index("```text\n42\n```") < text.index("p.png'")
        assert (
            text.index("```text\n43\n```") < text.index("![p.png](page-p.png)") < text.index("end")
        )
        assert (tmp_path / "page-p.png").exists()

    def test_an_error_ends_the_build(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("```python\n1 / 0\n```\n")
        with pytest.raises(ZeroDivisionError):
            tutorials.with_outputs(page)


def site(folder, names, page):
    """A built site of one page whose search knows these names."""
    kinds = ["py", "std"]
    objects = [[0, kinds.index(kind), 1, "", name] for kind, name in names if kind != "title"]
    index = {
        "objects": {"": objects},
        "objnames": {str(i): [kind, "", ""] for i, kind in enumerate(kinds)},
        "alltitles": {name: [] for kind, name in names if kind == "title"},
    }
    (folder / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    (folder / "x.html").write_text(page)
    return folder


class TestCheck:
    def test_wants_all_kinds(self):
        names = {name for _, name in check.wanted()}
        assert {f"fastjag.{name}" for name in fastjag.__all__} <= names
        assert {"fastjag.io.ReadError", "fastjag.io.errors.ServerError",
                "fastjag.reporting.output.WriteError", "fastjag spectrum", "fastjag jets train",
                "input.muon_id (dimuon)", "target.pileup (rates)"} <= names  # fmt: skip

    @pytest.mark.parametrize("gone", ["fastjag.dimuon", "fastjag info", "train.seed (jets)"])
    def test_a_name_that_is_missing_is_named(self, tmp_path, gone):
        everything = list(check.wanted())
        assert check.missing(site(tmp_path, everything, "")) == []
        some = [(kind, name) for kind, name in everything if name != gone]
        assert check.missing(site(tmp_path, some, "")) == [f"the search finds no {gone}"]

    @pytest.mark.parametrize(
        ("link", "fault"),
        [("x.html", None), ("#here", None), ("https://example.org/none", None), ("x.html#here", None),
         ("none.html", "leads nowhere"), ("#there", "no such place")],
    )  # fmt: skip
    def test_links(self, tmp_path, link, fault):
        wrong = check.broken_links(site(tmp_path, [], f'<p id="here"><a href="{link}">a</a></p>'))
        assert len(wrong) == (fault is not None)
        assert all(fault in text for text in wrong)

    def test_all_analyses_have_keys(self):
        assert {len(list(keys.keys_of_file(name))) > 4 for name in keys.KINDS} == {True}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Mean of |x| of n_b_*.", "Mean of \\|x\\| of n_b\\_\\*."),
        ("With ``a|b_*`` and `c_`.", "With ``a|b_*`` and `c_`."),
        ("As:\n\n    x = a | b\n\nend|", "As:\n\n::\n\n    x = a | b\n\nend\\|"),
        ("Parameters\n----------\nx\n    |x|\n\nend", ".. rubric:: Parameters\n\n``x``\n    \\|x\\|\n\nend"),
        (">>> a | b\n1 | 2\n\nx|", ">>> a | b\n1 | 2\n\nx\\|"),
    ],
)  # fmt: skip
def test_docstrings_are_text(given, shown):
    lines = given.split("\n")
    as_rst(None, "function", "f", None, None, lines)
    assert "\n".join(lines) == shown


def test_names_in_text_lead_to_the_reference():
    text = "# `fj.dimuon`\n`fj.dimuon(...)` and `fj.none`, ``fj.nearest``\n```python\n`fj.nearest`\n```\n`fj.nearest`"
    linked = pages.with_links(text, {"fastjag.dimuon", "fastjag.nearest"})
    assert linked == (
        "# `fj.dimuon`\n{py:obj}`fj.dimuon(...) <fastjag.dimuon>` and `fj.none`, ``fj.nearest``\n"
        "```python\n`fj.nearest`\n```\n{py:obj}`fj.nearest <fastjag.nearest>`"
    )


def test_types_are_as_in_the_sources():
    given = (
        "(x: ~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.int64]] | None, "
        "y: TypeAliasForwardRef('ArrayLike') = 1)"
    )
    shown = shorten(None, "function", "f", None, None, given, None)
    assert shown == ("(x: NDArray[int64] | None, y: ArrayLike = 1)", None)
