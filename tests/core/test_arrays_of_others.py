"""Arrays of other libraries on a GPU, and of several GPUs."""

import numpy as np
import pytest

import fastjag as fj
from fastjag import kernels
from fastjag.core import devices


def muons():
    return fj.Jagged.from_counts([2, 0, 2], {"pt": np.arange(4) + 0.5, "q": np.ones(4, "i4")})


class Foreign:
    """An array of another library, as torch and numba show theirs."""

    def __init__(self, array):
        self.__cuda_array_interface__ = array.__cuda_array_interface__
        self._alive = array


class ByDlpack:
    """An array of a library that knows DLPack only; its memory is the emulation's."""

    def __init__(self, array):
        self._array, self.streams = array, []

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __dlpack__(self, *, stream, **_):
        self.streams.append(stream)
        return self._array.__dlpack__()


class LikeTorch(ByDlpack):
    """Shows both; its interface is of version 2, which names no stream to wait for."""

    @property
    def __cuda_array_interface__(self):
        interface = self._array.__cuda_array_interface__ | {"version": 2}
        del interface["stream"]
        return interface


class TestArraysOfOthers:
    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4", "f8"])
    def test_cuda_array_interface_is_taken_without_a_copy(self, gpu, dtype):
        values, offsets = gpu.arange(6).astype(dtype), gpu.asarray(np.array([0, 2, 6]))
        jagged = fj.Jagged(Foreign(offsets), {"x": Foreign(values)})
        assert isinstance(jagged["x"], gpu.ndarray)
        assert np.shares_memory(jagged["x"], values)
        assert not np.shares_memory(jagged.offsets, offsets)  # validated: nobody may change them
        assert jagged.offsets.tolist() == [0, 2, 6]

    def test_strided_columns_are_copied(self, gpu):
        values = gpu.arange(12.0)
        for part in (values[::2], values[::-2], values.reshape(6, 2)[:, 1]):
            column = fj.Jagged(gpu.asarray(np.array([0, 6])), {"x": Foreign(part)})["x"]
            assert column.flags.c_contiguous
            assert column.tolist() == part.tolist()

    def test_dlpack(self, emulation):
        xp = devices.cupy()
        values, offsets = xp.arange(6.0), xp.asarray(np.array([0, 2, 6]))
        jagged = fj.Jagged(ByDlpack(offsets), {"x": ByDlpack(values)})
        assert np.shares_memory(jagged["x"], values)
        assert jagged.keep(ByDlpack(values > 1))["x"].tolist() == [2, 3, 4, 5]

    def test_a_library_is_told_which_stream_waits_for_its_own(self, emulation):
        """Its work on the array need not be done: only DLPack orders one stream after another."""
        xp = devices.cupy()
        column, out = LikeTorch(xp.arange(6.0)), LikeTorch(xp.zeros((2, 3)))
        mask = LikeTorch(xp.zeros((2, 3), bool))
        jagged = fj.Jagged(xp.asarray(np.array([0, 2, 6])), {"x": column})
        assert np.shares_memory(jagged["x"], column._array)
        with xp.cuda.Stream(48):
            jagged.with_columns(y=column)
            jagged.pad(3, "x", out=fj.Padded(out, mask))
        assert set(column.streams) == {1, 48}  # 1: the default stream
        assert set(out.streams) == set(mask.streams) == {48}
        assert out._array.tolist() == [[0, 1, 0], [2, 3, 4]]

    def test_padded_is_what_torch_and_xgboost_read(self, gpu):
        """They know arrays on a GPU by this attribute, in version 2 or 3."""
        for array in muons().to("cuda").pad(3, "pt"):
            interface = array.__cuda_array_interface__
            assert interface["shape"] == (3, 3)
            assert interface["version"] in (2, 3)
            assert interface["strides"] is None  # contiguous
            assert np.dtype(interface["typestr"]) == array.dtype

    def test_out_of_another_library(self, gpu):
        jagged = muons().to("cuda")
        values, mask = gpu.zeros((3, 2)), gpu.zeros((3, 2), bool)
        jagged.pad(2, "pt", out=fj.Padded(Foreign(values), Foreign(mask)))
        assert values.tolist() == [[0.5, 1.5], [0, 0], [2.5, 3.5]]
        assert mask.tolist() == [[True, True], [False, False], [True, True]]


class TestSeveralGpus:
    MESSAGE = r"on GPU 1, but the current device is GPU 0: call inside `with cupy.cuda.Device\(1\)"

    def test_another_one_than_the_current(self, emulation):
        xp = devices.cupy()
        with xp.cuda.Device(1):
            jagged = muons().to("cuda")
            assert jagged.sort("pt")["pt"].tolist() == [1.5, 0.5, 3.5, 2.5]
        with pytest.raises(ValueError, match=self.MESSAGE):
            jagged.sort("pt")
        assert jagged.to("cpu")["pt"].tolist() == [0.5, 1.5, 2.5, 3.5]

    @pytest.mark.parametrize("library", [lambda a: a, Foreign, ByDlpack, LikeTorch])
    @pytest.mark.parametrize("step", [1, 2])
    def test_nothing_is_moved_in_silence(self, emulation, library, step):
        xp = devices.cupy()
        with xp.cuda.Device(1):
            offsets, values = xp.asarray(np.array([0, 2])), xp.arange(4.0)[::step][:2]
        with pytest.raises(ValueError, match=self.MESSAGE):
            fj.Jagged(library(offsets), {"x": library(values)})
        with pytest.raises(ValueError, match="got offsets on GPU 0, column 'x' on GPU 1"):
            fj.Jagged(xp.asarray(np.array([0, 2])), {"x": library(values)})
        with pytest.raises(ValueError, match="got offsets on GPU 1, column 'x' on GPU 0"):
            fj.Jagged(library(offsets), {"x": xp.arange(2.0)})
        with xp.cuda.Device(1):
            taken = fj.Jagged(library(offsets), {"x": library(values)})
            assert taken["x"].device.id == taken.offsets.device.id == 1
            assert np.shares_memory(taken["x"], values) == (step == 1)

    @pytest.mark.parametrize("library", [lambda a: a, Foreign, ByDlpack, LikeTorch])
    def test_what_is_written_into(self, emulation, library):
        xp, jagged = devices.cupy(), muons().to("cuda")
        message = "got offsets on GPU 0, columns on GPU 0, out on GPU 1, mask on GPU 0"
        with xp.cuda.Device(1):
            values = library(xp.zeros((3, 2)))
        with pytest.raises(ValueError, match=message):
            jagged.pad(2, "pt", out=fj.Padded(values, xp.zeros((3, 2), bool)))

    def test_offsets_of_results(self, emulation):
        xp = devices.cupy()
        offsets = xp.asarray(np.array([0, 2]))
        with xp.cuda.Device(1):
            bounds, mask = xp.asarray(np.array([0, 1])), xp.asarray(np.array([True, False]))
        with pytest.raises(ValueError, match="out_offsets on GPU 1, values on GPU 0"):
            kernels.gather(offsets[:1], bounds, xp.arange(2.0))
        with pytest.raises(ValueError, match="mask on GPU 1, columns on GPU 0"):
            kernels.keep(offsets, mask, [xp.arange(2.0)])
