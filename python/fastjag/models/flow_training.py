"""Training of flows: best epoch on validation data, early stopping, checkpoints to resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import zuko

from fastjag.core.checks import at_least, one_of
from fastjag.models.stacked_flows import StackedFlows
from fastjag.reporting.output import new_file
from fastjag.reporting.progress import progress_bar

_EVERY = 5.0  # seconds between checkpoints


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
        for name, value in (
            ("learning_rate", self.learning_rate), ("clip_gradient", self.clip_gradient),
        ):  # fmt: skip
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value!r}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be a number >= 0, got {self.weight_decay!r}")

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


class Training:
    """Flows of the same settings on the same data, each with a seed and so a course of its own."""

    def __init__(self, flows: Sequence[Any], x: torch.Tensor, c: torch.Tensor) -> None:
        self.settings, device = flows[0].settings, flows[0].device
        self.generators = [torch.Generator().manual_seed(flow.seed) for flow in flows]
        orders = [torch.randperm(len(x), generator=g) for g in self.generators]
        n_valid = max(1, round(self.settings.validation * len(x)))
        valid, train = torch.stack(orders).to(device).split([n_valid, len(x) - n_valid], dim=1)
        x, c = x.to(device), c.to(device)
        self.x, self.c, self.x_valid, self.c_valid = x[train], c[train], x[valid], c[valid]
        networks = []
        with torch.random.fork_rng(devices=[]):
            for flow in flows:
                torch.manual_seed(flow.seed)
                networks.append(new_network(self.settings, x.shape[1]).to(device))
        self.stack = StackedFlows(networks, self.settings.kind)
        self.best = self.stack.parameters.clone()
        self.optimizer = torch.optim.Adam(
            [self.stack.parameters], self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )  # fmt: skip
        self.train_loss: list[list[float]] = [[] for _ in flows]
        self.valid_loss: list[list[float]] = [[] for _ in flows]
        #: Events of the validation data without a finite ln p, which its loss leaves out.
        self.valid_infinite: list[list[int]] = [[] for _ in flows]

    def run(self, checkpoint: Path | None, identity: dict[str, Any], progress: bool | None) -> None:
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint, identity)
        written = time.monotonic()
        with progress_bar("epochs", self.settings.epochs, progress) as advance:
            advance(self._epochs)
            while self._epochs < self.settings.epochs and not all(map(self._stopped, self._flows)):
                self._epoch()
                advance(1)
                if checkpoint is not None and time.monotonic() - written > _EVERY:
                    self._checkpoint(checkpoint, identity)
                    written = time.monotonic()
        if checkpoint is not None:
            self._checkpoint(checkpoint, identity)

    def best_epoch(self, flow: int) -> int:
        # A loss that leaves out more events is not a better one.
        losses = list(zip(self.valid_infinite[flow], self.valid_loss[flow], strict=True))
        return min(range(len(losses)), key=losses.__getitem__)

    def best_networks(self) -> list[Any]:
        return [network.eval() for network in self.stack.unstacked(self.best)]

    @property
    def _flows(self) -> range:
        return range(len(self.generators))

    @property
    def _epochs(self) -> int:
        return max(map(len, self.train_loss))

    def _stopped(self, flow: int) -> bool:
        patience, n = self.settings.patience, len(self.valid_loss[flow])
        return n < self._epochs or (
            patience is not None and n > 0 and n - 1 - self.best_epoch(flow) >= patience > 0
        )

    def _epoch(self) -> None:
        epoch, settings = self._epochs, self.settings
        if settings.anneal:
            share = 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * share
        going = [
            flow for flow in self._flows if not self._stopped(flow)
        ]  # others stay in the stack
        n = self.x.shape[1]
        order = torch.stack([torch.randperm(n, generator=g) for g in self.generators])
        rows = order.to(self.x.device)[..., None]
        x, c = (table.gather(1, rows.expand_as(table)) for table in (self.x, self.c))
        total = torch.zeros(len(self._flows), device=x.device)
        for begin in range(0, n, settings.batch_size):
            batch = slice(begin, begin + settings.batch_size)
            loss = self.stack.gradients(x[:, batch], c[:, batch], settings.clip_gradient)
            self.optimizer.step()
            total += loss * len(order[0, batch])
        with torch.no_grad():
            valid = -self.stack.log_prob(self.x_valid, self.c_valid)
        improved = torch.zeros(len(self._flows), dtype=torch.bool)
        for flow in going:
            mean = float(total[flow]) / n
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"the loss is {mean} in epoch {epoch}: lower the learning rate "
                    f"({settings.learning_rate:g}), or look for outliers in the features"
                )
            self.train_loss[flow].append(mean)
            finite = valid[flow][torch.isfinite(valid[flow])]
            self.valid_loss[flow].append(float(finite.mean()) if len(finite) else math.inf)
            self.valid_infinite[flow].append(len(valid[flow]) - len(finite))
            improved[flow] = self.best_epoch(flow) == epoch
        chosen = improved.to(x.device)[self.stack.owner]
        self.best = torch.where(chosen, self.stack.parameters, self.best)

    def _checkpoint(self, path: Path, identity: dict[str, Any]) -> None:
        content = {
            "identity": identity,
            "parameters": self.stack.parameters,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "train_loss": self.train_loss,
            "validation_loss": self.valid_loss,
            "validation_infinite": self.valid_infinite,
            "generators": [g.get_state() for g in self.generators],
        }
        write(content, path)

    def _resume(self, path: Path, identity: dict[str, Any]) -> None:
        content = read(path)
        if content.get("identity") != identity:
            return  # another training
        self.stack.parameters.copy_(content["parameters"])  # in place: layers share this memory
        self.best = content["best"].to(self.best.device)
        self.optimizer.load_state_dict(content["optimizer"])
        self.train_loss, self.valid_loss = content["train_loss"], content["validation_loss"]
        self.valid_infinite = content["validation_infinite"]
        for generator, state in zip(self.generators, content["generators"], strict=True):
            generator.set_state(state)


def new_network(settings: FlowSettings, n_features: int) -> Any:
    common: dict[str, Any] = {
        "context": 1,
        "transforms": settings.transforms,
        "hidden_features": settings.hidden,
        "activation": getattr(torch.nn, settings.activation),
    }
    if settings.kind == "spline":
        return zuko.flows.NSF(n_features, bins=settings.bins, **common)
    return zuko.flows.MAF(n_features, **common)


def write(content: dict[str, Any], path: Path) -> None:
    with new_file(path) as partial, open(partial, "wb") as file:
        torch.save(content, file)  # to a name, it says nothing of a full disk but that it failed


def read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001  torch raises whatever the damage leads to
        raise ValueError(
            f"{path}: is not a checkpoint of a flow, or is damaged; remove it to start again ({error})"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: is not a checkpoint of a flow")  # noqa: TRY004
    return content
