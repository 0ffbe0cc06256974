"""DeepSets of jets, on batches that are made of the table as the training needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastjag.analyses.jets.config import TrainConfig
from fastjag.analyses.jets.results import SHAPES, JetTable
from fastjag.core.arrays import Array
from fastjag.loading import Loader, tensor_loader
from fastjag.models.batch_training import train_network
from fastjag.models.padded_networks import FEATURES
from fastjag.models.tagger_networks import DeepSetsNetwork
from fastjag.models.weights import hold_out, training_weights

Rows = NDArray[np.int64]

_BATCH = 1024
_VALIDATION = 0.2  # share of the events that are kept aside


class StandardColumn(NamedTuple):
    """A column of the table, and what makes a number of order one of it."""

    name: str
    mean: float = 0.0
    scale: float = 1.0

    def fit(self, values: Array) -> StandardColumn:
        x = values.astype(np.float64)
        return self._replace(mean=float(x.mean()), scale=float(x.std()) or 1.0) if len(x) else self


@dataclass(frozen=True)
class SlotTensor:
    """A collection of a table as a tensor (n_jets, slots, F): of a batch alone are the numbers put together."""

    table: JetTable
    count: str  #: column of how many particles a jet has
    columns: tuple[StandardColumn, ...]
    slots: int
    dtype = np.dtype(np.float32)

    @classmethod
    def of(cls, table: JetTable, collection: str, slots: int | None) -> SlotTensor:
        """Not standardised; ValueError naming column and jet of a number that is not finite."""
        names, count = table.feature_names(collection)
        width = min(table[n].shape[1] for n in names)
        found = cls(table, count, tuple(map(StandardColumn, names)), min(width, slots or width))
        for name in names:
            bad = ~np.isfinite(table[name][:, : found.slots]) & found.mask(slice(None))
            if bad.any():
                jet = int(bad.any(axis=1).argmax())
                raise ValueError(
                    f"{table.source}: column {name!r} must be finite, got {table[name][jet][bad[jet]][0]} in jet {jet}"
                )
        return found

    def fit(self, rows: Rows) -> SlotTensor:
        """Standardised by the particles of some jets."""
        mask = self.mask(rows)
        fitted = (c.fit(self.table[c.name][rows, : self.slots][mask]) for c in self.columns)
        return SlotTensor(self.table, self.count, tuple(fitted), self.slots)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.table), self.slots, len(self.columns)

    def mask(self, rows: Rows | slice) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.arange(self.slots) < self.table[self.count][rows][:, None]
        return found

    def take(self, rows: Rows, axis: int) -> NDArray[np.float32]:
        found = np.empty((len(rows), *self.shape[1:]), np.float32)
        for i, (name, mean, scale) in enumerate(self.columns):
            found[..., i] = (self.table[name][rows, : self.slots] - mean) / scale
        found[~self.mask(rows)] = 0
        return found


@dataclass(frozen=True)
class SlotMask:
    """Which slots of a :class:`SlotTensor` have particles."""

    of: SlotTensor
    dtype = np.dtype(np.bool_)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.of.shape[:2]

    def take(self, rows: Rows, axis: int) -> NDArray[np.bool_]:
        return self.of.mask(rows)


@dataclass(frozen=True)
class JetDeepSets:
    """A trained network, and what its numbers were standardised by."""

    network: DeepSetsNetwork
    columns: Mapping[str, tuple[StandardColumn, ...]]  #: of each collection, and of "features"
    slots: Mapping[str, int]
    losses: Mapping[str, list[float]]  #: "train" and "validation", by epoch
    best_epoch: int

    def predict_proba(self, table: JetTable, rows: Rows | None = None) -> NDArray[np.float64]:
        """(n, 2) probabilities of background and signal, of these rows of a table."""
        tensors = {
            name: SlotTensor(table, table.feature_names(name)[1], self.columns[name], slots)
            for name, slots in self.slots.items()
        }  # fmt: skip
        batches = _loader(_tensors(tensors, _shapes(table, self.columns[FEATURES])), rows)
        with torch.no_grad():
            parts = [
                self.network.scores({k: torch.as_tensor(v) for k, v in batch.items()}).numpy()
                for batch in batches
            ]
        return np.concatenate(parts).astype(np.float64)


def deep_sets(
    table: JetTable, labels: Array, weights: Array, held: Array, config: TrainConfig, **options: Any
) -> tuple[JetDeepSets, Array, dict[str, Any]]:
    """Trained on the jets that are not ``held``; the scores of these, and what the training depended on.

    Jets of one of the ``groups`` are all in training, or all in validation.
    """
    known = np.flatnonzero(~held)
    # Both classes get the same sum.
    learned = np.zeros(len(table))
    learned[known] = training_weights(labels[known], weights[known]).weights
    aside = hold_out(
        labels[known], _VALIDATION, np.random.default_rng(config.seed), learned[known],
        options["groups"],
    )  # fmt: skip
    train, valid = known[~aside], known[aside]
    wanted: dict[str, int | None] = {"pfcand": config.slots}
    if "n_sv" in table:
        wanted["sv"] = None
    groups = {name: SlotTensor.of(table, name, n).fit(train) for name, n in wanted.items()}
    plain = _shapes(table, [StandardColumn(f"fj_{name}") for name in SHAPES])
    shapes = [StandardColumn(f"fj_{n}").fit(plain[train, i]) for i, n in enumerate(SHAPES)]
    tensors = _tensors(groups, _shapes(table, shapes)) | {
        "target": labels, "weight": learned.astype(np.float32)
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = DeepSetsNetwork(
            {name: len(group.columns) for name, group in groups.items()}, len(shapes), 2,
            phi=(64, 64), rho=(64, 32),
        )  # fmt: skip
    batches = tensor_loader(tensors, train, batch_size=_BATCH, seed=config.seed)
    done = train_network(
        network, batches, _loader(tensors, valid), epochs=config.epochs, seed=config.seed,
        device=options["device"], progress=options["progress"],
    )  # fmt: skip
    columns = {name: group.columns for name, group in groups.items()}
    slots = {name: group.slots for name, group in groups.items()}
    losses = {"train": done.train, "validation": done.validation}
    model = JetDeepSets(
        network, columns | {FEATURES: tuple(shapes)}, slots, losses, done.best_epoch
    )
    names = [c.name for part in model.columns.values() for c in part]
    record = {"features": names, "losses": losses, "batches": batches.plan.describe()}
    return model, model.predict_proba(table, np.flatnonzero(held))[:, 1], record


def _shapes(table: JetTable, columns: Sequence[StandardColumn]) -> NDArray[np.float32]:
    parts = [(np.nan_to_num(table[name]) - mean) / scale for name, mean, scale in columns]
    return np.stack(parts, axis=1).astype(np.float32)


def _tensors(groups: Mapping[str, SlotTensor], shapes: Array) -> dict[str, Any]:
    masks = {f"{name}_mask": SlotMask(group) for name, group in groups.items()}
    return {**groups, **masks, FEATURES: shapes}


def _loader(tensors: Mapping[str, Any], rows: Rows | None) -> Loader:
    return tensor_loader(tensors, rows, batch_size=4 * _BATCH, shuffle=None)
