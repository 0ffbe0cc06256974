"""How well events are mixed, and what it costs in memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
from loading.seen import Seen, write

import fastjag as fj

N, BATCH = 120_000, 512


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file sorted by class; and two of one class each."""
    folder = tmp_path_factory.mktemp("shuffle")
    return {
        "one sorted file": [write(folder / "s.root", 0, N, chunk=2500)],
        "two files of one class each": [
            write(folder / "a.root", 0, N // 2, 1, chunk=2500),
            write(folder / "b.root", N // 2, N // 2, 0, chunk=2500),
        ],
    }


@pytest.mark.parametrize("case", ["one sorted file", "two files of one class each"])
@pytest.mark.parametrize("cached", [False, True])
def test_labels_are_binomial(files, case, cached, tmp_path):
    """Shares of a class: as if each batch were drawn from all events."""
    # A quarter of the memory is a lap of 12,000 events: a tenth of all.
    options = {"memory": 4 * Seen.dense_bytes * 12_000, "cache": tmp_path if cached else None}
    loader = fj.loader(files[case], Seen(), batch_size=BATCH, seed=5, **options)
    assert len(loader.plan.sets[0].laps) >= 9
    shares, firsts = [], []
    for _ in range(8):
        for batch in loader:
            if batch.n_events == BATCH:
                shares.append(batch["label"].mean())
                firsts.append(batch["id"][0])
    ideal = 0.5 / np.sqrt(BATCH)
    # 1,872 batches know it to 1.6 %; of a lap of 12,000, they are drawn without being put back.
    assert abs(np.std(shares) / ideal - 1) < 0.06
    assert abs(np.mean(shares) - 0.5) < 4 * ideal / np.sqrt(len(shares))
    assert min(shares) > 0
    assert max(shares) < 1
    ids = np.asarray(firsts, float)
    assert abs(np.corrcoef(ids[1:], ids[:-1])[0, 1]) < 0.1


CODE = """
import sys
import fastjag as fj
from loading.seen import Seen

class ManySlots(Seen):
    dense_bytes = 80 * 2 * 4 + 80 + 8 + 1

    def tensors(self, rows, out=None):
        jets = rows["Jet"].pad(80, ["pt", "eta"], dtype="float32")
        return {**rows, "Jet": jets.values, "Jet_mask": jets.mask}

batches = fj.loader(sys.argv[2:], ManySlots(), batch_size=512, memory=int(sys.argv[1]))
def memory(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))

open("/proc/self/clear_refs", "w").write("5")  # the high-water mark is now; getrusage's begins with the parent's
before = memory("VmRSS")
n = sum(b.n_events for b in batches)
print(n, memory("VmHWM") - before)
"""


def test_memory_is_bounded_however_many_files_there_are(tmp_path):
    many = [write(tmp_path / f"{i}.root", i * 4000, 4000, i % 2, chunk=4000) for i in range(50)]
    few = [
        write(tmp_path / f"{i}-of-5.root", i * 40_000, 40_000, i % 2, chunk=4000) for i in range(5)
    ]
    memory, all_of_them = 32_000_000, 200_000 * 729
    taken = []
    for given in (few, many):
        paths = os.pathsep.join(sys.path)
        env = {**os.environ, "PYTHONPATH": paths, "FASTJAG_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(memory), *given],
            env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        n, used = map(int, done.stdout.split())
        assert n == 200_000
        taken.append(used)
    # With threads, metadata and what malloc keeps.
    assert memory / 4 < min(taken)
    assert max(taken) < 2 * memory < 0.5 * all_of_them
