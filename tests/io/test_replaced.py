"""A file that another one takes the place of, between two ranges."""

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import ReadError


def _write(path, value, rntuple):
    """Of one layout, whatever the values are: places of baskets and pages fit both files."""
    parts = [ak.Array({"x": np.full(100, value + i)}) for i in range(3)]
    with uproot.recreate(path, compression=None) as file:
        if rntuple:
            tree = file.mkrntuple("Events", parts[0].layout.form)
        else:
            tree = file.mktree("Events", {"x": "f8"})
        for part in parts:
            tree.extend(part if rntuple else {"x": part.x})
    return path.read_bytes()


@pytest.mark.parametrize("rntuple", [False, True])
@pytest.mark.parametrize("way", ["another file", "other bytes", "no bytes"])
def test_it_is_an_error(tmp_path, rntuple, way):
    path, other = tmp_path / "a.root", tmp_path / "b.root"
    _write(path, 1.0, rntuple)
    content = _write(other, 7.0, rntuple)
    batches = fj.iterate(ranges=fj.ranges(path, 100), columns="x", prefetch=False)
    assert set(next(batches)["x"]) == {1.0}
    if way == "another file":
        other.replace(path)
    else:
        with open(path, "r+b") as file:
            file.write(content if way == "other bytes" else bytes(len(content)))
    with pytest.raises(ReadError, match=r"a\.root: is another file than when it was opened"):
        next(batches)
