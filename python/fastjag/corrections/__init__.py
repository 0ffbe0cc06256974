"""Corrections of simulated and measured particles and events, from files of correctionlib.

``files``: a file; ``evaluation``: what it says for columns of particles or events; ``ranges``: entries
outside the ranges of a file; ``philox``: random numbers that belong to a particle; ``muons``: scale and
resolution of momenta; ``jets``: energies of jets, and maps of regions to leave out; ``weights``:
weights of events out of those of particles.
"""

from fastjag.corrections.evaluation import Correction
from fastjag.corrections.files import Corrections, read
from fastjag.corrections.jets import jet_energy, jet_smearing, vetoed
from fastjag.corrections.muons import muon_resolution, muon_scale
from fastjag.corrections.philox import normal, uniform
from fastjag.corrections.weights import prod, tagging_weight

__all__ = [
    "Correction",
    "Corrections",
    "jet_energy",
    "jet_smearing",
    "muon_resolution",
    "muon_scale",
    "normal",
    "prod",
    "read",
    "tagging_weight",
    "uniform",
    "vetoed",
]
