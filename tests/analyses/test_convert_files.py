"""Converted files against plain uproot, column by column, for every real and every odd file."""

import json
import math
from dataclasses import replace

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from plain_uproot import FILES, TREES, assert_plain, plainly

from fastjag.analyses.common import tables
from fastjag.analyses.convert import FORMATS, Pad, convert
from fastjag.datasets import planning
from fastjag.io.reader import Reader


def read_parquet(out, stem):
    table = pq.read_table(out / f"{stem}.parquet")
    for name, column in zip(table.column_names, table.columns, strict=True):
        array, shape, counts = column.combine_chunks(), [len(column)], None
        while str(array.type).startswith("fixed_size_list"):
            shape.append(array.type.list_size)
            array = array.flatten()
        if str(array.type).startswith("large_list"):
            counts = np.diff(array.offsets.to_numpy())
            array, shape = array.flatten(), [-1]
        while str(array.type).startswith("fixed_size_list"):
            shape.append(array.type.list_size)
            array = array.flatten()
        nested = str(array.type).startswith("large_list")
        yield name, counts, array if nested else array.to_numpy(zero_copy_only=False).reshape(shape)


def datasets(group):
    for item in group.values():
        if isinstance(item, h5py.Group):
            yield from datasets(item)
        else:
            yield item.attrs.get("name", item.name.removeprefix("/")), item[()]


def read(out, stem, format):
    """{column: (numbers of particles or None, values)}."""
    if format == "parquet":
        return {name: (counts, values) for name, counts, values in read_parquet(out, stem)}
    collections = json.loads((out / "convert.json").read_text())["collections"].values()
    offsets = {c["offsets"] for c in collections}
    if format == "hdf5":
        with h5py.File(out / f"{stem}.h5") as file:
            found = dict(datasets(file))
        counts = {name: np.diff(found.pop(name)) for name in offsets if name}
    else:
        shards = []
        for path in sorted(out.glob(f"{stem}-*.npz")):
            with np.load(path) as shard:
                shards.append({name: shard[name] for name in shard.files})
        counts = {name: np.concatenate([np.diff(s.pop(name)) for s in shards])
                  for name in offsets if name}  # fmt: skip
        assert all(set(s) == set(shards[0]) for s in shards)
        found = {name: np.concatenate([s[name] for s in shards]) for name in shards[0]}
    lists = {b: counts[c["offsets"]] for c in collections if c["offsets"] for b in c["columns"]}
    return {name: (lists.get(name), values) for name, values in found.items()}


@pytest.mark.parametrize("file", FILES)
def test_every_column_of_every_file(real_data, tmp_path, monkeypatch, file):
    path = str(real_data.parent / f"{file}.root")
    with uproot.open(path) as opened:
        trees = [k.split(";")[0] for k, c in opened.classnames().items() if c in TREES]
    original, most = Reader.__init__, math.inf

    def first_events(self, *arguments):
        original(self, *arguments)
        self.n_entries = min(self.n_entries, most)

    monkeypatch.setattr(Reader, "__init__", first_events)
    looked = planning.look

    def first_entries(*arguments):
        facts = looked(*arguments)
        return replace(facts, n_entries=min(facts.n_entries, most))

    monkeypatch.setattr(planning, "look", first_entries)
    for tree in dict.fromkeys(trees):
        most = math.inf
        reader = Reader(path, tree, None)
        with reader.file:
            n = reader.n_entries
            fits = {k: b for k, b in reader.stored.items() if not isinstance(b.kind, TypeError)}
            expected = plainly(fits, reader)
            scales = {k: reader.schema.scale(k) for k in fits}
            paths, stored = set(reader.names.by_path), {reader.stored[k].path for k in fits}
        if not fits or not n:
            continue
        if len(fits) > 300:  # opening one of these takes seconds
            steps = [(7, 14, ("hdf5",)), ("100 MB", math.inf, ("parquet",))]
        else:
            steps = [(1, 20, FORMATS), (7, 49, FORMATS), ("100 MB", math.inf, FORMATS)]
            steps += [(1000, math.inf, ("hdf5",))] if n > 1000 else []
        for step, most, formats in steps:
            for format in formats:
                out = tmp_path / f"{tree.replace('/', '_')}-{step}-{format}"
                result = convert([(path, tree)], out, format=format, step=step, progress=False)
                (stem,) = result.events
                assert result.events[stem] == min(n, most)
                found = read(out, stem, format)
                nested = {name for name, (counts, values) in expected.items()
                          if counts is not None and not isinstance(values, np.ndarray)}  # fmt: skip
                left_out = {b.branch for b in result.left_out}
                assert left_out & set(expected) == (set() if format == "parquet" else nested)
                assert stored | (left_out - nested) == paths
                there = {k: v for k, v in expected.items() if k not in left_out}
                record = json.loads((out / "convert.json").read_text())
                assert [b["branch"] for b in record["left_out"]] == [
                    b.branch for b in result.left_out
                ]
                derived = {c["counts"] for c in record["collections"].values()} - {None}
                assert set(found) == set(there) | derived
                assert not derived & set(there)
                compare(found, there, scales, min(n, most), record["collections"])


