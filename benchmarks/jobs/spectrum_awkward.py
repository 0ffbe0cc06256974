"""The spectrum job with uproot, awkward, vector and hist: FILE [exact].

"exact" computes in float64 throughout, to compare results: float32 masses cancel by megaelectronvolts.
"""

import sys

import awkward as ak
import hist
import numpy as np
import uproot
import vector

vector.register_awkward()

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
MUON_MASS = 0.1056583755

path, exact = sys.argv[1], "exact" in sys.argv
axis = hist.axis.Regular(400, 0.3, 150, transform=hist.axis.transform.log, name="mass")
opposite, same = hist.Hist(axis), hist.Hist(axis)
for events in uproot.iterate(f"{path}:Events", COLUMNS, step_size="100 MB"):
    muons = ak.zip(
        {
            "pt": events.Muon_pt,
            "eta": events.Muon_eta,
            "phi": events.Muon_phi,
            "mass": ak.full_like(events.Muon_pt, MUON_MASS),
        },
        with_name="Momentum4D",
    )
    charge = events.Muon_charge
    if exact:
        muons = ak.values_astype(muons, np.float64)
    enough = ak.num(charge) >= 2
    muons, charge = muons[enough], charge[enough]
    order = ak.argsort(muons.pt, axis=1, ascending=False, stable=True)
    muons, charge = muons[order], charge[order]
    mass = (muons[:, 0] + muons[:, 1]).mass
    neutral = charge[:, 0] + charge[:, 1] == 0
    opposite.fill(np.asarray(mass[neutral]))
    same.fill(np.asarray(mass[~neutral]))
for h in (opposite, same):
    print(*h.values(flow=True))
