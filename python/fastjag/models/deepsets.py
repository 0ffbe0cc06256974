"""DeepSets: classes of events from their particles, however many and in whatever order.

f(event) = rho(sum over particles of phi(particle), columns of the event), Zaheer et al., NIPS 2017;
with an encoder phi per type of particles, as in particle-flow networks (Komiske, Metodiev, Thaler,
JHEP 01 (2019) 121). Sums run over ragged particles by their offsets: nothing is padded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastjag.core.checks import at_least
from fastjag.models.particle_tensors import Floats, Standards, Tensors
from fastjag.models.resumable_training import ResumableTraining, check_rates, digest_of
from fastjag.models.training_device import training_device
from fastjag.models.weights import (
    Classifier,
    TrainingSet,
    check_events,
    hold_out,
    training_weights,
)

_PREDICTED = 8192  # events at a time


class SetNetwork(torch.nn.Module):  # type: ignore[misc]
    """An encoder per type of particles, summed over the event, and a network of the sums."""

    def __init__(
        self,
        widths: Mapping[str, int],
        n_flat: int,
        n_classes: int,
        phi: Sequence[int],
        rho: Sequence[int],
    ) -> None:
        super().__init__()
        self.encoders = torch.nn.ModuleDict({t: _layers(w, phi) for t, w in widths.items()})
        self.body = _layers(len(widths) * phi[-1] + n_flat, rho)
        self.head = torch.nn.Linear(rho[-1], n_classes)

    def embed(self, events: Tensors) -> torch.Tensor:
        """What the classes are read from: (n_events, rho[-1])."""
        sums = [p.pool(self.encoders[t](p.values)) for t, p in events.particles.items()]
        return self.body(torch.cat([*sums, events.flat], dim=1))

    def forward(self, events: Tensors) -> torch.Tensor:
        """Logits, (n_events, n_classes)."""
        return self.head(self.embed(events))


def _layers(width: int, widths: Sequence[int]) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for before, after in zip((width, *widths), widths, strict=False):
        parts += [torch.nn.Linear(before, after), torch.nn.LayerNorm(after), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts)


@dataclass(eq=False, repr=False)
class DeepSets(Classifier):
    """Classifier of events as sets, for signed weights.

    ``X`` is a :class:`fastjag.models.particle_tensors.EventSets` or the like, such as the events of
    the diphoton analysis. ``losses_`` holds the losses by epoch, ``best_epoch_`` the one kept: that
    of the smallest loss in validation. AdamW is what learns.
    """

    #: Type of particles to the columns to use, for example {"photon": ("pt", "eta", "phi", "E")}.
    #: How they are standardised: :class:`fastjag.models.particle_tensors.Standard`.
    inputs: Mapping[str, Sequence[str]]
    flat: Sequence[str] = ()  #: columns of the event, such as ("met_et", "met_phi")
    phi: Sequence[int] = (64, 64, 64)  #: widths of the layers of the encoders
    rho: Sequence[int] = (128, 64)  #: widths of the layers of the network of their sums
    epochs: int = 30
    batch_size: int = 1024
    learning_rate: float = 1e-3  #: falls to zero along a cosine
    weight_decay: float = 1e-2
    validation: float = 0.2  #: share of each class that is kept aside
    patience: int = 8  #: epochs without a smaller loss there, after which training ends
    #: Policy for negative weights (:func:`fastjag.models.weights.training_weights`).
    negative: str = "abs"
    seed: int = 0  #: of the initial weights, the validation part and the order of batches
    device: str = "cpu"  #: or "cuda" where torch has one

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
    ) -> DeepSets:
        """Learn from events, (n,) classes and (n,) signed weights.

        Events with the same number in ``groups``, (n,), are on one side of the validation.
        ``checkpoint`` names a file that is written as training goes on; where it holds a state of
        the same parameters and data, training goes on from there. A file that cannot be read is an
        error, one of another training is overwritten.
        """
        known = training_weights(y, sample_weight, negative=self.negative)
        if not self.inputs or not self.phi or not self.rho:
            raise ValueError("inputs, phi and rho must not be empty")
        device = torch.device(training_device(self.device, "torch"))
        self.classes_ = known.classes
        for name in ("epochs", "batch_size", "patience"):
            at_least(name, getattr(self, name), 1)
        check_rates(self.learning_rate, self.weight_decay)
        rng = np.random.default_rng(self.seed)
        together = None if groups is None else np.asarray(groups)[known.rows]
        held = hold_out(known.codes, self.validation, rng, known.weights, together)
        self.standards_ = Standards(self.inputs, self.flat)
        check_events(self.standards_.n_events(X), y)
        self.standards_.fit(X, known.rows[~held])
        tensors = self.standards_.tensors(X, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self._network().to(device)
        training = _Training(self, network, tensors, known, held)
        path = None if checkpoint is None else Path(checkpoint)
        training.run(path, training.identity if path else "", progress)
        self.network_ = training.best_network()
        self.losses_ = training.losses
        self.best_epoch_ = training.best_epoch
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of ``classes_``, (n, K); columns are those of ``inputs``, by name."""
        return self._in_batches(
            X, lambda batch: torch.softmax(self.network_(batch).double(), dim=1)
        )

    def embed(self, X: Any) -> Floats:
        """The last hidden layer, (n, rho[-1]): features for other models."""
        return self._in_batches(X, lambda batch: self.network_.embed(batch))

    def _network(self) -> SetNetwork:
        widths = {name: s.width for name, s in self.standards_.types.items()}
        return SetNetwork(
            widths, self.standards_.flat.width, len(self.classes_), tuple(self.phi), tuple(self.rho)
        )

    def _in_batches(self, X: Any, function: Any) -> Floats:
        check_is_fitted(self, "network_")
        tensors = self.standards_.tensors(X, torch.device(self.device))
        events = torch.arange(len(tensors.flat), device=tensors.flat.device)
        with torch.no_grad():
            parts = [function(tensors.pick(some)) for some in events.split(_PREDICTED)]
        return np.asarray(torch.cat(parts).cpu().numpy(), np.float64)


