"""Conditional normalizing flows: a density p(features | context) that can be sampled.

torch and zuko do the work, ``training`` finds the best weights of one flow or of several at once.
Features and context may have any scale: networks see them standardised.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fastjag.core.arrays import check_finite
from fastjag.core.checks import one_of
from fastjag.models.batch_training import EpochsOfBatches
from fastjag.models.flow_events import FlowEvents, HeldEvents, LoadedEvents, NamedColumns
from fastjag.models.flow_standard import Standardisation
from fastjag.models.flow_training import FlowSettings, FlowTraining, make_network
from fastjag.models.resumable_training import digest_of, read_checkpoint, write_checkpoint
from fastjag.models.training_device import training_device

Floats = NDArray[np.float64]

_STANDARD = "standardisation."  # keys in a saved state

_SAMPLE_BATCH = 65_536
_SAMPLE = 200_000  # events by which batches are standardised
_INFINITE = "events of the validation data have ln p = -inf, and are left out of its loss"


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
    flows = _flows(settings, seeds, device)
    _fit(flows, features, context, checkpoint, progress)
    return flows


def fit_flows_on_batches(
    settings: FlowSettings | str,
    seeds: Sequence[int],
    training: EpochsOfBatches,
    validation: EpochsOfBatches,
    *,
    features: str = "features",
    context: str = "context",
    device: str = "cpu",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> list[ConditionalFlow]:
    """A flow for each seed, from events that need not fit into memory: all learn from the same batches.

    Parameters
    ----------
    settings
        As of :class:`ConditionalFlow`. ``validation`` and ``batch_size`` of them are what the loaders say.
    seeds
        Of the initial weights. The order of batches is that of the loader, which has a seed of its own.
    training, validation
        Loaders (:func:`fastjag.loader`), of whose batches flows take the tensors that ``features`` (n, F) and ``context`` (n,) or
        (n, 1) name. They are standardised inside, by the first 200,000 events of epoch 0, and have to be finite.
    device, checkpoint, progress
        As of :meth:`ConditionalFlow.fit`.

    Raises
    ------
    KeyError, ValueError
        For tensors that the batches do not have, or that are not as they have to be, and batches with weights.
    """
    flows = _flows(settings, seeds, device)
    columns = NamedColumns(features, context)
    training.set_epoch(0)
    parts, n = [], 0
    for batch in training:
        parts.append(columns.of(batch))
        n += len(parts[-1][0])
        if n >= _SAMPLE:
            break
    if n < 10:
        raise ValueError(f"a flow needs at least 10 events to learn from, got {n}")
    x, c = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    standard = Standardisation.fit(x, c)
    events = LoadedEvents(
        training, validation, columns, standard, len(flows), int(x.shape[1]), flows[0].device
    )
    _train(flows, events, standard, events.digest(), checkpoint, progress)
    return flows


def _flows(
    settings: FlowSettings | str, seeds: Sequence[int], device: str
) -> list[ConditionalFlow]:
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"seeds must be different numbers, at least one, got {list(seeds)}")
    return [ConditionalFlow(settings, seed=seed, device=device) for seed in seeds]


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
    settings = flows[0].settings
    standard = Standardisation.fit(x, c)
    events = HeldEvents(
        standard.features(x), standard.context(c), [flow.seed for flow in flows],
        settings.validation, settings.batch_size, flows[0].device,
    )  # fmt: skip
    _train(flows, events, standard, digest_of(x, c), checkpoint, progress)


def _train(
    flows: Sequence[ConditionalFlow], events: FlowEvents, standard: Standardisation, digest: str,
    checkpoint: str | os.PathLike[str] | None, progress: bool | None,
) -> None:  # fmt: skip
    training = FlowTraining(flows, events)
    settings = asdict(flows[0].settings)
    identity = {"settings": settings, "seeds": [flow.seed for flow in flows], "data": digest,
                "standardised": True}  # fmt: skip
    with _one_thread():
        training.run(None if checkpoint is None else Path(checkpoint), identity, progress)
    for i, (flow, network) in enumerate(zip(flows, training.best_networks(), strict=True)):
        flow._network, flow._features, flow._standard = network, events.n_features, standard
        best, infinite = training.best_epoch(i), training.valid_infinite[i]
        flow.record = {
            "settings": settings,
            "seed": flow.seed,
            "data": digest,
            "train_loss": [loss + standard.log_volume for loss in training.train_loss[i]],
            "validation_loss": [loss + standard.log_volume for loss in training.valid_loss[i]],
            "validation_events": training.validation_events,
            "validation_infinite": infinite,
            "best_epoch": best,
            "parameters": sum(p.numel() for p in network.parameters()),
        }
        if infinite[best]:
            warnings.warn(
                f"flow of seed {flow.seed}: {infinite[best]} of {training.validation_events} "
                f"{_INFINITE}: look for outliers in the features",
                RuntimeWarning, stacklevel=4,
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
