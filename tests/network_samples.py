"""Batches for networks of padded particles: two groups, their momenta, numbers of the event."""

import numpy as np
import torch

GROUPS = {"Jet": 5, "Muon": 4}
WIDTHS = {"Jet": 6, "Muon": 3}
N_FEATURES = 2
PAIRS = {"Jet": "Jet_p4", "Muon": "Muon_p4"}


def batch_of(n, seed=0):
    """n events as tensors; the first one has no particles, the second one all slots filled."""
    rng = np.random.default_rng(seed)
    batch = {"features": rng.normal(size=(n, N_FEATURES)).astype("f4")}
    for name, width in WIDTHS.items():
        counts = rng.integers(0, width + 1, n)
        counts[:2] = [0, width][:n]
        mask = np.arange(width) < counts[:, None]
        momenta = np.stack(
            [rng.exponential(40, (n, width)), rng.normal(0, 2, (n, width)),
             rng.uniform(-np.pi, np.pi, (n, width)), rng.exponential(5, (n, width))], axis=-1,
        )  # fmt: skip
        values = rng.normal(size=(n, width, GROUPS[name]))
        batch |= {name: (values * mask[..., None]).astype("f4"), f"{name}_mask": mask,
                  f"{name}_p4": (momenta * mask[..., None]).astype("f4")}  # fmt: skip
    return {name: torch.tensor(values) for name, values in batch.items()}
