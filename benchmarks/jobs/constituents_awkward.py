"""The weighted pt of the constituents of jets with uproot, awkward and hist: FILE."""

import sys

import awkward as ak
import hist
import numpy as np
import uproot

axis = hist.axis.Regular(60, 0.1, 1000, transform=hist.axis.transform.log)
h = hist.Hist(axis, storage=hist.storage.Weight())
columns = ["PF_pT", "PF_fromAK4Jet", "eventWeight"]
for jets in uproot.iterate(f"{sys.argv[1]}:AK4jets/jetTree", columns, step_size="100 MB"):
    pt = jets.PF_pT[jets.PF_fromAK4Jet == 1]
    weights = np.repeat(ak.to_numpy(jets.eventWeight), ak.to_numpy(ak.num(pt)))
    h.fill(ak.to_numpy(ak.flatten(pt)), weight=weights)
print(*(repr(float(x)) for x in h.values(flow=True)))
