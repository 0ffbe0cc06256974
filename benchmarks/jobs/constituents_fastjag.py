"""The weighted pt of the constituents of jets with fastjag: FILE."""

import sys

import hist
import numpy as np

import fastjag as fj

axis = hist.axis.Regular(60, 0.1, 1000, transform=hist.axis.transform.log)
h = None
for jets in fj.iterate(sys.argv[1], ["PF_pt", "PF_fromAK4Jet", "eventWeight"], progress=False):
    constituents = jets.PF[["pt"]].keep(jets.PF["fromAK4Jet"] == 1)
    weights = np.repeat(jets["eventWeight"], constituents.counts)
    h = fj.histogram(constituents["pt"], axis, weights=weights, out=h)
print(*(repr(float(x)) for x in h.values(flow=True)))
