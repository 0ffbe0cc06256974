"""The slides' diphoton selection with mask bubbling, against reading everything and masking.

    make bench BENCH=bubbling                                  500,000 events, lz4, zstd, zlib
    python benchmarks/bench_bubbling.py --events 8000000       the whole table, one file per million

Files have 43 columns of the tree `mini` with counted lists, one basket per branch and 100,000 events;
structure repeats, kinematics are new in every basket. In one basket of ten the trigger is off, as in
a run without it. Remove benchmarks/out/bubbling-* to have the disk back.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from harness import OUT, Race

import fastjag as fj
from fastjag.analyses.diphoton.selections import PRESETS, diphoton_mass
from fastjag.selection import Counters, survivors

EVENTS, BASKET, FILE = 500_000, 100_000, 1_000_000
COMPRESSIONS = {"lz4": uproot.LZ4(1), "zstd": uproot.ZSTD(1), "zlib": uproot.ZLIB(1)}
#: Mean number per event, columns beside pt, eta, phi and E.
KINDS = {
    "photon": (2.0, ("ptcone30", "etcone20", "isTightID", "convType")),
    "lep": (0.3, ("ptcone30", "etcone20", "z0", "charge", "type")),
    "jet": (2.0, ("jvt", "MV2c10", "trueflav")),
    "tau": (0.3, ("BDTid", "nTracks", "charge")),
    "largeRjet": (0.1, ("m", "D2", "tau32")),
}
FLAT = ("met_et", "met_phi", "mcWeight", "runNumber", "eventNumber")
FEATURES = [
    "Photon_*",
    "Lepton_*",
    "Jet_*",
    "Tau_*",
    "FatJet_*",
    "MET_*",
    "mcWeight",
    "run",
    "event",
]
CUTS = PRESETS["slides"]
SCHEMA = "ATLAS mini"


# ---- the files ------------------------------------------------------------------------------------


def basket(seed: int) -> dict[str, Any]:
    structure, rng = np.random.default_rng(0), np.random.default_rng(seed)
    rows: dict[str, Any] = {"trigP": rng.random(BASKET) < (0.0 if seed % 10 == 9 else 0.7)}
    for kind, (mean, others) in KINDS.items():
        counts = structure.poisson(mean, BASKET)
        n = int(counts.sum())
        pt = 1000 * (22 + rng.exponential(18, n))
        columns = {
            "pt": pt,
            "eta": rng.uniform(-2.4, 2.4, n),
            "phi": rng.uniform(-np.pi, np.pi, n),
            "E": pt * rng.uniform(1, 5, n),
        }
        columns |= {name: rng.exponential(1, n) for name in others}
        as_stored = {k: v.astype(np.float32) for k, v in columns.items()}
        for name in ("isTightID",):
            if name in as_stored:
                as_stored[name] = as_stored[name] < 2
        rows[kind] = fj.Jagged.from_counts(counts, as_stored).to_awkward()
    rows |= {name: rng.random(BASKET).astype(np.float32) for name in FLAT[:3]}
    rows |= {name: rng.integers(0, 9**9, BASKET).astype(np.int32) for name in FLAT[3:]}
    return rows


def make(folder: Path, events: int, compression: str) -> list[str]:
    """Files of up to a million events, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, first in enumerate(range(0, events, FILE)):
        path = folder / f"{i}.root"
        paths.append(str(path))
        if path.exists():
            continue
        partial = path.with_suffix(".partial")
        with uproot.recreate(partial, compression=COMPRESSIONS[compression]) as file:
            tree = None
            for start in range(first, min(first + FILE, events), BASKET):
                rows = basket(start // BASKET)
                if tree is None:
                    kinds = {
                        n: v.dtype if isinstance(v, np.ndarray) else v.type.content
                        for n, v in rows.items()
                    }
                    tree = file.mktree(
                        "mini", kinds, counter_name=lambda counted: f"{counted}_n",
                        field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
                    )  # fmt: skip
                tree.extend(rows)
        partial.rename(path)
    return paths


# ---- the two ways ---------------------------------------------------------------------------------


def bubbling(path: str, many: bool) -> dict[str, Any]:
    chosen = survivors(path, CUTS.steps(SCHEMA), FEATURES if many else None, progress=False)
    kept, mass = 0, 0.0
    batches = []
    for batch in chosen:
        kept += len(batch)
        mass += float(diphoton_mass(CUTS.pair(batch.Photon, SCHEMA)).sum())
        batches.append(batch)
    return {"kept": kept, "mass": mass, "counters": vars(chosen.counters),
            "bytes": sum(b.nbytes for b in batches)}  # fmt: skip


def eager(path: str, many: bool) -> dict[str, Any]:
    """uproot and awkward: all columns of a batch, then one mask."""
    import awkward as ak

    names = [
        f"{k}_{c}" for k, (_, others) in KINDS.items() for c in ("pt", "eta", "phi", "E", *others)
    ]
    names = [*names, *FLAT, "trigP"] if many else ["photon_pt", "photon_eta", "photon_phi", "trigP"]
    kept, mass, batches = 0, 0.0, []
    for batch in uproot.iterate(f"{path}:mini", names, step_size=BASKET, library="ak"):
        photons = ak.zip({c: batch[f"photon_{c}"] for c in ("pt", "eta", "phi")})
        good = photons[photons.pt / 1000 > 25]
        two = (ak.num(good) == 2) & batch.trigP
        if not ak.any(two):
            continue
        pair = good[two]
        pair = pair[ak.argsort(pair.pt, ascending=False)]
        pt, eta, phi = (ak.to_numpy(pair[c]).astype(np.float64) for c in ("pt", "eta", "phi"))
        pt = pt / 1000
        terms = np.sinh((eta[:, 0] - eta[:, 1]) / 2) ** 2 + np.sin((phi[:, 0] - phi[:, 1]) / 2) ** 2
        m = 2 * np.sqrt(pt[:, 0] * pt[:, 1] * terms)
        passes = (pt[:, 0] > 35) & (pt[:, 1] > 25) & (pt[:, 0] > 0.35 * m) & (pt[:, 1] > 0.25 * m)
        passes &= (m > 105) & (m < 160)
        mask = ak.to_numpy(two).copy()
        mask[mask] = passes
        batches.append(ak.to_packed(batch[mask]))
        kept += int(passes.sum())
        mass += float(m[passes].sum())
    return {"kept": kept, "mass": mass}


WAYS = {"fastjag": bubbling, "uproot + awkward": eager}


def job(way: str, paths: list[str], many: bool, processes: int) -> dict[str, Any]:
    """One way over all files; in this process, or in several that take the next file."""
    fj.set_num_threads(1)
    WAYS[way](paths[0], many)  # imports and page cache
    wall, cpu = time.perf_counter(), time.process_time()
    if processes == 1:
        found = [WAYS[way](path, many) for path in paths]
    else:
        with ProcessPoolExecutor(processes) as pool:
            wall = time.perf_counter()
            found = list(pool.map(WAYS[way], paths, [many] * len(paths)))
    result = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if processes > 1:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        result["cpu"] = used.ru_utime + used.ru_stime
    counters = Counters()
    for one in found:
        counters += Counters(**one.get("counters", {}))
    # Not ru_maxrss, which remembers the program that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    kept, mass = (sum(one[name] for one in found) for name in ("kept", "mass"))
    return {**result, "peak": peak, "kept": kept, "mass": mass, "counters": vars(counters)}


def measured(way: str, paths: list[str], many: bool, processes: int = 1) -> dict[str, Any]:
    """The same in a fresh process, so that peaks of memory are its own."""
    arguments = [json.dumps([way, paths, many, processes])]
    done = subprocess.run(
        [sys.executable, __file__, "--job", *arguments], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def compared(paths: list[str], many: bool, processes: int = 1) -> dict[str, dict[str, Any]]:
    found = {way: measured(way, paths, many, processes) for way in WAYS}
    ours, theirs = found.values()
    assert ours["kept"] == theirs["kept"] > 0, (ours, theirs)
    assert abs(ours["mass"] / theirs["mass"] - 1) < 1e-6  # pt in GeV is rounded to float32
    return found


def run() -> list[Race]:
    races = []
    for compression in COMPRESSIONS:
        paths = make(OUT / f"bubbling-{compression}", EVENTS, compression)
        for many in (False, True):
            work = f"diphoton selection{', 43 columns' * many}, {compression}"
            result = Race(work)
            for way, numbers in compared(paths, many).items():
                result.wall[way], result.cpu[way] = numbers["wall"] * 1e3, numbers["cpu"] * 1e3
            races.append(result)
    return races


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--compressions", nargs="*", default=list(COMPRESSIONS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=OUT, help="where the files are made")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(job(*json.loads(given.job))))
        return
    for compression in given.compressions:
        folder = given.folder / f"bubbling-{compression}"
        paths = make(folder, given.events, compression)
        for many in (False, True):
            for way, n in compared(paths, many, given.processes).items():
                c = n["counters"]
                print(
                    f"{compression} {'43 columns' if many else 'selection'} {way}: "
                    f"{given.events / n['wall'] / 1e6:.2f} M events/s wall, "
                    f"{given.events / n['cpu'] / 1e6:.2f} M events per CPU second, "
                    f"peak {n['peak']:.0f} MB, kept {n['kept']}; baskets {c['baskets_read']} read "
                    f"{c['baskets_skipped']} skipped, {c['bytes_decoded'] / 1e6:.0f} MB decoded, "
                    f"{c['bytes_read'] / 1e6:.0f} MB read, {c['bytes_skipped'] / 1e6:.0f} MB skipped",
                    flush=True,
                )


if __name__ == "__main__":
    main()
