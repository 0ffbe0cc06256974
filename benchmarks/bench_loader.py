"""One epoch of shuffled batches for training, straight from files, against other loaders; and later epochs."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from harness import EVENTS, OUT, Race, race, toy_file
from programs import Program, race_programs, script

import fastjag as fj
from fastjag.io.writer import write_trees

WIDE = 50_000  # jets of 40 constituents, 24 numbers each
MUON, JET = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]


def check(one: np.ndarray, other: np.ndarray) -> None:
    """The same events, in any order: float32 sums differ in their last digits."""
    (events, total), (own, sums) = np.ravel(one), np.ravel(other)
    assert own == events
    np.testing.assert_allclose(sums, total, rtol=1e-5)


def wide_file(jets: int) -> Path:
    """Jets with constituents as JetClass has them: many numbers of many particles; lz4."""
    path = OUT / f"wide-{jets}-lz4.root"

    def chunks():
        rng = np.random.default_rng(1)
        for start in range(0, jets, 5000):
            counts = rng.poisson(40, min(5000, jets - start))
            columns = {
                f"f{i}": rng.exponential(size=counts.sum()).astype(np.float32) for i in range(24)
            }
            label = (np.arange(len(counts)) % 2).astype(np.int8)
            yield {"Part": fj.Jagged.from_counts(counts, columns), "label": label}

    if not path.exists():
        OUT.mkdir(exist_ok=True)
        write_trees(path, {"Events": chunks()}, compression="lz4")
    return path


def whole_file() -> Race:
    programs: dict[str, Program] = {
        "fastjag": script("loader_fastjag"),
        "reading and padding alone": script("loader_alone"),
        "uproot, awkward, index_select": script("loader_uproot", "uproot", "torch"),
        "coffea, awkward, index_select": script("loader_coffea", "coffea", "torch"),
    }
    return race_programs(
        "an epoch of shuffled batches of 1024, zstd", programs, "zstd", check, EVENTS, rounds=3
    )


def slow_peers() -> Race:
    """Peers that take up to half a minute: one round."""
    slow: dict[str, Program] = {
        "fastjag": script("loader_fastjag"),
        "ROOT RDataLoader, 100 batches in memory": script("loader_root", "ROOT"),
        "weaver-core SimpleIterDataset": script("loader_weaver", "weaver"),
    }
    return race_programs("the same", slow, "zstd", check, EVENTS, rounds=1)


def wide() -> Race:
    programs: dict[str, Program] = {
        "fastjag": script("loader_wide_fastjag"),
        "weaver-core SimpleIterDataset": script("loader_wide_weaver", "weaver"),
    }
    files = wide_file(WIDE), wide_file(1000)
    work = f"{WIDE:,} jets, 24 numbers of 128 constituents, lz4"
    return race_programs(work, programs, "", check, WIDE, rounds=5, files=files)


def later_epochs() -> Race:
    """From memory: what is left is to pick events."""
    seen = [
        fj.particles("Muon", MUON, width=4),
        fj.particles("Jet", JET, width=8),
        fj.features(["MET_pt", "MET_phi"]),
    ]
    path = toy_file("zstd")
    loader = fj.loader(path, seen, shuffle="global", seed=1)
    whole = next(iter(fj.loader(path, seen, shuffle=None, batch_size=EVENTS)))
    tensors = [torch.from_numpy(values) for values in whole.values()]

    def by_fastjag() -> tuple[int, float]:
        n, total = 0, 0.0
        for batch in loader:
            n += batch.n_events
            total += float(batch.Jet[:, 0, 0].sum())
        return n, total

    def by_torch() -> tuple[int, float]:
        n, total = 0, 0.0
        for chosen in torch.split(torch.randperm(EVENTS), 1024):
            batch = [tensor.index_select(0, chosen) for tensor in tensors]
            n += len(chosen)
            total += float(batch[2][:, 0, 0].sum())
        return n, total

    candidates = {"fastjag, shuffle='global'": by_fastjag, "torch index_select": by_torch}
    absent = {}
    eager = "ROOT RDataLoader, load_eager (no masks)"
    if find_spec("ROOT") is None:
        absent[eager] = "ROOT not installed"
    else:
        candidates[eager] = root_eager(path)
    result = race("a later epoch, from memory", candidates, check, rounds=3)
    result.absent |= absent
    return result


def root_eager(path: Path):
    import ROOT

    sizes = {**{f"Muon_{c}": 4 for c in MUON}, **{f"Jet_{c}": 8 for c in JET}}
    columns = [*sizes, "MET_pt", "MET_phi"]
    frame = ROOT.RDataFrame("Events", str(path), columns)
    data = ROOT.Experimental.ML.RDataLoader(
        frame, 1024, columns=columns, max_vec_sizes=sizes, shuffle=True, drop_remainder=False,
        load_eager=True,
    )  # fmt: skip

    def by_root() -> tuple[int, float]:
        n, total, at = 0, 0.0, None
        for batch in data.as_torch():
            if at is None:
                at = next(i for i, c in enumerate(data.columns) if c.startswith("Jet_pt"))
            n += len(batch)
            total += float(batch[:, at].sum())
        return n, total

    return by_root


def run() -> list[Race]:
    torch.set_num_threads(1)
    return [whole_file(), slow_peers(), wide(), later_epochs()]
