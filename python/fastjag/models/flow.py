"""Conditional normalizing flows: a density p(features | context) that can be sampled.

torch and zuko do the work, ``training`` finds the best weights of one flow or of several at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fastjag.arrays import one_of
from fastjag.models.training import PRESETS, FlowSettings, Training, new_network, read, write

Floats = NDArray[np.float64]

_SAMPLE_BATCH = 65_536


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
        _fit([self], features, context, checkpoint, progress)
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
        write(content, Path(path))

    @staticmethod
    def load(path: str | os.PathLike[str], *, device: str = "cpu") -> ConditionalFlow:
        content = read(Path(path))
        record = content["record"]
        settings = FlowSettings(
            **{**record["settings"], "hidden": tuple(record["settings"]["hidden"])}
        )
        flow = ConditionalFlow(settings, seed=record["seed"], device=device)
        flow._network = new_network(settings, content["features"]).to(flow.device)
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


def fit_flows(
    settings: FlowSettings | str,
    seeds: Sequence[int],
    features: ArrayLike,
    context: ArrayLike,
    *,
    device: str = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> list[ConditionalFlow]:
    """A flow for each seed, trained side by side, which takes little longer than training one.

    As :meth:`ConditionalFlow.fit` of each; one checkpoint is of all.
    """
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"seeds must be different numbers, at least one, got {list(seeds)}")
    flows = [ConditionalFlow(settings, seed=seed, device=device) for seed in seeds]
    _fit(flows, features, context, checkpoint, progress)
    return flows


def _fit(
    flows: Sequence[ConditionalFlow],
    features: ArrayLike,
    context: ArrayLike,
    checkpoint: str | os.PathLike[str] | None,
    progress: bool | None,
) -> None:
    x, c = _table(features, "features"), _column(context)
    if len(x) != len(c):
        raise ValueError(f"features have {len(x)} events, but context has {len(c)}")
    if len(x) < 10:
        raise ValueError(f"a flow needs at least 10 events to learn from, got {len(x)}")
    digest = _digest(x, c)
    training = Training(flows, x, c)
    settings = asdict(flows[0].settings)
    identity = {"settings": settings, "seeds": [flow.seed for flow in flows], "data": digest}
    with _one_thread():
        training.run(None if checkpoint is None else Path(checkpoint), identity, progress)
    for i, (flow, network) in enumerate(zip(flows, training.best_networks(), strict=True)):
        flow._network, flow._features = network, x.shape[1]
        flow.record = {
            "settings": settings,
            "seed": flow.seed,
            "data": digest,
            "train_loss": training.train_loss[i],
            "validation_loss": training.valid_loss[i],
            "best_epoch": training.best_epoch(i),
            "parameters": sum(p.numel() for p in network.parameters()),
        }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Layers of tens of units are too small to share: a second thread takes 4 times the CPU time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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


def with_changes(settings: str, **changes: Any) -> FlowSettings:
    """A preset with some of its settings changed."""
    return replace(PRESETS[one_of("settings", settings, tuple(PRESETS))], **changes)
