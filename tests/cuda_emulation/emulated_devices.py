"""What the stand-in for CuPy has of cupy.cuda: devices, streams, events, pinned memory, whose memory an address is."""

from types import SimpleNamespace

import emulated_memory
import numpy as np


class Device:
    """One of several GPUs: memory knows its own, and `with` makes one the current."""

    def __init__(self, id=None):
        self.id = emulated_memory.device if id is None else id

    def __enter__(self):
        self._before, emulated_memory.device = emulated_memory.device, self.id
        return self

    def __exit__(self, *error):
        emulated_memory.device = self._before


class Event:
    """A place in a stream: what was launched before it."""

    clock = 0

    def __init__(self, stream):
        Event.clock += 1
        self.stream, self.time, self.launched = stream, Event.clock, stream.launched
        self.host_waited = False

    def synchronize(self):
        self.host_waited = True
        self.stream.run(self.launched)


class Stream:
    """The emulation runs kernels when they are launched; copies wait until somebody asks for them."""

    current = 0

    def __init__(self, ptr=0, non_blocking=False):
        self.ptr = id(self) if non_blocking else ptr
        self.waiting, self.launched, self.waited = [], 0, 0

    def __enter__(self):
        self._before, Stream.current = Stream.current, self.ptr
        return self

    def __exit__(self, *error):
        Stream.current = self._before

    def launch(self, work):
        self.launched += 1
        self.waiting.append((self.launched, work))
        if self.ptr == Stream.current:
            self.synchronize()

    def run(self, until):
        while self.waiting and self.waiting[0][0] <= until:
            self.waiting.pop(0)[1]()

    def synchronize(self):
        self.run(self.launched)

    def record(self):
        return Event(self)

    def wait_event(self, event):
        event.stream.run(event.launched)  # what is launched here next runs at once
        self.waited = max(self.waited, event.time)


class PinnedMemoryPointer(bytearray):
    """Memory of the host from which copies run by themselves."""


def origin(array):
    """What the memory of an array of the host belongs to."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


cuda = SimpleNamespace(
    Device=Device,
    Event=Event,
    Stream=Stream,
    alloc_pinned_memory=PinnedMemoryPointer,
    get_current_stream=lambda: Stream(Stream.current),
    memory=SimpleNamespace(OutOfMemoryError=emulated_memory.OutOfMemoryError),
    runtime=SimpleNamespace(
        pointerGetAttributes=lambda ptr: SimpleNamespace(device=emulated_memory.device_of(ptr))
    ),
)
