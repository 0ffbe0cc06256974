"""Filesets that say more of a file than its path: what is said counts, or is an error."""

import numpy as np
import pytest
import uproot

import fastjag as fj


def _write(path, sizes):
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {"x": "f8"})
        for n in sizes:
            tree.extend({"x": np.arange(n)})
    return str(path)


@pytest.mark.parametrize("spelled", ["file://{}", "{}:Events", "{}.root", "folder", "pairs"])
def test_steps_of_a_file_count_however_it_is_spelled(tmp_path, spelled):
    (tmp_path / "in").mkdir()
    path = _write(tmp_path / "in" / "x.root", [30])
    about = {"steps": [[0, 10]]}
    if spelled == "folder":
        files = {str(tmp_path / "in"): {**about, "object_path": "Events"}}
    elif spelled == "pairs":  # two trees of one file
        with uproot.update(path) as file:
            file.mktree("Other", {"x": "f8"}).extend({"x": np.zeros(30)})
        files = [
            (path, {**about, "object_path": "Events"}),
            (path, {"steps": [[10, 30]], "object_path": "Other"}),
        ]
    else:
        files = {spelled.format(path).replace("x.root.root", "[xy].root"): about}
    found = fj.ranges({"a": {"files": files}})
    expected = [("Events", 0, 10), ("Other", 10, 30)][: 2 if spelled == "pairs" else 1]
    assert [(r.tree, r.start, r.stop) for r in found] == expected


def test_descriptions_of_several_files(tmp_path):
    one, two = (_write(tmp_path / f"{name}.root", [30]) for name in "xy")
    with pytest.raises(ValueError, match=r"\[xy\].root means 2 files, and steps, num_entries"):
        fj.ranges({"a": {"files": {str(tmp_path / "[xy].root"): {"steps": [[0, 10]]}}}})
    found = fj.ranges({"a": {"files": {str(tmp_path / "[xy].root"): {"object_path": "Events"}}}})
    assert [r.file for r in found] == [one, two]
    other = f"{tmp_path}/../{tmp_path.name}/x.root"
    both = {one: {"steps": [[0, 10]]}, other: {"steps": [[10, 20]]}}
    with (
        pytest.warns(UserWarning, match="more than once"),
        pytest.raises(ValueError, match="is given too and described otherwise"),
    ):
        fj.ranges({"a": {"files": both}})
    twice = [(one, {"steps": [[0, 10]]}), (one, {"steps": [[10, 20]]})]
    with pytest.raises(ValueError, match="described twice"):
        fj.ranges({"a": {"files": twice}})
