"""Copies ahead of the work on the GPU: nothing is used before it is there, nor overwritten before it was used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastjag import Jagged
from fastjag.core import devices
from fastjag.core.ahead import copied_ahead


def jagged(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, n)
    total = counts.sum()
    return Jagged.from_counts(
        counts, {"pt": rng.random(total), "charge": rng.integers(-1, 2, total, dtype=np.int8)}
    )


def same(a, b):
    assert a.offsets.tobytes() == b.offsets.tobytes()
    for name in b.columns:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes()


def ahead(given):
    return copied_ahead(given, lambda one: one.to("cuda"))


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(0, 50), max_size=6))
def test_values_of_every_size(sizes):
    from on_device import emulated, missing

    if reason := missing("cuda-emulated"):
        pytest.skip(reason)
    with emulated():
        given = [jagged(i, n) for i, n in enumerate(sizes)]
        for moved, one in zip(ahead(given), given, strict=True):
            assert moved.device == "cuda"
            same(moved.to("cpu"), one)


class TestOrder:
    """The stand-in for CuPy copies when somebody waits, as late as a GPU may."""

    def test_the_next_one_is_on_its_way(self, emulation):
        asked = []

        def some():
            for i in range(4):
                asked.append(i)
                yield jagged(i, 10)

        for i, moved in enumerate(ahead(some())):
            assert asked == list(range(min(4, i + 2)))
            same(moved.to("cpu"), jagged(i, 10))

    def test_what_was_not_waited_for_is_seen(self, emulation, monkeypatch):
        from fastjag.core.ahead import _Copier

        monkeypatch.setattr(_Copier, "finish", lambda self, moved, copied: moved)
        pending = ahead([jagged(0, 10), jagged(1, 10)])
        with pytest.raises(AssertionError, match="never written"):
            next(pending).to("cpu")

    def test_pinned_memory_is_filled_again_when_its_copies_have_ended(self, emulation, monkeypatch):
        from fastjag.core.ahead import _Pinned

        waited, fill = [], _Pinned.filled

        def filled(self, array):
            waited.append(None if self.busy is None else self.busy.host_waited)
            return fill(self, array)

        monkeypatch.setattr(_Pinned, "filled", filled)
        assert len(list(ahead([jagged(i, 10) for i in range(5)]))) == 5
        assert waited == [None] * 6 + [True] * 9

    def test_memory_of_the_pool_is_not_written_while_it_may_be_in_use(self, emulation):
        cuda = devices.cupy().cuda
        stream = cuda.Stream(non_blocking=True)
        stream.wait_event(cuda.get_current_stream().record())
        new = devices.empty(3, np.float64)  # after that event
        pinned = np.frombuffer(cuda.alloc_pinned_memory(24), np.float64)
        with pytest.raises(AssertionError, match="may be in use"):
            new.set(pinned, stream=stream)

    def test_one_that_is_not_asked_for(self, emulation):
        """What is on its way is complete before its memory is given back."""
        pending = ahead([jagged(i, 1_000) for i in range(3)])
        next(pending)
        (copier,) = {f.f_locals["copier"] for f in [pending.gi_frame]}
        assert copier._stream.waiting
        pending.close()
        assert not copier._stream.waiting

    def test_an_error_of_what_is_read_comes_through(self, emulation):
        def some():
            yield jagged(0, 10)
            yield jagged(1, 10)
            raise OSError("unplugged")

        pending = ahead(some())
        same(next(pending).to("cpu"), jagged(0, 10))
        with pytest.raises(OSError, match="unplugged"):
            next(pending)

    def test_two_at_a_time(self, emulation):
        """As many as fit: memory of one that was let go of is used again."""
        import emulated_memory

        one = jagged(0, 10_000)
        size = sum(v.nbytes for v in (one.offsets, one["pt"], one["charge"]))
        before = emulated_memory.used
        for moved in ahead([one] * 6):
            del moved
            assert emulated_memory.used - before <= 2 * size + 1024


def test_what_cupy_has_not(emulation):
    with pytest.raises(ValueError, match="Unsupported dtype"):
        next(copied_ahead([np.array(["a"], object)], devices.to_gpu))
