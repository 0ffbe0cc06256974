"""A loader as a data set of torch: for its DataLoader with workers, and for torchdata's."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from fastjag.core.checks import at_least
from fastjag.core.devices import on_gpu
from fastjag.loading.epochs import divides

if TYPE_CHECKING:
    from fastjag.loading.loaders import Loader


class TorchBatches(IterableDataset):  # type: ignore[misc]
    """Batches of a loader as mappings of names to torch tensors, for ``DataLoader(..., batch_size=None)``.

    Each worker reads its own streams, and DataLoader takes from one after the other: batches are the
    same, in the same order, for any number of workers that divides the streams. Every loop is the next
    epoch, also with new workers. ``state_dict`` is for torchdata's StatefulDataLoader, or for a loop over this.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        # Processes that are forked or spawned later see and change the same numbers.
        self._epochs = torch.zeros(loader.plan.options.streams, dtype=torch.int64).share_memory_()
        self._epoch = self._done = 0
        self._resumed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        loader = self.loader
        divides(loader.plan.options.streams, ranks=loader.plan.options.ranks, workers=workers)
        if info is not None and loader.device == "cuda":
            raise ValueError(
                'workers of a DataLoader cannot use the GPU: make the loader with device="cpu", and the '
                "DataLoader with pin_memory=True, or use num_workers=0"
            )
        # Begun here, not at the first batch: the state before it is asked for, too.
        if not self._resumed:
            self._epoch, self._done = int(self._epochs[worker]), 0
        self._resumed = False
        end = loader.last_epoch(self._epoch)
        self._epochs[worker] = self._epoch + 1 if end is None else end
        return self._loop(self._epoch, end, worker, workers, None if info is None else 1)

    def _loop(
        self, epoch: int, end: int | None, worker: int, workers: int, threads: int | None
    ) -> Generator[dict[str, Any]]:
        share = self.loader.share(worker, workers, self._done)
        with closing(self.loader.batches(epoch, end, share, threads)) as batches:
            for batch, position in batches:
                self._epoch, self._done = position
                yield {name: _tensor(values) for name, values in batch.items()}
                del batch

    def __len__(self) -> int:
        """Batches of a loop on this rank, of all workers together."""
        return len(self.loader)

    def set_epoch(self, epoch: int) -> None:
        """The next loop begins with this epoch, in all workers that begin after this call."""
        self._epochs.fill_(at_least("epoch", epoch, 0))
        self._resumed = False

    def state_dict(self) -> dict[str, Any]:
        """Where the loop of this process is."""
        info = get_worker_info()
        workers = 1 if info is None else info.num_workers
        plan = self.loader.plan.describe()
        return {"epoch": self._epoch, "batch": self._done, "workers": workers, "plan": plan}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one of as many workers was; a ValueError names what is not as it was."""
        info = get_worker_info()
        workers = 1 if info is None else info.num_workers
        if state["workers"] != workers:
            raise ValueError(f"the state is of {state['workers']} workers, not {workers}")
        self.loader.check_state(state)
        self._epoch, self._done = int(state["epoch"]), int(state["batch"])
        self._resumed = True


def _tensor(values: Any) -> Any:
    return torch.from_dlpack(values) if on_gpu(values) else torch.from_numpy(values)
