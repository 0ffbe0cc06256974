"""Muons padded to 4 with uproot and awkward, one array of (events, 3, 4): FILE."""

import sys

import awkward as ak
import numpy as np
import uproot

NAMES = ["Muon_pt", "Muon_eta", "Muon_phi"]
tensors = []
for events in uproot.iterate(f"{sys.argv[1]}:Events", NAMES, step_size="100 MB"):
    columns = [ak.pad_none(events[name], 4, clip=True) for name in NAMES]
    tensors.append(np.stack([ak.to_numpy(ak.fill_none(c, np.float32(0))) for c in columns], axis=1))
tensor = np.concatenate(tensors)
print(f"{tensor.sum(dtype=np.float64):.6f}")
