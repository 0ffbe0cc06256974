"""Files of toy events: what other programs read in them, and errors that leave nothing behind."""

import contextlib
import dataclasses
import json
import os

import awkward as ak
import numpy as np
import pytest
import uproot

from fastjag import toys
from fastjag.io import writer
from fastjag.reporting import progress
from fastjag.toys import kinematics


class TestFiles:
    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    @pytest.mark.parametrize("compression", ["none", "lz4"])
    def test_a_file_has_what_generate_gives(self, tmp_path, format, compression):
        path = toys.write(
            tmp_path / "toys.root", 2000, seed=3, format=format, compression=compression
        )
        assert [p.name for p in tmp_path.iterdir()] == ["toys.root"]
        (expected,) = toys.generate(2000, seed=3)
        with uproot.open(path) as file:
            events = file["Events"]
            arrays = events.arrays()
            for name, dtype in toys.BRANCHES.items():
                group, _, field = name.partition("_")
                if group in ("Muon", "Jet"):
                    np.testing.assert_array_equal(ak.num(arrays[name]), expected[group].counts)
                    values = ak.to_numpy(ak.flatten(arrays[name]))
                    np.testing.assert_array_equal(values, expected[group][field])
                else:
                    values = ak.to_numpy(arrays[name])
                    np.testing.assert_array_equal(values, expected[name])
                assert values.dtype == dtype, name
            for group in ("Muon", "Jet"):
                np.testing.assert_array_equal(arrays[f"n{group}"], expected[group].counts)
            if format == "ttree":
                assert set(events.keys()) == {*toys.BRANCHES, "nMuon", "nJet"}
                leaf = events["Muon_pt"].member("fLeaves")[0].member("fLeafCount")
                assert leaf.member("fName") == "nMuon"

    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    def test_several_chunks(self, tmp_path, format):
        n = toys.CHUNK + 100
        path = toys.write(
            tmp_path / "a.root", n, seed=3, columns=["Muon_pt", "event"], format=format
        )
        with uproot.open(path) as file:
            arrays = file["Events"].arrays()
        parts = list(toys.generate(n, seed=3, columns=["Muon_pt", "event"]))
        pts = np.concatenate([part["Muon"]["pt"] for part in parts])
        np.testing.assert_array_equal(ak.to_numpy(ak.flatten(arrays["Muon_pt"])), pts)
        np.testing.assert_array_equal(arrays["event"], np.arange(1, n + 1))

    @pytest.mark.parametrize("compression", ["zstd", "zlib"])
    def test_other_compressions(self, tmp_path, compression):
        path = toys.write(tmp_path / "a.root", 50, compression=compression)
        with uproot.open(path) as file:
            assert file.file.compression.name.lower() == compression
            assert file["Events"].num_entries == 50

    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    def test_no_events(self, tmp_path, format):
        path = toys.write(tmp_path / "empty.root", 0, format=format)
        with uproot.open(path) as file:
            assert file["Events"].num_entries == 0
            assert set(file["Events"].keys()) >= set(toys.BRANCHES)

    def test_seed_and_parameters_are_recorded(self, tmp_path):
        p = toys.ToyParameters(signal=0.01)
        path = toys.write(tmp_path / "a.root", 10, seed=7, parameters=p, columns=["event"])
        with uproot.open(path) as file:
            record = json.loads(str(file["fastjag_toys"]))
        assert (record["seed"], record["n_events"], record["columns"]) == (7, 10, ["event"])
        assert record["parameters"]["signal"] == 0.01
        assert record["parameters"] == json.loads(json.dumps(p.to_dict()))

    def test_same_seed_same_bytes_of_data(self, tmp_path):
        paths = [toys.write(tmp_path / f"{i}.root", 500, seed=1) for i in range(2)]
        first, second = (uproot.open(path)["Events"].arrays() for path in paths)
        assert ak.array_equal(first, second)

    @pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
    def test_an_interrupted_write_leaves_nothing(self, tmp_path, monkeypatch, error):
        made = []

        def rows(chunk):
            made.append(sorted(p.name for p in tmp_path.iterdir()))
            if len(made) == 2:
                raise error
            return original(chunk)

        original = writer._branches
        monkeypatch.setattr(writer, "_branches", rows)
        with pytest.raises(type(error)):
            toys.write(tmp_path / "a.root", 3 * toys.CHUNK, columns=["Muon_pt"])
        assert len(made) == 2
        assert made[0][0].startswith(".partial-")
        assert list(tmp_path.iterdir()) == []

    def test_a_failed_write_keeps_the_old_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr(kinematics, "_ROUNDS", 3)
        path = tmp_path / "a.root"
        path.write_text("old")
        with pytest.raises(RuntimeError):
            toys.write(path, 10, parameters=toys.ToyParameters(max_abs_eta=0.0))
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_progress(self, tmp_path, monkeypatch, capsys):
        toys.write(tmp_path / "a.root", 10, columns=["event"])
        assert capsys.readouterr() == ("", "")
        bars = []

        @contextlib.contextmanager
        def bar(description, total, show):
            bars.append((total, []))
            yield bars[-1][1].append

        monkeypatch.setattr(progress, "progress_bar", bar)
        n = toys.CHUNK + 10
        toys.write(tmp_path / "a.root", n, columns=["event"], progress=True)
        assert bars == [(n, [toys.CHUNK, 10])]
        monkeypatch.setattr(progress, "_PATIENCE", -1.0)
        toys.write(tmp_path / "a.root", n, columns=["event"])  # stderr is no terminal here
        monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
        toys.write(tmp_path / "a.root", n, columns=["event"], progress=False)
        assert len(bars) == 1
        toys.write(tmp_path / "a.root", n, columns=["event"])
        assert len(bars) == 2
        monkeypatch.setattr(progress, "_PATIENCE", 60.0)
        toys.write(tmp_path / "a.root", n, columns=["event"])  # over before a bar is of use
        assert len(bars) == 2


