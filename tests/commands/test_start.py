"""A short command waits for nothing that it does not use."""

import os
import subprocess
import sys

import pytest

from fastjag import toys

#: After a whole ``fastjag spectrum --no-pictures``: the modules that are there.
SPECTRUM = """
import sys
sys.argv = ["fastjag", "spectrum", sys.argv[1], "--no-pictures", "--json", "--out", sys.argv[2]]
from fastjag.__main__ import main
main()
"""
UNUSED = (
    "multiprocessing.context", "concurrent.futures.process", "matplotlib", "scipy", "pandas", "pyarrow",
    "torch", "cloudpickle", "fastjag.io.sources.http", "fastjag.io.sources.s3", "fastjag.io.sources.xrootd",
    "awkward.contents", "fsspec.registry", "asyncio.events", "histoprint.formatter", "ssl", "_hashlib",
)  # fmt: skip


def test_spectrum(tmp_path):
    toy = toys.write(tmp_path / "a.root", 300, seed=1)
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", SPECTRUM, toy, tmp_path / "out"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"yields"' in ended.stdout
    lines = (line.rpartition("|")[2].strip() for line in ended.stderr.splitlines())
    loaded = set(lines)
    assert {"uproot", "hist", "fastjag.io.reader"} <= loaded
    assert not loaded.intersection(UNUSED)


def printed(code, **environment):
    around = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=around | environment,
    )  # fmt: skip
    return done.stdout.split()


def test_garbage_of_the_work_goes_as_soon_as_before():
    """The first look waits until libraries are there, those that follow do not."""
    looks = printed(
        "import gc, fastjag.__main__\n"
        "print(gc.get_threshold()[0])\n"
        "for _ in range(2): gc.collect(0), print(gc.get_threshold()[0])"
    )
    assert looks == ["100000", "10000", "10000"]


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "20"), ({"OPENBLAS_THREAD_TIMEOUT": "26"}, "26")]
)
def test_threads_of_openblas_do_not_wait_at_full_speed(given, expected):
    code = "import os, fastjag; print(os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    assert printed(code, **given) == [expected]
