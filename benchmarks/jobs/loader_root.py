"""One epoch of shuffled batches of 1024 by ROOT's RDataLoader."""

import sys

import ROOT

MUON, JET = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]
sizes = {**{f"Muon_{c}": 4 for c in MUON}, **{f"Jet_{c}": 8 for c in JET}}
columns = [*sizes, "MET_pt", "MET_phi"]
frame = ROOT.RDataFrame("Events", sys.argv[1], columns)
data = ROOT.Experimental.ML.RDataLoader(
    frame, 1024, columns=columns, max_vec_sizes=sizes, shuffle=True, drop_remainder=False,
    batches_in_memory=100,
)  # fmt: skip
names = None
n, total = 0, 0.0
for batch in data.as_torch():
    names = names or list(data.columns)
    at = next(i for i, name in enumerate(names) if name.startswith("Jet_pt"))
    n += len(batch)
    total += float(batch[:, at].sum())
print(n, total)
