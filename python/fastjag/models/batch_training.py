"""Training of networks on batches as they come, such as those of :func:`fastjag.loader`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import torch

from fastjag.core.checks import at_least
from fastjag.models.padded_networks import TaggerNetwork
from fastjag.models.resumable_training import ResumableTraining, check_rates
from fastjag.models.training_device import training_device


class EpochsOfBatches(Protocol):
    """What gives batches: a :class:`fastjag.loading.Loader`, or anything with these methods."""

    def set_epoch(self, epoch: int) -> None:
        """The next loop is this epoch."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Batches of an epoch: tensors, "target" (class numbers) and perhaps "weight"."""


@dataclass(frozen=True)
class TrainedNetwork:
    """What came of a training: the network of the best epoch, and the losses on the way."""

    network: TaggerNetwork
    train: list[float] = field(default_factory=list)  #: mean loss by epoch, while it learned
    validation: list[float] = field(default_factory=list)  #: after each epoch
    best_epoch: int = -1  #: of the smallest loss in validation, whose weights the network has


def train_network(
    network: TaggerNetwork,
    train: EpochsOfBatches,
    validation: EpochsOfBatches,
    *,
    epochs: int = 20,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    patience: int = 8,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> TrainedNetwork:
    """Train a network on batches by cross-entropy, weighted where batches have weights.

    AdamW is what learns; its rate falls to zero along a cosine. The network that comes out is that of the
    epoch with the smallest loss in validation.

    Parameters
    ----------
    network
        It is trained in place. Its weights are what it was made with: make it under ``torch.manual_seed``.
    train, validation
        Batches by epoch. Validation is gone through as its epoch 0 every time.
    epochs, patience
        At most so many epochs; training ends after ``patience`` of them without a smaller loss in validation.
    learning_rate, weight_decay
        Of AdamW.
    seed
        Of dropout.
    device
        "cpu", or "cuda" where torch has one.
    checkpoint
        A file that is written as training goes on; where it holds a state of the same network, batches and
        settings, training goes on from there.
    progress
        Show a bar of epochs.

    Raises
    ------
    ValueError
        For settings that cannot be, batches without a target, a target that is no class, no events.
    FloatingPointError
        For a loss that is not finite.
    """
    for name, value in (("epochs", epochs), ("patience", patience)):
        at_least(name, value, 1)
    check_rates(learning_rate, weight_decay)
    where = torch.device(training_device(device, "torch"))
    training = _BatchTraining(network.to(where), train, validation, epochs, learning_rate,
                              weight_decay, patience, where)  # fmt: skip
    identity = _identity(training, seed) if checkpoint is not None else ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        training.run(None if checkpoint is None else Path(checkpoint), identity, progress)
    network.load_state_dict(training.best_state)
    losses = training.losses
    return TrainedNetwork(
        network.to("cpu").eval(), losses["train"], losses["validation"], training.best_epoch
    )


def _identity(training: _BatchTraining, seed: int) -> str:
    """Of network, batches and settings: another training has another one."""
    network = training.network
    digest = blake2b(digest_size=16)
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    data: list[Any] = [
        getattr(part, "describe", dict)() for part in (training.train, training.validation)
    ]
    settings = (network.settings, training.epochs, training.learning_rate, training.weight_decay,
                training.patience, seed)  # fmt: skip
    digest.update(repr((type(network).__name__, data, settings)).encode())
    return digest.hexdigest()


class _BatchTraining(ResumableTraining):
    """The state of one training."""

    what = "a tagger"

    def __init__(
        self, network: TaggerNetwork, train: EpochsOfBatches, validation: EpochsOfBatches,
        epochs: int, learning_rate: float, weight_decay: float, patience: int, device: torch.device,
    ) -> None:  # fmt: skip
        self.network, self.train, self.validation = network, train, validation
        self.epochs, self.learning_rate, self.patience = epochs, learning_rate, patience
        self.weight_decay, self.device = weight_decay, device
        self.optimizer = torch.optim.AdamW(
            network.parameters(), learning_rate, weight_decay=weight_decay
        )
        self.losses: dict[str, list[float]] = {"train": [], "validation": []}
        self.best_epoch = -1
        self.best_state: Any = None

    @property
    def done(self) -> int:
        return len(self.losses["train"])

    def stopped(self) -> bool:
        return self.done - 1 - self.best_epoch >= self.patience

    def train_epoch(self) -> None:
        self.anneal()
        self.train.set_epoch(self.done)
        self.network.train()
        train = self._pass(self.train, learn=True)
        self.validation.set_epoch(0)
        self.network.eval()
        with torch.no_grad():
            validation = self._pass(self.validation, learn=False)
        self.losses["train"].append(train)
        losses = self.losses["validation"]
        losses.append(validation)
        if self.best_epoch < 0 or validation < losses[self.best_epoch]:
            self.best_epoch = len(losses) - 1
            self.best_state = {k: v.clone() for k, v in self.network.state_dict().items()}

    def _pass(self, batches: Iterable[Mapping[str, Any]], *, learn: bool) -> float:
        """The mean loss of all batches."""
        total, weight = 0.0, 0.0
        for given in batches:
            batch = self._tensors(given)
            losses = torch.nn.functional.cross_entropy(
                self.network(batch), batch["target"], reduction="none"
            )
            w = batch["weight"] if "weight" in batch else torch.ones_like(losses)
            if learn:
                # Weights are 1 on average over all events, not in every batch.
                loss = (w * losses).mean()
                self.check_loss(loss.item(), "columns")
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            total += float((w * losses.detach()).sum())
            weight += float(w.sum())
        if not weight > 0:
            what = "training" if learn else "validation"
            raise ValueError(f"the batches for {what} have no events with weights above 0")
        if not learn:
            self.check_loss(total / weight, "columns of the validation")
        return total / weight

    def _tensors(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        wanted = [*self.network.tensor_names, "target", *(["weight"] if "weight" in batch else [])]
        if "target" not in batch:
            raise ValueError("the batches have no target: name it where the loader is made")
        self.network.check_batch(
            {k: torch.as_tensor(batch[k]) for k in self.network.tensor_names if k in batch}
        )
        found = {name: torch.as_tensor(batch[name], device=self.device) for name in wanted}
        target = found["target"]
        if target.is_floating_point() or target.ndim != 1:
            raise ValueError(
                f"the target must be the class of each event, got {target.dtype} of shape {tuple(target.shape)}"
            )
        found["target"] = target.long()
        if len(target) and not 0 <= int(target.min()) <= int(target.max()) < self.network.n_classes:
            raise ValueError(
                f"the target has classes {int(target.min())} to {int(target.max())}, the network has "
                f"{self.network.n_classes}"
            )
        return found

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(), "best": self.best_state,
            "best_epoch": self.best_epoch, "losses": self.losses, "random": torch.get_rng_state(),
        }  # fmt: skip

    def resume(self, content: dict[str, Any]) -> None:
        self.network.load_state_dict(content["network"])
        self.best_state, self.best_epoch = content["best"], content["best_epoch"]
        self.losses = content["losses"]
        torch.set_rng_state(content["random"])
