"""Memory of batches: used again, and never while somebody looks into it."""

import gc

import numpy as np
import pytest
from loading.seen import LITTLE, Seen, WideSeen, write

import fastjag as fj
from fastjag.loading.blocks import Blocks, Slices

LIKE = {"Jet": np.zeros((1, 3, 2), np.float32), "mask": np.zeros((1, 3), bool), "id": np.zeros(1)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("blocks") / "a.root", 0, 3050)


def address(array):
    return array.__array_interface__["data"][0]


def test_tensors_of_a_block():
    block = Blocks(LIKE, 5, 2).new()
    assert {n: (v.dtype, v.shape) for n, v in block.items()} == {
        "Jet": (np.float32, (5, 3, 2)), "mask": (np.bool_, (5, 3)), "id": (np.float64, (5,)),
    }  # fmt: skip
    assert all(address(v) % 64 == 0 and v.flags.c_contiguous for v in block.values())
    for number, values in enumerate(block.values()):
        values[...] = number % 2
    assert [v.min() for v in block.values()] == [v.max() for v in block.values()] == [0, 1, 0]


def test_memory_comes_back_with_its_last_array():
    blocks = Blocks(LIKE, 5, 2)
    block = blocks.new()
    first, seen = address(block["Jet"]), block["mask"][1:3]
    del block
    gc.collect()
    other = blocks.new()
    assert address(other["Jet"]) != first
    del seen
    assert address(blocks.new()["Jet"]) == first


def test_no_more_is_kept_than_was_asked_for():
    blocks = Blocks(LIKE, 5, 2)
    many = [blocks.new() for _ in range(4)]
    there = {address(block["Jet"]) for block in many}
    del many
    again = [blocks.new() for _ in range(2)]
    assert {address(block["Jet"]) for block in again} <= there
    assert not blocks._memory.free


class TestSlices:
    def test_arrays_have_memory_of_their_own(self):
        slices = Slices()
        shapes = [(5000,), (3, 7000), (1 << 20,), (1 << 21, 2), (2, 1025), (0, 3), (4,)] * 3
        arrays = [slices.empty(shape, np.float32) for shape in shapes]
        for number, values in enumerate(arrays):
            values[...] = number
        for number, (values, shape) in enumerate(zip(arrays, shapes, strict=True)):
            assert (values.dtype, values.shape) == (np.float32, shape)
            assert values.flags.c_contiguous
            assert values.flags.writeable
            assert (values == number).all()
        assert all(address(values) % 64 == 0 for values in arrays if 4096 < values.nbytes < 1 << 23)

    def test_memory_comes_back_with_its_last_array(self):
        slices = Slices()
        size = 6 << 20  # two in a piece
        one, other, third = (slices.empty((size,), np.uint8) for _ in range(3))
        first = address(one)
        assert address(other) == first + size
        del one
        held = other[5:6]
        del other
        assert first not in [address(slices.empty((size,), np.uint8)) for _ in range(4)]
        del held
        assert first in [address(slices.empty((size,), np.uint8)) for _ in range(2)]
        del third

    def test_objects_are_none_of_it(self):
        assert Slices().empty((5000,), object)[0] is None


@pytest.mark.parametrize("how", [{"memory": LITTLE}, {"shuffle": "global"}])
def test_batches_that_are_held_stay_as_they_are(file, how):
    """Also of earlier laps and epochs, and where others are written into."""
    loader = fj.loader(file, Seen(), batch_size=100, epochs=3, **how)
    held = list(loader)
    loader.set_epoch(0)
    for batch, again in zip(held, loader, strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(values, again[name])
            assert values.flags.writeable
            assert values.flags.c_contiguous
            again[name][...] = 0  # of a batch that is let go


@pytest.mark.parametrize("shuffle", ["buffer", None])
def test_the_order_is_the_same_padded_or_not(file, shuffle):
    """For a seed, whatever inputs see: also in the last batches, which are smaller."""
    orders = [
        [batch["id"].tolist() for batch in fj.loader(
            file, seen(), batch_size=100, memory=1 << 20, shuffle=shuffle, rank=0, world_size=4
        )]
        for seen in (Seen, WideSeen)
    ]  # fmt: skip
    assert orders[0] == orders[1]
    assert {len(ids) for ids in orders[0]} == {100, 63}
