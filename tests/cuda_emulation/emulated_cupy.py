"""A stand-in for the part of CuPy that fastjag uses, over the memory of the CUDA emulation.

What CuPy refuses is refused here: NumPy arrays beside those of the device, conversions to NumPy by
accident, functions and arguments that CuPy has not. What the host looks at must have been written,
by a kernel or by the host: an AssertionError names the array and its first element that was not.
"""

from __future__ import annotations

import ctypes
import functools
import math
import operator
from types import SimpleNamespace

import emulated_memory
import numpy as np
from cupy_names import FUNCTIONS, METHODS, NO_UFUNCS, UNREAD, WAITING
from emulated_devices import Device, Event, PinnedMemoryPointer, Stream, cuda, origin
from emulated_memory import Buffer, happened, unwritten, written


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the device: NumPy's view of the memory, and what keeps the memory alive."""

    __slots__ = ("__weakref__", "_owner", "_since", "_values")
    __hash__ = None

    def __init__(self, owner, values):
        self._owner, self._values = owner, values
        self._since = Event.clock  # another stream may use the memory until a later event

    dtype = property(lambda self: self._values.dtype)
    shape = property(lambda self: self._values.shape)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    itemsize = property(lambda self: self._values.itemsize)
    strides = property(lambda self: self._values.strides)
    T = property(lambda self: ndarray(self._owner, self._values.T))

    @property
    def device(self):
        if isinstance(self._owner, Buffer):
            return Device(self._owner.device)
        return Device(emulated_memory.device_of(_address(self._values)))

    @property
    def flags(self):
        f = self._values.flags
        return SimpleNamespace(c_contiguous=f.c_contiguous, f_contiguous=f.f_contiguous)

    @property
    def __cuda_array_interface__(self):
        values = self._values
        return {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "descr": values.dtype.descr,
            "version": 3,
            "strides": None if values.flags.c_contiguous else values.strides,
            "data": (_address(values), False),
            "stream": 1,
        }

    def __dlpack_device__(self):
        return (2, self.device.id)

    def __dlpack__(self, **_):
        return self._values.__dlpack__()

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`.")

    # ---- what the host looks at -----------------------------------------------------------------

    def _read(self):
        """The values, all of which have been written."""
        flat = unwritten(self._values)
        if flat is not None:
            where = tuple(int(i) for i in np.unravel_index(flat, self.shape))
            raise AssertionError(
                f"element {where} of a {self.dtype} array of shape {self.shape} on the device "
                "is used, but was never written"
            )
        return self._values

    def _look(self):
        """The same for the host, which waits until they are there."""
        happened["waits"] += 1
        return self._read()

    def __format__(self, spec):
        return format(self._look(), spec)

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __reduce__(self):
        return asarray, (self.get(),)

    # ---- parts and other forms ------------------------------------------------------------------

    def __getitem__(self, key):
        _held, key = key, _key(key)  # the memory of a temporary index stays until the end
        found = self._values[key]
        if not isinstance(found, np.ndarray):  # a number: CuPy gives an array without dimensions
            found = self._values[(*key, ...) if isinstance(key, tuple) else (key, ...)]
        if found.size == 0 or _within(found, self._values):
            return ndarray(self._owner, found)
        happened["waits"] += _is_mask(key)  # for how many there are
        return _made(self._read()[key])

    def __setitem__(self, key, value):
        _held, key, value = (key, value), _key(key), _read(value)
        happened["launches"] += 1
        happened["waits"] += _is_mask(key) and np.ndim(value) > 0
        self._values[key] = value
        part = self._values[key]
        if isinstance(part, np.ndarray) and _within(part, self._values):
            written(part)
            return
        chosen = np.zeros(self.shape, bool)
        chosen[key] = True
        for index in np.argwhere(chosen):
            written(self._values[tuple(slice(i, i + 1) for i in index)])

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return _made(self._read().astype(dtype))

    def view(self, dtype=None):
        return ndarray(self._owner, self._values.view(self.dtype if dtype is None else dtype))

    def reshape(self, *shape):
        values = self._values.reshape(*shape)
        if values.size and not _within(values, self._values):
            return _made(self._read().reshape(*shape))
        return ndarray(self._owner, values)

    def transpose(self, *axes):
        return ndarray(self._owner, self._values.transpose(*axes))

    def copy(self):
        return _made(self._read())

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def fill(self, value):
        self[...] = value

    def set(self, arr, stream=None):
        """Copied when somebody waits for the stream, from what the host's memory holds then."""
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        stream = cuda.get_current_stream() if stream is None else stream
        if stream.ptr != Stream.current:
            assert stream.waited > self._since, "this memory may be in use on another stream"
            assert isinstance(origin(arr), PinnedMemoryPointer), "copies ahead need pinned memory"

        def copy():
            self._values[...] = arr
            written(self._values)

        stream.launch(copy)

    def sort(self, axis=-1):
        self._read().sort(axis=axis, kind="stable")

    # ---- NumPy's functions ----------------------------------------------------------------------

    def __array_function__(self, function, types, args, kwargs):
        if function.__module__ != "numpy" or function.__name__ not in FUNCTIONS:
            return NotImplemented
        return _call(function, args, kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if (
            method != "__call__"
            or ufunc.__name__ in NO_UFUNCS
            or set(kwargs) - {"out", "dtype", "casting"}
        ):
            return NotImplemented
        (out,) = kwargs.pop("out", (None,))
        values = [_read(value) for value in inputs]
        with np.errstate(all="ignore"):
            if out is None:
                return _wrapped(ufunc(*values, **kwargs), ())
            ufunc(*values, out=out._values, **kwargs)
        written(out._values)
        return out


LOOKS = {"get": np.copy, "__int__": int, "__float__": float, "__bool__": bool, "__repr__": repr}
LOOKS |= {_n: operator.methodcaller(_n) for _n in ("item", "tolist", "tobytes")}
for _name, _seen in LOOKS.items():
    setattr(ndarray, _name, lambda self, _s=_seen: _s(self._look()))
for _name in METHODS:
    setattr(ndarray, _name, lambda self, *a, _n=_name, **k: _call(getattr(np, _n), (self, *a), k))


# ---- between the device's arrays and NumPy's -----------------------------------------------------


def _address(values):
    return values.__array_interface__["data"][0] if values.size else 0


def _within(part, whole):
    return np.may_share_memory(part, whole)


def _read(value):
    """The host's view of an argument."""
    if isinstance(value, ndarray):
        return value._read()
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _key(key):
    if isinstance(key, tuple):
        return tuple(_key(k) for k in key)
    return _read(key)


def _is_mask(key):
    return any(
        getattr(k, "dtype", None) == np.bool_ for k in (key if type(key) is tuple else [key])
    )


def _made(values):
    """An array of the device with these values, which one of CuPy's kernels has written."""
    happened["launches"] += 1
    values = np.asarray(values)
    if values.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {values.dtype}")
    new = empty(values.shape, values.dtype.newbyteorder("="))
    new._values[...] = values
    written(new._values)
    return new


def _wrapped(result, sources):
    """What NumPy gave, as CuPy gives it: views of the sources, new arrays, never numbers."""
    if isinstance(result, (tuple, list)):
        return (list if isinstance(result, list) else tuple)(_wrapped(r, sources) for r in result)
    if isinstance(result, np.ndarray):
        for source in sources:
            if result.size and _within(result, source._values):
                return ndarray(source._owner, result)
    return _made(result) if isinstance(result, (np.ndarray, np.generic)) else result


def _host(value, sources, unread):
    """The host's view of an argument, or of each in a list."""
    if isinstance(value, (list, tuple)):
        return [_host(v, sources, unread) for v in value]
    if not isinstance(value, ndarray):
        return _read(value)
    sources.append(value)
    return value._values if unread else value._read()


def _call(function, args, kwargs):
    """A function of FUNCTIONS, as CuPy has it."""
    name = function.__name__
    parameters = FUNCTIONS[name].split()
    if len(args) > len(parameters) and "*" not in parameters[0]:
        raise TypeError(f"{name} takes {len(parameters)} arguments, {len(args)} were given")
    if set(kwargs) - set(parameters):
        raise TypeError(f"{name} got unexpected arguments {set(kwargs) - set(parameters)}")
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}
    if isinstance(given.get("repeats"), ndarray):
        raise ValueError("`repeats` should be int or sequence")  # noqa: TRY004
    if name == "lexsort" and not isinstance(args[0], ndarray):
        raise TypeError("keys must be an array of the device")
    out = kwargs.pop("out", None)
    if name == "copyto":
        args[0][...] = args[1]
        return None
    sources = []
    happened["waits"] += WAITING.get(name, 0)
    args = [_host(a, sources, name in UNREAD) for a in args]
    kwargs = {k: _host(v, sources, name in UNREAD) for k, v in kwargs.items()}
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs) if out is None else function(
            *args, out=out._values, **kwargs
        )  # fmt: skip
    if out is not None:
        written(out._values)
        return out
    if name == "empty_like":
        return empty(result.shape, result.dtype)
    if name in ("allclose", "array_equal", "count_nonzero"):
        result = np.asarray(result)
    return _wrapped(result, sources)


def __getattr__(name):
    if name in FUNCTIONS:
        return lambda *args, **kwargs: _call(getattr(np, name), args, kwargs)
    if isinstance(getattr(np, name, None), np.ufunc):
        return functools.partial(_ufunc, getattr(np, name))
    raise AttributeError(f"the stand-in for CuPy has no {name!r}")


def _ufunc(ufunc, *args, **kwargs):
    if not any(isinstance(a, ndarray) for a in args):
        args = (asarray(args[0]), *args[1:])
    return ufunc(*args, **kwargs)


# ---- making arrays ---------------------------------------------------------------------------


def empty(shape, dtype=float, order="C"):
    shape = tuple(int(n) for n in shape) if isinstance(shape, (tuple, list)) else (int(shape),)
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {dtype}")
    owner = Buffer(math.prod(shape) * dtype.itemsize)
    return ndarray(owner, owner.array(shape, dtype))


def zeros(shape, dtype=float, order="C"):
    return full(shape, 0, dtype)


def ones(shape, dtype=float, order="C"):
    return full(shape, 1, dtype)


def full(shape, fill_value, dtype=None, order="C"):
    new = empty(shape, np.asarray(fill_value).dtype if dtype is None else dtype)
    new.fill(fill_value)
    return new


def arange(start, stop=None, step=1, dtype=None):
    values = np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype)
    return _made(values)


def asarray(a, dtype=None, order=None):
    """The array itself, memory of another library without a copy, or a copy of the host's.

    As in CuPy, what another GPU than the current one has is copied to the current one.
    """
    if not isinstance(a, ndarray):
        interface = getattr(a, "__cuda_array_interface__", None)
        a = _made(a) if interface is None else _adopted(a, interface)
    if a.device.id != emulated_memory.device:
        a = a.copy()
    return a if dtype is None else a.astype(dtype, copy=False)


def array(a, dtype=None, copy=True):
    return asarray(a.copy() if isinstance(a, ndarray) else a, dtype)


def _adopted(owner, interface):
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    if not math.prod(shape):
        return ndarray(owner, np.empty(shape, dtype))
    strides = interface.get("strides") or np.empty(shape, dtype).strides
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    below = -sum(s for s in steps if s < 0)  # bytes before the first element
    nbytes = below + sum(s for s in steps if s > 0) + dtype.itemsize
    raw = (ctypes.c_uint8 * nbytes).from_address(interface["data"][0] - below)
    return ndarray(owner, np.ndarray(shape, dtype, buffer=raw, offset=below, strides=strides))


def from_dlpack(a):
    """Memory of another library, which says by DLPack that it is on a device.

    The library is told our current stream, which it makes wait for its own.
    """
    kind, number = a.__dlpack_device__()
    if int(kind) != 2:
        raise ValueError(f"not memory of a CUDA device: {a.__dlpack_device__()}")
    with Device(number):
        capsule = a.__dlpack__(stream=Stream.current or 1, max_version=(1, 0), copy=None)
    host = SimpleNamespace(__dlpack__=lambda **_: capsule, __dlpack_device__=lambda: (1, 0))
    return ndarray(a, np.from_dlpack(host))
