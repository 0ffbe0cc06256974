"""Settings and fixtures shared by all tests."""

import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from debian import find, needs_program
from hypothesis import HealthCheck, Phase, settings
from on_device import KernelsOnGpu, emulated, missing
from pyramid_samples import PyramidMatchOnGpu
from strategies import column, large_jagged

import fastjag.kernels
from fastjag.reporting.report import Report

# The same examples on every machine: a red test is red for everybody.
settings.register_profile(
    "fastjag",
    deadline=None,
    derandomize=True,
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For tests/mutants.py: which example fails is all the same.
settings.register_profile(
    "mutants", settings.get_profile("fastjag"), max_examples=40, phases=[Phase.generate]
)
settings.load_profile("fastjag")


# Devices that are not there are left out; a test of test_devices.py says so.
DEVICES = ["cpu", *(name for name in ("cuda-emulated", "cuda") if not missing(name))]


@pytest.fixture(scope="session", params=DEVICES)
def device(request):
    """Where a test's Jagged lives, for ``jagged.to(device)``: "cpu" or "cuda"."""
    return request.param.removesuffix("-emulated")


@pytest.fixture(scope="session", params=DEVICES[1:])
def gpu(request):
    """CuPy, or its stand-in, for tests of what the CPU has not."""
    return import_module("cupy" if request.param == "cuda" else "emulated_cupy")


@pytest.fixture(scope="module")
def one_thread():
    """torch works on one: networks as small as those of tests only get slower by more."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def kernels(device):
    """fastjag.kernels for NumPy arrays, on every device."""
    return fastjag.kernels if device == "cpu" else KernelsOnGpu()


@pytest.fixture(scope="session")
def PyramidMatch(device):
    """fastjag.PyramidMatch for sets on the CPU, which does its work on every device."""
    return fastjag.PyramidMatch if device == "cpu" else PyramidMatchOnGpu


@pytest.fixture
def emulation():
    """The emulation's own functions (statistics, schedules, ...); device "cuda" is emulated."""
    if reason := missing("cuda-emulated"):
        pytest.skip(reason)
    with emulated() as module:
        yield module
        module.reset()


@pytest.fixture(autouse=True)
def _emulated_if_asked(request):
    """The emulation stands for a GPU while a test runs that asks for it, and no longer."""
    spec = getattr(request.node, "callspec", None)
    asked = spec and "cuda-emulated" in (spec.params.get("device"), spec.params.get("gpu"))
    with emulated() if asked else nullcontext():
        yield


@pytest.fixture(scope="session")
def lazy_browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(lazy_browser):
    """A headless Chromium; ``browser.faults(path)`` lists what is wrong with a page."""
    needs_program("chromium")
    return lazy_browser


@pytest.fixture(scope="session")
def written_reports():
    """Reports that were written and not looked at yet: title, to page."""
    written, write = {}, Report.write

    def kept(report, path, footer):
        write(report, path, footer)
        written[report.title] = Path(path).read_text(encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Report, "write", kept)
        yield written


@pytest.fixture(autouse=True)
def _reports_open_well(written_reports, lazy_browser, tmp_path_factory):
    """Every report that any test writes is opened in Chromium, where there is one."""
    yield
    pages = dict(written_reports)
    written_reports.clear()
    if pages and (find("chromium") or os.environ.get("FASTJAG_EXPECT_SERVERS") == "1"):
        path = tmp_path_factory.mktemp("opened") / "report.html"
        faults = {}
        for title, page in pages.items():
            path.write_text(page, encoding="utf-8")
            faults[title] = lazy_browser.faults(path)
        assert faults == {title: [] for title in pages}


@pytest.fixture(scope="session")
def real_data():
    """The folder of real files that FASTJAG_REAL_DATA names."""
    folder = os.environ.get("FASTJAG_REAL_DATA", "")
    if not folder:
        pytest.skip("FASTJAG_REAL_DATA is not set: it names a folder with real data files")
    if not Path(folder).is_dir():
        pytest.skip(f"FASTJAG_REAL_DATA is no folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def cases(real_data):
    """The folder of numeric references beside the real data."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"there are no reference cases in {folder}")
    return folder


@pytest.fixture(scope="session")
def large():
    """(offsets, maker of columns) above the grain, so that kernels really use their threads."""
    offsets = large_jagged()
    rng = np.random.default_rng(2)
    return offsets, lambda dtype: column(rng, dtype, int(offsets[-1]))


@pytest.fixture
def threads_restored(monkeypatch):
    """Thread settings as in a fresh process, before and after."""
    from fastjag.kernels import threads

    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(threads, "_forked", False)
    monkeypatch.delenv("FASTJAG_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    threads._cgroup_quota.cache_clear()
    yield threads
    threads._cgroup_quota.cache_clear()


@pytest.fixture
def run(monkeypatch, capsys):
    """(exit code, stdout, stderr) of a command, in this process."""
    from fastjag import __main__ as cli  # needs the extras of the command line
    from fastjag.commands import console

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(console, "_width", 200)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fastjag", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)
