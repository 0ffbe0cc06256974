"""A small network that tells classes apart, for importances where no trained model is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastjag.analyses.importance.methods import mean_and_spread
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]


class Standardise(torch.nn.Module):  # type: ignore[misc]
    """(x - mean) / scale, so that what follows may be given features as they are."""

    def __init__(self, mean: Floats, scale: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).float())
        self.register_buffer("scale", torch.as_tensor(scale).float())

    def forward(self, x: Any) -> Any:
        return (x - self.mean) / self.scale


def train_network(
    features: Floats,
    labels: NDArray[np.int64],
    weights: Floats,
    n_classes: int,
    *,
    seed: int,
    hidden: Sequence[int] = (32, 32),
    epochs: int = 20,
    batch_size: int = 256,
    learning_rate: float = 5e-3,
    after_epoch: Callable[[Any], object] | None = None,
    progress: bool | None = None,
) -> Any:
    """A torch module from features (n, F), not standardised, to the probability of class 1 (n, 1),
    or of all of more than two classes (n, n_classes). SiLU has the second derivatives that Taylor
    coefficients need. ``after_epoch`` is called with the module, and with the untrained one first.
    """
    mean, scale = mean_and_spread(features, weights)
    n_outputs = 1 if n_classes == 2 else n_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[Any] = []
        widths = (features.shape[1], *hidden)
        for i, width in enumerate(widths[1:]):
            layers += [torch.nn.Linear(widths[i], width), torch.nn.SiLU()]
        logits = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], n_outputs))
    standardise = Standardise(mean, np.where(scale > 0, scale, 1.0))
    end = torch.nn.Sigmoid() if n_outputs == 1 else torch.nn.Softmax(1)
    model = torch.nn.Sequential(standardise, logits, end)
    x = standardise(torch.as_tensor(features).float())
    y = torch.as_tensor(labels)
    w = torch.as_tensor(weights / weights.mean()).float()
    optimiser = torch.optim.Adam(logits.parameters(), lr=learning_rate)
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    if after_epoch:
        after_epoch(model)
    with progress_bar("training the network", epochs, progress) as advance:
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(batch_size):
                loss = (w[rows] * _losses(logits(x[rows]), y[rows])).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
            if after_epoch:
                after_epoch(model)
            advance(1)
    return model.eval()


def _losses(logits: Any, labels: Any) -> Any:
    if logits.shape[1] == 1:
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.float(), reduction="none"
        )
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")
