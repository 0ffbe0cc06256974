"""What only a GPU has: streams, mixed devices, and what can go wrong."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from on_device import KernelsOnGpu, missing, moved
from strategies import assert_same

import fastjag as fj
from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import gpu as device_module


def muons(n=4):
    return fj.Jagged.from_counts([n - 2, 0, 2], {"pt": np.arange(n) + 0.5, "q": np.ones(n, "i4")})


@pytest.mark.parametrize("name", ["cuda-emulated", "cuda"])
def test_every_device_is_tested(name):
    if reason := missing(name):
        pytest.skip(reason)


class TestMoving:
    def test_there_and_back(self, gpu):
        here = muons()
        there = here.to("cuda")
        assert (here.device, there.device, there.to("cpu").device) == ("cpu", "cuda", "cpu")
        assert there.to("cuda") is there
        assert isinstance(there["pt"], gpu.ndarray)
        assert len(there) == 3
        assert there.n_particles == 4
        back = there.to("cpu")
        for name in here.columns:
            np.testing.assert_array_equal(back[name], here[name])
        np.testing.assert_array_equal(back.offsets, here.offsets)
        with pytest.raises(ValueError, match="read-only"):
            back.offsets[1] = 7

    def test_nothing_at_all(self, gpu):
        empty = muons()[:0].to("cuda")
        assert len(empty.keep(empty["pt"] > 1).sort("pt")[::-1]) == 0
        assert empty.pad(2, "pt").values.shape == (0, 2)
        assert empty.aggregate("pt", ["sum", "max"])["sum"].shape == (0,)

    def test_unknown_device(self):
        with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'gpu'"):
            muons().to("gpu")

    def test_kernels_run_on_the_current_stream(self, emulation, monkeypatch):
        jagged, handles = muons().to("cuda"), []
        select = emulation.select
        monkeypatch.setattr(emulation, "select", lambda *a: (handles.append(a[-1][0]), select(*a)))
        jagged.keep(jagged["pt"] > 1)
        with devices.cupy().cuda.Stream(48):
            jagged.keep(jagged["pt"] > 1)
        assert handles == [0, 48]


def particles(n_events=300, seed=1):
    """Events of up to 20 particles, some of them without, NaN among them."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 21, n_events) * (rng.random(n_events) < 0.8)
    n = int(counts.sum())
    pt = np.where(rng.random(n) < 0.02, np.nan, rng.exponential(20, n))
    columns = {"pt": pt, "eta": rng.normal(size=n), "phi": rng.uniform(-4, 4, n)}
    return fj.Jagged.from_counts(counts, columns).with_columns(charge=rng.choice([-1, 1], n))


FLOATS = ["pt", "eta", "phi"]
# What an analysis calls, for Jagged and arrays of one device.
CALLS = {
    "events": lambda a, b: a[::-2][5:60].sort("pt")["pt"],
    "particles": lambda a, b: a.keep(a["pt"] > 10).keep(abs(a.keep(a["pt"] > 10)["eta"]) < 1)["phi"],
    "masked events": lambda a, b: a[a.counts > 3].offsets,
    "pad": lambda a, b: a.pad(5, FLOATS, by="pt", mean=1, scale=[2, 3, 4], clip=(-1, 1)),
    "aggregate": lambda a, b: a.aggregate("pt", [*kernels.STATISTICS, "leading-2"]),
    "aggregate integers": lambda a, b: a.aggregate("charge", kernels.STATISTICS),
    "dimuon": lambda a, b: dict(fj.dimuon(a)),
    "dimuon all": lambda a, b: dict(fj.dimuon(a, "same", pairs="all", mask=a["pt"] > 9)),
    "pair_mass": lambda a, b: fj.pair_mass(*([a[n] for n in FLOATS] * 2), mass2=1),
    "nearest": fj.nearest,
    "in_cone": lambda a, b: fj.in_cone(a, b, 0.8).offsets,
    "in_cones": lambda a, b: fj.in_cone(a, b, abs(a["eta"]) + 0.1)["delta_r"],
    "histogram": lambda a, b: fj.histogram((a["pt"], a["eta"]), ((9, 0, 90), (5, -2, 2))).view(True),
    "cuts": lambda a, b: fj.histogram_cuts([a[n] for n in FLOATS], (9, 0, 90), a["eta"], [0, 1]).counts,
}  # fmt: skip


def parts_of(result):
    if isinstance(result, dict):
        result = list(result.values())
    return [devices.to_host(a) for a in (result if isinstance(result, (list, tuple)) else [result])]


