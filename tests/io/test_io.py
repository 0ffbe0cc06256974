"""Reading in batches: which files, columns and entries, in which form, and what stays behind."""

import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import uproot
from toy_samples import KINEMATICS, joined, same_jagged

import fastjag as fj
from fastjag import toys
from fastjag.io import ReadError, Source, write_events
from fastjag.io.files import find_files
from fastjag.schemas import NANOAOD

N = 5000
COLUMNS = [*KINEMATICS, "Muon_tightId", "Jet_pt", "MET_pt", "HLT_Mu17_Mu8", "event"]


@pytest.fixture(scope="module")
def events():
    """What the files of ``toy`` hold."""
    return next(toys.generate(N, seed=3, columns=COLUMNS))


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def toy(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.root"
    return toys.write(path, N, seed=3, columns=COLUMNS, format=request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files of 300, 200 and 100 events."""
    path = tmp_path_factory.mktemp("folder")
    for i, n in enumerate((300, 200, 100)):
        toys.write(path / f"part{i}.root", n, seed=i, columns=["Muon_pt", "event"])
    (path / "notes.txt").write_text("no ROOT file")
    return path


def write_tree(path, branches, name="Events"):
    with uproot.recreate(path) as file:
        file.mktree(name, {k: v.dtype for k, v in branches.items()})
        file[name].extend(branches)
    return path


class TestBatches:
    def test_collections_and_event_branches(self, toy, events):
        (batch,) = fj.iterate(toy, COLUMNS)
        assert len(batch) == N
        assert set(batch.collections) == {"Muon", "Jet"}
        same_jagged(batch.Muon, events["Muon"])
        same_jagged(batch.Jet, events["Jet"])
        for name in ("MET_pt", "HLT_Mu17_Mu8", "event"):
            assert batch[name].dtype == events[name].dtype
            np.testing.assert_array_equal(batch[name], events[name])
        assert batch.source == Source(str(toy), "Events", 0, N)
        assert str(batch.source) == f"{toy}:Events[0:{N}]"
        assert repr(batch).startswith("<Batch of 5000 events: Muon (")

    def test_types_are_native_and_as_stored(self, toy):
        (batch,) = fj.iterate(toy, [*COLUMNS, "nMuon"])
        found = {c: batch.Muon[c].dtype for c in batch.Muon.columns}
        assert found == {
            c: np.dtype(t)
            for c, t in {"pt": "=f4", "eta": "=f4", "phi": "=f4", "charge": "=i4", "tightId": "?"}.items()
        }  # fmt: skip
        assert batch["HLT_Mu17_Mu8"].dtype == bool
        assert batch["event"].dtype == np.dtype("=u8")
        for values in [*batch.flat.values(), *(batch.Muon[c] for c in batch.Muon.columns)]:
            assert values.dtype.isnative
            assert values.flags.c_contiguous
        assert batch["nMuon"].dtype.kind in "iu"
        np.testing.assert_array_equal(batch["nMuon"], batch.Muon.counts)

    @pytest.mark.parametrize(
        "columns", ["Muon_pt", ["Muon_pt"], ("Muon_pt",), {"Muon_pt": 1}.keys()]
    )
    def test_one_column(self, toy, columns):
        (batch,) = fj.iterate(toy, columns)
        assert batch.Muon.columns == ("pt",)
        assert not batch.flat

    def test_patterns(self, toy):
        (batch,) = fj.iterate(toy, ["Muon_p*", "HLT_*"])
        assert set(batch.Muon.columns) == {"pt", "phi"}
        assert set(batch.flat) == {"HLT_Mu17_Mu8"}

    def test_everything_by_default(self, toy):
        (batch,) = fj.iterate(toy)
        assert {f"{n}_{c}" for n, j in batch.collections.items() for c in j.columns} | set(
            batch.flat
        ) >= set(COLUMNS)
        assert set(batch.flat) - {"nMuon", "nJet"} == {"MET_pt", "HLT_Mu17_Mu8", "event"}

    def test_names_that_were_not_read(self, toy):
        (batch,) = fj.iterate(toy, ["Muon_pt", "MET_pt"])
        with pytest.raises(
            AttributeError, match=r"no collection or branch 'Muons'.* did you mean 'Muon'"
        ):
            _ = batch.Muons
        with pytest.raises(KeyError, match=r"no branch 'MET_pr'.* did you mean 'MET_pt'"):
            _ = batch["MET_pr"]
        assert not hasattr(batch, "__cuda_array_interface__")

    def test_default_leaves_out_what_no_array_holds(self, tmp_path):
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mkrntuple("Events", {"x": np.arange(3.0), "name": ["a", "bb", ""],
                                      "names": [["a"], [], ["b", "b"]], "y": [[1], [], [2]],
                                      "deep": [[[1.0]], [], [[2.0], [3.0]]]})  # fmt: skip
        (batch,) = fj.iterate(path)
        assert set(batch.flat) == {"x", "name"}
        assert set(batch.collections) == {"y", "deep"}
        assert batch["name"].tolist() == ["a", "bb", ""]
        np.testing.assert_array_equal(batch.y["y"], [1, 2])
        for name in ("names",):  # asked for by name they are an error
            with pytest.raises(ReadError, match=rf"{path}:Events: .*{name}.* accepted are numbers"):
                list(fj.iterate(path, name))

    def test_dots_group_as_prefixes_do(self, tmp_path):
        """As the branches of Delphes and of containers that a schema does not name."""
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mktree("Events", {"n_jets": "i4"})
            file["Events"].extend({"n_jets": np.arange(3, dtype="i4")})
        assert NANOAOD.split("Jet_A.PT") == ("Jet_A", "PT")
        assert NANOAOD.split("Jet_pt") == ("Jet", "pt")
        assert NANOAOD.split("weights") == ("weights", "")
        (batch,) = fj.iterate(path)  # one number per event is no collection, whatever its name
        np.testing.assert_array_equal(batch["n_jets"], [0, 1, 2])

    def test_one_collection_has_one_length(self, tmp_path):
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mkrntuple("Events", {"A_x": [[1.0], [2.0]], "A_y": [[1.0], [2.0, 3.0]]})
        for columns in (None, ["A_x", "A_y"], "A_y"):
            (batch,) = fj.iterate(path, columns)
            assert batch.A_y["A_y"].tolist() == [1, 2, 3]
            assert batch.A_y.counts.tolist() == [1, 2]
        (batch,) = fj.iterate(path, ["A_y", "A_x"])
        assert batch.A["x"].tolist() == [1, 2]


class TestSteps:
    # Baskets and clusters of these files end elsewhere.
    @pytest.mark.parametrize("step", [7, 499, 777, N - 1, N, 10 * N, "20 kB", "1.5 MB", "9 KiB"])
    @pytest.mark.parametrize("prefetch", [True, False])
    def test_batches_add_up(self, toy, events, step, prefetch):
        columns = ["Muon_pt", "Muon_charge", "MET_pt"]
        batches = list(fj.iterate(toy, columns, step=step, prefetch=prefetch))
        starts = [b.source.start for b in batches]
        stops = [b.source.stop for b in batches]
        assert starts == [0, *stops[:-1]]
        assert stops[-1] == N
        if isinstance(step, int):
            assert all(len(b) == step for b in batches[:-1])
        counts, found = joined(batches)
        np.testing.assert_array_equal(counts, events["Muon"].counts)
        for column, values in found.items():
            np.testing.assert_array_equal(values, events["Muon"][column])
        np.testing.assert_array_equal(np.concatenate([b["MET_pt"] for b in batches]), events["MET_pt"])  # fmt: skip
        assert all(b.Muon.offsets[0] == 0 for b in batches)

    def test_baskets_of_several_sizes(self, tmp_path):
        rng = np.random.default_rng(1)
        x, path = rng.normal(size=1000), tmp_path / "a.root"
        with uproot.recreate(path) as file:
            tree = file.mktree("Events", {"x": "f8", "y": "i4"})
            for start, stop in ((0, 300), (300, 301), (301, 970), (970, 1000)):
                part = slice(start, stop)
                tree.extend({"x": x[part], "y": np.arange(start, stop, dtype="i4")})
        for step in (64, 300, 301, 999):
            batches = list(fj.iterate(path, step=step))
            np.testing.assert_array_equal(np.concatenate([b["x"] for b in batches]), x)
            np.testing.assert_array_equal(np.concatenate([b["y"] for b in batches]), range(1000))

    def test_size_is_that_in_memory(self, toy):
        sizes = [b.nbytes for b in fj.iterate(toy, KINEMATICS, step="30 kB")]
        assert len(sizes) > 3
        assert 0.3 * 30_000 < np.median(sizes) < 3 * 30_000

    @pytest.mark.parametrize("step", [0, -1, True, "0 MB", "100", "many", "1 XB", ""])
    def test_bad_steps(self, toy, step):
        with pytest.raises(ValueError, match=r"step must be a .*number of events or a size"):
            fj.iterate(toy, step=step)

    def test_bad_on_error(self, toy):
        with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', got 'ignore'"):
            fj.iterate(toy, on_error="ignore")


class TestFiles:
    def events_of(self, files, **options):
        return [len(b) for b in fj.iterate(files, "Muon_pt", **options)]

    def test_directory_glob_list(self, folder):
        assert self.events_of(folder) == [300, 200, 100]
        assert self.events_of(str(folder)) == [300, 200, 100]
        assert self.events_of(f"{folder}/part[12].root") == [200, 100]
        assert self.events_of(f"{folder}/**/part0.root") == [300]
        assert self.events_of([folder / "part2.root", f"{folder}/part0.root"]) == [100, 300]
        assert self.events_of(iter([folder / "part1.root"])) == [200]

    def test_tree_in_the_name(self, folder, monkeypatch):
        assert self.events_of(f"{folder}/part1.root:Events") == [200]
        assert self.events_of([f"{folder}/part*.root:Events"]) == [300, 200, 100]
        assert find_files("a.root:dir/tree") == [("a.root", "dir/tree")]
        assert find_files("a.root") == [("a.root", None)]
        monkeypatch.setattr("fastjag.io.files.find_spec", lambda name: object())  # of XRootD
        assert find_files("root://host:1094//a/b.root:Events") == [
            ("root://host:1094//a/b.root", "Events")
        ]

    def test_batches_never_cross_files(self, folder):
        batches = list(fj.iterate(folder, "event", step=150))
        assert [len(b) for b in batches] == [150, 150, 150, 50, 100]
        assert [b.source.file.rsplit("/")[-1][4] for b in batches] == list("00112")
        assert [b.source.start for b in batches] == [0, 150, 0, 150, 0]
        assert sum(len(b) for b in batches) == 600

    def test_the_iterator_counts(self, folder):
        batches = fj.iterate(folder, "event")
        next(batches)
        assert batches.n_events == 300
        assert len(list(batches)) == 2
        assert batches.n_events == 600
        assert list(batches) == []
        assert batches.skipped == []

    def test_several_trees(self, tmp_path):
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            for name in ("one", "two"):
                file.mktree(name, {"x": "f4"})
                file[name].extend({"x": np.full(3, len(name), "f4")})
        with pytest.raises(ReadError, match=r"a\.root: name one of its trees: one, two"):
            list(fj.iterate(path))
        (batch,) = fj.iterate(f"{path}:two")
        assert batch.source.tree == "two"

    def test_one_tree_of_any_name(self, tmp_path):
        path = write_tree(tmp_path / "a.root", {"x": np.arange(4.0)}, "whatever")
        (batch,) = fj.iterate(path)
        np.testing.assert_array_equal(batch["x"], np.arange(4.0))


class TestLeavingEarly:
    @pytest.fixture
    def opened(self, monkeypatch):
        """The files that are open. uproot opens them anew for each read: it has to be asked."""
        sources, uproot_open = [], uproot.open

        def spy(*args, **options):
            file = uproot_open(*args, **options)
            sources.append(file.file.source)  # the file itself is emptied when it is closed
            return file

        monkeypatch.setattr(uproot, "open", spy)
        return lambda: [source.file_path for source in sources if not source.closed]

    @staticmethod
    def threads():
        return [t.name for t in threading.enumerate() if t.name.startswith("fastjag-read")]

    @pytest.mark.parametrize("prefetch", [True, False])
    def test_break(self, folder, opened, prefetch):
        for batch in fj.iterate(folder, "event", step=10, prefetch=prefetch):
            assert len(batch) == 10
            assert len(opened()) == 1
            assert len(self.threads()) == prefetch
            break
        assert self.threads() == opened() == []

    @pytest.mark.parametrize("prefetch", [True, False])
    @pytest.mark.parametrize("started", [True, False])
    def test_close(self, folder, opened, prefetch, started):
        batches = fj.iterate(folder, "event", step=10, prefetch=prefetch)
        if started:
            next(batches)
            assert len(opened()) == 1
        batches.close()
        assert self.threads() == opened() == []
        assert list(batches) == []

    def test_the_end(self, folder, opened):
        batches = fj.iterate(folder, "event")
        assert len(list(batches)) == 3
        assert self.threads() == opened() == []

    @pytest.mark.parametrize("prefetch", [True, False])
    def test_error_in_the_loop(self, folder, opened, prefetch):
        batches = fj.iterate(folder, "event", step=10, prefetch=prefetch)

        def fail():
            for _ in batches:
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        batches.close()
        assert self.threads() == opened() == []

    @pytest.mark.parametrize("columns", ["nothing", "event"])
    def test_error_of_the_file(self, folder, opened, columns):
        with pytest.raises(ReadError):
            list(fj.iterate([f"{folder}/part0.root:Event", f"{folder}/part1.root"], columns))
        with pytest.raises(ReadError):
            list(fj.iterate(folder, ["nothing", columns]))
        assert self.threads() == opened() == []


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """Files of 9 MB in memory: all 25 at once would be 225 MB."""
    path = toys.write(tmp_path / "toys.root", 100_000, seed=1, columns=KINEMATICS)
    for i in range(25):
        shutil.copy(path, tmp_path / f"{i}.root")
    code = """
import sys
import fastjag as fj
seen = sum(b.Muon.n_particles for b in fj.iterate(sys.argv[1:], "Muon_*", step="1 MB"))
# The high-water mark of this process alone; that of getrusage would include its parent's.
mark = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seen, mark.split()[1])
"""
    results = []
    for n in (5, 25):
        files = [str(tmp_path / f"{i}.root") for i in range(n)]
        done = subprocess.check_output([sys.executable, "-c", code, *files], text=True)
        results.append([int(x) for x in done.split()])
    (few, memory_few), (many, memory_many) = results
    assert many == 5 * few
    assert memory_many < 1.05 * memory_few + 4096


class TestWriteEvents:
    MUONS = fj.Jagged(
        [0, 2, 2, 3],
        {"pt": np.array([1, 2, 3], np.float32), "charge": np.array([1, -1, 1], np.int32),
         "tightId": np.array([True, False, True])},
    )  # fmt: skip

    @pytest.mark.parametrize("compression", ["lz4", "zstd", "zlib", "none"])
    def test_what_is_written_is_read(self, tmp_path, compression):
        batch = {"Muon": self.MUONS, "MET_pt": np.arange(3, dtype=np.float32)}
        path = write_events(tmp_path / "x.root", [batch, batch], compression=compression)
        (back,) = fj.iterate(str(path))
        np.testing.assert_array_equal(back.Muon.offsets, [0, 2, 2, 3, 5, 5, 6])
        for name in self.MUONS.columns:
            np.testing.assert_array_equal(back.Muon[name], np.tile(self.MUONS[name], 2))
            assert back.Muon[name].dtype == self.MUONS[name].dtype
        np.testing.assert_array_equal(back["MET_pt"], [0, 1, 2, 0, 1, 2])

    def test_nothing_half_written(self, tmp_path):
        def batches():
            yield {"Muon": self.MUONS}
            raise RuntimeError("stopped")

        (tmp_path / "x.root").write_text("before")
        with pytest.raises(RuntimeError, match="stopped"):
            write_events(tmp_path / "x.root", batches())
        with pytest.raises(ValueError, match="no events to write"):
            write_events(tmp_path / "x.root", [])
        assert [p.name for p in tmp_path.iterdir()] == ["x.root"]
        assert (tmp_path / "x.root").read_text() == "before"
