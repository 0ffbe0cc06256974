"""Lists in the pieces in which they were read: the same as of all in one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loading.seen import RaggedSeen, write

import fastjag as fj
from fastjag.loading.lists import Lists
from fastjag.loading.pools import Pool


def jets(rng, n, dtype="f4"):
    counts = rng.integers(0, 4, n)
    size = int(counts.sum())
    columns = {"pt": rng.random(size).astype(dtype), "id": rng.integers(0, 99, size)}
    return fj.Jagged.from_counts(counts, columns)


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_some_of_the_events(seed, sizes):
    """Parts may have no events, and events no particles; an event may be taken twice."""
    rng = np.random.default_rng(seed)
    parts = [jets(rng, n) for n in sizes]
    assert Lists.can_have(parts)
    lists, whole = Lists(parts), fj.concatenate(parts)
    events = rng.integers(0, len(whole), 7) if len(whole) else np.empty(0, np.int64)
    found = lists.take(events)
    assert fj.equal(found, whole[events])
    assert lists.nbytes == whole["pt"].nbytes + whole["id"].nbytes + whole.offsets.nbytes


def test_what_has_to_be_joined():
    """Columns of other types, names, shapes, and lists of lists."""
    rng = np.random.default_rng(1)
    one = jets(rng, 3)
    n = one.n_particles
    lists = fj.Jagged.from_counts(np.ones(n, int), {"value": np.zeros(n)})
    for other in (
        jets(rng, 3, "f8"), one[["id", "pt"]], one[["pt"]], one.with_columns(x=one["pt"]),
        one.with_columns(pt=np.zeros((n, 2), "f4")), one.with_columns(pt=lists),
    ):  # fmt: skip
        assert not Lists.can_have([one, other])
        assert not Lists.can_have([other, one])
    assert not Lists.can_have([one.with_columns(pt=lists)] * 2)


@pytest.mark.parametrize("same", [True, False])
def test_a_pool_of_files_with_other_types(same):
    """What one type holds is kept; others are made alike, as they were before."""
    rng = np.random.default_rng(2)
    parts = [jets(rng, 5), jets(rng, 4, "f4" if same else "f8"), jets(rng, 3)]
    pool = Pool(RaggedSeen())
    for place, part in ((9, parts[2]), (0, parts[0]), (5, parts[1])):
        pool.put(place, {"Jet": part, "id": np.arange(place, place + len(part))}, "here")
    assert pool.finish() == 12
    events = np.array([11, 0, 4, 5, 8, 9, 0])
    found = pool.take(events)
    assert found["Jet"]["pt"].dtype == ("f4" if same else "f8")
    assert fj.equal(found["Jet"], fj.concatenate(parts)[events])
    assert found["id"].tolist() == events.tolist()


def test_batches_are_of_the_right_events(tmp_path):
    """Over several laps, whose memory is used again: every particle tells its event."""
    path = write(tmp_path / "a.root", 0, 20_000)
    loader = fj.loader(path, RaggedSeen(), batch_size=700, memory=800_000, epochs=2)
    assert len(loader.plan.sets[0].laps.edges) > 4
    held = [(batch, {name: values.copy() for name, values in batch.items()}) for batch in loader]
    for batch, copies in held:
        for name, values in batch.items():
            np.testing.assert_array_equal(values, copies[name])
        counts = np.diff(batch["Jet_offsets"])
        np.testing.assert_array_equal(batch["Jet"], np.repeat(batch["id"], counts))
    for epoch in (0, 1):
        ids = np.concatenate([b["id"] for b, _ in held if b.epoch == epoch])
        assert sorted(ids.tolist()) == list(range(20_000))
