"""The stand-in for CuPy: it has no more than CuPy has, and sees what was never written."""

import gc
import inspect

import numpy as np
import pytest

from fastjag.core import devices


@pytest.fixture
def xp(emulation):
    return devices.cupy()


class TestLikeCupy:
    def test_has_no_function_that_cupy_has_not(self):
        """Compared with CuPy itself, which can be imported without a GPU."""
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        from cupy_names import FUNCTIONS, METHODS, NO_UFUNCS

        for name, parameters in FUNCTIONS.items():
            real = [
                f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
                for p in inspect.signature(getattr(cupy, name)).parameters.values()
            ]
            assert parameters.split() == real[: len(parameters.split())], name
        ufuncs = {name for name, value in vars(np).items() if isinstance(value, np.ufunc)}
        assert {name for name in ufuncs if not hasattr(cupy, name)} <= NO_UFUNCS
        assert not [name for name in METHODS if not hasattr(cupy.ndarray, name)]

    def test_has_no_attribute_that_arrays_of_cupy_have_not(self, xp):
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        own = {name for name in dir(xp.ndarray) if not name.startswith("_")}
        assert own <= set(dir(cupy.ndarray))
        names = {n for n, value in vars(xp).items() if not n.startswith("_")}
        own = {n for n in names if getattr(getattr(xp, n), "__module__", "") == xp.__name__}
        assert {n for n in own if not hasattr(cupy, n)} <= {"Device", "Stream"}

    @pytest.mark.parametrize(
        "use",
        [
            lambda d, h: np.asarray(d),
            lambda d, h: d + h,
            lambda d, h: h * d,
            lambda d, h: np.concatenate([d, h]),
            lambda d, h: np.where(d > 1, h, d),
            lambda d, h: d[h > 1],
            lambda d, h: d.__setitem__(slice(None), h),
            lambda d, h: h.__setitem__(slice(None), d),
            lambda d, h: np.max(d, initial=0),
            lambda d, h: np.insert(d, 0, 1),
            lambda d, h: np.add.reduce(d),
            lambda d, h: np.spacing(d),
            lambda d, h: np.zeros(d[0]),
            lambda d, h: range(d.astype(int)[0]),
        ],
    )
    def test_refuses_what_cupy_refuses(self, xp, use):
        host = np.arange(3.0)
        with pytest.raises(TypeError):
            use(xp.asarray(host), host)

    def test_computes_as_numpy_does(self, xp):
        rng = np.random.default_rng(1)
        host = rng.integers(0, 9, (4, 5))
        array = xp.asarray(host)
        for use in (
            lambda a: a + 1, lambda a: 2 - a / 3, lambda a: a > 4, lambda a: a[1:, ::2],
            lambda a: a[a > 4], lambda a: a.sum(axis=1), lambda a: a.max(), lambda a: a[2, 3],
            lambda a: np.sort(a, axis=1), lambda a: np.cumsum(a), lambda a: np.diff(a),
            lambda a: np.where(a > 4, a, -a), lambda a: np.unique(a), lambda a: a.T.reshape(-1),
            lambda a: np.concatenate([a, a[:1]]), lambda a: np.sqrt(a), lambda a: np.stack([a, a]),
            lambda a: np.searchsorted(np.unique(a), a), lambda a: a.astype("f4").view("u4"),
        ):  # fmt: skip
            found, expected = use(array), use(host)
            assert isinstance(found, xp.ndarray)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.get(), expected)
        array[array > 4] = 0
        array[0] += 7
        host[host > 4] = 0
        host[0] += 7
        np.testing.assert_array_equal(array.get(), host)
        assert int(array[1, 1]) == host[1, 1]
        assert f"{array[0, 0]:03d}" == f"{host[0, 0]:03d}"

    def test_parts_are_views(self, xp):
        array = xp.zeros((3, 4))
        for part in (array[1:, ::2], array.T, array.reshape(2, 6), array[1], array.view("f8")):
            part[...] = 1
        array[2, 3] = 5
        assert array.get().tolist() == [[1] * 4, [1] * 4, [1, 1, 1, 5]]
        assert array[::2].__cuda_array_interface__["strides"] == (64, 8)
        assert xp.asarray(array) is array


class TestMemory:
    @pytest.mark.parametrize(
        "use",
        [
            lambda a: a.get(), lambda a: a[2], lambda a: int(a[2]), lambda a: a + 1,
            lambda a: np.sort(a), lambda a: a[::2].copy(), lambda a: a.tolist(), lambda a: a.max(),
            lambda a: np.concatenate([a, a]), lambda a: a.reshape(2, 2).T.sum(), lambda a: a.astype("f4"),
        ],
    )  # fmt: skip
    def test_what_was_never_written_is_seen(self, xp, use):
        array = xp.empty(4, "i8")
        array[:2] = 1
        array[3] = 1
        with pytest.raises(AssertionError, match=r"element .* is used, but was never written"):
            np.sort(use(array))  # a view is not yet a use
        array[2] = 1
        use(array)

    def test_the_first_element_is_named(self, xp):
        array = xp.empty((2, 3))
        array[:, 0] = 1
        array[0] = 1
        with pytest.raises(
            AssertionError, match=r"element \(1, 1\) of a float64 array of shape \(2, 3"
        ):
            array.get()
        assert array[:, 0].tolist() == [1, 1]

    def test_freed_with_the_last_view(self, xp, emulation):
        gc.collect()
        before = emulation.live_buffers()
        part = xp.zeros(100)[10:20].reshape(2, 5)
        assert emulation.live_buffers() == before + 1
        assert not part.any()
        del part
        assert emulation.live_buffers() == before

    def test_no_room(self, xp, monkeypatch):
        import emulated_memory

        monkeypatch.setattr(emulated_memory, "limit", emulated_memory.used + 1000)
        array = xp.empty(100)
        with pytest.raises(MemoryError, match="Out of memory allocating 800 bytes"):
            xp.zeros(100)
        del array
        xp.zeros(100)
