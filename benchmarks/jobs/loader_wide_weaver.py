"""One epoch of shuffled batches of 1024 jets, 24 columns of 128 constituents, by weaver-core and DataLoader."""

import sys
import tempfile
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from weaver.utils.dataset import SimpleIterDataset

COLUMNS = "\n".join(f"      - [Part_f{i}, null]" for i in range(24))
CONFIG = f"""
selection:
new_variables:
  is_a: label == 1
  is_b: label == 0
preprocess:
  method: manual
  data_fraction:
inputs:
  part:
    length: 128
    vars:
{COLUMNS}
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
        n += len(inputs["part"])
        total += float(inputs["part"][:, 0, 0].sum())
print(n, total)