class TestSameOnEveryDevice:
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_to_the_last_bit(self, gpu, call, dtype):
        a, b = (particles(seed=seed) for seed in (1, 2))
        a, b = (j.with_columns(**{n: j[n].astype(dtype) for n in FLOATS}) for j in (a, b))
        expected = parts_of(CALLS[call](a, b))
        found = CALLS[call](a.to("cuda"), b.to("cuda"))
        for one, other in zip(parts_of(found), expected, strict=True):
            assert_same(one, other)

    def test_weights_to_rounding(self, gpu):
        a = particles()
        w, x = abs(a["eta"]), a["pt"]
        expected = fj.histogram(x, (9, 0, 90), weights=w)
        found = fj.histogram(*(gpu.asarray(x), (9, 0, 90)), weights=gpu.asarray(w))
        for field in ("value", "variance"):
            np.testing.assert_allclose(found.view(True)[field], expected.view(True)[field], 1e-12)
        fj.histogram(x, (9, 0, 90), weights=w, out=found)  # batches of either device add up
        np.testing.assert_allclose(found.view(True)["value"], 2 * expected.view(True)["value"])


class TestTheTestsThemselves:
    """What tests on every device would see, by planting it."""

    @pytest.fixture
    def gather(self, emulation, monkeypatch):
        """Runs gather, whose kernel does as it is told."""
        arguments = np.array([0]), np.array([0, 1]), np.arange(2.0)

        def run(kernel):
            monkeypatch.setattr(emulation, "gather", kernel)
            return KernelsOnGpu().gather(*arguments)

        return run

    def test_an_output_that_is_not_written(self, gather):
        with pytest.raises(AssertionError, match=r"element \(0,\) of a float64 .* never written"):
            gather(lambda *arguments: None)

    def test_an_input_that_is_written(self, gather):
        def kernel(starts, bounds, values, result, stream):
            result[:] = 0
            values[1] = 7

        with pytest.raises(AssertionError, match="an input was written"):
            gather(kernel)

    def test_a_warning_of_cupy_stops_no_test(self, emulation, monkeypatch, tmp_path):
        """CuPy may be older than NumPy or Python, and warnings are errors in the tests."""
        (tmp_path / "cupy.py").write_text(
            "import warnings\nwarnings.warn('of the import', DeprecationWarning, stacklevel=2)\n"
            "def use():\n    warnings.warn('of a call', DeprecationWarning)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(devices, "_cupy", None)
        monkeypatch.delitem(sys.modules, "cupy", raising=False)
        try:  # the filters of pyproject.toml stay in force, as pytest.warns would not have them
            with warnings.catch_warnings(record=True) as shown:
                assert missing("cuda") == ""
                devices.cupy().use()
        finally:
            sys.modules.pop("cupy", None)
        assert [str(w.message) for w in shown] == ["of the import", "of a call"]

    def test_the_emulation_stays_where_it_is_asked_for(self):
        assert device_module._cuda is None or device_module._cuda.__name__ == "fastjag._cuda"


class TestMixedDevices:
    def test_in_one_jagged(self, gpu):
        there, here = gpu.arange(2.0), np.arange(2.0)
        offsets = gpu.asarray(np.array([0, 2]))
        with pytest.raises(ValueError, match="offsets and columns must be on one device, got "
                           "offsets on GPU 0, column 'a' on GPU 0, column 'b' on the CPU"):  # fmt: skip
            fj.Jagged(offsets, {"a": there, "b": here})
        with pytest.raises(ValueError, match="got offsets on the CPU, column 'a' on GPU 0"):
            fj.Jagged([0, 2], {"a": there})
        with pytest.raises(ValueError, match="column 'b' on the CPU"):
            fj.Jagged(offsets, {"a": there}).with_columns(b=here)

    def test_in_one_call(self, gpu):
        there, here = muons().to("cuda"), muons()
        message = "must be on one device, got .* on the CPU"
        for use in (
            lambda: there.keep(here["pt"] > 1),
            lambda: there[here["pt"][:3] > 1],
            lambda: fj.nearest(*(j.with_columns(eta=j["pt"], phi=j["pt"]) for j in (there, here))),
            lambda: fj.pair_mass(*[there["pt"]] * 5, here["pt"]),
            lambda: fj.histogram(there["pt"], (2, 0, 1), weights=here["pt"]),
            lambda: fj.histogram_cuts([there["pt"]], (2, 0, 1), here["pt"], [1]),
        ):
            with pytest.raises(ValueError, match=message):
                use()
        with pytest.raises(ValueError, match=r"out.mask is on the CPU, but .* is on a GPU"):
            there.pad(2, "pt", out=here.pad(2, "pt"))
        with pytest.raises(ValueError, match=r"out.mask is on a GPU, but .* is on the CPU"):
            here.pad(2, "pt", out=there.pad(2, "pt"))

    def test_lists_are_at_home_everywhere(self, gpu):
        assert muons().to("cuda")[[2, -3]]["pt"].tolist() == [2.5, 3.5, 0.5, 1.5]


class TestWhereColumnsLeave:
    def test_histograms_are_the_hosts(self, device):
        x = moved(np.array([0.5, 1.5, 1.5, np.nan]), device)
        w = moved(np.array([1.0, 2.0, 3.0, 4.0]), device)
        h = fj.histogram(x, (2, 0, 2))
        assert h.values().tolist() == [1, 2]
        assert h.metadata["nan"] == 1
        h = fj.histogram((x, x), ((2, 0, 2), (2, 0, 2)), weights=w)
        assert h.values().tolist() == [[1, 0], [0, 5]]
        assert fj.histogram(x, moved(np.array([0.0, 1, 2]), device)).values().tolist() == [1, 2]
        table = moved(np.array([[0.5, 9], [1.5, 9], [1.5, 0], [np.nan, 0]]), device)
        cuts = fj.histogram_cuts(table, (2, 0, 2), w, [2.0, 0.0], moved(np.ones((3, 4)), device))
        assert cuts.counts[:, 0].tolist() == [[0, 2], [1, 2]]
        assert cuts.sumw.shape == (3, 2, 2, 2)
        assert type(cuts.sumw) is np.ndarray

    def test_libraries_of_the_cpu(self, gpu):
        with pytest.raises(
            ValueError, match=r"awkward arrays are made .* call .to\(\"cpu\"\) first"
        ):
            muons().to("cuda").to_awkward()
        with pytest.raises(ValueError, match=r"Arrow arrays are made .* call .to\(\"cpu\"\) first"):
            muons().to("cuda").to_arrow()

    def test_numba(self, gpu):
        numba = pytest.importorskip("numba")
        with pytest.raises(numba.TypingError, match=r'Jagged on the CPU: call .to\("cpu"\) first'):
            numba.njit(lambda jagged: len(jagged))(muons().to("cuda"))

    @pytest.mark.parametrize("columns", ["pt", ["pt", "pt"]])
    def test_torch(self, gpu, monkeypatch, columns):
        """Without a copy of one column, by DLPack."""
        torch = pytest.importorskip("torch")
        if gpu.__name__ == "cupy":
            if not torch.cuda.is_available():
                pytest.skip("there is a GPU, but torch is built without CUDA")
        else:  # torch has no GPU either: let it find the memory on the CPU
            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(gpu.ndarray, "__dlpack_device__", lambda array: (1, 0))
        jagged = muons().to("cuda")
        nested = jagged.to_torch(columns)
        assert nested.is_cuda == (gpu.__name__ == "cupy")
        pt = [[0.5, 1.5], [], [2.5, 3.5]]
        if columns != "pt":
            pt = [[[x, x] for x in event] for event in pt]
        assert [t.tolist() for t in nested.unbind()] == pt
        jagged["pt"][0] = 7
        assert nested.values().flatten()[0] == (7 if columns == "pt" else 0.5)
        nested.offsets()[1] = 10**15
        assert jagged.offsets.tolist() == [0, 2, 2, 4]

    def test_torch_without_cuda(self, gpu, monkeypatch):
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        message = r'on a GPU, which this torch \(.*\) cannot use: .* or call .to\("cpu"\) first'
        with pytest.raises(RuntimeError, match=message):
            muons().to("cuda").to_torch("pt")


class TestWhatCanGoWrong:
    def test_launch_that_fails(self, emulation):
        jagged = muons().to("cuda")
        emulation.fail("launch")
        message = r"CUDA kernel mark_kept could not be launched: invalid argument \(cudaErrorInv"
        with pytest.raises(fj.CudaError, match=message):
            jagged.keep(jagged["pt"] > 1)
        assert jagged.keep(jagged["pt"] > 1).n_particles == 3  # and the next one is well

    def test_kernel_that_fails_is_named_if_asked_for(self, emulation, monkeypatch):
        jagged = muons().to("cuda")
        emulation.fail("synchronize")
        jagged.keep(jagged["pt"] > 1)  # an error that a later call would find
        monkeypatch.setenv("FASTJAG_SYNC", "1")
        with pytest.raises(fj.CudaError, match=r"CUDA kernel mark_kept failed: invalid argument"):
            jagged.keep(jagged["pt"] > 1)

    @pytest.mark.parametrize(
        ("what", "when"), [("scan size", "could not be sized"), ("scan", "could not be launched")]
    )
    def test_running_sums_that_fail(self, emulation, what, when):
        """CUB returns what went wrong: counts must not go on as offsets."""
        jagged = muons().to("cuda")
        emulation.fail(what)
        with pytest.raises(fj.CudaError, match=f"CUDA kernel scan {when}: invalid argument"):
            jagged.keep(jagged["pt"] > 1)
        assert jagged.keep(jagged["pt"] > 1).n_particles == 3

    def test_running_sums_without_room(self, emulation):
        xp = devices.cupy()
        counts, scratch = xp.ones(100, np.int64), xp.zeros(1, np.uint8)
        with pytest.raises(fj.CudaError, match="CUDA kernel scan could not be launched: invalid"):
            emulation.scan(counts, scratch, 0)
        assert counts.tolist() == [1] * 100

    @pytest.mark.parametrize(
        ("what", "after", "when"),
        [("launch", 1, "could not be launched"), ("synchronize", 0, "failed")],
    )  # errors of others before the launch are forgotten
    def test_kernels_for_other_gpus(self, emulation, monkeypatch, what, after, when):
        monkeypatch.setattr(device_module, "_cuda", None)
        monkeypatch.setitem(sys.modules, "fastjag._cuda", emulation)
        emulation.fail(what, after)
        message = (
            rf"'cuda' is not available: CUDA kernel nothing {when}: invalid .* on GPU 0, of compute "
            r"capability 11.2; .* FASTJAG_CUDA_ARCHITECTURES=112 builds it"
        )
        with pytest.raises(RuntimeError, match=message):
            muons().to("cuda")
        assert muons().to("cuda").device == "cuda"

    def test_no_room(self, emulation, monkeypatch):
        import emulated_memory

        jagged = muons(10_000).to("cuda")
        monkeypatch.setattr(emulated_memory, "limit", emulated_memory.used + 200_000)
        message = (
            r"the GPU has no room for 240,000 bytes: shape \(3, 10000, 1\), float64 \(Out of mem"
        )
        with pytest.raises(MemoryError, match=message):
            jagged.pad(10_000, "pt")
        with pytest.raises(MemoryError, match=r"no room for 800,000 bytes: shape \(100000,\)"):
            muons(100_000).to("cuda")

    def test_no_cuda_kernels(self, monkeypatch):
        monkeypatch.setattr(device_module, "_cuda", None)
        monkeypatch.setitem(sys.modules, "fastjag._cuda", None)
        with pytest.raises(RuntimeError, match=r"'cuda' is not available: .* built without CUDA"):
            muons().to("cuda")

    def test_no_driver(self, monkeypatch):
        built = type("_cuda", (), {"problem": staticmethod(lambda: "there is no NVIDIA driver")})
        monkeypatch.setattr(device_module, "_cuda", None)
        monkeypatch.setitem(sys.modules, "fastjag._cuda", built)
        with pytest.raises(
            RuntimeError, match="'cuda' is not available: there is no NVIDIA driver"
        ):
            muons().to("cuda")

    def test_no_cupy(self, emulation, monkeypatch):
        monkeypatch.setattr(devices, "_cupy", None)
        monkeypatch.setitem(sys.modules, "cupy", None)
        with pytest.raises(ModuleNotFoundError, match=r"pip install .*\[cuda\]'"):
            muons().to("cuda")

    def test_importing_asks_for_no_gpu(self):
        code = "import sys, fastjag; print({'cupy', 'fastjag._cuda'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.strip() == b"set()"

    def test_threads_are_checked_but_mean_nothing(self, gpu):
        jagged = muons().to("cuda")
        assert jagged.sort("pt", threads=3)["pt"].tolist() == [1.5, 0.5, 3.5, 2.5]
        with pytest.raises(ValueError, match="threads must be a positive integer, got 0"):
            jagged.sort("pt", threads=0)

    def test_kernels_name_mixed_devices(self, gpu):
        with pytest.raises(ValueError, match="got offsets on the CPU, key on GPU 0"):
            kernels.order(np.array([0, 2]), gpu.zeros(2))
