"""Training by epochs that an interruption does not lose: progress, learning rate, checkpoints."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from fastjag.core.checks import real
from fastjag.reporting.output import new_file
from fastjag.reporting.progress import progress_bar

_EVERY = 5.0  # seconds between checkpoints


class ResumableTraining(ABC):
    """Subclasses train for an epoch, and say what of their state a checkpoint holds."""

    what: str  #: is trained, for errors
    epochs: int  #: at most
    learning_rate: float  #: of the first epoch
    optimizer: torch.optim.Optimizer

    def run(self, checkpoint: Path | None, identity: Any, progress: bool | None) -> None:
        """Train on from ``checkpoint`` if that holds a state of the same ``identity``."""
        if checkpoint is not None and checkpoint.exists():
            content = read_checkpoint(checkpoint, self.what)
            if "identity" not in content:
                raise ValueError(f"{checkpoint}: is not a checkpoint of {self.what}")
            if content["identity"] == identity:
                self.optimizer.load_state_dict(content["optimizer"])
                self.resume(content)
        written = time.monotonic()
        with progress_bar("epochs", self.epochs, progress) as advance:
            advance(self.done)
            while self.done < self.epochs and not self.stopped():
                self.train_epoch()
                advance(1)
                if checkpoint is not None and time.monotonic() - written > _EVERY:
                    self._write(checkpoint, identity)
                    written = time.monotonic()
        if checkpoint is not None:
            self._write(checkpoint, identity)

    def _write(self, path: Path, identity: Any) -> None:
        state = {"identity": identity, "optimizer": self.optimizer.state_dict(), **self.state()}
        write_checkpoint(state, path)

    def anneal(self) -> None:
        """The learning rate falls to zero along a cosine."""
        share = 0.5 * (1 + math.cos(math.pi * self.done / self.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * share

    def check_loss(self, loss: float, where: str) -> None:
        """FloatingPointError for a loss that is not finite."""
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in epoch {self.done}: lower the learning rate "
                f"({self.learning_rate:g}), or look for outliers in the {where}"
            )

    @property
    @abstractmethod
    def done(self) -> int:
        """Epochs so far."""

    @abstractmethod
    def stopped(self) -> bool:
        """No epoch is worth while any more."""

    @abstractmethod
    def train_epoch(self) -> None:
        """Go through the data once, and look at the losses."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds beside the optimiser."""

    @abstractmethod
    def resume(self, content: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""


def check_rates(learning_rate: float, weight_decay: float) -> None:
    """ValueError for what no optimiser can use."""
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate!r}")
    real("weight_decay", weight_decay, least=0)


def digest_of(*tensors: torch.Tensor, text: str = "") -> str:
    """A hash of the bytes of tensors, and of a text."""
    digest = blake2b(text.encode(), digest_size=16)
    for tensor in tensors:
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    with new_file(path) as partial, open(partial, "wb") as file:
        torch.save(content, file)  # to a name, it says nothing of a full disk but that it failed


def read_checkpoint(path: Path, what: str) -> dict[str, Any]:
    """What :func:`write_checkpoint` wrote; ValueError for other and damaged files."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001  torch raises whatever the damage leads to
        raise ValueError(
            f"{path}: is not a checkpoint of {what}, or is damaged; remove it to start again "
            f"({error})"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: is not a checkpoint of {what}")  # noqa: TRY004
    return content
