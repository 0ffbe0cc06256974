"""One epoch of shuffled batches of 1024 by coffea's NanoEvents, awkward and torch's index_select."""

import sys
import warnings

import awkward as ak
import numpy as np
import torch
import uproot
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

warnings.filterwarnings("ignore")
NanoAODSchema.warn_missing_crossrefs = False
MUON, JET = ["pt", "eta", "phi", "charge"], ["pt", "eta", "phi", "mass"]
torch.set_num_threads(1)
random = torch.Generator().manual_seed(1)


def padded(particles, names, width):
    columns = [ak.to_numpy(ak.fill_none(ak.pad_none(particles[c], width, clip=True), 0),
                           allow_missing=False).astype(np.float32) for c in names]  # fmt: skip
    return torch.from_numpy(np.stack(columns, axis=2))


n, total = 0, 0.0
entries = uproot.open(sys.argv[1])["Events"].num_entries
for start in range(0, entries, 100_000):
    events = NanoEventsFactory.from_root(
        {sys.argv[1]: "Events"}, schemaclass=NanoAODSchema, mode="virtual",
        entry_start=start, entry_stop=min(start + 100_000, entries),
    ).events()  # fmt: skip
    met = np.stack([ak.to_numpy(events.MET.pt), ak.to_numpy(events.MET.phi)], axis=1)
    tensors = [padded(events.Muon, MUON, 4), padded(events.Jet, JET, 8), torch.from_numpy(met)]
    for chosen in torch.split(torch.randperm(len(met), generator=random), 1024):
        batch = [tensor.index_select(0, chosen) for tensor in tensors]
        n += len(chosen)
        total += float(batch[1][:, 0, 0].sum())
print(n, total)