class TestErrors:
    @pytest.mark.parametrize("argument", ["n_events", "seed"])
    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [(-1, ValueError, "must be 0 or more"), (1.5, TypeError, "integer"), (True, TypeError, "")],
    )
    def test_numbers(self, tmp_path, argument, value, error, message):
        given = {"n_events": 10, argument: value}
        with pytest.raises(error, match=f"{argument}.*{message}"):
            toys.generate(**given)  # already here, not at the first chunk
        with pytest.raises(error, match=f"{argument}.*{message}"):
            toys.write(tmp_path / "a.root", **given)
        assert list(tmp_path.iterdir()) == []

    def test_columns(self):
        with pytest.raises(ValueError, match=r"unknown column 'pt': did you mean .*'Muon_pt'"):
            toys.generate(10, columns=["pt"])
        with pytest.raises(ValueError, match=r"unknown column 'Muon_ptt': did you mean 'Muon_pt'"):
            toys.generate(10, columns="Muon_ptt")
        with pytest.raises(ValueError, match="at least one"):
            toys.generate(10, columns=[])

    @pytest.mark.parametrize("argument", ["compression", "format"])
    def test_choices(self, tmp_path, argument):
        with pytest.raises(ValueError, match=f"{argument} must be .* got 'lzo'"):
            toys.write(tmp_path / "a.root", 10, **{argument: "lzo"})
        assert list(tmp_path.iterdir()) == []

    def test_paths(self, tmp_path, monkeypatch):
        with pytest.raises(FileNotFoundError, match="no such directory"):
            toys.write(tmp_path / "missing" / "a.root", 10)
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError, match="not a directory"):
            toys.write(tmp_path / "file" / "a.root", 10)
        with pytest.raises(IsADirectoryError, match="name a file in it"):
            toys.write(tmp_path, 10)
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
        with pytest.raises(PermissionError, match="cannot be written"):
            toys.write(tmp_path / "a.root", 10)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"signal": 1.5}, "signal must be within 0 and 1"),
            ({"multiplicity": ()}, "multiplicity must hold fractions"),
            ({"continuum": (toys.Lobe(-1, 1, 1),)}, "continuum must hold fractions"),
            ({"resonances": (toys.Resonance("X", 5, 0.1, 1.2),)}, "not add up to more than 1"),
            ({"jets": -1}, "jets must be within"),
            ({"triggers": ()}, "triggers must be, in this order"),
        ],
    )
    def test_parameters(self, given, message):
        with pytest.raises(ValueError, match=message):
            toys.ToyParameters(**given)

    def test_parameters_are_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            toys.ToyParameters().signal = 0.5
