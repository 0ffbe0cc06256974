"""A coffee break: one histogram of jets' constituents, and d_xy of tracks near jets, from files."""

from pathlib import Path

import numpy as np
import uproot
from harness import OUT, Race
from programs import Program, race_programs, root, script

from fastjag.toys.jetfiles import write_jets
from fastjag.toys.jets import JetToyParameters

JETS = 196_399  # of the first file of CERN open data record 12100
SHORT = 100  # jets of the file that shows the start
FEW_JETS, FEW_EVENTS = 10_000, 1_000  # for PyROOT
PILEUP = 300  # candidates outside jets, of the events for d_xy: as in Run 1
#: Format to branches that the file has.
COLUMNS = {
    "jetntuple": ["PF_pT", "PF_dEta", "PF_dPhi", "PF_id", "PF_fromAK4Jet", "jetPt", "eventWeight"],
    "pfnano": [*(f"{c}_{x}" for c in ("Jet", "PFCands") for x in ("pt", "eta", "phi")),
               "PFCands_d0", "PFCands_charge", "genWeight"],
}  # fmt: skip
READ = {
    "jetntuple": ["nPF", "PF_pT", "PF_fromAK4Jet", "eventWeight"],
    "pfnano": ["nJet", "Jet_eta", "Jet_phi", "nPFCands", "PFCands_eta", "PFCands_phi", "PFCands_d0",
               "PFCands_charge", "genWeight"],
}  # fmt: skip
TREES = {"jetntuple": "AK4jets/jetTree", "pfnano": "Events"}


def jet_file(format: str, compression: str, jets: int = JETS) -> Path:
    path = OUT / f"{format}-{jets}-{compression}.root"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        parameters = JetToyParameters(pileup=PILEUP) if format == "pfnano" else None
        write_jets(path, jets, seed=1, format=format, columns=COLUMNS[format],
                   compression=compression, parameters=parameters)  # fmt: skip
    return path


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Sums of weights: in another order, and edges of C++ and NumPy may differ in the last bit."""
    np.testing.assert_allclose(theirs.sum(), ours.sum(), rtol=1e-9)
    np.testing.assert_allclose(np.cumsum(theirs), np.cumsum(ours), rtol=1e-5, atol=1e-12)


def programs(job: str, few: int, of: int, what: str) -> dict[str, Program]:
    found = {"fastjag": script(f"{job}_fastjag")}
    if job == "constituents":
        found["ROOT SetBranchAddress, by hand"] = root("constituents_address")
    return found | {
        "ROOT TTreeReader": root(job),
        "uproot + awkward": script(f"{job}_awkward"),
        f"PyROOT loop, {few:,} {what}, scaled": script(
            f"{job}_pyroot", "ROOT", arguments=(str(few),), scale=of / few
        ),
    }


def run() -> list[Race]:
    races = []
    for job, format, few, what in (("constituents", "jetntuple", FEW_JETS, "jets"),
                                   ("dxy", "pfnano", FEW_EVENTS, "events")):  # fmt: skip
        for compression in ("none", "zlib"):
            long, short = (jet_file(format, compression, n) for n in (JETS, SHORT))
            with uproot.open(long) as file:
                tree = file[TREES[format]]
                moved = sum(tree[name].uncompressed_bytes for name in READ[format])
                entries = tree.num_entries
            chosen = programs(job, few, entries, what)
            if compression != "none":  # it is the loop that costs
                chosen.popitem()
            work = f"{JETS:,} jets to {job}, {compression}"
            races.append(
                race_programs(
                    work,
                    chosen,
                    compression,
                    check,
                    JETS,
                    moved=moved,
                    files=(long, short),
                    rounds=3,
                )
            )
    return races
