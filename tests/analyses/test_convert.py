"""Converted files hold what the ROOT files hold, in each format."""

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from toy_samples import joined

import fastjag as fj
from fastjag import toys
from fastjag.analyses.convert import FORMATS, Pad, convert, output_names
from fastjag.io import ReadError

N = 1200
COLUMNS = ["Muon_pt", "Muon_charge", "Muon_tightId", "Jet_pt", "MET_pt", "HLT_Mu17_Mu8", "event"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, N, seed=2, columns=COLUMNS)


def load(out, stem, format):
    """{name: array}; jagged columns as flat content, with the counts of their events."""
    if format == "parquet":
        table = pq.read_table(out / f"{stem}.parquet")
        found = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            array = column.combine_chunks()
            kind = str(array.type)
            if kind.startswith("fixed_size_list"):
                found[name] = array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), -1)
            elif kind.startswith("large_list"):
                found[name] = array.flatten().to_numpy(zero_copy_only=False)
                found[f"{name.split('_')[0]}_counts"] = np.diff(array.offsets.to_numpy())
            else:
                found[name] = array.to_numpy(zero_copy_only=False)
        return found
    if format == "hdf5":
        with h5py.File(out / f"{stem}.h5") as file:
            found = {name: data[()] for name, data in file.items()}
    else:
        shards = [dict(np.load(p)) for p in sorted(out.glob(f"{stem}-????.npz"))]
        found = {name: np.concatenate([s[name] for s in shards])
                 for name in shards[0] if not name.endswith("_offsets")}  # fmt: skip
        for name in shards[0]:
            if name.endswith("_offsets"):
                counts = np.concatenate([np.diff(s[name]) for s in shards])
                found[name] = np.concatenate([[0], np.cumsum(counts)])
    for name in [n for n in found if n.endswith("_offsets")]:
        assert found[name][0] == 0
        found[name.replace("_offsets", "_counts")] = np.diff(found.pop(name))
    return found


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("step", [500, "100 MB"])
class TestContents:
    def test_flat_and_jagged(self, toy, tmp_path, format, step):
        result = convert(toy, tmp_path / "out", format=format, step=step)
        found = load(tmp_path / "out", "toys", format)
        batches = list(fj.iterate(toy, COLUMNS))
        for name in ("MET_pt", "HLT_Mu17_Mu8", "event"):
            assert found[name].dtype == batches[0][name].dtype
            np.testing.assert_array_equal(found[name], batches[0][name])
        for collection in ("Muon", "Jet"):
            counts, columns = joined(batches, collection)
            np.testing.assert_array_equal(found[f"n{collection}"], counts)
            np.testing.assert_array_equal(found[f"{collection}_counts"], counts)
            for column, values in columns.items():
                assert found[f"{collection}_{column}"].dtype == values.dtype
                np.testing.assert_array_equal(found[f"{collection}_{column}"], values)
        assert result.events == {"toys": N}
        assert result.columns == {**dict.fromkeys(COLUMNS, "jagged"), **dict.fromkeys(
            ["MET_pt", "HLT_Mu17_Mu8", "event", "nMuon", "nJet"], "flat")}  # fmt: skip

    def test_padded(self, toy, tmp_path, format, step):
        pad = {"Muon": Pad(2, "pt"), "Jet": Pad(3)}
        numbers = [c for c in COLUMNS if c != "Muon_tightId"]  # which no -1 fits
        convert(toy, tmp_path, format=format, step=step, pad=pad, fill=-1, columns=numbers)
        found = load(tmp_path, "toys", format)
        (batch,) = fj.iterate(toy, numbers)
        assert (batch.Muon.counts > 2).any()
        assert (batch.Muon.counts < 2).any()
        muons = batch.Muon.sort("pt")
        for collection, particles, width in (("Muon", muons, 2), ("Jet", batch.Jet, 3)):
            np.testing.assert_array_equal(found[f"n{collection}"], particles.counts)
            for column in particles.columns:
                values = found[f"{collection}_{column}"]
                assert values.shape == (N, width)
                assert values.dtype == particles[column].dtype
                for event in range(0, N, 37):
                    start = particles.offsets[event]
                    n = min(width, particles.counts[event])
                    expected = particles[column][start : start + n]
                    np.testing.assert_array_equal(values[event, :n], expected)
                    assert (values[event, n:] == -1).all()
        assert "Muon_counts" not in found


