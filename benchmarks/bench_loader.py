"""One epoch of shuffled batches for training, straight from files, against other loaders; and later epochs."""

import numpy as np
import torch
from harness import EVENTS, Race, race, toy_file
from programs import Program, race_programs, script

import fastjag as fj

PART = 200_000  # events of the peers that take minutes


def check(one: np.ndarray, other: np.ndarray) -> None:
    """The same events, in any order: float32 sums differ in their last digits."""
    assert one[0] == other[0]
    np.testing.assert_allclose(one[1], other[1], rtol=1e-5)


def first_epochs() -> list[Race]:
    programs: dict[str, Program] = {
        "fastjag": script("loader_fastjag"),
        "reading and padding alone": script("loader_alone"),
        "uproot, awkward, index_select": script("loader_uproot", "uproot", "torch"),
        "coffea, awkward, index_select": script("loader_coffea", "coffea", "torch"),
    }
    whole = race_programs(
        "an epoch of shuffled batches of 1024, zstd", programs, "zstd", check, EVENTS, rounds=3
    )
    slow: dict[str, Program] = {
        "fastjag": script("loader_fastjag"),
        "ROOT RDataLoader, 100 batches in memory": script("loader_root", "ROOT"),
        "weaver-core SimpleIterDataset": script("loader_weaver", "weaver"),
    }
    files = toy_file("zstd", PART), toy_file("zstd", 1000)
    part = race_programs(
        f"the same of {PART:,} events", slow, "", check, PART, rounds=2, files=files
    )
    return [whole, part]


def later_epochs() -> Race:
    """From memory: what is left is to pick events."""
    muon, jet = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]
    seen = [
        fj.particles("Muon", muon, width=4),
        fj.particles("Jet", jet, width=8),
        fj.features(["MET_pt", "MET_phi"]),
    ]
    loader = fj.loader(toy_file("zstd"), seen, shuffle="global", seed=1)
    whole = next(iter(fj.loader(toy_file("zstd"), seen, shuffle=None, batch_size=EVENTS)))
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
    return race("a later epoch, from memory", candidates, check, rounds=3)


def run() -> list[Race]:
    torch.set_num_threads(1)
    return [*first_epochs(), later_epochs()]
