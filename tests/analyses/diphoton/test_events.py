"""Events: picked, joined, written and read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag import Jagged
from fastjag.analyses.diphoton.events import Events
from fastjag.batch.parts import join, read_part, write_parts


def some_events(n, seed=0):
    random = np.random.default_rng(seed)
    particles = {}
    for kind in ("photon", "jet"):
        counts = random.integers(0, 4, n)
        columns = {
            "pt": random.exponential(40, counts.sum()).astype(np.float32),
            "eta": random.normal(size=counts.sum()),
            "isTightID": random.random(counts.sum()) < 0.5,
            "convType": random.integers(0, 5, counts.sum()).astype(np.int32),
        }
        particles[kind] = Jagged.from_counts(counts, columns)
    flat = {
        "met_et": random.random(n).astype(np.float32),
        "trigP": random.random(n) < 0.5,
        "weight": random.normal(size=n),
        "label": random.integers(0, 2, n),
    }
    return Events(particles, flat, ("gg", "VBF"))


def as_lists(events):
    lists = {name: values.tolist() for name, values in events.flat.items()}
    for kind, jagged in events.particles.items():
        for column in jagged.columns:
            cut = np.split(jagged[column], jagged.offsets[1:-1]) if len(jagged) else []
            lists[kind, column] = [part.tolist() for part in cut]
    return lists


class TestPick:
    @given(st.integers(0, 12), st.data())
    def test_events(self, n, data):
        events = some_events(n)
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
        index = np.flatnonzero(mask)[::-1]
        whole = as_lists(events)
        for key, chosen in ((mask, np.flatnonzero(mask)), (index, index),
                            (slice(1, -1), np.arange(n)[1:-1])):  # fmt: skip
            part = events[key]
            assert len(part) == len(chosen)
            expected = {name: [v[i] for i in chosen] for name, v in whole.items()}
            assert as_lists(part) == expected
            assert part.classes == ("gg", "VBF")

    @given(st.integers(0, 9), st.integers(0, 9))
    def test_concatenate(self, first, second):
        a, b = some_events(first, 1), some_events(second, 2)
        left, right = as_lists(a), as_lists(b)
        joined = as_lists(Events.concatenate([a, b]))
        assert joined == {name: left[name] + right[name] for name in left}

    def test_concatenate_names_what_differs(self):
        events = some_events(3)
        less = Events({"photon": events.particles["photon"]}, events.flat, events.classes)
        with pytest.raises(ValueError, match=r"part 1 .* do not share jet_convType, jet_eta"):
            Events.concatenate([events, less])
        with pytest.raises(ValueError, match="part 1 has classes"):
            Events.concatenate([events, Events(events.particles, events.flat, ("gg", "tt"))])
        with pytest.raises(ValueError, match="at least one"):
            Events.concatenate([])

    def test_of_classes(self):
        """Labelled in the order that is asked for; other classes go."""
        label, weight = np.repeat([0, 1, 2], [50, 20, 30]), np.linspace(-0.2, 1, 100)
        events = Events({}, {"label": label, "weight": weight}, ("a", "b", "c"))
        some = events.of_classes(("c", "a"))
        assert some.classes == ("c", "a")
        assert np.bincount(some.flat["label"]).tolist() == [30, 50]
        assert some.flat["weight"][some.flat["label"] == 0].min() > 0.6


class TestChecks:
    def test_lengths(self):
        with pytest.raises(ValueError, match="weight 3"):
            Events(some_events(2).particles, {"weight": np.ones(3)}, ())

    def test_labels(self):
        with pytest.raises(ValueError, match="from 0 to 2, but there are 2 classes"):
            Events({}, {"label": np.array([0, 2])}, ("a", "b"))
        with pytest.raises(TypeError, match="float64"):
            Events({}, {"label": np.array([0.0])}, ("a",))


class TestParquet:
    @pytest.mark.parametrize("n", [0, 1, 50])
    def test_there_and_back(self, tmp_path, n):
        events = some_events(n)
        events.write(tmp_path / "events.parquet")
        again = Events.read(tmp_path / "events.parquet")
        assert as_lists(again) == as_lists(events)
        assert again.classes == events.classes
        assert {k: v.dtype for k, v in again.flat.items()} == {
            k: v.dtype for k, v in events.flat.items()
        }
        for kind, jagged in events.particles.items():
            for column in jagged.columns:
                assert again.particles[kind][column].dtype == jagged[column].dtype

    def test_lists_are_plain_parquet(self, tmp_path):
        events = some_events(5)
        events.write(tmp_path / "events.parquet")
        table = pq.read_table(tmp_path / "events.parquet")
        assert table["photon_pt"].to_pylist() == as_lists(events)["photon", "pt"]

    def test_foreign_files(self, tmp_path):
        pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=r"x\.parquet: is Parquet, but was not written"):
            Events.read(tmp_path / "x.parquet")

    def test_parts(self, tmp_path):
        events = some_events(7)
        tables = {"a": events[:3].table(), "b": events[3:3].table(), "c": events[3:].table()}
        parts = [part for own in write_parts(str(tmp_path), tables).values() for part in own]
        assert [part.rows for part in parts] == [3, 0, 4]
        assert len(list(tmp_path.iterdir())) == 1
        read = [Events.of_table(read_part(part)) for part in parts]
        assert as_lists(Events.concatenate(read)) == as_lists(events)
        assert join(tmp_path / "all.parquet", parts) == 7
        assert as_lists(Events.read(tmp_path / "all.parquet")) == as_lists(events)
        path = Path(parts[0].path)
        path.write_bytes(path.read_bytes()[:-1])
        read_part(parts[0])
        with pytest.raises(OSError, match=f"{path}: is damaged"):
            join(tmp_path / "again.parquet", parts)
        assert {p.name for p in tmp_path.iterdir()} == {"all.parquet", path.name}
