"""What a loop over a loader gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses


@dataclass(frozen=True, eq=False)
class Minibatch(Mapping[str, Any]):
    """Some events as tensors, by name: a mapping, and ``batch.Jet`` is ``batch["Jet"]``.

    Groups of particles are float32 in the layout of :meth:`Jagged.pad`, with ``Jet_mask`` (bool,
    (n_events, width)); ragged groups are values and ``Jet_offsets``; ``features`` float32 (n_events, F);
    ``target`` and ``weight`` where they were asked for. Arrays are NumPy's, or CuPy's on the GPU, and
    nobody else's: they may be changed.
    """

    tensors: dict[str, Array]
    epoch: int  #: from 0
    number: int  #: of the batch in the epoch, over all ranks
    n_events: int

    def __getitem__(self, name: str) -> Any:
        try:
            return self.tensors[name]
        except KeyError:
            raise KeyError(f"no tensor {name!r}: {near_misses(name, self.tensors)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        """Number of tensors; ``n_events`` is that of events."""
        return len(self.tensors)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "tensors":
            raise AttributeError(name)
        if name in self.tensors:
            return self.tensors[name]
        raise AttributeError(f"a batch has no {name!r}: {near_misses(name, self.tensors)}")

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self.tensors]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n} {a.dtype} {tuple(a.shape)}" for n, a in self.tensors.items())
        return f"<Minibatch {self.number} of epoch {self.epoch}, {self.n_events} events: {shapes}>"
