"""DeepSets of padded batches, and all networks that can be trained on batches, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fastjag.models.deepsets import SetNetwork
from fastjag.models.padded_networks import FEATURES, Batch, TaggerNetwork
from fastjag.models.particle_tensors import Masked, Tensors
from fastjag.models.particle_transformer import ParticleTransformer
from fastjag.models.resumable_training import read_checkpoint


class DeepSetsNetwork(TaggerNetwork):
    """DeepSets of padded particles: the network of :class:`fastjag.models.deepsets.DeepSets`."""

    def __init__(
        self,
        groups: Mapping[str, int],
        n_features: int,
        n_classes: int,
        phi: Sequence[int] = (64, 64, 64),
        rho: Sequence[int] = (128, 64),
    ) -> None:
        super().__init__(groups, n_features, n_classes)
        if not phi or not rho:
            raise ValueError("phi and rho must not be empty")
        self.phi, self.rho = list(phi), list(rho)
        self.sets = SetNetwork(self.groups, n_features, n_classes, self.phi, self.rho)

    @property
    def settings(self) -> dict[str, Any]:
        return {"groups": self.groups, "n_features": self.n_features,
                "n_classes": self.n_classes, "phi": self.phi, "rho": self.rho}  # fmt: skip

    def forward(self, batch: Batch) -> torch.Tensor:
        parts: dict[str, Any] = {n: Masked(batch[n], batch[f"{n}_mask"]) for n in self.groups}
        first = batch[next(iter(self.groups))]
        flat = batch[FEATURES] if self.n_features else first.new_zeros(first.shape[0], 0)
        logits: torch.Tensor = self.sets(Tensors(parts, flat))
        return logits


#: What configurations call them.
NETWORKS: dict[str, type[TaggerNetwork]] = {
    "DeepSets": DeepSetsNetwork,
    "ParticleTransformer": ParticleTransformer,
}


def load_network(path: str | os.PathLike[str]) -> TaggerNetwork:
    """The network that :meth:`TaggerNetwork.save` wrote, on the CPU, for evaluation.

    Nothing of the file is run as code. Raises FileNotFoundError, and ValueError for other files.
    """
    content = read_checkpoint(Path(path), "a tagger")
    kind = {kind.__name__: kind for kind in NETWORKS.values()}.get(content.get("kind", ""))
    if kind is None or "settings" not in content or "weights" not in content:
        raise ValueError(f"{path}: holds no network of {', '.join(NETWORKS)}")
    network: TaggerNetwork = kind(**content["settings"])
    network.load_state_dict(content["weights"])
    network.eval()
    return network
