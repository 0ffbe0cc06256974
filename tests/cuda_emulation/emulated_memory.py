"""Memory of the emulated device: buffers that are freed with the last array that looks at them, and
what of them has been written."""

import ctypes
import math
import weakref

import _cuda_emulated as emulation
import numpy as np
from numpy.lib.array_utils import byte_bounds

limit = 2**34  # bytes that the device has
used = 0
device = 0  # the current one: where new buffers go
#: How often the host waited for the device, and how many kernels CuPy launched (those of fastjag:
#: ``emulation.launched``).
happened = {"waits": 0, "launches": 0}
_buffers = weakref.WeakValueDictionary()


class OutOfMemoryError(MemoryError):
    """Of the device."""


class Buffer:
    """Memory of a device, freed with the last array that looks at it."""

    def __init__(self, nbytes):
        global used
        if used + nbytes > limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {nbytes:,} bytes (allocated so far: {used:,} bytes)."
            )
        self.address = emulation.allocate(nbytes, False) if nbytes else 0
        self.nbytes, self.device = nbytes, device
        used += nbytes
        if nbytes:
            _buffers[self.address] = self

    def __del__(self, release=emulation.free):
        global used
        if getattr(self, "address", 0) and used is not None:  # None: at the end of the process
            used -= self.nbytes
            release(self.address)

    def array(self, shape, dtype):
        """A NumPy array over the whole of it: the host's view, which nobody but this file has."""
        if not self.nbytes:
            return np.empty(shape, dtype)
        raw = (ctypes.c_uint8 * self.nbytes).from_address(self.address)
        return np.ndarray(shape, dtype, buffer=raw)


def device_of(address):
    """The device whose memory this is; that of no memory at all is the current one."""
    for start, buffer in _buffers.items():
        if start <= address < start + buffer.nbytes:
            return buffer.device
    return device


def pieces(values):
    """(flat index of the first element, address, bytes) of what lies in one piece."""
    if not values.size:
        return
    if values.flags.c_contiguous:
        yield 0, values.__array_interface__["data"][0], values.nbytes
        return
    inner = math.prod(values.shape[1:])
    for i in range(len(values)):
        for index, address, nbytes in pieces(values[i, ...]):
            yield i * inner + index, address, nbytes


def unwritten(values):
    """Flat index of the first element that was never written, None if all were."""
    if not values.size:
        return None
    low, high = byte_bounds(values)
    if emulation.unwritten(low, 0, high - low) < 0:  # the quick answer, gaps included
        return None
    for index, address, nbytes in pieces(values):
        hole = emulation.unwritten(address, 0, nbytes)
        if hole >= 0:
            return index + hole // values.itemsize
    return None


def written(values):
    """Now they are."""
    for _, address, nbytes in pieces(values):
        emulation.mark_written(address, 0, nbytes)