class TestFiles:
    @pytest.mark.parametrize("format", FORMATS)
    def test_one_stem_twice(self, tmp_path, format):
        files = []
        for i, n in enumerate((30, 20)):
            (tmp_path / str(i)).mkdir()
            files.append(toys.write(tmp_path / str(i) / "a.root", n, columns=["event", "Muon_pt"]))
        result = convert(files, tmp_path / "out", format=format)
        assert result.events == {"a-0000": 30, "a-0001": 20}
        assert len(load(tmp_path / "out", "a-0001", format)["event"]) == 20
        record = json.loads((tmp_path / "out" / "convert.json").read_text())
        assert record["files"] == {"a-0000": str(files[0]), "a-0001": str(files[1])}
        assert record["format"] == format

    @pytest.mark.parametrize("format", FORMATS)
    def test_skipped_and_empty_files(self, tmp_path, toy, format):
        (tmp_path / "bad.root").write_text("no ROOT file")
        toys.write(tmp_path / "empty.root", 0, columns=COLUMNS)
        files = [tmp_path / "bad.root", tmp_path / "empty.root", toy]
        result = convert(files, tmp_path / "out", format=format, on_error="skip")
        assert [s.file for s in result.skipped] == [str(tmp_path / "bad.root")]
        assert result.events == {"bad": 0, "empty": 0, "toys": N}
        stems = {p.name.split(".")[0].split("-")[0] for p in (tmp_path / "out").iterdir()}
        assert stems == {"convert", "toys"}  # no file without events

    def test_collections_that_begin_alike(self, tmp_path):
        """Their offsets must not be taken for those of one collection."""
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mkrntuple("Events", {"A": [[1], []], "AB_x": [[1.0, 2.0], [3.0]]})  # fmt: skip
        convert(path, tmp_path / "out", format="npz")
        found = np.load(tmp_path / "out" / "a-0000.npz")
        assert found["A"].tolist() == [1]
        assert found["A_offsets"].tolist() == [0, 1, 1]
        assert found["AB_offsets"].tolist() == [0, 2, 3]


