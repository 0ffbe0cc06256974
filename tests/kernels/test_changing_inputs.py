"""Inputs that another thread changes between counting and filling: an error, never a write beyond.

Counting and filling are called one by one here, with different inputs, so that it happens every time.
"""

import signal
import time
from contextlib import nullcontext

import numpy as np
import pytest
from on_device import moved

import fastjag as fj
from fastjag.kernels import reference
from fastjag.kernels.gpu import device_of

CHANGED = "changed while they were read: another thread writes into them"
GUARD = 64  # entries behind an output that nobody may touch


class Output:
    """An output with what lies behind it."""

    def __init__(self, n, dtype, device):
        self.all = moved(np.full(n + GUARD, 77, dtype), device)
        self.array = self.all[:n]

    def untouched(self):
        return bool((moved(self.all, "cpu")[-GUARD:] == 77).all())


def events(long):
    """Short events, and long ones that GPUs treat otherwise."""
    rng = np.random.default_rng(5)
    offsets = np.r_[0, np.cumsum(rng.integers(0, 9, 300))]
    return np.r_[offsets, offsets[-1] + np.arange(1, 4) * 1100] if long else offsets


def changes(mask):
    """Other masks: all, none, one more and one less, bytes that are no bools."""
    true, false = np.flatnonzero(mask), np.flatnonzero(~mask)
    yield np.ones_like(mask)
    yield np.zeros_like(mask)
    for place in (false[0], false[-1], true[0], true[-1]):
        other = mask.copy()
        other[place] ^= True
        yield other


