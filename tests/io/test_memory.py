"""Reading many files takes as much memory as reading few."""

import gc
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import fastjag as fj
from fastjag import toys
from fastjag.io.writer import write_trees
from fastjag.selection import Step, survivors

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


@pytest.mark.parametrize("format", ["ttree", "rntuple"])
@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "zlib", "lzma"])
def test_fifty_files_and_five(tmp_path, compression, format):
    """What a codec keeps per thread or per file would add up to more."""
    n = 20_000
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, n)
    muons = fj.Jagged.from_counts(counts, {"pt": rng.integers(0, 999, int(counts.sum())) / 4})
    chunks = [{"Muon": muons, "x": np.arange(n)}]
    path = tmp_path / "a.root"
    write_trees(
        path, {"Events": chunks}, compression=compression, level=9, rntuple=format == "rntuple"
    )
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True, text=True, check=True,
        # Else threads share the heaps of the C library by chance, which is 2 MB more or less.
        env=os.environ | {"MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    events, few, many = map(int, done.stdout.split())
    assert events == 50 * n
    assert many - few < 2 << 10  # kB; the columns of one file are 400, and 45 are read between


@pytest.mark.parametrize("format", ["ttree", "rntuple"])
def test_what_was_closed_is_gone(tmp_path, format):
    """At once, not when Python looks for parts that point at one another."""
    path = toys.write(tmp_path / "a.root", 500, seed=1, format=format)
    steps = [Step("muons", ["Muon_pt"], lambda events: events.Muon.counts > 0)]

    def read():
        for _ in fj.iterate(path, step=100, progress=False):
            pass
        for _ in survivors(path, steps, progress=False):
            pass

    read()
    gc.collect()
    gc.disable()
    try:
        before = kinds()
        for _ in range(3):
            read()
        assert kinds() - before == Counter()
    finally:
        gc.enable()


def kinds():
    """How many objects there are of what a file is made of."""
    return Counter(
        type(one).__name__ for one in gc.get_objects()
        if str(type(one).__module__).startswith(("uproot.", "fastjag.io."))
    )  # fmt: skip
