"""What flows learn from: events in memory, each flow in an order of its own, or batches as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import torch

from fastjag.core.checks import near_misses
from fastjag.models.batch_training import EpochsOfBatches
from fastjag.models.flow_standard import Standardisation

_BLOCK = 1 << 16  # events that are evaluated at a time: layers need much more memory than events

#: Features (flows, n, F) and context (flows, n, 1).
Pair = tuple[torch.Tensor, torch.Tensor]


class FlowEvents(Protocol):
    """What a training asks of its events."""

    n_features: int

    def training(self, epoch: int) -> Iterator[Pair]:
        """Batches of an epoch."""

    def validation(self) -> Iterator[Pair]:
        """The events kept aside, the same every time."""

    def state(self) -> dict[str, Any]:
        """What the next epochs depend on, for checkpoints."""

    def resume(self, content: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""


class HeldEvents:
    """Events in memory, once for all flows: each flow has rows of its own."""

    def __init__(
        self, x: torch.Tensor, c: torch.Tensor, seeds: Sequence[int], share: float, batch_size: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        orders = [torch.randperm(len(x), generator=g) for g in self.generators]
        n_valid = max(1, round(share * len(x)))
        rows = torch.stack(orders).to(device)
        self.valid, self.train = rows.split([n_valid, len(x) - n_valid], dim=1)
        self.x, self.c, self.batch_size = x.to(device), c.to(device), batch_size
        self.n_features = int(x.shape[1])

    def training(self, epoch: int) -> Iterator[Pair]:
        n = self.train.shape[1]
        order = torch.stack([torch.randperm(n, generator=g) for g in self.generators])
        for some in order.split(self.batch_size, dim=1):
            rows = self.train.gather(1, some.to(self.train.device))
            yield self.x[rows], self.c[rows]

    def validation(self) -> Iterator[Pair]:
        for rows in self.valid.split(_BLOCK, dim=1):
            yield self.x[rows], self.c[rows]

    def state(self) -> dict[str, Any]:
        return {"generators": [g.get_state() for g in self.generators]}

    def resume(self, content: Mapping[str, Any]) -> None:
        for generator, state in zip(self.generators, content["generators"], strict=True):
            generator.set_state(state)


class NamedColumns(NamedTuple):
    """Tensors of a batch: features (n, F), and the context, (n,) or (n, 1)."""

    features: str
    context: str

    def of(self, batch: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, F) and (n, 1); a KeyError or ValueError names what is not as it has to be."""
        if "weight" in batch:
            raise ValueError("the batches have weights, with which flows do not learn")
        for name in self:
            if name not in batch:
                raise KeyError(f"the batches have no tensor {name!r}: {near_misses(name, batch)}")
        x, c = (torch.as_tensor(batch[name]) for name in self)
        if x.ndim != 2:
            raise ValueError(f"{self.features!r} must have shape (n, F), got {tuple(x.shape)}")
        if c.ndim > 2 or (c.ndim == 2 and c.shape[1] != 1):
            raise ValueError(f"{self.context!r} must have shape (n,) or (n, 1), got {tuple(c.shape)}")  # fmt: skip
        for name, values in zip(self, (x, c), strict=True):
            if not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name!r} must be finite numbers: a selection leaves out others")
        return x, c.reshape(-1, 1)


class LoadedEvents:
    """Batches of loaders: of each learns every flow, and no event is held."""

    def __init__(
        self, training: EpochsOfBatches, validation: EpochsOfBatches, columns: NamedColumns,
        standard: Standardisation, n_flows: int, n_features: int, device: torch.device,
    ) -> None:  # fmt: skip
        self._training, self._validation, self.columns = training, validation, columns
        self.standard, self.n_flows, self.n_features = standard, n_flows, n_features
        self.device = device

    def training(self, epoch: int) -> Iterator[Pair]:
        self._training.set_epoch(epoch)
        yield from self._pairs(self._training)

    def validation(self) -> Iterator[Pair]:
        self._validation.set_epoch(0)
        yield from self._pairs(self._validation)

    def _pairs(self, batches: EpochsOfBatches) -> Iterator[Pair]:
        for batch in batches:
            x, c = self.columns.of(batch)
            both = (self.standard.features(x), self.standard.context(c))
            x, c = (t.to(self.device).expand(self.n_flows, *t.shape) for t in both)
            yield x, c

    def state(self) -> dict[str, Any]:
        return {}

    def resume(self, content: Mapping[str, Any]) -> None:
        """Epochs are told by their number."""

    def digest(self) -> str:
        """Of all that the batches depend on."""
        told: list[Any] = [
            getattr(part, "describe", dict)() for part in (self._training, self._validation)
        ]
        return blake2b(repr((tuple(self.columns), told)).encode(), digest_size=16).hexdigest()
