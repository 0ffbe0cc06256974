"""Conditional normalizing flows: a density p(features | context) that can be sampled.

torch and zuko do the work; here is the training: best epoch on validation data, early stopping,
checkpoints that an interrupted training resumes from, every random number from the seed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zuko
from numpy.typing import ArrayLike, NDArray

from fastjag.arrays import one_of
from fastjag.progress import progress_bar

Floats = NDArray[np.float64]

_SAMPLE_BATCH = 65_536
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


#: "spline" is the default. "paper" is that of arXiv:2502.14036: six affine blocks with one hidden
#: layer of 20 tanh units, 400 epochs of batches of 256, best validation epoch (its batch
#: normalisation between blocks is left out).
PRESETS = {
    "spline": FlowSettings(),
    "paper": FlowSettings(
        kind="affine", transforms=6, hidden=(20,), activation="Tanh", epochs=400, batch_size=256,
        learning_rate=7.5e-4, patience=None, anneal=False,
    ),
    "fast": FlowSettings(transforms=2, hidden=(32,), epochs=30, batch_size=1024, patience=8),
}  # fmt: skip


class ConditionalFlow:
    """p(features | context), trained by :meth:`fit`.

    Parameters
    ----------
    settings
        A :class:`FlowSettings` or the name of a preset: "spline", "paper", "fast".
    seed
        Of the initial weights, the validation split and the order of batches; recorded in
        :attr:`record`.
    device
        "cpu", or "cuda" where torch has one.
    """

    def __init__(
        self, settings: FlowSettings | str = "spline", *, seed: int = 0, device: str = "cpu"
    ) -> None:
        if isinstance(settings, str):
            settings = PRESETS[one_of("settings", settings, tuple(PRESETS))]
        one_of("kind", settings.kind, ("spline", "affine"))
        if not hasattr(torch.nn, settings.activation):
            raise ValueError(f"activation must be a torch.nn class, got {settings.activation!r}")
        self.settings, self.seed, self.device = settings, seed, torch.device(device)
        self.record: dict[str, Any] = {}
        self._network: Any = None
        self._features = 0

    # ---- training ---------------------------------------------------------------------------

    def fit(
        self,
        features: ArrayLike,
        context: ArrayLike,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
    ) -> ConditionalFlow:
        """Maximise the likelihood of (n, F) features given (n,) context.

        The network kept is that of the epoch with the lowest validation loss. ``checkpoint`` names
        a file that is written as training goes on; where it holds a state of the same settings,
        seed and data, training goes on from there. A file that cannot be read is an error, one of
        another training is overwritten.
        """
        x, c = _table(features, "features"), _column(context)
        if len(x) != len(c):
            raise ValueError(f"features have {len(x)} events, but context has {len(c)}")
        if len(x) < 10:
            raise ValueError(f"a flow needs at least 10 events to learn from, got {len(x)}")
        generator = torch.Generator().manual_seed(self.seed)
        shuffled = torch.randperm(len(x), generator=generator)
        n_valid = max(1, round(self.settings.validation * len(x)))
        x, c = x.to(self.device), c.to(self.device)
        valid, train = (p.to(self.device) for p in shuffled.split([n_valid, len(x) - n_valid]))
        training = _Training(self, x[train], c[train], x[valid], c[valid], generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            training.build(x.shape[1])
        identity = {"settings": asdict(self.settings), "seed": self.seed, "data": _digest(x, c)}
        training.run(None if checkpoint is None else Path(checkpoint), identity, progress)
        self._network, self._features = training.best_network(), x.shape[1]
        self.record = {
            **identity,
            "train_loss": training.train_loss,
            "validation_loss": training.valid_loss,
            "best_epoch": training.best_epoch,
            "parameters": sum(p.numel() for p in self._network.parameters()),
        }
        return self

    # ---- what it learned --------------------------------------------------------------------

    def log_prob(self, features: ArrayLike, context: ArrayLike) -> Floats:
        """ln p(features | context), shape (n,)."""
        return self._in_batches(
            lambda x, c: self._network(c).log_prob(x), _table(features, "features"), context
        )

    def latent(self, features: ArrayLike, context: ArrayLike) -> Floats:
        """The normally distributed variables that the features are made of, shape (n, F)."""
        return self._in_batches(
            lambda x, c: self._network(c).transform(x), _table(features, "features"), context
        )

    def sample(self, context: ArrayLike, *, seed: int) -> Floats:
        """One draw of the features for every entry of ``context``: shape (n, F)."""
        generator = torch.Generator().manual_seed(seed)
        n = len(_column(context))
        noise = torch.randn(n, self._n_features(), generator=generator)
        return self._in_batches(lambda z, c: self._network(c).transform.inv(z), noise, context)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Weights and record, to be read by :meth:`load`."""
        content = {"state": self._trained().state_dict(), "record": self.record,
                   "features": self._n_features()}  # fmt: skip
        _write(content, Path(path))

    @staticmethod
    def load(path: str | os.PathLike[str], *, device: str = "cpu") -> ConditionalFlow:
        content = _read(Path(path))
        record = content["record"]
        settings = FlowSettings(
            **{**record["settings"], "hidden": tuple(record["settings"]["hidden"])}
        )
        flow = ConditionalFlow(settings, seed=record["seed"], device=device)
        flow._network = _network(settings, content["features"]).to(flow.device)
        flow._network.load_state_dict(content["state"])
        flow._features = content["features"]
        flow.record = record
        return flow

    def _trained(self) -> Any:
        if self._network is None:
            raise RuntimeError("the flow is not trained yet: call fit first")
        return self._network

    def _n_features(self) -> int:
        self._trained()
        return self._features

    def _in_batches(
        self, function: Callable[[Any, Any], Any], rows: torch.Tensor, context: ArrayLike
    ) -> Floats:
        self._trained()
        c = _column(context)
        if len(c) != len(rows):
            raise ValueError(f"features have {len(rows)} events, but context has {len(c)}")
        parts = [np.zeros((0, *self._empty(function)), np.float64)] if len(rows) == 0 else []
        with torch.no_grad():
            for begin in range(0, len(rows), _SAMPLE_BATCH):
                some = slice(begin, begin + _SAMPLE_BATCH)
                result = function(rows[some].to(self.device), c[some].to(self.device))
                parts.append(result.cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def _empty(self, function: Callable[[Any, Any], Any]) -> tuple[int, ...]:
        with torch.no_grad():
            zero = torch.zeros(1, self._n_features(), device=self.device)
            return tuple(function(zero, zero[:, :1]).shape[1:])


class _Training:
    """The state of one training, which a checkpoint holds."""

    def __init__(
        self, flow: ConditionalFlow, x: Any, c: Any, x_valid: Any, c_valid: Any, generator: Any
    ) -> None:
        self.flow, self.settings, self.generator = flow, flow.settings, generator
        self.x, self.c, self.x_valid, self.c_valid = x, c, x_valid, c_valid
        self.train_loss: list[float] = []
        self.valid_loss: list[float] = []
        self.best_epoch = -1

    def build(self, n_features: int) -> None:
        self.network = _network(self.settings, n_features).to(self.flow.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )  # fmt: skip
        self.best_state: Any = None

    def run(self, checkpoint: Path | None, identity: dict[str, Any], progress: bool | None) -> None:
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint, identity)
        import time

        written = time.monotonic()
        with progress_bar("epochs", self.settings.epochs, progress) as advance:
            advance(len(self.train_loss))
            while len(self.train_loss) < self.settings.epochs and not self._exhausted():
                self._epoch()
                advance(1)
                if checkpoint is not None and time.monotonic() - written > _EVERY:
                    self._checkpoint(checkpoint, identity)
                    written = time.monotonic()
        if checkpoint is not None:
            self._checkpoint(checkpoint, identity)

    def _exhausted(self) -> bool:
        patience = self.settings.patience
        return patience is not None and len(self.valid_loss) - 1 - self.best_epoch >= patience > 0

    def _epoch(self) -> None:
        epoch = len(self.train_loss)
        if self.settings.anneal:
            share = 0.5 * (1 + math.cos(math.pi * epoch / self.settings.epochs))
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * share
        order = torch.randperm(len(self.x), generator=self.generator).to(self.flow.device)
        total = 0.0
        for batch in order.split(self.settings.batch_size):
            loss = -self.network(self.c[batch]).log_prob(self.x[batch]).mean()
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} in epoch {epoch}: lower the learning rate "
                    f"({self.settings.learning_rate:g}), or look for outliers in the features"
                )
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_gradient)
            self.optimizer.step()
            total += loss.item() * len(batch)
        self.train_loss.append(total / len(self.x))
        with torch.no_grad():
            valid = -self.network(self.c_valid).log_prob(self.x_valid)
        self.valid_loss.append(float(valid[torch.isfinite(valid)].mean()))
        if self.best_epoch < 0 or self.valid_loss[-1] < self.valid_loss[self.best_epoch]:
            self.best_epoch = epoch
            self.best_state = {k: v.clone() for k, v in self.network.state_dict().items()}

    def best_network(self) -> Any:
        self.network.load_state_dict(self.best_state)
        return self.network.eval()

    def _checkpoint(self, path: Path, identity: dict[str, Any]) -> None:
        _write(
            {
                "identity": identity,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": self.best_state,
                "best_epoch": self.best_epoch,
                "train_loss": self.train_loss,
                "validation_loss": self.valid_loss,
                "generator": self.generator.get_state(),
            },
            path,
        )

    def _resume(self, path: Path, identity: dict[str, Any]) -> None:
        content = _read(path)
        if content.get("identity") != identity:
            return  # another training
        self.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.best_state, self.best_epoch = content["best"], content["best_epoch"]
        self.train_loss, self.valid_loss = content["train_loss"], content["validation_loss"]
        self.generator.set_state(content["generator"])


