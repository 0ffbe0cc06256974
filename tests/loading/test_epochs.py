"""The arithmetic of an epoch: sizes, shares, lanes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastjag import Range
from fastjag.loading.epochs import Laps, Sizes, divides, shares
from fastjag.loading.lanes import lanes_of, runs_of

LANES = st.lists(st.integers(0, 50), min_size=1, max_size=30)


class TestSizes:
    @given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 12))
    def test_every_event_once_and_ranks_alike(self, n, size, ranks):
        try:
            sizes = Sizes.of(n, size, ranks, False)
        except ValueError:
            assert n < ranks or size == 1
            return
        each = [sizes[i] for i in range(len(sizes))]
        assert sum(each) == sizes.n_events == n
        assert len(sizes) % ranks == 0
        assert min(each) > 0
        assert max(each) <= size
        assert all(one == size for one in each[: sizes.full])
        assert max(each[sizes.full :], default=0) - min(each[sizes.full :], default=0) <= 1
        assert len(sizes) - sizes.full <= 2 * ranks
        for step in (1, 2, ranks):
            assert sizes.every(step - 1, step).tolist() == each[step - 1 :: step]

    @given(st.integers(0, 5000), st.integers(1, 64), st.integers(1, 12))
    def test_without_the_last(self, n, size, ranks):
        if n < size * ranks:
            with pytest.raises(ValueError, match=r"there are .* events, and none of the"):
                Sizes.of(n, size, ranks, True)
            return
        sizes = Sizes.of(n, size, ranks, True)
        assert {sizes[i] for i in range(len(sizes))} == {size}
        assert 0 <= n - sizes.n_events < size * ranks

    def test_less_events_than_ranks(self):
        with pytest.raises(
            ValueError, match=r"3 events in batches of 10 are not enough .* 4 ranks"
        ):
            Sizes.of(3, 10, 4, False)


class TestShares:
    @given(LANES, st.lists(st.floats(0, 1), max_size=20))
    def test_exact_rising_and_in_proportion(self, lanes, places):
        whole = sum(lanes)
        totals = np.array([0, *sorted(int(p * whole) for p in places), whole])
        found = shares(lanes, totals)
        assert found.sum(axis=1).tolist() == totals.tolist()
        assert (np.diff(found, axis=0) >= 0).all()
        assert found[-1].tolist() == lanes
        fair = np.array(lanes) * (totals[:, None] / max(1, whole))
        assert np.abs(found - fair).max() < 2.5

    def test_laps(self):
        laps = Laps(np.full(100, 10), np.array([300, 700]), 30)
        assert len(laps) == 4
        assert laps.edges.tolist() == [0, 25, 50, 75, 100]
        assert laps.quotas.tolist() == [[0, 0], [75, 175], [150, 350], [225, 525], [300, 700]]
        assert laps.lap_of(np.array([0, 24, 25, 99])).tolist() == [0, 0, 1, 3]


@st.composite
def pieces(draw):
    """Ranges of files with clusters, some of one data set."""
    found = []
    for f in range(draw(st.integers(1, 8))):
        clusters = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
        edges = [0, *np.cumsum(clusters).tolist()]
        found += [Range(f"d{f % 3}", f"f{f}", "t", a, b) for a, b in pairwise(edges)]
    return found


def entries(segments):
    return [(s.run, i) for s in segments for i in range(s.start, s.stop)]


class TestLanes:
    @given(pieces(), st.integers(1, 3), st.integers(1, 20), st.data())
    def test_every_entry_in_one_lane(self, ranges, n_sets, wanted, data):
        runs = runs_of(ranges)
        n = sum(map(len, runs))
        inner = data.draw(st.lists(st.integers(0, n), min_size=n_sets - 1, max_size=n_sets - 1))
        per_set = np.diff([0, *sorted(inner), n]).tolist()
        sets = lanes_of(runs, per_set, wanted)
        assert [sum(map(len, lanes)) for lanes in sets] == per_set
        lanes = [lane for own in sets for lane in own]
        seen = sorted(e for lane in lanes for e in entries(lane.segments))
        assert seen == [(i, e) for i, run in enumerate(runs) for e in range(run.start, run.stop)]
        for lane in lanes:
            assert len({runs[s.run].dataset for s in lane.segments}) == 1
            turned = lane.from_place(runs, data.draw(st.floats(0, 0.999)), data.draw(st.booleans()))
            places = [
                0,
                *sorted(data.draw(st.lists(st.integers(0, len(lane)), max_size=4))),
                len(lane),
            ]
            cut = list(turned.cut(places))
            assert [len(entries(one)) for one in cut] == np.diff(places).tolist()
            assert sorted(e for one in cut for e in entries(one)) == sorted(entries(lane.segments))

    def test_lanes_begin_at_clusters(self):
        runs = runs_of([Range("d", "f", "t", i * 100, i * 100 + 100) for i in range(20)])
        (lanes,) = lanes_of(runs, [2000], 8)
        assert len(lanes) == 8
        assert all(s.start % 100 == 0 for lane in lanes for s in lane.segments)

    def test_each_file_has_lanes_of_its_own(self):
        runs = runs_of([Range("d", f"f{i}", "t", 0, 100 + i) for i in range(6)])
        (lanes,) = lanes_of(runs, [sum(map(len, runs))], 12)
        assert sorted({s.run for lane in lanes for s in lane.segments}) == list(range(6))
        assert all(len({s.run for s in lane.segments}) == 1 for lane in lanes)
        assert len(lanes) == 12

    def test_entries_that_are_given_twice(self):
        ranges = [
            Range("d", "f", "t", 0, 10),
            Range("d", "g", "t", 0, 9),
            Range("d", "f", "t", 9, 20),
        ]
        with pytest.raises(
            ValueError,
            match="f:t: ranges 0 to 10 and 9 to 20 of dataset 'd' have entries in common",
        ):
            runs_of(ranges)


@pytest.mark.parametrize("parts", [{"ranks": 5}, {"ranks": 2, "workers": 4}])
def test_parts_that_do_not_divide_the_streams(parts):
    with pytest.raises(
        ValueError, match=r"do not divide the 12 streams .* accepted are 1, 2, 3, 4, 6, 12 in all"
    ):
        divides(12, **parts)
    divides(12, ranks=2, workers=6)
