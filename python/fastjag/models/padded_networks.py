"""What networks of padded batches have in common: what they are given, and how they are kept.

A batch is a dict of tensors as :class:`fastjag.loader` makes it: of a group of particles "Jet" the
values "Jet" (n, width, F) and "Jet_mask" (n, width), and numbers of the events "features" (n, F).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fastjag.core.checks import at_least, near_misses
from fastjag.models.resumable_training import write_checkpoint

Batch = Mapping[str, torch.Tensor]

#: The tensor of numbers of the events.
FEATURES = "features"


class TaggerNetwork(torch.nn.Module, ABC):  # type: ignore[misc]
    """A network that gives every event of a batch a number per class, before the softmax.

    ``groups`` maps groups of particles to their columns' number, ``n_features`` counts numbers of the
    event, ``n_classes`` is 2 or more.
    """

    def __init__(self, groups: Mapping[str, int], n_features: int, n_classes: int) -> None:
        super().__init__()
        if not groups:
            raise ValueError("groups must name one group of particles or more")
        at_least("n_features", n_features, 0)
        at_least("n_classes", n_classes, 2)
        for name, width in groups.items():
            at_least(f"columns of {name!r}", width, 1)
        self.groups, self.n_features, self.n_classes = dict(groups), n_features, n_classes

    @property
    def tensor_names(self) -> list[str]:
        """Tensors that :meth:`forward` takes from a batch, in the order of an exported network's inputs."""
        names = [part for group in self.groups for part in (group, f"{group}_mask")]
        return [*names, *([FEATURES] if self.n_features else [])]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to make this network again, as plain values."""

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (n, n_classes) of a batch of n events."""

    def scores(self, batch: Batch) -> torch.Tensor:
        """Probabilities of the classes, (n, n_classes)."""
        return torch.softmax(self(batch), dim=1)

    def check_batch(self, batch: Batch) -> None:
        """KeyError, ValueError naming a tensor that is missing, or has another number of columns."""
        for name in self.tensor_names:
            if name not in batch:
                raise KeyError(f"the batch has no tensor {name!r}: {near_misses(name, batch)}")
        for name, width in {**self.groups, FEATURES: self.n_features}.items():
            if width and batch[name].shape[-1] != width:
                raise ValueError(
                    f"tensor {name!r} must have {width} columns, got shape {tuple(batch[name].shape)}"
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write kind, settings and weights, for :func:`fastjag.models.tagger_networks.load_network`."""
        content = {"kind": type(self).__name__, "settings": self.settings,
                   "weights": self.state_dict()}  # fmt: skip
        write_checkpoint(content, Path(path))
