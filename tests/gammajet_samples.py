"""The selection of photon+jet on files, that several test modules share."""

import numpy as np

import fastjag as fj
from fastjag.analyses.gammajet.selection import columns_of, select_events


def selected(path, selection):
    needed, optional = columns_of(selection)
    cutflow = {}
    parts = [
        select_events(batch, selection, cutflow)
        for batch in fj.iterate(str(path), needed, optional=optional, step=37)
    ]
    return {c: np.concatenate([p[c] for p in parts]) for c in parts[0]}, cutflow
