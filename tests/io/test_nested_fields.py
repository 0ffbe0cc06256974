"""Fields of RNTuples with lists of lists, arrays in lists, and text: any step, any range."""

import awkward as ak
import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag.io import ReadError
from fastjag.io.branches import Branch, Names
from fastjag.io.ranges import Range

N = 300


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An RNTuple of several clusters, and what was written."""
    rng = np.random.default_rng(5)
    n = rng.poisson(1.3, N)
    n[40:60] = 0  # whole steps without a list
    inner = rng.poisson(1.5, n.sum()) * (rng.random(n.sum()) < 0.7)
    innermost = rng.poisson(1.0, inner.sum())
    x = ak.unflatten(np.arange(inner.sum()) * 0.5, inner)
    deep = ak.unflatten(ak.unflatten(np.arange(innermost.sum()), innermost), inner)
    data = ak.zip(
        {
            "vv": ak.unflatten(x, n),
            "vvv": ak.unflatten(deep, n),
            "v3": ak.unflatten(ak.to_regular(np.arange(3 * n.sum()).reshape(-1, 3)), n),
            "jets": ak.unflatten(
                ak.zip(
                    {"pt": np.arange(n.sum()) * 1.5, "parts": ak.zip({"pt": x, "eta": -x})},
                    depth_limit=1,
                ),
                n,
            ),
            "kind": ak.Array(
                np.array(["", "GT", "a longer text", "\u00fc"])[rng.integers(0, 4, N)].tolist()
            ),
        },
        depth_limit=1,
    )
    path = tmp_path_factory.mktemp("nested") / "nested.root"
    with uproot.recreate(path) as file:
        tree = file.mkrntuple("Events", data[:90])
        for start in range(90, N, 70):
            tree.extend(data[start : start + 70])
    return path, data


def assert_batch(batch, data):
    start, stop = batch.source.start, batch.source.stop
    some = data[start:stop]
    for name in ("vv", "vvv", "v3"):
        assert batch[name].to_awkward()[name].to_list() == some[name].to_list()
    jets = batch.jets.to_awkward()
    assert jets.pt.to_list() == some.jets.pt.to_list()
    for part in ("pt", "eta"):
        assert jets[f"parts.{part}"].to_list() == some.jets.parts[part].to_list()
    assert batch["kind"].tolist() == some.kind.to_list()


@pytest.mark.parametrize("step", [1, 7, 64, 1000])
def test_steps(written, step):
    path, data = written
    batches = list(fj.iterate(path, step=step))
    assert sum(map(len, batches)) == N
    for batch in batches:
        assert_batch(batch, data)


def test_ranges_in_any_order(written):
    path, data = written
    ranges = [(path, "Events", 200, 300), (path, "Events", 41, 55), (path, "Events", 0, 90),
              (path, "Events", 89, 91)]  # fmt: skip
    ranges = [Range("", str(path), tree, start, stop) for path, tree, start, stop in ranges]
    batches = list(fj.iterate(ranges=ranges, step=30))
    assert sum(map(len, batches)) == 206
    for batch in batches:
        assert_batch(batch, data)


def test_each_alone(written):
    path, data = written
    for name in ("vv", "kind", "jets.parts.eta"):
        for batch in fj.iterate(path, name, step=11):
            some = data[batch.source.start : batch.source.stop]
            if name == "kind":
                assert batch[name].tolist() == some.kind.to_list()
            else:
                expected = some.vv if name == "vv" else some.jets.parts.eta
                found = batch[name].to_awkward()
                assert found[found.fields[0]].to_list() == expected.to_list()


def records(path, **more):
    muons = ak.Array([[{"pt": 3.0, "q": 1}, {"pt": 2.0, "q": -1}], []])
    met = ak.Array([{"pt": 5.0}, {"pt": 6.0}])
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"Muon": muons, "MET": met} | more)
    return path


@pytest.mark.parametrize("asked", [["Muon_pt", "Muon_q", "MET_pt"], ["Muon_*", "MET_*"]])
def test_parts_of_records_by_the_names_of_nanoaod(tmp_path, asked):
    """Which every analysis asks for: Muon_pt is the pt of the record Muon."""
    (batch,) = fj.iterate(records(tmp_path / "a.root"), asked)
    assert batch.Muon.columns == ("pt", "q")
    assert batch.Muon.pt.tolist() == batch["Muon_pt"]["pt"].tolist() == [3.0, 2.0]
    assert batch.branch("Muon", "q") == "Muon_q"
    assert batch["MET_pt"].tolist() == [5.0, 6.0]


def test_a_field_of_that_name_comes_first(tmp_path):
    path = records(tmp_path / "a.root", MET_pt=np.array([1.0, 2.0]))
    (batch,) = fj.iterate(path, ["MET_pt", "MET.pt"])
    assert batch["MET_pt"].tolist() == [1.0, 2.0]
    assert batch["MET.pt"].tolist() == [5.0, 6.0]
    (batch,) = fj.iterate(path, "MET_*")
    assert list(batch.flat) == ["MET_pt"]


def test_a_record_does_not_stand_for_an_ambiguous_name():
    paths = {"a/MET_pt": "MET_pt", "b/MET_pt": "MET_pt", "MET.pt": "MET.pt"}
    names = Names([Branch(name, path, None) for path, name in paths.items()], str)
    assert names.find("MET_pt") is None
    assert "ambiguous: 'a/MET_pt', 'b/MET_pt'" in names.unknown("MET_pt")
    assert names.find("MET.pt").path == "MET.pt"
    assert [branch.path for branch in names.matching("MET_*").values()] == []


def test_two_that_would_have_one_name_have_none(tmp_path):
    odd = {"a": ak.Array([{"b_c": 1.0}] * 2), "a_b": ak.Array([{"c": 2.0}] * 2)}
    path = records(tmp_path / "a.root", **odd)
    with pytest.raises(ReadError, match="no branch 'a_b_c'"):
        next(fj.iterate(path, "a_b_c"))
    (batch,) = fj.iterate(path, ["a_b.c", "a.b_c"])
    assert {name: values.tolist() for name, values in batch.flat.items()} == {
        "a_b.c": [2.0, 2.0],
        "a.b_c": [1.0, 1.0],
    }
