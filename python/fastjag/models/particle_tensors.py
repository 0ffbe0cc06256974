"""Sets of particles as torch tensors: ragged with offsets or padded with a mask, standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.jagged import Jagged, Padded, as_jagged

Floats = NDArray[np.float64]

# Of a name's last part: "met_phi" is an angle as "phi" is.
_LOGARITHMIC = ("pt", "e", "et", "m", "ht")
_LEFT = ("eta", "phi")


class EventSets(NamedTuple):
    """Events for :class:`fastjag.models.deepsets.DeepSets`; what has these two members will do.

    ``particles`` maps a type to its Jagged or, for types padded already, to a ``Padded`` whose
    values (n_events, width, F) hold the columns asked for in their order. ``flat`` maps names to
    arrays of shape (n_events,).
    """

    particles: Mapping[str, Jagged | Padded]
    flat: Mapping[str, Array]


class Ragged(NamedTuple):
    """Rows of all particles (n_particles, F), and int64 offsets (n_events + 1,)."""

    values: torch.Tensor
    offsets: torch.Tensor

    def pick(self, events: torch.Tensor) -> Ragged:
        first = self.offsets[events]
        counts = self.offsets[events + 1] - first
        offsets = torch.zeros(len(events) + 1, dtype=torch.int64, device=first.device)
        torch.cumsum(counts, 0, out=offsets[1:])
        places = torch.arange(int(offsets[-1]), device=first.device)
        return Ragged(
            self.values[places + torch.repeat_interleave(first - offsets[:-1], counts)], offsets
        )

    def pool(self, encoded: torch.Tensor) -> torch.Tensor:
        """Sums over the particles of each event, (n_events, F); 0 for empty events.

        Rows are added in their order on any device: the same from run to run.
        """
        return torch.segment_reduce(encoded, "sum", offsets=self.offsets, axis=0, initial=0.0)


class Masked(NamedTuple):
    """Slots (n_events, width, F), and which of them are filled."""

    values: torch.Tensor
    mask: torch.Tensor

    def pick(self, events: torch.Tensor) -> Masked:
        return Masked(self.values[events], self.mask[events])

    def pool(self, encoded: torch.Tensor) -> torch.Tensor:
        return (encoded * self.mask[..., None]).sum(dim=1)


class Tensors(NamedTuple):
    """Standardised events of one device."""

    particles: dict[str, Ragged | Masked]
    flat: torch.Tensor  #: (n_events, n_flat)

    def pick(self, events: torch.Tensor) -> Tensors:
        picked = {name: part.pick(events) for name, part in self.particles.items()}
        return Tensors(picked, self.flat[events])


class Standard:
    """Columns of particles or events as numbers of order one.

    log(1 + x) for pt, E and m [GeV], standardised; eta / 2.5; cos phi and sin phi; other columns
    are standardised. Mean and deviation are those of :meth:`fit`'s events.
    """

    def __init__(self, columns: Sequence[str], what: str) -> None:
        self.columns, self.what = tuple(columns), what
        self.mean = np.zeros(len(self.columns))
        self.scale = np.ones(len(self.columns))

    @property
    def width(self) -> int:
        """Numbers per row: an angle takes two."""
        return len(self.columns) + sum(_kind(name) == "phi" for name in self.columns)

    def fit(self, columns: Sequence[Floats]) -> None:
        """Learn mean and deviation from these columns, in the order of ``self.columns``."""
        for i, (name, values) in enumerate(zip(self.columns, columns, strict=True)):
            if len(values) and _kind(name) not in _LEFT:
                with np.errstate(invalid="ignore", divide="ignore"):  # :meth:`rows` says where
                    shifted = _shape(name, values)
                    self.mean[i] = shifted.mean()
                    self.scale[i] = shifted.std() or 1.0

    def rows(self, columns: Sequence[Floats], where: Any) -> NDArray[np.float32]:
        """(n, width) float32; ``where(i)`` names the event of row i for errors."""
        parts: list[Floats] = []
        for i, (name, values) in enumerate(zip(self.columns, columns, strict=True)):
            kind = _kind(name)
            lowest = 0.0 if kind in _LOGARITHMIC else -np.inf
            with np.errstate(invalid="ignore"):
                bad = ~(np.isfinite(values) & (values >= lowest))
            if bad.any():
                row = int(bad.argmax())
                wanted = "finite" if lowest < 0 else "finite and not negative"
                raise ValueError(
                    f"column {name!r} of {self.what} must be {wanted}, got {values[row]} in event "
                    f"{where(row)}"
                )
            if kind == "phi":
                parts += [np.cos(values), np.sin(values)]
            elif kind == "eta":
                parts.append(values / 2.5)
            else:
                parts.append((_shape(name, values) - self.mean[i]) / self.scale[i])
        return np.stack(parts, axis=1).astype(np.float32)


def _kind(name: str) -> str:
    return name.split("_")[-1].lower()


def _shape(name: str, values: Floats) -> Floats:
    return np.log1p(values) if _kind(name) in _LOGARITHMIC else values


class Standards:
    """The :class:`Standard` of every type of particles and of the flat columns."""

    def __init__(self, inputs: Mapping[str, Sequence[str]], flat: Sequence[str]) -> None:
        self.types = {name: Standard(columns, name) for name, columns in inputs.items()}
        self.flat = Standard(flat, "the events")

    def fit(self, events: Any, rows: NDArray[np.int64]) -> None:
        """Learn from some of the events; those that cannot be used are found by :meth:`tensors`."""
        for name, standard in self.types.items():
            part = self._part(events, name)
            if isinstance(part, Padded):
                values = np.asarray(part.values, np.float64)[rows][part.mask[rows]]
                standard.fit(list(values.T))
            else:
                chosen = part[rows]
                standard.fit([_floats(chosen, column) for column in standard.columns])
        self.flat.fit([column[rows] for column in self._flat_columns(events)])

    def tensors(self, events: Any, device: torch.device) -> Tensors:
        """All events as tensors; ValueError naming column and event of a value not finite."""
        n = self.n_events(events)
        particles: dict[str, Ragged | Masked] = {}
        for name, standard in self.types.items():
            part = self._part(events, name)
            if isinstance(part, Padded):
                particles[name] = _masked(part, standard, device)
                continue
            offsets = part.offsets
            rows = standard.rows(
                [_floats(part, column) for column in standard.columns],
                lambda row, offsets=offsets: np.searchsorted(offsets, row, side="right") - 1,
            )
            particles[name] = Ragged(
                torch.from_numpy(rows).to(device), torch.tensor(offsets, device=device)
            )
        columns = self._flat_columns(events)
        rows = self.flat.rows(columns, lambda row: row) if columns else np.zeros((n, 0), "f4")
        return Tensors(particles, torch.from_numpy(rows).to(device))

    def n_events(self, events: Any) -> int:
        """Number of events; ValueError where parts differ in it."""
        parts = {name: self._part(events, name) for name in self.types}
        lengths = {n: len(p.mask if isinstance(p, Padded) else p) for n, p in parts.items()}
        columns = self._flat_columns(events)
        lengths |= {name: len(c) for name, c in zip(self.flat.columns, columns, strict=True)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"all parts must have as many events, got {lengths}")
        return next(iter(lengths.values()))

    def _part(self, events: Any, name: str) -> Jagged | Padded:
        if name not in events.particles:
            raise KeyError(f"no particles {name!r}: {near_misses(name, events.particles)}")
        part = events.particles[name]
        width = len(self.types[name].columns)
        if isinstance(part, Padded):
            if part.values.ndim != 3 or part.values.shape[2] != width:
                raise ValueError(
                    f"padded {name} must have shape (n_events, width, {width}) for columns "
                    f"{', '.join(self.types[name].columns)}, got {part.values.shape}"
                )
            return part
        return as_jagged(part).to("cpu")

    def _flat_columns(self, events: Any) -> list[Floats]:
        missing = [name for name in self.flat.columns if name not in events.flat]
        if missing:
            raise KeyError(f"no flat column {missing[0]!r}: {near_misses(missing[0], events.flat)}")
        return [np.asarray(events.flat[name], np.float64) for name in self.flat.columns]


def _floats(part: Jagged, column: str) -> Floats:
    return np.asarray(part[column], np.float64)


def _masked(part: Padded, standard: Standard, device: torch.device) -> Masked:
    events, _ = np.nonzero(part.mask)
    filled = np.asarray(part.values, np.float64)[part.mask]
    values = np.zeros((*part.mask.shape, standard.width), np.float32)
    values[part.mask] = standard.rows(list(filled.T), lambda row: events[row])
    return Masked(torch.from_numpy(values).to(device), torch.tensor(part.mask, device=device))
