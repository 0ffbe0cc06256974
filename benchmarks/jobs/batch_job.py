"""Events through a function: WORK (simulated, files, trivial) ROUNDS NUMBER PROCESSES [FOLDER].

PROCESSES are numbers, such as 1,2. With each, plain loops in so many processes at once, over every Nth range, and batch.run
take turns, in the same processes. Prints the seconds of each round on the clock and of the CPUs of this process and the
workers, after start-up, planning and a first round; the counts, and the most memory of this process in MB.
"""

import json
import os
import resource
import sys
import time
from functools import partial, reduce
from pathlib import Path

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


def cpu(pool=None):
    """Seconds of this process and of the workers of a pool."""
    own, tick = resource.getrusage(resource.RUSAGE_SELF), os.sysconf("SC_CLK_TCK")
    spent = own.ru_utime + own.ru_stime
    for pid in pool._processes if pool else ():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / tick
    return spent


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


def ways(function, pieces, columns, pools):
    """Name to what does all of the work once, and the processes that do it."""

    def by_hand(pool, n):
        shares = [tuple(pieces)[i::n] for i in range(n)]
        tasks = [pool.submit(loop, function, share, columns) for share in shares]
        return reduce(batch.merge, [task.result() for task in tasks])

    def by_batch(pool):
        return batch.run(function, pieces, columns, executor=pool, progress=False).value

    return {
        f"{kind}, {n}": (partial(do, pool, *more), pool)
        for n, pool in pools.items()
        for kind, do, more in (("loop", by_hand, [n]), ("batch.run", by_batch, []))
    }


def main():
    work, n_rounds, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    processes = map(int, sys.argv[4].split(","))
    if work == "files":
        files = sorted(os.listdir(sys.argv[5]))[:number]
        pieces = fj.ranges([os.path.join(sys.argv[5], name) for name in files], progress=False)
        function, columns = spectrum, COLUMNS
    elif work == "simulated":
        pieces, columns, function = batch.simulated(number, 2_000_000), batch.RANGE, simulated
    else:
        pieces, columns, function = batch.simulated(number, 1), batch.RANGE, trivial
    pools = {n: batch.processes(n, threads=1)() for n in processes}
    found, counts = {}, []
    for number in range(n_rounds + 1):  # the first one starts processes, and is not counted
        for name, (once, pool) in ways(function, pieces, columns, pools).items():
            wall, used = time.perf_counter(), cpu(pool)
            value = once()
            spent = {"wall": time.perf_counter() - wall, "cpu": cpu(pool) - used}
            if number:
                found.setdefault(name, []).append(spent)
            counts.append({
                k: v if isinstance(v, int) else float(v.sum(flow=True)) for k, v in value.items()
            })  # fmt: skip
    for pool in pools.values():
        pool.shutdown()
    assert all(count == counts[0] for count in counts), counts
    print(json.dumps({
        "rounds": found, "counts": counts[0], "ranges": len(pieces),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip


if __name__ == "__main__":
    import batch_job  # processes of loops find its functions by this name

    batch_job.main()