class TestErrors:
    @pytest.mark.parametrize("format", FORMATS)
    def test_a_late_error_leaves_nothing(self, tmp_path, toy, format):
        (tmp_path / "bad.root").write_text("no ROOT file")
        with pytest.raises(ReadError, match=r"bad\.root"):
            convert([toy, tmp_path / "bad.root"], tmp_path / "out", format=format)
        assert not (tmp_path / "out").exists()

    def test_no_events(self, tmp_path):
        path = toys.write(tmp_path / "empty.root", 0, columns=COLUMNS)
        with pytest.raises(ValueError, match="the files hold no events"):
            convert(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_arguments(self, tmp_path, toy):
        out = tmp_path / "out"
        with pytest.raises(ValueError, match="format must be 'parquet' or 'hdf5' or 'npz', got"):
            convert(toy, out, format="csv")
        with pytest.raises(ValueError, match=r"toys\.root: no collection 'Muons'.*'Muon'"):
            convert(toy, out, pad={"Muons": Pad(3)})
        with pytest.raises(KeyError, match="pz"):
            convert(toy, out, pad={"Muon": Pad(3, "pz")})
        with pytest.raises(ReadError, match="no branch 'Muon_ptt'"):
            convert(toy, out, columns=["Muon_ptt"])
        assert not out.exists()

    def test_fill_that_a_column_cannot_hold(self, tmp_path, toy):
        convert(toy, tmp_path, columns=["Muon_pt", "Muon_tightId"], pad={"Muon": Pad(3)}, fill=-1)
        table = pq.read_table(tmp_path / f"{toy.stem}.parquet")
        assert str(table.schema.field("Muon_tightId").type).startswith("fixed_size_list<")
        flags = np.stack(table["Muon_tightId"].to_numpy())
        assert flags.dtype == np.float32
        assert set(np.unique(flags)) <= {-1, 0, 1}
        assert (flags == -1).any()

    def test_earlier_shards_go(self, tmp_path, toy):
        (tmp_path / "mine.npz").write_bytes(b"not of a conversion")
        for step in (2000, 5000):
            convert(toy, tmp_path, columns=["Muon_pt"], format="npz", step=step)
        listed = json.loads((tmp_path / "convert.json").read_text())["outputs"]
        assert listed == sorted(p.name for p in tmp_path.glob(f"{toy.stem}-*.npz"))
        events = sum(len(np.load(tmp_path / name)["nMuon"]) for name in listed)
        assert events == next(iter(fj.iterate(toy, "nMuon", step=10**9))).source.stop
        assert (tmp_path / "mine.npz").exists()

    def test_pad(self):
        assert Pad.parse("Muon=5") == ("Muon", Pad(5))
        assert Pad.parse("Muon=5:pt") == ("Muon", Pad(5, "pt"))
        for text in ("Muon", "=5", "Muon=", "Muon=0", "Muon=-1", "Muon=x", "Muon=1.5", "Muon=²",
                     "Muon=٣", "Muon=5:", "Muon= 5", "Muon=5 ", "Muon=1_0", f"Muon={'9' * 5000}",
                     "Muon=5=pt", "Muon=+5", "", "=", "Muon=000"):  # fmt: skip
            with pytest.raises(ValueError, match="pad must read like Muon=5 or Muon=5:pt, got"):
                Pad.parse(text)
        assert Pad.parse_all(["A=1", "B=02:x"]) == {"A": Pad(1), "B": Pad(2, "x")}
        with pytest.raises(ValueError, match="pad names Muon more than once: 'Muon=5:pt'"):
            Pad.parse_all(["Muon=3", "Jet=1", "Muon=5:pt"])


class TestNames:
    @pytest.mark.parametrize(("paths", "names"), [
        (["a.root"], ["a"]),
        (["d/a.ROOT", "a.b.root"], ["a", "a.b"]),
        (["AOD.1._000001.pool.root.1", "b.root.12"], ["AOD.1._000001", "b"]),
        (["a.pool.root.1", "a.pool.root.2"], ["a-0000", "a-0001"]),
        (["1/x.root", "2/x.root"], ["x-0000", "x-0001"]),
        (["1/x.root", "2/X.root", "y.root"], ["x-0000", "X-0001", "y"]),
        (["1/x.root", "2/x.root", "x-0001.root"], ["x-0000", "x-0004", "x-0001"]),
        (["1/x.root", "2/x.root", "X-0001.root", "3/x-0000.root"],
         ["x-0004", "x-0005", "X-0001", "x-0000"]),
        (["1/x-0001.root", "2/x-0001.root", "x.root"], ["x-0001-0000", "x-0001-0001", "x"]),
        (["1/\u00e9.root", "2/e\u0301.root"], ["\u00e9-0000", "e\u0301-0001"]),
        (["1/\u00df.root", "2/ss.root"], ["\u00df-0000", "ss-0001"]),
        (["https://host/a/x.root?token=a/b.root#c", "root://host:1094//store/y.root"], ["x", "y"]),
        (["https://host/a%20b%2Fc.root", "https://host/"], ["a b_c", "file"]),
        ([".root", "1/.hidden.root", "..root"], ["file-0000", "hidden", "file-0002"]),
        (["x.dat", "1/x"], ["x-0000", "x-0001"]),
    ])  # fmt: skip
    def test_distinct(self, paths, names):
        assert output_names(paths) == names

    def test_long(self):
        long = "é" * 120
        names = output_names([f"{long}{i}.root" for i in range(3)])
        assert len(set(names)) == 3
        assert all(len(f"{name}-12345.parquet".encode()) <= 255 for name in names)

    @pytest.mark.parametrize("format", FORMATS)
    def test_before_a_byte_is_read(self, tmp_path, format):
        """Files whose names would have met only after all the work."""
        files = {}
        for i, name in enumerate(("x.root", "X.root", "x-0001.root", "x-0000.pool.root.1")):
            (tmp_path / str(i)).mkdir()
            path = toys.write(tmp_path / str(i) / name, 3 + i, columns=["event", "Muon_pt"])
            files[str(path)] = 3 + i
        convert(list(files), tmp_path / "out", format=format)
        record = json.loads((tmp_path / "out" / "convert.json").read_text())
        assert {path: record["events"][name] for name, path in record["files"].items()} == files
        for name, path in record["files"].items():
            assert len(load(tmp_path / "out", name, format)["event"]) == files[path]