@pytest.mark.parametrize("long", [False, True])
class TestSecondPass:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    def test_keep(self, long, dtype):
        offsets = events(long)
        n = int(offsets[-1])
        mask = np.random.default_rng(1).random(n) < 0.6
        values = np.arange(n).astype(dtype)
        bounds = fj.kernels.select(offsets, mask)
        place = device_of(offsets=offsets)
        for other in changes(mask):
            out = Output(int(bounds[-1]), dtype, "cpu")
            with pytest.raises(RuntimeError, match=CHANGED), place.second_pass(3) as where:
                place.kernels.compact(offsets, other, bounds, values, out.array, where)
            assert out.untouched()

    def test_bytes_that_are_no_bools_count_once(self, long):
        """As another thread may write them after they were checked."""
        offsets = events(long)
        mask = np.random.default_rng(1).integers(0, 256, int(offsets[-1])).astype("u1")
        bounds, (found,) = fj.kernels.keep(offsets, mask.view(bool), [np.arange(len(mask))])
        assert bounds[-1] <= len(mask)
        assert (np.diff(found) > 0).all()

    @pytest.mark.parametrize("charge", [0, 1, 2])
    def test_all_pairs(self, device, long, charge):
        offsets = np.array([0, 3, 60, 60, 130, 270]) if long else events(long)[:300]
        n = int(offsets[-1])
        rng = np.random.default_rng(2)
        there = moved(offsets, device)
        place = device_of(offsets=there)
        charges, mask = rng.choice(np.array([-1, 1], "i4"), n), rng.random(n) < 0.6
        columns = [moved(rng.normal(size=n), device) for _ in range(3)]

        def counted(charges, mask):
            bounds = place.empty(len(offsets), np.int64)
            given = moved(charges, device), moved(mask, device)
            scratch = place.scratch("dimuon", len(offsets) - 1, n)
            where = place.where(3, scratch=scratch)
            place.kernels.dimuon_count(there, columns[0], *given, charge, 1, bounds, None, where)
            place.add_up(bounds)
            return bounds, scratch

        bounds, scratch = counted(charges, mask)
        others = [(charges, other) for other in changes(mask)]
        others += [(np.abs(charges), mask), (np.zeros_like(charges), mask)] if charge else []
        tried = 0
        for other in others:
            n_pairs = [np.diff(moved(b, "cpu")) for b in (bounds, counted(*other)[0])]
            if device == "cuda":  # where there was no pair, it does not look again
                n_pairs[1][n_pairs[0] == 0] = 0
            if np.array_equal(*n_pairs):
                continue  # as many pairs of every event: nothing to be seen
            outs = [Output(int(bounds[-1]), dtype, device) for dtype in ("i8", "i8", "i8", "f8")]
            event, first, second, mass = (out.array for out in outs)
            given = [moved(a, device) for a in other]
            error = pytest.raises(RuntimeError, match=CHANGED)
            with error, place.second_pass(3, scratch) as where:
                place.kernels.dimuon(
                    there, *columns, *given, 0.1, charge, 1, bounds, None, event, first, second,
                    None, mass, *[None] * 7, where,
                )  # fmt: skip
            assert all(out.untouched() for out in outs)
            tried += 1
        assert tried >= 3

    @pytest.mark.parametrize("charge", [0, 1, 2])
    def test_all_pairs_of_what_nobody_changes(self, device, long, charge):
        """Masks as the kernels see them; on a GPU, fj.dimuon picks what passes before."""
        offsets = np.array([0, 3, 60, 60, 130, 270]) if long else events(long)[:60]
        n = int(offsets[-1])
        rng = np.random.default_rng(4)
        charges, mask = rng.choice(np.array([-1, 0, 1], "i4"), n), rng.random(n) < 0.6
        there = [moved(a, device) for a in (offsets, rng.normal(size=n), charges, mask)]
        place = device_of(offsets=there[0])
        bounds, scratch = (
            place.empty(len(offsets), np.int64),
            place.scratch("dimuon", len(offsets) - 1, n),
        )
        bounds_of, pt, *given = there
        where = place.where(3, scratch=scratch)
        place.kernels.dimuon_count(bounds_of, pt, *given, charge, 1, bounds, None, where)
        place.add_up(bounds)
        first, second = (place.empty(int(bounds[-1]), np.int64) for _ in "ij")
        with place.second_pass(3, scratch) as where:
            place.kernels.dimuon(
                bounds_of, pt, pt, pt, *given, 0.1, charge, 1, bounds, None, None, first, second,
                None, None, *[None] * 7, where,
            )  # fmt: skip
        rule = ("any", "opposite", "same")[charge]
        pairs = reference.pair_indices(offsets, np.ones(n), charges, rule, "all", mask)
        expected = [(i, j) for _, i, j in pairs]
        assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected

    def test_leading_pair(self, device, long):
        """One that is too far behind to be noted in a byte: a CPU chooses it again, a GPU does not."""
        offsets = np.array([0, 40, 80]) if long else np.array([0, 20, 40])
        n = int(offsets[-1])
        there = moved(offsets, device)
        place = device_of(offsets=there)
        pt = moved(np.arange(n, dtype=float), device)
        charges = np.where(np.arange(n) % 2, 1, -1).astype("i4")
        counted, scratch = place.empty(3, np.int64), place.scratch("dimuon", 2, n)
        choice = place.empty(2, np.uint8) if place.is_cpu else None
        where = place.where(1, scratch=scratch)
        place.kernels.dimuon_count(
            there, pt, moved(charges, device), None, 1, 0, counted, choice, where
        )
        place.add_up(counted)
        assert counted.tolist() == [0, 1, 2]
        for other, mask in ((np.abs(charges), None), (charges, np.zeros(n, bool))):
            first, second = (Output(2, np.int64, device) for _ in "ij")
            error = pytest.raises(RuntimeError, match=CHANGED) if place.is_cpu else nullcontext()
            with error, place.second_pass(1, scratch) as where:
                place.kernels.dimuon(
                    there, pt, pt, pt, moved(other, device),
                    None if mask is None else moved(mask, device), 0.1, 1, 0, counted, choice,
                    None, first.array, second.array, None, None, *[None] * 7, where,
                )  # fmt: skip
            assert first.untouched()
            assert second.untouched()
            if not place.is_cpu:
                assert first.array.tolist() == [n // 2 - 1, n - 1]
                assert second.array.tolist() == [n // 2 - 2, n - 2]

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_cones(self, device, long, dtype):
        rng = np.random.default_rng(3)
        left, right = (
            np.arange(0, 21, 5),
            np.array([0, 9, 9, 40, 1200 if long else 104]),
        )  # 64 in the last one
        eta, phi = (moved(rng.normal(size=20).astype(dtype), device) for _ in "ep")
        others = [moved(rng.normal(size=int(right[-1])).astype(dtype), device) for _ in "ep"]
        place = device_of(eta=eta)
        radius = moved(np.full(20, 0.8), device)
        counted, again = place.empty(21, np.int64), place.zeros(1, np.int32)
        scratch = place.scratch("in_cone", 20, int(right[-1]))
        left, right = moved(left, device), moved(right, device)
        sides = left, eta, phi, right
        where = place.where(3, changed=again, scratch=scratch)
        place.kernels.in_cone(*sides, *others, radius, counted, None, None, where)
        place.add_up(counted)
        n = int(counted[-1])
        expected = fj.kernels.in_cone(sides[:3], (right, *others), radius)[1].tolist()
        assert len(expected) == n
        # Of up to 64 right particles a GPU has noted which ones are inside.
        noted = not place.is_cpu and not long
        assert place.is_cpu or int(again[0]) == long
        for change in (0.0, 1e3, 0.5):
            moved_eta = others[0] * 0 if change == 0 else others[0] + change
            index, delta_r = Output(n, np.int64, device), Output(n, dtype, device)
            error = nullcontext() if noted else pytest.raises(RuntimeError, match=CHANGED)
            with error, place.second_pass(3, scratch) as where:
                place.kernels.in_cone(*sides, moved_eta, others[1], radius, counted, index.array,
                                      delta_r.array, where)  # fmt: skip
            assert index.untouched()
            assert delta_r.untouched()
            assert not noted or index.array.tolist() == expected


@pytest.mark.parametrize("moves", range(5))
@pytest.mark.parametrize("n_right", [100, 1200])  # on a GPU: too many to be noted, for a warp each
def test_the_cone_of_one_particle_changes(device, n_right, moves):
    left, right = (moved(np.array([0, n]), device) for n in (5, n_right))
    etas = [np.zeros(5), np.zeros(5)]
    etas[1][moves] = 1e3
    radius, others = moved(np.ones(5), device), moved(np.zeros(n_right), device)
    place = device_of(radius=radius)
    counted, scratch = place.empty(6, np.int64), place.scratch("in_cone", 5, n_right)
    arguments = [
        (left, moved(eta, device), moved(np.zeros(5), device), right, others, others, radius)
        for eta in etas
    ]
    where = place.where(1, scratch=scratch)
    place.kernels.in_cone(*arguments[0], counted, None, None, where)
    place.add_up(counted)
    assert counted.tolist() == [k * n_right for k in range(6)]
    index, delta_r = (Output(5 * n_right, dtype, device) for dtype in ("i8", "f8"))
    with pytest.raises(RuntimeError, match=CHANGED), place.second_pass(1, scratch) as where:
        place.kernels.in_cone(*arguments[1], counted, index.array, delta_r.array, where)
    assert index.untouched()
    assert delta_r.untouched()


@pytest.mark.parametrize("n", [3, 20, 1000])
def test_order_is_one_whatever_the_keys_do(n):
    """Sorted while another thread writes into the keys, every place is still taken once."""
    import threading

    events = 30_000 // n
    offsets = np.arange(events + 1) * n
    key = np.random.default_rng(6).normal(size=offsets[-1]).astype("f4")
    running = True

    def write():
        while running:
            np.negative(key, out=key)
            key[::3] = np.nan
            key[::3] = 1.0

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(30):
            order = fj.kernels.order(offsets, key).reshape(events, n)
            assert (np.sort(order, axis=1) == np.arange(events * n).reshape(events, n)).all()
    finally:
        running = False
        thread.join()


class Rung(Exception):
    """What the handler of the alarm raises."""


@pytest.fixture
def alarm():
    """A signal in 0.3 s, whose handler raises Rung."""

    def ring(*_):
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def one_event(n):
    column = np.linspace(-3, 3, n)
    return fj.Jagged([0, n], {"pt": column, "eta": column, "phi": column,
                              "charge": np.ones(n, "i4")})  # fmt: skip


def many_events(n, size):
    column = np.tile(np.linspace(-3, 3, size), n)
    return fj.Jagged(np.arange(n + 1) * size, {"eta": column, "phi": column})


def long_gram(threads):
    rng = np.random.default_rng(7)
    sets = fj.Jagged(np.arange(0, 2_000_001, 400), {k: rng.random(2_000_000) for k in "ab"})
    match = fj.PyramidMatch(9, {"a": (0, 1), "b": (0, 1)})
    return match.gram(sets, threads=threads)


LONG = {
    "cones of one event": lambda t: fj.in_cone(*[one_event(400_000)] * 2, 1e-9, threads=t),
    "nearest of one event": lambda t: fj.nearest(*[one_event(400_000)] * 2, threads=t),
    "cones": lambda t: fj.in_cone(*[many_events(2_000, 5_000)] * 2, 1e-9, threads=t),
    "pairs": lambda t: fj.dimuon(one_event(300_000), "opposite", pairs="all", threads=t),
    "sort": lambda t: fj.kernels.order(
        np.array([0, 2**24]), np.arange(2.0**24) % 999983, threads=t
    ),
    "gram": long_gram,
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", LONG)
def test_signals_are_answered(alarm, name, threads):
    """A handler that raises, as that of Ctrl-C does, ends a call that would take many seconds."""
    started = time.monotonic()
    with pytest.raises(Rung):
        LONG[name](threads)
    assert time.monotonic() - started < 6  # on a busy machine; a second elsewhere


def test_handlers_that_raise_nothing_do_not_matter():
    rings = []
    before = signal.signal(signal.SIGALRM, lambda *_: rings.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.05)
        found = fj.nearest(*[one_event(20_000)] * 2, threads=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found[0].tolist() == list(range(20_000))