def compare(found, expected, scales, n, collections):
    for name, (counts, values) in expected.items():
        got_counts, got = found[name]
        assert (counts is None) == (got_counts is None), name
        if counts is not None:
            np.testing.assert_array_equal(got_counts, counts[:n], err_msg=name)
        values = values[: n if counts is None else counts[:n].sum()]
        assert_plain(got, values, scales[name], name)
    for collection in collections.values():
        if collection["counts"] is not None:
            _, counts = found[collection["counts"]]
            np.testing.assert_array_equal(counts, expected[collection["columns"][0]][0][:n])


ODD = ["file", "allow_pickle", "nA", "A_x", "A_y", "A_offsets", "A_counts", "n", "e1", "e1_x", "x.npy",
       "self", "kwds"]  # fmt: skip


@pytest.fixture
def odd(tmp_path):
    """A file whose branches are called like what convert adds, or arguments of functions."""
    path = tmp_path / "odd.root"
    rng = np.random.default_rng(1)
    columns = {name: rng.random(20) for name in ODD if not name.startswith("A_")}
    columns |= {name: [rng.random(i % 3).tolist() for i in range(20)] for name in ("A_x", "A_y")}
    columns |= {name: rng.random(20) for name in ("A_offsets", "A_counts")}
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", columns)
    return path, columns


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("pad", [{}, {"A": Pad(2)}], ids=["jagged", "padded"])
def test_nothing_overwrites_a_branch(odd, tmp_path, format, pad):
    path, columns = odd
    convert(path, tmp_path / "out", format=format, pad=pad, step=7)
    found = read(tmp_path / "out", "odd", format)
    lengths = [i % 3 for i in range(20)]
    for name, values in columns.items():
        got = found[name][1]
        if name not in ("A_x", "A_y"):
            np.testing.assert_array_equal(got, values)
        elif pad:
            np.testing.assert_array_equal(got, [[*v, 0.0, 0.0][:2] for v in values])
        else:
            np.testing.assert_array_equal(got, np.concatenate(values))
            assert found[name][0].tolist() == lengths
    if pad:
        assert found["A_counts_"][1].tolist() == lengths
    assert set(found) == {*columns, *(["A_counts_"] if pad else [])}


def test_names_in_hdf5():
    names = ["a", "a/b", "a_b", "c/d", "c/e/f", "c/e", "/x", "y/", "u//v", ".", "z/.", "n\0m", "p.q",
             "..", "r/..", ""]  # fmt: skip
    found = tables._hdf5_names(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert [found[n] for n in ("a", "a/b", "a_b", "c/d", "c/e", "p.q")] == [
        "a", "a_b_", "a_b", "c/d", "c/e", "p.q",
    ]  # fmt: skip
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        for i, name in enumerate(names):
            file.create_dataset(found[name], data=i)
        assert [file[found[name]][()] for name in names] == list(range(len(names)))


def test_an_empty_file_without_the_branch_stops_nothing(tmp_path):
    for name, n, branch in (("a", 0, "other"), ("b", 5, "x"), ("c", 0, "x"), ("d", 3, "x")):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("Events", {branch: "f8"}).extend({branch: np.arange(n, dtype=float)})
    result = convert(tmp_path, tmp_path / "out", columns=["x"], format="npz", step=2)
    assert result.events == {"a": 0, "b": 5, "c": 0, "d": 3}
    assert read(tmp_path / "out", "d", "npz")["x"][1].tolist() == [0, 1, 2]


def test_two_trees_of_one_file(cases, tmp_path):
    path = cases / "faults" / "two.root"
    result = convert([(path, "Other"), (path, "Events;1")], tmp_path, format="hdf5")
    assert list(result.events) == ["two-0000", "two-0001"]
    for name, tree in (("two-0000", "Other"), ("two-0001", "Events")):
        with uproot.open(path) as file:
            plain = file[tree].arrays(library="np")
        found = read(tmp_path, name, "hdf5")
        for branch, values in plain.items():
            np.testing.assert_array_equal(found[branch][1], values)
