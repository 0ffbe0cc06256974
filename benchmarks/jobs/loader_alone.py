"""What a loader cannot do without: the same branches read and padded, in the order of the file."""

import sys

import numpy as np

import fastjag as fj

MUON, JET = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]
columns = [*(f"Muon_{c}" for c in MUON), *(f"Jet_{c}" for c in JET), "MET_pt", "MET_phi"]
n, total = 0, 0.0
muons = jets = None
for batch in fj.iterate(sys.argv[1], columns, step=25_000, progress=False):
    muons = batch.Muon.pad(4, MUON, dtype="float32", out=muons)
    jets = batch.Jet.pad(8, JET, dtype="float32", out=jets)
    met = np.stack([batch["MET_pt"], batch["MET_phi"]], axis=1)
    n += len(met)
    total += float(jets.values[:, 0, 0].sum())
print(n, total)
