"""Networks of a configuration: made, trained on batches, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastjag.analyses.train.config import MOMENTA, TaggerConfig, inputs_of
from fastjag.analyses.train.results import TaggerResults
from fastjag.loading import Loader
from fastjag.models.batch_training import train_network
from fastjag.models.onnx import export_onnx
from fastjag.models.padded_networks import FEATURES, TaggerNetwork
from fastjag.models.particle_transformer import ParticleTransformer
from fastjag.models.tagger_networks import DeepSetsNetwork

_COMPARED = 1000  # events on which the exported network is compared with torch


def network_of(config: TaggerConfig) -> TaggerNetwork:
    """The network of a configuration before training; its weights are those of the seed."""
    seen = {group.name: len(group.columns) for group in inputs_of(config).groups}
    n, classes = seen.pop(FEATURES, 0), len(config.class_names)
    groups = {name: columns for name, columns in seen.items() if not name.endswith(MOMENTA)}
    how = config.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.model == "DeepSets":
            return DeepSetsNetwork(groups, n, classes, phi=how.phi, rho=how.rho)
        pairs = {name: name + MOMENTA for name in groups if name + MOMENTA in seen}
        return ParticleTransformer(
            groups,
            n,
            classes,
            pairs,
            width=how.width,
            heads=how.heads,
            blocks=how.blocks,
            dropout=how.dropout,
        )


def learned(
    results: TaggerResults, directory: Path, training: Loader, validation: Loader,
    progress: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """Train, write ``network.pt`` and ``tagger.onnx``, and say what came of it."""
    config, how = results.config, results.config.network
    checkpoint = results.out / "training.pt"  # outside of the results: an interrupted one goes on
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        done = train_network(
            network_of(config), training, validation, epochs=how.epochs, patience=how.patience,
            learning_rate=how.learning_rate, weight_decay=how.weight_decay, seed=config.seed,
            device=config.device, checkpoint=checkpoint, progress=progress,
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    done.network.save(directory / "network.pt")
    difference = export_onnx(
        done.network, _some_events(validation), directory / "tagger.onnx",
        classes=config.class_names,
    )  # fmt: skip
    checkpoint.unlink(missing_ok=True)
    return {
        "losses": {"training": done.train, "validation": done.validation},
        "best": done.best_epoch, "per": "epoch", "onnx_difference": difference,
        "parameters": sum(p.numel() for p in done.network.parameters()),
    }  # fmt: skip


def _some_events(validation: Loader) -> dict[str, Any]:
    """The first batches of the validation, two events or more."""
    validation.set_epoch(0)
    batches: list[Any] = []
    for batch in validation:
        batches.append(batch)
        if sum(b.n_events for b in batches) >= _COMPARED:
            break
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
