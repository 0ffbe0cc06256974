"""The whole spectrum job, file to histograms: C++ ROOT, PyROOT, and the libraries of Python."""

import os

import numpy as np
import uproot
from harness import COLUMNS, EVENTS, Race, toy_file
from programs import Program, race_programs, root, script

FEW = 20_000  # events for PyROOT


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_array_equal(ours.sum(axis=1), theirs.sum(axis=1))
    # Other formulas, and float32 in vector, move masses over edges, but never far.
    shifted = np.abs(np.cumsum(ours, axis=1) - np.cumsum(theirs, axis=1)).max()
    assert shifted <= 1e-4 * ours.sum(), f"{shifted} entries are elsewhere"


def stored_bytes() -> int:
    """Of the branches that the job needs, uncompressed: what nobody can do without reading."""
    with uproot.open(toy_file("none")) as file:
        return sum(file["Events"][name].uncompressed_bytes for name in [*COLUMNS, "nMuon"])


def on_one_core() -> dict[str, Program]:
    return {
        "fastjag": script("spectrum_fastjag"),
        "ROOT SetBranchAddress, by hand": root("branch_address"),
        "ROOT TTreeReader": root("tree_reader"),
        "ROOT RDataFrame": root("data_frame", arguments=("1",)),
        "uproot + numba": script("spectrum_numba", "numba"),
        "uproot + awkward + vector": script("spectrum_awkward", "vector"),
        "coffea": script("spectrum_coffea", "coffea"),
    }


def run() -> list[Race]:
    races, moved = [], stored_bytes()
    cores = len(os.sched_getaffinity(0))
    few = {"arguments": (str(FEW),), "scale": EVENTS / FEW}
    for compression in ("none", "lz4", "zstd", "zlib"):
        programs = on_one_core()
        if compression == "none":
            name = f"PyROOT loop, {FEW:,} events, scaled"
            programs[name] = script("spectrum_pyroot", "ROOT", **few)
        work = f"file to dimuon spectrum, {compression}"
        races.append(race_programs(work, programs, compression, check, EVENTS, moved=moved))
        if cores > 1:
            programs = {
                "fastjag": script("spectrum_fastjag"),
                "ROOT RDataFrame, implicit MT": root("data_frame", arguments=(str(cores),)),
            }
            work += f", {cores} threads"
            races.append(
                race_programs(work, programs, compression, check, EVENTS, cores, moved=moved)
            )
    return races
