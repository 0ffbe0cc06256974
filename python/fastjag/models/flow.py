"""Conditional normalizing flows: a density p(features | context) that can be sampled.

torch and zuko do the work, ``training`` finds the best weights of one flow or of several at once.
Features and context may have any scale: networks see them standardised.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import check_finite
from fastjag.core.checks import one_of
from fastjag.models.flow_training import FlowSettings, FlowTraining, make_network
from fastjag.models.resumable_training import digest_of, read_checkpoint, write_checkpoint
from fastjag.models.training_device import training_device

Floats = NDArray[np.float64]

_STANDARD = "standardisation."  # keys in a saved state

_SAMPLE_BATCH = 65_536
_REACH = 5.0  # of splines
_INFINITE = "events of the validation data have ln p = -inf, and are left out of its loss"


@dataclass(frozen=True)
class Standardisation:
    """What is subtracted from features and context, and what they are divided by.

    Splines are the identity beyond 5, and layers start with weights of order one: neither could
    learn from features in GeV. The location is the median; the scale is half the width of the central
    68 %, or more, so that 99.9 % are within 5. That is mean and standard deviation where the
    distribution is normal, and a few outliers do not move them.
    """

    shift: torch.Tensor  #: (F,) float32
    scale: torch.Tensor  #: (F,) float32, above 0
    context_shift: torch.Tensor  #: (1,)
    context_scale: torch.Tensor

    @staticmethod
    def fit(features: torch.Tensor, context: torch.Tensor) -> Standardisation:
        """From (n, F) features and (n, 1) context."""
        return Standardisation(*_location_and_scale(features), *_location_and_scale(context))

    @staticmethod
    def none(n_features: int) -> Standardisation:
        """Nothing is changed: of flows that 0.1.0 saved."""
        zero, one = torch.zeros(n_features), torch.ones(n_features)
        return Standardisation(zero, one, zero[:1], one[:1])

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return ((x.double() - self.shift.to(x.device)) / self.scale.to(x.device)).float()

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """Inverse of :meth:`features`."""
        return x.double() * self.scale.to(x.device) + self.shift.to(x.device)

    def context(self, c: torch.Tensor) -> torch.Tensor:
        shift, scale = self.context_shift.to(c.device), self.context_scale.to(c.device)
        return ((c.double() - shift) / scale).float()

    @property
    def log_volume(self) -> float:
        """What ln p of the features is below that of the standardised ones."""
        return float(self.scale.double().log().sum())


def _location_and_scale(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = table.cpu().numpy().astype(np.float64)
    low, middle, high = np.quantile(x, [0.1587, 0.5, 0.8413], axis=0)
    reach = np.quantile(np.abs(x - middle), 0.999, axis=0, method="lower")
    half = np.maximum((high - low) / 2, reach / _REACH)
    # Where most events have one value the others give the scale; 1 if there are none.
    half = np.where(half > 0, half, x.std(axis=0))
    scale = np.where(half > 0, half, 1.0)
    return torch.from_numpy(middle.astype("f4")), torch.from_numpy(scale.astype("f4"))


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
            settings = FlowSettings.preset(settings)
        one_of("kind", settings.kind, ("spline", "affine"))
        if not hasattr(torch.nn, settings.activation):
            raise ValueError(f"activation must be a torch.nn class, got {settings.activation!r}")
        self.settings, self.seed, self.device = (
            settings,
            seed,
            torch.device(training_device(device, "torch")),
        )
        self.record: dict[str, Any] = {}
        self._network: Any = None
        self._features = 0
        self._standard = Standardisation.none(0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickles of 0.1.0: what they learned from was not standardised.
        unchanged = Standardisation.none(state.get("_features", 0))
        self.__dict__.update({"_standard": unchanged} | state)

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

        Both are standardised inside (:class:`Standardisation`), losses and densities are those of
        what was given. The network kept is that of the epoch with the lowest validation loss. Events
        of the validation data with ln p = -inf have no part in it: ``record["validation_infinite"]``
        counts them for each epoch, and a RuntimeWarning says so if there are any in the epoch kept.

        ``checkpoint`` names a file that is written as training goes on; where it holds a state of the
        same settings, seed and data, training goes on from there. A file that cannot be read is an
        error, one of another training (or of 0.1.0, which did not standardise) is overwritten.
        """
        _fit([self], features, context, checkpoint, progress)
        return self

    # ---- what it learned --------------------------------------------------------------------

    def log_prob(self, features: ArrayLike, context: ArrayLike) -> Floats:
        """ln p(features | context), shape (n,)."""
        standard = self._standard
        return self._in_batches(
            lambda x, c: self._network(c).log_prob(standard.features(x)) - standard.log_volume,
            self._rows(features), context,
        )  # fmt: skip

    def latent(self, features: ArrayLike, context: ArrayLike) -> Floats:
        """The normally distributed variables that the features are made of, shape (n, F)."""
        return self._in_batches(
            lambda x, c: self._network(c).transform(self._standard.features(x)),
            self._rows(features), context,
        )  # fmt: skip

    def sample(self, context: ArrayLike, *, seed: int) -> Floats:
        """One draw of the features for every entry of ``context``: shape (n, F)."""
        generator = torch.Generator().manual_seed(seed)
        n = len(_column(context))
        noise = torch.randn(n, self._n_features(), generator=generator)
        return self._in_batches(
            lambda z, c: self._standard.back(self._network(c).transform.inv(z)), noise, context
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Weights, standardisation and record, to be read by :meth:`load`."""
        state = {**self._trained().state_dict(),
                 **{_STANDARD + name: value for name, value in vars(self._standard).items()}}  # fmt: skip
        content = {"state": state, "record": self.record, "features": self._n_features()}
        write_checkpoint(content, Path(path))

    @staticmethod
    def load(path: str | os.PathLike[str], *, device: str = "cpu") -> ConditionalFlow:
        """What :meth:`save` wrote, also that of 0.1.0, which learned from features as they were.

        Raises ValueError naming the file where it is no saved flow.
        """
        content = read_checkpoint(Path(path), "a flow")
        if not {"state", "record", "features"} <= content.keys():
            raise ValueError(f"{path}: is not a saved flow: it holds {', '.join(content)}")
        record, n_features = content["record"], content["features"]
        weights = {k: v for k, v in content["state"].items() if not k.startswith(_STANDARD)}
        standard = {
            k.removeprefix(_STANDARD): v
            for k, v in content["state"].items()
            if k.startswith(_STANDARD)
        }
        settings = FlowSettings(
            **{**record["settings"], "hidden": tuple(record["settings"]["hidden"])}
        )
        flow = ConditionalFlow(settings, seed=record["seed"], device=device)
        flow._network = make_network(settings, n_features).to(flow.device)
        flow._network.load_state_dict(weights)
        flow._features, flow.record = n_features, record
        flow._standard = (
            Standardisation(**standard) if standard else Standardisation.none(n_features)
        )
        return flow

    def _trained(self) -> Any:
        if self._network is None:
            raise RuntimeError("the flow is not trained yet: call fit first")
        return self._network

    def _n_features(self) -> int:
        self._trained()
        return self._features

    def _rows(self, features: ArrayLike) -> torch.Tensor:
        table, n = _table(features, "features"), self._n_features()
        if table.shape[1] != n:
            raise ValueError(
                f"features must have shape (n, {n}) as in the training, got {tuple(table.shape)}"
            )
        return table

    def _in_batches(
        self, function: Callable[[Any, Any], Any], rows: torch.Tensor, context: ArrayLike
    ) -> Floats:
        self._trained()
        c = _column(context)
        if len(c) != len(rows):
            raise ValueError(f"features have {len(rows)} events, but context has {len(c)}")
        if len(rows) == 0:  # torch's distributions refuse it
            return self._in_batches(function, torch.zeros(1, self._features), [0.0])[:0]
        parts = []
        few = (
            len(rows) < _SAMPLE_BATCH
        )  # shared, they take twice the CPU time and no less of the clock's
        with torch.no_grad(), _one_thread() if few else nullcontext():
            for begin in range(0, len(rows), _SAMPLE_BATCH):
                some = slice(begin, begin + _SAMPLE_BATCH)
                at = self._standard.context(c[some].to(self.device))
                result = function(rows[some].to(self.device), at)
                parts.append(result.cpu().numpy().astype(np.float64))
        return np.concatenate(parts)


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
    digest = digest_of(x, c)
    standard = Standardisation.fit(x, c)
    training = FlowTraining(flows, standard.features(x), standard.context(c))
    settings = asdict(flows[0].settings)
    identity = {"settings": settings, "seeds": [flow.seed for flow in flows], "data": digest,
                "standardised": True}  # fmt: skip
    with _one_thread():
        training.run(None if checkpoint is None else Path(checkpoint), identity, progress)
    for i, (flow, network) in enumerate(zip(flows, training.best_networks(), strict=True)):
        flow._network, flow._features, flow._standard = network, x.shape[1], standard
        best, infinite = training.best_epoch(i), training.valid_infinite[i]
        flow.record = {
            "settings": settings,
            "seed": flow.seed,
            "data": digest,
            "train_loss": [loss + standard.log_volume for loss in training.train_loss[i]],
            "validation_loss": [loss + standard.log_volume for loss in training.valid_loss[i]],
            "validation_events": training.x_valid.shape[1],
            "validation_infinite": infinite,
            "best_epoch": best,
            "parameters": sum(p.numel() for p in network.parameters()),
        }
        if infinite[best]:
            warnings.warn(
                f"flow of seed {flow.seed}: {infinite[best]} of {training.x_valid.shape[1]} "
                f"{_INFINITE}: look for outliers in the features",
                RuntimeWarning, stacklevel=3,
            )  # fmt: skip


@contextmanager
def _one_thread() -> Iterator[None]:
    """Layers of tens of units are too small to share: a second thread takes 4 times the CPU time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _table(values: ArrayLike, name: str) -> torch.Tensor:
    table = _as_float32(values)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, F), got {table.shape}")
    check_finite(table, name)
    return torch.from_numpy(table)


def _column(values: ArrayLike) -> torch.Tensor:
    column = _as_float32(values)
    if column.ndim != 1:
        raise ValueError(f"context must have shape (n,), got {column.shape}")
    check_finite(column, "context")
    return torch.from_numpy(column)[:, None]


def _as_float32(values: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is infinite then is an error of its own
        return np.array(values, np.float32)  # a copy: torch takes no reversed or read-only arrays
