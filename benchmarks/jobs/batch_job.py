"""Events through a function: WORK (simulated, files) WAY (loop, none, processes:N) NUMBER [FOLDER].

Prints seconds of the clock and of all processes' CPUs after start-up and planning, the counts, and the most memory of
this process in MB.
"""

import json
import os
import resource
import sys
import time
from contextlib import closing
from functools import partial
from runpy import run_path

import numpy as np

import fastjag as fj
from fastjag import batch

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
AXIS = (400, 0.0, 200.0)


def simulated(piece):
    """Two muons in each event, 100,000 events at a time."""
    total = None
    for start in range(piece.start, piece.stop, 100_000):
        n = min(100_000, piece.stop - start)
        rng = np.random.default_rng(start)
        muons = fj.Jagged.from_counts(
            np.full(n, 2),
            {
                "pt": rng.exponential(20.0, 2 * n).astype(np.float32),
                "eta": rng.normal(0, 1.5, 2 * n).astype(np.float32),
                "phi": rng.uniform(-np.pi, np.pi, 2 * n).astype(np.float32),
                "charge": rng.choice(np.array([-1, 1], np.int8), 2 * n),
            },
        )
        mass = fj.dimuon(muons, charge="opposite", fields=("mass",)).mass
        total = batch.merge(total, {"mass": fj.histogram(mass, AXIS), "events": n})
    return total


def spectrum(events):
    """As fastjag spectrum: pairs of good muons, opposite and same sign."""
    muons = events.Muon.keep(events.Muon["pt"] > 4)
    return {
        "events": len(events),
        **{
            charge: fj.histogram(fj.dimuon(muons, charge=charge, fields=("mass",)).mass, AXIS)
            for charge in ("opposite", "same")
        },
    }


def trivial(piece):
    return {"events": len(piece)}


def cpu():
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def loop(function, pieces, columns):
    """What everybody would write for one process."""
    total = None
    for piece in pieces:
        given = [piece] if columns is batch.RANGE else fj.iterate(
            columns=columns, ranges=[piece], progress=False
        )  # fmt: skip
        for events in given:
            total = batch.merge(total, function(events))
    return total


def warm():
    """All that a process loads at its first range: every process does this, also one that gets no range."""
    fj.histogram([1.0], AXIS)
    if folder := os.environ.get("FASTJAG_BENCH_FILES"):
        file = os.path.join(folder, min(os.listdir(folder)))
        with closing(fj.iterate(file, COLUMNS, step=1000, progress=False)) as batches:
            spectrum(next(batches))


def main():
    work, way, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if work == "files":
        os.environ["FASTJAG_BENCH_FILES"] = sys.argv[4]
        files = sorted(os.listdir(sys.argv[4]))[:number]
        pieces = fj.ranges([os.path.join(sys.argv[4], name) for name in files], progress=False)
        function, columns = spectrum, COLUMNS
    elif work == "simulated":  # about a second of work each
        pieces, columns = batch.simulated(number, 2_000_000), batch.RANGE
        function = simulated
    else:
        pieces, columns, function = batch.simulated(number, 1), batch.RANGE, trivial
    warm()
    wall, used = time.perf_counter(), cpu()
    if way == "loop":
        value = loop(function, pieces, columns)
    else:
        executor = None if way == "none" else batch.processes(
            int(way.split(":")[1]), threads=1, start=partial(run_path, __file__, run_name="warm")
        )  # fmt: skip
        value = batch.run(function, pieces, columns, executor=executor, progress=False).value
    counts = {k: v if isinstance(v, int) else float(v.sum(flow=True)) for k, v in value.items()}
    print(json.dumps({
        "wall": time.perf_counter() - wall, "cpu": cpu() - used, "counts": counts, "ranges": len(pieces),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
elif __name__ == "warm":
    warm()
