"""fj.loader: what of arguments and files becomes a loader."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from fastjag.core.checks import at_least, is_integer, n_bytes, one_of
from fastjag.core.devices import cupy
from fastjag.datasets import Ranges, ranges
from fastjag.inputs import InputGroup, Inputs
from fastjag.io.files import Files
from fastjag.io.sources import Access
from fastjag.loading.caching import in_folder, in_memory
from fastjag.loading.counting import chosen_runs, columns_of, selects
from fastjag.loading.epochs import divides
from fastjag.loading.files import OpenFiles
from fastjag.loading.lanes import Run, runs_of
from fastjag.loading.loaders import Loader
from fastjag.loading.plan import EventCost, Options, Plan
from fastjag.loading.pools import SMALL, ModelInputs, stays_padded


def loader(
    datasets: Files | Mapping[str, Any] | Ranges,
    inputs: Any,
    target: Any = None,
    weight: Any = None,
    *,
    batch_size: int = 1024,
    shuffle: str | None = "buffer",
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = 1,
    memory: int | str = "2 GB",
    cache: str | os.PathLike[str] | None = None,
    streams: int = 12,
    rank: int | None = None,
    world_size: int | None = None,
    drop_last: bool = False,
    on_error: str = "raise",
    storage_options: Mapping[str, Any] | None = None,
) -> Loader:
    """Batches for training straight from ROOT files: shuffled, padded, in bounded memory.

    Threads read, decompress, pad and shuffle while the model trains. docs/loading.md says how.

    Parameters
    ----------
    datasets
        What :func:`fastjag.ranges` takes: files, patterns, ``{dataset: files}``, filesets; or ranges,
        some of which are a validation sample: ``ranges[:40]``.
    inputs, target, weight
        What the model sees: groups of particles, features, labels, weights, or a whole ``Inputs``, whose
        means and scales are fitted to a sample of the events, if they are not yet. Where a ``selection``
        leaves events out, or negative weights drop them, those that stay are counted before, and fill the batches.
    batch_size
        Events of a batch, on each rank.
    shuffle
        "buffer": places all over the data are read side by side into a pool, which is permuted. "global": all
        events are in memory, or in a cache, and permuted. None: the order of files and entries.
    seed
        Of the order; with the same data and options it is the same whatever threads and workers.
    device
        "cuda": batches are copied to CuPy's current GPU on a stream of their own, from pinned memory, the next one
        while the model works with one.
    epochs
        Of one loop; None: without end.
    memory
        Bytes that the loader may take, such as "2 GB".
    cache
        A folder that keeps the padded tensors, under a name that tells inputs and data apart: they are read
        once, and then mapped into memory. It is whole or not there, and has checksums.
    streams
        Batch i is of stream i mod ``streams``, and each rank and worker has some of the streams: their
        number has to divide it.
    rank, world_size
        This process among those that train together; default: those of ``torch.distributed``, if it is
        initialised, else 0 of 1. Every event is in one batch of one rank, and all ranks have as many
        batches: the last of each share evenly what is left.
    drop_last
        Leave out what does not fill a batch on every rank.
    on_error
        "raise", or "skip": leave out what cannot be read, and list it in ``.skipped``. Batches of a lap
        are then smaller, and as many as before.
    storage_options
        For files on servers, as in :func:`fastjag.iterate`.

    Yields
    ------
    Minibatch
        Tensors by name.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that cannot be.
    FileNotFoundError, ReadError
        Naming file, tree and branch that cannot be read.
    """
    one_of("on_error", on_error, ("raise", "skip"))
    size = n_bytes(memory) if isinstance(memory, str) else at_least("memory", memory, 1)
    options, how = checked(
        ("buffer", "global"), batch_size, shuffle, seed, device, epochs, streams, rank, world_size,
        drop_last, size,
    )  # fmt: skip
    access = Access.of(storage_options, None)
    found = ranges(datasets, 1, storage_options=storage_options, on_error=on_error)
    runs = runs_of(found)
    if not runs:
        raise ValueError(
            "there are no events: "
            + (f"{found.skipped[0].reason}" if found.skipped else f"{found!r}")
        )
    reading = {"storage_options": storage_options, "on_error": on_error}
    seen = _inputs(inputs, target, weight, found, int(seed), reading)
    cost = _cost(runs, seen, access)
    store: Any = None
    skipped = list(found.skipped)

    def opened(columns: Sequence[str], keeps: bool = False) -> OpenFiles:
        files = OpenFiles(runs, columns, access, on_error, keeps)
        files.skipped = skipped
        return files

    if selects(seen) and cache is None:
        with closing(opened(columns_of(seen))) as files:
            runs = chosen_runs(files, seen)
        if not runs:
            raise ValueError("there are no events: the selection keeps none")
    if cache is not None or shuffle == "global":
        dense = stays_padded(seen)
        with closing(opened(seen.columns, keeps=not dense)) as files:
            store, runs = (
                in_memory(files, seen, size, dense)
                if cache is None
                else in_folder(cache, files, seen)
            )
    plan = Plan.of(runs, options, cost)
    how |= {"access": access, "on_error": on_error}
    return Loader(seen, plan, how, skipped, store)


def checked(
    ways: Sequence[str], batch_size: int, shuffle: str | None, seed: int, device: str, epochs: int | None,
    streams: int, rank: int | None, world_size: int | None, drop_last: bool, memory: int,
) -> tuple[Options, dict[str, Any]]:  # fmt: skip
    """What of a loader's arguments decides on the order of events, and how batches are given.

    ``ways`` are those of ``shuffle``, beside None. Raises ValueError and TypeError naming the argument that cannot be.
    """
    at_least("batch_size", batch_size, 1)
    at_least("streams", streams, 1)
    if shuffle is not None:
        one_of("shuffle", shuffle, ways)
    if one_of("device", device, ("cpu", "cuda")) == "cuda":
        cupy()  # says what is missing
    if not is_integer(seed) or seed < 0:
        raise ValueError(f"seed must be an integer of 0 or more, got {seed!r}")
    if epochs is not None:
        at_least("epochs", epochs, 1)
    own_rank, ranks = ranks_of(rank, world_size)
    divides(streams, ranks=ranks)
    options = Options(int(batch_size), shuffle, int(seed), int(streams), ranks, drop_last, memory)
    return options, {"device": device, "rank": own_rank, "epochs": epochs}


def _inputs(
    given: Any, target: Any, weight: Any, found: Ranges, seed: int, reading: Mapping[str, Any]
) -> Any:
    """Fitted inputs; whatever has their methods will do."""
    if not isinstance(given, (Inputs, InputGroup)) and hasattr(given, "tensors"):
        return given
    inputs = Inputs.of(given, target, weight)
    inputs.check_datasets(found.datasets)
    return inputs.fit(found, seed=seed, **reading)


def ranks_of(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """This rank, and how many there are."""
    if (rank is None) != (world_size is None):
        raise ValueError(
            f"give rank and world_size, or none of them, got {rank!r} and {world_size!r}"
        )
    if rank is not None and world_size is not None:
        at_least("world_size", world_size, 1)
        if not is_integer(rank) or not 0 <= rank < world_size:
            raise ValueError(f"rank must be one of 0 to {world_size - 1}, got {rank!r}")
        return int(rank), int(world_size)
    distributed = getattr(
        sys.modules.get("torch"), "distributed", None
    )  # asked, if somebody has it
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()), int(distributed.get_world_size())
    return 0, 1


def _cost(runs: Sequence[Run], inputs: ModelInputs, access: Access) -> EventCost:
    """Bytes of an event; the first file of each data set is opened, and has to have the columns."""
    firsts = {run.dataset: run for run in reversed(runs)}
    worst = 0.0
    files = OpenFiles(runs, inputs.columns, access, "raise")
    with closing(files):
        for run in firsts.values():
            worst = max(worst, files.bytes_per_event(run))
    kept = inputs.dense_bytes if inputs.dense_bytes <= SMALL else 2 * worst
    return EventCost(kept, worst)
