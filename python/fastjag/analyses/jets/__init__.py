"""Jets and their tracks: constituents, shapes, padded tensors, impact parameters, taggers.

    from fastjag.analyses import jets

    for batch in jets.JetReader("jets.root", jets.JetSelection(min_pt=30)):
        values, mask = jets.tensor(batch, 100)  # (jets, 100, F) of the leading constituents
        girth = jets.substructure(batch)["girth"]

JetNtuple (CERN open data record 12100, a row per jet) and PFNano (event, jets, candidates) files give
the same :class:`JetBatch`.

``config`` settings; ``run`` the stages: ``shapes`` spectra, shapes and images by flavour, ``tracks``
impact parameters, ``tensors`` padded tensors on disk, ``train`` taggers from them; ``reading`` jets
from files; ``observables`` girth, widths, images; ``features`` particles for networks; ``tagging``
classes, held-out events, ROC curves; ``ntuple`` PFNano as JetNtuple; ``results`` what ``pictures``
and ``report`` see; ``toys`` all stages on toy jets.
"""

from fastjag.analyses.jets.config import JetsConfig, JetSelection, TrackSelection
from fastjag.analyses.jets.features import (
    FEATURES,
    IMPACT_FEATURES,
    padded_columns,
    particle_features,
    tensor,
)
from fastjag.analyses.jets.ntuple import to_jetntuple
from fastjag.analyses.jets.observables import images, substructure
from fastjag.analyses.jets.reading import JetBatch, JetReader, regroup, whole_events
from fastjag.analyses.jets.results import read_tensors
from fastjag.analyses.jets.tracks import in_jets

__all__ = [
    "FEATURES",
    "IMPACT_FEATURES",
    "JetBatch",
    "JetReader",
    "JetSelection",
    "JetsConfig",
    "TrackSelection",
    "images",
    "in_jets",
    "padded_columns",
    "particle_features",
    "read_tensors",
    "regroup",
    "substructure",
    "tensor",
    "to_jetntuple",
    "whole_events",
]
