"""Small files of jets that several tests read."""

import numpy as np
import pytest

from fastjag.jagged import Jagged
from fastjag.toys.jetfiles import write_jets, write_rows
from fastjag.toys.jets import JetToyParameters

FEW = JetToyParameters(pileup=60.0)
N_JETS = 700


@pytest.fixture(scope="session")
def jet_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jets")


@pytest.fixture(scope="session")
def rows_file(jet_folder):
    return write_jets(jet_folder / "rows.root", N_JETS, seed=3, parameters=FEW, compression="none")


@pytest.fixture(scope="session")
def events_file(jet_folder):
    return write_jets(
        jet_folder / "events.root", N_JETS, seed=3, format="pfnano", parameters=FEW,
        compression="none",
    )  # fmt: skip


def tiny_events(**changes):
    """Two events in PFNano's columns: two jets of two and one candidates, and one jet of one."""
    f4, i4 = np.float32, np.int32
    pf = {name: np.zeros(5, f4) for name in ("mass", "d0", "d0Err", "dz", "dzErr")}
    pf |= {"pt": np.array([10, 30, 5, 1, 40], f4), "eta": np.array([0.1, 0, 1, 2, -1], f4),
           "phi": np.array([3.1, -3.1, 0, 2, 1], f4), "pdgId": np.array([211, 22, -13, 130, -211], i4),
           "charge": np.array([1, 0, 1, 0, -1], i4)}  # fmt: skip
    pf["d0"] = np.array([0.02, -1, -1, -1, -0.3], f4)
    pf["d0Err"] = np.array([0.01, -1, 0.5, -1, 0.1], f4)
    events = {
        "Jet": Jagged([0, 2, 3], {"pt": np.array([40, 6, 41], f4), "eta": np.array([0, 1, -1], f4),
                                  "phi": np.array([3.14, 0, 1], f4), "mass": np.ones(3, f4)}),
        "PFCands": Jagged([0, 4, 5], pf),
        "JetPFCands": Jagged([0, 3, 4], {"jetIdx": np.array([0, 0, 1, 0], i4),
                                         "pFCandsIdx": np.array([0, 1, 2, 0], i4)}),
        "genWeight": np.array([2.0, 0.5], f4),
    }  # fmt: skip
    return events | changes


def write_tiny(path, **changes):
    return write_rows(path, [tiny_events(**changes)], "pfnano", compression="none")
