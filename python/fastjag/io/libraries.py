"""libdeflate and liblzma, called where they are: in a package's own module or in the system.

``ctypes`` lets go of the GIL during a call, and both write into a buffer that is given to them. Their
interfaces are as old as the libraries: https://github.com/ebiggers/libdeflate/blob/master/libdeflate.h
and https://github.com/tukaani-project/xz/blob/master/src/liblzma/api/lzma/base.h.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from ctypes import c_int, c_size_t, c_uint32, c_uint64, c_void_p
from glob import escape, glob
from importlib import metadata, util
from typing import Any, ClassVar, TypeVar

import numpy as np

# Another copy of the library, which a program has made global (as ROOT does), must not be mixed with it.
# AddressSanitizer, which replaces functions of all libraries, ends programs that ask for that.
_DEEP = 0 if hasattr(ctypes.CDLL(None), "__asan_init") else getattr(os, "RTLD_DEEPBIND", 0)
_MODE = os.RTLD_LOCAL | _DEEP


Library = TypeVar("Library")


class Libdeflate:
    """Decompression of whole DEFLATE and zlib streams. AttributeError if a library is another one."""

    ERRORS = ("", "it is damaged", "it is shorter", "it is longer")

    def __init__(self, library: ctypes.CDLL, owner: str) -> None:
        self.owner = owner
        self._alloc = _function(library, "libdeflate_alloc_decompressor", c_void_p)
        self._free = _function(library, "libdeflate_free_decompressor", None, c_void_p)
        buffers = (c_void_p, c_size_t, c_void_p, c_size_t)
        self._zlib, self._raw = (
            _function(library, f"libdeflate_{name}_decompress", c_int, c_void_p, *buffers, c_void_p)
            for name in ("zlib", "deflate")
        )
        self._own = threading.local()

    def zlib(self, data: memoryview, out: memoryview) -> int:
        """How many bytes of ``out`` a zlib stream fills; its checksum is compared."""
        return self._decompress(self._zlib, data, out)

    def deflate(self, data: memoryview, out: memoryview) -> int:
        """The same for a stream without head and checksum."""
        return self._decompress(self._raw, data, out)

    def _decompress(self, function: Any, data: memoryview, out: memoryview) -> int:
        state = getattr(self._own, "state", None)
        if state is None:
            state = self._own.state = _Owned(self._alloc(), self._free)
        n = c_size_t()
        code = function(
            state.pointer, _address(data), len(data), _address(out), len(out), ctypes.byref(n)
        )
        if code:
            raise ValueError(self.ERRORS[code])
        return n.value


class _LzmaStream(ctypes.Structure):
    """``lzma_stream``."""

    _fields_ = (
        ("next_in", c_void_p), ("avail_in", c_size_t), ("total_in", c_uint64),
        ("next_out", c_void_p), ("avail_out", c_size_t), ("total_out", c_uint64),
        ("allocator", c_void_p), ("internal", c_void_p), ("pointers", c_void_p * 4),
        ("integers", c_uint64 * 2), ("sizes", c_size_t * 2), ("enums", c_int * 2),
    )  # fmt: skip


class Liblzma:
    """Decompression of whole XZ streams. AttributeError if a library is another one."""

    ERRORS: ClassVar = {
        0: "it is longer", 3: "its checksum is of a kind that is not known", 5: "no memory is left",
        6: "Memory usage limit exceeded", 7: "it is no XZ stream",
        8: "it was compressed with options that are not known", 9: "it is damaged",
        10: "it does not end there",
    }  # fmt: skip
    STREAM_END, TELL_UNSUPPORTED_CHECK, FINISH = 1, 2, 3

    def __init__(self, library: ctypes.CDLL, owner: str, memory: int) -> None:
        self.owner, self.memory = owner, memory
        self.version: str = _function(library, "lzma_version_string", ctypes.c_char_p)().decode()
        self._begin = _function(library, "lzma_stream_decoder", c_int, c_void_p, c_uint64, c_uint32)
        self._code = _function(library, "lzma_code", c_int, c_void_p, c_int)
        self._free = _function(library, "lzma_end", None, c_void_p)
        self._own = threading.local()

    def xz(self, data: memoryview, out: memoryview) -> int:
        """How many bytes of ``out`` an XZ stream fills; its checksum is compared."""
        owned = getattr(self._own, "stream", None)
        if owned is None:
            owned = self._own.stream = _Owned(_LzmaStream(), self._free)
        stream = owned.pointer
        there = ctypes.byref(stream)
        # Again on the same stream, it keeps the memory of its dictionary.
        code = self._begin(there, self.memory, self.TELL_UNSUPPORTED_CHECK)
        if code == 0:
            stream.next_in, stream.avail_in = _address(data), len(data)
            stream.next_out, stream.avail_out = _address(out), len(out)
            code = self._code(there, self.FINISH)
            if code == 0 and not stream.avail_in:
                code = 10  # as it would say if it were called again
        if code != self.STREAM_END:
            raise ValueError(self.ERRORS.get(code, f"liblzma fails with {code}"))
        return len(out) - int(stream.avail_out)


class _Owned:
    """Memory of a library, for one thread: it goes when the thread ends."""

    def __init__(self, pointer: Any, free: Any) -> None:
        self.pointer, self._free = pointer, free
        if not pointer:
            raise MemoryError("a decompressor gets no memory")

    def __del__(self) -> None:
        if self.pointer:
            structure = isinstance(self.pointer, ctypes.Structure)
            self._free(ctypes.byref(self.pointer) if structure else self.pointer)


def libdeflates() -> Iterator[Libdeflate]:
    """Those that are here, the best first: of the package ``deflate``, and of the system."""
    whose = {path: f"of deflate {metadata.version('deflate')}" for path in _modules("deflate")}
    for path, owner in (whose | {"libdeflate.so.0": "of the system"}).items():
        if library := _load(Libdeflate, path, owner):
            yield library


def liblzmas(memory: int) -> Iterator[Liblzma]:
    """Those that are here: Python's own, of the package ``lzma-mt``, of the system."""
    whose: dict[str | None, str] = {}
    if util.find_spec("_lzma"):
        import _lzma

        whose[getattr(_lzma, "__file__", None)] = "of Python"
    whose |= {path: f"of lzma-mt {metadata.version('lzma-mt')}" for path in _modules("lzma_mt")}
    for path, owner in (whose | {"liblzma.so.5": "of the system"}).items():
        if library := _load(Liblzma, path, owner, memory):
            yield library


def _load(kind: Callable[..., Library], path: str | None, *more: Any) -> Library | None:
    try:
        return kind(ctypes.CDLL(path, mode=_MODE), *more)
    except (OSError, AttributeError):  # not there, or without these functions
        return None


def _modules(package: str) -> list[str]:
    """The compiled modules of an installed package, which is not imported."""
    try:
        spec = util.find_spec(package)
    except ImportError:  # something keeps it from being imported
        spec = None
    folders = (spec.submodule_search_locations or []) if spec else []
    return sorted(path for folder in folders for path in glob(f"{escape(folder)}/*.so"))


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]  # an object of its own: nobody else's prototypes are changed
    function.restype, function.argtypes = result, arguments
    return function


def _address(data: memoryview) -> int:
    """Where bytes lie, of which there is at least one."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(data))
    except TypeError:  # read-only
        return np.frombuffer(data, np.uint8).ctypes.data
