"""|d_xy| of the tracks within delta_r < 0.5 of a jet with fastjag: FILE."""

import sys

import hist
import numpy as np

import fastjag as fj

COLUMNS = [*(f"{c}_{x}" for c in ("Jet", "PFCands") for x in ("eta", "phi")),
           "PFCands_d0", "PFCands_charge", "genWeight"]  # fmt: skip
axis = hist.axis.Regular(60, 1e-4, 100, transform=hist.axis.transform.log)
h = None
for events in fj.iterate(sys.argv[1], COLUMNS, progress=False):
    candidates = events.PFCands
    tracks = candidates[["eta", "phi", "d0"]].keep(
        (candidates["charge"] != 0) & (candidates["d0"] != -1)
    )
    near = np.zeros(tracks.n_particles, bool)
    near[fj.in_cone(events.Jet, tracks, 0.5)["index"]] = True  # in one cone or several
    weights = np.repeat(events["genWeight"], tracks.counts)
    h = fj.histogram(np.abs(tracks["d0"][near]), axis, weights=weights[near], out=h)
print(*(repr(float(x)) for x in h.values(flow=True)))
