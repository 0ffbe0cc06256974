"""fastjag: jagged collider events to tensors, observables and histograms.

    import fastjag as fj

    for batch in fj.iterate("events.root", ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]):
        pairs = fj.dimuon(batch.Muon, charge="opposite")

Units are GeV, cm and rad unless a name says otherwise.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# NumPy's OpenBLAS starts its threads when it is loaded, and they wait for work at full speed: by default for 2**28
# ticks, a tenth of a second, which whoever starts has to share its cores with. 2**20 are less than a millisecond.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

from fastjag.core import moved
from fastjag.core.checks import near_misses, needs
from fastjag.core.devices import CudaError
from fastjag.core.habits import OF_FASTJAG
from fastjag.dimuons import MUON_MASS, Dimuons, dimuon, pair_mass
from fastjag.histograms import CutHistograms, histogram, histogram_cuts
from fastjag.jagged import Event, Jagged, Padded, concatenate, equal
from fastjag.kernels import get_num_threads, set_num_threads
from fastjag.neighbours import in_cone, nearest
from fastjag.variations import Variations

if TYPE_CHECKING:
    from fastjag.datasets import Range, Ranges, ranges
    from fastjag.inputs import Inputs, features, particles, ragged, weights
    from fastjag.io import Batch, iterate
    from fastjag.loading import Loader, Minibatch, loader
    from fastjag.prediction import Predicted, predict
    from fastjag.pyramid import PyramidMatch
    from fastjag.pyramid.nystroem import Nystroem
    from fastjag.statistics.peak_fit import PeakFit, fit_peak

# What needs more than NumPy is imported when it is asked for.
_LAZY = {
    "Batch": ("fastjag.io", "uproot", "io"),
    "iterate": ("fastjag.io", "uproot", "io"),
    "Inputs": ("fastjag.inputs", "uproot", "io"),
    "features": ("fastjag.inputs", "uproot", "io"),
    "particles": ("fastjag.inputs", "uproot", "io"),
    "ragged": ("fastjag.inputs", "uproot", "io"),
    "weights": ("fastjag.inputs", "uproot", "io"),
    "Loader": ("fastjag.loading", "uproot", "io"),
    "Minibatch": ("fastjag.loading", "uproot", "io"),
    "loader": ("fastjag.loading", "uproot", "io"),
    "Range": ("fastjag.datasets", "uproot", "io"),
    "Ranges": ("fastjag.datasets", "uproot", "io"),
    "ranges": ("fastjag.datasets", "uproot", "io"),
    "Nystroem": ("fastjag.pyramid.nystroem", "sklearn", "sklearn"),
    "PeakFit": ("fastjag.statistics.peak_fit", "iminuit scipy", "fit"),
    "Predicted": ("fastjag.prediction", "uproot", "io"),
    "predict": ("fastjag.prediction", "uproot", "io"),
    "PyramidMatch": ("fastjag.pyramid", "sklearn", "sklearn"),
    "fit_peak": ("fastjag.statistics.peak_fit", "iminuit scipy", "fit"),
}

__all__ = [
    "MUON_MASS",
    "Batch",
    "CudaError",
    "CutHistograms",
    "Dimuons",
    "Event",
    "Inputs",
    "Jagged",
    "Loader",
    "Minibatch",
    "Nystroem",
    "Padded",
    "PeakFit",
    "Predicted",
    "PyramidMatch",
    "Range",
    "Ranges",
    "Variations",
    "concatenate",
    "dimuon",
    "equal",
    "features",
    "fit_peak",
    "get_num_threads",
    "histogram",
    "histogram_cuts",
    "in_cone",
    "iterate",
    "loader",
    "nearest",
    "pair_mass",
    "particles",
    "predict",
    "ragged",
    "ranges",
    "set_num_threads",
    "weights",
]


moved.announce()


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        module, libraries, extra = _LAZY[name]
        for library in libraries.split():
            needs(library, extra)
        return getattr(import_module(module), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("fastjag")
    if name.startswith("_"):
        raise AttributeError(f"module 'fastjag' has no attribute {name!r}")
    way = OF_FASTJAG.get(name) or near_misses(name, __all__)
    raise AttributeError(f"module 'fastjag' has no attribute {name!r}: {way}")
