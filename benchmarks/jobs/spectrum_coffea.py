"""The spectrum job with coffea's NanoEvents and hist: FILE."""

import sys
import warnings

import awkward as ak
import hist
import numpy as np
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

warnings.simplefilter("ignore")  # cross references to collections that a small file has not
events = NanoEventsFactory.from_root(
    {sys.argv[1]: "Events"}, schemaclass=NanoAODSchema, mode="virtual"
).events()
axis = hist.axis.Regular(400, 0.3, 150, transform=hist.axis.transform.log, name="mass")
opposite, same = hist.Hist(axis), hist.Hist(axis)
muons = events.Muon[ak.num(events.Muon.pt) >= 2]
muons = muons[ak.argsort(muons.pt, axis=1, ascending=False, stable=True)]
first, second = muons[:, 0], muons[:, 1]
mass = (first + second).mass
neutral = first.charge + second.charge == 0
opposite.fill(np.asarray(mass[neutral]))
same.fill(np.asarray(mass[~neutral]))
for h in (opposite, same):
    print(*h.values(flow=True))
