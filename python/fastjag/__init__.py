"""fastjag: jagged collider events to tensors, observables and histograms.

    import fastjag as fj

    for batch in fj.iterate("events.root", ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]):
        pairs = fj.dimuon(batch.Muon, charge="opposite")

Units are GeV, cm and rad unless a name says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastjag.dimuons import MUON_MASS, Dimuons, dimuon, pair_mass
from fastjag.histograms import CutHistograms, histogram, histogram_cuts
from fastjag.jagged import Jagged, Padded
from fastjag.kernels import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from fastjag.io import Batch, iterate

__all__ = [
    "MUON_MASS",
    "Batch",
    "CutHistograms",
    "Dimuons",
    "Jagged",
    "Padded",
    "dimuon",
    "get_num_threads",
    "histogram",
    "histogram_cuts",
    "iterate",
    "pair_mass",
    "set_num_threads",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    # Reading files needs uproot and awkward, which importing fastjag does not.
    if name in ("iterate", "Batch"):
        from fastjag import io

        return getattr(io, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("fastjag")
    raise AttributeError(f"module 'fastjag' has no attribute {name!r}")
