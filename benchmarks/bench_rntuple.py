"""The spectrum job on RNTuples, as ROOT and as uproot write them, against ROOT; and reading alone."""

import subprocess
from pathlib import Path

import numpy as np
from bench_spectrum import check
from harness import COLUMNS, EVENTS, OUT, STORED, Race, race, toy_file
from programs import SHORT, Program, race_programs, root, script

import fastjag as fj
from fastjag import toys


def by_root(compression: str, events: int) -> Path | None:
    """The muons of the toys as ROOT writes them; None where there is no ROOT."""
    path, writer = OUT / f"ntuple-{events}-{compression}.root", root("to_ntuple")
    if writer.absent:
        return None
    if not path.exists():
        subprocess.run([*writer.command, str(path), str(toy_file(compression, events))], check=True)
    return path


def by_uproot(compression: str, events: int) -> Path:
    path = OUT / f"ntuple-{events}-{compression}-uproot.root"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        toys.write(path, events, seed=1, columns=STORED, compression=compression, format="rntuple")
    return path


def spectra(work: str, long: Path, short: Path) -> Race:
    programs: dict[str, Program] = {
        "fastjag": script("spectrum_fastjag"),
        "ROOT RNTupleReader": root("ntuple_reader"),
        "ROOT RDataFrame": root("data_frame", arguments=("1",)),
    }
    return race_programs(
        f"RNTuple to dimuon spectrum, {work}", programs, "", check, EVENTS, files=(long, short)
    )


def read(path: Path, step: int) -> list[float]:
    """Sums of all columns, which are the same however they are read."""
    sums = np.zeros(len(COLUMNS))
    for batch in fj.iterate(path, COLUMNS, step=step, progress=False):
        sums += [batch.Muon[name.partition("_")[2]].sum(dtype="f8") for name in COLUMNS]
    return sums.tolist()


def run() -> list[Race]:
    races = []
    for compression in ("zstd", "lz4"):
        long, short = by_root(compression, EVENTS), by_root(compression, SHORT)
        if long is None or short is None:
            work = f"RNTuple to dimuon spectrum, {compression}, ROOT"
            races.append(Race(work, absent={"ROOT": "not installed"}))
            continue
        races.append(spectra(f"{compression}, ROOT", long, short))
        for step in (EVENTS, 100_000, 20_000):
            candidates = {
                "fastjag, RNTuple": lambda path=long, step=step: read(path, step),
                "fastjag, TTree": lambda c=compression, step=step: read(toy_file(c), step),
            }
            work = f"reading {compression}, {step:,} events at once"
            races.append(race(work, candidates, np.testing.assert_allclose))
    long, short = by_uproot("zstd", EVENTS), by_uproot("zstd", SHORT)
    return [*races, spectra("zstd, uproot", long, short)]
