"""Features and context of flows as numbers of order one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_REACH = 5.0  # of splines


@dataclass(frozen=True)
class Standardisation:
    """What is subtracted from features and context, and what they are divided by.

    Splines are the identity beyond 5, and layers start with weights of order one: neither could
    learn from features in GeV. The location is the median; the scale is half the width of the central
    68 %, or more, so that 99.9 % are within 5. That is mean and standard deviation where the
    distribution is normal, and a few outliers do not move them.
    """

    shift: torch.Tensor  #: (F,) float32
    scale: torch.Tensor  #: (F,) float32, above 0
    context_shift: torch.Tensor  #: (1,)
    context_scale: torch.Tensor

    @staticmethod
    def fit(features: torch.Tensor, context: torch.Tensor) -> Standardisation:
        """From (n, F) features and (n, 1) context."""
        return Standardisation(*_location_and_scale(features), *_location_and_scale(context))

    @staticmethod
    def none(n_features: int) -> Standardisation:
        """Nothing is changed: of flows that 0.1.0 saved."""
        zero, one = torch.zeros(n_features), torch.ones(n_features)
        return Standardisation(zero, one, zero[:1], one[:1])

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return ((x.double() - self.shift.to(x.device)) / self.scale.to(x.device)).float()

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """Inverse of :meth:`features`."""
        return x.double() * self.scale.to(x.device) + self.shift.to(x.device)

    def context(self, c: torch.Tensor) -> torch.Tensor:
        shift, scale = self.context_shift.to(c.device), self.context_scale.to(c.device)
        return ((c.double() - shift) / scale).float()

    @property
    def log_volume(self) -> float:
        """What ln p of the features is below that of the standardised ones."""
        return float(self.scale.double().log().sum())


def _location_and_scale(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = table.cpu().numpy().astype(np.float64)
    low, middle, high = np.quantile(x, [0.1587, 0.5, 0.8413], axis=0)
    reach = np.quantile(np.abs(x - middle), 0.999, axis=0, method="lower")
    half = np.maximum((high - low) / 2, reach / _REACH)
    # Where most events have one value the others give the scale; 1 if there are none.
    half = np.where(half > 0, half, x.std(axis=0))
    scale = np.where(half > 0, half, 1.0)
    return torch.from_numpy(middle.astype("f4")), torch.from_numpy(scale.astype("f4"))
