"""One epoch of shuffled batches of 1024 by uproot, awkward and torch's index_select."""

import sys

import awkward as ak
import numpy as np
import torch
import uproot

MUON, JET = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]
branches = [*(f"Muon_{c}" for c in MUON), *(f"Jet_{c}" for c in JET), "MET_pt", "MET_phi"]
torch.set_num_threads(1)
random = torch.Generator().manual_seed(1)


def padded(arrays, group, names, width):
    columns = [ak.to_numpy(ak.fill_none(ak.pad_none(arrays[f"{group}_{c}"], width, clip=True), 0),
                           allow_missing=False).astype(np.float32) for c in names]  # fmt: skip
    return torch.from_numpy(np.stack(columns, axis=2))


n, total = 0, 0.0
for arrays in uproot.iterate(f"{sys.argv[1]}:Events", branches, step_size=100_000):
    met = np.stack([ak.to_numpy(arrays["MET_pt"]), ak.to_numpy(arrays["MET_phi"])], axis=1)
    tensors = [
        padded(arrays, "Muon", MUON, 4),
        padded(arrays, "Jet", JET, 8),
        torch.from_numpy(met),
    ]
    for chosen in torch.split(torch.randperm(len(met), generator=random), 1024):
        batch = [tensor.index_select(0, chosen) for tensor in tensors]
        n += len(chosen)
        total += float(batch[1][:, 0, 0].sum())
print(n, total)
