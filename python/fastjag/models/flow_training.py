"""Training of flows: settings, the best epoch on validation data, early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import zuko

from fastjag.core.checks import at_least, one_of
from fastjag.models.flow_events import FlowEvents
from fastjag.models.resumable_training import ResumableTraining, check_rates
from fastjag.models.stacked_flows import StackedFlows


@dataclass(frozen=True)
class FlowSettings:
    """Architecture and training. ``PRESETS`` holds two of them by name."""

    kind: str = "spline"  #: "spline" (rational-quadratic, autoregressive) or "affine" (MAF)
    transforms: int = 3
    hidden: tuple[int, ...] = (48, 48)
    bins: int = 8  #: of each spline
    activation: str = "ReLU"
    epochs: int = 200
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-6
    clip_gradient: float = 1.0
    validation: float = 0.2  #: share of the events
    patience: int | None = 25  #: epochs without improvement before training stops; None: never
    anneal: bool = True  #: learning rate falls to zero along a cosine

    def __post_init__(self) -> None:
        for name, least in (("transforms", 1), ("bins", 2), ("epochs", 1), ("batch_size", 1)):
            at_least(name, getattr(self, name), least)
        for width in self.hidden:
            at_least("each width in hidden", width, 1)
        if self.patience is not None:
            at_least("patience", self.patience, 1)
        if not 0 < self.validation < 1:
            raise ValueError(
                f"validation must be a share between 0 and 1, both excluded, got {self.validation!r}"
            )
        check_rates(self.learning_rate, self.weight_decay)
        if not 0 < self.clip_gradient < math.inf:
            raise ValueError(f"clip_gradient must be a positive number, got {self.clip_gradient!r}")

    @staticmethod
    def preset(name: str, **changes: Any) -> FlowSettings:
        """Those of ``PRESETS``, with some of them changed."""
        return replace(PRESETS[one_of("settings", name, tuple(PRESETS))], **changes)


#: "spline" is the default. "paper" is that of arXiv:2502.14036: six affine blocks with two hidden
#: layers of 20 tanh units, 400 epochs of batches of 256, best validation epoch (its batch
#: normalisation between blocks is left out).
PRESETS = {
    "spline": FlowSettings(),
    "paper": FlowSettings(
        kind="affine", transforms=6, hidden=(20, 20), activation="Tanh", epochs=400, batch_size=256,
        learning_rate=7.5e-4, patience=None, anneal=False,
    ),
    "fast": FlowSettings(
        transforms=1, hidden=(32,), epochs=25, batch_size=1024, learning_rate=1e-2, patience=8,
    ),
}  # fmt: skip


class FlowTraining(ResumableTraining):
    """Flows of the same settings on the same data, each with a seed and so a course of its own."""

    what = "a flow"

    def __init__(self, flows: Sequence[Any], events: FlowEvents) -> None:
        self.settings, device, self.events = flows[0].settings, flows[0].device, events
        self.epochs, self.learning_rate = self.settings.epochs, self.settings.learning_rate
        networks = []
        with torch.random.fork_rng(devices=[]):
            for flow in flows:
                torch.manual_seed(flow.seed)
                networks.append(make_network(self.settings, events.n_features).to(device))
        self.stack = StackedFlows(networks, self.settings.kind)
        self.best = self.stack.parameters.clone()
        self.optimizer = torch.optim.Adam(
            [self.stack.parameters], self.learning_rate, weight_decay=self.settings.weight_decay
        )
        self.train_loss: list[list[float]] = [[] for _ in flows]
        self.valid_loss: list[list[float]] = [[] for _ in flows]
        #: Events of the validation data without a finite ln p, which its loss leaves out.
        self.valid_infinite: list[list[int]] = [[] for _ in flows]
        self.validation_events = 0  #: how many the last epoch was judged by

    def best_epoch(self, flow: int) -> int:
        # A loss that leaves out more events is not a better one.
        losses = list(zip(self.valid_infinite[flow], self.valid_loss[flow], strict=True))
        return min(range(len(losses)), key=losses.__getitem__)

    def best_networks(self) -> list[Any]:
        return [network.eval() for network in self.stack.unstack(self.best)]

    @property
    def done(self) -> int:
        return max(map(len, self.train_loss))

    def stopped(self) -> bool:
        return not self._going()

    def _going(self) -> list[int]:
        """Flows that still improve, or may do so."""
        patience = self.settings.patience
        return [
            flow
            for flow, losses in enumerate(self.valid_loss)
            if len(losses) == self.done
            and (
                patience is None or not losses or len(losses) - 1 - self.best_epoch(flow) < patience
            )
        ]

    def train_epoch(self) -> None:
        epoch, settings = self.done, self.settings
        if settings.anneal:
            self.anneal()
        going = self._going()  # the others stay in the stack as they are
        total, n = torch.zeros(len(self.train_loss), device=self.best.device), 0
        for x, c in self.events.training(epoch):
            loss = self.stack.gradients(x, c, settings.clip_gradient)
            self.optimizer.step()
            total += loss * x.shape[1]
            n += x.shape[1]
        with torch.no_grad():
            parts = [-self.stack.log_prob(x, c) for x, c in self.events.validation()]
        if not n or not parts:
            raise ValueError(f"there are no events for {'validation' if n else 'training'}")
        valid = torch.cat(parts, dim=1)
        self.validation_events = valid.shape[1]
        means = {flow: float(total[flow]) / n for flow in going}
        for mean in means.values():
            self.check_loss(mean, "features")
        improved = torch.zeros(len(self.train_loss), dtype=torch.bool)
        for flow, mean in means.items():
            self.train_loss[flow].append(mean)
            finite = valid[flow][torch.isfinite(valid[flow])]
            self.valid_loss[flow].append(float(finite.mean()) if len(finite) else math.inf)
            self.valid_infinite[flow].append(len(valid[flow]) - len(finite))
            improved[flow] = self.best_epoch(flow) == epoch
        chosen = improved.to(self.best.device)[self.stack.owner]
        self.best = torch.where(chosen, self.stack.parameters, self.best)

    def state(self) -> dict[str, Any]:
        return {
            "parameters": self.stack.parameters,
            "best": self.best,
            "train_loss": self.train_loss,
            "validation_loss": self.valid_loss,
            "validation_infinite": self.valid_infinite,
            "validation_events": self.validation_events,
            **self.events.state(),
        }

    def resume(self, content: dict[str, Any]) -> None:
        self.stack.parameters.copy_(content["parameters"])  # in place: layers share this memory
        self.best = content["best"].to(self.best.device)
        self.train_loss, self.valid_loss = content["train_loss"], content["validation_loss"]
        self.valid_infinite = content["validation_infinite"]
        self.validation_events = content.get("validation_events", 0)
        self.events.resume(content)


def make_network(settings: FlowSettings, n_features: int) -> Any:
    common: dict[str, Any] = {
        "context": 1,
        "transforms": settings.transforms,
        "hidden_features": settings.hidden,
        "activation": getattr(torch.nn, settings.activation),
    }
    if settings.kind == "spline":
        return zuko.flows.NSF(n_features, bins=settings.bins, **common)
    return zuko.flows.MAF(n_features, **common)
