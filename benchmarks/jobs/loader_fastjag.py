"""One epoch of shuffled batches of 1024: muons, jets and missing momentum, by fj.loader."""

import sys

import fastjag as fj

seen = [
    fj.particles("Muon", ["pt", "eta", "phi", "charge"], width=4),
    fj.particles("Jet", ["pt", "eta", "phi", "mass"], width=8),
    fj.features(["MET_pt", "MET_phi"]),
]
n, total = 0, 0.0
for batch in fj.loader(sys.argv[1], seen, batch_size=1024, seed=1):
    n += batch.n_events
    total += float(batch.Jet[:, 0, 0].sum())
print(n, total)
