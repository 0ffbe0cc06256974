"""A loader as a data set of torch: for its DataLoader with workers, and for torchdata's."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from fastjag.core.checks import at_least
from fastjag.core.devices import on_gpu
from fastjag.loading.epochs import divides


class TorchBatches(IterableDataset):  # type: ignore[misc]
    """Batches of a loader as mappings of names to torch tensors, for ``DataLoader(..., batch_size=None)``.

    Each worker reads its own streams, and DataLoader takes from one after the other: batches are the
    same, in the same order, for any number of workers that divides the streams. Every loop is the next
    epoch, also with new workers. ``state_dict`` is for torchdata's StatefulDataLoader, or for a loop over this.
    """

    def __init__(self, loader: Any) -> None:  # a Loader, which makes these
        self.loader = loader
        # Processes that are forked or spawned later see and change the same numbers.
        self._epochs = torch.zeros(loader.plan.options.streams, dtype=torch.int64).share_memory_()
        self._epoch = self._done = 0
        self._resumed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (None, 1) if info is None else (info.id, info.num_workers)
        loader = self.loader
        divides(loader.plan.options.streams, ranks=loader.plan.options.ranks, workers=workers)
        if info is not None and loader.device == "cuda":
            raise ValueError(
                'workers of a DataLoader cannot use the GPU: make the loader with device="cpu", and the '
                "DataLoader with pin_memory=True, or use num_workers=0"
            )
        # Begun here, not at the first batch: the state before it is asked for, too.
        if not self._resumed:
            self._epoch, self._done = int(self._epochs[worker or 0]), 0
        self._resumed = False
        end = loader.last_epoch(self._epoch)
        self._epochs[worker or 0] = self._epoch + 1 if end is None else end
        return self._loop(self._epoch, end, worker, workers)

    def _loop(
        self, epoch: int, end: int | None, worker: int | None, workers: int
    ) -> Generator[dict[str, Any]]:
        share = self.loader.share(worker or 0, workers, self._done)
        threads = None if worker is None else 1
        with closing(self.loader.batches(epoch, end, share, threads)) as batches:
            for batch, position in batches:
                self._epoch, self._done = position
                tensors = {name: _tensor(values) for name, values in batch.items()}
                yield tensors if worker is None else _Sent(tensors)
                del batch, tensors

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
        place = {"epoch": self._epoch, "batch": self._done, "workers": workers}
        return {**place, "plan": self.loader.record()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one of as many workers was; a ValueError names what is not as it was."""
        info = get_worker_info()
        workers = 1 if info is None else info.num_workers
        if state["workers"] != workers:
            raise ValueError(f"the state is of {state['workers']} workers, not {workers}")
        self.loader.check_state(state)
        self._epoch, self._done = int(state["epoch"]), int(state["batch"])
        self._resumed = True


class _Sent(dict[str, Any]):
    """Tensors on their way out of a worker; who gets them has a plain dict."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (os.getpid(), bytes(ForkingPickler.dumps(dict(self))))

    def __copy__(self) -> _Sent:
        return _Sent(self)


def _received(pid: int, sent: bytes) -> Any:
    """What a worker sent; torch fetches the memory of tensors from it, and says nothing else if it is gone."""
    try:
        return ForkingPickler.loads(sent)
    except (OSError, EOFError) as error:
        raise RuntimeError(
            f"DataLoader worker (pid {pid}) has ended, and the tensors that it sent are gone: {error}"
        ) from error


def _tensor(values: Any) -> Any:
    return torch.from_dlpack(values) if on_gpu(values) else torch.from_numpy(values)
