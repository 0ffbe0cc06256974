"""What the stand-in for CuPy has of cupy.cuda: devices, streams, whose memory an address is."""

from types import SimpleNamespace

import emulated_memory


class Device:
    """One of several GPUs: memory knows its own, and `with` makes one the current."""

    def __init__(self, id=None):
        self.id = emulated_memory.device if id is None else id

    def __enter__(self):
        self._before, emulated_memory.device = emulated_memory.device, self.id
        return self

    def __exit__(self, *error):
        emulated_memory.device = self._before


class Stream:
    """A stream is its handle: the emulation runs kernels when they are launched."""

    current = 0

    def __init__(self, ptr=0):
        self.ptr = ptr

    def __enter__(self):
        self._before, Stream.current = Stream.current, self.ptr
        return self

    def __exit__(self, *error):
        Stream.current = self._before


cuda = SimpleNamespace(
    Device=Device,
    Stream=Stream,
    get_current_stream=lambda: Stream(Stream.current),
    memory=SimpleNamespace(OutOfMemoryError=emulated_memory.OutOfMemoryError),
    runtime=SimpleNamespace(
        pointerGetAttributes=lambda ptr: SimpleNamespace(device=emulated_memory.device_of(ptr))
    ),
)
