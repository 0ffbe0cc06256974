"""A short command waits for nothing that it does not use."""

import subprocess
import sys

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
    "awkward.contents",
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
