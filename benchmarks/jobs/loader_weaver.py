"""One epoch of shuffled batches of 1024 by weaver-core's SimpleIterDataset and torch's DataLoader."""

import sys
import tempfile
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from weaver.utils.dataset import SimpleIterDataset

CONFIG = """
selection:
new_variables:
  is_a: MET_pt > 30
  is_b: MET_pt <= 30
preprocess:
  method: manual
  data_fraction:
inputs:
  muons:
    length: 4
    vars: [[Muon_pt, null], [Muon_eta, null], [Muon_phi, null], [Muon_charge, null]]
  jets:
    length: 8
    vars: [[Jet_pt, null], [Jet_eta, null], [Jet_phi, null], [Jet_mass, null]]
  met:
    length:
    vars: [[MET_pt, null], [MET_phi, null]]
labels:
  type: simple
  value: [is_a, is_b]
observers:
weights:
"""

torch.set_num_threads(1)
n, total = 0, 0.0
with tempfile.TemporaryDirectory() as folder:
    config = Path(folder) / "data.yaml"
    config.write_text(CONFIG)
    data = SimpleIterDataset(
        {"all": [sys.argv[1]]},
        str(config),
        for_training=True,
        fetch_by_files=False,
        fetch_step=0.05,
    )
    for inputs, *_ in DataLoader(data, batch_size=1024, drop_last=False, num_workers=0):
        n += len(inputs["jets"])
        total += float(inputs["jets"][:, 0, 0].sum())
print(n, total)