def _network(settings: FlowSettings, n_features: int) -> Any:
    common: dict[str, Any] = {
        "context": 1,
        "transforms": settings.transforms,
        "hidden_features": settings.hidden,
        "activation": getattr(torch.nn, settings.activation),
    }
    if settings.kind == "spline":
        return zuko.flows.NSF(n_features, bins=settings.bins, **common)
    return zuko.flows.MAF(n_features, **common)


def _table(values: ArrayLike | torch.Tensor, name: str) -> torch.Tensor:
    table = torch.as_tensor(np.asarray(values), dtype=torch.float32)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, F), got {tuple(table.shape)}")
    _check_finite(table, name)
    return table


def _column(values: ArrayLike) -> torch.Tensor:
    column = torch.as_tensor(np.asarray(values), dtype=torch.float32)
    if column.ndim != 1:
        raise ValueError(f"context must have shape (n,), got {tuple(column.shape)}")
    _check_finite(column, "context")
    return column[:, None]


def _check_finite(tensor: torch.Tensor, name: str) -> None:
    wrong = ~torch.isfinite(tensor)
    wrong = wrong.any(dim=1) if tensor.ndim == 2 else wrong
    if wrong.any():
        event = int(wrong.int().argmax())
        raise ValueError(f"{name} must be finite, event {event} is {tensor[event].tolist()}")


def _digest(*tensors: torch.Tensor) -> str:
    from hashlib import blake2b

    digest = blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _write(content: dict[str, Any], path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001  torch raises whatever the damage leads to
        raise ValueError(f"{path}: is not a checkpoint of a flow, or is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: is not a checkpoint of a flow")  # noqa: TRY004
    return content


def with_changes(settings: str, **changes: Any) -> FlowSettings:
    """A preset with some of its settings changed."""
    return replace(PRESETS[one_of("settings", settings, tuple(PRESETS))], **changes)
