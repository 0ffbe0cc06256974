"""Jets and their tracks: constituents, shapes, padded tensors, impact parameters, taggers.

    from fastjag.analyses import jets

    for batch in jets.JetReader("jets.root", min_pt=30):
        values, mask = jets.tensor(batch, 100)  # (jets, 100, F) of the leading constituents
        girth = jets.shapes(batch)["girth"]

JetNtuple (CERN open data record 12100, a row per jet) and PFNano (event, jets, candidates) files give
the same :class:`JetBatch`.
"""

from fastjag.analyses.jets.features import (
    FEATURES,
    IMPACT_FEATURES,
    SLOTS,
    images,
    padded_columns,
    particle_features,
    shapes,
    tensor,
)
from fastjag.analyses.jets.ntuple import to_jetntuple
from fastjag.analyses.jets.reading import JetBatch, JetReader, regroup, whole_events
from fastjag.analyses.jets.spectra import jet_shapes
from fastjag.analyses.jets.tensors import read_tensors, write_tensors
from fastjag.analyses.jets.tracks import TrackSelection, in_jets, track_spectrum

__all__ = [
    "FEATURES",
    "IMPACT_FEATURES",
    "SLOTS",
    "JetBatch",
    "JetReader",
    "TrackSelection",
    "images",
    "in_jets",
    "jet_shapes",
    "padded_columns",
    "particle_features",
    "read_tensors",
    "regroup",
    "shapes",
    "tensor",
    "to_jetntuple",
    "track_spectrum",
    "whole_events",
    "write_tensors",
]
