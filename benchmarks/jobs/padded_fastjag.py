"""Muons padded to 4 with fastjag, one array of (events, 3, 4): FILE. Prints the sum."""

import sys

import numpy as np

import fastjag as fj

NAMES = ["pt", "eta", "phi"]
path = sys.argv[1]
tensors = [
    batch.Muon.pad(4, NAMES, layout="NFK").values
    for batch in fj.iterate(path, [f"Muon_{name}" for name in NAMES], progress=False)
]
tensor = np.concatenate(tensors) if len(tensors) > 1 else tensors[0]
print(f"{tensor.sum(dtype=np.float64):.6f}")