class _Training(ResumableTraining):
    """The state of one training."""

    what = "DeepSets"

    def __init__(
        self, model: DeepSets, network: SetNetwork, tensors: Tensors, known: TrainingSet, held: Any
    ) -> None:
        self.model, self.network, self.tensors = model, network, tensors
        self.epochs, self.learning_rate = model.epochs, model.learning_rate
        self.optimizer = torch.optim.AdamW(
            network.parameters(), self.learning_rate, weight_decay=model.weight_decay
        )
        device = tensors.flat.device
        self.rows = torch.tensor(known.rows, device=device)
        self.codes = torch.tensor(known.codes, device=device)
        self.weights = torch.tensor(known.weights, dtype=torch.float32, device=device)
        self.train = torch.tensor(np.flatnonzero(~held), device=device)
        self.valid = torch.tensor(np.flatnonzero(held), device=device)
        self.generator = torch.Generator().manual_seed(model.seed)
        self.losses: dict[str, list[float]] = {"train": [], "validation": []}
        self.best_epoch = -1
        self.best_state: Any = None

    @property
    def identity(self) -> str:
        """Of the parameters and the data: another training has another one."""
        parts = [tensor for part in self.tensors.particles.values() for tensor in part]
        return digest_of(
            *parts, self.tensors.flat, self.rows, self.codes, self.weights,
            text=repr(sorted(self.model.get_params().items())),
        )  # fmt: skip

    @property
    def done(self) -> int:
        return len(self.losses["train"])

    def stopped(self) -> bool:
        return self.done - 1 - self.best_epoch >= self.model.patience

    def train_epoch(self) -> None:
        self.anneal()
        order = torch.randperm(len(self.train), generator=self.generator)
        total = 0.0
        for batch in self.train[order.to(self.train.device)].split(self.model.batch_size):
            loss = self._loss(batch)
            self.check_loss(loss.item(), "columns")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            parts = [self._loss(some) * len(some) for some in self.valid.split(_PREDICTED)]
        self.losses["train"].append(total / len(self.train))
        losses = self.losses["validation"]
        losses.append(float(sum(parts)) / len(self.valid))
        if self.best_epoch < 0 or losses[-1] < losses[self.best_epoch]:
            self.best_epoch = len(losses) - 1
            self.best_state = {k: v.clone() for k, v in self.network.state_dict().items()}

    def _loss(self, batch: torch.Tensor) -> torch.Tensor:
        logits = self.network(self.tensors.pick(self.rows[batch]))
        losses = torch.nn.functional.cross_entropy(logits, self.codes[batch], reduction="none")
        return (self.weights[batch] * losses).mean()

    def best_network(self) -> SetNetwork:
        self.network.load_state_dict(self.best_state)
        return self.network

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "best": self.best_state,
            "best_epoch": self.best_epoch,
            "losses": self.losses,
            "generator": self.generator.get_state(),
        }

    def resume(self, content: dict[str, Any]) -> None:
        self.network.load_state_dict(content["network"])
        self.best_state, self.best_epoch = content["best"], content["best_epoch"]
        self.losses = content["losses"]
        self.generator.set_state(content["generator"])
