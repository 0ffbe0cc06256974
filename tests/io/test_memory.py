"""Reading many files takes as much memory as reading few."""

import subprocess
import sys

import numpy as np
import pytest

import fastjag as fj
from fastjag.io.writer import write_trees

READ = """
import sys
import fastjag as fj
path, events = sys.argv[1], 0
fj.set_num_threads(2)
def size():
    return next(int(r.split()[1]) for r in open("/proc/self/status") if r.startswith("VmRSS"))
for i in range(50):
    for batch in fj.iterate(path, step=10_000, progress=False):
        events += len(batch)
    if i == 4:
        few = size()
print(events, few, size())
"""


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "zlib", "lzma"])
def test_fifty_files_and_five(tmp_path, compression):
    """What a codec keeps per thread or per file would add up to more."""
    n = 20_000
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, n)
    muons = fj.Jagged.from_counts(counts, {"pt": rng.integers(0, 999, int(counts.sum())) / 4})
    chunks = [{"Muon": muons, "x": np.arange(n)}]
    path = tmp_path / "a.root"
    write_trees(path, {"Events": chunks}, compression=compression, level=9)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    events, few, many = map(int, done.stdout.split())
    assert events == 50 * n
    assert many - few < 8 << 10  # kB; one file's columns are 400
