"""Events that are kept in memory or a folder, and selections."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from loading.seen import LITTLE, RaggedSeen, Seen, WideSeen, write

import fastjag as fj
from fastjag import kernels
from fastjag.io import ReadError
from fastjag.loading.counting import Chosen


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    return [write(folder / "a.root", 0, 2000, 1), write(folder / "b.root", 2000, 1250, 0)]


def ids(batches):
    return [batch["id"].tolist() for batch in batches]


def same(one, other):
    for batch, alike in zip(one, other, strict=True):
        assert set(batch) == set(alike)
        for name, values in batch.items():
            assert values.dtype == alike[name].dtype
            assert values.flags.c_contiguous
            np.testing.assert_array_equal(values, alike[name])


@pytest.mark.parametrize("seen", [Seen, WideSeen, RaggedSeen])
def test_global_is_an_exact_permutation(files, seen):
    loader = fj.loader(files, seen(), batch_size=100, shuffle="global", seed=4)
    epochs = [ids(loader) for _ in range(2)]
    for epoch in epochs:
        assert [len(b) for b in epoch] == [100] * 32 + [50]
        assert sorted(sum(epoch, [])) == list(range(3250))  # noqa: RUF017
    assert epochs[0] != epochs[1]
    words = np.random.default_rng([4, 0, 0, 1]).bit_generator.random_raw(3250)
    expected = kernels.permutation(words)
    assert np.concatenate(epochs[0]).tolist() == expected.tolist()


@pytest.mark.parametrize("shuffle", [None, "global"])
def test_a_cache_has_the_same_events(files, tmp_path, shuffle):
    plain = fj.loader(files, Seen(), batch_size=100, shuffle=shuffle)
    for _ in range(2):  # made, and found
        cached = fj.loader(files, Seen(), batch_size=100, shuffle=shuffle, cache=tmp_path)
        same(cached, plain)
        plain.set_epoch(0)


def test_a_cache_is_read_side_by_side(files, tmp_path):
    loader = fj.loader(files, Seen(), batch_size=100, memory=LITTLE, cache=tmp_path)
    batches = list(loader)
    assert sorted(n for b in batches for n in b["id"]) == list(range(3250))
    labels = np.array([b["label"].mean() for b in batches[:-1]])
    assert labels.min() > 0.3
    assert labels.max() < 0.95
    assert len(loader.plan.sets[0].laps) > 5


def test_no_file_is_opened_behind_a_cache(files, tmp_path, monkeypatch):
    first = fj.loader(files, Seen(), batch_size=100, cache=tmp_path)
    monkeypatch.setattr("fastjag.loading.files.Reader", None)
    assert len(list(first)) == 33


class TestDamage:
    def cached(self, files, tmp_path):
        fj.loader(files, Seen(), batch_size=100, cache=tmp_path)
        (path,) = tmp_path.glob("*/events.bin")
        return path

    def test_a_flipped_bit(self, files, tmp_path):
        path = self.cached(files, tmp_path)
        data = bytearray(path.read_bytes())
        data[12345] ^= 4
        path.write_bytes(data)
        with pytest.raises(ReadError, match=r"events\.bin: is damaged"):
            fj.loader(files, Seen(), batch_size=100, cache=tmp_path)

    def test_a_file_cut_short(self, files, tmp_path):
        path = self.cached(files, tmp_path)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ReadError, match=r"events\.bin: is damaged"):
            fj.loader(files, Seen(), batch_size=100, cache=tmp_path)

    def test_an_error_leaves_nothing(self, files, tmp_path):
        class Broken(Seen):
            def tensors(self, rows, out=None):
                if rows["id"][0] > 1000:
                    raise RuntimeError("no tensors today")
                return super().tensors(rows)

        with pytest.raises(RuntimeError, match="no tensors today"):
            fj.loader(files, Broken(), batch_size=100, cache=tmp_path)
        assert not list(tmp_path.glob("*/*"))

    def test_ragged_groups(self, files, tmp_path):
        with pytest.raises(ValueError, match="ragged groups have no place in a cache"):
            fj.loader(files, RaggedSeen(), cache=tmp_path)


def test_caches_of_other_inputs_and_data(files, tmp_path):
    class Other(Seen):
        digest = "another"

    for given, seen in ((files, Seen()), (files[:1], Seen()), (files, Other())):
        fj.loader(given, seen, cache=tmp_path)
    assert len(list(tmp_path.glob("*/cache.json"))) == 3
    record = json.loads(next(tmp_path.glob("*/cache.json")).read_text())
    assert record["n_events"] in (2000, 3250)


def test_two_at_once(files, tmp_path):
    found = []

    def load():
        found.append(ids(fj.loader(files, Seen(), batch_size=100, cache=tmp_path)))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("seen", [Seen, RaggedSeen])
def test_too_little_memory_for_all(files, seen):
    with pytest.raises(
        ValueError, match=r"all 3,250 events take .* bytes, more than memory=50,000: give"
    ):
        fj.loader(files, seen(), batch_size=10, shuffle="global", memory=50_000)


class TestSelections:
    def inputs(self, selection):
        jets = fj.particles("Jet", ["pt", "eta"], width=3)
        return fj.Inputs.of(jets, selection=selection, observers=["id", "label"])

    @pytest.mark.parametrize("shuffle", [None, "buffer", "global"])
    def test_batches_are_full(self, files, shuffle):
        loader = fj.loader(
            files, self.inputs("id % 3 == 0"), batch_size=100, shuffle=shuffle, memory=100_000
        )
        batches = list(loader)
        assert [b.n_events for b in batches] == [100] * 10 + [84]
        found = np.concatenate([b["id"] for b in batches])
        assert np.sort(found).tolist() == list(range(0, 3250, 3))
        if shuffle is None:
            assert (np.diff(found) == 3).all()

    def test_nothing_is_selected(self, files):
        with pytest.raises(ValueError, match="there are no events: the selection keeps none"):
            fj.loader(files, self.inputs("id < 0"))

    def test_survivors(self):
        rng = np.random.default_rng(3)
        for n in (0, 1, 7, 65_536, 200_000):
            kept = rng.random(n) < 0.3
            chosen = Chosen(11, kept)
            where = np.flatnonzero(kept) + 11
            assert len(chosen) == len(where)
            some = [0, len(where) // 3, max(0, len(where) - 1)] if len(where) else []
            assert chosen.entries(some) == where[some].tolist()
            assert chosen.entry(len(where)) == 11 + n


class TestSkipping:
    def damaged(self, tmp_path):
        """Two files; of one the last basket of a branch is lost."""
        import uproot

        path = write(tmp_path / "a.root", 0, 2000, 1)
        other = write(tmp_path / "b.root", 2000, 1000, 0)
        with uproot.open(path) as file:
            key = file["Events"]["Jet_eta"].basket_key(4)
            place = key.fSeekKey + key.fKeylen
        data = bytearray(Path(path).read_bytes())
        data[place : place + 40] = bytes(40)
        Path(path).write_bytes(data)
        return [path, other]

    @pytest.mark.parametrize("shuffle", ["buffer", "global"])
    def test_the_rest_is_given_once(self, tmp_path, shuffle):
        loader = fj.loader(
            self.damaged(tmp_path),
            Seen(),
            batch_size=100,
            memory=160_000,
            shuffle=shuffle,
            on_error="skip",
        )
        found = [n for b in loader for n in b["id"].tolist()]
        assert len(set(found)) == len(found)
        assert set(range(2000, 3000)) <= set(found)
        assert not set(range(1600, 2000)) <= set(found)
        assert loader.skipped
        assert all("a.root" in s.file for s in loader.skipped)
        for n_events in (b.n_events for b in loader):
            assert 0 < n_events <= 100

    def test_raised_otherwise(self, tmp_path):
        loader = fj.loader(self.damaged(tmp_path), Seen(), batch_size=100, memory=160_000)
        with pytest.raises(ReadError, match=r"a\.root:Events: .*Jet_eta"):
            list(loader)

    def test_files_that_cannot_be_opened(self, files, tmp_path):
        broken = tmp_path / "c.root"
        broken.write_bytes(b"no ROOT file")
        loader = fj.loader([*files, str(broken)], Seen(), batch_size=100, on_error="skip")
        assert loader.n_events == 3250
        assert [Path(s.file).name for s in loader.skipped] == ["c.root"]
